//! Reading and writing the files that hold keys.
//!
//! What must stay true: every error names its file, and its line where there is one; a file that cannot be
//! read is never an empty one; a private key lies on disk readable by its owner only, whole, and never
//! replaces another.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::authorized_keys::AuthorizedKeys;
use crate::certificate::Certificate;
use crate::krl::{KrlError, RevocationList};
use crate::lines::{LineProblem, LineReason, begins_with_key, lines};
use crate::private_key::{PrivateKey, PrivateKeyError};
use crate::public_key::{KeyError, PublicKey};

/// An RSA key of 16384 bits takes 12 KiB.
const MAX_KEY_FILE: u64 = 64 * 1024;
/// Some 20,000 keys. Read at each login, so it must not grow without end.
const MAX_LIST_FILE: u64 = 4 * 1024 * 1024;
/// Some eight million listed serials; ranges and bitmaps reach much further.
const MAX_REVOCATION_FILE: u64 = 64 * 1024 * 1024;

/// A line of a file that could not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}:{}: {}", path.display(), problem.line, problem.reason)]
pub struct FileProblem {
    /// The file.
    pub path: PathBuf,
    /// The line, and why.
    pub problem: LineProblem,
}

/// Reads a private key. A file that group or others can read is refused: its key may have been copied
/// already.
pub fn load_private_key(path: &Path, passphrase: Option<&[u8]>) -> Result<PrivateKey, FileError> {
    let bytes = Zeroizing::new(read(path, MAX_KEY_FILE, |metadata| {
        let mode = metadata.mode() & 0o777;
        if mode & 0o077 == 0 { Ok(()) } else { Err(FileError::Exposed { path: path.to_owned(), mode }) }
    })?);
    let private = |source| FileError::PrivateKey { path: path.to_owned(), source };
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| private(PrivateKeyError::Form { reason: "it is not text" }))?;
    PrivateKey::from_openssh(text, passphrase).map_err(private)
}

/// Writes a new private key (0600, whole or not at all) and its public half beside it, with `.pub` added. A
/// file that is there already is not replaced.
pub fn save_private_key(path: &Path, key: &PrivateKey, comment: &str) -> Result<(), FileError> {
    let public = with_suffix(path, ".pub");
    publish(path, key.to_openssh(comment).as_bytes())
        .map_err(|source| FileError::Write { path: path.to_owned(), source })?;
    std::fs::write(&public, format!("{}\n", key.public().to_line(comment)))
        .map_err(|source| FileError::Write { path: public, source })
}

/// Reads a certificate file (`-cert.pub`).
pub fn load_certificate(path: &Path) -> Result<Certificate, FileError> {
    let bytes = read(path, MAX_KEY_FILE, |_| Ok(()))?;
    Certificate::parse_line(&String::from_utf8_lossy(&bytes))
        .map(|(certificate, _)| certificate)
        .map_err(|source| FileError::PublicKey { path: path.to_owned(), source })
}

/// Reads a file of CA keys: bare public keys, one per line. Lines that cannot be used are left out and
/// reported; one with options (as authorized_keys has them) is such a line, as it is for sshd.
pub fn load_ca_keys(path: &Path) -> Result<(Vec<PublicKey>, Vec<FileProblem>), FileError> {
    let bytes = read(path, MAX_LIST_FILE, |_| Ok(()))?;
    let (keys, problems) = parse_ca_keys(&bytes);
    Ok((keys, at(path, problems)))
}

fn parse_ca_keys(bytes: &[u8]) -> (Vec<PublicKey>, Vec<LineProblem>) {
    let mut keys = Vec::new();
    let mut problems = Vec::new();
    for line in lines(bytes) {
        let key = line.and_then(|(line, text)| match PublicKey::parse_line(&text) {
            Ok((key, _)) => Ok(key),
            Err(_) if !begins_with_key(&text) => Err(LineProblem { line, reason: LineReason::NotBare }),
            Err(error) => Err(LineProblem { line, reason: error.into() }),
        });
        match key {
            Ok(key) => keys.push(key),
            Err(problem) => problems.push(problem),
        }
    }
    (keys, problems)
}

/// Reads an authorized_keys file. Lines that cannot be used are left out and reported.
pub fn load_authorized_keys(path: &Path) -> Result<(AuthorizedKeys, Vec<FileProblem>), FileError> {
    let bytes = read(path, MAX_LIST_FILE, |_| Ok(()))?;
    let (keys, problems) = AuthorizedKeys::parse(&bytes);
    Ok((keys, at(path, problems)))
}

/// Reads a revocation list. Any error means that nobody may be let in until the file is mended.
pub fn load_revocation_list(path: &Path) -> Result<RevocationList, FileError> {
    let bytes = read(path, MAX_REVOCATION_FILE, |_| Ok(()))?;
    RevocationList::parse(&bytes)
        .map_err(|source| FileError::RevocationList { path: path.to_owned(), source })
}

fn at(path: &Path, problems: Vec<LineProblem>) -> Vec<FileProblem> {
    problems.into_iter().map(|problem| FileProblem { path: path.to_owned(), problem }).collect()
}

/// Reads a whole file of at most `limit` bytes, after `check` saw what was opened.
fn read(
    path: &Path,
    limit: u64,
    check: impl FnOnce(&std::fs::Metadata) -> Result<(), FileError>,
) -> Result<Vec<u8>, FileError> {
    let failed = |source| FileError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    check(&metadata)?;
    // One byte beyond tells "too long" from "just fits". With room for all, no copy of a secret is left
    // behind.
    let room = usize::try_from(metadata.len().min(limit)).unwrap_or(0) + 1;
    let mut bytes = Vec::with_capacity(room);
    file.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(FileError::TooLong { path: path.to_owned(), limit });
    }
    Ok(bytes)
}

/// Puts a whole file in place, or nothing; never over another.
fn publish(path: &Path, contents: &[u8]) -> io::Result<()> {
    let draft = with_suffix(path, &format!(".{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let written = file.write_all(contents).and_then(|()| file.sync_all());
    // A link, unlike a rename, does not replace a file that appeared meanwhile.
    let linked = written.and_then(|()| std::fs::hard_link(&draft, path));
    std::fs::remove_file(&draft)?;
    linked?;
    match path.parent() {
        Some(directory) if directory != Path::new("") => File::open(directory)?.sync_all(),
        _ => Ok(()),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Why a file of keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system would not.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The system would not, or the file is there already.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Longer than any sensible file of its kind.
    #[error("{} is longer than {limit} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The most that is read.
        limit: u64,
    },
    /// Others can read the private key.
    #[error(
        "private key {} can be read by others (mode {mode:03o})\nhint: chmod 600 {}",
        path.display(), path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The contents are no private key that we can use.
    #[error("cannot use private key {}: {source}", path.display())]
    PrivateKey {
        /// The file.
        path: PathBuf,
        /// Why.
        source: PrivateKeyError,
    },
    /// The contents are no key or certificate.
    #[error("cannot use {}: {source}", path.display())]
    PublicKey {
        /// The file.
        path: PathBuf,
        /// Why.
        source: KeyError,
    },
    /// The contents are no revocation list.
    #[error("cannot use revocation list {}: {source}", path.display())]
    RevocationList {
        /// The file.
        path: PathBuf,
        /// Why.
        source: KrlError,
    },
}

#[cfg(test)]
mod tests;
