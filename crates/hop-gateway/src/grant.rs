//! The decision: may the holder of this key enter this project?

use hop_keys::Fingerprint;
use hop_store::{
    AccountId, AccountState, KeyAccess, KeyId, KeyOwner, Project, ProjectState, RevocationSeq, Timestamp,
};

/// Proof that somebody may enter a project. Only [`authorize`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    project: Project,
    account: AccountId,
    account_name: String,
    key: KeyId,
    fingerprint: Fingerprint,
    title: String,
    expires: Option<Timestamp>,
    as_of: RevocationSeq,
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
}

/// Decides by what the store knows at one instant.
pub fn authorize(facts: &KeyAccess, fingerprint: Fingerprint, now: Timestamp) -> Result<Grant, Denied> {
    let project = facts.project.as_ref().ok_or(Denied::NoProject)?;
    match project.state {
        ProjectState::Active => {}
        ProjectState::Suspended => return Err(Denied::ProjectSuspended),
        ProjectState::Removed => return Err(Denied::NoProject),
    }
    let lets_in = facts.owners.iter().find(|standing| {
        let of_this_project = match standing.owner {
            KeyOwner::Project { project: owner, .. } => owner == project.id,
            KeyOwner::Account(_) => true,
        };
        of_this_project
            && standing.account.state == AccountState::Active
            && standing.account.role.is_some()
            && standing.expires.is_none_or(|end| end > now)
    });
    let standing = lets_in.ok_or(Denied::NoOwner)?;
    Ok(Grant {
        project: project.clone(),
        account: standing.account.id,
        account_name: standing.account.name.as_str().to_owned(),
        key: standing.key,
        fingerprint,
        title: standing.title.as_str().to_owned(),
        expires: standing.expires,
        as_of: facts.as_of,
    })
}

impl Grant {
    /// The project.
    pub fn project(&self) -> &Project {
        &self.project
    }
    /// Who answers for what is done.
    pub fn account(&self) -> AccountId {
        self.account
    }
    /// Their name.
    pub fn account_name(&self) -> &str {
        &self.account_name
    }
    /// The stored key.
    pub fn key(&self) -> KeyId {
        self.key
    }
    /// The key that was proved.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
    /// What its owner calls it.
    pub fn title(&self) -> &str {
        &self.title
    }
    /// When the key's time is over.
    pub fn expires(&self) -> Option<Timestamp> {
        self.expires
    }
    /// Revocations after this one came after the decision.
    pub fn as_of(&self) -> RevocationSeq {
        self.as_of
    }
}
