//! SSH sessions: seen by members, ended by their own account and by the project's owners; and what was done in a
//! project.

use hop_store::{
    AccountId, AuditEntry, AuditFilter, ProjectId, Revoked, SessionFilter, SshSession, SshSessionId,
    StoreError,
};

use super::caller::Powers;
use super::denied::{Checked, from_checked};
use super::{Caller, Denied, ErrorKind, Operations};

/// Why sessions were not shown or ended.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The caller may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// No such live session, or not the caller's: the same words for both.
    #[error("there is no such session, or it has ended")]
    Absent,
    /// The store did not do its part.
    #[error(transparent)]
    Store(#[from] StoreError),
}
from_checked!(SessionError);

impl SessionError {
    /// What it means to a door.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Denied(denied) => denied.kind(),
            Self::Absent => ErrorKind::Absent,
            Self::Store(error) => ErrorKind::of_store(error),
        }
    }
}

impl Operations {
    /// Has the gateways end a live SSH session. For the account whose it is, the project's owners, and admins.
    pub async fn end_ssh_session(
        &self,
        caller: &Caller,
        id: SshSessionId,
    ) -> Result<SshSession, SessionError> {
        let mut turn = self.begin(caller).await?;
        let found = self.store.ssh_sessions().find_by_id(id).await?;
        let live = found.filter(|session| session.end.is_none());
        if caller.powers() != Powers::Operator {
            self.own_account(caller).await?;
        }
        let session = live.ok_or(SessionError::Absent)?;
        if caller.account_id() != Some(session.account) {
            match self.deciding(caller, session.project).await {
                Ok(_) => {}
                Err(Checked::Denied(Denied::NotOwner)) => return Err(Denied::NotOwner.into()),
                Err(Checked::Denied(_)) => return Err(SessionError::Absent),
                Err(Checked::Store(error)) => return Err(error.into()),
            }
        }
        turn.change.revoke(Revoked::Session { session: id }).await?;
        let detail = serde_json::json!({
            "session": id.to_string(),
            "key": session.key_fingerprint.to_string(),
            "client": session.client.to_string(),
        });
        turn.change.record("ssh-session.end", Some(session.account), Some(session.project), detail).await?;
        turn.change.commit().await?;
        Ok(session)
    }

    /// The live SSH sessions in a project, the oldest first, at most `most`. For its members.
    pub async fn project_sessions(
        &self,
        caller: &Caller,
        project: ProjectId,
        most: u32,
    ) -> Result<Vec<SshSession>, SessionError> {
        self.standing(caller, project).await?;
        Ok(self.store.ssh_sessions().list_live(SessionFilter::Project(project), most).await?)
    }

    /// The live SSH sessions of an account, the oldest first, at most `most`. For itself and admins.
    pub async fn account_sessions(
        &self,
        caller: &Caller,
        account: AccountId,
        most: u32,
    ) -> Result<Vec<SshSession>, SessionError> {
        self.check_self_or_admin(caller, account).await?;
        Ok(self.store.ssh_sessions().list_live(SessionFilter::Account(account), most).await?)
    }

    /// All live SSH sessions, the oldest first, at most `most`. For admins.
    pub async fn all_sessions(&self, caller: &Caller, most: u32) -> Result<Vec<SshSession>, SessionError> {
        self.check_admin(caller).await?;
        Ok(self.store.ssh_sessions().list_live(SessionFilter::All, most).await?)
    }

    /// What was done in a project, newest first: at most `most` rows before row `before`. For its members.
    pub async fn project_activity(
        &self,
        caller: &Caller,
        project: ProjectId,
        before: Option<u64>,
        most: u32,
    ) -> Result<Vec<AuditEntry>, SessionError> {
        self.standing(caller, project).await?;
        Ok(self.store.audit().list(AuditFilter::Project(project), before, most).await?)
    }

    /// The audit trail, newest first: at most `most` rows before row `before`. For admins.
    pub async fn audit(
        &self,
        caller: &Caller,
        filter: AuditFilter,
        before: Option<u64>,
        most: u32,
    ) -> Result<Vec<AuditEntry>, SessionError> {
        self.check_admin(caller).await?;
        Ok(self.store.audit().list(filter, before, most).await?)
    }
}
