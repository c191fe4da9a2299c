//! What only OpenSSH's own client does: many sessions over one connection, X11, restricted agent keys, security keys.

use std::path::{Path, PathBuf};

use hop_e2e::matrix::{Operation, record};
use hop_e2e::peer::Peer;
use hop_e2e::program::program;
use hop_e2e::run::Background;
use hop_e2e::server::{Kind, Options};
use hop_e2e::sshd::Release;
use hop_e2e::{Identity, Run, Scratch, Server};

/// The tests of one release.
macro_rules! tests_of {
    ($module:ident, $release:expr) => {
        mod $module {
            use super::*;

            const RELEASE: Release = $release;

            #[test]
            fn twelve_sessions_share_one_connection() {
                record(Peer::Ssh(RELEASE), Operation::Multiplex, || twelve_sessions(RELEASE));
            }

            #[test]
            fn x11_windows_are_forwarded() {
                record(Peer::Ssh(RELEASE), Operation::X11, || x11(RELEASE));
            }

            #[test]
            fn a_restricted_agent_key_opens_only_its_destinations() {
                record(Peer::Ssh(RELEASE), Operation::AgentForwarding, || restricted_agent_key(RELEASE));
            }

            #[test]
            fn security_keys_log_in_when_touched() {
                record(Peer::Ssh(RELEASE), Operation::SecurityKey, || security_keys(RELEASE));
            }
        }
    };
}

tests_of!(v9_2, Release::V9_2);
tests_of!(v10_0, Release::V10_0);

/// All twelve run at once: each says that it is there, then waits for a file that is made when all are.
fn twelve_sessions(release: Release) {
    let server = Server::start();
    let scratch = server.scratch();
    let control = format!("ControlPath={}", scratch.join("control").display());
    let ssh = |words: &[&str]| server.openssh(release, "ssh").args(["-o", &control]).args(words);
    // It goes to the background when the connection is up and the socket is there.
    let _ = ssh(&["-M", "-f", "-N", "hop"]).success();
    let go = scratch.join("go");
    let sessions: Vec<_> = (100..112)
        .map(|status| {
            let wait =
                format!("echo here; until test -e {}; do sleep 0.05; done; exit {status}", go.display());
            // A client that the master refuses would log in by itself: forbid that.
            (status, ssh(&["-o", "ProxyCommand=false", "hop", &wait]).background())
        })
        .collect();
    for (_, session) in &sessions {
        session.wait_for("its word that it is there", |text| text.contains("here").then_some(()));
    }
    let _ = scratch.write("go", "");
    for (status, mut session) in sessions {
        assert_eq!(session.wait(), Some(status), "{}", session.output());
    }
    let _ = ssh(&["-O", "exit", "hop"]).success();
}

/// A remote xdpyinfo describes our display, through `-X` (untrusted: the SECURITY extension guards it).
fn x11(release: Release) {
    let server = Server::start();
    let display = Display::start(server.scratch());
    let direct = display.on(Run::new(program("xdpyinfo"))).success().stdout();
    let ssh =
        display.on(server.openssh(release, "ssh")).arg("-X").args(["-o", &display.xauth_location(release)]);
    let remote = ssh.args(["hop", "echo DISPLAY=$DISPLAY; xdpyinfo"]).success().stdout();
    let (first, description) = remote.split_once('\n').expect("several lines");
    assert!(first.starts_with("DISPLAY=localhost:") || first.starts_with("DISPLAY=127.0.0.1:"), "{first}");
    for line in ["vendor string:", "dimensions:", "default screen number:"] {
        let find = |text: &str| text.lines().find(|l| l.trim_start().starts_with(line)).map(str::to_owned);
        assert_eq!(find(&direct), find(description), "the remote program sees another display");
        assert!(find(&direct).is_some());
    }
    // Without -X there is no display.
    let without = display.on(server.openssh(release, "ssh")).args(["hop", "echo DISPLAY=$DISPLAY"]).success();
    assert_eq!(without.stdout().trim(), "DISPLAY=");
}

/// An X server on a display number of its own choice, with a cookie.
pub(crate) struct Display {
    name: String,
    authority: PathBuf,
    _server: Background,
}

impl Display {
    pub(crate) fn start(scratch: &Scratch) -> Self {
        let authority = scratch.join("Xauthority");
        // The cookie is added for every display number that Xvfb may choose, before it chooses.
        let cookie = "0123456789abcdef0123456789abcdef";
        let add: String = (0..200).map(|n| format!("add :{n} MIT-MAGIC-COOKIE-1 {cookie}\n")).collect();
        let _ =
            Run::new(program("xauth")).arg("-f").arg(&authority).args(["source", "-"]).stdin(add).success();
        let server = Run::new(program("Xvfb"))
            .args(["-displayfd", "1", "-screen", "0", "640x480x24", "-nolisten", "tcp", "-auth"])
            .arg(&authority)
            .background();
        let number = server.wait_for("a display number", |text| {
            let line = text.split_inclusive('\n').find(|l| l.ends_with('\n'))?;
            line.trim().parse::<u32>().ok()
        });
        Self { name: format!(":{number}"), authority, _server: server }
    }

    pub(crate) fn on(&self, run: Run) -> Run {
        run.env("DISPLAY", &self.name).env("XAUTHORITY", &self.authority)
    }

    pub(crate) fn xauth_location(&self, release: Release) -> String {
        match release {
            Release::V9_2 => format!("XAuthLocation={}", program("xauth").display()),
            Release::V10_0 => "XAuthLocation=/usr/bin/xauth".to_owned(),
        }
    }
}

/// The key may be used to log in to the first server, and from there to the second; nowhere else.
fn restricted_agent_key(release: Release) {
    let (first, second, third) = (Server::start(), Server::start(), Server::start());
    let scratch = first.scratch();
    let key = Identity::ed25519(scratch, "restricted");
    let known = [(&first, "first"), (&second, "second"), (&third, "third")]
        .map(|(server, alias)| format!("{alias} {}\n", server.host_key.public_without_comment()))
        .concat();
    let known = scratch.write("known_by_alias", known);
    for server in [&first, &second, &third] {
        server.allow(&key);
    }
    let agent = Agent::start(release, scratch);
    let add = |words: &[&str]| {
        let add = agent.with(Run::from_words(&release.words("ssh-add"))).arg("-q").args(words);
        let _ = add.arg(&key.private).success();
    };
    add(&["-H", &known.to_string_lossy(), "-h", "first", "-h", "first>second"]);

    let ssh = |config: &str, words: &[&str]| {
        agent.with(Run::from_words(&release.words("ssh"))).args(["-F", config]).args(words).finish()
    };
    let near =
        |server: &Server, alias: &str| agent_config(server, alias, &known, &agent.socket.to_string_lossy());
    let to_first = near(&first, "first");

    // Direct logins: the first is a destination, the second is not.
    let login = ssh(&to_first, &["first", "echo in"]);
    assert_eq!(login.stdout(), "in\n", "{login}");
    let login = ssh(&near(&second, "second"), &["second", "echo in"]);
    assert!(login.status == Some(255) && login.stderr().contains("Permission denied"), "{login}");

    // From the first on: the second is a destination, the third is not. The inner client is the machine's own ssh.
    let inner = |server: &Server, alias: &str| {
        let config = agent_config(server, alias, &known, "SSH_AUTH_SOCK");
        format!("{} -F {config} {alias} 'echo in'", program("ssh").display())
    };
    let hop = ssh(&to_first, &["-A", "first", &inner(&second, "second")]);
    assert_eq!(hop.stdout(), "in\n", "{hop}");
    let to_third = inner(&third, "third");
    let hop = ssh(&to_first, &["-A", "first", &to_third]);
    assert!(hop.status == Some(255) && hop.stderr().contains("Permission denied"), "{hop}");

    // Without -A there is no agent on the far side.
    let hop = ssh(&to_first, &["first", "echo sock=$SSH_AUTH_SOCK"]);
    assert_eq!(hop.stdout(), "sock=\n", "{hop}");

    // The control: it was the restriction that kept the key from the third.
    add(&[]);
    let hop = ssh(&to_first, &["-A", "first", &to_third]);
    assert_eq!(hop.stdout(), "in\n", "{hop}");
}

/// An ssh_config that knows one server under an alias and has no key but those of the agent.
fn agent_config(server: &Server, alias: &str, known: &Path, agent: &str) -> String {
    let text = format!(
        "Host {alias}\n  HostName 127.0.0.1\n  Port {}\n  User {}\n  HostKeyAlias {alias}\n  UserKnownHostsFile {}\n  \
         GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n  BatchMode yes\n  LogLevel ERROR\n  \
         IdentityFile none\n  IdentityAgent {agent}\n",
        server.port(),
        server.user,
        known.display(),
    );
    let name = agent.rsplit('/').next().unwrap_or(agent);
    server.scratch().write(format!("config_{alias}_{name}"), text).to_string_lossy().into_owned()
}

/// A running ssh-agent.
pub(crate) struct Agent {
    socket: PathBuf,
    _process: Background,
}

impl Agent {
    pub(crate) fn start(release: Release, scratch: &Scratch) -> Self {
        let socket = scratch.join("agent");
        let agent =
            Run::from_words(&release.words("ssh-agent")).arg("-D").arg("-a").arg(&socket).background();
        agent.wait_for("the name of its socket", |text| text.contains("SSH_AUTH_SOCK").then_some(()));
        Self { socket, _process: agent }
    }

    pub(crate) fn with(&self, run: Run) -> Run {
        run.env("SSH_AUTH_SOCK", &self.socket)
    }
}

/// Both kinds of security key log in; one made without touch is refused, and accepted once its line says so.
fn security_keys(release: Release) {
    let keys = Scratch::new();
    let ed25519 = Identity::generate(&keys, "sk_ed25519", "ed25519-sk", &[]);
    let ecdsa = Identity::generate(&keys, "sk_ecdsa", "ecdsa-sk", &[]);
    let untouched = Identity::generate(&keys, "sk_untouched", "ed25519-sk", &["-O", "no-touch-required"]);
    let tolerated = Identity::generate(&keys, "sk_tolerated", "ed25519-sk", &["-O", "no-touch-required"]);
    let options = match Kind::asked() {
        Kind::Gateway => Options::default(),
        Kind::Hop | Kind::Sshd(_) => {
            Options { more_keys: format!("no-touch-required {}\n", tolerated.public), ..Options::default() }
        }
    };
    let server = Server::start_with(&options);
    for key in [&ed25519, &ecdsa, &untouched] {
        server.allow(key);
    }
    let login = |key: &Identity| {
        let provider = format!("SecurityKeyProvider={}", hop_e2e::identity::SK_DUMMY);
        let config = std::fs::read_to_string(&server.ssh_config).unwrap();
        let config =
            config.replace(&*server.user_key.private.to_string_lossy(), &key.private.to_string_lossy());
        let config = server.scratch().write("ssh_config.sk", config);
        let ssh = Run::from_words(&release.words("ssh")).arg("-F").arg(config);
        ssh.args(["-o", &provider, "hop", "echo in"]).finish()
    };
    // On a site no key is excused from touch.
    let excused = if options.more_keys.is_empty() { None } else { Some(&tolerated) };
    for key in [&ed25519, &ecdsa].into_iter().chain(excused) {
        let finished = login(key);
        assert_eq!(finished.stdout(), "in\n", "{}: {finished}", key.public);
    }
    let refused = login(&untouched);
    assert_eq!(refused.status, Some(255), "a signature without touch was accepted: {refused}");
}
