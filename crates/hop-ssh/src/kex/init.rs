//! SSH_MSG_KEXINIT (RFC 4253 section 7.1): writing ours, reading the peer's.

use crate::algorithms::Algorithms;
use crate::crypto;
use crate::error::{Error, InMessage, Malformed};
use crate::message;
use crate::wire::{Put, Reader};
use hop_keys::IdentityAlgorithm;

/// Strict key exchange as offered by a client (OpenSSH PROTOCOL section 1.10).
pub(crate) const STRICT_CLIENT: &str = "kex-strict-c-v00@openssh.com";
/// Strict key exchange as offered by a server.
pub(crate) const STRICT_SERVER: &str = "kex-strict-s-v00@openssh.com";
/// Says that its sender understands SSH_MSG_EXT_INFO from a server (RFC 8308 section 2.1).
pub(crate) const EXT_INFO_CLIENT: &str = "ext-info-c";
/// The same towards a client.
pub(crate) const EXT_INFO_SERVER: &str = "ext-info-s";

/// The whole payload of our KEXINIT. The markers belong in the first one of a connection only.
pub(crate) fn write(
    we_are_server: bool,
    first: bool,
    offer: &Algorithms,
    host_keys: &[IdentityAlgorithm],
) -> Result<Vec<u8>, Error> {
    let mut cookie = [0; 16];
    crypto::random(&mut cookie)?;
    let markers: &[&str] = match (first, we_are_server) {
        (false, _) => &[],
        (true, true) => &[EXT_INFO_SERVER, STRICT_SERVER],
        (true, false) => &[EXT_INFO_CLIENT, STRICT_CLIENT],
    };
    let mut payload = vec![message::KEXINIT];
    payload.put_raw(&cookie);
    payload.put_names(offer.kex.iter().map(|(name, _)| *name).chain(markers.iter().copied()));
    payload.put_names(host_keys.iter().map(|algorithm| algorithm.name()));
    for _direction in 0..2 {
        payload.put_names(offer.ciphers.iter().map(|(name, _)| *name));
    }
    for _direction in 0..2 {
        payload.put_names(offer.macs.iter().map(|(name, _)| *name));
    }
    for _direction in 0..2 {
        payload.put_names(["none"]);
    }
    for _direction in 0..2 {
        payload.put_names([]);
    }
    payload.put_boolean(false);
    payload.put_uint32(0);
    Ok(payload)
}

/// The peer's KEXINIT; name-lists are kept as the text that came.
#[derive(Debug)]
pub(crate) struct PeerInit<'a> {
    pub(crate) kex: &'a str,
    pub(crate) host_keys: &'a str,
    pub(crate) ciphers_client_to_server: &'a str,
    pub(crate) ciphers_server_to_client: &'a str,
    pub(crate) macs_client_to_server: &'a str,
    pub(crate) macs_server_to_client: &'a str,
    pub(crate) compression_client_to_server: &'a str,
    pub(crate) compression_server_to_client: &'a str,
    pub(crate) first_kex_packet_follows: bool,
}

impl<'a> PeerInit<'a> {
    pub(crate) fn read(payload: &'a [u8]) -> Result<Self, Error> {
        Self::fields(payload).in_message(message::KEXINIT)
    }

    fn fields(payload: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        reader.byte()?;
        reader.take(16)?;
        let init = Self {
            kex: reader.text()?,
            host_keys: reader.text()?,
            ciphers_client_to_server: reader.text()?,
            ciphers_server_to_client: reader.text()?,
            macs_client_to_server: reader.text()?,
            macs_server_to_client: reader.text()?,
            compression_client_to_server: reader.text()?,
            compression_server_to_client: reader.text()?,
            first_kex_packet_follows: {
                reader.text()?;
                reader.text()?;
                reader.boolean()?
            },
        };
        reader.uint32()?;
        reader.finish()?;
        Ok(init)
    }

    /// Whether the list of key exchange methods has this marker.
    pub(crate) fn marks(&self, marker: &str) -> bool {
        self.kex.split(',').any(|name| name == marker)
    }
}
