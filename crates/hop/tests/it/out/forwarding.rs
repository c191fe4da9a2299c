//! Forwardings: those of `hop forward`, of passengers, and of clients that `hop dial` carries.

use super::machine::Machine;

/// Shell functions: `greets PORT` connects and waits for an sshd's first word, `proxied PORT`
/// by a SOCKS proxy to 2203; `closed PORT` waits until nobody listens.
const FUNCTIONS: &str = "\
greets() { exec 3<>/dev/tcp/127.0.0.1/$1 && [ \"$(head -c 8 <&3)\" = SSH-2.0- ]; local code=$?; exec 3>&-; return $code; }
proxied() { exec 3<>/dev/tcp/127.0.0.1/$1; printf '\\5\\1\\0\\5\\1\\0\\1\\177\\0\\0\\1\\10\\233' >&3; [ \"$(head -c 20 <&3 | tail -c 8)\" = SSH-2.0- ]; }
closed() { while (exec 3<>/dev/tcp/127.0.0.1/$1) 2>/dev/null; do :; done; }
says() { until grep -q \"$1\" said 2>/dev/null; do kill -0 $! || { cat said; return 1; }; done; }
cd ~
";

fn logged_in() -> Machine {
    let machine = Machine::new();
    let _ = machine.hop(&["ssh-config", "enable", "plain", "--yes"]).success();
    let _ = machine.hop(&["login", "plain"]).success();
    machine
}

fn run(machine: &Machine, line: &str) -> String {
    machine.shell(&format!("{FUNCTIONS}{line}")).success().stdout()
}

#[test]
fn open_as_long_as_the_command() {
    let machine = logged_in();
    for signal in ["INT", "KILL"] {
        let said = run(
            &machine,
            &format!(
                "set -m; rm -f said; hop forward plain -L 4001:127.0.0.1:2203 -D 4002 -R 4003:127.0.0.1:2203 -R 4004 > said 2>&1 & says Ctrl-C && \
                 greets 4001 && greets 4003 && proxied 4002 && proxied 4004 && \
                 hop status plain && kill -{signal} $! && closed 4001 && closed 4002 && closed 4003 && closed 4004 && hop forward plain --json && cat said"
            ),
        );
        assert!(
            said.contains("    forwards: -L 4001:127.0.0.1:2203, -R 4003:127.0.0.1:2203, -R 4004, -D 4002"),
            "{said}"
        );
        assert!(said.contains("{\"schema_version\":1,\"forwards\":[]}"), "{said}");
    }
    assert_eq!(machine.accepted(2201), 1);
}

#[test]
fn those_that_stay_outlive_the_connection() {
    let machine = logged_in();
    let first = ["forward", "plain", "-L", "4001:127.0.0.1:2203", "--background", "--json"];
    let opened = machine.hop(&first).success().stdout();
    let wanted = "{\"schema_version\":1,\"forwards\":[{\"forward\":\"-L 4001:127.0.0.1:2203\",\"port\":null,\"stays\":true}]}\n";
    assert_eq!(opened, wanted);
    assert_eq!(machine.hop(&["forward", "plain", "--json"]).success().stdout(), wanted);
    let again = machine.hop(&first).status(69);
    assert!(again.stderr().contains("-L 4001:127.0.0.1:2203 is open already"), "{again}");
    let taken = machine.hop(&["forward", "plain", "-L", "2203:127.0.0.1:2203"]).status(69);
    assert!(taken.stderr().contains("cannot forward -L 2203:127.0.0.1:2203 on plain"), "{taken}");
    let _ = run(&machine, "greets 4001");
    let master = machine.master("plain");
    let _ = machine.run("kill").args(["-KILL", &master]).success();
    // The next connection has it again.
    let _ = run(&machine, "ssh plain true && until greets 4001 2>/dev/null; do :; done");
    let _ = machine.hop(&["forward", "plain", "-L", "4001:127.0.0.1:2203", "--cancel"]).success();
    let _ = run(&machine, "closed 4001");
    let gone = machine.hop(&["forward", "plain", "-L", "4001:127.0.0.1:2203", "--cancel"]).status(78);
    assert!(gone.stderr().contains("-L 4001:127.0.0.1:2203 is not open on plain"), "{gone}");
}

#[test]
fn the_end_of_the_connection_is_told() {
    let machine = logged_in();
    let said = machine
        .shell(&format!(
            "{FUNCTIONS}hop forward plain -R 0:127.0.0.1:2203 > said 2>&1 & says Ctrl-C && \
             greets $(sed -n 's/.*port \\([0-9]*\\) there.*/\\1/p' said) && hop logout --now plain; wait $!; code=$?; cat said; exit $code"
        ))
        .status(69);
    assert!(said.stdout().contains("the forwardings on plain have ended"), "{said}");
}

#[test]
fn a_passengers_forwardings_end_with_it() {
    let machine = logged_in();
    let _ = run(
        &machine,
        "ssh -L 4001:127.0.0.1:2203 -o 'RemoteForward 4002 127.0.0.1:2203' plain true && closed 4001 && closed 4002",
    );
    // Two that ask for the same share it.
    let _ = run(
        &machine,
        "mkfifo go; ssh -L 4001:127.0.0.1:2203 plain 'echo started; read line < go' > said & says started && \
         ssh -L 4001:127.0.0.1:2203 plain true && hop exec plain -- true && greets 4001 && echo > go && closed 4001",
    );
    assert_eq!(machine.accepted(2201), 1);
}

#[test]
fn a_carried_client_listens_at_the_host() {
    let machine = logged_in();
    let ssh = super::dial::SSH;
    let said = run(
        &machine,
        &format!(
            "mkfifo go; ssh {ssh} -R 0:127.0.0.1:2203 -R $HOME/there:127.0.0.1:2203 -R 4004:127.0.0.1:2203 x \
             'echo started; read line < go' > said 2> told & says started && \
             port=$(sed -n 's/Allocated port \\([0-9]*\\) .*/\\1/p' told) && greets $port && greets 4004 && \
             python3 -Ic \"import socket; s=socket.socket(socket.AF_UNIX); s.connect('$HOME/there'); print(s.recv(8))\" && \
             hop forward plain && echo > go && closed $port && closed 4004 && hop forward plain --json"
        ),
    );
    assert!(said.starts_with("b'SSH-2.0-'\n-R "), "{said}");
    assert!(said.ends_with("{\"schema_version\":1,\"forwards\":[]}\n"), "{said}");
    assert_eq!(machine.accepted(2201), 1);
}
