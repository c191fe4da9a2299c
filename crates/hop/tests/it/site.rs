//! A site started by `hop up` in a test's home.

use crate::support::{Home, Server};
use nix::unistd::Pid;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// The words that start it.
pub(crate) const UP: [&str; 8] =
    ["up", "--ssh", "127.0.0.1:0", "--http", "127.0.0.1:0", "--json", "--add-keys", "yes"];

/// Starts it and waits until it serves.
pub(crate) fn up(home: &Home) -> Server {
    up_with(home, &UP)
}

/// The same with other words.
pub(crate) fn up_with(home: &Home, words: &[&str]) -> Server {
    // Other users than root pass through to what is theirs.
    std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
    home.serve(words)
}

/// The supervisor.
pub(crate) fn process(server: &Server) -> Pid {
    Pid::from_raw(i32::try_from(server.child.id()).unwrap())
}

/// The process of the site with this role.
pub(crate) fn role(server: &Server, role: &str) -> Pid {
    let output = Command::new("pgrep")
        .args(["-P", &server.child.id().to_string(), "-f", &format!("role {role}$")])
        .output()
        .expect("pgrep is missing: install the Debian package procps");
    let text = String::from_utf8(output.stdout).unwrap();
    Pid::from_raw(text.trim().parse().unwrap_or_else(|_| panic!("one {role}: {text:?}")))
}
