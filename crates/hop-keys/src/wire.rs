//! SSH's data types (RFC 4251 section 5) as a bounded reader over received bytes and a writer.
//!
//! What must stay true: nothing is copied before its length was checked against the bytes that are there, and
//! every value has exactly one accepted encoding.

/// Why bytes are not the SSH structure that they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The data ends before the field does.
    #[error("the data ends inside the {field}")]
    Truncated {
        /// Which field was being read.
        field: &'static str,
    },
    /// Bytes are left where the structure is complete.
    #[error("{count} unexpected bytes follow the {field}")]
    Trailing {
        /// The structure that is complete.
        field: &'static str,
        /// How many bytes are left.
        count: usize,
    },
    /// A multiple precision integer is zero, negative or padded.
    #[error("the {field} is not a positive integer in its shortest form")]
    Integer {
        /// Which field was being read.
        field: &'static str,
    },
    /// A text field is not UTF-8, or has a NUL inside.
    #[error("the {field} is not UTF-8 text")]
    Text {
        /// Which field was being read.
        field: &'static str,
    },
}

/// Reads SSH data types off the front of a slice.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// What has not been read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn raw(&mut self, count: usize, field: &'static str) -> Result<&'a [u8], WireError> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or(WireError::Truncated { field })?;
        self.rest = rest;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], WireError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(WireError::Truncated { field })?;
        self.rest = rest;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self, field: &'static str) -> Result<u8, WireError> {
        Ok(u8::from_be_bytes(self.array(field)?))
    }

    pub(crate) fn u32(&mut self, field: &'static str) -> Result<u32, WireError> {
        Ok(u32::from_be_bytes(self.array(field)?))
    }

    pub(crate) fn u64(&mut self, field: &'static str) -> Result<u64, WireError> {
        Ok(u64::from_be_bytes(self.array(field)?))
    }

    pub(crate) fn string(&mut self, field: &'static str) -> Result<&'a [u8], WireError> {
        let length = self.u32(field)?;
        let length = usize::try_from(length).map_err(|_| WireError::Truncated { field })?;
        self.raw(length, field)
    }

    /// A string that people read. A NUL inside is refused as OpenSSH does, which stores such fields as C
    /// strings.
    pub(crate) fn text(&mut self, field: &'static str) -> Result<&'a str, WireError> {
        let bytes = self.string(field)?;
        match std::str::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => Ok(text),
            _ => Err(WireError::Text { field }),
        }
    }

    /// A positive `mpint` as big-endian bytes without leading zeros.
    pub(crate) fn positive(&mut self, field: &'static str) -> Result<&'a [u8], WireError> {
        match self.string(field)? {
            [0, high, ..] if *high < 0x80 => Err(WireError::Integer { field }),
            [0, magnitude @ ..] if !magnitude.is_empty() => Ok(magnitude),
            magnitude @ [1..=0x7f, ..] => Ok(magnitude),
            _ => Err(WireError::Integer { field }),
        }
    }

    /// Ends the reading of `field`, which must have been the last.
    pub(crate) fn finish(self, field: &'static str) -> Result<(), WireError> {
        match self.rest.len() {
            0 => Ok(()),
            count => Err(WireError::Trailing { field, count }),
        }
    }
}

/// Appends SSH data types to a buffer.
pub(crate) trait Put {
    fn put_u32(&mut self, value: u32);
    fn put_u64(&mut self, value: u64);
    fn put_string(&mut self, bytes: &[u8]);
    /// A positive `mpint` from its big-endian bytes; leading zeros are dropped.
    fn put_positive(&mut self, magnitude: &[u8]);
}

impl Put for Vec<u8> {
    fn put_u32(&mut self, value: u32) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn put_u64(&mut self, value: u64) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn put_string(&mut self, bytes: &[u8]) {
        // Everything written here was bounded when it was read or built, far below 4 GiB.
        self.put_u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        self.extend_from_slice(bytes);
    }

    fn put_positive(&mut self, magnitude: &[u8]) {
        let magnitude = without_leading_zeros(magnitude);
        let padded = magnitude.first().is_some_and(|high| *high >= 0x80);
        self.put_u32(u32::try_from(magnitude.len() + usize::from(padded)).unwrap_or(u32::MAX));
        if padded {
            self.push(0);
        }
        self.extend_from_slice(magnitude);
    }
}

/// The shortest form of a big-endian number.
pub(crate) fn without_leading_zeros(mut bytes: &[u8]) -> &[u8] {
    while let [0, rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

/// Bytes from a peer as text fit for a message: printable ASCII as it is, the rest escaped, cut at 64 bytes.
pub(crate) fn printable(bytes: &[u8]) -> String {
    const LIMIT: usize = 64;
    let shown = bytes.get(..LIMIT).unwrap_or(bytes);
    let cut = if shown.len() < bytes.len() { "..." } else { "" };
    format!("{}{cut}", shown.escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_have_one_encoding() {
        let table: &[(&[u8], Option<&[u8]>)] = &[
            (b"\0\0\0\0", None),
            (b"\0\0\0\x01\0", None),
            (b"\0\0\0\x01\x01", Some(b"\x01")),
            (b"\0\0\0\x01\x80", None),
            (b"\0\0\0\x02\0\x80", Some(b"\x80")),
            (b"\0\0\0\x02\0\x7f", None),
            (b"\0\0\0\x03\0\0\x80", None),
        ];
        for (bytes, expected) in table {
            let got = Reader::new(bytes).positive("number").ok();
            assert_eq!(got, *expected, "{bytes:?}");
            if let Some(magnitude) = got {
                let mut back = Vec::new();
                back.put_positive(magnitude);
                assert_eq!(back, *bytes);
            }
        }
    }

    #[test]
    fn lengths_are_checked_before_anything_else() {
        assert_eq!(
            Reader::new(b"\xff\xff\xff\xffab").string("name"),
            Err(WireError::Truncated { field: "name" })
        );
        assert_eq!(Reader::new(b"\0\0").u32("count"), Err(WireError::Truncated { field: "count" }));
        assert_eq!(Reader::new(b"x").finish("thing"), Err(WireError::Trailing { field: "thing", count: 1 }));
        assert_eq!(Reader::new(b"\0\0\0\x02a\0").text("id"), Err(WireError::Text { field: "id" }));
    }

    #[test]
    fn messages_stay_printable() {
        assert_eq!(printable(b"a\nb\xff"), "a\\nb\\xff");
        assert!(printable(&[b'x'; 1000]).len() < 70);
    }
}
