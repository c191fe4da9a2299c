//! How people reach the site: as set, and where it listens for what is not.

use super::settings::Settings;
use crate::error::{CommandError, ErrorKind, OrFail};
use hop_portal::PublicNames;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The names of a site that listens there. `host_keys` are the gateway's, as `ALGORITHM BASE64`.
pub(crate) fn of(
    settings: &Settings,
    ssh: SocketAddr,
    http: SocketAddr,
    host_keys: &[String],
) -> Result<PublicNames, CommandError> {
    let scheme = if settings.tls.is_some() { "https" } else { "http" };
    let public = &settings.public;
    let here = || format!("{scheme}://{}", SocketAddr::new(reachable(http.ip()), http.port()));
    let url = public.url.clone().unwrap_or_else(here);
    let name = public.ssh_name.clone().unwrap_or_else(|| reachable(ssh.ip()).to_string());
    let port = public.ssh_port.unwrap_or(ssh.port());
    // As known_hosts(5) writes a host that is not at port 22.
    let host = if port == 22 { name.clone() } else { format!("[{name}]:{port}") };
    let lines = host_keys.iter().map(|key| format!("{host} {key}")).collect();
    PublicNames::parse(&url, &name, port, lines).or_fail(ErrorKind::Config)
}

/// An address that a client on this machine can use.
fn reachable(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(all) if all.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(all) if all.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
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
            let key = ["ssh-ed25519 AAAA".to_owned()];
            of(&settings, ssh.parse().unwrap(), "127.0.0.1:8022".parse().unwrap(), &key).unwrap()
        };
        assert_eq!(names("", "127.0.0.1:2222").ssh_command("p"), "ssh -p 2222 p@127.0.0.1");
        assert_eq!(names("", "0.0.0.0:22").ssh_command("p"), "ssh p@127.0.0.1");
        assert_eq!(names("", "[::]:2222").ssh_command("p"), "ssh -p 2222 p@::1");
        assert_eq!(names("", "127.0.0.1:2222").host_key_lines(), ["[127.0.0.1]:2222 ssh-ed25519 AAAA"]);
        let public = "[public]\nurl = 'https://hop.example/'\nssh_name = 'hop.example'\nssh_port = 22";
        let public = names(public, "0.0.0.0:2222");
        assert_eq!(public.ssh_command("p"), "ssh p@hop.example");
        assert_eq!(public.host_key_lines(), ["hop.example ssh-ed25519 AAAA"]);
    }
}
