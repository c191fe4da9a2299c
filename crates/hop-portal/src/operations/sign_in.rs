//! Signing in and out: one-time links, passwords, sessions of browsers.
//!
//! What must stay true: a link is used by signing in, never by looking at it; an unknown name, a suspended account, an
//! account without a password and a wrong password get the same answer after the same work; every sign-in makes a new
//! session with a new token, and ends the one that the browser had.

use std::net::IpAddr;
use std::time::Duration;

use hop_store::{
    Account, AccountId, AccountName, AccountState, Change, NewSignInLink, NewWebSession, SignInLinkId,
    StoreError, Timestamp, Token, WebSession, WebSessionId,
};

use super::denied::{Checked, from_checked};
use super::{Caller, Denied, ErrorKind, Operations};

/// The longest that a sign-in link may wait.
const LONGEST_LINK: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// A session's use is noted this often.
const TOUCH: Duration = Duration::from_secs(60);

/// The browser in which somebody signs in.
#[derive(Debug, Clone, Default)]
pub struct Browser {
    /// From where.
    pub address: Option<IpAddr>,
    /// What it calls itself.
    pub user_agent: String,
    /// The session that it had until now, of whichever account: it ends.
    pub had: Option<(AccountId, WebSessionId)>,
}

/// Somebody who has just signed in.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// Who.
    pub account: Account,
    /// The session's secret, for the cookie.
    pub token: Token,
}

/// A sign-in link that was made.
#[derive(Debug, Clone)]
pub struct SignInLink {
    /// Its secret, told this once.
    pub token: Token,
    /// From when it is worth nothing.
    pub expires: Timestamp,
}

/// Why nobody was signed in, or no link made.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The caller may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// Used, over or never made.
    #[error("this link is no longer good: it was used, or its time is over; ask for a new one")]
    Spent,
    /// Whatever of it is wrong.
    #[error("the name or the password is not right")]
    Refused,
    /// No such account.
    #[error("there is no such account")]
    NoAccount,
    /// No such session of this account.
    #[error("there is no such session")]
    NoSession,
    /// The store did not do its part.
    #[error(transparent)]
    Store(#[from] StoreError),
}
from_checked!(SignInError);

impl SignInError {
    /// What it means to a door.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Denied(denied) => denied.kind(),
            Self::Refused => ErrorKind::Denied,
            Self::Spent | Self::NoAccount | Self::NoSession => ErrorKind::Absent,
            Self::Store(error) => ErrorKind::of_store(error),
        }
    }
}

impl Operations {
    /// Makes a link that signs an account in, once, within `valid` (7 days at most). For admins.
    pub async fn make_sign_in_link(
        &self,
        caller: &Caller,
        account: AccountId,
        valid: Duration,
    ) -> Result<SignInLink, SignInError> {
        let mut turn = self.begin(caller).await?;
        self.check_admin(caller).await?;
        let found = self.store.accounts().find_by_id(account).await?.ok_or(SignInError::NoAccount)?;
        if found.state != AccountState::Active {
            return Err(Denied::Suspended.into());
        }
        let now = turn.change.now();
        let token = self.token();
        let expires = now.plus(valid.min(LONGEST_LINK));
        let id = SignInLinkId::new(now, self.id_bytes());
        let new = NewSignInLink { id, token: token.hash(), account, expires };
        turn.change.sign_in_links().add(&new).await?;
        turn.change.commit().await?;
        Ok(SignInLink { token, expires })
    }

    /// Whom a link would sign in. It stays good.
    pub async fn find_sign_in_link(&self, token: &Token) -> Result<Account, SignInError> {
        let found = self.store.sign_in_links().find_account(token.hash(), self.now()).await?;
        found.ok_or(SignInError::Spent)
    }

    /// Signs in with a link, which is used up by that. For whoever has it.
    pub async fn sign_in_by_link(
        &self,
        caller: &Caller,
        token: &Token,
        browser: &Browser,
    ) -> Result<SignedIn, SignInError> {
        let mut turn = self.begin(caller).await?;
        let account = turn.change.sign_in_links().fulfill(token.hash()).await?.ok_or(SignInError::Spent)?;
        let token = self.add_session(&mut turn.change, account.id, browser).await?;
        turn.change.commit().await?;
        Ok(SignedIn { account, token })
    }

    /// Signs in with a name and a password. For anybody; the door limits how often.
    pub async fn sign_in_by_password(
        &self,
        caller: &Caller,
        name: &str,
        password: &str,
        browser: &Browser,
    ) -> Result<SignedIn, SignInError> {
        let account = match AccountName::parse(name) {
            Ok(name) => self.store.accounts().find_by_name(&name).await?,
            Err(_) => None,
        };
        // Suspended accounts have no hash either: the store gives none.
        let hash = match &account {
            Some(account) => self.store.accounts().find_password_hash(account.id).await?,
            None => None,
        };
        let is_right = self.passwords.matches(hash, password).await;
        let Some(account) = account.filter(|_| is_right) else { return Err(SignInError::Refused) };
        let caller = caller.become_account(account.id);
        let mut turn = self.begin(&caller).await?;
        let account = match self.own_account(&caller).await {
            Ok(account) => account,
            Err(Checked::Denied(_)) => return Err(SignInError::Refused),
            Err(Checked::Store(error)) => return Err(error.into()),
        };
        let token = self.add_session(&mut turn.change, account.id, browser).await?;
        turn.change.commit().await?;
        Ok(SignedIn { account, token })
    }

    /// Gives the caller's browser a new session with a new token, after something that matters changed.
    pub async fn renew_session(&self, caller: &Caller, browser: &Browser) -> Result<SignedIn, SignInError> {
        let mut turn = self.begin(caller).await?;
        let account = self.own_account(caller).await?;
        let token = self.add_session(&mut turn.change, account.id, browser).await?;
        turn.change.commit().await?;
        Ok(SignedIn { account, token })
    }

    /// The session of a token and its account, if both are good; its use is noted once a minute.
    pub async fn find_session(
        &self,
        token: &Token,
        address: Option<IpAddr>,
    ) -> Result<Option<(WebSession, Account)>, StoreError> {
        let now = self.now();
        let mut found = self.store.web_sessions().find_by_token(token.hash(), now).await?;
        if let Some((session, _)) = &mut found
            && (session.last_seen.plus(TOUCH) <= now || session.address != address)
        {
            self.store.web_sessions().touch(session.id, now, address).await?;
            (session.last_seen, session.address) = (now, address);
        }
        Ok(found)
    }

    /// The caller's own web sessions, the last used first.
    pub async fn web_sessions(&self, caller: &Caller) -> Result<Vec<WebSession>, SignInError> {
        let own = self.own_account(caller).await?;
        Ok(self.store.web_sessions().list(own.id, self.now()).await?)
    }

    /// Ends one of the caller's own web sessions, also the one in use (sign-out).
    pub async fn end_web_session(&self, caller: &Caller, session: WebSessionId) -> Result<(), SignInError> {
        let mut turn = self.begin(caller).await?;
        let own = self.own_account(caller).await?;
        if !turn.change.web_sessions().revoke(own.id, session).await? {
            return Err(SignInError::NoSession);
        }
        Ok(turn.change.commit().await?)
    }

    /// Ends all web sessions of an account and says how many. For itself and admins.
    pub async fn end_web_sessions(&self, caller: &Caller, account: AccountId) -> Result<u64, SignInError> {
        let mut turn = self.begin(caller).await?;
        self.check_self_or_admin(caller, account).await?;
        let ended = turn.change.web_sessions().revoke_all(account, None).await?;
        turn.change.commit().await?;
        Ok(ended)
    }

    /// Forgets web sessions and links that have ended by themselves; to be called now and then.
    pub async fn forget_expired(&self) -> Result<(), StoreError> {
        let mut turn = self.begin(&Caller::operator(hop_store::Through::Site)).await?;
        turn.change.web_sessions().remove_expired().await?;
        turn.change.sign_in_links().remove_expired().await?;
        turn.change.commit().await
    }

    /// A new session, and the end of the browser's old one.
    pub(super) async fn add_session(
        &self,
        change: &mut Change,
        account: AccountId,
        browser: &Browser,
    ) -> Result<Token, StoreError> {
        if let Some((of, had)) = browser.had {
            change.web_sessions().revoke(of, had).await?;
        }
        let now = change.now();
        let token = self.token();
        let new = NewWebSession {
            id: WebSessionId::new(now, self.id_bytes()),
            token: token.hash(),
            account,
            idle: self.rules.session_idle,
            expires: now.plus(self.rules.session_life),
            address: browser.address,
            user_agent: browser.user_agent.clone(),
        };
        change.web_sessions().add(&new).await?;
        Ok(token)
    }
}
