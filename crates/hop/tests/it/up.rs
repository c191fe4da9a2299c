//! `hop up`: from nothing to a shell.

use crate::support::{Home, port_of, user_name};

#[test]
fn the_printed_line_opens_the_project_and_a_second_start_finds_it_again() {
    let home = Home::new();
    let arguments = ["up", "--ssh", "127.0.0.1:0", "--json", "--add-keys", "yes"];
    let server = home.serve(&arguments);
    let port = port_of(&server.announced["ssh"]);
    assert_eq!(
        server.announced["command"].as_str().unwrap(),
        format!("ssh -p {port} {}@127.0.0.1", user_name())
    );
    let key = home.path().join(".ssh/id_ed25519");
    let ended = home.ssh(&key, port, &user_name(), "echo welcome");
    assert_eq!(ended.stdout, "welcome\n", "{}", ended.stderr);
    let fingerprints = server.announced["host_keys"].clone();
    drop(server);

    let authorized = std::fs::read_to_string(home.path().join("hop-data/authorized_keys")).unwrap();
    let server = home.serve(&arguments);
    assert_eq!(server.announced["host_keys"], fingerprints);
    let again = std::fs::read_to_string(home.path().join("hop-data/authorized_keys")).unwrap();
    assert_eq!(again, authorized, "the key was added twice");
}

#[test]
fn without_keys_it_says_that_nobody_can_log_in() {
    let home = Home::new();
    let server = home.serve(&["up", "--ssh", "127.0.0.1:0", "--json", "--add-keys", "no"]);
    let port = port_of(&server.announced["ssh"]);
    let said = std::fs::read_to_string(home.path().join("stderr")).unwrap();
    assert!(said.contains("nobody can log in yet") && said.contains("--add-keys yes"), "{said}");
    let ended = home.ssh(&home.path().join(".ssh/id_ed25519"), port, &user_name(), "true");
    assert_eq!(ended.code, Some(255));
    assert!(ended.stderr.contains("Permission denied (publickey)"), "{}", ended.stderr);
}
