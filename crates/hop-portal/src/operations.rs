//! Every change that a person makes to a site, whichever door it comes through: pages, REST API, `hop admin`.
//!
//! What must stay true:
//! - Each operation decides who may do it *inside* its change, from what the store says then, so that a right which
//!   was taken away a moment ago is not used.
//! - A project that the caller is no member of and a project that is not there get the same answer.
//! - Nothing secret is in an error, and nothing that was refused is stored.
//!
//! Dropped before it returns, an operation has happened wholly or not at all.

mod accounts;
mod caller;
mod certificates;
mod denied;
mod invitations;
mod key_urls;
mod keys;
mod members;
mod passwords;
mod pasted;
mod projects;
mod sessions;
mod sign_in;

use std::sync::Arc;
use std::time::Duration;

use hop_store::{Change, Environment, Store, StoreError, Timestamp, Token};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use accounts::{AccountError, OneAccountOnly};
pub use caller::Caller;
pub use certificates::{CertificateError, CertificateWish, Issued};
pub use denied::{Denied, ErrorKind};
pub use invitations::{InvitationError, InvitationView, Invited};
pub use key_urls::{KeyUrlError, KeyUrls, KeyUrlsError, Resolve};
pub use keys::{AddedKey, AddedKeys, KeyError, KeyPlace, KeySource, RefusedKey, RefusedKeyReason};
pub use members::MemberError;
pub use passwords::{PasswordCost, PasswordRule, Passwords};
pub use pasted::{KeyWarning, Pasted, PastedKey, PastedProblem, PastedReason, PrivateKeyPasted, parse_keys};
pub use projects::{ProjectError, ProjectStanding};
pub use sessions::SessionError;
pub use sign_in::{Browser, SignInError, SignInLink, SignedIn};

/// The time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Fills a buffer with random bytes that nobody can guess.
pub type Random = Arc<dyn Fn(&mut [u8]) + Send + Sync>;

/// What a site allows.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Whether every account may make projects, or only admins.
    pub accounts_make_projects: bool,
    /// Whether owners may invite people who have no account yet to their project, or only admins.
    pub owners_invite: bool,
    /// Whether a project's processes are kept from reading what others have. Where not, the site has one account only.
    pub sandbox: bool,
    /// Projects of which one account may be an owner, beyond which it makes no more.
    pub most_projects: usize,
    /// Keys that one account or one project may have.
    pub most_keys: usize,
    /// Open invitations that one project may have.
    pub most_invitations: u32,
    /// What new projects run in.
    pub environment: Environment,
    /// How long a browser may be idle before its person must sign in again.
    pub session_idle: Duration,
    /// How long a browser stays signed in at most.
    pub session_life: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        let settings = serde_json::json!({ "network": "none" });
        Self {
            accounts_make_projects: true,
            owners_invite: true,
            sandbox: true,
            most_projects: 50,
            most_keys: 100,
            most_invitations: 50,
            environment: Environment { kind: "process".to_owned(), settings },
            session_idle: DAY * 7,
            session_life: DAY * 30,
        }
    }
}

/// The operations of a site. Clones share everything.
#[derive(Clone)]
pub struct Operations {
    store: Store,
    clock: Clock,
    random: Random,
    rules: Arc<Rules>,
    passwords: Passwords,
    turn: Arc<Semaphore>,
}

/// A change whose turn it is.
struct Turn {
    change: Change,
    _turn: OwnedSemaphorePermit,
}

impl Operations {
    /// Operations on a store. The clock and chance are parameters.
    pub fn new(store: Store, clock: Clock, random: Random, rules: Rules, passwords: Passwords) -> Self {
        let turn = Arc::new(Semaphore::new(1));
        Self { store, clock, random, rules: Arc::new(rules), passwords, turn }
    }

    /// The store, for reading.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// What the site allows.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Begins a change. Operations of this process follow one another already here: each reads on another connection
    /// what its change may rely on, and those who wait must not hold all of them.
    async fn begin(&self, caller: &Caller) -> Result<Turn, StoreError> {
        let turn = self.turn.clone().acquire_owned().await;
        // The semaphore is never closed; were it, the change would be no less safe.
        let turn = turn.map_err(|_| StoreError::Broken)?;
        let change = self.store.change(caller.actor().clone(), self.now()).await?;
        Ok(Turn { change, _turn: turn })
    }

    /// Ten random bytes, for an id.
    fn id_bytes(&self) -> [u8; 10] {
        let mut bytes = [0; 10];
        (self.random)(&mut bytes);
        bytes
    }

    /// A new secret.
    fn token(&self) -> Token {
        let mut bytes = [0; 32];
        (self.random)(&mut bytes);
        Token::from_bytes(bytes)
    }
}

impl std::fmt::Debug for Operations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operations").field("store", &self.store).field("rules", &self.rules).finish()
    }
}
