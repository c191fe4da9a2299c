//! How this process reaches web servers: whom it trusts, through which proxies.

use crate::error::{CommandError, ErrorKind, OrFail};
use hop_link::{ClientOptions, ProxyVariables, Secret, Trust};
use std::path::Path;
use std::time::Duration;

/// Options for requests; `is_secure` when TLS is needed.
pub(crate) fn options(
    token: Option<Secret>,
    is_secure: bool,
    ca_file: Option<&Path>,
    time: Duration,
) -> Result<ClientOptions, CommandError> {
    let trust = is_secure.then(|| trust(ca_file)).transpose()?;
    Ok(ClientOptions { token, trust, proxies: proxies(), time, random: crate::chance::fill })
}

fn trust(ca_file: Option<&Path>) -> Result<Trust, CommandError> {
    let more = ca_file.map(|path| {
        std::fs::read(path).map_err(|error| {
            CommandError::new(ErrorKind::Config, format!("cannot read {}: {error}", path.display()))
        })
    });
    Trust::system(more.transpose()?.as_deref()).or_fail(ErrorKind::Config)
}

/// The proxies of the environment. HTTP_PROXY in capitals is left out, as curl does: in a CGI program a client sets it.
fn proxies() -> ProxyVariables {
    let variable = |names: &[&str]| names.iter().find_map(|name| std::env::var(name).ok());
    ProxyVariables {
        http: variable(&["http_proxy"]),
        https: variable(&["https_proxy", "HTTPS_PROXY"]),
        all: variable(&["all_proxy", "ALL_PROXY"]),
        none: variable(&["no_proxy", "NO_PROXY"]),
    }
}
