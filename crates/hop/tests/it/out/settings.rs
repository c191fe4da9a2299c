//! What a person and an administrator decide about a host, in `~/.config/hop/config.toml`.

use super::machine::Machine;

#[test]
fn another_program_connects() {
    let machine = Machine::new();
    // As gsissh is: ssh with something of its own, here a word in a file for each time it is run.
    let runs = machine.path().join("runs");
    let text = format!("#!/bin/sh\necho \"$*\" >> {}\nexec ssh \"$@\"\n", runs.display());
    let wrapper = machine.program("gsissh", &text);
    machine.decide(&format!("[host.plain]\nprogram = \"{}\"\n", wrapper.display()));
    let _ = machine.hop(&["login", "plain"]).success();
    let ran = std::fs::read_to_string(&runs).unwrap();
    assert!(ran.contains("-G -- plain") && ran.contains("-N -T -- plain"), "{ran}");
    assert_eq!(machine.hop(&["exec", "plain", "--", "echo", "there"]).success().stdout(), "there\n");
    let _ = machine.hop(&["login", "single"]).success();
    assert!(!std::fs::read_to_string(&runs).unwrap().contains("single"), "it is one host's");
    machine.decide("[host.plain]\nprogram = \"gsissh\"\n");
    let _ = machine.hop(&["logout", "plain", "--now"]).success();
    let missing = machine.hop(&["login", "plain"]).status(78).stderr();
    assert!(missing.contains("cannot run gsissh"), "{missing}");
}

#[test]
fn where_sharing_is_forbidden_each_ssh_connects_by_itself() {
    let machine = Machine::new();
    machine.decide("[host.\"127.0.0.1\"]\nmultiplex = \"never\"\n");
    let _ = machine.hop(&["ssh-config", "enable", "plain", "--yes"]).success();
    let refused = machine.hop(&["login", "plain"]).status(78).stderr();
    assert!(refused.contains("forbids to share") && refused.contains("hint: ssh plain"), "{refused}");
    let own = machine.shell("ssh -S none -o ControlMaster=no plain true; ssh plain true").success();
    assert!(
        own.stderr().contains("plain is not shared with this ssh: /root/.config/hop/config.toml forbids"),
        "{own}"
    );
    assert!(machine.accepted(2201) >= 1);
    assert_ne!(machine.status("plain").get("state").and_then(serde_json::Value::as_str), Some("up"));
}

#[test]
fn a_misspelt_setting_stops_the_login() {
    let machine = Machine::new();
    machine.decide("[default]\n\n[host.totp]\ntotpp = \"never\"\n");
    let refused = machine.hop(&["login", "plain"]).status(78).stderr();
    assert!(refused.contains("config.toml, line 4: unknown field `totpp`"), "{refused}");
    machine.decide("");
    let _ = machine.hop(&["login", "plain"]).success();
}
