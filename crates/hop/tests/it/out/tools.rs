//! One login, and every tool rides on it.

use super::machine::Machine;

#[test]
fn one_code_serves_every_tool() {
    let machine = Machine::new();
    let before = std::fs::read_to_string(machine.home(".ssh/config")).unwrap();
    let _ = machine.hop(&["ssh-config", "enable", "totp", "--yes"]).success();
    machine.log_in_with_code();
    std::fs::write(machine.home("file"), "content").unwrap();
    for line in [
        "[ \"$(ssh totp echo over)\" = over ]",
        "ssh root@totp true && ssh -p 2202 totp true && ssh -l root totp true",
        "scp -q file totp:scp && cmp file scp",
        "scp -O -q file totp:scp-O && cmp file scp-O",
        "echo 'put file sftp' | sftp -q -b - totp && cmp file sftp",
        "rsync -a file totp:rsync && cmp file rsync",
        "git init -q --bare repository && git clone -q totp:repository clone 2>/dev/null && test -d clone/.git",
        "ssh -O check totp",
        "ssh -G totp > /dev/null",
        "ssh -L 4000:127.0.0.1:2201 totp 'true' ",
        "for i in $(seq 8); do ssh totp true & done; wait",
        "hop exec totp -- true",
        "hop ssh totp true",
    ] {
        let _ = machine.shell(&format!("cd ~ && {line}")).success();
    }
    assert_eq!(machine.accepted(2202), 1, "one login for all of them");
    let _ = machine.hop(&["ssh-config", "disable", "totp", "--yes"]).success();
    assert_eq!(std::fs::read_to_string(machine.home(".ssh/config")).unwrap(), before);
}

#[test]
fn a_command_keeps_its_streams_and_its_status() {
    let machine = Machine::new();
    let _ = machine.hop(&["login", "plain"]).success();
    let cat = machine.hop(&["exec", "plain", "--", "cat; echo error >&2; exit 7"]).stdin("input").status(7);
    assert_eq!((cat.stdout(), cat.stderr()), ("input".to_owned(), "error\n".to_owned()));
    let signalled = machine.hop(&["exec", "plain", "--", "kill -9 $$"]).status(255);
    assert_eq!(signalled.stdout(), "");
    let _ = machine.expect(
        "spawn hop exec plain --tty -- {tty; echo $TERM; stty size}\nwants {/dev/pts/*xterm}\nends 0\n",
    );
    let _ = machine.hop(&["exec", "plain", "--", "test -z \"$SECRET\" -a \"$LANG\" = \"\""]).finish();
    let big = machine.shell("hop exec plain -- head -c 20000000 /dev/zero | wc -c").success();
    assert_eq!(big.stdout().trim(), "20000000");
    assert_eq!(machine.accepted(2201), 1);
}

#[test]
fn a_login_outlives_its_terminal() {
    let machine = Machine::new();
    let _ = machine.hop(&["ssh-config", "enable", "plain", "--yes"]).success();
    // expect closes the terminal, which hangs up on its session.
    machine.expect("spawn hop login plain\nwants {plain is up}\nclose\nwait\n");
    let master = machine.master("plain");
    machine.expect("spawn hop login plain\nwants {plain is up already}\nends 0\n");
    assert_eq!(machine.master("plain"), master);
    assert_eq!(machine.accepted(2201), 1);
}

#[test]
fn nothing_outlives_a_broker_that_was_killed_once_there_is_another() {
    let machine = Machine::new();
    let _ = machine.hop(&["login", "plain"]).success();
    let said = machine.hop(&["daemon", "status"]).success().stdout();
    let broker: String = said.chars().filter(char::is_ascii_digit).collect();
    let _ = machine.run("kill").args(["-KILL", &broker]).success();
    let masters = || machine.shell("pgrep -fc 'ssh -o [C]ontrolMaster=yes'").finish().stdout();
    assert_eq!(masters().trim(), "1", "ssh does not end with the broker");
    let _ = machine.hop(&["login", "plain"]).success();
    let _ = machine.hop(&["exec", "plain", "--", "true"]).success();
    // The old one ends by itself after it was told.
    let gone = "until [ $(pgrep -fc 'ssh -o [C]ontrolMaster=yes') = 1 ]; do :; done";
    let _ = machine.shell(gone).limit(std::time::Duration::from_secs(10)).success();
    assert_eq!(machine.accepted(2201), 2);
}

#[test]
fn a_login_ends_on_time_and_on_request() {
    let machine = Machine::new();
    let _ = machine.hop(&["login", "plain", "--for", "1s"]).success();
    // The watch prints after each change, so that this waits for the change itself.
    machine.expect("spawn hop status --watch\nwants {plain  down*its time was over}\n");
    let _ = machine.hop(&["login", "plain", "--for", "8h"]).success();
    assert_eq!(machine.status("plain")["state"], "up");
    let said = machine.hop(&["logout", "plain"]).success().stderr();
    assert_eq!(said, "plain is logged out\n");
    let said = machine.hop(&["daemon", "stop"]).success().stderr();
    assert_eq!(said, "the daemon has ended, and every login with it\n");
    assert_eq!(machine.hop(&["daemon", "status"]).success().stdout(), "not running\n");
    assert_eq!(machine.hop(&["logout", "plain"]).success().stderr(), "plain is not logged in\n");
}

#[test]
fn logging_out_is_over_when_it_says_so() {
    let machine = Machine::new();
    let round = "hop exec totp -- true; hop logout --now totp; hop exec totp -- true; hop logout --now totp; hop status --json";
    for _ in 0..4 {
        let said = machine.shell(round).limit(std::time::Duration::from_secs(20)).success();
        // The second is not told of the end of the first.
        assert_eq!(said.stderr().matches("needs a person").count(), 2, "{}", said.stderr());
        let status: serde_json::Value = serde_json::from_str(said.stdout().trim()).unwrap();
        assert_eq!(status["connections"], serde_json::json!([]), "{status}");
    }
}

#[test]
fn logging_out_lets_others_finish() {
    let machine = Machine::new();
    let _ = machine.hop(&["ssh-config", "enable", "plain", "--yes"]).success();
    let _ = machine.hop(&["login", "plain"]).success();
    let done = machine
        .shell(
            "cd ~; mkfifo go; ssh plain 'echo started; read line < go; echo finished' > said & \
             until grep -q started said 2>/dev/null; do :; done; \
             hop logout plain; hop status plain >&2; echo > go; wait; cat said",
        )
        .success();
    assert!(done.stderr().contains("plain  logging out, when the last who uses it is done"), "{done}");
    assert_eq!(done.stdout(), "started\nfinished\n");
}

#[test]
fn a_jump_host_is_asked_for_once_and_shared() {
    let machine = Machine::new();
    for host in ["totp", "behind"] {
        let _ = machine.hop(&["ssh-config", "enable", host, "--yes"]).success();
    }
    machine.expect(
        "spawn hop login behind\nwants {Verification code:}\nsend \"[code]\\r\"\nwants {behind is up}\nends 0\n",
    );
    let _ = machine.shell("ssh behind true && ssh totp true").success();
    assert_eq!((machine.accepted(2202), machine.accepted(2201)), (1, 1));
    assert_eq!(machine.status("totp")["state"], "up");
}

#[test]
fn create_ssh_socket_leaves_what_ssh_and_rsync_use() {
    let machine = Machine::new();
    let name = machine.path().join("create_ssh_socket");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_hop"), &name).unwrap();
    // An address that no Host line knows: what is given counts.
    machine.expect(&format!(
        "spawn {} --host 127.0.0.3 --user root --port 2202 --timeout 6000\nwants {{Verification code:}}\n\
         send \"[code]\\r\"\nwants {{is up until*/root@127.0.0.3:2202.socket}}\nends 0\n",
        name.display()
    ));
    let socket = "~/.ssh/root@127.0.0.3:2202.socket";
    let _ = machine
        .shell(&format!(
            "cd ~; ssh -o ControlPath={socket} root@127.0.0.3 true && echo content > file && \
             rsync -auzP -e 'ssh -p 2202 -i ~/.ssh/id_ed25519 -o \"ControlPath={socket}\"' file 'root@127.0.0.3:copy' && cmp file copy"
        ))
        .success();
    assert_eq!(machine.accepted(2202), 1);
    let left = machine.status("127.0.0.3");
    let times = (
        left.pointer("/until").unwrap().as_u64().unwrap(),
        left.pointer("/since").unwrap().as_u64().unwrap(),
    );
    assert_eq!(times.0 - times.1, 6000);
}
