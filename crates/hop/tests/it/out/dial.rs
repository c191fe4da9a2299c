//! What `hop dial` serves, tried by an ssh that has no other way: sessions, files, terminals, connections.

use super::machine::Machine;

/// An ssh that is always served by `hop dial`, and knows its host key.
pub(super) const SSH: &str = "-F none -o ProxyCommand='hop dial plain' -o GlobalKnownHostsFile=~/.local/state/hop/known_hosts \
                   -o HostKeyAlias=grasshopper -o StrictHostKeyChecking=yes";

fn logged_in() -> Machine {
    let machine = Machine::new();
    let _ = machine.hop(&["login", "plain"]).success();
    machine
}

#[test]
fn streams_and_statuses() {
    let machine = logged_in();
    for (line, status, stdout, stderr) in [
        ("echo over", 0, "over\n", ""),
        ("cat; echo error >&2; exit 7", 7, "input", "error\n"),
        ("kill -9 $$", 255, "", ""),
        ("no-such-command", 127, "", "not found"),
    ] {
        let ended = machine.shell(&format!("ssh {SSH} x '{line}'")).stdin("input").status(status);
        assert_eq!(ended.stdout(), stdout, "{ended}");
        assert!(
            ended.stderr().contains(stderr) && (!stderr.is_empty() || ended.stderr().is_empty()),
            "{ended}"
        );
    }
    let big = machine.shell(&format!(
        "head -c 20000000 /dev/zero | ssh {SSH} x 'cat | tee /dev/stderr' 2> err | wc -c; wc -c < err"
    ));
    let counts = big.success().stdout();
    assert_eq!(counts.split_whitespace().collect::<Vec<_>>(), ["20000000", "20000000"]);
    let shell = machine.shell(&format!("echo 'echo in a shell; exit 3' | ssh {SSH} x")).status(3);
    assert!(shell.stdout().ends_with("in a shell\n"), "{shell}");
    assert_eq!(machine.accepted(2201), 1);
}

#[test]
fn files_and_repositories() {
    let machine = logged_in();
    for line in [
        format!("head -c 3000000 /dev/urandom > file && scp -q {SSH} file x:scp && cmp file scp"),
        format!("scp -O -q {SSH} file x:scp-O && cmp file scp-O"),
        format!("echo 'put file sftp' | sftp -q {SSH} -b - x && cmp file sftp"),
        format!("rsync -a -e \"ssh {}\" file x:rsync && cmp file rsync", SSH.replace('\'', "\\\"")),
    ] {
        let _ = machine.shell(&format!("cd ~ && {line}")).success();
    }
    assert_eq!(machine.accepted(2201), 1);
}

#[test]
fn a_terminal_with_its_size_and_modes() {
    let machine = logged_in();
    machine.expect(&format!(
        "spawn sh -c {{stty rows 33 cols 99 erase ^H; exec ssh -tt {SSH} x}}\n\
         send \"stty -a; tty; echo \\$TERM\\r\"\nwants {{rows 33; columns 99;*erase = ^H*/dev/pts/*xterm}}\n\
         stty rows 20 columns 70 < $spawn_out(slave,name)\n\
         send \"trap 'stty size' WINCH; stty size\\r\"\nwants {{20 70}}\n\
         send \"sh -c 'echo be''gun; exec sleep 100'\\r\"\nwants {{begun}}\nsend \"\\003\"\nsend \"echo st'ill' here\\r\"\nwants {{still here}}\n\
         send \"exit 5\\r\"\nends 5\n"
    ));
}

#[test]
fn connections_to_where_the_host_gets() {
    let machine = logged_in();
    let said = machine.shell(&format!("ssh {SSH} -W 127.0.0.1:2203 x < /dev/null | head -c 8")).success();
    assert_eq!(said.stdout(), "SSH-2.0-");
    std::fs::write(machine.home("tunnels.py"), TUNNELS).unwrap();
    let both = format!(
        "cd ~; python3 -I tunnels.py listen > ready & until grep -q ready ready 2>/dev/null; do :; done; \
         ssh {SSH} -f -N -L 4001:$HOME/echo -D 4002 -o ExitOnForwardFailure=yes x > forwards 2>&1 && python3 -I tunnels.py connect; \
         code=$?; kill %1; cat forwards >&2; exit $code"
    );
    let _ = machine.shell(&both).success();
    let refused = machine.shell(&format!("ssh {SSH} -W 127.0.0.1:9 x")).status(255);
    assert!(refused.stderr().contains("cannot use the connection to plain"), "{refused}");
    assert_eq!(machine.accepted(2201), 1);
}

/// `listen` echoes on a Unix socket, after the whole of it has come; `connect` goes there by a port and to an sshd by a
/// proxy.
const TUNNELS: &str = "\
import os, socket, sys
path = os.path.expanduser('~/echo')
def whole(s):
    data = b''
    while part := s.recv(65536):
        data += part
    return data
if sys.argv[1] == 'listen':
    s = socket.socket(socket.AF_UNIX)
    s.bind(path)
    s.listen()
    print('ready', flush=True)
    while True:
        c, _ = s.accept()
        c.sendall(whole(c))
        c.close()
data = os.urandom(3000000)
s = socket.create_connection(('127.0.0.1', 4001))
s.sendall(data)
s.shutdown(socket.SHUT_WR)
assert whole(s) == data
s = socket.create_connection(('127.0.0.1', 4002))
s.sendall(b'\\5\\1\\0')
assert s.recv(2) == b'\\5\\0'
s.sendall(b'\\5\\1\\0\\1\\x7f\\0\\0\\1' + (2203).to_bytes(2, 'big'))
assert s.recv(10)[:2] == b'\\5\\0'
assert s.recv(8) == b'SSH-2.0-'
";

#[test]
fn where_nobody_is_logged_in_it_says_so_at_once() {
    let machine = Machine::new();
    for before in ["true", "hop daemon start"] {
        let ended = machine.shell(&format!("{before}; ssh {SSH} -o BatchMode=yes x true")).status(255);
        assert!(ended.stderr().contains("plain is not logged in"), "{ended}");
        assert!(ended.stderr().contains("hint: hop login plain"), "{ended}");
    }
    assert_eq!(machine.accepted(2201), 0);
}
