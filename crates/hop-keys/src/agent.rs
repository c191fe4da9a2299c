//! The messages of the ssh-agent protocol (draft-ietf-sshm-ssh-agent, OpenSSH PROTOCOL.agent) that signing
//! needs.
//!
//! What must stay true: a frame is bounded before it is kept, and what an agent sends is read to the last
//! byte. Nothing here does I/O: whoever owns the socket sends the frames and collects the bytes.

use crate::algorithm::SignatureAlgorithm;
use crate::wire::{Put as _, Reader, WireError};

/// As much as OpenSSH's agent takes and sends.
pub const MAX_FRAME: usize = 256 * 1024;

const FAILURE: u8 = 5;
const SUCCESS: u8 = 6;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;
const EXTENSION: u8 = 27;
const EXTENSION_FAILURE: u8 = 28;
const FLAG_RSA_SHA2_256: u32 = 2;
const FLAG_RSA_SHA2_512: u32 = 4;

/// The extension that tells an agent which server a connection goes to, so that destination-restricted keys
/// work.
pub const SESSION_BIND: &str = "session-bind@openssh.com";

/// What is asked of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentRequest {
    /// Which keys and certificates it holds.
    Identities,
    /// A signature.
    Sign {
        /// The key or certificate blob, as the agent listed it.
        identity: Vec<u8>,
        /// What to sign.
        message: Vec<u8>,
        /// See [`sign_flags`].
        flags: u32,
    },
    /// An extension, its contents as they are.
    Extension {
        /// Its name, `NAME@DOMAIN`.
        name: String,
        /// What follows the name.
        contents: Vec<u8>,
    },
}

/// What an agent answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentResponse {
    /// It did what was asked.
    Success,
    /// It did not: no such key, the user said no, locked, unknown request.
    Failure,
    /// It knows the extension and could not do it.
    ExtensionFailure,
    /// Its keys and certificates.
    Identities(Vec<AgentIdentity>),
    /// An SSH signature blob.
    Signature(Vec<u8>),
}

/// A key or certificate that an agent holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentIdentity {
    /// The key or certificate blob, not read: agents hold kinds that we do not know.
    pub blob: Vec<u8>,
    /// The comment, not trusted; escape it before it reaches a terminal.
    pub comment: String,
}

/// The flags that make an agent sign so; without them an RSA key signs with SHA-1.
pub const fn sign_flags(algorithm: SignatureAlgorithm) -> u32 {
    match algorithm {
        SignatureAlgorithm::RsaSha256 => FLAG_RSA_SHA2_256,
        SignatureAlgorithm::RsaSha512 => FLAG_RSA_SHA2_512,
        SignatureAlgorithm::Ed25519
        | SignatureAlgorithm::EcdsaNistp256
        | SignatureAlgorithm::EcdsaNistp384
        | SignatureAlgorithm::EcdsaNistp521
        | SignatureAlgorithm::SkEd25519
        | SignatureAlgorithm::SkEcdsaNistp256 => 0,
    }
}

impl AgentRequest {
    /// The request that binds a connection to a server: its host key, the session identifier of the first key
    /// exchange, the host key's signature over that, and whether the connection is only for forwarding the
    /// agent.
    pub fn session_bind(host_key: &[u8], session_id: &[u8], signature: &[u8], forwarding: bool) -> Self {
        let mut contents = Vec::new();
        contents.put_string(host_key);
        contents.put_string(session_id);
        contents.put_string(signature);
        contents.push(u8::from(forwarding));
        Self::Extension { name: SESSION_BIND.to_owned(), contents }
    }

    /// The request as a frame, ready to send.
    pub fn to_frame(&self) -> Vec<u8> {
        frame(|out| match self {
            Self::Identities => out.push(REQUEST_IDENTITIES),
            Self::Sign { identity, message, flags } => {
                out.push(SIGN_REQUEST);
                out.put_string(identity);
                out.put_string(message);
                out.put_u32(*flags);
            }
            Self::Extension { name, contents } => {
                out.push(EXTENSION);
                out.put_string(name.as_bytes());
                out.extend_from_slice(contents);
            }
        })
    }

    /// Reads a frame's payload.
    pub fn parse(payload: &[u8]) -> Result<Self, AgentError> {
        let mut reader = Reader::new(payload);
        let request = match reader.u8("message type")? {
            REQUEST_IDENTITIES => Self::Identities,
            SIGN_REQUEST => Self::Sign {
                identity: reader.string("key")?.to_vec(),
                message: reader.string("message")?.to_vec(),
                flags: reader.u32("flags")?,
            },
            EXTENSION => {
                let name = reader.text("extension name")?.to_owned();
                return Ok(Self::Extension { name, contents: reader.rest().to_vec() });
            }
            kind => return Err(AgentError::Message { kind }),
        };
        reader.finish("agent request")?;
        Ok(request)
    }
}

impl AgentResponse {
    /// The response as a frame, ready to send.
    pub fn to_frame(&self) -> Vec<u8> {
        frame(|out| match self {
            Self::Success => out.push(SUCCESS),
            Self::Failure => out.push(FAILURE),
            Self::ExtensionFailure => out.push(EXTENSION_FAILURE),
            Self::Identities(identities) => {
                out.push(IDENTITIES_ANSWER);
                out.put_u32(u32::try_from(identities.len()).unwrap_or(u32::MAX));
                for identity in identities {
                    out.put_string(&identity.blob);
                    out.put_string(identity.comment.as_bytes());
                }
            }
            Self::Signature(blob) => {
                out.push(SIGN_RESPONSE);
                out.put_string(blob);
            }
        })
    }

    /// Reads a frame's payload.
    pub fn parse(payload: &[u8]) -> Result<Self, AgentError> {
        let mut reader = Reader::new(payload);
        let response = match reader.u8("message type")? {
            SUCCESS => Self::Success,
            FAILURE => Self::Failure,
            EXTENSION_FAILURE => Self::ExtensionFailure,
            IDENTITIES_ANSWER => {
                let count = reader.u32("number of keys")?;
                // Grows with what is there, not with what is announced.
                let mut identities = Vec::new();
                for _ in 0..count {
                    let blob = reader.string("key")?.to_vec();
                    let comment = String::from_utf8_lossy(reader.string("comment")?).into_owned();
                    identities.push(AgentIdentity { blob, comment });
                }
                Self::Identities(identities)
            }
            SIGN_RESPONSE => Self::Signature(reader.string("signature")?.to_vec()),
            kind => return Err(AgentError::Message { kind }),
        };
        reader.finish("agent response")?;
        Ok(response)
    }
}

/// Takes the first frame off what was received: its payload and how many bytes it took; `None` while it is
/// incomplete.
pub fn split_frame(received: &[u8]) -> Result<Option<(&[u8], usize)>, AgentError> {
    let Some((length, rest)) = received.split_first_chunk() else { return Ok(None) };
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    if length == 0 || length > MAX_FRAME {
        return Err(AgentError::FrameLength { length });
    }
    Ok(rest.get(..length).map(|payload| (payload, 4 + length)))
}

fn frame(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut payload = Vec::new();
    write(&mut payload);
    let mut out = Vec::with_capacity(4 + payload.len());
    out.put_string(&payload);
    out
}

/// Why an agent's bytes cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AgentError {
    /// The structure is broken.
    #[error("the agent message is broken: {0}")]
    Wire(#[from] WireError),
    /// A message that has no meaning for us.
    #[error("agent message {kind} is not known")]
    Message {
        /// Its number.
        kind: u8,
    },
    /// A frame without contents, or beyond the limit.
    #[error("agent message of {length} bytes; 1 to {MAX_FRAME} are allowed")]
    FrameLength {
        /// The announced length.
        length: usize,
    },
}

#[cfg(test)]
mod tests;
