//! One ssh-agent for every shell and daemon of a person.

use super::machine::Machine;
use hop_e2e::program::program;

#[test]
fn one_agent_outlives_its_shell_and_a_restart_is_told() {
    let machine = Machine::new();
    let _ = (program("ssh-agent"), program("ssh-add"));
    let _ = machine.shell("ssh-keygen -q -p -P '' -N 'long words' -f ~/.ssh/id_ed25519").success();
    let first = machine.hop(&["agent", "start"]).success().stdout();
    assert_eq!(machine.hop(&["agent", "start"]).success().stdout(), first, "there is one");
    assert!(first.starts_with("SSH_AUTH_SOCK='") && first.contains("/s/.agent'; export"), "{first}");
    machine.expect(
        "spawn hop agent add --for 1h\nwants {Enter passphrase for /root/.ssh/id_ed25519}\nsend \"long words\\r\"\n\
         wants {Identity added}\nends 0\n",
    );
    // Another session, without SSH_AUTH_SOCK and without anybody to ask.
    let _ = machine.shell("hop login plain").success();
    // One that a session had which is over is not taken for one.
    let _ = machine.shell("SSH_AUTH_SOCK=/no/such/socket hop login single").success();
    let shown = machine.hop(&["agent", "status"]).success().stdout();
    assert!(shown.contains("SHA256:") && !shown.contains("missing"), "{shown}");
    let lifetime =
        machine.shell(&format!("{first} ssh-add -l && timeout 5 ssh-add -T ~/.ssh/id_ed25519.pub")).success();
    assert_eq!(lifetime.status, Some(0));

    let _ = machine.run("pkill").args(["-KILL", "-x", "ssh-agent"]).success();
    let shown = machine.hop(&["agent", "status"]).success().stdout();
    assert_eq!(
        shown,
        "no agent runs (hop agent start)\n    missing: /root/.ssh/id_ed25519 (hop agent add)\n"
    );
    let again = machine.hop(&["agent", "start"]).success();
    assert_eq!(again.stdout(), first, "the same socket");
    assert!(again.stderr().contains("The agent had /root/.ssh/id_ed25519 and has not any more"), "{again}");
    assert!(again.stderr().contains("hint: hop agent add"), "{again}");
}

#[test]
fn an_agent_that_runs_already_is_used() {
    let machine = Machine::new();
    let said = machine
        .shell("eval $(ssh-agent) > /dev/null; echo $SSH_AUTH_SOCK; hop agent start")
        .success()
        .stdout();
    let (own, printed) = said.split_once('\n').unwrap();
    assert_eq!(printed, format!("SSH_AUTH_SOCK='{own}'; export SSH_AUTH_SOCK;\n"));
    assert!(!machine.path().join("s/.agent").exists());
}
