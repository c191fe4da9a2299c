//! Whose login it is, and where.

use hop_e2e::Lab;
use hop_e2e::lab::Codes;

use crate::person::{CONFIG, Person, text};

/// Runs a line as the person on another machine.
fn elsewhere(machine: &hop_e2e::lab::Machine, line: &str) -> String {
    let output = machine.person(&["bash", "-c", line]).output().unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
    text(&output.stdout) + &text(&output.stderr)
}

#[test]
fn a_home_on_two_machines_has_a_login_on_each() {
    let lab = Lab::start(Codes::Strict);
    let person = Person::new(&lab, CONFIG);
    person.enable(&["bastion", "cluster"]);
    // The bastion mounts the home of the client, as machines of a centre do.
    person.shell("cp .ssh/id_ed25519.pub .ssh/authorized_keys");
    lab.bastion.root(&format!("mount --bind {} /home/alice", lab.client.home().display()));
    let hop = lab.bastion.share(hop_e2e::server::hop_binary(), "hop");
    person.log_in("cluster");
    assert!(elsewhere(&lab.bastion, &format!("{hop} daemon status")).contains("not running"));
    // What the client's configuration says of sockets holds there, too; but there are none.
    elsewhere(&lab.bastion, "ssh -o ProxyJump=none cluster true");
    assert_eq!(person.logins(), (1, 2));
    elsewhere(&lab.bastion, &format!("{hop} daemon start"));
    let nothing = elsewhere(&lab.bastion, &format!("{hop} status --json"));
    assert!(nothing.contains("\"connections\":[]"), "{nothing}");
    elsewhere(&lab.bastion, &format!("{hop} daemon stop"));
    person.shell("ssh cluster true");
    assert_eq!(person.status("cluster")["state"], "up");
    assert_eq!(person.logins(), (1, 2));
}

#[test]
fn a_login_outlives_the_session_it_was_made_in() {
    let lab = Lab::start(Codes::Strict);
    let person = Person::new(&lab, CONFIG);
    person.enable(&["bastion", "cluster"]);
    // A terminal of a session of its own; all that is in it is killed, as at the end of a desktop's.
    person.dialogue(
        "spawn bash -i\nset shell [exp_pid]\nsend \"hop login cluster\\r\"\nwants \"Verification code:\"\n\
         send \"[code]\\r\"\nwants \"cluster is up\"\nexec sh -c \"pkill -KILL -s $shell; true\"\nexpect eof\nexit 0",
    );
    let before = person.shell("ssh -O check cluster 2>&1");
    person.dialogue("spawn hop login cluster\nwants \"is up already\"\nexpect eof\nexit [lindex [wait] 3]");
    assert_eq!(person.shell("ssh -O check cluster 2>&1"), before);
    person.shell("ssh cluster true");
    assert_eq!(person.logins(), (1, 1));
}
