//! Host keys: the given files, or keys of our own that are made once and kept.
//!
//! A key that cannot be read, or that others could have read, is an error with its path, never skipped:
//! a server that silently came up with other keys would look like an attack to everybody who knows it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use hop_keys::{
    Certificate, CertificateKind, Fingerprint, KeyAlgorithm, KeyError, PrivateKey, PrivateKeyError,
};
use zeroize::Zeroizing;

use crate::private_dir::random_name;

/// An RSA key of 16384 bits takes 12 KiB; this is a limit for mistakes such as a log file.
const MAX_FILE: u64 = 64 * 1024;

/// The kinds that we make, and their file names: those of OpenSSH, so that a reader knows them.
const KEPT: &[(KeyAlgorithm, &str)] = &[ED25519, (KeyAlgorithm::Rsa, "ssh_host_rsa_key")];
const ED25519: (KeyAlgorithm, &str) = (KeyAlgorithm::Ed25519, "ssh_host_ed25519_key");

/// A host key and where it is from.
#[derive(Debug)]
pub struct LoadedHostKey {
    /// The private key.
    pub private: PrivateKey,
    /// Its certificate, when a file with `-cert.pub` added to its name lies beside it.
    pub certificate: Option<Certificate>,
    /// The file.
    pub path: PathBuf,
    /// Whether it was made just now.
    pub new: bool,
}

impl LoadedHostKey {
    /// What the user compares at the first connection.
    pub fn fingerprint(&self) -> Fingerprint {
        self.private.public().fingerprint()
    }
}

/// Host keys that cannot be used or made.
#[derive(Debug, thiserror::Error)]
pub enum HostKeyError {
    /// The file or directory cannot be used.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// "read", "write", "create".
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others may have read it.
    #[error(
        "the host key {} can be read by others (mode {mode:03o})\nhint: chmod 600 {}",
        path.display(), path.display()
    )]
    Exposed {
        /// Which.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Others may put keys there.
    #[error(
        "the directory for host keys {} can be written by others (mode {mode:03o})\nhint: chmod 700 {}",
        path.display(), path.display()
    )]
    SharedDirectory {
        /// Which.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Far longer than any key, or not text.
    #[error("{} is not a private key: {reason}", path.display())]
    NotAKey {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: &'static str,
    },
    /// Not a private key that we can use.
    #[error("cannot use the host key {}: {source}", path.display())]
    Private {
        /// Which.
        path: PathBuf,
        /// Why.
        source: PrivateKeyError,
    },
    /// Not a certificate.
    #[error("cannot use the host certificate {}: {source}", path.display())]
    Certificate {
        /// Which.
        path: PathBuf,
        /// Why.
        source: KeyError,
    },
    /// A certificate for something else.
    #[error("{} is not a host certificate for the key beside it", path.display())]
    ForeignCertificate {
        /// Which.
        path: PathBuf,
    },
    /// The library could not make a key.
    #[error("cannot make a host key: {0}")]
    Generate(PrivateKeyError),
    /// Nothing was given.
    #[error("no host key was given")]
    None,
}

/// Reads the given key files, with their certificates.
pub fn load(paths: &[PathBuf]) -> Result<Vec<LoadedHostKey>, HostKeyError> {
    if paths.is_empty() {
        return Err(HostKeyError::None);
    }
    paths.iter().map(|path| load_one(path)).collect()
}

/// Reads our own keys from `directory`, making the directory (0700) and what is missing (0600). Two servers
/// that start at once end up with the same keys.
pub fn keep(directory: &Path) -> Result<Vec<LoadedHostKey>, HostKeyError> {
    prepare(directory)?;
    KEPT.iter().map(|(algorithm, name)| keep_one(&directory.join(name), *algorithm)).collect()
}

/// The same with the one kind that is made at once and that every client of today knows.
pub fn keep_ed25519(directory: &Path) -> Result<LoadedHostKey, HostKeyError> {
    prepare(directory)?;
    let (algorithm, name) = ED25519;
    keep_one(&directory.join(name), algorithm)
}

fn prepare(directory: &Path) -> Result<(), HostKeyError> {
    let failed = |action| move |source| HostKeyError::File { action, path: directory.to_owned(), source };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed("create"))?;
    let mode = std::fs::metadata(directory).map_err(failed("read"))?.mode() & 0o777;
    if mode & 0o022 != 0 {
        return Err(HostKeyError::SharedDirectory { path: directory.to_owned(), mode });
    }
    Ok(())
}

fn keep_one(path: &Path, algorithm: KeyAlgorithm) -> Result<LoadedHostKey, HostKeyError> {
    match load_one(path) {
        Err(HostKeyError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
        other => return other,
    }
    let private = PrivateKey::generate(algorithm).map_err(HostKeyError::Generate)?;
    let comment = "hop endpoint";
    let made = publish(path, private.to_openssh(comment).as_bytes());
    let made =
        made.map_err(|source| HostKeyError::File { action: "write", path: path.to_owned(), source })?;
    let loaded = load_one(path)?;
    if made {
        let public = with_suffix(path, ".pub");
        let line = format!("{}\n", loaded.private.public().to_line(comment));
        // For people and tools only; nothing depends on it.
        if let Err(error) = std::fs::write(&public, line) {
            tracing::warn!(path = %public.display(), %error, "public host key not written");
        }
    }
    Ok(LoadedHostKey { new: made, ..loaded })
}

/// Puts a whole file in place, or nothing; false when another server was faster.
fn publish(path: &Path, contents: &[u8]) -> io::Result<bool> {
    let draft = with_suffix(path, &format!(".{}", random_name()?));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let written = file.write_all(contents).and_then(|()| file.sync_all());
    // A link, unlike a rename, does not replace a key that appeared meanwhile.
    let linked = written.and_then(|()| std::fs::hard_link(&draft, path));
    std::fs::remove_file(&draft)?;
    match linked {
        Ok(()) => {
            if let Some(directory) = path.parent() {
                File::open(directory)?.sync_all()?;
            }
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

fn load_one(path: &Path) -> Result<LoadedHostKey, HostKeyError> {
    let text = read_secret(path)?;
    let private = PrivateKey::from_openssh(&text, None)
        .map_err(|source| HostKeyError::Private { path: path.to_owned(), source })?;
    let certificate = load_certificate(&with_suffix(path, "-cert.pub"), &private)?;
    Ok(LoadedHostKey { private, certificate, path: path.to_owned(), new: false })
}

fn read_secret(path: &Path) -> Result<Zeroizing<String>, HostKeyError> {
    let failed = |source| HostKeyError::File { action: "read", path: path.to_owned(), source };
    let not_a_key = |reason| HostKeyError::NotAKey { path: path.to_owned(), reason };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    // As sshd: a key that belongs to somebody else (a mounted secret) is that somebody's affair.
    let ours = metadata.uid() == rustix::process::geteuid().as_raw();
    let mode = metadata.mode() & 0o777;
    if ours && mode & 0o077 != 0 {
        return Err(HostKeyError::Exposed { path: path.to_owned(), mode });
    }
    if metadata.len() > MAX_FILE {
        return Err(not_a_key("it is too long"));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(MAX_FILE).unwrap_or_default()));
    file.take(MAX_FILE).read_to_end(&mut bytes).map_err(failed)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| not_a_key("it is not text"))?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn load_certificate(path: &Path, private: &PrivateKey) -> Result<Option<Certificate>, HostKeyError> {
    let line = match std::fs::read_to_string(path) {
        Ok(line) => line,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(HostKeyError::File { action: "read", path: path.to_owned(), source }),
    };
    let (certificate, _comment) = Certificate::parse_line(line.trim())
        .map_err(|source| HostKeyError::Certificate { path: path.to_owned(), source })?;
    let certifies_it = certificate.key().blob() == private.public().blob();
    if certificate.kind() != CertificateKind::Host || !certifies_it {
        return Err(HostKeyError::ForeignCertificate { path: path.to_owned() });
    }
    Ok(Some(certificate))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests;
