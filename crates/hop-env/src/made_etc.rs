//! The /etc of a sandbox: made for one project, so that nothing of the host's is seen.

use crate::sandbox::{Network, Project};
use std::io;
use std::os::unix::fs::DirBuilderExt;
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

/// Writes the made files into `directory`, anew at each start.
pub(crate) fn write(directory: &Path, project: &Project, network: Network) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
    // Places for what is shared: bubblewrap cannot make them in a directory that is mounted read-only.
    for path in SHARED.iter().map(Path::new).filter(|path| path.exists()) {
        let place = directory.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            std::fs::create_dir_all(place)?;
        } else {
            std::fs::write(place, "")?;
        }
    }
    for (name, content) in files(project, network) {
        let path = directory.join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(path, content)?;
    }
    Ok(())
}

fn files(project: &Project, network: Network) -> Vec<(&'static str, String)> {
    let (name, uid, gid) = (&project.user, project.run_as.uid, project.run_as.gid);
    let resolver = match network {
        Network::None => String::new(),
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
        ("ssh/ssh_config", "Include /etc/ssh/ssh_config.d/*.conf\nSendEnv LANG LC_*\n".to_owned()),
    ]
}

/// The login shell of projects: bash where the machine has it.
pub(crate) fn shell() -> &'static str {
    if Path::new("/usr/bin/bash").exists() { "/bin/bash" } else { "/bin/sh" }
}
