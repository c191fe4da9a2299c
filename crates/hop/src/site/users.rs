//! Who the site's processes run as.

use super::settings::{Settings, UserRange};
use crate::error::{CommandError, ErrorKind};
use serde::{Deserialize, Serialize};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Numbers below the projects': one for each process that is not root's, and room for more.
const OF_THE_SITE: u32 = 16;
/// Where sites draw their users from: between what systemd gives to containers and the end of the signed numbers,
/// where nobody else allots.
const FIRST_BLOCK: u32 = 1_879_048_192;
/// Users of one site.
const BLOCK: u32 = 65_536;
/// How many blocks there are.
const BLOCKS: u32 = 4096;

/// The users of a site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Users {
    /// A person started it: everything is that person.
    Ourselves {
        /// The person.
        uid: u32,
    },
    /// Root started it: each process and each project is somebody else.
    Separate {
        /// Gateway and pages.
        site: u32,
        /// CA keys.
        signer: u32,
        /// One for each project.
        projects: Range<u32>,
    },
}

impl Users {
    /// By who we are.
    pub(crate) fn choose(settings: &Settings) -> Result<Self, CommandError> {
        let uid = rustix::process::geteuid().as_raw();
        if uid != 0 {
            return Ok(Self::Ourselves { uid });
        }
        match settings.users {
            Some(range) => Self::separate(range),
            None => Self::separate(kept_range(&settings.data)?),
        }
    }

    fn separate(range: UserRange) -> Result<Self, CommandError> {
        let wrong = |why: &str| {
            CommandError::new(
                ErrorKind::Config,
                format!(
                    "the users of the site cannot be {} numbers from {} on: {why}",
                    range.count, range.first
                ),
            )
            .hint("[users] first and count in the settings")
        };
        let end = range.first.checked_add(range.count).ok_or_else(|| wrong("there are not so many"))?;
        if range.first < 1000 {
            return Err(wrong("those below 1000 belong to the system"));
        }
        if range.count <= OF_THE_SITE {
            return Err(wrong("the first 16 are for the site itself"));
        }
        let (site, signer) = (range.first, range.first + 1);
        Ok(Self::Separate { site, signer, projects: range.first + OF_THE_SITE..end })
    }

    /// The user of gateway and pages.
    pub(crate) fn site(&self) -> u32 {
        match self {
            Self::Ourselves { uid } => *uid,
            Self::Separate { site, .. } => *site,
        }
    }

    /// The user of the signer.
    pub(crate) fn signer(&self) -> u32 {
        match self {
            Self::Ourselves { uid } => *uid,
            Self::Separate { signer, .. } => *signer,
        }
    }

    /// The users of projects, when they are not ourselves.
    pub(crate) fn projects(&self) -> Option<Range<u32>> {
        match self {
            Self::Ourselves { .. } => None,
            Self::Separate { projects, .. } => Some(projects.clone()),
        }
    }
}

/// The users that this site drew at its first start. Two sites on one machine must not share any.
fn kept_range(data: &Path) -> Result<UserRange, CommandError> {
    let path = data.join("users.json");
    let cannot = |what: &str, error: &dyn std::fmt::Display| {
        CommandError::new(ErrorKind::Config, format!("cannot {what} {}: {error}", path.display()))
            .hint("it says which users the site's projects are; [users] in the settings says it, too")
    };
    match std::fs::read(&path) {
        Ok(text) => return serde_json::from_slice(&text).map_err(|error| cannot("use", &error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(cannot("read", &error)),
    }
    let [a, b, ..] = super::records::random();
    let block = u32::from(u16::from_be_bytes([a, b])) % BLOCKS;
    let range = UserRange { first: FIRST_BLOCK + block * BLOCK, count: BLOCK };
    let text = serde_json::to_vec(&range).map_err(|error| cannot("write", &error))?;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o711)
        .create(data)
        .map_err(|error| cannot("write", &error))?;
    let written = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    written.and_then(|mut file| file.write_all(&text)).map_err(|error| cannot("write", &error))?;
    Ok(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_that_were_drawn_are_kept() {
        let data = tempfile::tempdir().unwrap();
        let drawn = kept_range(data.path()).unwrap();
        assert_eq!(kept_range(data.path()).unwrap(), drawn);
        assert!(drawn.first >= FIRST_BLOCK && drawn.first.checked_add(drawn.count).is_some());
        std::fs::write(data.path().join("users.json"), "{}").unwrap();
        assert!(kept_range(data.path()).unwrap_err().message().contains("users.json"));
    }

    #[test]
    fn ranges_that_are_not_taken() {
        for (first, count) in [(0, 100), (999, 100), (5000, 16), (u32::MAX, 2)] {
            assert!(Users::separate(UserRange { first, count }).is_err(), "{first} {count}");
        }
        let users = Users::separate(UserRange { first: 5000, count: 17 }).unwrap();
        assert_eq!((users.site(), users.signer(), users.projects()), (5000, 5001, Some(5016..5017)));
    }
}
