//! What can go wrong on a connection, by who is at fault.

use crate::message::DisconnectReason;

/// A message that does not have the form its number promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A field reaches past the end of the message.
    #[error("ends in the middle of a field")]
    Truncated,
    /// The message goes on after its last field.
    #[error("{count} bytes too long")]
    TrailingBytes {
        /// How many bytes are left over.
        count: usize,
    },
    /// A text field is not UTF-8.
    #[error("a text field is not UTF-8")]
    NotUtf8,
}

/// Why a connection cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The peer's first line is not an SSH-2.0 identification (RFC 4253 section 4.2).
    #[error("the peer does not speak SSH 2: it sent {line:?}")]
    NotSsh {
        /// The start of what it sent, escaped for printing by `Debug`.
        line: String,
    },
    /// The two sides have no algorithm in common (RFC 4253 section 7.1).
    #[error("no {what} in common: we offer {ours}, the peer offers {theirs}")]
    NoCommonAlgorithm {
        /// Which of the negotiated lists has no match.
        what: &'static str,
        /// Our list, comma separated.
        ours: String,
        /// The peer's list, comma separated.
        theirs: String,
    },
    /// A message has a wrong form.
    #[error("message {number} from the peer is malformed: {problem}")]
    Malformed {
        /// The message number.
        number: u8,
        /// What is wrong with it.
        problem: Malformed,
    },
    /// A message that may not come in this state.
    #[error("the peer sent message {number} while we {state}")]
    UnexpectedMessage {
        /// The message number.
        number: u8,
        /// What we were doing, as in "while we wait for the key exchange".
        state: &'static str,
    },
    /// The length field of a packet is out of bounds, or its padding is.
    #[error("the peer sent a packet of bad length {length}")]
    BadPacketLength {
        /// The length that the packet claims.
        length: u32,
    },
    /// A packet failed its integrity check.
    #[error("a packet from the peer was damaged or forged (integrity check failed)")]
    IntegrityCheck,
    /// The key exchange failed: a bad point, a bad signature, a key that may not be used.
    #[error("key exchange failed: {problem}")]
    KeyExchange {
        /// What failed.
        problem: &'static str,
    },
    /// The caller did not accept the server's host key.
    #[error("host key {fingerprint} was not accepted: {problem}")]
    HostKeyRejected {
        /// The fingerprint of the offered key.
        fingerprint: String,
        /// Why, in the words of whoever judged it.
        problem: String,
    },
    /// The peer broke a rule of the protocol in a way no other variant names.
    #[error("protocol error by the peer: {problem}")]
    Protocol {
        /// What it did.
        problem: &'static str,
    },
    /// Every way to authenticate that we have was refused.
    #[error("authentication refused; the server would still accept: {remaining}")]
    AuthenticationRefused {
        /// The methods that can continue, comma separated.
        remaining: String,
    },
    /// The peer tried to authenticate too often.
    #[error("too many authentication failures for {user:?}")]
    TooManyAuthenticationFailures {
        /// The user name it tried.
        user: String,
    },
    /// A limit of ours was reached: memory, channels, requests.
    #[error("the peer exceeds a limit: {limit}")]
    Limit {
        /// Which one.
        limit: &'static str,
    },
    /// Something took longer than it may.
    #[error("timed out: {what}")]
    TimedOut {
        /// What was waited for.
        what: &'static str,
    },
    /// The peer ended the connection with a reason.
    #[error("the peer disconnected: {description}")]
    Disconnected {
        /// Its reason code.
        reason: DisconnectReason,
        /// Its words, unescaped: escape them before showing them on a terminal.
        description: String,
    },
    /// The byte stream ended without a goodbye.
    #[error("the connection was closed by the peer")]
    Closed,
    /// The byte stream failed.
    #[error("reading or writing the connection failed: {0}")]
    Io(#[from] std::io::Error),
    /// A key of ours could not sign.
    #[error("signing with our own key failed: {problem}")]
    Signing {
        /// What the signer said.
        problem: String,
    },
    /// The random number generator or a primitive failed, which they never should.
    #[error("a cryptographic primitive failed: {what}")]
    Crypto {
        /// Which one.
        what: &'static str,
    },
    /// We end the connection for a reason that the caller gave.
    #[error("disconnecting: {description}")]
    Disconnecting {
        /// The reason code to send.
        reason: DisconnectReason,
        /// The words to send.
        description: String,
    },
}

impl Error {
    /// What to tell the peer before closing; `None` when nobody is there to hear it.
    pub fn disconnect(&self) -> Option<(DisconnectReason, String)> {
        let reason = match self {
            Self::NotSsh { .. } => DisconnectReason::ProtocolVersionNotSupported,
            Self::NoCommonAlgorithm { .. } | Self::KeyExchange { .. } => DisconnectReason::KeyExchangeFailed,
            Self::Malformed { .. }
            | Self::UnexpectedMessage { .. }
            | Self::BadPacketLength { .. }
            | Self::Protocol { .. }
            | Self::TooManyAuthenticationFailures { .. } => DisconnectReason::ProtocolError,
            Self::IntegrityCheck => DisconnectReason::MacError,
            Self::HostKeyRejected { .. } => DisconnectReason::HostKeyNotVerifiable,
            Self::AuthenticationRefused { .. } => DisconnectReason::NoMoreAuthMethodsAvailable,
            Self::Limit { .. } | Self::TimedOut { .. } => DisconnectReason::ByApplication,
            Self::Signing { .. } | Self::Crypto { .. } => DisconnectReason::ByApplication,
            Self::Disconnecting { reason, description } => return Some((*reason, description.clone())),
            Self::Disconnected { .. } | Self::Closed | Self::Io(_) => return None,
        };
        let words = match self {
            // OpenSSH's own words, which other tools look for.
            Self::TooManyAuthenticationFailures { .. } => "Too many authentication failures".to_owned(),
            // Details of our side stay on our side.
            Self::Signing { .. } | Self::Crypto { .. } => "internal error".to_owned(),
            shown => shown.to_string(),
        };
        Some((reason, words))
    }
}

/// Gives a [`Malformed`] the number of the message it was found in.
pub(crate) trait InMessage<T> {
    fn in_message(self, number: u8) -> Result<T, Error>;
}

impl<T> InMessage<T> for Result<T, Malformed> {
    fn in_message(self, number: u8) -> Result<T, Error> {
        self.map_err(|problem| Error::Malformed { number, problem })
    }
}
