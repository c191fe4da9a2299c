//! Questions that `ssh` asks of a person: what kind they are, and who is asked.

pub mod class;
pub mod desk;

pub use class::Class;
pub use desk::{Desk, Open, PromptId};
