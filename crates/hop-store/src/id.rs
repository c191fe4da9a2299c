//! Ids: 128 bits, made by the caller from the time and randomness (UUID version 7, RFC 9562 section 5.7), written as 32
//! lower-case hexadecimal digits. One type per thing, so that they cannot be mixed up.

use crate::hex;
use crate::stored::StoredText;
use crate::time::Timestamp;

/// The 16 bytes of a UUID version 7.
fn version_7(at: Timestamp, random: [u8; 10]) -> [u8; 16] {
    let [_, _, t0, t1, t2, t3, t4, t5] = (at.as_micros() / 1_000).to_be_bytes();
    let [a0, a1, b0, b1, b2, b3, b4, b5, b6, b7] = random;
    [t0, t1, t2, t3, t4, t5, 0x70 | a0 & 0x0f, a1, 0x80 | b0 & 0x3f, b1, b2, b3, b4, b5, b6, b7]
}

/// Reads 32 digits, or the form with hyphens (8-4-4-4-12).
fn parse(text: &str) -> Option<[u8; 16]> {
    if text.len() != 36 {
        return hex::decode(text);
    }
    let hyphens = [8, 13, 18, 23];
    let well_placed = text.bytes().enumerate().all(|(at, byte)| (byte == b'-') == hyphens.contains(&at));
    if well_placed { hex::decode(&text.replace('-', "")) } else { None }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; 16]);

        impl $name {
            /// A new id from the time and ten random bytes, of which six bits are not used.
            pub fn new(at: Timestamp, random: [u8; 10]) -> Self {
                Self(version_7(at, random))
            }

            /// Reads 32 hexadecimal digits, or the form with hyphens (8-4-4-4-12), of either case.
            pub fn parse(text: &str) -> Option<Self> {
                parse(text).map(Self)
            }

            /// The 128 bits.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&hex::encode(&self.0))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }

        impl StoredText for $name {
            fn to_stored(&self) -> String {
                self.to_string()
            }

            fn from_stored(text: &str) -> Option<Self> {
                Self::parse(text)
            }
        }
    };
}

id!(
    /// An account.
    AccountId
);
id!(
    /// A project; its 32 digits are a user name of the gateway.
    ProjectId
);
id!(
    /// One stored public key of one owner.
    KeyId
);
id!(
    /// An invitation.
    InvitationId
);
id!(
    /// A one-time sign-in link.
    SignInLinkId
);
id!(
    /// A session of a web browser.
    WebSessionId
);
id!(
    /// An SSH session through the gateway.
    SshSessionId
);
id!(
    /// One run of a gateway: made anew at each start, so that what an earlier run left open can be told.
    GatewayId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_and_variant_of_rfc_9562() {
        // The example of RFC 9562, appendix A.6.
        let at = Timestamp::from_micros(1_645_557_742_000_999);
        let id = ProjectId::new(at, [0xfc, 0xc3, 0xd8, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f]);
        assert_eq!(id.to_string(), "017f22e279b07cc398c4dc0c0c07398f");
    }

    #[test]
    fn forms_of_an_id() {
        let id = ProjectId::parse("017f22e279b07cc398c4dc0c0c07398f").unwrap();
        for same in ["017f22e2-79b0-7cc3-98c4-dc0c0c07398f", "017F22E279B07CC398C4DC0C0C07398F"] {
            assert_eq!(ProjectId::parse(same), Some(id), "{same}");
        }
        for bad in [
            "",
            "017f22e279b07cc398c4dc0c0c07398",
            "017f22e279b07cc398c4dc0c0c07398ff",
            "017f22e27-9b0-7cc3-98c4-dc0c0c07398f",
            "017f22e279b07cc398c4dc0c0c07398fffff",
            "{017f22e279b07cc398c4dc0c0c07398f}",
            "017f22e2-79b0-7cc3-98c4-dc0c0c07398\u{e9}",
        ] {
            assert_eq!(ProjectId::parse(bad), None, "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn parse_never_panics(text in ".{0,40}") {
            if let Some(id) = ProjectId::parse(&text) {
                assert_eq!(ProjectId::parse(&id.to_string()), Some(id));
            }
        }
    }
}
