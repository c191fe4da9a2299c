//! One file of settings as it is written.
//!
//! Must stay true: it is its owner's (or the administrator's) and nobody else can write it: it names programs that run.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A longer file is no file of settings.
const LONGEST: u64 = 1024 * 1024;

/// Why the settings of a host are not known.
#[derive(Debug, thiserror::Error)]
pub enum HostSettingsError {
    /// The file is there and cannot be read.
    #[error("cannot read the settings in {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody else could have written it.
    #[error(
        "the settings in {} are not used: {reason}\nhint: ls -l {}; chown and chmod 600 it if they are yours",
        path.display(),
        path.display()
    )]
    Unsafe {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// It says something that is not known.
    #[error("{}, line {line}: {message}\nhint: correct that line; docs/clusters.md lists the settings", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong there.
        message: String,
    },
}

/// A whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Whole {
    /// For all hosts.
    pub(super) default: Section,
    /// For one, by the name after `ssh` or its address.
    pub(super) host: BTreeMap<String, Section>,
}

/// What it says of a host.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Section {
    pub(super) program: Option<Program>,
    pub(super) authentication_script: Option<Absolute>,
    /// Seconds.
    pub(super) script_timeout: Option<u32>,
    pub(super) when_ready: Option<bool>,
    /// Seconds.
    pub(super) wait: Option<u32>,
    pub(super) page: Option<bool>,
    pub(super) kerberos: Option<Principal>,
    pub(super) multiplex: Option<Allowed>,
    pub(super) totp: Option<Allowed>,
}

/// Whether something may be done.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Allowed {
    Allowed,
    Never,
}

impl Allowed {
    pub(super) fn is_never(self) -> bool {
        matches!(self, Self::Never)
    }
}

/// A program: a name of a known one, or a path.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Program(pub(super) String);

impl TryFrom<String> for Program {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.as_str() {
            "ssh" | "gsissh" => Ok(Self(text)),
            path if path.starts_with('/') => Ok(Self(text)),
            _ => Err("the program is \"ssh\", \"gsissh\" or an absolute path"),
        }
    }
}

/// A Kerberos principal.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Principal(pub(super) String);

impl TryFrom<String> for Principal {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_plain = |c: char| !c.is_control() && !c.is_whitespace();
        let has_parts =
            text.split_once('@').is_some_and(|(name, realm)| !name.is_empty() && !realm.is_empty());
        let is_one = has_parts && !text.starts_with('-') && text.chars().all(is_plain);
        if is_one { Ok(Self(text)) } else { Err("a Kerberos principal is written name@REALM") }
    }
}

/// A path that does not depend on where a process is.
#[derive(Debug, Deserialize)]
#[serde(try_from = "PathBuf")]
pub(super) struct Absolute(pub(super) PathBuf);

impl TryFrom<PathBuf> for Absolute {
    type Error = &'static str;

    fn try_from(path: PathBuf) -> Result<Self, Self::Error> {
        if path.is_absolute() { Ok(Self(path)) } else { Err("this has to be an absolute path") }
    }
}

impl Whole {
    /// Reads a file; `None` when there is none.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, HostSettingsError> {
        let io = |source| HostSettingsError::Io { path: path.to_owned(), source };
        let file = match std::fs::File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(io)?,
        };
        let found = file.metadata().map_err(io)?;
        let unsafe_because = |reason| HostSettingsError::Unsafe { path: path.to_owned(), reason };
        let user = rustix::process::geteuid().as_raw();
        if found.uid() != user && found.uid() != 0 {
            return Err(unsafe_because("they belong to another user"));
        }
        if found.mode() & 0o022 != 0 {
            return Err(unsafe_because("others can write them"));
        }
        let mut text = String::new();
        file.take(LONGEST).read_to_string(&mut text).map_err(io)?;
        Self::parse(path, &text).map(Some)
    }

    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, HostSettingsError> {
        toml::from_str(text).map_err(|error: toml::de::Error| {
            let until = error.span().map_or(0, |span| span.start);
            let line = 1 + text.bytes().take(until).filter(|byte| *byte == b'\n').count();
            HostSettingsError::Malformed {
                path: path.to_owned(),
                line,
                message: error.message().lines().collect::<Vec<_>>().join(" "),
            }
        })
    }
}
