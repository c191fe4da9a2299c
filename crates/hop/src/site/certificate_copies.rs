//! Copies of the pages' TLS files for a site that root started: those who renew certificates keep the key for root, and
//! the site runs as somebody else.
//!
//! Must stay true: only root can make anything in their folder; a copy is whole before it has its name, and nobody but
//! root and the site's user ever reads it.

use super::certificate_files::{EVERY, Version, version};
use super::settings::Tls;
use crate::error::{CommandError, ErrorKind};
use rustix::fs::{Gid, Uid, fchown};
use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The originals and where their copies are.
pub(super) struct CertificateCopies {
    originals: Tls,
    folder: PathBuf,
    owner: u32,
    seen: Option<Version>,
}

impl CertificateCopies {
    /// Copies both into a folder of their own in `run`, for the user `owner`.
    pub(super) fn make(originals: &Tls, run: &Path, owner: u32) -> Result<Self, CommandError> {
        let folder = run.join("tls");
        match DirBuilder::new().mode(0o711).create(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(cannot("make", &folder, &error));
            }
            Ok(()) | Err(_) => {}
        }
        // Before they are copied: what changes meanwhile is copied again.
        let seen = version(originals);
        let copies = Self { originals: originals.clone(), folder, owner, seen };
        copies.copy()?;
        Ok(copies)
    }

    /// What the site reads.
    pub(super) fn paths(&self) -> Tls {
        Tls { certificate: self.folder.join("certificate"), key: self.folder.join("key") }
    }

    /// Copies both again whenever they have changed; never returns.
    pub(super) async fn follow(mut self) {
        loop {
            tokio::time::sleep(EVERY).await;
            let now = version(&self.originals);
            if now == self.seen || now.is_none() {
                continue;
            }
            self.seen = now;
            if let Err(error) = self.copy() {
                tracing::warn!(error = error.message(), "the pages keep their certificate");
            }
        }
    }

    fn copy(&self) -> Result<(), CommandError> {
        let copies = self.paths();
        for (from, to) in
            [(&self.originals.key, &copies.key), (&self.originals.certificate, &copies.certificate)]
        {
            let content = Zeroizing::new(std::fs::read(from).map_err(|error| cannot("read", from, &error))?);
            self.put(&content, to).map_err(|error| cannot("write", to, &error))?;
        }
        Ok(())
    }

    fn put(&self, content: &[u8], to: &Path) -> io::Result<()> {
        let new = to.with_extension("new");
        // One that was left half made.
        let _ = std::fs::remove_file(&new);
        let mut file = File::options().write(true).create_new(true).mode(0o400).open(&new)?;
        file.write_all(content)?;
        fchown(&file, Some(Uid::from_raw(self.owner)), Some(Gid::from_raw(self.owner)))?;
        std::fs::rename(&new, to)
    }
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> CommandError {
    CommandError::new(ErrorKind::Config, format!("cannot {what} {}: {error}", path.display()))
        .hint("[tls] in the settings names the certificate of the pages and its key")
}
