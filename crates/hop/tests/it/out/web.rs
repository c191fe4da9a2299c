//! The broker for browsers and programs: its page in Chromium, its API with curl and Python.

use super::TOTP_SECRET;
use super::machine::Machine;
use hop_e2e::program::{peers_folder, program};
use std::path::Path;
use std::time::Duration;

#[test]
fn questions_are_answered_at_the_page() {
    let machine = Machine::new();
    let _ = program("oathtool");
    let _ = machine.hop(&["ssh-config", "enable", "totp", "--yes"]).success();
    let link = || machine.hop(&["answer", "--page", "--no-open"]).success().stdout().trim().to_owned();
    let given = serde_json::json!({
        "npm": peers_folder().join("npm"),
        "chromium": program("chromium"),
        "link": link(),
        "second": link(),
        "secret": TOTP_SECRET,
        "shots": std::env::var("HOP_TEST_SHOTS").ok(),
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/answer.mjs");
    let ended =
        machine.run("node").arg(script).arg(given.to_string()).limit(Duration::from_secs(120)).finish();
    assert_eq!(ended.status, Some(0), "{ended}");
    assert_eq!(machine.accepted(2202), 2);
    let log = std::fs::read_to_string(machine.path().join("s/.log")).unwrap();
    let key = given["link"].as_str().unwrap().rsplit('/').next().unwrap();
    assert!(!log.contains(key) && !log.contains("000000"), "{log}");
}

/// A notebook without any package: it logs in, shows the question to its person, and answers.
const NOTEBOOK: &str = r#"
import json, subprocess, sys, threading, urllib.error, urllib.request
url, file = subprocess.run(["hop", "daemon", "api"], check=True, capture_output=True, text=True).stdout.split()
token = open(file).read()

def call(path, request=None, token=token, **headers):
    body = None if request is None else json.dumps(request).encode()
    headers = {"Authorization": "Bearer " + token, "Content-Type": "application/json", **headers}
    return urllib.request.urlopen(urllib.request.Request(url + path, body, headers), timeout=30)

def events(*words, **more):
    return (json.loads(line) for line in call(*words, **more) if line.strip())

def refused(status, *words, **more):
    try:
        call(*words, **more)
    except urllib.error.HTTPError as error:
        assert error.code == status, (words, error.code, error.read())
        return error.read().decode()
    raise AssertionError(f"{words} {more} was let in")

asked = 0
for event in events("/requests", {"request": "login", "alias": "totp", "attended": True}):
    if event["event"] == "prompt":
        asked += 1
        assert "Verification code" in event["text"], event
        text = "000000" if asked == 1 else subprocess.check_output(["oathtool", "--totp", "-b", sys.argv[1]], text=True).strip()
        [told] = events("/requests", {"request": "answer", "prompt": event["id"], "text": text})
        assert told["event"] == "done", told
        [late] = events("/requests", {"request": "answer", "prompt": event["id"], "text": text})
        assert late["event"] == "withdrawn", late
assert event["event"] == "up" and asked == 2, (event, asked)

[status] = [connection["state"] for connection in json.load(call("/status"))["connections"]]
assert status == "up", status
watching = events("/watch")
assert next(watching)["connections"][0]["state"] == "up"
sent = call("/watch", Accept="text/event-stream")
assert sent.headers["Content-Type"] == "text/event-stream" and sent.readline().startswith(b"data: {")
[out] = events("/requests", {"request": "logout", "alias": "totp"})
assert out["event"] == "done", out
while next(watching)["connections"]:
    pass

refused(401, "/status", token="")
refused(401, "/status", token="0" * 64)
refused(421, "/status", Host="rebound.example")
refused(403, "/requests", {"request": "status"}, Origin="http://evil.example")
refused(415, "/requests", {"request": "status"}, **{"Content-Type": "text/plain"})
for wrong in [{"request": "stop"}, {"request": "status", "x": 1}, {"request": "ask", "alias": "totp", "text": "", "hint": "answer"}, []]:
    assert "not a request" in refused(400, "/requests", wrong)
refused(413, "/requests", {"request": "x" * 100_000})
"#;

#[test]
fn a_notebook_logs_in_by_the_api() {
    let machine = Machine::new();
    let _ = (program("oathtool"), program("python3"), program("curl"));
    let script = machine.path().join("notebook.py");
    std::fs::write(&script, NOTEBOOK).unwrap();
    let _ = machine.run("python3").arg(&script).arg(TOTP_SECRET).limit(Duration::from_secs(60)).success();
    assert_eq!(machine.accepted(2202), 1);

    let said = machine.hop(&["daemon", "api", "--json"]).success().stdout();
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    let (url, file) = (said["url"].as_str().unwrap(), said["token_file"].as_str().unwrap());
    let mode = machine.run("stat").args(["-c", "%a", file]).success().stdout();
    assert_eq!(mode, "600\n");
    let curl = |more: &str| {
        machine
            .shell(&format!("curl -sS -H \"Authorization: Bearer $(cat {file})\" {more}"))
            .success()
            .stdout()
    };
    assert_eq!(curl(&format!("{url}/status")), "{\"event\":\"status\",\"connections\":[]}\n");
    let up = curl(&format!("--json '{{\"request\":\"login\",\"alias\":\"plain\"}}' {url}/requests"));
    assert!(up.lines().last().unwrap().starts_with("{\"event\":\"up\""), "{up}");
    // Somebody else on the computer is not answered, whatever they know.
    let token = std::fs::read_to_string(file).unwrap();
    let stranger = machine.run("setpriv").args(["--reuid", "65534", "--clear-groups", "curl", "-sS", "-H"]);
    let stranger =
        stranger.arg(format!("Authorization: Bearer {token}")).arg(format!("{url}/status")).finish();
    assert!(stranger.status != Some(0) && stranger.stdout().is_empty(), "{stranger}");
    let _ = machine.hop(&["daemon", "stop"]).success();
    assert!(!Path::new(file).exists(), "the token ends with the daemon");
}

#[test]
fn the_unit_is_one_that_systemd_reads() {
    let machine = Machine::new();
    let _ = program("systemd-analyze");
    let ended = machine.hop(&["daemon", "unit"]).success();
    let said = ended.stderr();
    assert!(said.contains("systemctl --user enable --now hop.service"), "{said}");
    assert!(said.contains("does not run systemd"), "{said}");
    std::fs::write(machine.home("hop.service"), ended.stdout()).unwrap();
    let verify = "mkdir -p ~/run; XDG_RUNTIME_DIR=~/run systemd-analyze --user --man=no verify ~/hop.service";
    let checked = machine.shell(verify).success();
    assert_eq!(checked.stderr(), "");
}

/// What a desktop opens a link with, and the person who then answers: by curl, which takes the cookie along.
const DESKTOP: &str = r#"#!/bin/bash
set -e
echo "$1" >> ~/opened
curl -sS --fail -c ~/jar -o ~/enter.html "$1"
page="${1%%/enter/*}$(grep -o '/p/[0-9a-f]*/' ~/enter.html | head -1)"
(
  until curl -sS --fail -b ~/jar "$page" > ~/page.html && grep -q data-question ~/page.html; do sleep 0.1; done
  question=$(grep -o 'data-question="[0-9]*"' ~/page.html | head -1 | grep -o '[0-9]*')
  curl -sS --fail -b ~/jar -d "prompt=$question" -d "text=$(oathtool --totp -b SECRET)" "${page}answer"
) > /dev/null 2>&1 &
"#;

#[test]
fn a_programs_login_finds_the_person_at_the_desktop() {
    let machine = Machine::new();
    let _ = (program("oathtool"), program("curl"));
    std::fs::create_dir_all(machine.home(".config/hop")).unwrap();
    std::fs::write(machine.home(".config/hop/config.toml"), "[host.totp]\npage = true\n").unwrap();
    std::fs::create_dir(machine.home("bin")).unwrap();
    let opener = machine.home("bin/xdg-open");
    std::fs::write(&opener, DESKTOP.replace("SECRET", TOTP_SECRET)).unwrap();
    std::fs::set_permissions(&opener, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let exec = "hop exec totp -- echo over";
    // Without a desktop it is as if nothing was set.
    let refused = machine.shell(exec).limit(Duration::from_secs(20)).status(255).stderr();
    assert!(refused.contains("needs a person"), "{refused}");
    let _ = machine.hop(&["logout", "--now", "totp"]).finish();
    let said = machine
        .shell(&format!("PATH=~/bin:$PATH DISPLAY=:0 {exec}"))
        .limit(Duration::from_secs(30))
        .success();
    assert_eq!(said.stdout(), "over\n");
    assert_eq!(std::fs::read_to_string(machine.home("opened")).unwrap().lines().count(), 1);
    // One that does not take the link is none. (The page of before was looked at a moment ago, and counts as somebody there.)
    let _ = machine.hop(&["daemon", "stop"]).success();
    std::fs::write(&opener, "#!/bin/sh\nexit 3\n").unwrap();
    let refused =
        machine.shell(&format!("PATH=~/bin:$PATH DISPLAY=:0 {exec}")).limit(Duration::from_secs(20));
    assert!(refused.status(255).stderr().contains("needs a person"));
    assert_eq!(machine.accepted(2202), 1);
}
