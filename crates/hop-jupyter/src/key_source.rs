//! Where public keys come from: files of one's own, or a page that lists them.

use hop_keys::PublicKey;
use hop_link::{ClientOptions, ConnectError, Target, TargetError};
use std::path::{Path, PathBuf};

/// More keys than a person has.
const MOST: usize = 30;
/// A file of keys is shorter than this, in bytes.
const LARGEST: u64 = 256 * 1024;

/// A public key that is to be installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicLine {
    /// The key.
    pub key: PublicKey,
    /// Its comment, without control characters.
    pub comment: String,
}

/// Where keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// In a file.
    File(PathBuf),
    /// On a page.
    Page(Target),
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeySourceError {
    /// The file cannot be read.
    #[error("cannot read the public key {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is a private one.
    #[error("{} is a private key\nhint: the public one is beside it: {}.pub", path.display(), path.display())]
    Private {
        /// The file.
        path: PathBuf,
    },
    /// There is none.
    #[error("there is no public key in {place}")]
    None {
        /// The file or page.
        place: String,
    },
    /// The page's URL.
    #[error(transparent)]
    Url(#[from] TargetError),
    /// Not every page's word counts.
    #[error("keys are taken from https:// pages only, not from {url}")]
    NotSecure {
        /// What was given.
        url: String,
    },
    /// The page was not reached.
    #[error("cannot get keys from {url}: {source}")]
    Page {
        /// The page.
        url: String,
        /// Why.
        source: ConnectError,
    },
    /// It answered otherwise.
    #[error("cannot get keys from {url}: status {status}")]
    Status {
        /// The page.
        url: String,
        /// How.
        status: u16,
    },
}

impl KeySource {
    /// What was typed: a URL or a file.
    pub fn parse(text: &str) -> Result<Self, KeySourceError> {
        if !text.contains("://") {
            return Ok(Self::File(text.into()));
        }
        if !text.starts_with("https://") {
            return Err(KeySourceError::NotSecure { url: text.chars().take(200).collect() });
        }
        Ok(Self::Page(Target::parse(text)?))
    }

    /// The keys.
    pub async fn read(&self, options: &ClientOptions) -> Result<Vec<PublicLine>, KeySourceError> {
        let (text, place) = match self {
            Self::File(path) => (read_file(path)?, path.display().to_string()),
            Self::Page(target) => {
                let url = target.to_string().replacen("wss://", "https://", 1);
                let answer = hop_link::fetch_public(target, options).await;
                let answer = answer.map_err(|source| KeySourceError::Page { url: url.clone(), source })?;
                if answer.status != 200 {
                    return Err(KeySourceError::Status { url, status: answer.status });
                }
                (String::from_utf8_lossy(&answer.body).into_owned(), url)
            }
        };
        let lines = read_public_lines(&text);
        if lines.is_empty() { Err(KeySourceError::None { place }) } else { Ok(lines) }
    }
}

fn read_file(path: &Path) -> Result<String, KeySourceError> {
    let failed = |source| KeySourceError::File { path: path.to_owned(), source };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    std::io::Read::read_to_string(&mut std::io::Read::take(file, LARGEST), &mut text).map_err(failed)?;
    if text.contains("PRIVATE KEY-----") {
        return Err(KeySourceError::Private { path: path.to_owned() });
    }
    Ok(text)
}

/// The keys of a text, one a line; other lines count for nothing.
pub fn read_public_lines(text: &str) -> Vec<PublicLine> {
    let lines = text.lines().filter_map(|line| PublicKey::parse_line(line.trim()).ok());
    let lines = lines.map(|(key, comment)| PublicLine {
        key,
        comment: comment.chars().filter(|c| !c.is_control()).take(100).collect(),
    });
    lines.take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";

    #[test]
    fn keys_of_a_page() {
        let lines = read_public_lines(&format!("# of al\n{KEY} al@laptop\n\nnothing\n  {KEY}\r\n"));
        assert_eq!(lines.iter().map(|line| line.comment.as_str()).collect::<Vec<_>>(), ["al@laptop", ""]);
        assert_eq!(read_public_lines(&format!("{KEY}\n").repeat(100)).len(), MOST);
        assert!(matches!(KeySource::parse("http://h/a.keys"), Err(KeySourceError::NotSecure { .. })));
        assert!(matches!(KeySource::parse("id.pub"), Ok(KeySource::File(_))));
    }

    proptest! {
        #[test]
        fn never_panics(text: String) {
            let _ = read_public_lines(&text);
            let _ = KeySource::parse(&text);
        }
    }
}
