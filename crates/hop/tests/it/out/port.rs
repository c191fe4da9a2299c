//! The loopback port, with clients that know nothing else: paramiko, ssh2.js, PuTTY, and OpenSSH by the plain block.

use super::machine::Machine;
use hop_e2e::program::{node_folder, program, python, scripts_folder};
use hop_e2e::{Finished, Run};
use serde_json::{Value, json};

/// A machine that is logged in to `plain`, with the port open.
fn with_port() -> (Machine, u64) {
    let machine = Machine::new();
    let _ = machine.hop(&["login", "plain"]).success();
    let said = machine.hop(&["ssh-config", "enable", "plain", "--plain", "--yes"]).success().stderr();
    assert!(said.contains("plain-plain is plain by way of the daemon's port"), "{said}");
    let block = machine.hop(&["ssh-config", "show", "plain", "--plain"]).success().stdout();
    let port = block.lines().find_map(|line| line.trim().strip_prefix("Port ")).unwrap().parse().unwrap();
    (machine, port)
}

/// A library's script does one thing for the account `user`; what it reports.
fn ask(machine: &Machine, interpreter: &[String], port: u64, more: &Value) -> Finished {
    let mut request = json!({
        "host": "127.0.0.1",
        "port": port,
        "user": "plain",
        "key": machine.home(".local/state/hop/id_ed25519"),
        "known_hosts": machine.home(".local/state/hop/known_hosts"),
    });
    for (name, value) in more.as_object().unwrap() {
        request[name.as_str()] = value.clone();
    }
    machine.on_its_network().arg("env").args(interpreter).arg(request.to_string()).finish()
}

fn report(finished: &Finished) -> Value {
    serde_json::from_str(&finished.stdout()).unwrap_or_else(|error| panic!("{error}\n{finished}"))
}

#[test]
fn libraries_share_the_login() {
    let (machine, port) = with_port();
    let path = |name: &str| scripts_folder().join(name).display().to_string();
    let paramiko = [python().display().to_string(), path("paramiko_peer.py")];
    let modules = format!("NODE_PATH={}", node_folder().join("node_modules").display());
    let ssh2 = [modules, "node".to_owned(), path("ssh2_peer.js")];
    let folder = machine.path().join("far");
    std::fs::write(machine.home("file"), vec![7; 100_000]).unwrap();
    for (name, library) in [("paramiko", &paramiko[..]), ("ssh2", &ssh2[..])] {
        std::fs::create_dir_all(&folder).unwrap();
        let exec = json!({ "operation": "exec", "command": "cat /dev/null; echo out; echo err >&2; exit 7" });
        let exec = report(&ask(&machine, library, port, &exec));
        assert_eq!(
            (&exec["status"], &exec["stdout"], &exec["stderr"]),
            (&json!(7), &json!("out\n"), &json!("err\n")),
            "{name}"
        );
        let sftp = json!({ "operation": "sftp", "local": machine.home("file"), "folder": folder, "back": machine.home(name) });
        let sftp = report(&ask(&machine, library, port, &sftp));
        assert_eq!(sftp["names"]["second"], 100_000, "{name}");
        assert_eq!(std::fs::read(machine.home(name)).unwrap(), vec![7; 100_000], "{name}");
        std::fs::remove_dir_all(&folder).unwrap();
        let stranger = json!({ "operation": "login", "key": machine.home(".ssh/id_ed25519") });
        assert_eq!(report(&ask(&machine, library, port, &stranger))["outcome"], "refused", "{name}");
    }
    assert_eq!(machine.accepted(2201), 1, "one login for all of them");
}

#[test]
fn putty_shares_the_login() {
    let (machine, port) = with_port();
    let _ = machine
        .run(program("puttygen").to_str().unwrap())
        .args(["/root/.local/state/hop/id_ed25519", "-O", "private", "-o", "/root/key.ppk"])
        .success();
    let fingerprint =
        machine.shell("ssh-keygen -lf ~/.local/state/hop/ssh_host_ed25519_key | cut -d' ' -f2").success();
    let words = ["-batch", "-noagent", "-hostkey", fingerprint.stdout().trim(), "-i", "/root/key.ppk", "-P"]
        .map(str::to_owned);
    let plink = |more: &[&str]| -> Run {
        machine.run(program("plink").to_str().unwrap()).args(&words).arg(port.to_string()).args(more)
    };
    let exec = plink(&["-T", "plain@127.0.0.1", "cat; exit 7"]).stdin("input").status(7);
    assert_eq!(exec.stdout(), "input");
    let tunnel = plink(&["-nc", "127.0.0.1:2203", "plain@127.0.0.1"]).stdin("x\n").finish();
    assert!(tunnel.stdout().starts_with("SSH-2.0-"), "{tunnel}");
    assert_eq!(machine.accepted(2201), 1);
}

#[test]
fn openssh_by_the_plain_block() {
    let (machine, port) = with_port();
    std::fs::write(machine.home("file"), "content").unwrap();
    for line in [
        "[ \"$(ssh -v plain-plain echo over 2> debug)\" = over ] && grep -q 'Authenticated to 127.0.0.1' debug",
        "scp -q file plain-plain:scp && cmp file scp",
        "echo 'put file sftp' | sftp -q -b - plain-plain && cmp file sftp",
        "rsync -a file plain-plain:rsync && cmp file rsync",
        "ssh -W 127.0.0.1:2203 plain-plain < /dev/null | grep -q SSH-2.0-",
    ] {
        // Its own master would serve the next.
        let _ = machine.shell(&format!("cd ~ && {line}; code=$?; rm -f ~/.ssh/own-*; exit $code")).success();
    }
    assert_eq!(machine.accepted(2201), 1);
    let users = machine.status("plain");
    assert!(users.pointer("/users").unwrap().to_string().contains("OpenSSH_"), "{users}");
    // The same port for the next broker, even before anybody asks for it.
    let _ = machine.hop(&["daemon", "stop"]).success();
    let _ = machine.hop(&["login", "plain"]).success();
    let _ = machine.shell("ssh -o ControlPath=none plain-plain true").success();
    let block = machine.hop(&["ssh-config", "show", "plain", "--plain"]).success().stdout();
    assert!(block.contains(&format!("Port {port}\n")), "{block}");
    let _ = machine.hop(&["ssh-config", "disable", "plain", "--plain", "--yes"]).success();
    let _ = machine.shell("ls ~/.local/state/hop/port-*").status(2);
}

#[test]
fn who_may_not_or_cannot_hears_why() {
    let (machine, port) = with_port();
    let _ = machine.hop(&["ssh-config", "enable", "totp", "--plain", "--yes"]).success();
    let _ = machine.hop(&["ssh-config", "enable", "nowhere", "--plain", "--yes"]).success();
    for (line, said) in [
        (
            "ssh -o ControlPath=none totp-plain true",
            "logging in to totp needs a person, and nobody is there to be asked",
        ),
        ("ssh -o ControlPath=none nowhere-plain true", "cannot log in to nowhere"),
        ("ssh -o ControlPath=none -l 'a b' plain-plain true", "the user name is the host"),
    ] {
        let ended = machine.shell(line).status(255);
        assert!(ended.stderr().contains(said), "{ended}");
    }
    // Another user of the machine, who knows the port.
    let stranger = machine.shell(&format!(
        "ssh -F none -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -p {port} plain@127.0.0.1 true"
    )).status(255);
    assert!(stranger.stderr().contains("Permission denied (publickey)"), "{stranger}");
    assert_eq!((machine.accepted(2201), machine.accepted(2202)), (1, 0));
}

#[test]
fn a_host_without_forwarding_says_so() {
    let machine = Machine::new();
    machine.sshd(2205, "/usr/sbin/sshd", &["UsePAM=no", "DisableForwarding=yes"]);
    machine.add_host("Host closed\n    HostName 127.0.0.1\n    Port 2205\n");
    let _ = machine.hop(&["login", "closed"]).success();
    let _ = machine.hop(&["ssh-config", "enable", "closed", "--plain", "--yes"]).success();
    let _ = machine.shell("ssh -o ControlPath=none closed-plain true").success();
    let refused = machine.shell("ssh -o ControlPath=none -W 127.0.0.1:2203 closed-plain").status(255);
    assert!(
        refused.stderr().contains("open failed: connect failed: cannot use the connection to closed"),
        "{refused}"
    );
    assert_eq!(machine.accepted(2205), 1);
}

#[test]
fn strangers_have_few_places_and_hold_nothing_for_ever() {
    let (machine, port) = with_port();
    let script = format!(
        "import socket\nheld = [socket.create_connection(('127.0.0.1', {port})) for _ in range(16)]\n\
         for s in held: s.recv(8)\nprint('held', flush=True)\ninput()"
    );
    std::fs::write(machine.home("hold.py"), script).unwrap();
    let _ = machine
        .shell(
            "cd ~; mkfifo go; python3 -I hold.py < go > said & exec 3> go; until grep -q held said 2>/dev/null; do :; done; \
             timeout 2 ssh -o ControlPath=none plain-plain true; [ $? = 124 ] || exit 1; \
             ssh -o ControlPath=none plain-plain true & echo >&3; wait $!",
        )
        .success();
    assert_eq!(machine.accepted(2201), 1);
}
