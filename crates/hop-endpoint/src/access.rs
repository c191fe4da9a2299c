//! Who may log in: authorized_keys files, trusted user CAs and a revocation list, read anew for every login,
//! so that a change counts from the next login on without telling the server.
//!
//! What must stay true: a file that cannot be read lets nobody in by itself, and a revocation list that cannot
//! be read lets nobody in at all. The reasons of a refusal go to the log; the peer sees one and the same answer.

use std::fs::File;
use std::io::{self, Read};
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use hop_keys::{
    AuthorizedKeys, Certificate, CertificatePolicy, CertificateRefusal, Identity, KeyRefusal, KrlError,
    LoginFacts, PublicKey, RevocationList, TokenPolicy,
};
use hop_model::{CommandConflict, Permissions, Word, WordError};
use hop_ssh::USER_SIGNATURES;

/// Larger files are a mistake; a revocation list with a million serials takes about 8 MiB.
const MAX_FILE: u64 = 32 * 1024 * 1024;

/// In place of a name: the client may give any.
pub const ANY_USER: &str = "*";

/// The rules of one endpoint.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Names that may be logged in as, or [`ANY_USER`]; all of them mean the one account that the endpoint runs as.
    pub users: Vec<String>,
    /// authorized_keys files.
    pub authorized_keys: Vec<PathBuf>,
    /// Files with the public keys of CAs whose user certificates are accepted, one in a line.
    pub trusted_user_cas: Vec<PathBuf>,
    /// A KRL, or a plain list of keys.
    pub revoked_keys: Option<PathBuf>,
}

/// What is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Applicant<'a> {
    /// The name that the client gave.
    pub user: &'a str,
    /// Its key or certificate.
    pub identity: &'a Identity,
    /// Where it is, if that is known.
    pub address: Option<IpAddr>,
    /// Unix time in seconds.
    pub now: u64,
    /// Seconds that local time is ahead of UTC.
    pub utc_offset: i32,
}

/// A login that is allowed, given a signature that fulfils `token`.
#[derive(Debug, Clone)]
pub struct Admission {
    /// What the session may do.
    pub permissions: Permissions,
    /// What a FIDO key must attest.
    pub token: TokenPolicy,
    /// Last second (Unix time) for which it is allowed; `None` for ever.
    pub not_after: Option<u64>,
    /// What a gateway says of the client that it lets in by this certificate.
    pub word: Option<Box<Word>>,
    /// Key and rule, for the log.
    pub reason: String,
}

/// Why a login is refused; for the log, never for the peer.
#[derive(Debug, thiserror::Error)]
pub enum Denied {
    /// Another name than the endpoint serves.
    #[error("there is no user {0:?} here")]
    UnknownUser(String),
    /// No line of any authorized_keys file.
    #[error("{}: {refusal}", file.display())]
    Key {
        /// The last file asked.
        file: PathBuf,
        /// Why.
        refusal: KeyRefusal,
    },
    /// The certificate is not believed.
    #[error(transparent)]
    Certificate(#[from] CertificateRefusal),
    /// The word in the certificate is not understood.
    #[error(transparent)]
    Word(#[from] WordError),
    /// The word in the certificate is over.
    #[error("the gateway's word held until {not_after}, it is {now}")]
    WordIsOver {
        /// Unix seconds.
        not_after: u64,
        /// Unix seconds.
        now: u64,
    },
    /// The certificate and the word in it cannot both hold.
    #[error("the certificate and the gateway's word in it: {0}")]
    Conflict(#[from] CommandConflict),
    /// A plain key, and no authorized_keys file.
    #[error("no authorized_keys file was given and the key has no certificate")]
    NothingToAsk,
    /// A file on which the answer depends cannot be used.
    #[error(transparent)]
    File(#[from] AccessFileError),
}

/// A file of access rules that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AccessFileError {
    /// The system refused.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// Whoever can write it can let himself in.
    #[error(
        "{} can be written by others (mode {mode:03o}) and is therefore not believed\nhint: chmod go-w {}",
        path.display(), path.display()
    )]
    Writable {
        /// Which.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Far larger than any real one.
    #[error("{} is longer than {MAX_FILE} bytes", path.display())]
    TooLong {
        /// Which.
        path: PathBuf,
    },
    /// A line is no CA key. Skipping it could mean trusting fewer than was meant, but also hide a mistake.
    #[error("{} line {line}: {problem}", path.display())]
    CaLine {
        /// Which.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// The revocation list is damaged.
    #[error("{}: {source}", path.display())]
    Revocations {
        /// Which.
        path: PathBuf,
        /// Why.
        source: KrlError,
    },
}

impl Access {
    /// Reads all files once: what is wrong at the start should be said then. Returns complaints about single
    /// lines of authorized_keys files, which do not count but spoil nothing else.
    pub fn check(&self) -> Result<Vec<String>, AccessFileError> {
        let mut complaints = Vec::new();
        for path in &self.authorized_keys {
            let (_, problems) = AuthorizedKeys::parse(&read(path)?);
            let named = problems
                .into_iter()
                .map(|problem| format!("{} line {}: {}", path.display(), problem.line, problem.reason));
            complaints.extend(named);
        }
        self.cas()?;
        self.revocations()?;
        Ok(complaints)
    }

    /// Whether this applicant may log in. Every refusal takes the same steps: the files are read whatever the
    /// name is.
    pub fn judge(&self, applicant: &Applicant<'_>) -> Result<Admission, Denied> {
        let verdict = self.judge_key(applicant);
        if !self.users.iter().any(|user| user == applicant.user || user == ANY_USER) {
            return Err(Denied::UnknownUser(applicant.user.to_owned()));
        }
        verdict
    }

    fn judge_key(&self, applicant: &Applicant<'_>) -> Result<Admission, Denied> {
        let revocations = self.revocations()?;
        let mut denied = Denied::NothingToAsk;
        for path in &self.authorized_keys {
            match grant(path, applicant, revocations.as_ref()) {
                Ok(admission) => return Ok(admission),
                Err(error) => {
                    if let Denied::File(unusable) = &error {
                        tracing::error!(error = %unusable, "logins by this file are impossible");
                    }
                    denied = error;
                }
            }
        }
        if let Identity::Certificate(certificate) = applicant.identity
            && !self.trusted_user_cas.is_empty()
        {
            return self.certified(certificate, applicant, revocations.as_ref());
        }
        Err(denied)
    }

    /// A certificate of a trusted CA, which may carry the word of a gateway. (One that an authorized_keys line trusts
    /// may not: such a CA vouches for people.)
    fn certified(
        &self,
        certificate: &Certificate,
        applicant: &Applicant<'_>,
        revocations: Option<&RevocationList>,
    ) -> Result<Admission, Denied> {
        let policy = CertificatePolicy {
            cas: &self.cas()?,
            ca_signatures: USER_SIGNATURES,
            revocations,
            understood: &[Word::OPTION],
        };
        let now = applicant.now;
        let judged = certificate.judge_user(&policy, &[applicant.user], applicant.address, now)?;
        let end = judged.valid_before();
        let mut admission = Admission {
            permissions: judged.permissions().clone(),
            token: judged.token(),
            not_after: (end != u64::MAX).then(|| end.saturating_sub(1)),
            word: None,
            reason: format!(
                "certificate {:?} serial {} of CA {}",
                judged.key_id(),
                judged.serial(),
                judged.ca()
            ),
        };
        if let Some(option) = judged.option(Word::OPTION) {
            let word = Word::decode(option.as_bytes())?;
            if let Some(not_after) = word.not_after.filter(|end| *end < now) {
                return Err(Denied::WordIsOver { not_after, now });
            }
            admission.permissions = admission.permissions.intersect(word.permissions.clone())?;
            // The certificate's own end, a minute from its making, is about the login alone.
            admission.not_after = word.not_after;
            admission.word = Some(Box::new(word));
        }
        Ok(admission)
    }

    fn cas(&self) -> Result<Vec<PublicKey>, AccessFileError> {
        let mut keys = Vec::new();
        for path in &self.trusted_user_cas {
            for (index, line) in String::from_utf8_lossy(&read(path)?).lines().enumerate() {
                let line = line.trim();
                if line.is_empty() || line.starts_with('#') {
                    continue;
                }
                let (key, _comment) =
                    PublicKey::parse_line(line).map_err(|problem| AccessFileError::CaLine {
                        path: path.clone(),
                        line: index + 1,
                        problem: problem.to_string(),
                    })?;
                keys.push(key);
            }
        }
        Ok(keys)
    }

    fn revocations(&self) -> Result<Option<RevocationList>, AccessFileError> {
        let Some(path) = &self.revoked_keys else { return Ok(None) };
        let list = RevocationList::parse(&read(path)?);
        list.map(Some).map_err(|source| AccessFileError::Revocations { path: path.clone(), source })
    }
}

fn grant(
    path: &Path,
    applicant: &Applicant<'_>,
    revocations: Option<&RevocationList>,
) -> Result<Admission, Denied> {
    let (keys, _reported_at_start) = AuthorizedKeys::parse(&read(path)?);
    let facts = LoginFacts {
        user: applicant.user,
        address: applicant.address,
        host: None,
        now: applicant.now,
        utc_offset: applicant.utc_offset,
        ca_signatures: USER_SIGNATURES,
        revocations,
    };
    let found = keys.find(applicant.identity, &facts);
    let grant = found.map_err(|refusal| Denied::Key { file: path.to_owned(), refusal })?;
    Ok(Admission {
        permissions: grant.permissions().clone(),
        token: grant.token(),
        not_after: grant.not_after(),
        word: None,
        reason: format!(
            "key {} ({:?}, line {} of {})",
            applicant.identity.key().fingerprint(),
            grant.comment(),
            grant.line(),
            path.display()
        ),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, AccessFileError> {
    let unreadable = |source| AccessFileError::Unreadable { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    let mode = metadata.mode() & 0o777;
    if mode & 0o022 != 0 {
        return Err(AccessFileError::Writable { path: path.to_owned(), mode });
    }
    if metadata.len() > MAX_FILE {
        return Err(AccessFileError::TooLong { path: path.to_owned() });
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
