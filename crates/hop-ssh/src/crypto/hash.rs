//! The hash of a key exchange method, and the key derivation of RFC 4253 section 7.2 on it.

use aws_lc_rs::digest;
use zeroize::Zeroizing;

/// A hash function named by a key exchange method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    fn algorithm(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        }
    }

    /// The hash of the parts, one after the other.
    pub(crate) fn of(self, parts: &[&[u8]]) -> Vec<u8> {
        let mut context = digest::Context::new(self.algorithm());
        for part in parts {
            context.update(part);
        }
        context.finish().as_ref().to_vec()
    }

    /// Derives `length` bytes of key material for `letter` (RFC 4253 section 7.2). `shared` is the
    /// shared secret *as encoded in the exchange hash* (an mpint or a string with its length).
    pub(crate) fn derive(
        self,
        shared: &[u8],
        exchange_hash: &[u8],
        letter: u8,
        session_id: &[u8],
        length: usize,
    ) -> Zeroizing<Vec<u8>> {
        let mut key = Zeroizing::new(self.of(&[shared, exchange_hash, &[letter], session_id]));
        while key.len() < length {
            let more = Zeroizing::new(self.of(&[shared, exchange_hash, &key]));
            key.extend_from_slice(&more);
        }
        key.truncate(length);
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_keys_extend_shorter_ones() {
        let short = Hash::Sha256.derive(b"k", b"h", b'A', b"s", 16);
        let long = Hash::Sha256.derive(b"k", b"h", b'A', b"s", 64);
        assert_eq!(short[..], long[..16]);
        let first = Hash::Sha256.of(&[b"k", b"h", b"A", b"s"]);
        assert_eq!(long[32..], Hash::Sha256.of(&[b"k", b"h", &first])[..]);
    }
}
