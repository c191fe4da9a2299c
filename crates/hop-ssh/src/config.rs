//! What each side of a transport is told before it starts. Immutable once built, shared by all
//! connections.

use crate::algorithms::Algorithms;
use hop_keys::{Certificate, Identity, IdentityAlgorithm, PrivateKey};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// When keys are replaced.
#[derive(Clone, Copy, Debug)]
pub struct RekeyLimits {
    /// After this many bytes in one direction; `None` leaves it to the cipher.
    pub bytes: Option<u64>,
    /// After this long, if anything was sent at all.
    pub time: Duration,
}

impl Default for RekeyLimits {
    /// The cipher's own limit, and the hour of RFC 4253 section 9.
    fn default() -> Self {
        Self { bytes: None, time: Duration::from_secs(3600) }
    }
}

/// A host key of a server: the private key, and its certificate if it has one.
pub struct HostKey {
    private: PrivateKey,
    certificate: Option<Certificate>,
}

impl HostKey {
    /// A host key without certificate.
    pub fn new(private: PrivateKey) -> Self {
        Self { private, certificate: None }
    }

    /// A host key with a host certificate for it.
    pub fn with_certificate(private: PrivateKey, certificate: Certificate) -> Self {
        Self { private, certificate: Some(certificate) }
    }

    pub(crate) fn private(&self) -> &PrivateKey {
        &self.private
    }

    /// The plain public key, in wire form.
    pub(crate) fn public_blob(&self) -> &[u8] {
        self.private.public().blob()
    }

    pub(crate) fn blob_for(&self, algorithm: IdentityAlgorithm) -> &[u8] {
        match &self.certificate {
            Some(certificate) if algorithm.certificate => certificate.blob(),
            _ => self.public_blob(),
        }
    }

    fn serves(&self, algorithm: IdentityAlgorithm) -> bool {
        self.private.signature_algorithms().contains(&algorithm.signature)
            && (!algorithm.certificate || self.certificate.is_some())
    }
}

impl fmt::Debug for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostKey").field("public", self.private.public()).finish_non_exhaustive()
    }
}

/// The server's side.
#[derive(Debug)]
pub struct ServerConfig {
    /// At least one; the order does not matter, the client's preference decides.
    pub host_keys: Vec<HostKey>,
    /// The offer.
    pub algorithms: Algorithms,
    /// What follows `SSH-2.0-` in our identification: printable ASCII without spaces or minus signs.
    pub software: String,
    /// When keys are replaced.
    pub rekey: RekeyLimits,
}

impl ServerConfig {
    /// A server with these host keys and defaults for the rest.
    pub fn new(host_keys: Vec<HostKey>) -> Self {
        Self {
            host_keys,
            algorithms: Algorithms::default(),
            software: default_software(),
            rekey: RekeyLimits::default(),
        }
    }

    pub(crate) fn host_key(&self, algorithm: IdentityAlgorithm) -> Option<&HostKey> {
        self.host_keys.iter().find(|key| key.serves(algorithm))
    }
}

/// Judges the host key that a server offers. Its signature over the exchange has been verified.
pub trait VerifyHostKey: Send + Sync {
    /// `Err` carries the reason, for the person who reads the error.
    fn verify(&self, offered: &Identity) -> Result<(), String>;
}

impl<F: Fn(&Identity) -> Result<(), String> + Send + Sync> VerifyHostKey for F {
    fn verify(&self, offered: &Identity) -> Result<(), String> {
        self(offered)
    }
}

/// The client's side.
pub struct ClientConfig {
    /// The offer.
    pub algorithms: Algorithms,
    /// What follows `SSH-2.0-` in our identification.
    pub software: String,
    /// When keys are replaced.
    pub rekey: RekeyLimits,
    /// Judges the server's host key.
    pub verifier: Arc<dyn VerifyHostKey>,
}

impl ClientConfig {
    /// A client that accepts the host keys that `verifier` accepts, with defaults for the rest.
    pub fn new(verifier: Arc<dyn VerifyHostKey>) -> Self {
        Self {
            algorithms: Algorithms::default(),
            software: default_software(),
            rekey: RekeyLimits::default(),
            verifier,
        }
    }
}

impl fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientConfig").field("algorithms", &self.algorithms).finish_non_exhaustive()
    }
}

fn default_software() -> String {
    concat!("Grasshopper_", env!("CARGO_PKG_VERSION")).to_owned()
}

/// Which side of a transport we are.
#[derive(Clone, Debug)]
pub(crate) enum Side {
    Server(Arc<ServerConfig>),
    Client(Arc<ClientConfig>),
}

impl Side {
    pub(crate) fn is_server(&self) -> bool {
        matches!(self, Self::Server(_))
    }

    pub(crate) fn algorithms(&self) -> &Algorithms {
        match self {
            Self::Server(config) => &config.algorithms,
            Self::Client(config) => &config.algorithms,
        }
    }

    pub(crate) fn software(&self) -> &str {
        match self {
            Self::Server(config) => &config.software,
            Self::Client(config) => &config.software,
        }
    }

    pub(crate) fn rekey(&self) -> RekeyLimits {
        match self {
            Self::Server(config) => config.rekey,
            Self::Client(config) => config.rekey,
        }
    }

    /// What we can prove (server) or check (client) in a key exchange, best first.
    pub(crate) fn host_key_algorithms(&self) -> Vec<IdentityAlgorithm> {
        let offered = &self.algorithms().host_keys;
        match self {
            Self::Server(config) => {
                offered.iter().copied().filter(|name| config.host_key(*name).is_some()).collect()
            }
            Self::Client(_) => offered.clone(),
        }
    }
}
