//! What one endpoint is told before it starts. Everything comes from the caller: nothing here reads the process
//! environment or knows default paths.

use std::path::PathBuf;
use std::sync::Arc;

use hop_ssh::ServerConfig;

use crate::access::Access;
use crate::account::Account;
use crate::clock::Clock;
use crate::environment::SiteEnvironment;
use crate::forward::GatewayPorts;
use crate::limits::{ChannelActivity, Limits};

/// Configuration of one endpoint, shared by all its connections.
#[derive(Debug, Clone)]
pub struct EndpointConfig {
    /// Who sessions run as.
    pub account: Account,
    /// Host keys, algorithms and identification.
    pub ssh: Arc<ServerConfig>,
    /// Who may log in.
    pub access: Access,
    /// What every session finds in its environment.
    pub site: SiteEnvironment,
    /// Whether `-R` may listen beyond loopback.
    pub gateway_ports: GatewayPorts,
    /// Where private directories for sockets and cookies are made; a short path, since socket paths are
    /// limited to 107 bytes.
    pub temporary: PathBuf,
    /// The user's own Xauthority file, whose records sessions with X11 get, too.
    pub own_xauthority: Option<PathBuf>,
    /// How much peers may cost.
    pub limits: Limits,
    /// For expiry dates.
    pub clock: Clock,
    /// Told of channel data.
    pub activity: ChannelActivity,
}
