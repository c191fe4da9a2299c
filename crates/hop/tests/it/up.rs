//! `hop up`: from nothing to a shell in a project, and everything found again.

use crate::site::{UP, process, role, up, up_with};
use crate::support::{Home, port_of};
use nix::sys::signal::{Signal, kill};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

#[test]
fn the_printed_line_opens_the_project_and_a_second_start_finds_everything_again() {
    let home = Home::new();
    let mut server = up(&home);
    let project = server.announced["project"]["id"].as_str().unwrap().to_owned();
    let port = port_of(&server.announced["ssh"]);
    assert_eq!(server.announced["project"]["command"], format!("ssh -p {port} first@127.0.0.1"));
    assert!(server.announced["sign_in"]["link"].as_str().unwrap().starts_with("http://127.0.0.1:"));
    let key = home.path().join(".ssh/id_ed25519");
    let ended = home.ssh(&key, port, "first", "echo kept > file; echo $HOP_ACCOUNT $HOP_PROJECT; exit 3");
    assert_eq!(
        (ended.code, ended.stdout.trim()),
        (Some(3), format!("admin {project}").as_str()),
        "{}",
        ended.stderr
    );
    let fingerprints = server.announced["host_keys"].clone();
    kill(process(&server), Signal::SIGTERM).unwrap();
    assert_eq!(server.child.wait().unwrap().code(), Some(0));

    let server = up(&home);
    assert_eq!(server.announced["host_keys"], fingerprints);
    assert_eq!(server.announced["project"]["keys"], 1, "the key was added twice");
    let port = port_of(&server.announced["ssh"]);
    // By its id, and with hyphens, too.
    let hyphens = format!(
        "{}-{}-{}-{}-{}",
        &project[..8],
        &project[8..12],
        &project[12..16],
        &project[16..20],
        &project[20..]
    );
    for name in [project.as_str(), hyphens.as_str()] {
        let ended = home.ssh(&key, port, name, "cat file");
        assert_eq!(ended.stdout, "kept\n", "{}", ended.stderr);
    }
}

#[test]
fn a_folder_that_only_its_owner_can_pass_will_do_and_stays_closed() {
    let home = Home::new();
    std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let mode = || std::fs::metadata(home.path()).unwrap().permissions().mode() & 0o777;
    let mounts = || std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let before = mounts();
    let server = home.serve(&UP);
    let key = home.path().join(".ssh/id_ed25519");
    let port = port_of(&server.announced["ssh"]);
    let ended = home.ssh(&key, port, "first", "echo kept > file; cat file");
    assert_eq!(ended.stdout, "kept\n", "{}", ended.stderr);
    // From another process, by the folder's own path.
    let listed = home.run(&["admin", "project", "list"]);
    assert!(listed.stdout.contains("first"), "{}", listed.stderr);
    assert_eq!((mode(), mounts()), (0o700, before), "what others see has changed");
}

#[test]
fn root_and_others_start_it_with_and_without_bubblewrap() {
    assert!(
        nix::unistd::geteuid().is_root(),
        "only root can start a site as somebody else and hide a program"
    );
    let somebody = 54_321;
    for (user, bubblewrap) in [(0, false), (somebody, true), (somebody, false)] {
        let home = Home::new();
        home.give_to(user);
        // What is mounted here is seen by this site alone. The way to hop may be closed to others than root.
        let mut script =
            "user=$0; hop=$1; shift; mount -t tmpfs tmpfs /mnt; touch /mnt/hop; mount --bind $hop /mnt/hop; "
                .to_owned();
        if !bubblewrap {
            // A program that does not start.
            script.push_str("mount --bind /dev/null /usr/bin/bwrap; ");
        }
        script.push_str("exec setpriv --reuid $user --regid $user --clear-groups /mnt/hop \"$@\"");
        let user = user.to_string();
        let server = home.serve_by(&["unshare", "--mount", "sh", "-ec", &script, &user], &UP);
        let key = home.path().join(".ssh/id_ed25519");
        let ended = home.ssh(&key, port_of(&server.announced["ssh"]), "first", "id -un; ls /root");
        let what = format!("user {user}, bubblewrap {bubblewrap}: {}", ended.stderr);
        assert_eq!(ended.stdout, "project\n", "{what}");
        let walls = Command::new("pgrep").args(["-P", &role(&server, "keeper").to_string(), "-a"]).output();
        let walls = String::from_utf8(walls.unwrap().stdout).unwrap();
        assert_eq!(walls.contains("bwrap"), bubblewrap, "{what}, {walls}");
    }
}

#[test]
fn without_a_sandbox_there_is_one_account() {
    let home = Home::new();
    let mut words = UP.to_vec();
    words.push("--unsandboxed");
    let server = up_with(&home, &words);
    let key = home.path().join(".ssh/id_ed25519");
    let ended = home.ssh(&key, port_of(&server.announced["ssh"]), "first", "echo in");
    assert_eq!(ended.stdout, "in\n", "{}", ended.stderr);
    let added = home.run(&["admin", "account", "add", "ada"]);
    assert_ne!(added.code, Some(0));
    assert!(added.stderr.contains("one account only") && added.stderr.contains("hint: "), "{}", added.stderr);
    drop(server);

    let server = up(&home);
    assert_eq!(home.run(&["admin", "account", "add", "ada"]).code, Some(0));
    drop(server);
    let refused = home.run(&words);
    assert_eq!(refused.code, Some(78), "{}", refused.stderr);
    assert!(refused.stderr.contains("several accounts"), "{}", refused.stderr);
}

#[test]
fn whoever_has_no_key_is_not_let_in() {
    let home = Home::new();
    let server = up(&home);
    let stranger = home.make_key("stranger");
    for name in ["first", "nothing", "admin", "root"] {
        let ended = home.ssh(&stranger, port_of(&server.announced["ssh"]), name, "true");
        assert_eq!(ended.code, Some(255));
        assert!(ended.stderr.contains("Permission denied (publickey)"), "{}", ended.stderr);
    }
}

#[test]
fn a_process_that_is_killed_comes_back_and_nothing_is_lost() {
    let home = Home::new();
    let server = up(&home);
    let port = port_of(&server.announced["ssh"]);
    let key = home.path().join(".ssh/id_ed25519");
    let acknowledged = home.ssh(&key, port, "first", "echo kept > file && sync");
    assert_eq!(acknowledged.code, Some(0), "{}", acknowledged.stderr);
    for name in ["site", "keeper", "signer"] {
        let before = role(&server, name);
        let added = home.run(&["admin", "account", "add", &format!("before-{name}"), "--json"]);
        assert_eq!(added.code, Some(0), "{}", added.stderr);
        kill(before, Signal::SIGKILL).unwrap();
        // The listener stays: ssh waits until somebody accepts again. A keeper that has just been killed may be
        // connected to, once, before its socket says so.
        let ended = home.ssh(&key, port, "first", "cat file");
        assert_eq!(ended.stdout, "kept\n", "after the {name}: {}", ended.stderr);
        let listed = home.run(&["admin", "account", "list"]).stdout;
        assert!(listed.contains(&format!("before-{name}")), "{listed}");
    }
    let key_file = home.path().join(".ssh/id_ed25519.pub");
    let issued =
        home.run(&["admin", "cert", "issue", "--account", "admin", "--file", key_file.to_str().unwrap()]);
    assert_eq!(issued.code, Some(0), "{}", issued.stderr);
}

#[test]
fn when_the_supervisor_is_killed_its_processes_stop() {
    let home = Home::new();
    let mut server = up(&home);
    let roles = ["site", "keeper", "signer"].map(|name| role(&server, name));
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    for process in roles {
        let gone = Command::new("tail")
            .args(["--pid", &process.to_string(), "-f", "/dev/null"])
            .stdin(Stdio::null())
            .status()
            .unwrap();
        assert!(gone.success());
    }
}

#[test]
fn two_sites_do_not_share_a_directory() {
    let home = Home::new();
    let _first = up(&home);
    let second = home.run(&UP);
    assert_eq!(second.code, Some(69), "{}", second.stderr);
    assert!(second.stderr.contains("another hop uses"), "{}", second.stderr);
    assert!(second.stderr.contains("hint: "), "{}", second.stderr);
}

#[test]
fn what_stands_in_the_way_is_explained() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    type Spoil = fn(&std::path::Path);
    let cases: [(&str, Spoil, &[&str], i32, &str); 4] = [
        (
            "a port in use",
            |_| {},
            &["up", "--ssh", &taken, "--http", "127.0.0.1:0"],
            69,
            "listens there already",
        ),
        (
            "a directory open to others",
            |home| {
                let data = home.join("hop-data");
                std::fs::create_dir(&data).unwrap();
                std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o777)).unwrap();
            },
            &UP,
            78,
            "chmod 7",
        ),
        (
            "a half-made directory",
            |home| {
                std::fs::create_dir(home.join("hop-data")).unwrap();
                std::fs::set_permissions(home.join("hop-data"), std::fs::Permissions::from_mode(0o700))
                    .unwrap();
                std::fs::write(home.join("hop-data/site"), "").unwrap();
            },
            &UP,
            78,
            "something else",
        ),
        ("settings that are not there", |_| {}, &["serve", "--config", "no.toml"], 78, "no.toml"),
    ];
    for (what, spoil, arguments, code, words) in cases {
        let home = Home::new();
        std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
        spoil(home.path());
        let ended = home.run(arguments);
        assert_eq!(ended.code, Some(code), "{what}: {}", ended.stderr);
        assert!(ended.stderr.contains(words), "{what}: {}", ended.stderr);
        if !what.starts_with("settings") {
            assert!(ended.stderr.contains("hint: "), "{what}: {}", ended.stderr);
        }
    }
}
