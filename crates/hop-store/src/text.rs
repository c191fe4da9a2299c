//! Text that people choose: titles and names. One line, no control characters, and nothing that would make a reader
//! see other letters than there are.

use crate::stored::StoredText;

/// The longest title, in characters.
const TITLE_MOST: usize = 100;
/// The longest account name, in characters.
const NAME_MOST: usize = 64;

/// The title of a key, a project or an invitation: 1 to 100 characters on one line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Title(String);

/// The name of an account: 1 to 64 of `a-z 0-9 . _ - @ +`, the first a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AccountName(String);

/// Why a text is not taken as a title.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TitleError {
    /// Nothing but spaces.
    #[error("a title cannot be empty")]
    Empty,
    /// Too long.
    #[error("a title has at most {TITLE_MOST} characters, this one has {length}")]
    Long {
        /// Its length in characters.
        length: usize,
    },
    /// A character that has no place on one visible line.
    #[error("a title cannot have the character U+{:04X}", u32::from(*.character))]
    Character {
        /// The first such character.
        character: char,
    },
}

/// Why a text is not taken as an account's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountNameError {
    /// Not 1 to 64 characters.
    #[error("an account's name has 1 to {NAME_MOST} characters, this one has {length}")]
    Length {
        /// Its length in characters.
        length: usize,
    },
    /// A character that names do not have, or not as their first.
    #[error(
        "an account's name has lower-case letters, digits and `. _ - @ +`, and begins with a letter or digit"
    )]
    Character,
}

impl Title {
    /// Takes a title, without the spaces around it.
    pub fn parse(text: &str) -> Result<Self, TitleError> {
        let text = text.trim();
        let length = text.chars().count();
        if length == 0 {
            return Err(TitleError::Empty);
        }
        if length > TITLE_MOST {
            return Err(TitleError::Long { length });
        }
        match text.chars().find(|c| is_unprintable(*c)) {
            Some(character) => Err(TitleError::Character { character }),
            None => Ok(Self(text.to_owned())),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AccountName {
    /// Takes a name as it is.
    pub fn parse(text: &str) -> Result<Self, AccountNameError> {
        let length = text.chars().count();
        if length == 0 || length > NAME_MOST {
            return Err(AccountNameError::Length { length });
        }
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        if text.starts_with(plain) && text.chars().all(|c| plain(c) || "._-@+".contains(c)) {
            Ok(Self(text.to_owned()))
        } else {
            Err(AccountNameError::Character)
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Title {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::fmt::Display for AccountName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl StoredText for Title {
    fn to_stored(&self) -> String {
        self.0.clone()
    }

    fn from_stored(text: &str) -> Option<Self> {
        Self::parse(text).ok()
    }
}

impl StoredText for AccountName {
    fn to_stored(&self) -> String {
        self.0.clone()
    }

    fn from_stored(text: &str) -> Option<Self> {
        Self::parse(text).ok()
    }
}

/// What a peer said of itself, for a record: unprintable characters become spaces, the rest is cut at `most`
/// characters.
pub(crate) fn shown(text: &str, most: usize) -> String {
    text.chars().take(most).map(|c| if is_unprintable(c) { ' ' } else { c }).collect()
}

/// Control characters, line breaks, and marks that reorder the text around them.
fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles() {
        assert_eq!(Title::parse("  laptop (blue) ").unwrap().as_str(), "laptop (blue)");
        assert_eq!(Title::parse("Gerät 🔑").unwrap().as_str(), "Gerät 🔑");
        assert_eq!(Title::parse(&"ä".repeat(100)).unwrap().as_str().chars().count(), 100);
        let cases = [
            ("", TitleError::Empty),
            (" \n ", TitleError::Empty),
            (&"x".repeat(101), TitleError::Long { length: 101 }),
            ("a\nb", TitleError::Character { character: '\n' }),
            ("a\0b", TitleError::Character { character: '\0' }),
            ("a\u{202e}b", TitleError::Character { character: '\u{202e}' }),
        ];
        for (text, wanted) in cases {
            assert_eq!(Title::parse(text), Err(wanted), "{text:?}");
        }
    }

    #[test]
    fn account_names() {
        for good in ["a", "admin", "ada.lovelace+x@example.org", "0-1_2", &"x".repeat(64)] {
            assert_eq!(AccountName::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "Admin", "-a", ".a", "a b", "a/b", "ädmin", "a\n", &"x".repeat(65)] {
            assert!(AccountName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_a_peer_says_is_made_harmless() {
        assert_eq!(shown("Mozilla\r\n\0\u{202e}x", 100), "Mozilla    x");
        assert_eq!(shown("äöü", 2), "äö");
    }
}
