//! A Debian 13 tree with OpenSSH 10.0, so that both of Debian's current OpenSSH releases are tested on one machine.

use std::process::{Command, Stdio};

use super::debian;
use crate::tool::{Error, is_root, run};

/// The packages that come on top of the smallest tree. What the server side of a test may be asked to run is among them.
const PACKAGES: &str = "openssh-client,openssh-server,openssh-sftp-server,git,rsync,xauth";

/// Makes the tree with debootstrap unless it is complete.
pub(super) fn unpack() -> Result<(), Error> {
    let folder = hop_e2e::program::peers_folder().join("trixie");
    let stamp = folder.join("etc/hop-installed");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == PACKAGES) {
        return Ok(());
    }
    let mirror = debian::mirror()?;
    if !is_root() {
        let command = format!(
            "debootstrap --variant=minbase --include={PACKAGES} trixie {} {mirror}",
            folder.display()
        );
        return Err(Error::NeedsRoot {
            what: "making a Debian 13 tree with debootstrap".to_owned(),
            command,
        });
    }
    // A tree left half-made by an interrupted run is of no use.
    super::remove_folder(&folder)?;
    std::fs::create_dir_all(&folder).map_err(Error::file(&folder))?;
    let include = format!("--include={PACKAGES}");
    // It tells of every package; what matters goes to its own log below the folder when it fails.
    run(Command::new("debootstrap")
        .args(["--variant=minbase", &include, "trixie"])
        .arg(&folder)
        .arg(mirror)
        .stdout(Stdio::null()))?;
    std::fs::write(&stamp, PACKAGES).map_err(Error::file(&stamp))
}
