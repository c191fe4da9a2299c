//! Passwords: argon2id, on threads where waiting harms nobody, a few at a time.
//!
//! What must stay true: a check takes the same work whether there is a hash to check against or not, and a password is
//! never in an error or a log.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash as Phc;
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use hop_store::PasswordHash;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::Random;

/// The shortest password, in characters (NIST SP 800-63B asks for 8 beside a second factor; there is none here).
const LEAST: usize = 10;
/// The longest, in bytes: nobody types more.
const MOST: usize = 1_024;

/// What one hash costs.
#[derive(Debug, Clone, Copy)]
pub struct PasswordCost {
    /// Memory of one hash, in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Hashes computed at once; others wait.
    pub at_once: usize,
}

impl Default for PasswordCost {
    /// The first choice of the OWASP password storage cheat sheet that fits a small machine: 19 MiB, 2 passes.
    fn default() -> Self {
        Self { memory_kib: 19 * 1_024, passes: 2, at_once: 2 }
    }
}

/// Why a password is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordRule {
    /// Too short to be one.
    #[error("a password has at least {LEAST} characters; a few words do well")]
    Short,
    /// Longer than anybody types.
    #[error("a password has at most {MOST} bytes")]
    Long,
    /// The hash could not be computed: no memory for it.
    #[error("the password could not be hashed; try again")]
    Hash,
}

/// Hashes passwords and checks them. Clones share the limit.
#[derive(Clone)]
pub struct Passwords {
    hasher: Arc<Argon2<'static>>,
    /// What is checked against where there is no hash, so that an account without one takes as long.
    decoy: Arc<str>,
    at_once: Arc<Semaphore>,
}

impl Passwords {
    /// With this cost. `random` salts the decoy. Costs outside of what argon2 defines fall back to the default.
    pub fn new(cost: PasswordCost, random: &Random) -> Self {
        let params = Params::new(cost.memory_kib, cost.passes, 1, None).unwrap_or_default();
        let hasher = Arc::new(Argon2::new(Algorithm::Argon2id, Version::V0x13, params));
        let mut nobodys = [0; 32];
        random(&mut nobodys);
        let decoy = hash_now(&hasher, &nobodys, random).unwrap_or_default();
        Self { hasher, decoy: decoy.into(), at_once: Arc::new(Semaphore::new(cost.at_once.max(1))) }
    }

    /// The hash of a new password, if it obeys the rules.
    pub(super) async fn hash(&self, password: &str, random: &Random) -> Result<PasswordHash, PasswordRule> {
        if password.chars().count() < LEAST {
            return Err(PasswordRule::Short);
        }
        if password.len() > MOST {
            return Err(PasswordRule::Long);
        }
        let password = Zeroizing::new(password.as_bytes().to_vec());
        let (hasher, random) = (self.hasher.clone(), random.clone());
        let hashed = self.run(move || hash_now(&hasher, &password, &random)).await.flatten();
        hashed.map(PasswordHash::new).ok_or(PasswordRule::Hash)
    }

    /// Whether this is the password of that hash; without a hash it never is, after the same work.
    pub(super) async fn matches(&self, hash: Option<PasswordHash>, password: &str) -> bool {
        let long = password.len() > MOST;
        let password = Zeroizing::new(password.bytes().take(MOST).collect::<Vec<u8>>());
        let is_known = hash.is_some() && !long;
        let text = hash.map_or_else(|| self.decoy.to_string(), |hash| hash.expose_secret().to_owned());
        let hasher = self.hasher.clone();
        let is_same = self.run(move || {
            // The hash names its own cost: an old one stays good when the site's cost changes.
            Phc::new(&text).is_ok_and(|hash| hasher.verify_password(&password, &hash).is_ok())
        });
        is_same.await.unwrap_or(false) && is_known
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let place = self.at_once.clone().acquire_owned().await.ok()?;
        let done = tokio::task::spawn_blocking(move || {
            // The place is free when the work is done, not when somebody stops waiting for it.
            let _place = place;
            work()
        });
        done.await.ok()
    }
}

fn hash_now(hasher: &Argon2<'_>, password: &[u8], random: &Random) -> Option<String> {
    let mut salt = [0; 16];
    random(&mut salt);
    let hash: Phc = hasher.hash_password_with_salt(password, &salt).ok()?;
    Some(hash.to_string())
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passwords")
    }
}
