//! SSH_MSG_EXT_INFO (RFC 8308): what we announce, what a peer announced.

use crate::algorithms::USER_SIGNATURES;
use crate::error::{Error, InMessage};
use crate::message;
use crate::wire::{Put, Reader};
use hop_keys::SignatureAlgorithm;

/// How many extensions are read; OpenSSH sends fewer than ten.
const MOST: u32 = 64;

/// What the peer announced; everything is absent until it says so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerExtensions {
    /// `server-sig-algs`: the signatures that the server takes from users; `None` if it did not say.
    pub server_sig_algs: Option<Vec<SignatureAlgorithm>>,
    /// `publickey-hostbound@openssh.com`: the server knows that authentication method.
    pub publickey_hostbound: bool,
    /// `ping@openssh.com`: messages 192 are answered by 193.
    pub ping: bool,
}

impl PeerExtensions {
    pub(super) fn read(&mut self, payload: &[u8]) -> Result<(), Error> {
        let mut reader = Reader::new(payload);
        let mut read = || {
            reader.byte()?;
            for _ in 0..reader.uint32()?.min(MOST) {
                let (name, value) = (reader.string()?, reader.string()?);
                match name {
                    b"server-sig-algs" => {
                        let names = value.split(|byte| *byte == b',');
                        self.server_sig_algs = Some(names.filter_map(SignatureAlgorithm::parse).collect());
                    }
                    b"publickey-hostbound@openssh.com" => self.publickey_hostbound = value == b"0",
                    b"ping@openssh.com" => self.ping = value == b"0",
                    _ => {}
                }
            }
            Ok(())
        };
        read().in_message(message::EXT_INFO)
    }
}

/// What a server announces: facts of this leg only (a relay's far side may differ).
pub(super) fn of_server() -> Vec<u8> {
    let mut payload = vec![message::EXT_INFO];
    payload.put_uint32(3);
    payload.put_string("server-sig-algs");
    payload.put_names(USER_SIGNATURES.iter().map(|algorithm| algorithm.name()));
    payload.put_string("publickey-hostbound@openssh.com");
    payload.put_string("0");
    payload.put_string("ping@openssh.com");
    payload.put_string("0");
    payload
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_announces_is_what_a_client_reads() {
        let mut seen = PeerExtensions::default();
        seen.read(&of_server()).unwrap();
        assert_eq!(seen.server_sig_algs.as_deref(), Some(USER_SIGNATURES));
        assert!(seen.publickey_hostbound && seen.ping);
    }
}
