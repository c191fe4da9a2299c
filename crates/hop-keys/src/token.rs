//! What a FIDO key must attest with its signature before a login counts.

use crate::signature::VerifiedSignature;

/// What is demanded of a FIDO key's signature; without meaning for other keys. By default a touch and no
/// more, as in OpenSSH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenPolicy {
    /// The token must have been touched.
    pub touch_required: bool,
    /// The token must have verified its user by PIN or biometrics.
    pub verification_required: bool,
}

impl Default for TokenPolicy {
    fn default() -> Self {
        Self { touch_required: true, verification_required: false }
    }
}

impl TokenPolicy {
    /// The stricter of both in each point.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            touch_required: self.touch_required || other.touch_required,
            verification_required: self.verification_required || other.verification_required,
        }
    }

    /// Whether a verified signature fulfils it. Keys that are not on a token pass unless verification is
    /// demanded, which only a token can attest.
    pub fn check(self, signature: &VerifiedSignature) -> Result<(), TokenRefusal> {
        match signature.sk() {
            None if self.verification_required => Err(TokenRefusal::NoToken),
            None => Ok(()),
            Some(flags) if self.touch_required && !flags.user_present() => Err(TokenRefusal::NotTouched),
            Some(flags) if self.verification_required && !flags.user_verified() => {
                Err(TokenRefusal::NotVerified)
            }
            Some(_) => Ok(()),
        }
    }
}

/// Why a genuine signature does not fulfil the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// The token was not touched.
    #[error("signature rejected: user presence (touch) requirement not met")]
    NotTouched,
    /// The token did not verify its user.
    #[error("signature rejected: user verification (PIN) requirement not met")]
    NotVerified,
    /// The key is not on a token at all.
    #[error("signature rejected: user verification is required, which only a FIDO key can attest")]
    NoToken,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_tools::token;
    use crate::{KeyAlgorithm, PrivateKey, SignatureAlgorithm};

    #[test]
    fn flags_meet_policies() {
        let token = token(KeyAlgorithm::SkEd25519);
        let verified = |flags| {
            let blob = token.sign(b"m", flags, 1);
            token.public.verify(SignatureAlgorithm::SkEd25519, b"m", &blob).unwrap()
        };
        let policy =
            |touch_required, verification_required| TokenPolicy { touch_required, verification_required };
        let table = [
            (policy(true, false), 1, Ok(())),
            (policy(true, false), 0, Err(TokenRefusal::NotTouched)),
            (policy(true, false), 4, Err(TokenRefusal::NotTouched)),
            (policy(false, false), 0, Ok(())),
            (policy(true, true), 1, Err(TokenRefusal::NotVerified)),
            (policy(true, true), 5, Ok(())),
            (policy(false, true), 4, Ok(())),
        ];
        for (policy, flags, expected) in table {
            assert_eq!(policy.check(&verified(flags)), expected, "{policy:?} {flags}");
        }
    }

    #[test]
    fn other_keys_cannot_attest_verification() {
        let key = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
        let blob = key.sign(SignatureAlgorithm::Ed25519, b"m").unwrap();
        let verified = key.public().verify(SignatureAlgorithm::Ed25519, b"m", &blob).unwrap();
        assert_eq!(TokenPolicy::default().check(&verified), Ok(()));
        let strict = TokenPolicy { verification_required: true, ..TokenPolicy::default() };
        assert_eq!(strict.check(&verified), Err(TokenRefusal::NoToken));
    }

    #[test]
    fn the_stricter_wins() {
        let lax = TokenPolicy { touch_required: false, verification_required: false };
        let pin = TokenPolicy { touch_required: false, verification_required: true };
        assert_eq!(lax.and(TokenPolicy::default()), TokenPolicy::default());
        assert_eq!(pin.and(lax), pin);
        assert_eq!(lax.and(lax), lax);
    }
}
