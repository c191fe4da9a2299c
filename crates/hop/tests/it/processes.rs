//! The table of processes in docs/operating.md, confirmed from /proc and from the outside.

use crate::site::{role, up};
use crate::support::Home;
use nix::unistd::Pid;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The effective user of a process.
fn user(process: Pid) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The files that a process has open.
fn open_files(process: Pid) -> Vec<PathBuf> {
    let folder = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    folder.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok()).collect()
}

/// Whether a user can read a file.
fn reads(user: u32, file: &Path) -> bool {
    Command::new("setpriv")
        .args([&format!("--reuid={user}"), &format!("--regid={user}"), "--clear-groups", "--", "cat"])
        .arg(file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("setpriv is missing: install the Debian package util-linux")
        .success()
}

#[test]
fn each_process_reads_its_own_secrets_only() {
    let home = Home::new();
    let server = up(&home);
    let data = home.path().join("hop-data");
    let key = home.path().join(".ssh/id_ed25519");
    let ended =
        home.ssh(&key, crate::support::port_of(&server.announced["ssh"]), "first", "echo secret > file");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let id = server.announced["project"]["id"].as_str().unwrap();
    let file = data.join("projects").join(id).join("home/file");
    let [site, signer, keeper] = ["site", "signer", "keeper"].map(|name| role(&server, name));

    for process in [site, signer, keeper] {
        let owner = std::fs::metadata(format!("/proc/{process}/environ")).unwrap().uid();
        assert_eq!(owner, 0, "others of its user can look into process {process}");
    }
    let secrets = [data.join("site/site.sqlite"), data.join("signer/user_ca"), file.clone()];
    for (process, allowed) in [(site, &secrets[..1]), (signer, &secrets[1..2]), (keeper, &[])] {
        let stray = open_files(process).into_iter().find(|open| {
            let of_others = secrets.iter().filter(|secret| !allowed.contains(secret));
            of_others.map(|secret| secret.parent().unwrap()).any(|folder| open.starts_with(folder))
        });
        assert_eq!(stray, None, "open in process {process}");
    }
    if nix::unistd::geteuid().is_root() {
        let project = std::fs::metadata(&file).unwrap().uid();
        let users = [user(site), user(signer), project];
        assert_eq!(user(keeper), 0);
        for (number, reader) in users.into_iter().enumerate() {
            assert_ne!(reader, 0);
            for (place, secret) in secrets.iter().enumerate() {
                assert_eq!(reads(reader, secret), number == place, "user {reader} and {}", secret.display());
            }
            assert!(!reads(reader, &data.join("users.json")));
        }
        assert!(users[0] != users[1] && users[1] != users[2] && users[0] != users[2]);
    }
}
