//! Secrets in one encrypted file, for machines without a desktop.
//!
//! A line of JSON says how the key is derived from the passphrase (Argon2id); what follows is a nonce and the secrets,
//! sealed with AES-256-GCM, which also covers that line. Must stay true: a write is whole or did not happen; two
//! processes that write one after the other lose nothing; the file is its owner's alone.

mod sealed;

use crate::exposure::{Exposed, check_unexposed};
use crate::{Label, Secret};
use rustix::fs::FlockOperation;
use sealed::{Header, Sealed};
use std::collections::BTreeMap;
use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

pub use sealed::{Cost, FileKey};

/// The largest file that is read, in bytes.
const LARGEST: u64 = 4 << 20;

/// Why a file of secrets cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It must not be used.
    #[error(transparent)]
    Exposed(#[from] Exposed),
    /// A call of the system failed.
    #[error("cannot {doing} {}: {source}", path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is one already.
    #[error("there are secrets in {} already", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// It has another format.
    #[error("{} is no file of secrets, or one of a newer hop", path.display())]
    Format {
        /// The file.
        path: PathBuf,
    },
    /// The key does not fit.
    #[error("{} does not open: the passphrase is another one, or the file is damaged", path.display())]
    WrongKey {
        /// The file.
        path: PathBuf,
    },
    /// The passphrase protects nothing.
    #[error("an empty passphrase protects nothing")]
    EmptyPassphrase,
}

/// A file of secrets that is not open.
#[derive(Clone, Debug)]
pub struct EncryptedFile {
    path: PathBuf,
    user: u32,
}

/// An open one. It is read anew for each question: other processes write it, too.
#[derive(Debug)]
pub struct OpenFile {
    file: EncryptedFile,
    key: FileKey,
}

type Entries = BTreeMap<Label, Secret>;

impl EncryptedFile {
    /// The file at a path, for a user.
    pub fn at(path: PathBuf, user: u32) -> Self {
        Self { path, user }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is one.
    pub fn exists(&self) -> bool {
        self.path.exists()
    }

    /// Makes it, empty. Takes as long as `cost` says.
    pub fn create(self, passphrase: &Secret, cost: Cost) -> Result<OpenFile, FileError> {
        if passphrase.is_empty() {
            return Err(FileError::EmptyPassphrase);
        }
        check_unexposed(&self.path, self.user)?;
        if let Some(folder) = self.path.parent() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.map_err(|source| FileError::File { doing: "make", path: folder.to_owned(), source })?;
        }
        let header = Header::new(cost);
        let key = header.key(passphrase).ok_or_else(|| self.format())?;
        let _alone = self.lock()?;
        if self.exists() {
            return Err(FileError::Exists { path: self.path });
        }
        let open = OpenFile { file: self, key };
        open.write(&header, &Entries::new())?;
        Ok(open)
    }

    /// Opens it with its passphrase. Takes as long as its maker said.
    pub fn open(self, passphrase: &Secret) -> Result<OpenFile, FileError> {
        let key = self.read()?.header.key(passphrase).ok_or_else(|| self.format())?;
        self.open_with(key)
    }

    /// Opens it with the key that an open one has.
    pub fn open_with(self, key: FileKey) -> Result<OpenFile, FileError> {
        let open = OpenFile { file: self, key };
        open.entries()?;
        Ok(open)
    }

    fn read(&self) -> Result<Sealed, FileError> {
        check_unexposed(&self.path, self.user)?;
        let mut bytes = Vec::new();
        File::open(&self.path)
            .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
            .map_err(self.failed("read"))?;
        if bytes.len() as u64 > LARGEST {
            return Err(self.format());
        }
        Sealed::parse(bytes).ok_or_else(|| self.format())
    }

    /// Keeps other writers away as long as it is held.
    fn lock(&self) -> Result<File, FileError> {
        let path = self.beside("lock");
        let open = File::options().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let locked =
            open.and_then(|file| Ok(rustix::fs::flock(&file, FlockOperation::LockExclusive).map(|()| file)?));
        locked.map_err(|source| FileError::File { doing: "lock", path, source })
    }

    /// A file of ours in the same folder.
    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".");
        name.push(ending);
        self.path.with_file_name(name)
    }

    fn failed(&self, doing: &'static str) -> impl Fn(io::Error) -> FileError + '_ {
        move |source| FileError::File { doing, path: self.path.clone(), source }
    }

    fn format(&self) -> FileError {
        FileError::Format { path: self.path.clone() }
    }
}

impl OpenFile {
    /// The key, for whoever keeps it for a while.
    pub fn key(&self) -> &FileKey {
        &self.key
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// The secret with this label.
    pub fn find(&self, label: &Label) -> Result<Option<Secret>, FileError> {
        Ok(self.entries()?.1.remove(label))
    }

    /// What there is.
    pub fn list(&self) -> Result<Vec<Label>, FileError> {
        Ok(self.entries()?.1.into_keys().collect())
    }

    /// Stores a secret, in place of one with the same label.
    pub fn set(&self, label: &Label, secret: &Secret) -> Result<(), FileError> {
        let _alone = self.file.lock()?;
        let (header, mut entries) = self.entries()?;
        entries.insert(label.clone(), secret.clone());
        self.write(&header, &entries)
    }

    /// Forgets a secret; whether there was one.
    pub fn remove(&self, label: &Label) -> Result<bool, FileError> {
        let _alone = self.file.lock()?;
        let (header, mut entries) = self.entries()?;
        let known = entries.remove(label).is_some();
        if known {
            self.write(&header, &entries)?;
        }
        Ok(known)
    }

    fn entries(&self) -> Result<(Header, Entries), FileError> {
        let sealed = self.file.read()?;
        let wrong = || FileError::WrongKey { path: self.file.path.clone() };
        let text = sealed.open(&self.key).ok_or_else(wrong)?;
        let stored: Vec<(Label, Secret)> = serde_json::from_slice(&text).map_err(|_| self.file.format())?;
        Ok((sealed.header, stored.into_iter().collect()))
    }

    /// Writes all, under another name first. The writer holds the lock.
    fn write(&self, header: &Header, entries: &Entries) -> Result<(), FileError> {
        let listed: Vec<(&Label, &Secret)> = entries.iter().collect();
        let text = serde_json::to_vec(&listed).map(Zeroizing::new).map_err(|_| self.file.format())?;
        let bytes = header.seal(&self.key, &text).ok_or_else(|| self.file.format())?;
        let new = self.file.beside("new");
        let written = || {
            let mut file = File::options().create(true).truncate(true).write(true).mode(0o600).open(&new)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            std::fs::rename(&new, &self.file.path)
        };
        written().map_err(self.file.failed("write"))
    }
}

#[cfg(test)]
mod tests;
