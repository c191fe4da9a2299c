//! What ssh asks reaches the person, wherever that is; and where nobody is, that is said.

use super::machine::Machine;

#[test]
fn a_wrong_code_is_asked_again_and_three_are_an_error_with_a_cure() {
    let machine = Machine::new();
    machine.expect(
        "spawn hop login totp\nwants {Verification code:}\nsend \"000000\\r\"\nwants {That was not accepted.}\n\
         wants {Verification code:}\nsend \"[code]\\r\"\nwants {totp is up}\nends 0\n",
    );
    let _ = machine.hop(&["logout", "totp"]).success();
    let wrong = "wants {Verification code:}\nsend \"000000\\r\"\n".repeat(3);
    machine.expect(&format!(
        "spawn hop login totp\n{wrong}wants {{cannot log in to totp: root@127.0.0.1: Permission denied (keyboard-interactive).*take a new code and try again}}\n\
         ends 77\n"
    ));
}

#[test]
fn an_ssh_in_a_terminal_asks_there() {
    let machine = Machine::new();
    let _ = machine.hop(&["ssh-config", "enable", "totp", "--yes"]).success();
    let _ = machine.hop(&["daemon", "start"]).success();
    machine.expect(
        "spawn ssh totp echo rides\nwants {Verification code:}\nsend \"[code]\\r\"\nwants rides\nends 0\n",
    );
    let _ = machine.shell("ssh totp true").success();
    assert_eq!(machine.accepted(2202), 1);
}

#[test]
fn who_gives_up_sends_no_empty_answers() {
    let machine = Machine::new();
    let _ = machine.hop(&["ssh-config", "enable", "totp", "--yes"]).success();
    let _ = machine.hop(&["daemon", "start"]).success();
    machine.expect(
        "spawn ssh totp true\nwants {Verification code:}\nsend \"\\003\"\nexpect eof\n\
         if {[string match {*Verification*} $expect_out(buffer)]} { puts {\nASKED AGAIN}; exit 1 }\n\
         spawn hop login totp\nwants {Verification code:}\nsend \"\\003\"\nwants interrupted\nends 130\n",
    );
    assert!(!machine.log_text(2202).contains("Failed keyboard-interactive"), "{}", machine.log_text(2202));
    machine.log_in_with_code();
    let _ = machine.shell("ssh totp true").success();
}

#[test]
fn where_nobody_is_an_ssh_is_told_at_once_and_never_logs_in_by_itself() {
    let machine = Machine::new();
    let _ = machine.hop(&["ssh-config", "enable", "totp", "--yes"]).success();
    let _ = machine.hop(&["daemon", "start"]).success();
    for ssh in ["ssh totp", "ssh -o BatchMode=yes totp", "ssh totp"] {
        let refused =
            machine.shell(&format!("{ssh} true")).limit(std::time::Duration::from_secs(20)).status(255);
        let said = refused.stderr();
        assert!(said.contains("the login to totp is in progress and asks for: one-time code"), "{said}");
        assert!(
            said.contains("hint: hop login totp in a terminal, hop answer, or hop answer --page"),
            "{said}"
        );
    }
    assert_eq!(machine.accepted(2202), 0);
    // One login for all three, and it can still be answered; a second terminal sees that it is settled.
    machine.expect(
        "spawn hop login totp\nset first $spawn_id\nwants {Verification code:}\nspawn hop answer --once\n\
         wants {Verification code:}\nsend \"[code]\\r\"\nset second $spawn_id\nset spawn_id $first\n\
         wants {That question is settled.*totp is up}\nends 0\nset spawn_id $second\nends 0\n",
    );
    let _ = machine.shell("ssh totp true").success();
    assert_eq!(machine.accepted(2202), 1);
}

#[test]
fn a_process_that_no_login_started_gets_no_answer() {
    let machine = Machine::new();
    let _ = machine.hop(&["daemon", "start"]).success();
    let forged =
        machine.shell("HOP_MASTER=totp exec \"$HOP_SOCKET_DIR\"/.bin/hop-askpass 'Your code: '").status(1);
    assert_eq!(forged.stdout(), "");
}

#[test]
fn what_fails_is_said_with_a_cure() {
    let machine = Machine::new();
    for (host, code, said, cure) in [
        ("nowhere", 69, "Connection refused", "no sshd listens on that port"),
        ("no.such.host.invalid", 69, "Could not resolve hostname", "is the name right"),
    ] {
        let failed = machine.hop(&["login", host]).status(code).stderr();
        assert!(failed.contains(&format!("error: cannot log in to {host}: ")), "{failed}");
        assert!(failed.contains(said) && failed.contains(cure), "{failed}");
    }
    let wrong = std::fs::read_to_string(machine.home(".ssh/id_ed25519.pub")).unwrap();
    let other = format!("[127.0.0.1]:2201 {wrong}");
    std::fs::write(machine.home(".ssh/known_hosts"), other).unwrap();
    let failed = machine.hop(&["login", "plain"]).status(77).stderr();
    let shown = machine.shell(
        "ssh-keygen -lf /proc/self/fd/0 < <(ssh-keyscan -p 2201 127.0.0.1 2>/dev/null | cut -d' ' -f2-)",
    );
    let fingerprint = shown.success().stdout().split(' ').nth(1).unwrap().to_owned();
    let reason = format!("Host key verification failed: [127.0.0.1]:2201 shows the key {fingerprint}, and ");
    assert!(failed.contains(&reason) && failed.contains(".ssh/known_hosts:1 has another one"), "{failed}");
    assert!(failed.contains("ssh-keygen -R '[127.0.0.1]:2201'"), "{failed}");
}

#[test]
fn an_unknown_host_key_is_a_persons_decision() {
    let machine = Machine::new();
    let config = std::fs::read_to_string(machine.home(".ssh/config")).unwrap();
    let config = config.replace("StrictHostKeyChecking accept-new", "StrictHostKeyChecking ask");
    std::fs::write(machine.home(".ssh/config"), config).unwrap();
    machine.expect(
        "spawn hop login plain\nwants {SHA256:}\nwants {(yes/no/\\[fingerprint\\])?}\nsend \"yes\\r\"\nwants {plain is up}\nends 0\n",
    );
    let nobody = machine.hop(&["logout", "plain"]).success();
    assert_eq!(nobody.status, Some(0));
    std::fs::remove_file(machine.home(".ssh/known_hosts")).unwrap();
    let refused = machine.shell("hop login plain").status(77).stderr();
    assert!(refused.contains("needs a person, and nobody is there"), "{refused}");
}

#[test]
fn a_passphrase_and_a_code_are_two_questions() {
    let machine = Machine::new();
    let _ = machine.shell("ssh-keygen -q -p -P '' -N 'long words' -f ~/.ssh/id_ed25519").success();
    let shown = machine.expect(
        "spawn hop login totp\nwants {Enter passphrase for key*id_ed25519}\nsend \"long words\\r\"\n\
         wants {Verification code:}\nsend \"[code]\\r\"\nwants {totp is up}\nends 0\n",
    );
    assert!(!shown.contains("long words"), "{shown}");
    let log = std::fs::read_to_string(machine.path().join("s/.log")).unwrap();
    assert!(!log.contains("long words"), "{log}");
}

#[test]
fn an_answer_after_the_host_hung_up_is_asked_for_again() {
    let machine = Machine::new();
    let name = machine.path().join("hop-totp");
    let both = ["UsePAM=yes", "AuthenticationMethods=publickey,keyboard-interactive:pam", "LoginGraceTime=5"];
    machine.sshd(2205, name.to_str().unwrap(), &both);
    let config = std::fs::read_to_string(machine.home(".ssh/config")).unwrap();
    std::fs::write(
        machine.home(".ssh/config"),
        config + "Host late\n    HostName 127.0.0.1\n    Port 2205\n",
    )
    .unwrap();
    // A person who fetches a telephone: time itself is what this is about.
    machine.expect(
        "spawn hop login late\nwants {Verification code:}\nsleep 21\nsend \"[code]\\r\"\n\
         wants {late did not wait for that answer; it is asked again*Verification code:}\nsend \"[code]\\r\"\n\
         wants {late is up}\nends 0\n",
    );
}

/// A site whose questions have a name and an instruction (RFC 4256 section 3.2).
const INSTRUCTING: &str = "
import asyncio, asyncssh, sys
class Site(asyncssh.SSHServer):
    def begin_auth(self, username): return True
    def kbdint_auth_supported(self): return True
    def get_kbdint_challenge(self, username, lang, submethods):
        return 'Second factor', 'Approve ABCD-1234 on your telephone,\\x1b[2J then press Enter.', 'en', [('Done? ', True)]
    def validate_kbdint_response(self, username, responses): return list(responses) == ['yes']
async def main():
    await asyncssh.listen('127.0.0.1', 2214, server_factory=Site, server_host_keys=[sys.argv[1]])
    print('listens', flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
";

#[test]
fn what_a_site_instructs_is_shown_with_its_question() {
    let machine = Machine::new();
    let site = machine.on_its_network().arg(hop_e2e::program::python()).args(["-Ic", INSTRUCTING]);
    let site = site.arg(machine.path().join("host")).background();
    site.wait_for("the site", |text| text.contains("listens").then_some(()));
    machine.add_host("Host instructing\n    HostName 127.0.0.1\n    Port 2214\n");
    let seen = machine.expect(
        "spawn hop login instructing\n\
         wants {Second factor*Approve ABCD-1234 on your telephone*then press Enter.*Done?}\nsend \"yes\\r\"\n\
         wants {instructing is up}\nends 0\n",
    );
    assert!(!seen.contains("\u{1b}[2J"), "{seen:?}");
}
