//! The data types of RFC 4251 section 5: a borrowing reader and an appending writer.
//!
//! Must stay true: the reader never panics, never allocates, and never reads past its slice; the
//! writer never fails.

use crate::error::Malformed;

/// Reads SSH data types from a byte slice, front to back.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts reading at the front of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Reads exactly `count` raw bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (head, tail) = self.rest.split_at_checked(count).ok_or(Malformed::Truncated)?;
        self.rest = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, tail) = self.rest.split_first_chunk::<N>().ok_or(Malformed::Truncated)?;
        self.rest = tail;
        Ok(*head)
    }

    /// Reads a `byte`.
    pub fn byte(&mut self) -> Result<u8, Malformed> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    /// Reads a `boolean`; every non-zero value is true (RFC 4251 section 5).
    pub fn boolean(&mut self) -> Result<bool, Malformed> {
        Ok(self.byte()? != 0)
    }

    /// Reads a `uint32`.
    pub fn uint32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    /// Reads a `uint64`.
    pub fn uint64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }

    /// Reads a `string`: arbitrary bytes with a length in front.
    pub fn string(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.uint32()?;
        self.take(usize::try_from(length).map_err(|_| Malformed::Truncated)?)
    }

    /// Reads a `string` that must be UTF-8 text.
    pub fn text(&mut self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.string()?).map_err(|_| Malformed::NotUtf8)
    }

    /// Everything that has not been read yet, without consuming it.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Ends the reading; anything left over is an error.
    pub fn finish(self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed::TrailingBytes { count: self.rest.len() }) }
    }
}

/// Appends SSH data types to a byte vector.
pub trait Put {
    /// Appends a `byte`.
    fn put_byte(&mut self, value: u8);
    /// Appends raw bytes without a length.
    fn put_raw(&mut self, bytes: &[u8]);

    /// Appends a `boolean`.
    fn put_boolean(&mut self, value: bool) {
        self.put_byte(u8::from(value));
    }
    /// Appends a `uint32`.
    fn put_uint32(&mut self, value: u32) {
        self.put_raw(&value.to_be_bytes());
    }
    /// Appends a `uint64`.
    fn put_uint64(&mut self, value: u64) {
        self.put_raw(&value.to_be_bytes());
    }
    /// Appends a `string`. Strings are bounded far below 4 GiB by the packets that carry them, so
    /// a length that does not fit is cut to what does.
    fn put_string(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.put_uint32(length);
        self.put_raw(bytes.get(..length as usize).unwrap_or(bytes));
    }
    /// Appends a `name-list`.
    fn put_names<'n>(&mut self, names: impl IntoIterator<Item = &'n str>) {
        let joined: Vec<&str> = names.into_iter().collect();
        self.put_string(joined.join(","));
    }
    /// Appends a non-negative `mpint` given as big-endian bytes with any number of leading zeros.
    fn put_mpint(&mut self, magnitude: &[u8]) {
        let first = magnitude.iter().position(|byte| *byte != 0).unwrap_or(magnitude.len());
        let digits = magnitude.get(first..).unwrap_or_default();
        // A set top bit would read as a negative number: RFC 4251 section 5 wants a zero before it.
        let pad = digits.first().is_some_and(|byte| byte & 0x80 != 0);
        self.put_uint32(u32::try_from(digits.len() + usize::from(pad)).unwrap_or(u32::MAX));
        if pad {
            self.put_byte(0);
        }
        self.put_raw(digits);
    }
}

impl Put for Vec<u8> {
    fn put_byte(&mut self, value: u8) {
        self.push(value);
    }
    fn put_raw(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mpint_examples_of_rfc_4251_section_5() {
        let cases: [(&[u8], &[u8]); 4] = [
            (&[], &[0, 0, 0, 0]),
            (&[0x09, 0xa3, 0x78], &[0, 0, 0, 3, 0x09, 0xa3, 0x78]),
            (&[0x80], &[0, 0, 0, 2, 0, 0x80]),
            (&[0, 0, 1], &[0, 0, 0, 1, 1]),
        ];
        for (magnitude, encoded) in cases {
            let mut out = Vec::new();
            out.put_mpint(magnitude);
            assert_eq!(out, encoded);
        }
    }

    #[test]
    fn a_string_longer_than_the_slice_is_truncated_input() {
        assert_eq!(Reader::new(&[0, 0, 0, 5, 1]).string(), Err(Malformed::Truncated));
        assert_eq!(Reader::new(&[0xff, 0xff, 0xff, 0xff]).string(), Err(Malformed::Truncated));
    }

    #[test]
    fn trailing_bytes_are_counted() {
        let mut reader = Reader::new(&[1, 2, 3]);
        assert_eq!(reader.byte(), Ok(1));
        assert_eq!(reader.finish(), Err(Malformed::TrailingBytes { count: 2 }));
    }
}
