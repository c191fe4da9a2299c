//! The decision: may the holder of this key or certificate enter this project?

use hop_keys::{Fingerprint, JudgedCertificate, TokenPolicy};
use hop_model::Permissions;
use hop_store::{
    AccountAccess, AccountId, AccountState, KeyAccess, KeyId, KeyOwner, KeyStanding, Project, ProjectState,
    RevocationSeq, Standing, Timestamp,
};

/// Proof that somebody may enter a project. Only [`authorize`] and [`authorize_certificate`] make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    project: Project,
    pass: Pass,
    as_of: RevocationSeq,
}

/// Proof that somebody has an account here: the `jump` door opens to them, and nothing behind it yet. Only
/// [`authorize_jump`] and [`authorize_certificate_jump`] make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JumpGrant {
    pass: Pass,
    as_of: RevocationSeq,
}

/// Who comes, by what, and what that allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    account: AccountId,
    account_name: String,
    fingerprint: Fingerprint,
    credential: Credential,
    permissions: Permissions,
    token: TokenPolicy,
    expires: Option<Timestamp>,
}

/// What was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A stored key.
    Key {
        /// Its owner's entry.
        id: KeyId,
        /// What its owner calls it.
        title: String,
    },
    /// A certificate of the site's CA.
    Certificate {
        /// Its number.
        serial: u64,
        /// The CA's text for logs, escaped.
        key_id: String,
        /// Who signed it.
        ca: Fingerprint,
    },
}

/// Why not; for the log, never for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// No project of that name.
    #[error("there is no such project")]
    NoProject,
    /// It cannot be entered now.
    #[error("the project is suspended")]
    ProjectSuspended,
    /// Nobody has this key, or nobody who may enter.
    #[error("no owner of the key may enter the project")]
    NoOwner,
    /// The certificate's account may not, or does not exist.
    #[error("the certificate's account may not enter the project")]
    NoAccount,
}

/// Decides by what the store knows at one instant.
pub fn authorize(facts: &KeyAccess, fingerprint: Fingerprint, now: Timestamp) -> Result<Grant, Denied> {
    let project = open_project(facts.project.as_ref())?;
    let lets_in = facts.owners.iter().find(|standing| {
        let of_this_project = match standing.owner {
            KeyOwner::Project { project: owner, .. } => owner == project.id,
            KeyOwner::Account(_) => true,
        };
        of_this_project && is_member(&standing.account) && is_current(standing, now)
    });
    let standing = lets_in.ok_or(Denied::NoOwner)?;
    Ok(Grant { project: project.clone(), pass: Pass::of_key(standing, fingerprint), as_of: facts.as_of })
}

/// The same for a certificate that was judged, and names this account.
pub fn authorize_certificate(
    facts: &AccountAccess,
    judged: &JudgedCertificate,
    fingerprint: Fingerprint,
) -> Result<Grant, Denied> {
    let project = open_project(facts.project.as_ref())?;
    let account = facts.account.as_ref().filter(|standing| is_member(standing)).ok_or(Denied::NoAccount)?;
    let pass = Pass::of_certificate(account, judged, fingerprint);
    Ok(Grant { project: project.clone(), pass, as_of: facts.as_of })
}

/// Whether the door `jump` opens: any key of an account does, a project's own key does not.
pub fn authorize_jump(
    facts: &KeyAccess,
    fingerprint: Fingerprint,
    now: Timestamp,
) -> Result<JumpGrant, Denied> {
    let lets_in = facts.owners.iter().find(|standing| {
        let is_of_account = match standing.owner {
            KeyOwner::Account(_) => true,
            KeyOwner::Project { .. } => false,
        };
        is_of_account && standing.account.state == AccountState::Active && is_current(standing, now)
    });
    let standing = lets_in.ok_or(Denied::NoOwner)?;
    Ok(JumpGrant { pass: Pass::of_key(standing, fingerprint), as_of: facts.as_of })
}

/// The same for a certificate.
pub fn authorize_certificate_jump(
    facts: &AccountAccess,
    judged: &JudgedCertificate,
    fingerprint: Fingerprint,
) -> Result<JumpGrant, Denied> {
    let is_active = |standing: &&Standing| standing.state == AccountState::Active;
    let account = facts.account.as_ref().filter(is_active).ok_or(Denied::NoAccount)?;
    Ok(JumpGrant { pass: Pass::of_certificate(account, judged, fingerprint), as_of: facts.as_of })
}

fn open_project(project: Option<&Project>) -> Result<&Project, Denied> {
    let project = project.ok_or(Denied::NoProject)?;
    match project.state {
        ProjectState::Active => Ok(project),
        ProjectState::Suspended => Err(Denied::ProjectSuspended),
        ProjectState::Removed => Err(Denied::NoProject),
    }
}

fn is_member(standing: &Standing) -> bool {
    standing.state == AccountState::Active && standing.role.is_some()
}

fn is_current(standing: &KeyStanding, now: Timestamp) -> bool {
    standing.expires.is_none_or(|end| end > now)
}

impl Grant {
    /// The project.
    pub fn project(&self) -> &Project {
        &self.project
    }
    /// Who comes, by what.
    pub fn pass(&self) -> &Pass {
        &self.pass
    }
    /// Revocations after this one came after the decision.
    pub fn as_of(&self) -> RevocationSeq {
        self.as_of
    }
}

impl JumpGrant {
    /// Who comes, by what.
    pub fn pass(&self) -> &Pass {
        &self.pass
    }
    /// Revocations after this one came after the decision.
    pub fn as_of(&self) -> RevocationSeq {
        self.as_of
    }
}

impl Pass {
    fn of_key(standing: &KeyStanding, fingerprint: Fingerprint) -> Self {
        Self {
            account: standing.account.id,
            account_name: standing.account.name.as_str().to_owned(),
            fingerprint,
            credential: Credential::Key { id: standing.key, title: standing.title.as_str().to_owned() },
            permissions: Permissions::all(),
            token: TokenPolicy::default(),
            expires: standing.expires,
        }
    }

    fn of_certificate(account: &Standing, judged: &JudgedCertificate, fingerprint: Fingerprint) -> Self {
        let end = judged.valid_before();
        Self {
            account: account.id,
            account_name: account.name.as_str().to_owned(),
            fingerprint,
            credential: Credential::Certificate {
                serial: judged.serial(),
                key_id: judged.key_id().to_owned(),
                ca: judged.ca(),
            },
            permissions: judged.permissions().clone(),
            token: judged.token(),
            expires: (end != u64::MAX).then(|| Timestamp::from_seconds(end)),
        }
    }

    /// Who answers for what is done.
    pub fn account(&self) -> AccountId {
        self.account
    }
    /// Their name.
    pub fn account_name(&self) -> &str {
        &self.account_name
    }
    /// The key that was proved, a certificate's too.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
    /// What was shown.
    pub fn credential(&self) -> &Credential {
        &self.credential
    }
    /// What a session may do.
    pub fn permissions(&self) -> &Permissions {
        &self.permissions
    }
    /// What a FIDO key has to attest with its signature.
    pub fn token(&self) -> TokenPolicy {
        self.token
    }
    /// From when it opens nothing.
    pub fn expires(&self) -> Option<Timestamp> {
        self.expires
    }
}

impl Credential {
    /// What it is called in records: the key's title, the certificate's key ID.
    pub fn title(&self) -> &str {
        match self {
            Self::Key { title, .. } => title,
            Self::Certificate { key_id, .. } => key_id,
        }
    }

    /// The stored key.
    pub fn key(&self) -> Option<KeyId> {
        match self {
            Self::Key { id, .. } => Some(*id),
            Self::Certificate { .. } => None,
        }
    }

    /// The certificate's number.
    pub fn serial(&self) -> Option<u64> {
        match self {
            Self::Key { .. } => None,
            Self::Certificate { serial, .. } => Some(*serial),
        }
    }

    /// What a client is told about: `the key "laptop"`.
    pub(crate) fn in_words(&self) -> String {
        match self {
            Self::Key { title, .. } => format!("the key \"{title}\""),
            Self::Certificate { key_id, .. } => format!("the certificate \"{key_id}\""),
        }
    }
}

#[cfg(test)]
mod tests;
