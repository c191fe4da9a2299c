//! Runs the protocol on tokio: the thin async shell around the sans-IO core.
//!
//! A connection is one [`Driver`] future, which owns the byte stream, and any number of handles
//! ([`Connection`], [`Channel`], …), which share the protocol's state with it behind a lock that is never
//! held across an await. Everything stays on the caller's task and runtime; nothing is spawned.

mod bare;
mod channel;
mod connection;
mod known;
mod login;
mod passing;
mod pump;
mod relay;
mod tcp;
mod wire;

pub use bare::{BareServer, give_word};
pub use channel::{Channel, ChannelReader, ChannelRequests, ChannelWriter, IncomingChannelRequest};
pub use connection::{Arrivals, Connection, Incoming, IncomingGlobalRequest, IncomingOpen, OpenError};
pub use known::serve_known;
pub use login::{Answers, AuthenticatedServer, ClientLogin, ServerLogin};
pub use passing::BringsDescriptors;
pub use pump::{Driver, Traffic};
pub use relay::{RelayDriver, RelayMeter};
pub use tcp::{QuickAck, prepare_tcp};
