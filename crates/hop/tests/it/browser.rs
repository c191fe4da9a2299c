//! The site as a person meets it: pages in Chromium and real ssh beside them.

use crate::site::{UP, up_with};
use crate::support::{Home, port_of};
use hop_e2e::program::{peers_folder, program};
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn a_pasted_key_works_until_it_is_removed() {
    let home = Home::new();
    let words = UP.map(|word| if word == "yes" { "no" } else { word });
    let server = up_with(&home, &words);
    let (key, bob) = (home.make_key("laptop"), home.make_key("bob"));
    for words in [
        &["admin", "account", "add", "bob"][..],
        &["admin", "key", "add", "--account", "bob", "--file", "bob.pub"][..],
    ] {
        let ended = home.run(words);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    }
    let npm = peers_folder().join("npm");
    let given = serde_json::json!({
        "npm": npm,
        "chromium": program("chromium"),
        "link": server.announced["sign_in"]["link"],
        "folder": home.path(),
        "key": key,
        "bob": { "key": bob },
        "port": port_of(&server.announced["ssh"]),
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/site.mjs");
    let output = Command::new("node")
        .arg(script)
        .arg(given.to_string())
        .stdin(Stdio::null())
        .output()
        .expect("node (20 or later) drives Chromium");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
