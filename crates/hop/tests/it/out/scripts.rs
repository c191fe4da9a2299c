//! What runs before a login: an authentication script, whose questions reach the person; and the person's own Enter.

use super::machine::Machine;
use std::time::Duration;

/// Has a script run before each connection.
fn with_script(machine: &Machine, text: &str, more: &str) {
    let script = machine.program("fetch", text);
    machine.decide(&format!("[default]\nauthentication_script = \"{}\"\n{more}", script.display()));
}

#[test]
fn its_questions_reach_the_person_and_it_runs_once_for_each_connection() {
    let machine = Machine::new();
    let ran = machine.path().join("ran");
    let text = format!(
        "#!/bin/bash\necho 'Visit https://idp.example.org/device'\nread -p 'Name: ' name\n\
         read -s -p 'Code of the centre: ' code < /dev/tty\n\
         echo \"$HOP_HOST $HOP_USER@$HOP_ADDRESS $name $code\" >> {}\n",
        ran.display()
    );
    with_script(&machine, &text, "");
    let shown = machine.expect(
        "spawn hop login plain\nwants {Visit https://idp.example.org/device}\nwants {Name:}\nsend \"ada\\r\"\n\
         wants {Code of the centre:}\nsend \"246810\\r\"\nwants {plain is up}\nends 0\n",
    );
    assert!(shown.contains("running ") && shown.contains("/fetch"), "{shown}");
    let _ = machine.hop(&["exec", "plain", "--", "true"]).success();
    let _ = machine.hop(&["login", "plain"]).success();
    assert_eq!(std::fs::read_to_string(&ran).unwrap(), "plain root@127.0.0.1 ada 246810\n");
    let log = std::fs::read_to_string(machine.path().join("s/.log")).unwrap();
    assert!(!log.contains("246810"), "{log}");
}

#[test]
fn one_that_fails_is_the_end_of_the_login() {
    let machine = Machine::new();
    with_script(
        &machine,
        "#!/bin/sh\necho run >> \"$0.runs\"\necho the key service is down >&2\nexit 3\n",
        "",
    );
    let failed = machine.hop(&["login", "plain"]).status(77).stderr();
    assert!(failed.contains("/fetch ended with status 3: the key service is down"), "{failed}");
    assert!(failed.contains("in a terminal and see what it says"), "{failed}");
    assert_eq!(machine.accepted(2201), 0);
    // Programs wait longer each time, so that a key service is not asked by each poll of a workflow engine.
    let _ = machine.hop(&["ssh-config", "enable", "plain", "--yes"]).success();
    let early = machine.shell("ssh plain true").status(255).stderr();
    assert!(early.contains("plain is not logged in: not logging in to plain"), "{early}");
    assert_eq!(std::fs::read_to_string(machine.path().join("fetch.runs")).unwrap(), "run\n");

    with_script(&machine, "#!/bin/sh\nsleep 60\n", "script_timeout = 1\n");
    let slow = machine.hop(&["login", "single"]).limit(Duration::from_secs(20)).status(77).stderr();
    assert!(slow.contains("/fetch took longer than 1 s"), "{slow}");
    // What it started has ended with it.
    let _ = machine.shell("timeout 10 sh -c 'while pgrep -f \"^sleep 60\"; do sleep 0.1; done'").success();

    let script = machine.path().join("fetch");
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let open = machine.hop(&["login", "nowhere"]).status(78).stderr();
    assert!(open.contains("can be changed by others") && open.contains("chmod 700"), "{open}");
}

#[test]
fn two_hosts_never_run_it_at_once() {
    let machine = Machine::new();
    let (busy, twice) = (machine.path().join("busy"), machine.path().join("twice"));
    let text = format!(
        "#!/bin/sh\nmkdir {busy} || touch {twice}\nsleep 1\nrmdir {busy}\n",
        busy = busy.display(),
        twice = twice.display()
    );
    let script = machine.program("fetch", &text);
    machine.decide(&format!("[default]\nauthentication_script = \"{}\"\n", script.display()));
    let both = "hop daemon start; hop login plain & hop login single; a=$?; wait $! && exit $a";
    let _ = machine.shell(both).success();
    assert!(!twice.exists() && machine.accepted(2201) == 1 && machine.accepted(2203) == 1);
}

#[test]
fn a_question_that_nobody_answers_ends_it() {
    let machine = Machine::new();
    with_script(&machine, "#!/bin/sh\nprintf 'Code: '\nread code\n", "");
    let refused = machine.shell("hop login plain").status(77).stderr();
    assert!(refused.contains("needs a person, and nobody is there"), "{refused}");
    // It waits for somebody who comes meanwhile.
    machine.expect("spawn hop login plain\nwants {Code:}\nsend \"1\\r\"\nwants {plain is up}\nends 0\n");
}

#[test]
fn the_person_says_when() {
    let machine = Machine::new();
    machine.decide("[host.totp]\nwhen_ready = true\n");
    machine.expect(
        "spawn hop login totp\nwants {Press Enter when you are ready:}\nsend \"\\r\"\nwants {Verification code:}\n\
         send \"[code]\\r\"\nwants {totp is up}\nends 0\n",
    );
    let _ = machine.hop(&["logout", "totp"]).success();
    machine.expect(
        "spawn hop login totp\nwants {Press Enter when you are ready:}\nsend \"\\003\"\nwants interrupted\nends 130\n",
    );
    assert_eq!(machine.log_text(2202).matches("Connection from").count(), 1, "it is not connected to before");
}
