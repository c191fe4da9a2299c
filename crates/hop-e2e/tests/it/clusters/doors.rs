//! What centres' servers are strict about.

use hop_e2e::Lab;
use hop_e2e::lab::{Codes, Door};

use crate::person::{CONFIG, Person, text};

/// The same cluster by its other doors.
const DOORS: &str = "Host closed\n  HostName 10.77.2.2\n  Port 2225\n  ProxyJump bastion\n\
    Host once\n  HostName 10.77.2.2\n  Port 2226\n  ProxyJump bastion\n";

#[test]
fn a_wrong_code_costs_one_of_three_and_a_used_one_is_refused() {
    let lab = Lab::start(Codes::Strict);
    let person = Person::new(&lab, CONFIG);
    // Two of the three attempts that the bastion allows in 30 s; then the code that let in once more. Whether it is asked
    // for another then is a matter of seconds.
    person.dialogue(
        r#"set used [code]
        spawn hop login bastion
        wants "Verification code:"
        send "000000\r"
        wants "That was not accepted."
        wants "Verification code:"
        send "$used\r"
        wants "bastion is up"
        expect eof
        wait
        spawn hop logout bastion
        expect eof
        wait
        spawn hop login bastion
        wants "Verification code:"
        send "$used\r"
        expect {
            "take a new code and try again" {}
            "That was not accepted." {}
            "is up" { exit 1 }
            timeout { exit 1 }
        }
        exit 0"#,
    );
    assert_eq!(person.logins(), (1, 0));
    let log = lab.log(Door::KeyAndCode);
    assert_eq!(log.matches("Accepted keyboard-interactive").count(), 1, "{log}");
}

#[test]
fn where_nothing_may_be_forwarded_the_rest_works() {
    let lab = Lab::start(Codes::Strict);
    let person = Person::new(&lab, &(CONFIG.to_owned() + DOORS));
    person.enable(&["bastion", "closed"]);
    person.log_in("closed");
    lab.client.write("file", "content\n");
    person.shell("ssh closed true && scp -q file closed:copy && hop exec closed -- cmp copy copy");
    let refused = person
        .finish(&["ssh", "-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:22", "closed", "true"], "");
    let said = text(&refused.stderr);
    assert!(!refused.status.success() && said.to_lowercase().contains("forward"), "{refused:?}");
    assert_eq!((lab.logins(Door::KeyAndCode), lab.logins(Door::NoForwarding)), (1, 1));
}

#[test]
fn where_one_connection_is_allowed_one_is_enough() {
    let lab = Lab::start(Codes::Strict);
    let person = Person::new(&lab, &(CONFIG.to_owned() + DOORS));
    person.enable(&["bastion", "once"]);
    person.log_in("once");
    lab.client.write("file", "content\n");
    person.shell(
        "set -e; ssh once true; scp -q file once:copy; rsync -a once:copy back; cmp file back; \
         for i in $(seq 8); do ssh once true & done; wait; hop exec once -- true",
    );
    // The door is as narrow as it says.
    let second = person.finish(&["ssh", "-S", "none", "once", "true"], "");
    assert_eq!(second.status.code(), Some(255), "{second:?}");
    assert_eq!((lab.logins(Door::KeyAndCode), lab.logins(Door::OneConnection)), (1, 1));
}
