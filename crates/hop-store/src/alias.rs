//! Aliases of projects: short names, one namespace for the whole site, and what a project may be called by.

use crate::id::ProjectId;
use crate::stored::StoredText;

const LEAST: usize = 3;
const MOST: usize = 32;

/// Names that are doors of the gateway, or that people would take for the site itself or its staff.
const RESERVED: &[&str] = &[
    "admin",
    "administrator",
    "anonymous",
    "api",
    "gateway",
    "git",
    "guest",
    "hop",
    "hostmaster",
    "jump",
    "localhost",
    "nobody",
    "operator",
    "portal",
    "postmaster",
    "root",
    "rsync",
    "scp",
    "security",
    "sftp",
    "site",
    "ssh",
    "sshd",
    "status",
    "sudo",
    "support",
    "system",
    "webmaster",
    "www",
];

/// A project's alias: 3 to 32 of `a-z 0-9 -`, the first a letter, the last not a hyphen. So it is never an id, an
/// address or an option, and always a host name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Alias(String);

/// Why a text is not taken as an alias.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AliasTextError {
    /// Not 3 to 32 characters.
    #[error("an alias has {LEAST} to {MOST} characters, this one has {length}")]
    Length {
        /// Its length in characters.
        length: usize,
    },
    /// A character that aliases do not have, or not there.
    #[error(
        "an alias has lower-case letters, digits and hyphens, begins with a letter and does not end with a hyphen"
    )]
    Character,
    /// It would be taken for an id.
    #[error("32 hexadecimal digits are a project's id, not an alias")]
    Id,
    /// It means something else here.
    #[error("{alias} is reserved")]
    Reserved {
        /// The reserved word.
        alias: String,
    },
}

/// What a login names as its project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ProjectName {
    Id(ProjectId),
    Alias(Alias),
}

impl Alias {
    /// Takes an alias as it is.
    pub fn parse(text: &str) -> Result<Self, AliasTextError> {
        let length = text.chars().count();
        if !(LEAST..=MOST).contains(&length) {
            return Err(AliasTextError::Length { length });
        }
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !text.starts_with(|c: char| c.is_ascii_lowercase())
            || text.ends_with('-')
            || !text.chars().all(plain)
        {
            return Err(AliasTextError::Character);
        }
        if ProjectId::parse(text).is_some() {
            return Err(AliasTextError::Id);
        }
        if RESERVED.contains(&text) {
            return Err(AliasTextError::Reserved { alias: text.to_owned() });
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Alias {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl StoredText for Alias {
    fn to_stored(&self) -> String {
        self.0.clone()
    }

    /// A word that became reserved later stays whose it was.
    fn from_stored(text: &str) -> Option<Self> {
        match Self::parse(text) {
            Ok(alias) => Some(alias),
            Err(AliasTextError::Reserved { alias }) => Some(Self(alias)),
            Err(_) => None,
        }
    }
}

impl ProjectName {
    /// An id in either form, or an alias; `None` for what no project can be called.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match ProjectId::parse(text) {
            Some(id) => Some(Self::Id(id)),
            None => Alias::from_stored(text).map(Self::Alias),
        }
    }

    /// The two parameters of a query by name: the id and the alias, of which one is empty, or both, and matches nothing.
    /// So whatever is asked for, the query is the same.
    pub(crate) fn columns(text: &str) -> (String, String) {
        match Self::parse(text) {
            Some(Self::Id(id)) => (id.to_string(), String::new()),
            Some(Self::Alias(alias)) => (String::new(), alias.0),
            None => (String::new(), String::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases() {
        for good in ["abc", "climate-2", "a1b", &"x".repeat(32), "deadbeefdeadbeefdeadbeefdeadbee"] {
            assert_eq!(Alias::parse(good).unwrap().as_str(), good);
        }
        let reserved = |alias: &str| AliasTextError::Reserved { alias: alias.to_owned() };
        let cases = [
            ("ab", AliasTextError::Length { length: 2 }),
            (&"x".repeat(33), AliasTextError::Length { length: 33 }),
            ("Abc", AliasTextError::Character),
            ("1abc", AliasTextError::Character),
            ("-abc", AliasTextError::Character),
            ("abc-", AliasTextError::Character),
            ("a.b.c", AliasTextError::Character),
            ("a_bc", AliasTextError::Character),
            ("äbc", AliasTextError::Character),
            ("abc\n", AliasTextError::Character),
            ("deadbeefdeadbeefdeadbeefdeadbeef", AliasTextError::Id),
            ("jump", reserved("jump")),
            ("ssh", reserved("ssh")),
            ("git", reserved("git")),
            ("root", reserved("root")),
            ("admin", reserved("admin")),
        ];
        for (text, wanted) in cases {
            assert_eq!(Alias::parse(text), Err(wanted), "{text:?}");
        }
    }

    #[test]
    fn names_of_projects() {
        let id = "0123456789abcdef0123456789abcdef";
        assert_eq!(ProjectName::columns(id), (id.to_owned(), String::new()));
        assert_eq!(
            ProjectName::columns("01234567-89AB-cdef-0123-456789abcdef"),
            (id.to_owned(), String::new())
        );
        assert_eq!(ProjectName::columns("climate"), (String::new(), "climate".to_owned()));
        for nothing in ["", "jump ", "x", "' OR 1=1 --", "CLIMATE"] {
            assert_eq!(ProjectName::columns(nothing), (String::new(), String::new()), "{nothing}");
        }
    }

    proptest::proptest! {
        #[test]
        fn parse_never_panics(text in ".{0,40}") {
            let _ = (Alias::parse(&text), ProjectName::columns(&text));
        }
    }
}
