//! Traps 13 and 14: a forwarded agent works as its owner restricted it, and lives as long as the connection.

use std::path::{Path, PathBuf};

use hop_e2e::program::program;
use hop_e2e::run::Background;
use hop_e2e::sshd::Release;
use hop_e2e::{Identity, Run, Scratch, Server};

use crate::relay::site::{Choice, Place, Site};

const RELEASE: Release = Release::V9_2;

#[test]
fn trap_13_endpoint_passes_a_restricted_agent_key() {
    passes_a_restricted_agent_key(Place::Endpoint);
}

#[test]
fn trap_13_relay_passes_a_restricted_agent_key() {
    passes_a_restricted_agent_key(Place::Relay);
}

#[test]
fn trap_14_endpoint_keeps_the_agent_for_the_whole_connection() {
    keeps_the_agent_for_the_whole_connection(Place::Endpoint);
}

#[test]
fn trap_14_relay_keeps_the_agent_for_the_whole_connection() {
    keeps_the_agent_for_the_whole_connection(Place::Relay);
}

/// A running ssh-agent.
struct Agent {
    socket: PathBuf,
    _process: Background,
}

impl Agent {
    fn start(scratch: &Scratch) -> Self {
        let socket = scratch.join("agent");
        let agent =
            Run::from_words(&RELEASE.words("ssh-agent")).arg("-D").arg("-a").arg(&socket).background();
        agent.wait_for("the name of its socket", |text| text.contains("SSH_AUTH_SOCK").then_some(()));
        Self { socket, _process: agent }
    }

    fn add(&self, words: &[&str], key: &Path) {
        let add = Run::new(program("ssh-add")).arg("-q").args(words).arg(key);
        let _ = add.env("SSH_AUTH_SOCK", &self.socket).success();
    }
}

/// The key is for the first place, and from there for the second server; not for a third.
fn passes_a_restricted_agent_key(place: Place) {
    let scratch = Scratch::new();
    let key = Identity::ed25519(&scratch, "restricted");
    let more = scratch.write("more_keys", format!("{}\n", key.public));
    let mut choice = Choice::default().relay(move |config| config.authorized_keys.push(more.clone()));
    choice.server.more_keys = format!("{}\n", key.public);
    let first = Site::with(place, &choice);
    let [second, third] = [(); 2].map(|()| Server::start_with(&choice.server));
    let known = scratch.write(
        "known",
        [(&first.host_key, "first"), (&second.host_key, "second"), (&third.host_key, "third")]
            .map(|(key, alias)| format!("{alias} {}\n", key.public_without_comment()))
            .concat(),
    );
    let config = |port: u16, alias: &str, agent: &str| {
        let text = format!(
            "Host {alias}\n  HostName 127.0.0.1\n  Port {port}\n  User {}\n  HostKeyAlias {alias}\n  \
             UserKnownHostsFile {}\n  GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n  BatchMode yes\n  \
             LogLevel ERROR\n  IdentityFile none\n  IdentityAgent {agent}\n",
            first.user,
            known.display(),
        );
        scratch.write(format!("config_{alias}"), text)
    };
    let agent = Agent::start(&scratch);
    let restrictions = ["-H", known.to_str().unwrap(), "-h", "first", "-h", "first>second"];
    agent.add(&restrictions, &key.private);
    let outer = config(first.address.port(), "first", agent.socket.to_str().unwrap());
    let ssh = |words: &[&str]| Run::new(program("ssh")).arg("-F").arg(&outer).args(words).finish();
    let onward = |server: &Server, alias: &str| {
        let config = config(server.port(), alias, "SSH_AUTH_SOCK");
        format!("{} -F {} {alias} 'echo in'", program("ssh").display(), config.display())
    };
    let login = ssh(&["first", "echo in"]);
    assert_eq!(login.stdout(), "in\n", "{login}");
    let hop = ssh(&["-A", "first", &onward(&second, "second")]);
    assert_eq!(hop.stdout(), "in\n", "{hop}");
    let to_third = onward(&third, "third");
    let hop = ssh(&["-A", "first", &to_third]);
    assert!(hop.status == Some(255) && hop.stderr().contains("Permission denied"), "{hop}");
    // The control: it was the restriction that kept the key from the third.
    agent.add(&[], &key.private);
    let hop = ssh(&["-A", "first", &to_third]);
    assert_eq!(hop.stdout(), "in\n", "{hop}");
}

/// VS Code's way: one session finds out where the agent is and ends, a later one uses it.
fn keeps_the_agent_for_the_whole_connection(place: Place) {
    let site = Site::at(place);
    let agent = Agent::start(site.scratch());
    agent.add(&[], &site.key.private);
    let fingerprint = site.key.fingerprint();
    let control = format!("ControlPath={}", site.scratch().join("control").display());
    let identity = format!("IdentityAgent={}", agent.socket.display());
    let ssh =
        |words: &[&str]| site.openssh(RELEASE, "ssh").args(["-o", &control, "-o", &identity]).args(words);
    // A master lends its clients the agent only if it may itself.
    let _ = ssh(&["-M", "-A", "-f", "-N", "hop"]).success();
    let first = ssh(&["-A", "hop", "echo $SSH_AUTH_SOCK"]).success().stdout();
    let socket = PathBuf::from(first.trim());
    assert!(socket.exists(), "{}", socket.display());
    // That session is over; this one did not ask for the agent, but knows where it is.
    let list = format!("SSH_AUTH_SOCK={} {} -l", socket.display(), program("ssh-add").display());
    for _ in 0..3 {
        let listed = ssh(&["hop", &list]).success().stdout();
        assert!(listed.contains(&fingerprint), "{listed}");
    }
    // Who asks again gets the same one, and it still works.
    let again = ssh(&["-A", "hop", "echo $SSH_AUTH_SOCK"]).success().stdout();
    assert_eq!(again.trim(), first.trim());
    let listed = ssh(&["hop", &list]).success().stdout();
    assert!(listed.contains(&fingerprint), "{listed}");
    // Who does not ask is not told.
    assert_eq!(ssh(&["hop", "echo sock=$SSH_AUTH_SOCK"]).success().stdout(), "sock=\n");
    let _ = ssh(&["-O", "exit", "hop"]).success();
    // It goes with the connection, which the server hears of a moment later.
    let gone =
        format!("for i in $(seq 200); do test -e {} || exit 0; sleep 0.05; done; exit 1", socket.display());
    let _ = Run::new("sh").args(["-c", &gone]).success();
}
