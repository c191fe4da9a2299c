//! Which algorithms are offered, as data: names in order of preference, and the negotiation of
//! RFC 4253 section 7.1 over them.

use crate::crypto::agreement::Method;
use crate::crypto::cipher::{Cipher, Mac};
use crate::error::Error;
use crate::kex::init::PeerInit;
use hop_keys::{IdentityAlgorithm, SignatureAlgorithm};

/// A named list of algorithms of one kind, best first.
type Named<T> = &'static [(&'static str, T)];

const KEX: Named<Method> = &[
    ("mlkem768x25519-sha256", Method::MlKem768X25519),
    ("curve25519-sha256", Method::Curve25519),
    ("curve25519-sha256@libssh.org", Method::Curve25519),
];
const KEX_COMPATIBLE: Named<Method> = &[
    ("ecdh-sha2-nistp256", Method::EcdhNistp256),
    ("ecdh-sha2-nistp384", Method::EcdhNistp384),
    ("ecdh-sha2-nistp521", Method::EcdhNistp521),
];
const CIPHERS: Named<Cipher> = &[
    ("aes256-gcm@openssh.com", Cipher::Aes256Gcm),
    ("aes128-gcm@openssh.com", Cipher::Aes128Gcm),
    ("chacha20-poly1305@openssh.com", Cipher::ChaCha20Poly1305),
    ("aes256-ctr", Cipher::Aes256Ctr),
    ("aes192-ctr", Cipher::Aes192Ctr),
    ("aes128-ctr", Cipher::Aes128Ctr),
];
const MACS: Named<Mac> = &[
    ("hmac-sha2-256-etm@openssh.com", Mac::HmacSha256Etm),
    ("hmac-sha2-512-etm@openssh.com", Mac::HmacSha512Etm),
];
const MACS_COMPATIBLE: Named<Mac> = &[("hmac-sha2-256", Mac::HmacSha256), ("hmac-sha2-512", Mac::HmacSha512)];

const fn plain(signature: SignatureAlgorithm) -> IdentityAlgorithm {
    IdentityAlgorithm { signature, certificate: false }
}
const fn certified(signature: SignatureAlgorithm) -> IdentityAlgorithm {
    IdentityAlgorithm { signature, certificate: true }
}

const HOST_KEYS: &[IdentityAlgorithm] = &[
    certified(SignatureAlgorithm::Ed25519),
    certified(SignatureAlgorithm::RsaSha512),
    certified(SignatureAlgorithm::RsaSha256),
    plain(SignatureAlgorithm::Ed25519),
    plain(SignatureAlgorithm::RsaSha512),
    plain(SignatureAlgorithm::RsaSha256),
];
const HOST_KEYS_COMPATIBLE: &[IdentityAlgorithm] = &[
    certified(SignatureAlgorithm::EcdsaNistp256),
    certified(SignatureAlgorithm::EcdsaNistp384),
    certified(SignatureAlgorithm::EcdsaNistp521),
    plain(SignatureAlgorithm::EcdsaNistp256),
    plain(SignatureAlgorithm::EcdsaNistp384),
    plain(SignatureAlgorithm::EcdsaNistp521),
];
/// Signatures accepted from users, best first; also the value of `server-sig-algs` (RFC 8308).
pub const USER_SIGNATURES: &[SignatureAlgorithm] = &[
    SignatureAlgorithm::Ed25519,
    SignatureAlgorithm::SkEd25519,
    SignatureAlgorithm::EcdsaNistp256,
    SignatureAlgorithm::EcdsaNistp384,
    SignatureAlgorithm::EcdsaNistp521,
    SignatureAlgorithm::SkEcdsaNistp256,
    SignatureAlgorithm::RsaSha512,
    SignatureAlgorithm::RsaSha256,
];

/// The algorithms that one side offers.
#[derive(Clone, Debug)]
pub struct Algorithms {
    pub(crate) kex: Vec<(&'static str, Method)>,
    pub(crate) host_keys: Vec<IdentityAlgorithm>,
    pub(crate) ciphers: Vec<(&'static str, Cipher)>,
    pub(crate) macs: Vec<(&'static str, Mac)>,
}

impl Default for Algorithms {
    /// What no current audit objects to: no SHA-1, no CBC, no NIST curves, no encrypt-and-MAC.
    fn default() -> Self {
        Self {
            kex: KEX.to_vec(),
            host_keys: HOST_KEYS.to_vec(),
            ciphers: CIPHERS.to_vec(),
            macs: MACS.to_vec(),
        }
    }
}

impl Algorithms {
    /// The default offer, and behind it what older peers need: ECDH on NIST curves, ECDSA host keys,
    /// plain HMAC-SHA2.
    pub fn compatible() -> Self {
        let mut offer = Self::default();
        offer.kex.extend_from_slice(KEX_COMPATIBLE);
        offer.host_keys.extend_from_slice(HOST_KEYS_COMPATIBLE);
        offer.macs.extend_from_slice(MACS_COMPATIBLE);
        offer
    }

    /// The host key algorithms, best first.
    pub fn host_keys(&self) -> &[IdentityAlgorithm] {
        &self.host_keys
    }

    /// Keeps only the given host key algorithms, in the given order: a client puts those first for which it
    /// has a key of the host on record, or it takes the host's other key for a changed one.
    pub fn with_host_keys(mut self, order: &[IdentityAlgorithm]) -> Self {
        self.host_keys = order.iter().copied().filter(|wanted| self.host_keys.contains(wanted)).collect();
        self
    }

    /// Keeps only the named ciphers, in the given order; for benchmarks and tests that pin one.
    /// Names that we do not have are left out.
    pub fn with_ciphers(mut self, names: &[&str]) -> Self {
        self.ciphers = names.iter().filter_map(|name| find(CIPHERS, name)).collect();
        self
    }

    /// Keeps only the named MACs, in the given order.
    pub fn with_macs(mut self, names: &[&str]) -> Self {
        self.macs = names
            .iter()
            .filter_map(|name| find(MACS, name).or_else(|| find(MACS_COMPATIBLE, name)))
            .collect();
        self
    }

    /// Keeps only the named key exchange methods, in the given order.
    pub fn with_kex(mut self, names: &[&str]) -> Self {
        self.kex =
            names.iter().filter_map(|name| find(KEX, name).or_else(|| find(KEX_COMPATIBLE, name))).collect();
        self
    }
}

fn find<T: Copy>(list: Named<T>, name: &str) -> Option<(&'static str, T)> {
    list.iter().copied().find(|(known, _)| *known == name)
}

/// What both sides came to use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Negotiated {
    pub(crate) kex: Method,
    pub(crate) host_key: IdentityAlgorithm,
    pub(crate) client_to_server: Suite,
    pub(crate) server_to_client: Suite,
    /// Whether a packet that the peer sent on a guess is for other algorithms and must be dropped.
    pub(crate) drop_guess: bool,
}

/// The packet protection of one direction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Suite {
    pub(crate) cipher: Cipher,
    pub(crate) mac: Option<Mac>,
}

/// Chooses as RFC 4253 section 7.1 says: the client's first name that the server has too.
/// `host_keys` is our list: what we can sign with as server, what we accept as client.
pub(crate) fn negotiate(
    we_are_server: bool,
    ours: &Algorithms,
    host_keys: &[IdentityAlgorithm],
    theirs: &PeerInit<'_>,
) -> Result<Negotiated, Error> {
    let pick = Pick { we_are_server };
    let host_key_names: Vec<(&'static str, IdentityAlgorithm)> =
        host_keys.iter().map(|algorithm| (algorithm.name(), *algorithm)).collect();

    let kex = pick.one("key exchange method", &ours.kex, theirs.kex)?;
    let host_key = pick.one("host key algorithm", &host_key_names, theirs.host_keys)?;
    let suite = |ciphers, macs| -> Result<Suite, Error> {
        let cipher = pick.one("cipher", &ours.ciphers, ciphers)?;
        let mac = match cipher.needs_mac() {
            true => Some(pick.one("MAC", &ours.macs, macs)?),
            false => None,
        };
        Ok(Suite { cipher, mac })
    };
    pick.one("compression method", &[("none", ())], theirs.compression_client_to_server)?;
    pick.one("compression method", &[("none", ())], theirs.compression_server_to_client)?;

    // RFC 4253 section 7: a guess is right only if both sides' first kex and host key names agree.
    let first_of_ours =
        (ours.kex.first().map(|(name, _)| *name), host_key_names.first().map(|(name, _)| *name));
    let first_of_theirs = (theirs.kex.split(',').next(), theirs.host_keys.split(',').next());
    Ok(Negotiated {
        kex,
        host_key,
        client_to_server: suite(theirs.ciphers_client_to_server, theirs.macs_client_to_server)?,
        server_to_client: suite(theirs.ciphers_server_to_client, theirs.macs_server_to_client)?,
        drop_guess: theirs.first_kex_packet_follows && first_of_ours != first_of_theirs,
    })
}

struct Pick {
    we_are_server: bool,
}

impl Pick {
    fn one<T: Copy>(&self, what: &'static str, ours: &[(&'static str, T)], theirs: &str) -> Result<T, Error> {
        let found = if self.we_are_server {
            theirs.split(',').find_map(|name| ours.iter().find(|(known, _)| *known == name))
        } else {
            ours.iter().find(|(known, _)| theirs.split(',').any(|name| name == *known))
        };
        found.map(|(_, value)| *value).ok_or_else(|| Error::NoCommonAlgorithm {
            what,
            ours: ours.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(","),
            theirs: theirs.chars().take(1024).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_order_decides_on_both_sides() {
        let server = Pick { we_are_server: true };
        let client = Pick { we_are_server: false };
        let ours = [("a", 1), ("b", 2), ("c", 3)];
        assert_eq!(server.one("x", &ours, "c,b").unwrap(), 3);
        assert_eq!(client.one("x", &ours, "c,b").unwrap(), 2);
        let none = client.one("x", &ours, "d,e").unwrap_err().to_string();
        assert_eq!(none, "no x in common: we offer a,b,c, the peer offers d,e");
    }

    #[test]
    fn the_default_offer_has_no_weak_name() {
        let offer = Algorithms::default();
        let names = offer.kex.iter().map(|(n, _)| *n).chain(offer.macs.iter().map(|(n, _)| *n));
        for name in names.chain(offer.ciphers.iter().map(|(n, _)| *n)) {
            for weak in ["sha1", "cbc", "nistp", "md5", "group"] {
                assert!(!name.contains(weak), "{name}");
            }
        }
    }
}
