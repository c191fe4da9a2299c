//! What is remembered of a server on this machine: everything but the token, which is among the secrets.
//!
//! One file for each, replaced whole; when it was last used is the time of an empty file beside it.

use crate::address::HubAddress;
use hop_link::Target;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const VERSION: u32 = 1;
/// A record is shorter than this, in bytes.
const LARGEST: u64 = 256 * 1024;

/// A server that `ssh` knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    version: u32,
    /// What stands after `ssh`.
    pub alias: String,
    /// The Hub.
    pub hub: HubAddress,
    /// Whose server it is.
    pub user: String,
    /// Its name; empty for the first one.
    pub server: String,
    /// Where its SSH is.
    pub url: String,
    /// What the start form was answered with.
    pub options: Option<Value>,
    /// When the token ends, if that is known.
    pub token_end: Option<Timestamp>,
    /// How long a token that is made here lives, in seconds.
    pub lifetime: u64,
    /// What the token is called at the Hub.
    pub token_id: Option<String>,
    /// Whether the token may make its successor.
    pub renews: bool,
    /// Fingerprints of the keys that were installed there.
    pub keys: Vec<String>,
    /// When they end there ([`Record::end_for_keys`] as they were put).
    pub keys_end: Option<Timestamp>,
    /// The file with the public keys, if they came from one.
    pub key_file: Option<PathBuf>,
    /// CA certificates to trust beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Nothing serves SSH there: it goes through a terminal of the server.
    #[serde(default)]
    pub through_terminal: bool,
}

/// The records of a person.
#[derive(Clone, Debug)]
pub struct Records {
    folder: PathBuf,
}

/// Why a record cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// A file.
    #[error("cannot {doing} {}: {source}", path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is none of ours.
    #[error("{} is no record of a Jupyter server, or one of a newer hop", path.display())]
    Format {
        /// The file.
        path: PathBuf,
    },
}

impl Record {
    /// One of which nothing more is known.
    pub fn new(alias: String, hub: HubAddress, user: String, server: String) -> Self {
        Self {
            version: VERSION,
            alias,
            hub,
            user,
            server,
            url: String::new(),
            options: None,
            token_end: None,
            lifetime: 0,
            token_id: None,
            renews: false,
            keys: Vec::new(),
            keys_end: None,
            key_file: None,
            ca_file: None,
            through_terminal: false,
        }
    }

    /// When keys over there are to end: with the token. Where its end is unknown, after the time that tokens live, and
    /// anew when half of that is over.
    pub fn end_for_keys(&self, now: Timestamp) -> Option<Timestamp> {
        if self.token_end.is_some() || self.lifetime == 0 {
            return self.token_end;
        }
        let after = |seconds: u64| now.checked_add(std::time::Duration::from_secs(seconds)).ok();
        let is_far = |end: &Timestamp| after(self.lifetime / 2).is_some_and(|half| *end > half);
        self.keys_end.filter(is_far).or_else(|| after(self.lifetime))
    }

    /// What the token is called among the secrets.
    pub fn label(&self) -> String {
        self.hub.label(&self.user)
    }
}

impl Records {
    /// Those of a folder.
    pub fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// All, by their names. None that cannot be read is passed over.
    pub fn list(&self) -> Result<Vec<Record>, RecordError> {
        let entries = match std::fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed("read", &self.folder))?,
        };
        let mut records = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed("read", &self.folder))?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                records.push(read(&path)?);
            }
        }
        records.sort_by(|a, b| a.alias.cmp(&b.alias));
        Ok(records)
    }

    /// The one with this name.
    pub fn find(&self, alias: &str) -> Result<Option<Record>, RecordError> {
        Ok(self.list()?.into_iter().find(|record| record.alias == alias))
    }

    /// The one whose SSH is at a URL, or another with the same token: it is a person's, at a Hub.
    pub fn find_by_target(
        &self,
        target: &Target,
        label: Option<&str>,
    ) -> Result<Option<Record>, RecordError> {
        let records = self.list()?;
        let is_there = |record: &&Record| Target::parse(&record.url).is_ok_and(|there| there == *target);
        let has_token = |record: &&Record| Some(record.label().as_str()) == label;
        Ok(records.iter().find(is_there).or_else(|| records.iter().find(has_token)).cloned())
    }

    /// Writes one; `file_name` is the alias's.
    pub fn save(&self, file_name: &str, record: &Record) -> Result<(), RecordError> {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder);
        made.map_err(failed("make", &self.folder))?;
        let (path, new) = (self.path(file_name, "json"), self.path(file_name, "new"));
        let text = serde_json::to_vec_pretty(record).map_err(io::Error::other);
        let written = text.and_then(|text| {
            let mut file =
                std::fs::File::options().create(true).truncate(true).write(true).mode(0o600).open(&new)?;
            file.write_all(&text)?;
            file.sync_all()?;
            std::fs::rename(&new, &path)
        });
        written.map_err(failed("write", &path))
    }

    /// Keeps other processes from renewing a token at the same time, as long as it is held.
    pub fn lock(&self) -> Result<std::fs::File, RecordError> {
        let path = self.folder.join("lock");
        let open = std::fs::File::options().create(true).truncate(false).write(true).mode(0o600).open(&path);
        open.and_then(|file| file.lock().map(|()| file)).map_err(failed("lock", &path))
    }

    /// Removes one.
    pub fn remove(&self, file_name: &str) -> Result<(), RecordError> {
        let _ = std::fs::remove_file(self.path(file_name, "used"));
        let path = self.path(file_name, "json");
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(failed("remove", &path)),
        }
    }

    /// Notes that it is used now. That is for show: where it cannot be noted, it is not.
    pub fn touch(&self, file_name: &str) {
        let _ = std::fs::File::options()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(self.path(file_name, "used"))
            .and_then(|file| file.set_modified(std::time::SystemTime::now()));
    }

    /// When it was used last.
    pub fn last_use(&self, file_name: &str) -> Option<Timestamp> {
        let changed =
            std::fs::metadata(self.path(file_name, "used")).and_then(|found| found.modified()).ok()?;
        Timestamp::try_from(changed).ok()
    }

    fn path(&self, file_name: &str, extension: &str) -> PathBuf {
        // A name may have dots.
        self.folder.join(format!("{file_name}.{extension}"))
    }
}

fn read(path: &Path) -> Result<Record, RecordError> {
    let format = || RecordError::Format { path: path.to_owned() };
    let file = std::fs::File::open(path).map_err(failed("read", path))?;
    let mut text = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(file, LARGEST), &mut text).map_err(failed("read", path))?;
    let record: Record = serde_json::from_slice(&text).map_err(|_| format())?;
    if record.version == VERSION { Ok(record) } else { Err(format()) }
}

fn failed<'p>(doing: &'static str, path: &'p Path) -> impl Fn(io::Error) -> RecordError + 'p {
    move |source| RecordError::File { doing, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_end_with_the_token_or_after_its_usual_time() {
        let hub = HubAddress::parse("https://h").unwrap().hub;
        let mut record = Record::new("h".into(), hub, "a".into(), String::new());
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(record.end_for_keys(at(1000)), None);
        record.lifetime = 100;
        assert_eq!(record.end_for_keys(at(1000)), Some(at(1100)));
        record.keys_end = Some(at(1100));
        assert_eq!(record.end_for_keys(at(1049)), Some(at(1100)));
        assert_eq!(record.end_for_keys(at(1050)), Some(at(1150)));
        record.token_end = Some(at(2000));
        assert_eq!(record.end_for_keys(at(1050)), Some(at(2000)));
    }

    #[test]
    fn there_and_back() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::at(folder.path().join("jupyter"));
        assert_eq!(records.list().unwrap(), []);
        let hub = HubAddress::parse("https://h/base").unwrap().hub;
        let mut record = Record::new("hub.x".into(), hub, "alice".into(), String::new());
        record.url = "wss://h/base/user/alice/sshd/".into();
        records.save("hub.x", &record).unwrap();
        assert_eq!(records.find("hub.x").unwrap().unwrap(), record);
        let target = Target::parse("wss://h/base/user/alice/sshd/").unwrap();
        let found = |target: &Target, label| records.find_by_target(target, label).unwrap();
        assert_eq!(found(&target, None).unwrap().label(), "https://h/base/user/alice");
        let other = Target::parse("wss://h/base/user/alice/lab/sshd/").unwrap();
        assert_eq!(found(&other, Some("https://h/base/user/bob")), None);
        assert!(found(&other, Some("https://h/base/user/alice")).is_some());
        assert_eq!(records.last_use("hub.x"), None);
        records.touch("hub.x");
        assert!(records.last_use("hub.x").is_some());
        records.remove("hub.x").unwrap();
        records.remove("hub.x").unwrap();
        assert_eq!(records.list().unwrap(), []);
        std::fs::write(folder.path().join("jupyter/x.json"), "{}").unwrap();
        assert!(matches!(records.list(), Err(RecordError::Format { .. })), "none is passed over");
    }
}
