//! Peers from PyPI and npm, at the versions pinned in `crates/hop-e2e/peers/`.

use std::path::Path;
use std::process::Command;

use crate::tool::{Error, run};

/// A Python environment with the libraries and ssh-audit.
pub(super) fn python() -> Result<(), Error> {
    let wanted = hop_e2e::program::scripts_folder().join("requirements.txt");
    environment("python3", &wanted, &hop_e2e::program::peers_folder().join("venv"))
}

/// A JupyterHub with its proxy, and clients for WebSockets: in an environment of its own, since it brings many packages.
pub(super) fn hub() -> Result<(), Error> {
    let lists = hop_e2e::program::scripts_folder().join("hub");
    let folder = hop_e2e::program::peers_folder().join("hub");
    environment("python3", &lists.join("requirements.txt"), &folder.join("venv"))?;
    // Not among the Hub's packages: a server that has it loads it.
    let beside = lists.join("jupyter-sshd-proxy.txt");
    let place = folder.join("jupyter-sshd-proxy");
    unless_done(&place, &[&beside], || {
        let mut pip = pip(&folder.join("venv"), &beside);
        run(pip.args(["--no-deps", "--upgrade", "--target"]).arg(&place))
    })?;
    modules(&lists, &folder.join("npm"))
}

/// AiiDA, in an environment of its own: it wants older versions of what others have.
pub(super) fn aiida() -> Result<(), Error> {
    let wanted = hop_e2e::program::scripts_folder().join("aiida/requirements.txt");
    // Debian's own: a person of the lab runs it, and another one may lie in root's home.
    environment("/usr/bin/python3", &wanted, &hop_e2e::program::peers_folder().join("aiida"))
}

fn environment(python: &str, wanted: &Path, folder: &Path) -> Result<(), Error> {
    unless_done(folder, &[wanted], || {
        run(Command::new(python).args(["-m", "venv", "--clear"]).arg(folder))?;
        run(&mut pip(folder, wanted))
    })
}

/// The pip of an environment, told to install what a list has; wheels only.
fn pip(environment: &Path, wanted: &Path) -> Command {
    let mut command = Command::new(environment.join("bin/pip"));
    command.args(["install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]);
    command.arg("--requirement").arg(wanted);
    command
}

/// A folder with `node_modules`.
pub(super) fn npm() -> Result<(), Error> {
    modules(&hop_e2e::program::scripts_folder(), &hop_e2e::program::peers_folder().join("npm"))
}

fn modules(lists: &Path, folder: &Path) -> Result<(), Error> {
    let (manifest, lock) = (lists.join("package.json"), lists.join("package-lock.json"));
    unless_done(folder, &[&manifest, &lock], || {
        std::fs::create_dir_all(folder).map_err(Error::file(folder))?;
        for file in [&manifest, &lock] {
            let copy = folder.join(file.file_name().unwrap_or_default());
            std::fs::copy(file, &copy).map_err(Error::file(&copy))?;
        }
        // The optional native parts are left out: without them ssh2 is plain JavaScript.
        let quiet =
            ["ci", "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund", "--loglevel=error"];
        run(Command::new("npm").args(quiet).current_dir(folder))
    })
}

/// Runs `install` unless the folder's stamp holds what the `inputs` hold now; writes the stamp after it.
pub(super) fn unless_done(
    folder: &Path,
    inputs: &[&Path],
    install: impl FnOnce() -> Result<(), Error>,
) -> Result<(), Error> {
    let stamp = folder.join(".installed");
    let mut wanted = String::new();
    for input in inputs {
        wanted += &std::fs::read_to_string(input).map_err(Error::file(input))?;
    }
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    install()?;
    std::fs::write(&stamp, wanted).map_err(Error::file(&stamp))
}
