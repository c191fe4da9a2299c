//! The pages through a real listener.

mod content;
mod sessions;
mod walls;
