//! Message numbers and reason codes, named as in the RFCs.

/// SSH_MSG_DISCONNECT (RFC 4253 section 11.1).
pub const DISCONNECT: u8 = 1;
/// SSH_MSG_IGNORE (RFC 4253 section 11.2).
pub const IGNORE: u8 = 2;
/// SSH_MSG_UNIMPLEMENTED (RFC 4253 section 11.4).
pub const UNIMPLEMENTED: u8 = 3;
/// SSH_MSG_DEBUG (RFC 4253 section 11.3).
pub const DEBUG: u8 = 4;
/// SSH_MSG_SERVICE_REQUEST (RFC 4253 section 10).
pub const SERVICE_REQUEST: u8 = 5;
/// SSH_MSG_SERVICE_ACCEPT (RFC 4253 section 10).
pub const SERVICE_ACCEPT: u8 = 6;
/// SSH_MSG_EXT_INFO (RFC 8308 section 2.3).
pub const EXT_INFO: u8 = 7;
/// SSH_MSG_NEWCOMPRESS (RFC 8308 section 3.2).
pub const NEWCOMPRESS: u8 = 8;
/// SSH_MSG_KEXINIT (RFC 4253 section 7.1).
pub const KEXINIT: u8 = 20;
/// SSH_MSG_NEWKEYS (RFC 4253 section 7.3).
pub const NEWKEYS: u8 = 21;
/// SSH_MSG_KEX_ECDH_INIT (RFC 5656 section 4), also SSH_MSG_KEX_HYBRID_INIT.
pub const KEX_ECDH_INIT: u8 = 30;
/// SSH_MSG_KEX_ECDH_REPLY (RFC 5656 section 4), also SSH_MSG_KEX_HYBRID_REPLY.
pub const KEX_ECDH_REPLY: u8 = 31;
/// SSH_MSG_USERAUTH_REQUEST (RFC 4252 section 5).
pub const USERAUTH_REQUEST: u8 = 50;
/// SSH_MSG_USERAUTH_FAILURE (RFC 4252 section 5.1).
pub const USERAUTH_FAILURE: u8 = 51;
/// SSH_MSG_USERAUTH_SUCCESS (RFC 4252 section 5.1).
pub const USERAUTH_SUCCESS: u8 = 52;
/// SSH_MSG_USERAUTH_BANNER (RFC 4252 section 5.4).
pub const USERAUTH_BANNER: u8 = 53;
/// SSH_MSG_USERAUTH_PK_OK (RFC 4252 section 7); the number is method specific.
pub const USERAUTH_PK_OK: u8 = 60;
/// SSH_MSG_USERAUTH_PASSWD_CHANGEREQ (RFC 4252 section 8).
pub const USERAUTH_PASSWD_CHANGEREQ: u8 = 60;
/// SSH_MSG_USERAUTH_INFO_REQUEST (RFC 4256 section 3.2).
pub const USERAUTH_INFO_REQUEST: u8 = 60;
/// SSH_MSG_USERAUTH_INFO_RESPONSE (RFC 4256 section 3.4).
pub const USERAUTH_INFO_RESPONSE: u8 = 61;
/// SSH_MSG_GLOBAL_REQUEST (RFC 4254 section 4).
pub const GLOBAL_REQUEST: u8 = 80;
/// SSH_MSG_REQUEST_SUCCESS (RFC 4254 section 4).
pub const REQUEST_SUCCESS: u8 = 81;
/// SSH_MSG_REQUEST_FAILURE (RFC 4254 section 4).
pub const REQUEST_FAILURE: u8 = 82;
/// SSH_MSG_CHANNEL_OPEN (RFC 4254 section 5.1).
pub const CHANNEL_OPEN: u8 = 90;
/// SSH_MSG_CHANNEL_OPEN_CONFIRMATION (RFC 4254 section 5.1).
pub const CHANNEL_OPEN_CONFIRMATION: u8 = 91;
/// SSH_MSG_CHANNEL_OPEN_FAILURE (RFC 4254 section 5.1).
pub const CHANNEL_OPEN_FAILURE: u8 = 92;
/// SSH_MSG_CHANNEL_WINDOW_ADJUST (RFC 4254 section 5.2).
pub const CHANNEL_WINDOW_ADJUST: u8 = 93;
/// SSH_MSG_CHANNEL_DATA (RFC 4254 section 5.2).
pub const CHANNEL_DATA: u8 = 94;
/// SSH_MSG_CHANNEL_EXTENDED_DATA (RFC 4254 section 5.2).
pub const CHANNEL_EXTENDED_DATA: u8 = 95;
/// SSH_MSG_CHANNEL_EOF (RFC 4254 section 5.3).
pub const CHANNEL_EOF: u8 = 96;
/// SSH_MSG_CHANNEL_CLOSE (RFC 4254 section 5.3).
pub const CHANNEL_CLOSE: u8 = 97;
/// SSH_MSG_CHANNEL_REQUEST (RFC 4254 section 5.4).
pub const CHANNEL_REQUEST: u8 = 98;
/// SSH_MSG_CHANNEL_SUCCESS (RFC 4254 section 5.4).
pub const CHANNEL_SUCCESS: u8 = 99;
/// SSH_MSG_CHANNEL_FAILURE (RFC 4254 section 5.4).
pub const CHANNEL_FAILURE: u8 = 100;
/// SSH2_MSG_PING (OpenSSH PROTOCOL, section 1.8).
pub const PING: u8 = 192;
/// SSH2_MSG_PONG (OpenSSH PROTOCOL, section 1.8).
pub const PONG: u8 = 193;

/// The gateway's word, first on a bare transport; the range from 192 is for local extensions
/// (RFC 4250 section 4.1.2).
pub const WORD: u8 = 200;
/// The endpoint has taken the gateway's word.
pub const WORD_TAKEN: u8 = 201;
/// An endpoint lends pipes of a channel to the relay; this and the next three only on a bare transport.
pub const LEND: u8 = 202;
/// The relay has taken them.
pub const LENT: u8 = 203;
/// The endpoint has nothing left of that flow.
pub const LOAN_START: u8 = 204;
/// The relay gives them back.
pub const LOAN_RETURNED: u8 = 205;

/// Why a connection was ended (RFC 4253 section 11.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the RFC's own")]
pub enum DisconnectReason {
    HostNotAllowedToConnect,
    ProtocolError,
    KeyExchangeFailed,
    MacError,
    CompressionError,
    ServiceNotAvailable,
    ProtocolVersionNotSupported,
    HostKeyNotVerifiable,
    ConnectionLost,
    ByApplication,
    TooManyConnections,
    AuthCancelledByUser,
    NoMoreAuthMethodsAvailable,
    IllegalUserName,
    /// A number that the RFC does not name.
    Other(u32),
}

const DISCONNECT_REASONS: [(u32, DisconnectReason); 14] = [
    (1, DisconnectReason::HostNotAllowedToConnect),
    (2, DisconnectReason::ProtocolError),
    (3, DisconnectReason::KeyExchangeFailed),
    (5, DisconnectReason::MacError),
    (6, DisconnectReason::CompressionError),
    (7, DisconnectReason::ServiceNotAvailable),
    (8, DisconnectReason::ProtocolVersionNotSupported),
    (9, DisconnectReason::HostKeyNotVerifiable),
    (10, DisconnectReason::ConnectionLost),
    (11, DisconnectReason::ByApplication),
    (12, DisconnectReason::TooManyConnections),
    (13, DisconnectReason::AuthCancelledByUser),
    (14, DisconnectReason::NoMoreAuthMethodsAvailable),
    (15, DisconnectReason::IllegalUserName),
];

impl DisconnectReason {
    /// The number on the wire.
    pub fn code(self) -> u32 {
        match self {
            Self::Other(code) => code,
            named => DISCONNECT_REASONS.iter().find(|(_, r)| *r == named).map_or(2, |(code, _)| *code),
        }
    }

    /// The reason for a number from the wire.
    pub fn from_code(code: u32) -> Self {
        DISCONNECT_REASONS.iter().find(|(c, _)| *c == code).map_or(Self::Other(code), |(_, r)| *r)
    }
}

/// Why a channel was not opened (RFC 4254 section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenFailure {
    /// SSH_OPEN_ADMINISTRATIVELY_PROHIBITED.
    AdministrativelyProhibited,
    /// SSH_OPEN_CONNECT_FAILED.
    ConnectFailed,
    /// SSH_OPEN_UNKNOWN_CHANNEL_TYPE.
    UnknownChannelType,
    /// SSH_OPEN_RESOURCE_SHORTAGE.
    ResourceShortage,
    /// A number that the RFC does not name.
    Other(u32),
}

impl OpenFailure {
    /// The number on the wire.
    pub fn code(self) -> u32 {
        match self {
            Self::AdministrativelyProhibited => 1,
            Self::ConnectFailed => 2,
            Self::UnknownChannelType => 3,
            Self::ResourceShortage => 4,
            Self::Other(code) => code,
        }
    }

    /// The reason for a number from the wire.
    pub fn from_code(code: u32) -> Self {
        match code {
            1 => Self::AdministrativelyProhibited,
            2 => Self::ConnectFailed,
            3 => Self::UnknownChannelType,
            4 => Self::ResourceShortage,
            other => Self::Other(other),
        }
    }
}

/// SSH_EXTENDED_DATA_STDERR (RFC 4254 section 5.2).
pub const EXTENDED_DATA_STDERR: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_round_trip() {
        for code in 0..40 {
            assert_eq!(DisconnectReason::from_code(code).code(), code);
            assert_eq!(OpenFailure::from_code(code).code(), code);
        }
    }
}
