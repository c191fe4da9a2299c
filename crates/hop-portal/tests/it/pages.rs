//! The pages through a real listener.

mod content;
mod logs;
mod sessions;
mod ssh_config;
mod walls;
