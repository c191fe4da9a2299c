//! What a site is called from outside: every link, block and line that pages print is made from it.
//!
//! What must stay true: nothing here comes from a request.

use hop_store::{ProjectId, Token};
use hyper::Uri;

/// The names of a site.
#[derive(Debug, Clone)]
pub struct PublicNames {
    origin: String,
    authority: String,
    is_https: bool,
    ssh_host: String,
    ssh_port: u16,
    host_key_lines: Vec<String>,
}

/// Why names are not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NamesError {
    /// Not `http://HOST[:PORT]` or `https://HOST[:PORT]`.
    #[error("the public URL {url:?} is not like https://hop.example.org, without a path")]
    Url {
        /// What was given.
        url: String,
    },
    /// Not a host name or address.
    #[error("the public SSH name {host:?} is not a host name or an address")]
    SshHost {
        /// What was given.
        host: String,
    },
}

impl PublicNames {
    /// The address of the pages (scheme, host, port; no path), that of the SSH gateway, and the lines that make its host
    /// keys known (see [`hop_keys::known_hosts_line`]).
    pub fn parse(
        url: &str,
        ssh_host: &str,
        ssh_port: u16,
        host_key_lines: Vec<String>,
    ) -> Result<Self, NamesError> {
        let bad_url = || NamesError::Url { url: url.to_owned() };
        let uri: Uri = url.parse().map_err(|_| bad_url())?;
        let is_https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(_) | None => return Err(bad_url()),
        };
        let authority = uri.authority().ok_or_else(bad_url)?;
        let has_path = uri.path_and_query().is_some_and(|path| path.as_str() != "/");
        if has_path || authority.as_str().contains('@') || authority.host().is_empty() {
            return Err(bad_url());
        }
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
        if ssh_host.is_empty() || ssh_host.starts_with('-') || !ssh_host.bytes().all(is_name) {
            return Err(NamesError::SshHost { host: ssh_host.to_owned() });
        }
        let default = if is_https { 443 } else { 80 };
        let host = authority.host().to_ascii_lowercase();
        let authority = match authority.port_u16() {
            Some(port) if port != default => format!("{host}:{port}"),
            Some(_) | None => host,
        };
        let origin = format!("{}://{authority}", if is_https { "https" } else { "http" });
        let ssh_host = ssh_host.to_owned();
        Ok(Self { origin, authority, is_https, ssh_host, ssh_port, host_key_lines })
    }

    /// Scheme, host and port of the pages, as a browser says them in `Origin`.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The link that signs somebody in.
    pub fn sign_in_link(&self, token: &Token) -> String {
        format!("{}/sign-in/{}", self.origin, token.expose_secret())
    }

    /// The link by which somebody takes an invitation.
    pub fn invitation_link(&self, token: &Token) -> String {
        format!("{}/invitation/{}", self.origin, token.expose_secret())
    }

    /// What a person types to log in to a project, by its id or alias.
    pub fn ssh_command(&self, project: &str) -> String {
        match self.ssh_port {
            22 => format!("ssh {project}@{}", self.ssh_host),
            port => format!("ssh -p {port} {project}@{}", self.ssh_host),
        }
    }

    /// The gateway's name.
    pub fn ssh_host(&self) -> &str {
        &self.ssh_host
    }

    /// The gateway's port.
    pub const fn ssh_port(&self) -> u16 {
        self.ssh_port
    }

    /// The lines for `~/.ssh/known_hosts`.
    pub fn host_key_lines(&self) -> &[String] {
        &self.host_key_lines
    }

    /// The block for `~/.ssh/config`. It names the project by its id, which stays when the alias changes.
    pub fn ssh_config(&self, host: &str, project: ProjectId) -> String {
        format!(
            "Host {host}\n    HostName {}\n    Port {}\n    User {project}\n    IdentityFile ~/.ssh/id_ed25519\n    \
             IdentitiesOnly yes\n    AddKeysToAgent yes\n    IgnoreUnknown UseKeychain\n    UseKeychain yes\n",
            self.ssh_host, self.ssh_port
        )
    }

    pub(crate) const fn is_https(&self) -> bool {
        self.is_https
    }

    /// Whether a request's `Host` is this site.
    pub(crate) fn is_host(&self, host: &str) -> bool {
        let default = if self.is_https { ":443" } else { ":80" };
        let host = host.to_ascii_lowercase();
        host.strip_suffix(default).unwrap_or(&host) == self.authority
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(url: &str) -> Result<PublicNames, NamesError> {
        PublicNames::parse(url, "ssh.example.org", 22, Vec::new())
    }

    #[test]
    fn urls() {
        for (url, origin) in [
            ("https://Hop.example.org", "https://hop.example.org"),
            ("https://hop.example.org:443/", "https://hop.example.org"),
            ("http://127.0.0.1:8022", "http://127.0.0.1:8022"),
            ("http://[::1]:8022/", "http://[::1]:8022"),
        ] {
            assert_eq!(names(url).unwrap().origin(), origin);
        }
        for bad in
            ["", "hop.example.org", "ftp://a", "https://a/b", "https://u@a", "https://a/?x", "https://"]
        {
            assert!(names(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn hosts() {
        let names = names("https://hop.example.org").unwrap();
        for (host, wanted) in [
            ("hop.example.org", true),
            ("HOP.example.org:443", true),
            ("hop.example.org:80", false),
            ("hop.example.org.", false),
            ("evil.example", false),
            ("", false),
        ] {
            assert_eq!(names.is_host(host), wanted, "{host}");
        }
    }

    #[test]
    fn ssh_names_cannot_be_options_or_more_than_one_word() {
        for bad in ["", "-oProxyCommand=x", "a b", "a\nb", "a/b", "a'b"] {
            assert!(PublicNames::parse("https://a", bad, 22, Vec::new()).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_people_copy() {
        let names = PublicNames::parse("https://a", "gw.example.org", 2222, Vec::new()).unwrap();
        let id = ProjectId::parse("017f22e279b07cc398c4dc0c0c07398f").unwrap();
        assert_eq!(names.ssh_command("climate"), "ssh -p 2222 climate@gw.example.org");
        let block = names.ssh_config("climate", id);
        let ignore = block.find("IgnoreUnknown UseKeychain").unwrap();
        assert!(ignore < block.find("    UseKeychain yes").unwrap(), "ssh(1) reads from above:\n{block}");
        let lines: Vec<_> = block.lines().map(str::trim).collect();
        for line in [
            "Host climate",
            "HostName gw.example.org",
            "Port 2222",
            "User 017f22e279b07cc398c4dc0c0c07398f",
            "IdentitiesOnly yes",
            "AddKeysToAgent yes",
        ] {
            assert!(lines.contains(&line), "{line}");
        }
    }
}
