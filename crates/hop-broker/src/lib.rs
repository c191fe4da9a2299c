//! The user's daemon: it holds connections, asks the person, and lets every program share what a person opened once.
//!
//! What must stay true: one broker per user and machine; it hears only that user's processes, a closed set of requests;
//! what a person types goes to the one process that asked, is in no log, and is overwritten in memory afterwards.
//! Nothing here prints, and the environment is the caller's.
#![forbid(unsafe_code)]

pub mod answers;
pub mod broker;
pub mod conversation;
pub mod daemon;
mod dialogue;
pub mod ferry;
pub mod host_settings;
pub mod prompt;
pub mod protocol;
mod script;
mod ticket;
pub mod web;

pub use conversation::{Conversation, ConversationError, Reached};
pub use hop_model::Secret;
pub use protocol::{Event, Request};
