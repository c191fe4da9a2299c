//! `hop proxy`.

use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

/// Connect ssh through a WebSocket: the ProxyCommand for SSH behind a JupyterHub or a site's web address
///
/// Moves bytes between standard input and output and the binary frames of a WebSocket, in place of websocat. A token
/// is sent to the host of the URL only; redirects are not followed. Proxies are taken from https_proxy, http_proxy,
/// all_proxy and no_proxy. What stands in the way is said on standard error, where ssh shows it.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples, in ~/.ssh/config:
  Host my-hub
      User jovyan
      HostKeyAlias my-hub
      ProxyCommand hop proxy --start --token-file ~/.config/my-hub.token wss://hub.example.org/user/NAME/sshd/

  Host PROJECT
      ProxyCommand hop proxy wss://hop.example.org/ssh/%n

  Host shut-hub                       (nothing can be installed in its image: hop lies in the home there)
      User jovyan
      HostKeyAlias shut-hub
      ProxyCommand hop proxy --start --through-terminal --token-file ~/.config/my-hub.token wss://hub.example.org/user/NAME/sshd/")]
pub(crate) struct Proxy {
    /// Where SSH is: wss://HOST/user/NAME/sshd/
    #[arg(value_name = "URL")]
    pub(crate) url: String,
    /// File with the token; nobody else may be able to read it
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Environment variable with the token, where no file is given
    #[arg(long, value_name = "NAME", default_value = "HOP_TOKEN")]
    pub(crate) token_env: String,
    /// CA certificates (PEM) to trust beside the system's
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Start a JupyterHub's server if it is stopped, and wait for it; the token needs the scope servers!user=NAME, too
    #[arg(long)]
    pub(crate) start: bool,
    /// Where nothing serves SSH: run hop in a terminal of the Jupyter server, and carry SSH through that; slower, and an open
    /// connection counts as use
    #[arg(long)]
    pub(crate) through_terminal: bool,
    /// Where hop is over there; ~ is the home there (write it in quotes, or the shell here takes it)
    #[arg(
        long,
        value_name = "PATH",
        requires = "through_terminal",
        default_value = "~/.local/share/hop/bin/hop"
    )]
    pub(crate) program: String,
    /// Time for a server to start
    #[arg(long, value_name = "TIME", value_parser = super::duration, default_value = "5m")]
    pub(crate) start_timeout: Duration,
    /// Time for connecting
    #[arg(long, value_name = "TIME", value_parser = super::duration, default_value = "30s")]
    pub(crate) connect_timeout: Duration,
}
