//! The file format of Xauthority(5) as libXau reads it: records of a big-endian family and four counted strings.

/// One record: how to authenticate to one display. No Debug: it holds a secret.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// [`INTERNET`], [`INTERNET6`], [`LOCAL`], [`WILD`] or another that we only pass on.
    pub(crate) family: u16,
    /// Address bytes, or a host name for [`LOCAL`].
    pub(crate) address: Vec<u8>,
    /// Display number in decimal; empty stands for all.
    pub(crate) number: Vec<u8>,
    /// For example MIT-MAGIC-COOKIE-1.
    pub(crate) protocol: Vec<u8>,
    /// The secret.
    pub(crate) data: Vec<u8>,
}

/// FamilyInternet.
pub(crate) const INTERNET: u16 = 0;
/// FamilyInternet6.
pub(crate) const INTERNET6: u16 = 6;
/// FamilyLocal: this host, by its name.
pub(crate) const LOCAL: u16 = 256;
/// FamilyWild: matches any address.
pub(crate) const WILD: u16 = 65535;

/// Records up to the end or the first that is cut short.
pub(crate) fn parse(mut bytes: &[u8]) -> Vec<Entry> {
    let mut entries = Vec::new();
    while let Some((entry, rest)) = parse_entry(bytes) {
        entries.push(entry);
        bytes = rest;
    }
    entries
}

/// The file. Strings over 65535 bytes have no representation and are cut; ours are far shorter.
pub(crate) fn write(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        bytes.extend(entry.family.to_be_bytes());
        for string in [&entry.address, &entry.number, &entry.protocol, &entry.data] {
            let length = u16::try_from(string.len()).unwrap_or(u16::MAX);
            bytes.extend(length.to_be_bytes());
            bytes.extend(string.iter().take(usize::from(length)));
        }
    }
    bytes
}

fn parse_entry(bytes: &[u8]) -> Option<(Entry, &[u8])> {
    let (family, bytes) = bytes.split_first_chunk::<2>()?;
    let (address, bytes) = parse_string(bytes)?;
    let (number, bytes) = parse_string(bytes)?;
    let (protocol, bytes) = parse_string(bytes)?;
    let (data, bytes) = parse_string(bytes)?;
    Some((Entry { family: u16::from_be_bytes(*family), address, number, protocol, data }, bytes))
}

fn parse_string(bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let (length, bytes) = bytes.split_first_chunk::<2>()?;
    let (string, bytes) = bytes.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    Some((string.to_vec(), bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Written by `xauth -f F add 192.0.2.1:10 MIT-MAGIC-COOKIE-1 00112233445566778899aabbccddeeff`.
    const WRITTEN_BY_XAUTH: &[u8] =
        b"\0\0\0\x04\xc0\0\x02\x01\0\x0210\0\x12MIT-MAGIC-COOKIE-1\0\x10\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff";

    #[test]
    fn reads_and_writes_what_xauth_does() {
        let entries = parse(WRITTEN_BY_XAUTH);
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].family, INTERNET);
        assert_eq!(entries[0].address, [192, 0, 2, 1]);
        assert_eq!(entries[0].number, b"10");
        assert_eq!(entries[0].protocol, b"MIT-MAGIC-COOKIE-1");
        assert_eq!(write(&entries), WRITTEN_BY_XAUTH);
    }

    #[test]
    fn a_file_that_is_cut_short_keeps_its_whole_records() {
        let twice = [WRITTEN_BY_XAUTH, WRITTEN_BY_XAUTH].concat();
        for length in 0..=twice.len() {
            assert_eq!(parse(&twice[..length]).len(), length / WRITTEN_BY_XAUTH.len());
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_goes_round(bytes: Vec<u8>) {
            let written = write(&parse(&bytes));
            prop_assert!(bytes.starts_with(&written));
        }
    }
}
