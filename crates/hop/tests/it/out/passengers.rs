//! Who rides, who connects by itself, and what happens when the connection is not what it was.

use super::machine::Machine;
use std::time::Duration;

#[test]
fn who_goes_elsewhere_does_not_ride() {
    let machine = Machine::new();
    let _ = machine.hop(&["ssh-config", "enable", "plain", "--yes"]).success();
    let _ = machine.hop(&["login", "plain"]).success();
    let mut own = 0;
    for (line, status, said) in [
        ("ssh -S none plain true", 0, ""),
        ("ssh -o ControlPath=none plain true", 0, ""),
        ("ssh -o HostName=127.0.0.2 plain true", 0, "it goes to 127.0.0.2"),
        ("ssh -A plain true", 0, "wants its agent forwarded"),
        ("ssh -o BatchMode=yes bob@plain true", 255, "it logs in as bob"),
        ("ssh -o BatchMode=yes -l bob plain true", 255, "it logs in as bob"),
        ("ssh -p 2209 plain true", 255, "it goes to port 2209"),
        ("ssh -o BatchMode=yes -J nowhere plain true", 255, "it takes another way (nowhere)"),
        ("ssh -i other plain true", 0, "it uses another key (other)"),
        ("ssh 127.0.0.1 -p 2201 true", 0, ""),
    ] {
        let ended = machine.shell(line).status(status);
        let told = ended.stderr();
        assert!(told.contains(said) && told.contains("not shared") != said.is_empty(), "{line}: {told}");
        own += usize::from(status == 0);
        // Their own masters, which the configuration keeps, must not serve the next.
        let _ = machine.shell("ssh -F none -S ~/.ssh/own-* -O exit x; rm -f ~/.ssh/own-*").finish();
        assert_eq!(machine.accepted(2201), 1 + own, "{line}");
    }
    let _ = machine.shell("ssh plain true").success();
    assert_eq!(machine.accepted(2201), 1 + own);
}

#[test]
fn a_stopped_master_and_a_killed_one_are_replaced() {
    let machine = Machine::new();
    let _ = machine.hop(&["ssh-config", "enable", "plain", "--yes"]).success();
    let _ = machine.hop(&["login", "plain"]).success();
    for (signal, logins) in [("STOP", 2), ("KILL", 3)] {
        let master = machine.master("plain");
        let _ = machine.run("kill").args([&format!("-{signal}"), &master]).success();
        let _ = machine.shell("ssh plain true").limit(Duration::from_secs(15)).success();
        assert_ne!(machine.master("plain"), master);
        assert_eq!(machine.accepted(2201), logins, "{signal}");
    }
    let master = machine.master("plain");
    let _ = machine.run("kill").args(["-STOP", &master]).success();
    let _ = machine.hop(&["exec", "plain", "--", "true"]).limit(Duration::from_secs(15)).success();
}

#[test]
fn without_a_broker_or_without_hop_ssh_is_as_it_was() {
    let machine = Machine::new();
    let _ = machine.hop(&["ssh-config", "enable", "plain", "--yes"]).success();
    let alone = machine.shell("ssh plain echo alone").success();
    assert_eq!((alone.stdout(), alone.stderr().contains("hop")), ("alone\n".to_owned(), false), "{alone}");
    let path = machine.home(".ssh/hop.conf");
    let block = std::fs::read_to_string(&path).unwrap().replace(env!("CARGO_BIN_EXE_hop"), "/no/such/hop");
    std::fs::write(&path, block).unwrap();
    let _ = machine.hop(&["daemon", "start"]).success();
    let gone = machine.shell("ssh plain echo alone").success();
    assert_eq!((gone.stdout(), gone.stderr().contains("hop")), ("alone\n".to_owned(), false), "{gone}");
}

#[test]
fn looking_starts_nothing() {
    let machine = Machine::new();
    let _ = machine.hop(&["ssh-config", "enable", "plain", "--yes"]).success();
    let _ = machine.hop(&["daemon", "start"]).success();
    let _ = machine.shell("ssh -G plain").success();
    let _ = machine.shell("ssh -O check plain").status(255);
    assert!(machine.status("plain").is_null());
    assert_eq!(machine.accepted(2201), 0);
}

#[test]
fn sockets_lie_where_only_their_user_gets() {
    let machine = Machine::new();
    let _ = machine.hop(&["login", "plain"]).success();
    let sockets = machine.path().join("s");
    let modes = machine.run("stat").args(["-c", "%a %F"]).arg(&sockets).success().stdout();
    assert_eq!(modes, "700 directory\n");
    // Even where the directory were open, the broker hears its own user only.
    let _ = machine.run("chmod").arg("711").arg(&sockets).success();
    let _ = machine.run("chmod").arg("777").arg(sockets.join(".broker")).success();
    let _ = machine.run("chmod").arg("711").arg(machine.path()).success();
    let script = format!(
        "import socket; s=socket.socket(socket.AF_UNIX); s.connect('{}'); print(s.recv(4096).decode())",
        sockets.join(".broker").display()
    );
    let heard = machine
        .run("setpriv")
        .args(["--reuid", "65534", "--clear-groups", "python3", "-I", "-c", &script])
        .success()
        .stdout();
    assert!(heard.contains("this broker hears its own user only"), "{heard}");
}
