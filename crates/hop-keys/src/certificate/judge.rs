//! Whether a certificate is to be believed, with the verdicts of OpenSSH's sshd and ssh.
//!
//! What must stay true: a [`JudgedCertificate`] or [`JudgedHostCertificate`] exists only after every rule was
//! passed, and what is not understood refuses, except extensions, which by definition only grant.

use std::net::IpAddr;

use hop_model::{Permissions, PermitListen, PermitOpen, wildcard_match};

use super::{
    Certificate, CertificateKind, CertificateOption, CertificateSignatureError, FORCE_COMMAND,
    NO_TOUCH_REQUIRED, Permit, SOURCE_ADDRESS, VERIFY_REQUIRED,
};
use crate::address::{PatternError, SourceAddresses};
use crate::algorithm::SignatureAlgorithm;
use crate::fingerprint::Fingerprint;
use crate::krl::{RevocationList, Revoked};
use crate::public_key::PublicKey;
use crate::token::TokenPolicy;
use crate::wire::{Reader, printable};

/// Which certificates are believed at all.
#[derive(Debug, Clone, Copy)]
pub struct CertificatePolicy<'a> {
    /// The CAs that are trusted for this kind of certificate.
    pub cas: &'a [PublicKey],
    /// How they may sign.
    pub ca_signatures: &'a [SignatureAlgorithm],
    /// What was revoked since. Where a list is configured and cannot be read, nothing may be judged at all.
    pub revocations: Option<&'a RevocationList>,
    /// Critical options, beyond OpenSSH's own, that the caller reads and enforces.
    pub understood: &'a [&'a str],
}

/// A user certificate that is believed, and what it grants.
#[derive(Debug, Clone)]
pub struct JudgedCertificate {
    permissions: Permissions,
    token: TokenPolicy,
    source_addresses: Option<SourceAddresses>,
    understood: Vec<(String, String)>,
    principal: String,
    key_id: String,
    serial: u64,
    ca: Fingerprint,
    valid_before: u64,
}

impl JudgedCertificate {
    /// What a session may do.
    pub fn permissions(&self) -> &Permissions {
        &self.permissions
    }

    /// What a FIDO key has to attest with its signature.
    pub fn token(&self) -> TokenPolicy {
        self.token
    }

    /// Where logins may come from; `None` for everywhere. The address judged is one of them.
    pub fn source_addresses(&self) -> Option<&SourceAddresses> {
        self.source_addresses.as_ref()
    }

    /// The value of one of the critical options that the caller's policy understands, if the certificate has it. To
    /// enforce it is the caller's duty.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.understood.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The accepted principal that it names.
    pub fn principal(&self) -> &str {
        &self.principal
    }

    /// The CA's text for logs, escaped and bounded.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The CA's number for it.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// Who signed it.
    pub fn ca(&self) -> Fingerprint {
        self.ca
    }

    /// First second after its validity (Unix time).
    pub fn valid_before(&self) -> u64 {
        self.valid_before
    }
}

/// A host certificate that is believed for the name asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JudgedHostCertificate {
    ca: Fingerprint,
    key_id: String,
    valid_before: u64,
}

impl JudgedHostCertificate {
    /// Who signed it.
    pub fn ca(&self) -> Fingerprint {
        self.ca
    }

    /// The CA's text for logs, escaped and bounded.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// First second after its validity (Unix time).
    pub fn valid_before(&self) -> u64 {
        self.valid_before
    }
}

impl Certificate {
    /// Judges it as a login's proof: `principals` are the names that this login may use, `address` is where
    /// the client is (`None` where that is not known, as on a pipe), `now` is Unix time in seconds.
    ///
    /// The signature of the *login* is not part of this; a FIDO key's must also pass
    /// [`JudgedCertificate::token`].
    pub fn judge_user(
        &self,
        policy: &CertificatePolicy<'_>,
        principals: &[impl AsRef<str>],
        address: Option<IpAddr>,
        now: u64,
    ) -> Result<JudgedCertificate, CertificateRefusal> {
        self.judge_authority(policy, CertificateKind::User, now)?;
        let accepted =
            self.principals.iter().find(|name| principals.iter().any(|own| own.as_ref() == **name));
        let principal = accepted.ok_or_else(|| self.principal_mismatch(principals))?;
        let mut judged = JudgedCertificate {
            permissions: Permissions::none(),
            token: TokenPolicy::default(),
            source_addresses: None,
            understood: Vec::new(),
            principal: principal.clone(),
            key_id: printable(self.key_id.as_bytes()),
            serial: self.serial,
            ca: self.ca.fingerprint(),
            valid_before: self.valid_before,
        };
        read_critical_options(&mut judged, &self.critical_options, policy.understood)?;
        read_extensions(&mut judged, &self.extensions)?;
        if let Some(sources) = &judged.source_addresses
            && !address.is_some_and(|address| sources.contains(address))
        {
            return Err(CertificateRefusal::SourceAddress { address });
        }
        Ok(judged)
    }

    /// Judges it as a server's proof of being `host` (lower case, without port). Principals of host
    /// certificates may have wildcards, as in OpenSSH since 10.3. `policy.cas` are the CAs that known_hosts
    /// trusts for this host.
    pub fn judge_host(
        &self,
        policy: &CertificatePolicy<'_>,
        host: &str,
        now: u64,
    ) -> Result<JudgedHostCertificate, CertificateRefusal> {
        self.judge_authority(policy, CertificateKind::Host, now)?;
        let host = host.to_ascii_lowercase();
        if !self.principals.iter().any(|name| wildcard_match(name.as_bytes(), host.as_bytes())) {
            return Err(self.principal_mismatch(&[host]));
        }
        // OpenSSH defines no critical option for hosts, so there is none to understand.
        if let Some(option) = self.critical_options.first() {
            return Err(CertificateRefusal::UnknownOption { name: printable(&option.name) });
        }
        Ok(JudgedHostCertificate {
            ca: self.ca.fingerprint(),
            key_id: printable(self.key_id.as_bytes()),
            valid_before: self.valid_before,
        })
    }

    /// The rules that user and host certificates share.
    fn judge_authority(
        &self,
        policy: &CertificatePolicy<'_>,
        kind: CertificateKind,
        now: u64,
    ) -> Result<(), CertificateRefusal> {
        if !policy.cas.contains(&self.ca) {
            return Err(CertificateRefusal::UntrustedCa { ca: self.ca.fingerprint() });
        }
        let algorithm = self.ca_signature_algorithm()?;
        if !policy.ca_signatures.contains(&algorithm) {
            return Err(CertificateRefusal::CaSignature { algorithm: algorithm.name() });
        }
        self.verify_signature()?;
        if self.kind != kind {
            return Err(CertificateRefusal::Kind { wanted: kind });
        }
        if let Some(revoked) = policy.revocations.and_then(|list| list.find_certificate(self)) {
            return Err(CertificateRefusal::Revoked(revoked));
        }
        if now < self.valid_after {
            return Err(CertificateRefusal::NotYetValid { valid_after: self.valid_after, now });
        }
        if now >= self.valid_before {
            return Err(CertificateRefusal::Expired { valid_before: self.valid_before, now });
        }
        if self.principals.is_empty() {
            return Err(CertificateRefusal::NoPrincipals);
        }
        let unclean = |name: &&String| {
            name.is_empty() || name.chars().any(|letter| letter == ',' || letter.is_control())
        };
        match self.principals.iter().find(unclean) {
            Some(name) => Err(CertificateRefusal::Principal { principal: printable(name.as_bytes()) }),
            None => Ok(()),
        }
    }

    fn principal_mismatch(&self, wanted: &[impl AsRef<str>]) -> CertificateRefusal {
        let list = |names: &mut dyn Iterator<Item = &str>| {
            let names: Vec<&str> = names.take(8).collect();
            printable(names.join(",").as_bytes())
        };
        CertificateRefusal::PrincipalMismatch {
            listed: list(&mut self.principals.iter().map(String::as_str)),
            wanted: list(&mut wanted.iter().map(AsRef::as_ref)),
        }
    }
}

fn read_critical_options(
    judged: &mut JudgedCertificate,
    options: &[CertificateOption],
    understood: &[&str],
) -> Result<(), CertificateRefusal> {
    for (at, option) in options.iter().enumerate() {
        if options.iter().take(at).any(|earlier| earlier.name == option.name) {
            return Err(CertificateRefusal::RepeatedOption { name: printable(&option.name) });
        }
        match std::str::from_utf8(&option.name) {
            Ok(FORCE_COMMAND) => {
                judged.permissions.force_command = Some(value(option)?.to_owned());
            }
            Ok(SOURCE_ADDRESS) => {
                let list = SourceAddresses::parse(value(option)?);
                judged.source_addresses = Some(list.map_err(CertificateRefusal::SourceList)?);
            }
            Ok(VERIFY_REQUIRED) => {
                no_value(option)?;
                judged.token.verification_required = true;
            }
            Ok(name) if understood.contains(&name) => {
                judged.understood.push((name.to_owned(), value(option)?.to_owned()));
            }
            _ => return Err(CertificateRefusal::UnknownOption { name: printable(&option.name) }),
        }
    }
    Ok(())
}

fn read_extensions(
    judged: &mut JudgedCertificate,
    extensions: &[CertificateOption],
) -> Result<(), CertificateRefusal> {
    for extension in extensions {
        let Ok(name) = std::str::from_utf8(&extension.name) else { continue };
        let permissions = &mut judged.permissions;
        if name == NO_TOUCH_REQUIRED {
            judged.token.touch_required = false;
        } else if let Some(permit) = Permit::ALL.into_iter().find(|permit| permit.name() == name) {
            match permit {
                Permit::Pty => permissions.pty = true,
                Permit::AgentForwarding => permissions.agent_forwarding = true,
                Permit::X11Forwarding => permissions.x11_forwarding = true,
                Permit::UserRc => permissions.user_rc = true,
                Permit::PortForwarding => {
                    permissions.open = PermitOpen::Any;
                    permissions.listen = PermitListen::Any;
                }
            }
        } else {
            continue;
        }
        no_value(extension)?;
    }
    Ok(())
}

/// The one string that an option's data must be.
fn value(option: &CertificateOption) -> Result<&str, CertificateRefusal> {
    let mut reader = Reader::new(&option.data);
    let broken = |_| CertificateRefusal::BrokenOption { name: printable(&option.name) };
    let value = reader.text("option value").map_err(broken)?;
    reader.finish("option value").map_err(broken)?;
    Ok(value)
}

fn no_value(option: &CertificateOption) -> Result<(), CertificateRefusal> {
    if option.data.is_empty() {
        Ok(())
    } else {
        Err(CertificateRefusal::BrokenOption { name: printable(&option.name) })
    }
}

/// Why a certificate is not believed; fit for a log, not for the peer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateRefusal {
    /// Nobody trusts the CA.
    #[error("certificate is signed by CA {ca}, which is not trusted here")]
    UntrustedCa {
        /// The CA's fingerprint.
        ca: Fingerprint,
    },
    /// The CA signed in a way that is not allowed.
    #[error("certificate signature algorithm {algorithm} is not allowed here")]
    CaSignature {
        /// The algorithm.
        algorithm: &'static str,
    },
    /// The CA's signature is not genuine, or of a kind that is never accepted.
    #[error(transparent)]
    Signature(#[from] CertificateSignatureError),
    /// A host certificate for a login, or a user certificate for a server.
    #[error("certificate invalid: not a {wanted} certificate")]
    Kind {
        /// What was needed.
        wanted: CertificateKind,
    },
    /// It was revoked.
    #[error("certificate refused by the revocation list: {0}")]
    Revoked(Revoked),
    /// Its time has not come.
    #[error(
        "certificate invalid: not yet valid (valid from {valid_after}, it is {now}, {} s early; \
         is a clock wrong?)",
        valid_after.saturating_sub(*now)
    )]
    NotYetValid {
        /// Unix seconds.
        valid_after: u64,
        /// Unix seconds.
        now: u64,
    },
    /// Its time is over.
    #[error("certificate invalid: expired (valid before {valid_before}, it is {now}, {} s late)",
        now.saturating_sub(*valid_before))]
    Expired {
        /// Unix seconds.
        valid_before: u64,
        /// Unix seconds.
        now: u64,
    },
    /// It names nobody, which must not mean everybody (CVE-2024-7594).
    #[error("certificate invalid: it has no principals")]
    NoPrincipals,
    /// A principal that could be misread as several, or break a log.
    #[error("certificate invalid: principal \"{principal}\" is empty or has a comma or control character")]
    Principal {
        /// The principal, escaped.
        principal: String,
    },
    /// It names others.
    #[error(
        "certificate does not contain an authorized principal (it names {listed}; accepted here: {wanted})"
    )]
    PrincipalMismatch {
        /// The first of its principals, escaped.
        listed: String,
        /// The first of the accepted ones, escaped.
        wanted: String,
    },
    /// A critical option that we do not know.
    #[error("certificate critical option \"{name}\" is not supported")]
    UnknownOption {
        /// Its name, escaped.
        name: String,
    },
    /// A critical option stands twice.
    #[error("certificate has several {name} options")]
    RepeatedOption {
        /// Its name, escaped.
        name: String,
    },
    /// An option's data is broken.
    #[error("certificate option \"{name}\" is corrupt")]
    BrokenOption {
        /// Its name, escaped.
        name: String,
    },
    /// The list of source addresses is broken.
    #[error("certificate source-address is invalid: {0}")]
    SourceList(PatternError),
    /// The client is somewhere else.
    #[error("valid certificate, but not from a permitted source address ({})",
        address.map_or_else(|| "address not known".to_owned(), |address| address.to_string()))]
    SourceAddress {
        /// Where the client is.
        address: Option<IpAddr>,
    },
}

#[cfg(test)]
mod tests;
