//! The protocol's state machines, driven by scripts: any bytes are a script of what a hostile peer sends, what
//! its counterpart does meanwhile, how far writes get and how time passes. Fuzz targets and property tests run
//! the same scripts; an input that once failed is kept as a test beside the code it failed in.
//!
//! Not part of the API: compiled for tests and with the feature `fuzzing` only. A script that breaks a promise
//! of the code (a bound, a wake-up, an order) ends in a panic.

pub use crate::auth::script::{client_auth, honest_login, server_auth};
pub use crate::bare::script::bare;
pub use crate::connection::script::connection;
pub use crate::export::script::{import, states};
pub use crate::relay::script::relay;
pub use crate::transport::script::{after_keys, before_keys};

use hop_keys::PrivateKey;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Wake, Waker};

/// Reads a script front to back; it never ends early, behind its end there are zeros.
#[derive(Clone, Debug)]
pub(crate) struct Script<'a> {
    rest: &'a [u8],
}

impl<'a> Script<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next step's number; `None` at the end.
    pub(crate) fn step(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.step().unwrap_or_default()
    }

    /// A number with more small values than large ones: up to about a million.
    pub(crate) fn amount(&mut self) -> usize {
        let (bits, low) = (self.byte(), self.byte());
        usize::from(low) << (bits % 13)
    }

    /// Bytes with their length (16 bits) before them; cut where the script ends.
    pub(crate) fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(u16::from_be_bytes([self.byte(), self.byte()]));
        let (taken, rest) = self.rest.split_at(length.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    /// What is left.
    pub(crate) fn remainder(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }
}

/// A waker that remembers.
#[derive(Debug, Default)]
pub(crate) struct Flag(AtomicBool);

impl Flag {
    pub(crate) fn new() -> (Arc<Self>, Waker) {
        let flag = Arc::new(Self::default());
        (flag.clone(), flag.into())
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn clear(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The host key of all scripts: the same in every run, or what was found once could not be found again.
pub(crate) fn host_key() -> PrivateKey {
    PrivateKey::from_openssh(HOST_KEY, None).expect("ssh-keygen made it")
}

/// The only user's key whose signatures scripts can have.
pub(crate) fn user_key() -> &'static PrivateKey {
    static KEY: OnceLock<PrivateKey> = OnceLock::new();
    KEY.get_or_init(|| PrivateKey::from_openssh(USER_KEY, None).expect("ssh-keygen made it"))
}

// Made for this file; they open nothing.
const HOST_KEY: &str = "\
-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW
QyNTUxOQAAACBbGrMz9ur2QP/rfe+0CRMmdsQP8lHzB/YfCS2aeFkcqQAAAIiSDotQkg6L
UAAAAAtzc2gtZWQyNTUxOQAAACBbGrMz9ur2QP/rfe+0CRMmdsQP8lHzB/YfCS2aeFkcqQ
AAAEDoiWfl5WPFgSGg7jti5vhIurE319J8qtKyZAp92tA6PFsaszP26vZA/+t977QJEyZ2
xA/yUfMH9h8JLZp4WRypAAAABGhvc3QB
-----END OPENSSH PRIVATE KEY-----
";
const USER_KEY: &str = "\
-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW
QyNTUxOQAAACD5dE5SFsma/Gmg/zjq66ZhV99SzpdtMDMDb/+R8sNHJgAAAIjGaMrbxmjK
2wAAAAtzc2gtZWQyNTUxOQAAACD5dE5SFsma/Gmg/zjq66ZhV99SzpdtMDMDb/+R8sNHJg
AAAED7j/aS1f3RFt/+mtNsrJzyt7VtxF4tLSiexyg6L1sgCPl0TlIWyZr8aaD/OOrrpmFX
31LOl20wMwNv/5Hyw0cmAAAABHVzZXIB
-----END OPENSSH PRIVATE KEY-----
";
