//! Somebody who guesses keys: many connections at a time from one address, each offering a key that opens nothing.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hop_keys::{Identity, KeyAlgorithm, PrivateKey};
use hop_ssh::ClientConfig;
use hop_ssh::auth::Offer;
use hop_ssh::driver::ClientLogin;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::client::Signer;
use crate::detour::connect_from;

/// From where to where, as whom, and how many connections at a time.
#[derive(Debug, Clone)]
pub struct AttackPlan {
    /// The attacker's address.
    pub from: IpAddr,
    /// The server's.
    pub to: SocketAddr,
    /// The user name.
    pub user: String,
    /// Connections at a time.
    pub at_once: usize,
}

/// An attack. It ends when this is dropped.
#[derive(Debug)]
pub struct Attack {
    goes_on: watch::Sender<bool>,
    refused: Arc<AtomicU64>,
    _guessers: JoinSet<()>,
}

impl Attack {
    /// Begins at once, on this runtime.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn begin(plan: &AttackPlan) -> Result<Self, hop_keys::PrivateKeyError> {
        // What is refused is refused alike, whichever it is.
        let key = Arc::new(PrivateKey::generate(KeyAlgorithm::Ed25519)?);
        let (goes_on, going_on) = watch::channel(true);
        let refused = Arc::new(AtomicU64::new(0));
        let mut guessers = JoinSet::new();
        for _ in 0..plan.at_once {
            let (plan, key, refused, mut going_on) =
                (plan.clone(), key.clone(), refused.clone(), going_on.clone());
            guessers.spawn(async move {
                while going_on.wait_for(|goes_on| *goes_on).await.is_ok() {
                    guess(&plan, &key).await;
                    refused.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        Ok(Self { goes_on, refused, _guessers: guessers })
    }

    /// No new connections for a while, or again.
    pub fn pause(&self, pause: bool) {
        self.goes_on.send_replace(!pause);
    }

    /// Connections that were refused or cut so far.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

/// One connection, to its end. It is over when it is refused, for whatever reason.
async fn guess(plan: &AttackPlan, key: &Arc<PrivateKey>) {
    let config = ClientConfig::new(Arc::new(|_: &Identity| Ok(())));
    let Ok(stream) = connect_from(plan.from, plan.to).await else { return };
    let Ok(login) = ClientLogin::connect(stream, Arc::new(config)).await else { return };
    let offer = Offer::Key(Identity::Key(key.public().clone()));
    let _refused = login.authenticate(&plan.user, [offer], &mut Signer(key.clone())).await;
}
