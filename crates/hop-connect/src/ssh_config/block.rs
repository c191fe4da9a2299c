//! What is written for one host.
//!
//! Must stay true: paths stand there literally, so every character in them means itself to ssh and to a shell.

use super::SshConfigError;
use crate::alias::{Alias, AliasError};
use crate::socket_directory::SocketDirectory;
use std::path::Path;

/// The name that our host key has in [`Ours::known_hosts`]; no host is called so.
pub const HOST_KEY_ALIAS: &str = "grasshopper";

/// What a block names.
#[derive(Clone, Copy, Debug)]
pub struct Ours<'a> {
    /// The program.
    pub hop: &'a Path,
    /// Where the control sockets are.
    pub sockets: &'a SocketDirectory,
    /// Where the host key is that `hop dial` serves with.
    pub known_hosts: &'a Path,
}

/// The block of a host: the literal path of its socket, and for when there is none or no room on it, a ProxyCommand and
/// what SSH speaks through it. Those are settings that users have for their hosts (old ciphers, other keys), which ours
/// must not get; while an ssh rides on the socket, nothing looks at them.
///
/// # Errors
/// When a path has a character that has a meaning there.
pub fn block(alias: &Alias, ours: &Ours<'_>) -> Result<String, SshConfigError> {
    let socket = ours.sockets.control_socket(alias);
    let (hop, socket, known_hosts) = (plain(ours.hop)?, plain(&socket)?, plain(ours.known_hosts)?);
    // The tokens stand in single quotes: what was typed as a user goes through a shell here.
    Ok(format!(
        "Match originalhost {alias} exec \"test -x {hop} && {hop} ensure --id {alias} --name '%n' --addr '%h' \
         --user '%r' --port '%p' --local-user '%u'\"\n    \
         ControlPath {socket}\n    ControlMaster no\n    ControlPersist no\n    \
         ProxyCommand {hop} dial {alias} '%n' '%r' '%h' '%p'\n    \
         HostKeyAlias {HOST_KEY_ALIAS}\n    GlobalKnownHostsFile {known_hosts}\n    UpdateHostKeys no\n    \
         HostKeyAlgorithms ssh-ed25519\n    KexAlgorithms curve25519-sha256\n    \
         Ciphers aes256-gcm@openssh.com,aes128-gcm@openssh.com\n"
    ))
}

/// What the block of a host for plain tools names.
#[derive(Clone, Copy, Debug)]
pub struct Port<'a> {
    /// On loopback.
    pub number: u16,
    /// The file of the key that opens it.
    pub key: &'a Path,
    /// Where the host key is.
    pub known_hosts: &'a Path,
}

/// The name that a host has for tools that know neither Match nor ControlPath. Another than its own, which is looked up
/// when it is logged in to.
///
/// # Errors
/// When that is too long for a name.
pub fn plain_name(alias: &Alias) -> Result<Alias, AliasError> {
    Alias::parse(&format!("{alias}-plain"))
}

/// The block for such tools: the host by way of the loopback port, in settings that all of them know.
///
/// # Errors
/// When a path has a character that has a meaning there.
pub fn plain_block(alias: &Alias, port: &Port<'_>) -> Result<String, SshConfigError> {
    let (number, key, known_hosts) = (port.number, plain(port.key)?, plain(port.known_hosts)?);
    Ok(format!(
        "Host {alias}-plain\n    HostName 127.0.0.1\n    Port {number}\n    User {alias}\n    \
         IdentityFile {key}\n    IdentitiesOnly yes\n    \
         HostKeyAlias {HOST_KEY_ALIAS}\n    UserKnownHostsFile {known_hosts}\n"
    ))
}

fn plain(path: &Path) -> Result<&str, SshConfigError> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,~@=".contains(c);
    path.to_str()
        .filter(|text| text.starts_with('/') && text.chars().all(is_plain))
        .ok_or_else(|| SshConfigError::Path { path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_as_it_was_tried() {
        let sockets = SocketDirectory::of_user(1000);
        let alias = Alias::parse("saga").unwrap();
        let known_hosts = Path::new("/home/a/.local/state/hop/known_hosts");
        let ours = |hop| Ours { hop, sockets: &sockets, known_hosts };
        let text = block(&alias, &ours(Path::new("/usr/bin/hop"))).unwrap();
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        assert_eq!(
            lines,
            [
                "Match originalhost saga exec \"test -x /usr/bin/hop && /usr/bin/hop ensure --id saga --name '%n' \
                 --addr '%h' --user '%r' --port '%p' --local-user '%u'\"",
                "ControlPath /tmp/hop-1000/saga",
                "ControlMaster no",
                "ControlPersist no",
                "ProxyCommand /usr/bin/hop dial saga '%n' '%r' '%h' '%p'",
                "HostKeyAlias grasshopper",
                "GlobalKnownHostsFile /home/a/.local/state/hop/known_hosts",
                "UpdateHostKeys no",
                "HostKeyAlgorithms ssh-ed25519",
                "KexAlgorithms curve25519-sha256",
                "Ciphers aes256-gcm@openssh.com,aes128-gcm@openssh.com",
            ]
        );
        let odd = block(&alias, &ours(Path::new("/opt/my tools/hop"))).unwrap_err();
        assert!(odd.to_string().contains("/opt/my tools/hop"), "{odd}");
    }
}
