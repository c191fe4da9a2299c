//! `hop proxy-port`: the port on a project's loopback at which its programs find the site's proxy.

use super::server;
use crate::error::{CommandError, ErrorKind, OrFail};
use hop_env::proxy;
use std::path::Path;
use tokio::net::TcpListener;

/// Passes connections on until the project ends.
pub(crate) fn run(socket: &Path) -> Result<(), CommandError> {
    server::log_to_stderr("info");
    server::runtime()?.block_on(async {
        let listener = TcpListener::bind(proxy::ADDRESS).await.or_fail(ErrorKind::Unavailable)?;
        proxy::port(listener, socket).await.or_fail(ErrorKind::Internal)
    })
}
