//! How people reach the site: what every printed link, line and block uses.

use super::settings::Settings;
use hop_store::Token;
use std::net::{IpAddr, SocketAddr};

/// The names of a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PublicNames {
    /// The address of the pages, without a slash at its end.
    pub(crate) url: String,
    /// The host in ssh lines.
    pub(crate) ssh_name: String,
    /// The port in ssh lines.
    pub(crate) ssh_port: u16,
}

impl PublicNames {
    /// As set, and where it listens for what is not.
    pub(crate) fn new(settings: &Settings, ssh: SocketAddr, http: SocketAddr) -> Self {
        let scheme = if settings.tls.is_some() { "https" } else { "http" };
        let public = &settings.public;
        let url = public
            .url
            .clone()
            .unwrap_or_else(|| format!("{scheme}://{}", SocketAddr::new(reachable(http.ip()), http.port())));
        Self {
            url: url.trim_end_matches('/').to_owned(),
            ssh_name: public.ssh_name.clone().unwrap_or_else(|| reachable(ssh.ip()).to_string()),
            ssh_port: public.ssh_port.unwrap_or(ssh.port()),
        }
    }

    /// The page on which a one-time link is used.
    pub(crate) fn sign_in_link(&self, token: &Token) -> String {
        format!("{}/sign-in/{}", self.url, token.expose_secret())
    }

    /// The page on which an invitation is used.
    pub(crate) fn invitation_link(&self, token: &Token) -> String {
        format!("{}/invitation/{}", self.url, token.expose_secret())
    }

    /// The line that opens a project.
    pub(crate) fn ssh_command(&self, user: &str) -> String {
        match self.ssh_port {
            22 => format!("ssh {user}@{}", self.ssh_name),
            port => format!("ssh -p {port} {user}@{}", self.ssh_name),
        }
    }
}

/// An address that a client on this machine can use.
fn reachable(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(all) if all.is_unspecified() => IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
        IpAddr::V6(all) if all.is_unspecified() => IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_can_be_typed() {
        let names = |text: &str, ssh: &str| {
            let settings: Settings = toml::from_str(text).unwrap();
            PublicNames::new(&settings, ssh.parse().unwrap(), "127.0.0.1:8022".parse().unwrap())
        };
        assert_eq!(names("", "127.0.0.1:2222").ssh_command("p"), "ssh -p 2222 p@127.0.0.1");
        assert_eq!(names("", "0.0.0.0:22").ssh_command("p"), "ssh p@127.0.0.1");
        assert_eq!(names("", "[::]:2222").ssh_command("p"), "ssh -p 2222 p@::1");
        let public = names(
            "[public]\nurl = 'https://hop.example/'\nssh_name = 'hop.example'\nssh_port = 22",
            "0.0.0.0:2222",
        );
        assert_eq!(
            (public.url.as_str(), public.ssh_command("p").as_str()),
            ("https://hop.example", "ssh p@hop.example")
        );
    }
}
