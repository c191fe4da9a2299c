//! A byte stream through a text terminal: what a Jupyter server has for everybody, where nothing can be installed in it.
//!
//! What must stay true: what a shell or a start-up file prints is never taken for a part of the stream; what is damaged or lost
//! on the way ends the stream; neither side sends more than the other has room for, since nobody on the way holds back.

mod line;
mod message;
mod tunnel;

pub use line::{Lines, Part, PartKind};
pub use message::{MessageError, TerminalReader, TerminalWriter};
pub use tunnel::{Side, TunnelEnd, TunnelError, tunnel};
