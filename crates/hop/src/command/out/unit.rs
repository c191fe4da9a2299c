//! `hop daemon unit`: the broker as a service of systemd's, for who wants it there from the first session on.

use super::broker;
use crate::error::{CommandError, ErrorKind, OrFail};
use crate::output;
use std::io::ErrorKind as Io;
use std::path::Path;
use std::process::Command;

const INSTALL: &str = "\
To install it:
  mkdir -p ~/.config/systemd/user
  hop daemon unit > ~/.config/systemd/user/hop.service
  hop daemon stop
  systemctl --user enable --now hop.service";

/// What is known of the user's processes after the last session.
#[derive(Debug, PartialEq, Eq)]
enum Linger {
    /// They go on.
    On,
    /// The unit ends with the last session.
    Off,
    /// There is no systemd to ask.
    NoSystemd,
    /// It said something else.
    Unknown(String),
}

pub(crate) fn run() -> Result<(), CommandError> {
    let program = std::env::current_exe().or_fail(ErrorKind::Internal)?;
    let sockets = std::env::var(broker::DIRECTORY).ok().filter(|path| !path.is_empty());
    output::line(unit(&program, sockets.as_deref()).trim_end());
    output::note(INSTALL);
    let name = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten().map(|user| user.name);
    let name = name.unwrap_or_else(|| rustix::process::getuid().as_raw().to_string());
    output::note(&advice(&linger(&name), &name));
    Ok(())
}

/// Quoted as systemd reads it (systemd.syntax): in double quotes, and `%` doubled (systemd.unit, "Specifiers").
fn quoted(text: &str) -> String {
    let doubled = text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
    format!("\"{doubled}\"")
}

fn unit(program: &Path, sockets: Option<&str>) -> String {
    let environment = sockets
        .map(|path| format!("Environment={}\n", quoted(&format!("{}={path}", broker::DIRECTORY))))
        .unwrap_or_default();
    format!(
        "[Unit]\nDescription=Grasshopper: one SSH login for all programs\nDocumentation=man:hop-daemon(1)\n\n\
         [Service]\nExecStart={} daemon run --stay\n{environment}Restart=on-failure\n\
         # It ends its logins itself.\nKillMode=mixed\n\n[Install]\nWantedBy=default.target\n",
        quoted(&program.display().to_string())
    )
}

fn linger(name: &str) -> Linger {
    match Command::new("loginctl").args(["show-user", "--property=Linger", "--value", name]).output() {
        Err(error) if error.kind() == Io::NotFound => Linger::NoSystemd,
        Err(error) => Linger::Unknown(error.to_string()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout);
            match (said.trim(), output.status.success()) {
                ("yes", true) => Linger::On,
                ("no", true) => Linger::Off,
                _ => explained(&String::from_utf8_lossy(&output.stderr)),
            }
        }
    }
}

/// What loginctl complains of.
fn explained(complaint: &str) -> Linger {
    let line = complaint.lines().next().unwrap_or_default().trim();
    if line.contains("not been booted with systemd") || line.contains("Failed to connect to bus") {
        Linger::NoSystemd
    } else {
        Linger::Unknown(line.to_owned())
    }
}

fn advice(linger: &Linger, name: &str) -> String {
    match linger {
        Linger::On => format!("Linger is on for {name}: logins stay when you have logged out of this computer."),
        Linger::Off => format!(
            "Linger is off for {name}: the unit, and every login with it, ends when you log out of this computer. \
             loginctl enable-linger keeps them; some sites forbid it."
        ),
        Linger::NoSystemd => "This computer does not run systemd, so the unit is for others; here the daemon starts by itself, \
                              and stays when you log out."
            .to_owned(),
        Linger::Unknown(reason) if reason.is_empty() => "Whether linger is on is not known.".to_owned(),
        Linger::Unknown(reason) => format!("Whether linger is on is not known: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_as_systemd_reads_them() {
        let text = unit(Path::new("/opt/my \"tools\"/50%/hop"), Some("/tmp/$x"));
        assert!(text.contains("ExecStart=\"/opt/my \\\"tools\\\"/50%%/hop\" daemon run --stay\n"), "{text}");
        assert!(text.contains("Environment=\"HOP_SOCKET_DIR=/tmp/$x\"\n"), "{text}");
        assert!(!unit(Path::new("/usr/bin/hop"), None).contains("Environment"));
    }

    #[test]
    fn what_loginctl_complains_of() {
        for (said, wanted) in [
            (
                "System has not been booted with systemd as init system (PID 1). Can't operate.\n",
                Linger::NoSystemd,
            ),
            ("Failed to connect to bus: No such file or directory", Linger::NoSystemd),
            (
                "Failed to get user: User ID 5 is not logged in or lingering",
                Linger::Unknown("Failed to get user: User ID 5 is not logged in or lingering".to_owned()),
            ),
        ] {
            assert_eq!(explained(said), wanted, "{said}");
        }
    }
}
