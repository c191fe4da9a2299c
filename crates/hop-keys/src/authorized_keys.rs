//! The authorized_keys file (sshd(8), "AUTHORIZED_KEYS FILE FORMAT"): who may log in, and with what
//! restrictions.
//!
//! What must stay true: a line that is not understood in full grants nothing, is reported with its number,
//! and does not spoil the other lines; a later line can grant what an earlier one refuses, never the reverse.

mod expiry;
mod options;

pub use options::OptionError;

use std::net::IpAddr;

use hop_model::{CommandConflict, Permissions};

use crate::algorithm::SignatureAlgorithm;
use crate::certificate::{Certificate, CertificatePolicy, CertificateRefusal, JudgedCertificate};
use crate::identity::Identity;
use crate::krl::{RevocationList, Revoked};
use crate::lines::{LineProblem, LineReason, begins_with_key, exact, lines};
use crate::public_key::PublicKey;
use crate::token::TokenPolicy;

use options::LineOptions;

/// The usable lines of an authorized_keys file.
#[derive(Debug, Clone, Default)]
pub struct AuthorizedKeys {
    entries: Vec<Entry>,
}

/// One usable line.
#[derive(Debug, Clone)]
struct Entry {
    line: usize,
    key: PublicKey,
    comment: String,
    options: LineOptions,
}

/// What is known about a login that asks for a key.
#[derive(Debug, Clone, Copy)]
pub struct LoginFacts<'a> {
    /// The login name: the principal that a certificate must name where a line lists none.
    pub user: &'a str,
    /// Where the client is; `None` where that is not known, as on a pipe: then no `from=` admits it.
    pub address: Option<IpAddr>,
    /// The client's host name, only if it was looked up *and* back.
    pub host: Option<&'a str>,
    /// Unix time in seconds.
    pub now: u64,
    /// What the local clock shows beyond UTC, in seconds: `expiry-time` without `Z` means local time.
    pub utc_offset: i32,
    /// How CAs may sign.
    pub ca_signatures: &'a [SignatureAlgorithm],
    /// What was revoked. Where a list is configured and cannot be read, nobody may be let in at all.
    pub revocations: Option<&'a RevocationList>,
}

/// A line that lets the login in, and with what restrictions.
#[derive(Debug, Clone)]
pub struct KeyGrant {
    permissions: Permissions,
    token: TokenPolicy,
    line: usize,
    comment: String,
    not_after: Option<u64>,
    certificate: Option<JudgedCertificate>,
}

impl KeyGrant {
    /// What the session may do: what the line and the certificate both allow.
    pub fn permissions(&self) -> &Permissions {
        &self.permissions
    }

    /// What a FIDO key has to attest with its signature.
    pub fn token(&self) -> TokenPolicy {
        self.token
    }

    /// The line's number, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The line's comment; escape it before it reaches a log or a terminal.
    pub fn comment(&self) -> &str {
        &self.comment
    }

    /// The last second (Unix time) at which the grant holds, by the line's expiry or the certificate's;
    /// `None` for ever.
    pub fn not_after(&self) -> Option<u64> {
        self.not_after
    }

    /// The certificate, where the login showed one.
    pub fn certificate(&self) -> Option<&JudgedCertificate> {
        self.certificate.as_ref()
    }
}

impl AuthorizedKeys {
    /// Reads a file. Lines that cannot be used are left out and reported.
    pub fn parse(bytes: &[u8]) -> (Self, Vec<LineProblem>) {
        let mut entries = Vec::new();
        let mut problems = Vec::new();
        for line in lines(bytes) {
            match line.and_then(|(line, text)| {
                Entry::parse(line, &text).map_err(|reason| LineProblem { line, reason })
            }) {
                Ok(entry) => entries.push(entry),
                Err(problem) => problems.push(problem),
            }
        }
        (Self { entries }, problems)
    }

    /// How many usable lines there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no usable line.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The keys with their line numbers, CA keys included.
    pub fn keys(&self) -> impl Iterator<Item = (usize, &PublicKey)> {
        self.entries.iter().map(|entry| (entry.line, &entry.key))
    }

    /// The first line that lets this login in; else why the last line that has its key does not.
    ///
    /// The signature of the login is not part of this; a FIDO key's must also pass [`KeyGrant::token`].
    pub fn find(&self, identity: &Identity, facts: &LoginFacts<'_>) -> Result<KeyGrant, KeyRefusal> {
        if let Some(revoked) = facts.revocations.and_then(|list| list.find(identity)) {
            return Err(KeyRefusal::Revoked(revoked));
        }
        let mut refusal = KeyRefusal::NotListed;
        for entry in &self.entries {
            match entry.grant(identity, facts) {
                Ok(Some(grant)) => return Ok(grant),
                Ok(None) => {}
                Err(reason) => refusal = reason,
            }
        }
        Err(refusal)
    }
}

impl Entry {
    fn parse(line: usize, text: &str) -> Result<Self, LineReason> {
        let (options, key) = if begins_with_key(text) {
            (LineOptions::default(), text)
        } else {
            let (options, key) = options::split(text)?;
            (LineOptions::parse(exact(options)?)?, key)
        };
        let (key, comment) = PublicKey::parse_line(key)?;
        Ok(Self { line, key, comment, options })
    }

    /// Whether this line lets the login in: `None` where it is about another key.
    fn grant(&self, identity: &Identity, facts: &LoginFacts<'_>) -> Result<Option<KeyGrant>, KeyRefusal> {
        let line = self.line;
        match identity {
            Identity::Key(key) if *key == self.key && !self.options.cert_authority => {}
            Identity::Certificate(certificate)
                if *certificate.ca() == self.key && self.options.cert_authority => {}
            Identity::Key(_) | Identity::Certificate(_) => return Ok(None),
        }
        if let Some(from) = &self.options.from
            && !from.admits_client(facts.address, facts.host)
        {
            return Err(KeyRefusal::From { line, address: facts.address });
        }
        let expiry = self.options.expiry(facts.utc_offset);
        if expiry.is_some_and(|expiry| facts.now > expiry) {
            return Err(KeyRefusal::Expired { line });
        }
        let mut grant = KeyGrant {
            permissions: self.options.permissions(),
            token: self.options.token,
            line,
            comment: self.comment.clone(),
            not_after: expiry,
            certificate: None,
        };
        if let Identity::Certificate(certificate) = identity {
            let judged = self.judge(certificate, facts)?;
            let both = judged.permissions().clone().intersect(grant.permissions);
            grant.permissions = both.map_err(|conflict| KeyRefusal::Command { line, conflict })?;
            grant.token = grant.token.and(judged.token());
            let end = judged.valid_before();
            if end != u64::MAX {
                grant.not_after = Some(grant.not_after.map_or(end - 1, |expiry| expiry.min(end - 1)));
            }
            grant.certificate = Some(judged);
        }
        Ok(Some(grant))
    }

    fn judge(
        &self,
        certificate: &Certificate,
        facts: &LoginFacts<'_>,
    ) -> Result<JudgedCertificate, KeyRefusal> {
        let policy = CertificatePolicy {
            cas: std::slice::from_ref(&self.key),
            ca_signatures: facts.ca_signatures,
            revocations: facts.revocations,
            understood: &[],
        };
        let own_name = [facts.user.to_owned()];
        let principals = self.options.principals.as_deref().unwrap_or(&own_name);
        certificate
            .judge_user(&policy, principals, facts.address, facts.now)
            .map_err(|refusal| KeyRefusal::Certificate { line: self.line, refusal })
    }
}

/// Why no line lets a login in; fit for a log, not for the peer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefusal {
    /// No line has this key, or this certificate's CA.
    #[error("the key is not listed")]
    NotListed,
    /// It was revoked.
    #[error("refused by the revocation list: {0}")]
    Revoked(Revoked),
    /// The client is somewhere else.
    #[error("line {line}: correct key, but not from a permitted host ({})",
        address.map_or_else(|| "address not known".to_owned(), |address| address.to_string()))]
    From {
        /// The line.
        line: usize,
        /// Where the client is.
        address: Option<IpAddr>,
    },
    /// The line's time is over.
    #[error("line {line}: the entry has expired")]
    Expired {
        /// The line.
        line: usize,
    },
    /// The line trusts the certificate's CA, but the certificate is not believed.
    #[error("line {line}: {refusal}")]
    Certificate {
        /// The line.
        line: usize,
        /// Why.
        refusal: CertificateRefusal,
    },
    /// Line and certificate force different commands.
    #[error("line {line}: {conflict}")]
    Command {
        /// The line.
        line: usize,
        /// Why.
        conflict: CommandConflict,
    },
}

#[cfg(test)]
mod tests;
