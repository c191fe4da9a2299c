//! OpenSSH's `sftp` client against our server program.

use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::peers::{OUR_SERVER, openssh_client, openssh_server};

/// Runs a batch of commands with a server that is started in `folder`.
fn sftp(server: &Path, options: &str, folder: &Path, batch: &str) -> Output {
    let server = format!("{} {options}", server.display());
    let mut child = Command::new(openssh_client())
        .args(["-b", "-", "-D", &server])
        .current_dir(folder)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("sftp starts");
    child.stdin.take().expect("piped").write_all(batch.as_bytes()).expect("sftp reads its batch");
    child.wait_with_output().expect("sftp ends")
}

/// Runs a batch that must succeed; what it printed.
fn succeed(folder: &Path, batch: &str) -> String {
    let output = sftp(OUR_SERVER.as_ref(), "", folder, batch);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{batch}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a batch that must fail; what it complained about.
fn fail(folder: &Path, options: &str, batch: &str) -> String {
    let output = sftp(OUR_SERVER.as_ref(), options, folder, batch);
    assert!(!output.status.success(), "{batch}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn pseudo_random(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .flatten()
    .take(length)
    .collect()
}

/// Sets a file's modification time.
fn touch(date: &str, file: &Path) {
    let status = Command::new("touch").args(["-d", date]).arg(file).status();
    assert!(status.expect("touch (Debian package coreutils)").success());
}

#[test]
fn files_go_there_and_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    for length in [0, 1, 32_767, 32_768, 261_120, 261_121, 20_000_003] {
        let contents = pseudo_random(length);
        std::fs::write(path("local"), &contents).expect("write");
        succeed(folder.path(), "put local remote\nget remote back\n");
        assert!(std::fs::read(path("remote")).expect("read") == contents, "put {length}");
        assert!(std::fs::read(path("back")).expect("read") == contents, "get {length}");
    }
}

#[test]
fn trees_go_there_and_back_with_their_attributes() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir_all(path("tree/a/b")).expect("mkdir");
    for n in 0..300 {
        std::fs::write(path(&format!("tree/a/{n}")), pseudo_random(n * 7)).expect("write");
    }
    std::fs::write(path("tree/a/b/日本語 it's \"quoted\""), b"x").expect("write");
    touch("2001-02-03 04:05:06 UTC", &path("tree/a/7"));
    succeed(folder.path(), "put -pR tree remote\nget -pR remote back\n");
    for copy in ["remote", "back"] {
        let compared = Command::new("diff").args(["-r", "tree", copy]).current_dir(folder.path()).output();
        let compared = compared.expect("diff (Debian package diffutils)");
        assert!(compared.status.success(), "{}", String::from_utf8_lossy(&compared.stdout));
        let metadata = std::fs::metadata(path(copy).join("a/7")).expect("stat");
        assert_eq!(metadata.mtime(), 981_173_106);
    }
}

#[test]
fn interrupted_transfers_are_resumed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let contents = pseudo_random(3_000_000);
    std::fs::write(path("whole"), &contents).expect("write");
    std::fs::write(path("up"), &contents[..1_000_000]).expect("write");
    std::fs::write(path("down"), &contents[..2_000_000]).expect("write");
    succeed(folder.path(), "reput whole up\nreget whole down\n");
    assert!(std::fs::read(path("up")).expect("read") == contents);
    assert!(std::fs::read(path("down")).expect("read") == contents);
}

#[test]
fn the_other_commands_do_what_they_say() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("file"), b"contents").expect("write");
    succeed(
        folder.path(),
        "mkdir dir\nrename file dir/moved\nln dir/moved second\nln -s dir/moved third\ncp dir/moved fourth\n\
         chmod 640 fourth\nput -f fourth synced\nmkdir gone\nrmdir gone\nrm synced\n",
    );
    assert_eq!(std::fs::metadata(path("second")).expect("stat").nlink(), 2);
    assert_eq!(std::fs::read_link(path("third")).expect("readlink"), Path::new("dir/moved"));
    assert_eq!(std::fs::read(path("fourth")).expect("read"), b"contents");
    assert_eq!(std::fs::metadata(path("fourth")).expect("stat").mode() & 0o7777, 0o640);
    assert!(!path("gone").exists() && !path("synced").exists() && !path("file").exists());
}

#[test]
fn listings_look_as_from_openssh() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir(path("dir")).expect("mkdir");
    std::fs::write(path("plain"), pseudo_random(12_345)).expect("write");
    std::fs::write(path("old"), b"x").expect("write");
    touch("1999-12-31 23:59:59", &path("old"));
    symlink("plain", path("link")).expect("symlink");
    symlink("nowhere", path("dangling")).expect("symlink");
    std::fs::write(path("Ünïcode"), b"").expect("write");
    std::fs::write(folder.path().join(std::ffi::OsStr::from_bytes(b"stray \xff byte")), b"").expect("write");
    let batch = "pwd\nls\nls -1\nls -l\nls -la\nls -ln\nls -lh\nls -lrt\nls dir\nls -l plain\nls l*\n\
                 cd dir\npwd\ncd ..\nls -l /proc/self/status\nversion\n";
    let ours = sftp(OUR_SERVER.as_ref(), "", folder.path(), batch);
    let theirs = sftp(openssh_server(), "", folder.path(), batch);
    // The size of what /proc shows and its time are the moment's; the rest is equal to the byte.
    let shown = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(shown(&ours), shown(&theirs));
    assert_eq!(String::from_utf8_lossy(&ours.stderr), String::from_utf8_lossy(&theirs.stderr));
    assert_eq!(ours.status, theirs.status);
}

#[test]
fn failures_are_told_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("file"), b"contents").expect("write");
    assert!(fail(folder.path(), "", "get missing\n").contains("not found"));
    assert!(fail(folder.path(), "", "rmdir file\n").contains("No such file"));
    assert!(fail(folder.path(), "", "mkdir file\n").contains("Failure"));
    assert!(fail(folder.path(), "-R", "put file copy\n").contains("Permission denied"));
    assert!(fail(folder.path(), "-R", "rm file\n").contains("Permission denied"));
    assert!(fail(folder.path(), "-P remove", "rm file\n").contains("Permission denied"));
    assert!(folder.path().join("file").exists());
}

#[test]
fn the_start_directory_and_umask_are_honoured() {
    let folder = tempfile::tempdir().expect("a folder");
    let start = folder.path().join("start");
    std::fs::create_dir(&start).expect("mkdir");
    std::fs::write(folder.path().join("file"), b"contents").expect("write");
    let options = format!("-u 077 -d {}", start.display());
    let output = sftp(OUR_SERVER.as_ref(), &options, folder.path(), "put file\nmkdir private\n");
    assert!(output.status.success());
    for (name, mode) in [("file", 0o600), ("private", 0o700)] {
        assert_eq!(std::fs::metadata(start.join(name)).expect("stat").mode() & 0o777, mode);
    }
}

#[test]
fn the_names_of_requests_are_openssh_s() {
    let list = |program: &Path| {
        let output = Command::new(program).args(["-Q", "requests"]).output().expect("it runs");
        assert!(output.status.success());
        String::from_utf8(output.stdout).expect("names")
    };
    assert_eq!(list(OUR_SERVER.as_ref()), list(openssh_server()));
}
