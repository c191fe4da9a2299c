//! A byte stream to a peer through a WebSocket (RFC 6455): client over `ws` and `wss`, server on any stream.
//!
//! What must stay true: a stalled peer holds back and is never buffered for; nothing that a peer says panics or makes an
//! allocation of its choosing; a token goes to the origin that was named and to no other; nothing here reads the process
//! environment.

mod client;
mod close;
mod frame;
mod handshake;
mod http_proxy;
mod join;
mod protocol;
mod pulse;
mod request;
mod server;
mod stream;
mod target;
mod terminal;
mod tls;

pub use client::{ClientOptions, ClientStream, ConnectError, Refusal, connect};
pub use close::{Close, CloseCode};
pub use frame::FrameError;
pub use handshake::{NotWebSocket, answer};
pub use hop_model::Secret;
pub use http_proxy::{ProxyUrl, ProxyUrlError, ProxyVariables};
pub use join::{Parted, join};
pub use protocol::Random;
pub use pulse::Keepalive;
pub use request::{Answer, Method, Request, Telling, fetch_public, follow, request};
pub use server::{AcceptError, Door, accept, begin};
pub use stream::{End, Traffic, WebSocket};
pub use target::{Target, TargetError};
pub use terminal::{
    Lines, MessageError, Part, PartKind, Side, TerminalReader, TerminalWriter, TunnelEnd, TunnelError, tunnel,
};
pub use tls::{Trust, TrustError};
