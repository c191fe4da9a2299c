//! The /etc of a sandbox: made for one project, so that nothing of the host's is seen.

use crate::project::Project;
use crate::sandbox::{HOP, Network};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Parts of the host's /etc that programs cannot do without and that hold no secrets: certificate authorities,
/// the linker's cache, which program stands for which name, the time zone.
pub(crate) const SHARED: [&str; 6] = [
    "/etc/ssl",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/alternatives",
    "/etc/localtime",
];

/// What a project's ssh calls its own site's gateway, as in `ssh OTHER@ssh`.
const GATEWAY: &str = "ssh";
/// The name under which that gateway's keys are known, whatever it is called.
const GATEWAY_ALIAS: &str = "gateway.grasshopper";

/// Writes the made files into `directory`, anew at each start.
pub(crate) fn write(
    directory: &Path,
    project: &Project,
    network: &Network,
    gateway_keys: &[HostKeyLine],
) -> io::Result<()> {
    readable_directory(directory)?;
    // Places for what is shared: bubblewrap cannot make them in a directory that is mounted read-only.
    for path in SHARED.iter().map(Path::new).filter(|path| path.exists()) {
        let place = directory.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            readable_directory(&place)?;
        } else {
            readable_file(&place, "")?;
        }
    }
    for (name, content) in files(project, network, gateway_keys) {
        let path = directory.join(name);
        if let Some(parent) = path.parent() {
            readable_directory(parent)?;
        }
        readable_file(&path, &content)?;
    }
    Ok(())
}

/// The project's user reads them, whatever our umask is.
fn readable_directory(path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
}

fn readable_file(path: &Path, content: &str) -> io::Result<()> {
    std::fs::write(path, content)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644))
}

/// A host key of the gateway, as known_hosts has it behind the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostKeyLine {
    authority: bool,
    key: String,
}

/// Something else than a host key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a host key of the gateway: {line:?}; it is `ALGORITHM BASE64`, with `@cert-authority ` in front for a CA"
)]
pub struct HostKeyLineError {
    line: String,
}

impl HostKeyLine {
    pub(crate) fn parse(line: &str) -> Result<Self, HostKeyLineError> {
        let refused = || HostKeyLineError { line: line.to_owned() };
        let mut words = line.split_ascii_whitespace();
        let first = words.next().ok_or_else(refused)?;
        let authority = first == "@cert-authority";
        let algorithm = if authority { words.next().ok_or_else(refused)? } else { first };
        let key = words.next().ok_or_else(refused)?;
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-@.".contains(&byte);
        let is_key = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
        if line.contains(['\n', '\r'])
            || algorithm.starts_with('@')
            || !algorithm.bytes().all(is_name)
            || !key.bytes().all(is_key)
        {
            return Err(refused());
        }
        Ok(Self { authority, key: format!("{algorithm} {key}") })
    }
}

/// `ssh OTHER@ssh` goes through the project's own door, and meets keys that are known here.
fn ssh_config(gateway_keys: &[HostKeyLine]) -> String {
    // Where the keys are not known, ssh asks as ever.
    let checking = if gateway_keys.is_empty() { "" } else { "    StrictHostKeyChecking yes\n" };
    format!(
        "Include /etc/ssh/ssh_config.d/*.conf\n\
         Host {GATEWAY}\n    ProxyCommand {HOP} door\n    ProxyUseFdpass yes\n    \
         HostKeyAlias {GATEWAY_ALIAS}\n{checking}\
         Host *\n    SendEnv LANG LC_*\n"
    )
}

fn known_hosts(gateway_keys: &[HostKeyLine]) -> String {
    let line = |key: &HostKeyLine| {
        let marker = if key.authority { "@cert-authority " } else { "" };
        format!("{marker}{GATEWAY_ALIAS} {}\n", key.key)
    };
    gateway_keys.iter().map(line).collect()
}

fn files(project: &Project, network: &Network, gateway_keys: &[HostKeyLine]) -> Vec<(&'static str, String)> {
    let (name, uid, gid) = (&project.user, project.run_as.uid, project.run_as.gid);
    let resolver = match network {
        Network::None | Network::Proxy { .. } => String::new(),
        Network::Host => std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default(),
    };
    vec![
        (
            "passwd",
            format!(
                "{name}:x:{uid}:{gid}::/home/{name}:{}\nnobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n",
                shell()
            ),
        ),
        ("group", format!("{name}:x:{gid}:\nnogroup:x:65534:\n")),
        ("hosts", format!("127.0.0.1 localhost {0}\n::1 localhost {0}\n", project.host_name())),
        ("hostname", format!("{}\n", project.host_name())),
        ("resolv.conf", resolver),
        ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n".to_owned()),
        ("profile", "PS1='\\u@\\h:\\w\\$ '\numask 022\n".to_owned()),
        ("shells", "/bin/sh\n/bin/bash\n".to_owned()),
        ("ssh/ssh_config", ssh_config(gateway_keys)),
        ("ssh/ssh_known_hosts", known_hosts(gateway_keys)),
    ]
}

/// The login shell of projects: bash where the machine has it.
pub(crate) fn shell() -> &'static str {
    if Path::new("/usr/bin/bash").exists() { "/bin/bash" } else { "/bin/sh" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_key_is_a_line_of_known_hosts() {
        let line = HostKeyLine::parse("ssh-ed25519 AAAAC3Nz ada@site").unwrap();
        assert_eq!(known_hosts(&[line]), "gateway.grasshopper ssh-ed25519 AAAAC3Nz\n");
        let line = HostKeyLine::parse("@cert-authority ssh-ed25519 AAAA").unwrap();
        assert_eq!(known_hosts(&[line]), "@cert-authority gateway.grasshopper ssh-ed25519 AAAA\n");
        for bad in [
            "",
            "ssh-ed25519",
            "@cert-authority ssh-ed25519",
            "a b\n* c d",
            "ssh-ed25519 A,A",
            "@revoked a b c",
        ] {
            assert!(HostKeyLine::parse(bad).is_err(), "{bad:?}");
        }
    }
}
