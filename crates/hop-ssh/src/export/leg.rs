//! The exported form of a transport and of a leg.

use super::{Exported, ImportError, NotNow, VERSION};
use crate::bare::BareTransport;
use crate::config::{ClientConfig, ServerConfig, Side};
use crate::crypto::cipher::{Cipher, Direction, Keys, Mac, Protection};
use crate::kex::VerifiedHostKey;
use crate::leg::Leg;
use crate::packet::{KeyUse, LONGEST_PACKET, PacketOpener, PacketSealer};
use crate::transport::{Established, Peer, PeerExtensions, Transport};
use crate::wire::{Put, Reader};
use hop_keys::{Identity, IdentityAlgorithm, SignatureAlgorithm};
use std::sync::Arc;
use std::time::Instant;
use zeroize::Zeroizing;

impl Transport {
    /// Takes the transport apart. It must be authenticated.
    #[expect(clippy::result_large_err, reason = "the transport itself is handed back")]
    pub fn export(self) -> Result<Exported, (Self, NotNow)> {
        if let Some(reason) = self.cannot_export() {
            return Err((self, reason));
        }
        let mut state = Zeroizing::new(Vec::new());
        state.put_uint32(VERSION);
        write_transport(&mut state, &self);
        Ok(Exported(state))
    }

    pub(super) fn cannot_export(&self) -> Option<NotNow> {
        match (&self.established, self.is_exchanging()) {
            (None, _) => Some(NotNow::NotEstablished),
            (Some(_), true) => Some(NotNow::Exchanging),
            (Some(_), false) => None,
        }
    }

    /// Puts a server's transport together.
    pub fn import_server(
        state: &Exported,
        config: Arc<ServerConfig>,
        now: Instant,
    ) -> Result<Self, ImportError> {
        Self::import(state, Side::Server(config), now)
    }

    /// Puts a client's transport together.
    pub fn import_client(
        state: &Exported,
        config: Arc<ClientConfig>,
        now: Instant,
    ) -> Result<Self, ImportError> {
        Self::import(state, Side::Client(config), now)
    }

    fn import(state: &Exported, side: Side, now: Instant) -> Result<Self, ImportError> {
        let mut reader = Reader::new(&state.0);
        read_version(&mut reader)?;
        let transport = read_transport(&mut reader, side, now)?;
        reader.finish()?;
        Ok(transport)
    }
}

pub(super) fn read_version(reader: &mut Reader<'_>) -> Result<(), ImportError> {
    match reader.uint32()? {
        VERSION => Ok(()),
        version => Err(ImportError::Version { version }),
    }
}

fn write_transport(out: &mut Vec<u8>, transport: &Transport) {
    out.put_string(&transport.identification);
    out.put_string(transport.peer.identification.as_deref().unwrap_or_default());
    out.put_boolean(transport.peer.is_strict());
    let extensions = &transport.peer.extensions;
    out.put_boolean(extensions.server_sig_algs.is_some());
    out.put_names(extensions.server_sig_algs.iter().flatten().map(|algorithm| algorithm.name()));
    out.put_boolean(extensions.publickey_hostbound);
    out.put_boolean(extensions.ping);
    if let Some(established) = &transport.established {
        out.put_string(&established.session_id);
        out.put_string(established.host_key_algorithm.name());
        let identity = established.host_key.identity();
        // A later exchange may have used another form of name; the first one's blob must parse as it is.
        out.put_boolean(identity.as_certificate().is_some());
        out.put_string(identity.blob());
    }
    write_direction(out, transport.opener.sequence, transport.opener.used, &transport.opener.protection);
    write_direction(out, transport.sealer.sequence, transport.sealer.used, &transport.sealer.protection);
    out.put_string(transport.input.unread());
    out.put_string(transport.output.pending());
}

fn read_transport(reader: &mut Reader<'_>, side: Side, now: Instant) -> Result<Transport, ImportError> {
    let ours = reader.string()?.to_vec();
    let theirs = reader.string()?.to_vec();
    let strict = reader.boolean()?;
    let announced = reader.boolean()?;
    let names = reader.string()?.split(|byte| *byte == b',').filter_map(SignatureAlgorithm::parse).collect();
    let extensions = PeerExtensions {
        server_sig_algs: announced.then_some(names),
        publickey_hostbound: reader.boolean()?,
        ping: reader.boolean()?,
    };
    let session_id = reader.string()?.to_vec();
    let host_key_algorithm = IdentityAlgorithm::parse(reader.string()?)
        .ok_or(ImportError::Field { field: "host key algorithm" })?;
    let form = IdentityAlgorithm { certificate: reader.boolean()?, ..host_key_algorithm };
    let host_key =
        Identity::from_blob(form, reader.string()?).map_err(|_| ImportError::Field { field: "host key" })?;
    let (sequence, used, protection) = read_direction(reader, Direction::Receive)?;
    let opener = PacketOpener { sequence, protection, used, longest: LONGEST_PACKET };
    let (sequence, used, protection) = read_direction(reader, Direction::Send)?;
    let mut sealer = PacketSealer::new();
    (sealer.sequence, sealer.used, sealer.protection) = (sequence, used, protection);
    let established =
        Established { session_id, host_key: VerifiedHostKey::from_import(host_key), host_key_algorithm };
    let peer = Peer::resumed(theirs, strict, extensions);
    let mut transport = Transport::resume(side, ours, opener, sealer, peer, established, now)
        .map_err(|_| ImportError::Keys)?;
    transport.set_authenticated();
    transport.input.preload(reader.string()?);
    transport.output.tail().extend_from_slice(reader.string()?);
    Ok(transport)
}

const CIPHERS: [Cipher; 6] = [
    Cipher::Aes256Gcm,
    Cipher::Aes128Gcm,
    Cipher::ChaCha20Poly1305,
    Cipher::Aes256Ctr,
    Cipher::Aes192Ctr,
    Cipher::Aes128Ctr,
];
const MACS: [Mac; 4] = [Mac::HmacSha256Etm, Mac::HmacSha512Etm, Mac::HmacSha256, Mac::HmacSha512];

fn write_direction(out: &mut Vec<u8>, sequence: u32, used: KeyUse, protection: &Protection) {
    out.put_uint32(sequence);
    out.put_uint64(used.bytes);
    out.put_uint64(used.packets);
    // An established transport always has keys.
    let Some(keys) = protection.export() else { return };
    let index = |found: Option<usize>| found.and_then(|index| u8::try_from(index).ok()).unwrap_or(u8::MAX);
    out.put_byte(index(CIPHERS.iter().position(|cipher| *cipher == keys.cipher)));
    out.put_byte(index(keys.mac.and_then(|mac| MACS.iter().position(|known| *known == mac))));
    out.put_string(&keys.key[..]);
    out.put_string(&keys.iv[..]);
    out.put_string(&keys.mac_key[..]);
}

fn read_direction(
    reader: &mut Reader<'_>,
    direction: Direction,
) -> Result<(u32, KeyUse, Protection), ImportError> {
    let sequence = reader.uint32()?;
    let used = KeyUse { bytes: reader.uint64()?, packets: reader.uint64()? };
    let cipher = CIPHERS.get(usize::from(reader.byte()?)).ok_or(ImportError::Field { field: "cipher" })?;
    let mac = MACS.get(usize::from(reader.byte()?)).copied();
    let keys = Keys {
        cipher: *cipher,
        mac,
        key: Zeroizing::new(reader.string()?.to_vec()),
        iv: Zeroizing::new(reader.string()?.to_vec()),
        mac_key: Zeroizing::new(reader.string()?.to_vec()),
    };
    let protection = Protection::new(keys, direction).map_err(|_| ImportError::Keys)?;
    Ok((sequence, used, protection))
}

pub(super) fn write_leg(out: &mut Vec<u8>, leg: &mut Leg) {
    match leg {
        Leg::Sealed(transport) => {
            out.put_byte(0);
            write_transport(out, transport);
        }
        Leg::Bare(transport) => {
            out.put_byte(1);
            let (greeted, sequence) = transport.progress();
            out.put_boolean(greeted);
            out.put_uint32(sequence);
            out.put_string(transport.input().unread());
            out.put_string(transport.output().pending());
        }
    }
}

pub(super) fn read_leg(reader: &mut Reader<'_>, side: Side, now: Instant) -> Result<Leg, ImportError> {
    match reader.byte()? {
        0 => Ok(read_transport(reader, side, now)?.into()),
        1 => {
            let mut transport = BareTransport::resumed(reader.boolean()?, reader.uint32()?);
            transport.input().preload(reader.string()?);
            transport.output().tail().extend_from_slice(reader.string()?);
            Ok(transport.into())
        }
        _ => Err(ImportError::Field { field: "kind of leg" }),
    }
}
