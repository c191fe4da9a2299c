//! What is entrusted stays where it is: no request that a process of the same user can send makes the daemon tell it.

use super::TOTP_SECRET;
use super::machine::Machine;
use hop_broker::prompt::class::Hint;
use hop_broker::{Request, Secret};
use hop_connect::Alias;
use hop_connect::mux::forward::{Direction, Forward};
use hop_connect::passenger::Passenger;
use hop_connect::ssh_words::SshWords;
use std::time::Duration;

/// How many kinds of requests there are.
const KINDS: usize = 18;

/// Counts the kinds. A new one has to be added here and below: it must not tell secrets either.
fn kind(request: &Request) -> usize {
    match request {
        Request::Login { .. } => 0,
        Request::Use { .. } => 1,
        Request::Ensure { .. } => 2,
        Request::Silent { .. } => 3,
        Request::Full { .. } => 4,
        Request::Forward { .. } => 5,
        Request::CloseForward { .. } => 6,
        Request::Port => 7,
        Request::Logout { .. } => 8,
        Request::Status => 9,
        Request::Watch => 10,
        Request::Attend => 11,
        Request::Answer { .. } => 12,
        Request::Decline { .. } => 13,
        Request::Ask { .. } => 14,
        Request::Page => 15,
        Request::Api => 16,
        Request::Stop => 17,
    }
}

/// One of each.
fn requests() -> Vec<Request> {
    let alias = Alias::parse("totp").unwrap();
    let forward = Forward::parse(Direction::Local, "4001:127.0.0.1:2203").unwrap();
    let words = ["ssh", "totp", "true"].map(Into::into).to_vec();
    let text = |text: &str| text.to_owned();
    let prompt = serde_json::from_str("1").unwrap();
    let passenger = Passenger {
        words: SshWords::parse(&words).unwrap(),
        name: text("totp"),
        address: text("127.0.0.1"),
        user: text("root"),
        port: text("2202"),
        local_user: text("root"),
    };
    let all = vec![
        Request::Status,
        Request::Watch,
        Request::Attend,
        Request::Login {
            alias: alias.clone(),
            given: None,
            lifetime: None,
            idle: None,
            attended: true,
            environment: vec![],
        },
        Request::Use {
            alias: alias.clone(),
            purpose: text("curiosity"),
            takes_session: true,
            attended: true,
            environment: vec![],
        },
        Request::Ensure {
            alias: alias.clone(),
            passenger: Box::new(passenger),
            pid: 1,
            started_by: text("nobody"),
            attended: true,
            environment: vec![],
        },
        Request::Full { alias: alias.clone() },
        Request::Forward { alias: alias.clone(), forward: forward.clone(), stays: false },
        Request::CloseForward { alias: alias.clone(), forward },
        Request::Port,
        Request::Answer { prompt, text: Secret::new(text("000000")) },
        Request::Decline { prompt },
        Request::Ask {
            alias: alias.clone(),
            text: text("(root@127.0.0.1) Verification code: "),
            hint: Hint::Answer,
        },
        Request::Page,
        Request::Api,
        Request::Silent { alias: alias.clone(), master: 1 },
        Request::Logout { alias, at_once: true },
        Request::Stop,
    ];
    let kinds: std::collections::BTreeSet<usize> = all.iter().map(kind).collect();
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), (0..KINDS).collect::<Vec<_>>());
    all
}

/// Sends each line on a connection of its own and prints all that comes, until nothing more does.
const ASKS: &str = "
import os, socket, sys
for line in sys.stdin.buffer:
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(1)
    s.connect(os.environ['HOP_SOCKET_DIR'] + '/.broker')
    s.sendall(line)
    try:
        while data := s.recv(65536):
            sys.stdout.buffer.write(data)
    except TimeoutError:
        pass
";

/// What every process of the user shows to the others, the searching one and its parents aside.
const PROCESSES: &str = "
import glob, os
for path in glob.glob('/proc/[0-9]*/cmdline') + glob.glob('/proc/[0-9]*/environ'):
    try:
        print(open(path, 'rb').read())
    except OSError:
        pass
";

#[test]
fn no_request_is_answered_with_a_secret() {
    let machine = Machine::new();
    machine.be_strict();
    let passphrase = "words that open the file";
    machine.program("passphrase", passphrase);
    let file = machine.path().join("passphrase");
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    machine.program("seed", TOTP_SECRET);
    let store = format!(
        "HOP_PASSPHRASE_FILE={} hop secret set totp totp --stdin --site-allows-it --question 'Verification code:' < {}",
        file.display(),
        machine.path().join("seed").display()
    );
    let _ = machine.shell(&store).success();
    let _ = machine.shell("hop login totp").limit(Duration::from_secs(50)).success();
    let shown = machine.run("python3").args(["-Ic", PROCESSES]).success().stdout();
    let lines: Vec<String> =
        requests().iter().map(|request| serde_json::to_string(request).unwrap() + "\n").collect();
    let told = machine.run("python3").args(["-Ic", ASKS]).stdin(lines.concat());
    let told = told.limit(Duration::from_secs(90)).success().stdout();
    assert_eq!(told.matches("\"event\":\"hello\"").count(), lines.len(), "{told}");
    for wanted in
        ["\"event\":\"status\"", "\"event\":\"unanswered\"", "\"event\":\"page\"", "\"event\":\"done\""]
    {
        assert!(told.contains(wanted), "{wanted}: {told}");
    }
    assert!(!told.contains("\"event\":\"answered\""), "{told}");
    let log = std::fs::read_to_string(machine.path().join("s/.log")).unwrap();
    let book = std::fs::read_to_string(machine.home(".local/state/hop/answers.json")).unwrap();
    for (place, text) in [("answers", told), ("processes", shown), ("log", log), ("book", book)] {
        assert!(!text.contains(TOTP_SECRET) && !text.contains(passphrase), "{place}: {text}");
    }
}
