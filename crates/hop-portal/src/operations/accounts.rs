//! Accounts: made, suspended, given a password. Admins do it; a person changes only the own password.

use hop_store::{
    Account, AccountId, AccountName, AddAccountError, ChangeAccountError, NewAccount, StoreError,
};

use super::caller::Powers;
use super::denied::from_checked;
use super::{Caller, Denied, ErrorKind, Operations, PasswordRule};

/// Why an account was not made or changed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The caller may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// No such account.
    #[error("there is no such account")]
    Absent,
    /// Somebody has the name.
    #[error("there is an account named {name} already")]
    NameTaken {
        /// The name.
        name: AccountName,
    },
    /// The site has one account only.
    #[error(transparent)]
    OneOnly(#[from] OneAccountOnly),
    /// Nobody would be left to run the site.
    #[error("the account {name} is the only active admin; make another one first")]
    LastAdmin {
        /// The account's name.
        name: AccountName,
    },
    /// The new password is not taken.
    #[error(transparent)]
    Password(#[from] PasswordRule),
    /// The account has a password, and it is not the one given.
    #[error("the current password is not right")]
    WrongPassword,
    /// The store did not do its part.
    #[error(transparent)]
    Store(#[from] StoreError),
}
from_checked!(AccountError);

/// A site that does not keep projects apart has its account already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this site runs without a sandbox, where everybody could read everything: it has one account only\nhint: start it \
     with a sandbox (without --unsandboxed, or with sandbox = true below [projects])"
)]
pub struct OneAccountOnly;

impl AccountError {
    /// What it means to a door.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Denied(denied) => denied.kind(),
            Self::Absent => ErrorKind::Absent,
            Self::NameTaken { .. } | Self::OneOnly(_) | Self::LastAdmin { .. } => ErrorKind::Conflict,
            Self::Password(_) | Self::WrongPassword => ErrorKind::Invalid,
            Self::Store(error) => ErrorKind::of_store(error),
        }
    }
}

impl From<AddAccountError> for AccountError {
    fn from(error: AddAccountError) -> Self {
        match error {
            AddAccountError::NameTaken { name } => Self::NameTaken { name },
            AddAccountError::Store(error) => Self::Store(error),
        }
    }
}

impl From<ChangeAccountError> for AccountError {
    fn from(error: ChangeAccountError) -> Self {
        match error {
            ChangeAccountError::Absent { .. } => Self::Absent,
            ChangeAccountError::LastAdmin { name } => Self::LastAdmin { name },
            ChangeAccountError::Store(error) => Self::Store(error),
        }
    }
}

impl Operations {
    /// Makes an account, active, without a password: a sign-in link lets its person in. For admins.
    pub async fn add_account(
        &self,
        caller: &Caller,
        name: &AccountName,
        admin: bool,
    ) -> Result<Account, AccountError> {
        let mut turn = self.begin(caller).await?;
        self.check_admin(caller).await?;
        self.check_room().await??;
        let id = AccountId::new(turn.change.now(), self.id_bytes());
        turn.change.accounts().add(&NewAccount { id, name: name.clone(), admin }).await?;
        turn.change.commit().await?;
        self.store.accounts().find_by_id(id).await?.ok_or(AccountError::Absent)
    }

    /// Whether one more account may be added.
    pub(super) async fn check_room(&self) -> Result<Result<(), OneAccountOnly>, StoreError> {
        let full = !self.rules.sandbox && self.store.accounts().count().await? > 0;
        Ok(if full { Err(OneAccountOnly) } else { Ok(()) })
    }

    /// Takes everything from an account, now: its SSH and web sessions end, its open links and invitations go. For
    /// admins.
    pub async fn suspend_account(&self, caller: &Caller, account: AccountId) -> Result<(), AccountError> {
        let mut turn = self.begin(caller).await?;
        self.check_admin(caller).await?;
        turn.change.accounts().suspend(account).await?;
        Ok(turn.change.commit().await?)
    }

    /// Gives a suspended account back what its keys and memberships allow. For admins.
    pub async fn activate_account(&self, caller: &Caller, account: AccountId) -> Result<(), AccountError> {
        let mut turn = self.begin(caller).await?;
        self.check_admin(caller).await?;
        turn.change.accounts().activate(account).await?;
        Ok(turn.change.commit().await?)
    }

    /// Says whether an account runs the site. For admins.
    pub async fn set_admin(
        &self,
        caller: &Caller,
        account: AccountId,
        admin: bool,
    ) -> Result<(), AccountError> {
        let mut turn = self.begin(caller).await?;
        self.check_admin(caller).await?;
        turn.change.accounts().set_admin(account, admin).await?;
        Ok(turn.change.commit().await?)
    }

    /// Sets an account's password (`None`: takes it away) and ends all its web sessions; the door signs the person
    /// in anew. For the account itself, which proves its current password if it has one, and for an operator, who
    /// need not.
    pub async fn set_password(
        &self,
        caller: &Caller,
        account: AccountId,
        current: Option<&str>,
        new: Option<&str>,
    ) -> Result<(), AccountError> {
        if caller.powers() != Powers::Operator {
            if self.own_account(caller).await?.id != account {
                return Err(Denied::NotYours.into());
            }
            let known = self.store.accounts().find_password_hash(account).await?;
            if known.is_some() && !self.passwords.matches(known, current.unwrap_or_default()).await {
                return Err(AccountError::WrongPassword);
            }
        }
        // Slow on purpose, so before the change.
        let hash = match new {
            Some(new) => Some(self.passwords.hash(new, &self.random).await?),
            None => None,
        };
        let mut turn = self.begin(caller).await?;
        if caller.powers() != Powers::Operator {
            self.own_account(caller).await?;
        }
        turn.change.accounts().set_password(account, hash.as_ref()).await?;
        turn.change.web_sessions().revoke_all(account, None).await?;
        Ok(turn.change.commit().await?)
    }

    /// Whether an account has set a password.
    pub async fn has_password(&self, account: AccountId) -> Result<bool, StoreError> {
        Ok(self.store.accounts().find_password_hash(account).await?.is_some())
    }
}
