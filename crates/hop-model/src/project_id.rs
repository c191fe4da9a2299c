//! The id of a project: 128 bits, written as 32 lower-case hexadecimal digits.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A project's id. It serves as a user name at the gateway, with or without the hyphens of a UUID.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProjectId(u128);

/// Not 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a project id is 32 hexadecimal digits, with or without the hyphens of a UUID")]
pub struct NotAProjectId;

impl ProjectId {
    /// The id with these bits; the caller draws them by chance.
    pub const fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    /// Reads 32 hexadecimal digits, or the same with hyphens as 8-4-4-4-12. Upper case is accepted, since
    /// people copy ids from elsewhere.
    pub fn parse(text: &str) -> Result<Self, NotAProjectId> {
        let digits: String = match text.len() {
            32 => text.to_owned(),
            36 => {
                let groups: Vec<&str> = text.split('-').collect();
                if groups.iter().map(|group| group.len()).ne([8, 4, 4, 4, 12]) {
                    return Err(NotAProjectId);
                }
                groups.concat()
            }
            _ => return Err(NotAProjectId),
        };
        // from_str_radix alone would take a sign.
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(NotAProjectId);
        }
        u128::from_str_radix(&digits, 16).map(Self).map_err(|_| NotAProjectId)
    }
}

impl fmt::Display for ProjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for ProjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for ProjectId {
    type Error = NotAProjectId;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<ProjectId> for String {
    fn from(id: ProjectId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_as_people_write_them() {
        let id = ProjectId::from_bits(0x00ff_0000_0000_0000_0000_0000_0000_0001);
        assert_eq!(id.to_string(), "00ff0000000000000000000000000001");
        for text in [
            "00ff0000000000000000000000000001",
            "00FF0000000000000000000000000001",
            "00ff0000-0000-0000-0000-000000000001",
        ] {
            assert_eq!(ProjectId::parse(text), Ok(id));
        }
        for wrong in [
            "",
            "jump",
            "0ff0000000000000000000000000001",
            "+0ff0000000000000000000000000001",
            "00ff000000000000000000000000000g",
            "00ff00000-000-0000-0000-000000000001",
            "00ff0000000000000000000000000001\n",
        ] {
            assert_eq!(ProjectId::parse(wrong), Err(NotAProjectId), "{wrong}");
        }
    }
}
