//! The protocol of OpenSSH's control sockets, as their client (PROTOCOL.mux of openssh-portable, version 4).
//!
//! [`message`] is the codec, without I/O; [`client`] speaks it over a Unix socket.

pub mod client;
pub mod forward;
pub mod message;

pub use client::{MuxClient, MuxError};
pub use message::{Decoder, FromMaster, MalformedMessage, ToMaster};
