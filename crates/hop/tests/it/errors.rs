//! What goes wrong is said, with what to do, and with an exit code for scripts.

use crate::support::Home;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

/// Runs and compares: exit code, then every fragment in standard error.
fn fails(home: &Home, arguments: &[&str], code: i32, fragments: &[&str]) {
    let ended = home.run(arguments);
    assert_eq!(ended.code, Some(code), "{arguments:?}: {ended:?}");
    assert_eq!(ended.stdout, "", "{arguments:?}");
    for fragment in fragments {
        assert!(ended.stderr.contains(fragment), "{arguments:?} does not say {fragment:?}: {}", ended.stderr);
    }
}

#[test]
fn an_endpoint_needs_a_place_and_somebody_who_may_log_in() {
    let home = Home::new();
    fails(&home, &["endpoint"], 78, &["nothing to listen on", "hint: --listen"]);
    fails(
        &home,
        &["endpoint", "--listen", "127.0.0.1:0"],
        78,
        &["nobody could log in", "hint: --authorized-keys"],
    );
    fails(&home, &["endpoint", "--listen", "nowhere"], 2, &["nowhere", "--listen <ADDR>"]);
    fails(&home, &["no-such-command"], 2, &["unrecognized subcommand"]);
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let home = Home::new();
    home.make_key("host");
    home.write("junk", "this is no key\n");
    home.write("keys", "");
    let endpoint = |more: &[&'static str]| -> Vec<&'static str> {
        [&["endpoint", "--listen", "127.0.0.1:0", "--host-key", "host", "--authorized-keys"], more].concat()
    };
    fails(&home, &endpoint(&["missing"]), 78, &["cannot read missing", "No such file"]);
    fails(&home, &endpoint(&["keys", "--trusted-user-ca", "junk"]), 78, &["junk line 1"]);
    fails(&home, &endpoint(&["keys", "--revoked-keys", "keys"]), 78, &["keys"]);
    fails(
        &home,
        &["endpoint", "--listen", "127.0.0.1:0", "--host-key", "junk", "--authorized-keys", "keys"],
        78,
        &["junk"],
    );
    std::fs::set_permissions(home.path().join("host"), std::fs::Permissions::from_mode(0o644)).unwrap();
    fails(&home, &endpoint(&["keys"]), 78, &["can be read by others", "hint: chmod 600 host"]);
}

#[test]
fn a_port_in_use_is_said_with_a_hint() {
    let home = Home::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    fails(
        &home,
        &["endpoint", "--listen", &address, "--authorized-keys", ".ssh/id_ed25519.pub"],
        69,
        &["cannot listen on", &address, "hint: something listens there already"],
    );
    fails(
        &home,
        &["endpoint", "--unix", "no/such/dir/sock", "--authorized-keys", ".ssh/id_ed25519.pub"],
        69,
        &["cannot listen on no/such/dir/sock", "hint: the directory must exist"],
    );
    fails(&home, &["up", "--add-keys", "yes", "--ssh", &address], 69, &["cannot listen on", &address]);
}
