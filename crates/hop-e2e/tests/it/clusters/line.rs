//! A line that goes down and comes back.

use std::time::{Duration, Instant};

use hop_e2e::Lab;
use hop_e2e::lab::Codes;

use crate::person::{CONFIG, Person, text};

#[test]
fn a_line_that_was_down_is_noticed_and_replaced_with_one_question() {
    let lab = Lab::start(Codes::Lenient);
    let person = Person::new(&lab, CONFIG);
    person.enable(&["bastion", "cluster"]);
    person.log_in("cluster");
    lab.set_line(false);
    let began = Instant::now();
    // It rides on the dead line, whose end it then shares.
    let cut = person.finish(&["timeout", "60", "ssh", "cluster", "true"], "");
    assert_eq!(cut.status.code(), Some(255), "{cut:?}");
    assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
    assert!(text(&cut.stderr).contains("hint: hop login cluster"), "{cut:?}");
    for host in ["cluster", "bastion"] {
        let status = person.status(host);
        let reason = status["reason"].as_str().unwrap_or_default();
        assert!(status["state"] == "down" && reason.contains("not responding"), "{status}");
    }
    // A laptop sleeps longer than that; a program that polls meanwhile is told, and does not hammer.
    let polled = person.finish(&["timeout", "60", "ssh", "cluster", "true"], "");
    assert_eq!(polled.status.code(), Some(255), "{polled:?}");
    assert_eq!(person.logins(), (1, 1));
    lab.set_line(true);
    // Everybody waits for the one login, with whose person the question is.
    person.dialogue(
        "spawn hop login cluster\nwants \"Verification code:\"\n\
         exec sh -c {for i in 1 2 3; do hop exec cluster -- echo back >> back & done}\n\
         send \"[code]\\r\"\nwants \"cluster is up\"\nexpect eof\nexit [lindex [wait] 3]",
    );
    person.shell("ssh cluster true && ssh bastion true");
    assert_eq!(person.logins(), (2, 2));
}
