//! The way from a site's web address to its gateway.

use hop_gateway::Gateway;
use hop_portal::{SshDoor, SshVisitor};
use std::net::SocketAddr;
use std::sync::OnceLock;

/// Hands visitors of the pages' listener to the gateway, once there is one.
pub(super) struct WebDoor {
    gateway: OnceLock<Gateway>,
    server: SocketAddr,
}

impl WebDoor {
    /// `server` is where the pages are served.
    pub(super) fn at(server: SocketAddr) -> Self {
        Self { gateway: OnceLock::new(), server }
    }

    /// Says where visitors go.
    pub(super) fn lead_to(&self, gateway: &Gateway) {
        let _known = self.gateway.set(gateway.clone());
    }
}

impl SshDoor for WebDoor {
    fn enter(&self, SshVisitor { stream, client, project }: SshVisitor) {
        if let Some(gateway) = self.gateway.get() {
            // HTTP proxies tell the client's address, never its port.
            gateway.take(stream, SocketAddr::new(client, 0), self.server, project);
        }
    }
}
