//! More sessions than the host takes: they wait in line, and are served by `hop dial` where ssh itself was refused.

use super::machine::Machine;

/// A host `four` (MaxSessions 4) beside those of every machine.
fn with_four() -> Machine {
    let machine = Machine::new();
    machine.sshd(2204, "/usr/sbin/sshd", &["UsePAM=no", "MaxSessions=4"]);
    machine.add_host("Host four\n    HostName 127.0.0.1\n    Port 2204\n");
    machine
}

#[test]
fn more_sessions_than_the_host_takes_wait_in_line() {
    let machine = with_four();
    for (host, port) in [("single", 2203), ("four", 2204)] {
        let _ = machine.hop(&["ssh-config", "enable", host, "--yes"]).success();
        let _ = machine.hop(&["login", host]).success();
        let all = machine
            .shell(&format!(
                "for i in $(seq 20); do (ssh {host} 'echo in; sleep 0.1; echo out' || echo FAILED) & done; \
                 for i in $(seq 5); do hop exec {host} -- echo exec & done; wait"
            ))
            .success();
        let count = |word: &str| all.stdout().lines().filter(|line| *line == word).count();
        assert_eq!((count("in"), count("out"), count("exec"), count("FAILED")), (20, 20, 5, 0), "{all}");
        assert!(all.stderr().contains("takes no more sessions at once; waiting for one of"), "{all}");
        assert_eq!(machine.accepted(port), 1, "nobody logged in by itself");
    }
}

/// `ssh single` while its one session is taken behind our back, so that ssh is refused; `line` runs meanwhile, and the
/// session ends when it has written to the pipe `go`.
fn beside_a_session(machine: &Machine, line: &str) -> hop_e2e::Run {
    let _ = machine.hop(&["ssh-config", "enable", "single", "--yes"]).success();
    let _ = machine.hop(&["login", "single"]).success();
    machine.shell(&format!(
        "cd ~; mkfifo go; ssh -S $HOP_SOCKET_DIR/single single 'echo started; read line < go' > said & \
         until grep -q started said 2>/dev/null; do :; done; {line}"
    ))
}

/// Waits until the refused ssh is in line, then ends the session that is in its way.
const FREE_IT: &str = "until grep -q 'waiting for one of' told 2>/dev/null; do :; done; echo > go; wait $it; code=$?; wait; cat told >&2; exit $code";

#[test]
fn an_ssh_that_was_refused_is_served_when_there_is_room() {
    let machine = Machine::new();
    let ended = beside_a_session(
        &machine,
        &format!("printf input | ssh single 'cat; echo error >&2; exit 7' > out 2> told & it=$!; {FREE_IT}"),
    )
    .status(7);
    assert_eq!(std::fs::read_to_string(machine.home("out")).unwrap(), "input");
    let told = ended.stderr();
    assert!(told.contains("hop: single takes no more sessions at once; waiting for one of"), "{told}");
    assert!(told.ends_with("error\n"), "{told}");
    assert_eq!(machine.accepted(2203), 1, "it did not log in by itself");
    assert!(
        !machine.home(".ssh/known_hosts").exists() || {
            let known = std::fs::read_to_string(machine.home(".ssh/known_hosts")).unwrap();
            !known.contains("grasshopper")
        }
    );
}

#[test]
fn who_gives_up_waiting_leaves_the_line() {
    let machine = Machine::new();
    let ended = beside_a_session(
        &machine,
        "ssh single true 2> told & it=$!; until grep -q 'waiting for one of' told 2>/dev/null; do :; done; \
         kill $it; wait $it; hop status --json single; echo > go; wait; ssh single true",
    )
    .success();
    let status: serde_json::Value = serde_json::from_str(&ended.stdout()).unwrap();
    assert_eq!(status.pointer("/connections/0/state").unwrap(), "up");
    assert_eq!(machine.accepted(2203), 1);
}

#[test]
fn a_host_that_takes_one_connection_is_enough() {
    let machine = with_four();
    for (host, port) in [("plain", 2201), ("four", 2204)] {
        let _ = machine.hop(&["ssh-config", "enable", host, "--yes"]).success();
        let _ = machine.hop(&["login", host]).success();
        // Nobody else gets in from here on: whoever listens is gone, the connection that is there is not.
        let _ = machine
            .shell(&format!("pkill -f 'sshd.* [-]p {port}'; ! ssh -S none -o ConnectTimeout=2 {host} true"))
            .success();
        let all = machine
            .shell(&format!(
                "for i in $(seq 20); do (ssh -o BatchMode=yes {host} echo in || echo FAILED) & done; wait"
            ))
            .success();
        assert_eq!(all.stdout(), "in\n".repeat(20), "{all}");
        assert_eq!(machine.accepted(port), 1);
    }
}
