//! Invitations: links that give somebody an account, a membership, or both. The link's token is shown once.

use std::time::Duration;

use hop_store::{
    Account, AccountId, AccountName, AddAccountError, Invitation, InvitationId, InviteError, NewAccount,
    NewInvitation, Project, ProjectId, ProjectState, Role, StoreError, Timestamp, Token,
};

use super::caller::Powers;
use super::denied::{Checked, from_checked};
use super::sign_in::{Browser, SignedIn};
use super::{Caller, Denied, ErrorKind, OneAccountOnly, Operations};

/// The longest that an invitation may wait.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// An invitation that was made.
#[derive(Debug, Clone)]
pub struct Invited {
    /// Its id, for withdrawing it.
    pub id: InvitationId,
    /// The secret of its link, told this once.
    pub token: Token,
    /// From when it is worth nothing.
    pub expires: Timestamp,
}

/// What an invitation offers, for the page that asks whether to take it.
#[derive(Debug, Clone)]
pub struct InvitationView {
    /// The invitation.
    pub invitation: Invitation,
    /// The project, if it invites to one.
    pub project: Option<Project>,
    /// Who sent it; `None` for the site itself.
    pub inviter: Option<AccountName>,
}

/// Why an invitation was not made or taken.
#[derive(Debug, thiserror::Error)]
pub enum InvitationError {
    /// The caller may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// Used, withdrawn, over or never made.
    #[error(
        "this invitation is no longer good: it was used, withdrawn, or its time is over; ask for a new one"
    )]
    Spent,
    /// Somebody has the name.
    #[error("there is an account named {name} already; choose another name")]
    NameTaken {
        /// The name.
        name: AccountName,
    },
    /// The site has one account only.
    #[error(transparent)]
    OneOnly(#[from] OneAccountOnly),
    /// The project has as many open ones as the site allows.
    #[error("{most} invitations to this project are open, which is the limit; withdraw one first")]
    Full {
        /// The limit.
        most: u32,
    },
    /// The account is a member already; the invitation is kept for somebody else.
    #[error("you are a member of this project already")]
    AlreadyMember,
    /// It gives an account, which the caller has.
    #[error("this invitation is for somebody without an account, and you have one")]
    HasAccount,
    /// The store did not do its part.
    #[error(transparent)]
    Store(#[from] StoreError),
}
from_checked!(InvitationError);

impl InvitationError {
    /// What it means to a door.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Denied(denied) => denied.kind(),
            Self::Spent => ErrorKind::Absent,
            Self::NameTaken { .. }
            | Self::OneOnly(_)
            | Self::Full { .. }
            | Self::AlreadyMember
            | Self::HasAccount => ErrorKind::Conflict,
            Self::Store(error) => ErrorKind::of_store(error),
        }
    }
}

impl From<InviteError> for InvitationError {
    fn from(error: InviteError) -> Self {
        match error {
            InviteError::NoProject { .. } => Self::Denied(Denied::NoProject),
            InviteError::Store(error) => Self::Store(error),
        }
    }
}

impl Operations {
    /// Makes an invitation that is good for `valid` (30 days at most). To a project: for its owners, if the site lets
    /// them, and admins; only to the site: for admins.
    pub async fn invite(
        &self,
        caller: &Caller,
        membership: Option<(ProjectId, Role)>,
        valid: Duration,
    ) -> Result<Invited, InvitationError> {
        let mut turn = self.begin(caller).await?;
        let now = turn.change.now();
        match membership {
            None => self.check_admin(caller).await?,
            Some((project, _)) => {
                self.deciding(caller, project).await?;
                if !self.rules.owners_invite {
                    self.check_admin(caller).await.map_err(|checked| match checked {
                        Checked::Denied(_) => InvitationError::Denied(Denied::SiteRule),
                        Checked::Store(error) => InvitationError::Store(error),
                    })?;
                }
                let most = self.rules.most_invitations;
                let open = self.store.invitations().list_open(Some(project), now, most).await?;
                if open.len() >= most as usize && caller.powers() != Powers::Operator {
                    return Err(InvitationError::Full { most });
                }
            }
        }
        let token = self.token();
        let id = InvitationId::new(now, self.id_bytes());
        let expires = now.plus(valid.min(LONGEST));
        let new = NewInvitation { id, token: token.hash(), membership, expires };
        turn.change.invitations().add(&new).await?;
        turn.change.commit().await?;
        Ok(Invited { id, token, expires })
    }

    /// Withdraws an open invitation. To a project: for its owners; only to the site: for admins.
    pub async fn withdraw_invitation(
        &self,
        caller: &Caller,
        project: Option<ProjectId>,
        id: InvitationId,
    ) -> Result<(), InvitationError> {
        let mut turn = self.begin(caller).await?;
        match project {
            Some(project) => drop(self.deciding(caller, project).await?),
            None => self.check_admin(caller).await?,
        }
        let now = turn.change.now();
        let open = self.store.invitations().list_open(project, now, u32::MAX).await?;
        if !open.iter().any(|open| open.id == id) || !turn.change.invitations().remove(id).await? {
            return Err(InvitationError::Spent);
        }
        Ok(turn.change.commit().await?)
    }

    /// The open invitations to a project, oldest first. For its owners.
    pub async fn open_invitations(
        &self,
        caller: &Caller,
        project: ProjectId,
    ) -> Result<Vec<Invitation>, InvitationError> {
        self.deciding(caller, project).await?;
        let most = self.rules.most_invitations;
        Ok(self.store.invitations().list_open(Some(project), self.now(), most).await?)
    }

    /// What an invitation offers. For whoever has the link.
    pub async fn find_invitation(&self, token: &Token) -> Result<InvitationView, InvitationError> {
        let found = self.store.invitations().find_by_token(token.hash(), self.now()).await?;
        let invitation = found.ok_or(InvitationError::Spent)?;
        let project = match invitation.membership {
            Some((project, _)) => self.store.projects().find_by_id(project).await?,
            None => None,
        };
        let inviter = match invitation.created_by {
            Some(account) => self.store.accounts().find_by_id(account).await?.map(|account| account.name),
            None => None,
        };
        Ok(InvitationView { invitation, project, inviter })
    }

    /// Takes an invitation with a new account of this name, and signs it in. For whoever has the link.
    pub async fn accept_as_new(
        &self,
        caller: &Caller,
        token: &Token,
        name: &AccountName,
        browser: &Browser,
    ) -> Result<SignedIn, InvitationError> {
        let mut turn = self.begin(caller).await?;
        // Without a good link nobody learns whether there is room.
        if self.find_invitation(token).await.is_ok() {
            self.check_room().await??;
        }
        let id = AccountId::new(turn.change.now(), self.id_bytes());
        match turn.change.accounts().add(&NewAccount { id, name: name.clone(), admin: false }).await {
            Ok(()) => {}
            Err(AddAccountError::Store(error)) => return Err(error.into()),
            Err(AddAccountError::NameTaken { name }) => {
                // Without a good link nobody learns which names there are.
                let is_good = self.find_invitation(token).await.is_ok();
                return Err(if is_good {
                    InvitationError::NameTaken { name }
                } else {
                    InvitationError::Spent
                });
            }
        }
        self.fulfill(&mut turn.change, token, id).await?;
        let session = self.add_session(&mut turn.change, id, browser).await?;
        let created = turn.change.now();
        turn.change.commit().await?;
        let state = hop_store::AccountState::Active;
        let account = Account { id, name: name.clone(), state, admin: false, created };
        Ok(SignedIn { account, token: session })
    }

    /// Takes an invitation to a project with the caller's own account.
    pub async fn accept(&self, caller: &Caller, token: &Token) -> Result<ProjectId, InvitationError> {
        let mut turn = self.begin(caller).await?;
        let own = self.own_account(caller).await?;
        let offer = self.find_invitation(token).await?.invitation;
        let Some((project, _)) = offer.membership else { return Err(InvitationError::HasAccount) };
        if self.store.members().find_role(project, own.id).await?.is_some() {
            return Err(InvitationError::AlreadyMember);
        }
        self.fulfill(&mut turn.change, token, own.id).await?;
        turn.change.commit().await?;
        Ok(project)
    }

    /// Uses the invitation up and does what it promises.
    async fn fulfill(
        &self,
        change: &mut hop_store::Change,
        token: &Token,
        account: AccountId,
    ) -> Result<(), InvitationError> {
        let used = change.invitations().fulfill(token.hash(), account).await?;
        let used = used.ok_or(InvitationError::Spent)?;
        let Some((project, role)) = used.membership else { return Ok(()) };
        let found = self.store.projects().find_by_id(project).await?;
        if !found.is_some_and(|project| project.state == ProjectState::Active) {
            return Err(InvitationError::Spent);
        }
        match change.members().add(project, account, role).await {
            Ok(()) => Ok(()),
            Err(hop_store::MemberError::Store(error)) => Err(error.into()),
            Err(hop_store::MemberError::AlreadyMember { .. }) => Err(InvitationError::AlreadyMember),
            Err(_) => Err(InvitationError::Spent),
        }
    }
}
