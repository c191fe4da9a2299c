//! The known_hosts files (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"): which keys and which CAs stand for which
//! hosts.
//!
//! What must stay true: a revoked key or CA is never accepted whatever other lines say, and a host with
//! *some* key on record is never called unknown.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::fill;
use base64ct::{Base64, Encoding as _};

use crate::address::PatternList;
use crate::algorithm::{IdentityAlgorithm, SignatureAlgorithm};
use crate::certificate::{CertificatePolicy, CertificateRefusal, JudgedHostCertificate};
use crate::identity::Identity;
use crate::krl::RevocationList;
use crate::lines::{LineProblem, LineReason, exact, lines};
use crate::public_key::PublicKey;
use crate::wire::printable;

const DEFAULT_PORT: u16 = 22;
const HASH_MARK: &str = "|1|";

/// The usable lines of one or several known_hosts files.
#[derive(Debug, Clone, Default)]
pub struct KnownHosts {
    entries: Vec<Entry>,
}

/// Where a line stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The file.
    pub file: Arc<PathBuf>,
    /// The line, from 1.
    pub line: usize,
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

#[derive(Debug, Clone)]
struct Entry {
    at: Location,
    marker: Marker,
    hosts: Hosts,
    key: PublicKey,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Marker {
    None,
    CertAuthority,
    Revoked,
}

#[derive(Debug, Clone)]
enum Hosts {
    Patterns(PatternList),
    /// HMAC-SHA1 of the name under the salt.
    Hashed {
        salt: [u8; 20],
        hash: [u8; 20],
    },
}

/// What the files say of a server's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostKeyVerdict {
    /// It is the host's key, or a certificate of a CA that stands for the host.
    Known {
        /// The line that says so.
        at: Location,
        /// The certificate, where one was shown and believed.
        certificate: Option<JudgedHostCertificate>,
    },
    /// It is revoked, by a line or by the revocation list. Never connect.
    Revoked {
        /// The line, where it was one.
        at: Option<Location>,
    },
    /// Other keys are on record for the host, this one is not: an attack, or a new installation.
    Changed {
        /// A line with another key, of the same kind if there is one.
        at: Location,
        /// That line's key.
        known: PublicKey,
        /// Why the certificate shown does not count.
        refusal: Option<CertificateRefusal>,
    },
    /// Nothing is on record for the host.
    Unknown {
        /// Why the certificate shown does not count.
        refusal: Option<CertificateRefusal>,
    },
}

/// What besides the files decides about a server's key.
#[derive(Debug, Clone, Copy)]
pub struct HostKeyPolicy<'a> {
    /// How CAs may sign.
    pub ca_signatures: &'a [SignatureAlgorithm],
    /// What was revoked. Where a list is configured and cannot be read, no host may be connected to at all.
    pub revocations: Option<&'a RevocationList>,
    /// Unix time in seconds.
    pub now: u64,
}

impl KnownHosts {
    /// No host is known.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the lines of a file; `file` is for messages. Lines that cannot be used are left out and reported.
    pub fn add(&mut self, file: &Path, bytes: &[u8]) -> Vec<LineProblem> {
        let file = Arc::new(file.to_owned());
        let mut problems = Vec::new();
        for line in lines(bytes) {
            match line.and_then(|(line, text)| {
                let at = Location { file: Arc::clone(&file), line };
                Entry::parse(at, &text).map_err(|reason| LineProblem { line, reason })
            }) {
                Ok(entry) => self.entries.push(entry),
                Err(problem) => problems.push(problem),
            }
        }
        problems
    }

    /// Judges the key or certificate that a server showed for `host` and `port`, as the user wrote them.
    ///
    /// A certificate that does not count is looked up as a plain key, as ssh does. For another port than 22
    /// the lines for `[host]:port` decide; only if there are none, a line for the bare host may still make
    /// the key known.
    pub fn check(
        &self,
        host: &str,
        port: u16,
        identity: &Identity,
        policy: &HostKeyPolicy<'_>,
    ) -> HostKeyVerdict {
        if policy.revocations.is_some_and(|list| list.find(identity).is_some()) {
            return HostKeyVerdict::Revoked { at: None };
        }
        let verdict = self.check_name(&lookup_name(host, port), host, identity, policy);
        if port == DEFAULT_PORT || !matches!(verdict, HostKeyVerdict::Unknown { .. }) {
            return verdict;
        }
        match self.check_name(&lookup_name(host, DEFAULT_PORT), host, identity, policy) {
            bare @ (HostKeyVerdict::Known { .. } | HostKeyVerdict::Revoked { .. }) => bare,
            HostKeyVerdict::Changed { .. } | HostKeyVerdict::Unknown { .. } => verdict,
        }
    }

    fn check_name(
        &self,
        name: &str,
        host: &str,
        identity: &Identity,
        policy: &HostKeyPolicy<'_>,
    ) -> HostKeyVerdict {
        let found: Vec<&Entry> = self.entries.iter().filter(|entry| entry.hosts.admit(name)).collect();
        let with = |marker| found.iter().copied().filter(move |entry| entry.marker == marker);
        let ca = identity.as_certificate().map(|certificate| certificate.ca());
        if let Some(entry) =
            with(Marker::Revoked).find(|entry| entry.key == *identity.key() || Some(&entry.key) == ca)
        {
            return HostKeyVerdict::Revoked { at: Some(entry.at.clone()) };
        }
        let mut refusal = None;
        if let Some(certificate) = identity.as_certificate() {
            let trusted = with(Marker::CertAuthority).find(|entry| Some(&entry.key) == ca);
            let policy_for = CertificatePolicy {
                cas: trusted.map_or(&[], |entry| std::slice::from_ref(&entry.key)),
                ca_signatures: policy.ca_signatures,
                revocations: policy.revocations,
                understood: &[],
            };
            match (certificate.judge_host(&policy_for, host, policy.now), trusted) {
                (Ok(judged), Some(entry)) => {
                    return HostKeyVerdict::Known { at: entry.at.clone(), certificate: Some(judged) };
                }
                (Ok(_), None) => {}
                (Err(reason), _) => refusal = Some(reason),
            }
        }
        let key = identity.key();
        if let Some(entry) = with(Marker::None).find(|entry| entry.key == *key) {
            return HostKeyVerdict::Known { at: entry.at.clone(), certificate: None };
        }
        let same_kind = with(Marker::None).find(|entry| entry.key.algorithm() == key.algorithm());
        match same_kind.or_else(|| with(Marker::None).next()) {
            Some(entry) => {
                HostKeyVerdict::Changed { at: entry.at.clone(), known: entry.key.clone(), refusal }
            }
            None => HostKeyVerdict::Unknown { refusal },
        }
    }

    /// Orders `offered` so that algorithms for which the host has a key or a CA on record come first. A
    /// client that negotiates in this order does not take a second key of a known host for a changed one.
    pub fn order(&self, host: &str, port: u16, offered: &[IdentityAlgorithm]) -> Vec<IdentityAlgorithm> {
        let name = lookup_name(host, port);
        let found: Vec<&Entry> = self.entries.iter().filter(|entry| entry.hosts.admit(&name)).collect();
        let on_record = |algorithm: &IdentityAlgorithm| {
            found.iter().any(|entry| match entry.marker {
                Marker::None => {
                    !algorithm.certificate && entry.key.algorithm() == algorithm.signature.key_algorithm()
                }
                Marker::CertAuthority => algorithm.certificate,
                Marker::Revoked => false,
            })
        };
        let (mut first, rest): (Vec<_>, Vec<_>) = offered.iter().copied().partition(on_record);
        first.extend(rest);
        first
    }
}

impl Entry {
    fn parse(at: Location, text: &str) -> Result<Self, LineReason> {
        let (first, rest) = split_word(text);
        let (marker, hosts, key) = match first {
            "@cert-authority" | "@revoked" => {
                let (hosts, key) = split_word(rest);
                let marker = if first == "@revoked" { Marker::Revoked } else { Marker::CertAuthority };
                (marker, hosts, key)
            }
            marker if marker.starts_with('@') => {
                return Err(LineReason::Marker { marker: printable(marker.as_bytes()) });
            }
            hosts => (Marker::None, hosts, rest),
        };
        let (key, _) = PublicKey::parse_line(key)?;
        Ok(Self { at, marker, hosts: Hosts::parse(exact(hosts)?)?, key })
    }
}

fn split_word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    (word, rest.trim_start())
}

impl Hosts {
    fn parse(text: &str) -> Result<Self, LineReason> {
        let Some(hashed) = text.strip_prefix('|') else {
            return Ok(Self::Patterns(PatternList::of_hosts(text)));
        };
        let decoded = hashed.strip_prefix("1|").and_then(|hashed| {
            let (salt, hash) = hashed.split_once('|')?;
            Some((decode(salt)?, decode(hash)?))
        });
        let (salt, hash) = decoded.ok_or(LineReason::HashedHost)?;
        Ok(Self::Hashed { salt, hash })
    }

    /// `name` is in lower case, with brackets and port where the port is not 22.
    fn admit(&self, name: &str) -> bool {
        match self {
            Self::Patterns(list) => list.admits_host(name),
            Self::Hashed { salt, hash } => hmac::verify(&hash_key(salt), name.as_bytes(), hash).is_ok(),
        }
    }
}

fn decode(text: &str) -> Option<[u8; 20]> {
    Base64::decode_vec(text).ok()?.try_into().ok()
}

fn hash_key(salt: &[u8; 20]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, salt)
}

/// The name under which a host stands in the files.
fn lookup_name(host: &str, port: u16) -> String {
    let host = host.to_ascii_lowercase();
    if port == DEFAULT_PORT { host } else { format!("[{host}]:{port}") }
}

/// The line that makes a key known, without a newline; `None` for a host name that would not stay one field.
pub fn known_hosts_line(host: &str, port: u16, key: &PublicKey) -> Option<String> {
    is_one_name(host).then(|| format!("{} {}", lookup_name(host, port), key.to_line("")))
}

/// The same with the host's name hashed, so that the file does not tell where its owner goes.
pub fn hashed_known_hosts_line(host: &str, port: u16, key: &PublicKey) -> Option<String> {
    let mut salt = [0; 20];
    fill(&mut salt).ok()?;
    let hash = hmac::sign(&hash_key(&salt), lookup_name(host, port).as_bytes());
    let (salt, hash) = (Base64::encode_string(&salt), Base64::encode_string(hash.as_ref()));
    is_one_name(host).then(|| format!("{HASH_MARK}{salt}|{hash} {}", key.to_line("")))
}

fn is_one_name(host: &str) -> bool {
    !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic() && !b",*?!|@#[]".contains(&byte))
}

#[cfg(test)]
mod tests;
