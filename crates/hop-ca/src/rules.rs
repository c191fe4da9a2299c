//! What the signer agrees to: first every *modify* rule in order, then every *validate* rule, each small and named.
//!
//! Must stay true: a request passes all rules before anything is signed; a rule never reads the network or a clock.

use hop_keys::{CertificateBuilder, CertificateKind, IssueError, KeyAlgorithm, KeyError, Permit, PublicKey};

use crate::authority::Authority;
use crate::request::{IssuedCertificate, UserRequest};

/// The bounds that a site sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// The longest that a user certificate lives, in seconds; longer wishes are cut to it.
    pub longest_life: u64,
    /// How far its beginning lies in the past, in seconds, for hosts whose clock is behind.
    pub backdate: u64,
    /// The smallest RSA key that is certified.
    pub least_rsa_bits: usize,
}

impl Default for Rules {
    fn default() -> Self {
        Self { longest_life: 7 * 86_400, backdate: 60, least_rsa_bits: 3072 }
    }
}

/// Why nothing was signed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The person is not an id.
    #[error("a certificate is for the id of an account: 32 lower-case hexadecimal digits")]
    Person,
    /// No number.
    #[error("a certificate needs a number above 0, by which it can be revoked")]
    Serial,
    /// No time.
    #[error("a certificate that is valid for no time is worth nothing")]
    Lifetime,
    /// Not a key.
    #[error("the key cannot be certified: {0}")]
    Key(#[from] KeyError),
    /// A weak key.
    #[error("the key has {bits} bits, and RSA keys need {least} or more")]
    WeakKey {
        /// Its size.
        bits: usize,
        /// The least.
        least: usize,
    },
    /// One of our own.
    #[error("a CA key cannot be certified")]
    CaKey,
    /// A field of the certificate.
    #[error(transparent)]
    Issue(#[from] IssueError),
}

type Modify = fn(&Rules, &mut UserRequest);
type Validate = fn(&Rules, &Authority, &UserRequest, &PublicKey) -> Result<(), Refusal>;

const MODIFY: &[Modify] = &[shorten];
const VALIDATE: &[Validate] = &[person, serial, lifetime, strong_key, foreign_key];

fn shorten(rules: &Rules, request: &mut UserRequest) {
    request.lifetime = request.lifetime.min(rules.longest_life);
}

fn person(_: &Rules, _: &Authority, request: &UserRequest, _: &PublicKey) -> Result<(), Refusal> {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let is_id = request.person.len() == 32 && request.person.bytes().all(digit);
    if is_id { Ok(()) } else { Err(Refusal::Person) }
}

fn serial(_: &Rules, _: &Authority, request: &UserRequest, _: &PublicKey) -> Result<(), Refusal> {
    if request.serial == 0 { Err(Refusal::Serial) } else { Ok(()) }
}

fn lifetime(_: &Rules, _: &Authority, request: &UserRequest, _: &PublicKey) -> Result<(), Refusal> {
    if request.lifetime == 0 { Err(Refusal::Lifetime) } else { Ok(()) }
}

fn strong_key(rules: &Rules, _: &Authority, _: &UserRequest, key: &PublicKey) -> Result<(), Refusal> {
    match key.rsa_bits() {
        Some(bits) if key.algorithm() == KeyAlgorithm::Rsa && bits < rules.least_rsa_bits => {
            Err(Refusal::WeakKey { bits, least: rules.least_rsa_bits })
        }
        _ => Ok(()),
    }
}

fn foreign_key(_: &Rules, authority: &Authority, _: &UserRequest, key: &PublicKey) -> Result<(), Refusal> {
    let ours = [&authority.user_ca, &authority.host_ca];
    if ours.iter().any(|ca| ca.public() == key) { Err(Refusal::CaKey) } else { Ok(()) }
}

impl Rules {
    /// Judges a request at `now` (Unix seconds) and signs what passed.
    pub fn sign_user(
        &self,
        authority: &Authority,
        request: &UserRequest,
        now: u64,
    ) -> Result<IssuedCertificate, Refusal> {
        let mut request = request.clone();
        for rule in MODIFY {
            rule(self, &mut request);
        }
        let (key, _) = PublicKey::parse_line(request.public_key.trim())?;
        for rule in VALIDATE {
            rule(self, authority, &request, &key)?;
        }
        let principal = format!("person:{}", request.person);
        let valid_after = now.saturating_sub(self.backdate);
        let valid_before = now.saturating_add(request.lifetime);
        let key_id = format!("{principal} {}", request.serial);
        let mut builder = CertificateBuilder::new(
            CertificateKind::User,
            key,
            &key_id,
            &[principal],
            valid_after,
            valid_before,
        )?
        .serial(request.serial);
        if let Some(command) = &request.force_command {
            builder = builder.force_command(command)?;
        }
        if let Some(list) = &request.source_address {
            builder = builder.source_address(list)?;
        }
        let permits = [
            (request.permits.pty, Permit::Pty),
            (request.permits.port_forwarding, Permit::PortForwarding),
            (request.permits.agent_forwarding, Permit::AgentForwarding),
            (request.permits.x11_forwarding, Permit::X11Forwarding),
        ];
        for (_, permit) in permits.into_iter().filter(|(wanted, _)| *wanted) {
            builder = builder.permit(permit);
        }
        let certificate = builder.sign(&authority.user_ca)?;
        Ok(IssuedCertificate {
            certificate: certificate.to_line("").trim().to_owned(),
            valid_after,
            valid_before,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Permits;
    use hop_keys::{Certificate, PrivateKey};

    const NOW: u64 = 1_800_000_000;

    fn request(key: &PrivateKey) -> UserRequest {
        UserRequest {
            person: "0123456789abcdef0123456789abcdef".to_owned(),
            serial: 7,
            public_key: key.public().to_line("ada@laptop"),
            lifetime: 3600,
            force_command: None,
            source_address: None,
            permits: Permits::default(),
        }
    }

    fn authority() -> Authority {
        let make = || PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
        Authority { user_ca: make(), host_ca: make() }
    }

    #[test]
    fn a_certificate_says_what_was_asked_for() {
        let (authority, key) = (authority(), PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap());
        let asked = UserRequest {
            force_command: Some("rsync --server .".to_owned()),
            source_address: Some("192.0.2.0/24".to_owned()),
            permits: Permits {
                pty: true,
                port_forwarding: false,
                agent_forwarding: false,
                x11_forwarding: false,
            },
            ..request(&key)
        };
        let issued = Rules::default().sign_user(&authority, &asked, NOW).unwrap();
        let (certificate, _) = Certificate::parse_line(&issued.certificate).unwrap();
        assert_eq!(certificate.serial(), 7);
        assert_eq!(certificate.principals(), ["person:0123456789abcdef0123456789abcdef"]);
        assert_eq!((issued.valid_after, issued.valid_before), (NOW - 60, NOW + 3600));
        assert_eq!(certificate.ca(), authority.user_ca.public());
        assert_eq!(certificate.critical_options().len(), 2);
        assert_eq!(certificate.extensions().len(), 1);
    }

    #[test]
    fn a_life_is_cut_to_the_longest() {
        let (authority, key) = (authority(), PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap());
        let asked = UserRequest { lifetime: u64::MAX, ..request(&key) };
        let issued = Rules::default().sign_user(&authority, &asked, NOW).unwrap();
        assert_eq!(issued.valid_before, NOW + 7 * 86_400);
    }

    #[test]
    fn what_the_rules_refuse() {
        let (authority, key) = (authority(), PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap());
        let refused = |change: fn(&mut UserRequest)| {
            let mut asked = request(&key);
            change(&mut asked);
            Rules::default().sign_user(&authority, &asked, NOW).unwrap_err()
        };
        for wrong in ["", "root", "0123456789ABCDEF0123456789ABCDEF", "0123456789abcdef0123456789abcde,"] {
            let asked = UserRequest { person: wrong.to_owned(), ..request(&key) };
            assert_eq!(Rules::default().sign_user(&authority, &asked, NOW).unwrap_err(), Refusal::Person);
        }
        assert_eq!(refused(|asked| asked.serial = 0), Refusal::Serial);
        assert_eq!(refused(|asked| asked.lifetime = 0), Refusal::Lifetime);
        assert!(matches!(refused(|asked| asked.public_key = "ssh-ed25519 AAAA".to_owned()), Refusal::Key(_)));
        assert!(matches!(refused(|asked| asked.force_command = Some("a\nb".to_owned())), Refusal::Issue(_)));
        assert!(matches!(refused(|asked| asked.source_address = Some("here".to_owned())), Refusal::Issue(_)));
        for ca in [&authority.user_ca, &authority.host_ca] {
            let asked = UserRequest { public_key: ca.public().to_line(""), ..request(&key) };
            assert_eq!(Rules::default().sign_user(&authority, &asked, NOW).unwrap_err(), Refusal::CaKey);
        }
    }
}
