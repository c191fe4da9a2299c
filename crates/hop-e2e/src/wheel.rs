//! The wheel of this tree, `grasshopper-ssh`: made once for all tests, and installed into environments.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::Run;
use crate::program::{hub_program, target_folder, workspace};
use crate::server::hop_binary;

/// Installs the wheel of this tree into an environment: all that a person does. It has the build of `hop` that the other
/// tests run.
pub fn install(python: &Path) {
    let _ = Run::new(hub_program("pip"))
        .arg("--python")
        .arg(python)
        .args(["install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps"])
        .arg(wheel())
        .success();
}

/// The wheel, made if the last one is older than what goes into it.
#[must_use]
pub fn wheel() -> PathBuf {
    let hop = hop_binary();
    let folder = target_folder().join("wheel");
    std::fs::create_dir_all(&folder).expect("a folder for the wheel");
    // One test at a time makes the wheel, and none makes it while another reads it.
    let door = File::create(folder.join("door")).expect("a lock file");
    door.lock().expect("lock the folder");
    let source = workspace().join("python");
    let newest = newest(&source).max(modified(hop));
    let made = find_wheel(&folder).filter(|wheel| modified(wheel) > newest);
    made.unwrap_or_else(|| {
        build(&source, &folder);
        find_wheel(&folder).expect("maturin made a wheel")
    })
}

fn build(source: &Path, folder: &Path) {
    let path = std::env::var("PATH").unwrap_or_default();
    let cargo = std::env::var("CARGO").ok().and_then(|cargo| Path::new(&cargo).parent().map(Path::to_owned));
    let _ = Run::new(hub_program("maturin"))
        .args(["build", "--quiet", "--profile", "dev", "--offline", "--out"])
        .arg(folder)
        .current_dir(source)
        .env("PATH", format!("{}:{path}", cargo.unwrap_or_default().display()))
        .limit(Duration::from_secs(1800))
        .success();
}

/// The newest wheel of a folder; those of earlier versions may lie beside it.
fn find_wheel(folder: &Path) -> Option<PathBuf> {
    let found = std::fs::read_dir(folder).ok()?.filter_map(Result::ok).map(|entry| entry.path());
    found.filter(|path| path.extension().is_some_and(|e| e == "whl")).max_by_key(|path| modified(path))
}

fn modified(path: &Path) -> SystemTime {
    std::fs::metadata(path).and_then(|data| data.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// When the newest file below a folder was written.
fn newest(folder: &Path) -> SystemTime {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let times = entries.map(|entry| match entry.path() {
        below if below.is_dir() => newest(&below),
        file => modified(&file),
    });
    times.max().unwrap_or(SystemTime::UNIX_EPOCH)
}
