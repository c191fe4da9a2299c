//! `hop admin`: what it does to a running site, and what it says.

use crate::site::up;
use crate::support::{Ended, Home, port_of};
use serde_json::Value;

fn admin(home: &Home, words: &[&str]) -> Ended {
    home.run(&[&["admin"], words].concat())
}

/// The documents that a command printed.
fn documents(home: &Home, words: &[&str]) -> Vec<Value> {
    home.documents(&[&["admin"], words].concat())
}

#[test]
fn a_person_gets_a_project_and_loses_it_again() {
    let home = Home::new();
    let server = up(&home);
    let port = port_of(&server.announced["ssh"]);
    let made = documents(&home, &["account", "add", "ada"]);
    let link = made[0]["link"].as_str().unwrap();
    assert!(link.starts_with(server.announced["url"].as_str().unwrap()), "{link}");
    let key = home.make_key("ada");
    let _ = documents(&home, &["key", "add", "--account", "ada", "--title", "laptop", "--file", "ada.pub"]);
    let project = documents(&home, &["project", "add", "Folding", "--owner", "admin", "--alias", "folding"]);
    let refused = home.ssh(&key, port, "folding", "true");
    assert_eq!(refused.code, Some(255), "no member yet");
    let _ = documents(&home, &["member", "add", "folding", "ada"]);
    let entered = home.ssh(&key, port, "folding", "echo $HOP_ACCOUNT");
    assert_eq!(entered.stdout, "ada\n", "{}", entered.stderr);
    let keys = documents(&home, &["key", "list", "--account", "ada"]);
    assert_eq!(keys[0]["last_project"], project[0]["id"]);
    let _ = documents(&home, &["key", "remove", keys[0]["id"].as_str().unwrap()]);
    assert_eq!(home.ssh(&key, port, "folding", "true").code, Some(255), "the key is gone");

    // A certificate for the same person, until it is revoked.
    let issued = documents(&home, &["cert", "issue", "--account", "ada", "--file", "ada.pub"]);
    home.write("ada-cert.pub", issued[0]["certificate"].as_str().unwrap());
    let entered = home.ssh(&key, port, "folding", "echo $HOP_ACCOUNT");
    assert_eq!(entered.stdout, "ada\n", "{}", entered.stderr);
    let _ = documents(&home, &["cert", "revoke", issued[0]["serial"].as_str().unwrap()]);
    assert_eq!(home.ssh(&key, port, "folding", "true").code, Some(255), "the certificate is revoked");

    let verdict = documents(&home, &["audit", "verify"]);
    assert_eq!(verdict[0]["intact"], true);
    let actions: Vec<_> =
        documents(&home, &["audit", "list"]).iter().map(|row| row["action"].clone()).collect();
    for action in ["key.remove", "certificate.revoke", "member.add", "account.add"] {
        assert!(actions.iter().any(|found| found == action), "{action}: {actions:?}");
    }
}

#[test]
fn what_cannot_be_done_is_said() {
    let home = Home::new();
    let nowhere = admin(&home, &["account", "list"]);
    assert_eq!(nowhere.code, Some(78));
    assert!(
        nowhere.stderr.contains("there is no site in") && nowhere.stderr.contains("hint: "),
        "{}",
        nowhere.stderr
    );
    let server = up(&home);
    let private = home.path().join(".ssh/id_ed25519");
    for (words, said) in [
        (vec!["account", "add", "Not A Name"], "name"),
        (vec!["account", "link", "nobody"], "there is no account"),
        (vec!["member", "add", "nothing", "admin"], "there is no project"),
        (vec!["project", "add", "x", "--owner", "admin", "--alias", "jump"], "reserved"),
        (vec!["key", "add", "--account", "admin", "--file", "nothing.pub"], "nothing.pub"),
        (vec!["key", "add", "--account", "admin", "--file", private.to_str().unwrap()], "private key"),
        (vec!["session", "end", "x"], "not the id of a session"),
    ] {
        let ended = admin(&home, &words);
        assert_eq!(ended.code, Some(78), "{words:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(said), "{words:?}: {}", ended.stderr);
    }
    // Where it listens is in a note, which may be gone.
    let list = admin(&home, &["account", "list"]);
    assert_eq!((list.code, list.stderr.as_str()), (Some(0), ""));
    drop(server);
    std::fs::remove_file(home.path().join("hop-data/run/site.json")).unwrap();
    let list = admin(&home, &["account", "list"]);
    assert_eq!(list.code, Some(0), "{}", list.stderr);
    assert!(
        list.stdout.contains("admin") && list.stderr.contains("warning: where this site listens"),
        "{list:?}"
    );
}
