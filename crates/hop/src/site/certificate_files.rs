//! The files of the pages' TLS: read at the start, and again when they change, so that a renewed certificate needs no
//! restart.
//!
//! Must stay true: files that cannot be used change nothing; what is served goes on until both fit.

use super::settings;
use crate::error::{CommandError, ErrorKind, OrFail};
use hop_portal::Tls;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;
use zeroize::Zeroizing;

/// How often the files are looked at.
pub(super) const EVERY: Duration = Duration::from_secs(5);

/// What tells two versions of the files apart: they are replaced, by a link to others, or written anew.
pub(super) type Version = [(u64, u64, i64, i64, u64); 2];

/// Files whose certificate is served.
pub(super) struct CertificateFiles {
    files: settings::Tls,
    seen: Option<Version>,
    served: Tls,
}

impl CertificateFiles {
    /// Reads them.
    pub(super) fn read(files: &settings::Tls) -> Result<Self, CommandError> {
        // Before they are read: what changes meanwhile is read again.
        let seen = version(files);
        Ok(Self { files: files.clone(), seen, served: read(files)? })
    }

    /// What is served.
    pub(super) fn tls(&self) -> Tls {
        self.served.clone()
    }

    /// Replaces what is served whenever the files have changed; never returns.
    pub(super) async fn follow(self) {
        let Self { files, mut seen, served } = self;
        loop {
            tokio::time::sleep(EVERY).await;
            let now = version(&files);
            if now == seen || now.is_none() {
                continue;
            }
            seen = now;
            match read(&files) {
                Ok(new) => {
                    served.replace(&new);
                    tracing::info!(certificate = %files.certificate.display(), "the pages have a new certificate");
                }
                // The other file may be on its way: then it changes, too.
                Err(error) => tracing::warn!(error = error.message(), "the pages keep their certificate"),
            }
        }
    }
}

/// Reads both.
fn read(files: &settings::Tls) -> Result<Tls, CommandError> {
    let text = |path: &Path| {
        std::fs::read(path).map_err(|error| {
            CommandError::new(ErrorKind::Config, format!("cannot read {}: {error}", path.display()))
                .hint("[tls] in the settings names the certificate of the pages and its key")
        })
    };
    let (chain, key) = (text(&files.certificate)?, Zeroizing::new(text(&files.key)?));
    Tls::from_pem(&chain, &key).or_fail(ErrorKind::Config)
}

/// `None` while one is missing.
pub(super) fn version(files: &settings::Tls) -> Option<Version> {
    let of = |path: &Path| {
        let found = std::fs::metadata(path).ok()?;
        Some((found.dev(), found.ino(), found.mtime(), found.mtime_nsec(), found.len()))
    };
    Some([of(&files.certificate)?, of(&files.key)?])
}
