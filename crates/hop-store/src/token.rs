//! Tokens: secrets that we hand out and later recognise. The store keeps only their hash, so that a copy of it opens
//! nothing.

use sha2::{Digest as _, Sha256};

use crate::hex;
use crate::stored::StoredText;

/// A secret of 256 random bits: a sign-in link's, an invitation's, a web session's.
#[derive(Clone, PartialEq, Eq)]
pub struct Token([u8; 32]);

/// SHA-256 of a token, as stored. A token is random in all its bits, so a slow hash would add nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenHash([u8; 32]);

impl Token {
    /// A token from random bytes.
    pub const fn from_bytes(random: [u8; 32]) -> Self {
        Self(random)
    }

    /// Reads the 64 digits of [`Token::expose_secret`]; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        hex::decode(text).map(Self)
    }

    /// The secret itself, for the link or cookie that carries it.
    pub fn expose_secret(&self) -> String {
        hex::encode(&self.0)
    }

    /// What the store keeps of it.
    pub fn hash(&self) -> TokenHash {
        TokenHash(Sha256::digest(self.0).into())
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

impl std::fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenHash")
    }
}

impl StoredText for TokenHash {
    fn to_stored(&self) -> String {
        hex::encode(&self.0)
    }

    fn from_stored(text: &str) -> Option<Self> {
        hex::decode(text).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_written_and_not_shown() {
        let token = Token::from_bytes([0xab; 32]);
        assert_eq!(Token::parse(&token.expose_secret()), Some(token.clone()));
        assert_eq!(Token::parse(&"ab".repeat(31)), None);
        assert_eq!(format!("{token:?} {:?}", token.hash()), "Token TokenHash");
        let hash = "9a2db2e23f1504cd056606553ac049c5e718e8f9ce9233876df1a7a1821af885";
        assert_eq!(token.hash().to_stored(), hash);
    }
}
