//! Which project is meant: by id outside, by directory and uid once the keeper has found its home.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// The length of a project's id, in hexadecimal digits.
const DIGITS: usize = 32;

/// A project's id: exactly 32 lower-case hexadecimal digits. It becomes part of paths, so nothing else is ever
/// taken for one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProjectKey(String);

/// Something else than a project's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a project's id: it has exactly 32 lower-case hexadecimal digits")]
pub struct ProjectKeyError;

impl ProjectKey {
    /// Reads an id in its only form.
    pub fn parse(text: &str) -> Result<Self, ProjectKeyError> {
        let digits = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if text.len() == DIGITS && digits { Ok(Self(text.to_owned())) } else { Err(ProjectKeyError) }
    }

    /// The 32 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ProjectKey {
    type Error = ProjectKeyError;

    fn try_from(text: String) -> Result<Self, ProjectKeyError> {
        Self::parse(&text)
    }
}

impl From<ProjectKey> for String {
    fn from(key: ProjectKey) -> Self {
        key.0
    }
}

/// The user and group that a project's processes run as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunAs {
    /// Never 0.
    pub uid: u32,
    /// Never 0.
    pub gid: u32,
}

/// A project, as far as its processes are concerned.
#[derive(Clone, Debug)]
pub(crate) struct Project {
    pub(crate) key: ProjectKey,
    /// The user name inside.
    pub(crate) user: String,
    /// The project's files; becomes the home directory.
    pub(crate) home: PathBuf,
    /// Who its processes are.
    pub(crate) run_as: RunAs,
}

impl Project {
    /// The host name inside: short enough for a prompt.
    pub(crate) fn host_name(&self) -> &str {
        self.key.as_str().get(..12).unwrap_or("project")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_form_is_an_id() {
        let good = "017f22e279b07cc398c4dc0c0c07398f";
        assert_eq!(ProjectKey::parse(good).unwrap().as_str(), good);
        let long = format!("{good}0");
        for bad in [
            "",
            "..",
            "../../../../../../../../etc/passwd",
            &good[1..],
            &long,
            &good.to_uppercase(),
            "017f22e279b07cc398c4dc0c0c07398/",
        ] {
            assert_eq!(ProjectKey::parse(bad), Err(ProjectKeyError), "{bad}");
            assert!(serde_json::from_value::<ProjectKey>(bad.into()).is_err(), "{bad}");
        }
    }
}
