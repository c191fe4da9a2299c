//! What a relay is told, and what it tells: both as JSON, so that it can run as a program.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use hop_keys::{load_certificate, load_private_key};
use hop_ssh::{Algorithms, HostKey, RekeyLimits, ServerConfig};
use serde::{Deserialize, Serialize};

use super::RelayError;

/// What a relay is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelayConfig {
    /// Private host keys; `FILE-cert.pub` beside one is its certificate.
    pub host_keys: Vec<PathBuf>,
    /// Names that clients may log in by.
    pub users: Vec<String>,
    /// Who may log in.
    pub authorized_keys: Vec<PathBuf>,
    /// CAs whose user certificates are accepted.
    pub trusted_user_cas: Vec<PathBuf>,
    /// The second leg.
    pub target: Target,
    /// Names of channel types and requests that do not cross.
    pub refuse: Vec<String>,
    /// Ciphers of both legs, best first; empty for the default.
    pub ciphers: Vec<String>,
    /// Keys of both legs are replaced after so many bytes; `None` leaves it to the cipher.
    pub rekey_bytes: Option<u64>,
    /// A leg that is silent for so many milliseconds is asked for a sign of life, three times.
    pub keepalive_ms: Option<u64>,
    /// After so many bytes on the client's leg the connection is handed to a fresh process, and this one ends.
    pub hand_over_after: Option<u64>,
}

/// Where the second leg leads.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Target {
    /// To an SSH server.
    Ssh {
        /// Where it listens.
        address: SocketAddr,
        /// Who we are there.
        user: String,
        /// The private key that proves it.
        key: PathBuf,
        /// Its host key, as in a known_hosts line: algorithm and key.
        host_key: String,
    },
    /// By a bare transport to the small server of [`crate::engine`], in the same process.
    Bare,
    /// By a bare transport to an endpoint that this process starts, as a site would: the endpoint inherits the
    /// listener.
    Site {
        /// `hop`.
        program: PathBuf,
        /// Where the listener is made.
        socket: PathBuf,
    },
}

/// What a relay tells, one line of JSON each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RelayEvent {
    /// It listens.
    Listening {
        /// Where.
        address: SocketAddr,
    },
    /// A client is logged in, and the second leg is up.
    Relaying {
        /// The client's identification line.
        software: String,
    },
    /// A connection ended, or never came to be.
    Ended {
        /// How.
        how: String,
    },
    /// A connection is with another process now.
    HandedOver {
        /// Its process id.
        process: u32,
    },
}

impl RelayConfig {
    /// A relay to `target` for the users and keys, with nothing refused and the engine's defaults.
    pub fn new(host_key: PathBuf, user: &str, authorized_keys: PathBuf, target: Target) -> Self {
        Self {
            host_keys: vec![host_key],
            users: vec![user.to_owned()],
            authorized_keys: vec![authorized_keys],
            trusted_user_cas: Vec::new(),
            target,
            refuse: Vec::new(),
            ciphers: Vec::new(),
            rekey_bytes: None,
            keepalive_ms: None,
            hand_over_after: None,
        }
    }

    pub(super) fn rekey(&self) -> RekeyLimits {
        RekeyLimits { bytes: self.rekey_bytes, ..RekeyLimits::default() }
    }

    pub(super) fn algorithms(&self) -> Algorithms {
        let names: Vec<&str> = self.ciphers.iter().map(String::as_str).collect();
        match names.as_slice() {
            [] => Algorithms::default(),
            names => Algorithms::default().with_ciphers(names),
        }
    }

    pub(super) fn keepalive(&self) -> Option<hop_ssh::relay::RelayKeepalive> {
        let every = Duration::from_millis(self.keepalive_ms?);
        Some(hop_ssh::relay::RelayKeepalive { every, most: 3 })
    }

    /// The side that clients see.
    pub(super) fn server(&self) -> Result<ServerConfig, RelayError> {
        let mut host_keys = Vec::new();
        for path in &self.host_keys {
            let private = load_private_key(path, None)?;
            let mut certificate = path.clone().into_os_string();
            certificate.push("-cert.pub");
            let certificate = PathBuf::from(certificate);
            host_keys.push(match certificate.exists() {
                true => HostKey::with_certificate(private, load_certificate(&certificate)?),
                false => HostKey::new(private),
            });
        }
        let mut server = ServerConfig::new(host_keys);
        server.algorithms = self.algorithms();
        server.rekey = self.rekey();
        "Relay_1".clone_into(&mut server.software);
        Ok(server)
    }
}
