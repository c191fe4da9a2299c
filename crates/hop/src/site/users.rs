//! Who the site's processes run as.

use super::settings::UserRange;
use crate::error::{CommandError, ErrorKind};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Numbers below the projects': one for each process that is not root's, and room for more.
const OF_THE_SITE: u32 = 16;

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
    pub(crate) fn choose(range: UserRange) -> Result<Self, CommandError> {
        let uid = rustix::process::geteuid().as_raw();
        if uid != 0 {
            return Ok(Self::Ourselves { uid });
        }
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
        Ok(Self::Separate {
            site: range.first,
            signer: range.first + 1,
            projects: range.first + OF_THE_SITE..end,
        })
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
