//! One file per command: what was typed becomes what it means here, and the libraries do it.

pub(crate) mod admin;
pub(crate) mod door;
pub(crate) mod endpoint;
pub(crate) mod generate;
pub(crate) mod jupyter;
pub(crate) mod out;
pub(crate) mod proxy;
pub(crate) mod proxy_port;
pub(crate) mod secret;
pub(crate) mod sftp_server;
pub(crate) mod up;
pub(crate) mod vault;
pub(crate) mod walls;
pub(crate) mod web;

pub(crate) mod serve;
pub(crate) mod server;
