//! Debian packages of the machine itself.

use std::process::Command;

use crate::tool::{Error, is_root, output, run};

/// Installs what `hop_e2e::program` lists and dpkg does not know as installed.
pub(super) fn install() -> Result<(), Error> {
    let missing = missing()?;
    if missing.is_empty() {
        return Ok(());
    }
    let arguments = ["install", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300"];
    if !is_root() {
        let command =
            format!("apt-get update && apt-get install --no-install-recommends {}", missing.join(" "));
        return Err(Error::NeedsRoot { what: format!("the Debian packages {}", missing.join(" ")), command });
    }
    run(Command::new("apt-get").args(["update", "-o", "DPkg::Lock::Timeout=300"]))?;
    run(Command::new("apt-get").args(arguments).args(&missing).env("DEBIAN_FRONTEND", "noninteractive"))
}

/// The packages that are not fully installed.
fn missing() -> Result<Vec<&'static str>, Error> {
    let wanted = hop_e2e::program::debian_packages();
    // dpkg-query ends with 1 when it does not know one of them; the others are still listed.
    let mut query = Command::new("dpkg-query");
    query.args(["-W", "-f", "${Package} ${db:Status-Status}\n"]).args(&wanted);
    let listed = match query.output() {
        Ok(out) => String::from_utf8_lossy(&out.stdout).into_owned(),
        Err(_) => {
            return Err(Error::Missing {
                what: "dpkg-query is not here: the peers are installed as Debian packages".to_owned(),
                hint: "use Debian 12, or install the programs of crates/hop-e2e/src/program.rs by hand"
                    .to_owned(),
            });
        }
    };
    let installed: Vec<_> = listed.lines().filter_map(|l| l.strip_suffix(" installed")).collect();
    Ok(wanted.into_iter().filter(|w| !installed.contains(w)).collect())
}

/// The address from which apt fetches Debian itself.
pub(super) fn mirror() -> Result<String, Error> {
    let targets = output(Command::new("apt-get").args([
        "indextargets",
        "--format",
        "$(REPO_URI) $(ORIGIN) $(CODENAME)",
    ]))?;
    let debian = targets.lines().find_map(|line| {
        let mut words = line.split(' ');
        let uri = words.next()?;
        let plain = words.next() == Some("Debian") && words.next().is_some_and(|name| !name.contains('-'));
        plain.then(|| uri.to_owned())
    });
    debian.ok_or_else(|| Error::Missing {
        what: "apt knows no source of Debian itself".to_owned(),
        hint: "configure one in /etc/apt/sources.list.d and run `apt-get update`".to_owned(),
    })
}
