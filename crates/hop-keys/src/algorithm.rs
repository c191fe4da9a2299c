//! The algorithm names of keys, signatures and identities, as data.
//!
//! What must stay true: SHA-1 (`ssh-rsa` as a *signature*) and DSA have no value here, so no code can accept
//! them.

/// What kind of key it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyAlgorithm {
    /// Ed25519 (RFC 8709).
    Ed25519,
    /// ECDSA on NIST P-256 (RFC 5656).
    EcdsaNistp256,
    /// ECDSA on NIST P-384 (RFC 5656).
    EcdsaNistp384,
    /// ECDSA on NIST P-521 (RFC 5656).
    EcdsaNistp521,
    /// RSA (RFC 4253 section 6.6), signing with SHA-2 only (RFC 8332).
    Rsa,
    /// Ed25519 on a FIDO token (OpenSSH PROTOCOL.u2f).
    SkEd25519,
    /// ECDSA on NIST P-256 on a FIDO token (OpenSSH PROTOCOL.u2f).
    SkEcdsaNistp256,
}

impl KeyAlgorithm {
    /// Every kind of key.
    pub const ALL: [Self; 7] = [
        Self::Ed25519,
        Self::EcdsaNistp256,
        Self::EcdsaNistp384,
        Self::EcdsaNistp521,
        Self::Rsa,
        Self::SkEd25519,
        Self::SkEcdsaNistp256,
    ];

    /// The name at the head of a public key blob.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ssh-ed25519",
            Self::EcdsaNistp256 => "ecdsa-sha2-nistp256",
            Self::EcdsaNistp384 => "ecdsa-sha2-nistp384",
            Self::EcdsaNistp521 => "ecdsa-sha2-nistp521",
            Self::Rsa => "ssh-rsa",
            Self::SkEd25519 => "sk-ssh-ed25519@openssh.com",
            Self::SkEcdsaNistp256 => "sk-ecdsa-sha2-nistp256@openssh.com",
        }
    }

    /// The name at the head of a certificate blob (OpenSSH PROTOCOL.certkeys).
    pub const fn certificate_name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ssh-ed25519-cert-v01@openssh.com",
            Self::EcdsaNistp256 => "ecdsa-sha2-nistp256-cert-v01@openssh.com",
            Self::EcdsaNistp384 => "ecdsa-sha2-nistp384-cert-v01@openssh.com",
            Self::EcdsaNistp521 => "ecdsa-sha2-nistp521-cert-v01@openssh.com",
            Self::Rsa => "ssh-rsa-cert-v01@openssh.com",
            Self::SkEd25519 => "sk-ssh-ed25519-cert-v01@openssh.com",
            Self::SkEcdsaNistp256 => "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
        }
    }

    /// The kind of key whose blob begins with `name`.
    pub fn parse(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name().as_bytes() == name)
    }

    /// The kind of key that a certificate blob beginning with `name` certifies.
    pub fn parse_certificate(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.certificate_name().as_bytes() == name)
    }

    /// The signatures that such a key can make, best first.
    pub const fn signature_algorithms(self) -> &'static [SignatureAlgorithm] {
        match self {
            Self::Ed25519 => &[SignatureAlgorithm::Ed25519],
            Self::EcdsaNistp256 => &[SignatureAlgorithm::EcdsaNistp256],
            Self::EcdsaNistp384 => &[SignatureAlgorithm::EcdsaNistp384],
            Self::EcdsaNistp521 => &[SignatureAlgorithm::EcdsaNistp521],
            Self::Rsa => &[SignatureAlgorithm::RsaSha512, SignatureAlgorithm::RsaSha256],
            Self::SkEd25519 => &[SignatureAlgorithm::SkEd25519],
            Self::SkEcdsaNistp256 => &[SignatureAlgorithm::SkEcdsaNistp256],
        }
    }
}

impl std::fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// How a signature is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SignatureAlgorithm {
    /// Ed25519 (RFC 8709).
    Ed25519,
    /// ECDSA on NIST P-256 with SHA-256 (RFC 5656).
    EcdsaNistp256,
    /// ECDSA on NIST P-384 with SHA-384 (RFC 5656).
    EcdsaNistp384,
    /// ECDSA on NIST P-521 with SHA-512 (RFC 5656).
    EcdsaNistp521,
    /// RSA PKCS #1 v1.5 with SHA-256 (RFC 8332).
    RsaSha256,
    /// RSA PKCS #1 v1.5 with SHA-512 (RFC 8332).
    RsaSha512,
    /// Ed25519 over a FIDO assertion (OpenSSH PROTOCOL.u2f).
    SkEd25519,
    /// ECDSA on NIST P-256 over a FIDO assertion (OpenSSH PROTOCOL.u2f).
    SkEcdsaNistp256,
}

impl SignatureAlgorithm {
    /// Every signature algorithm.
    pub const ALL: [Self; 8] = [
        Self::Ed25519,
        Self::EcdsaNistp256,
        Self::EcdsaNistp384,
        Self::EcdsaNistp521,
        Self::RsaSha256,
        Self::RsaSha512,
        Self::SkEd25519,
        Self::SkEcdsaNistp256,
    ];

    /// The name at the head of a signature blob.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ssh-ed25519",
            Self::EcdsaNistp256 => "ecdsa-sha2-nistp256",
            Self::EcdsaNistp384 => "ecdsa-sha2-nistp384",
            Self::EcdsaNistp521 => "ecdsa-sha2-nistp521",
            Self::RsaSha256 => "rsa-sha2-256",
            Self::RsaSha512 => "rsa-sha2-512",
            Self::SkEd25519 => "sk-ssh-ed25519@openssh.com",
            Self::SkEcdsaNistp256 => "sk-ecdsa-sha2-nistp256@openssh.com",
        }
    }

    /// The signature algorithm called `name`.
    pub fn parse(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name().as_bytes() == name)
    }

    /// The kind of key that makes such signatures.
    pub const fn key_algorithm(self) -> KeyAlgorithm {
        match self {
            Self::Ed25519 => KeyAlgorithm::Ed25519,
            Self::EcdsaNistp256 => KeyAlgorithm::EcdsaNistp256,
            Self::EcdsaNistp384 => KeyAlgorithm::EcdsaNistp384,
            Self::EcdsaNistp521 => KeyAlgorithm::EcdsaNistp521,
            Self::RsaSha256 | Self::RsaSha512 => KeyAlgorithm::Rsa,
            Self::SkEd25519 => KeyAlgorithm::SkEd25519,
            Self::SkEcdsaNistp256 => KeyAlgorithm::SkEcdsaNistp256,
        }
    }
}

impl std::fmt::Display for SignatureAlgorithm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// What a user authentication or host key algorithm *name* stands for: the signature, and whether the key
/// comes inside a certificate. `rsa-sha2-512-cert-v01@openssh.com` is [`SignatureAlgorithm::RsaSha512`] with
/// one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdentityAlgorithm {
    /// How the identity signs.
    pub signature: SignatureAlgorithm,
    /// Whether the blob is a certificate.
    pub certificate: bool,
}

impl IdentityAlgorithm {
    /// A plain key that signs so.
    pub const fn plain(signature: SignatureAlgorithm) -> Self {
        Self { signature, certificate: false }
    }

    /// A certified key that signs so.
    pub const fn certified(signature: SignatureAlgorithm) -> Self {
        Self { signature, certificate: true }
    }

    /// The identity algorithm called `name`; `ssh-rsa` and its certificate name, which mean SHA-1, are none.
    pub fn parse(name: &[u8]) -> Option<Self> {
        SignatureAlgorithm::ALL
            .into_iter()
            .flat_map(|signature| [Self::plain(signature), Self::certified(signature)])
            .find(|algorithm| algorithm.name().as_bytes() == name)
    }

    /// The name in negotiations and authentication requests.
    pub const fn name(self) -> &'static str {
        if !self.certificate {
            return self.signature.name();
        }
        match self.signature {
            SignatureAlgorithm::RsaSha256 => "rsa-sha2-256-cert-v01@openssh.com",
            SignatureAlgorithm::RsaSha512 => "rsa-sha2-512-cert-v01@openssh.com",
            SignatureAlgorithm::Ed25519
            | SignatureAlgorithm::EcdsaNistp256
            | SignatureAlgorithm::EcdsaNistp384
            | SignatureAlgorithm::EcdsaNistp521
            | SignatureAlgorithm::SkEd25519
            | SignatureAlgorithm::SkEcdsaNistp256 => self.signature.key_algorithm().certificate_name(),
        }
    }
}

impl std::fmt::Display for IdentityAlgorithm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for algorithm in KeyAlgorithm::ALL {
            assert_eq!(KeyAlgorithm::parse(algorithm.name().as_bytes()), Some(algorithm));
            let certificate = algorithm.certificate_name().as_bytes();
            assert_eq!(KeyAlgorithm::parse_certificate(certificate), Some(algorithm));
            for signature in algorithm.signature_algorithms() {
                assert_eq!(signature.key_algorithm(), algorithm);
            }
        }
        for signature in SignatureAlgorithm::ALL {
            assert_eq!(SignatureAlgorithm::parse(signature.name().as_bytes()), Some(signature));
            for certificate in [false, true] {
                let identity = IdentityAlgorithm { signature, certificate };
                assert_eq!(IdentityAlgorithm::parse(identity.name().as_bytes()), Some(identity));
            }
        }
    }

    #[test]
    fn sha1_and_dsa_have_no_name() {
        for name in ["ssh-rsa", "ssh-dss", "ssh-rsa-cert-v01@openssh.com", "", "ssh-ed25519\0"] {
            assert_eq!(SignatureAlgorithm::parse(name.as_bytes()), None, "{name}");
            assert_eq!(IdentityAlgorithm::parse(name.as_bytes()), None, "{name}");
        }
    }
}
