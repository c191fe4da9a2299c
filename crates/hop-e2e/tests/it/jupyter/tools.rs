//! What people do besides shells and copies, through a real Hub.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;

use hop_e2e::hub::Hub;
use hop_e2e::program::program;
use hop_e2e::sshd::Release;
use hop_e2e::{Run, payload};

use super::ACCESS;
use crate::forwardings::{Echo, assert_echo, forward, socks};
use crate::openssh_features::{Agent, Display};

#[test]
fn ports_and_sockets_are_forwarded_both_ways() {
    let hub = Hub::with_server();
    let command = hub.hop_proxy(&hub.token(&[ACCESS]), &hub.url(""));
    let echo = Echo::on_port();
    let local = hub.scratch().join("local");
    // ssh knows no port 0 for -D. Nobody else is given this one in the moment between.
    let dynamic = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let words = [
        &format!("-L{}:127.0.0.1:{}", local.display(), echo.port()),
        &format!("-D127.0.0.1:{dynamic}"),
        "-R",
        &format!("127.0.0.1:0:127.0.0.1:{}", echo.port()),
    ];
    let ssh = forward(hub.openssh("ssh", &command), "hub", &words);
    assert_echo(hub.scratch(), UnixStream::connect(&local).unwrap());
    let name = [&[3, 9][..], b"localhost", &echo.port().to_be_bytes()].concat();
    assert_echo(hub.scratch(), socks(dynamic, &name));
    let given: u16 = ssh.wait_for("the allocated port", |text| {
        let rest = text.split_once("Allocated port ")?.1;
        rest.split_once(' ')?.0.parse().ok()
    });
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, given));
    assert_echo(hub.scratch(), TcpStream::connect(address).unwrap());
}

#[test]
fn the_agent_and_windows_are_forwarded() {
    let hub = Hub::with_server();
    let command = hub.hop_proxy(&hub.token(&[ACCESS]), &hub.url(""));
    let agent = Agent::start(Release::V9_2, hub.scratch());
    let add = agent.with(Run::from_words(&Release::V9_2.words("ssh-add")));
    let _ = add.arg("-q").arg(&hub.user_key.private).success();
    let ssh = || agent.with(hub.openssh("ssh", &command)).args(["-o", "IdentityAgent=SSH_AUTH_SOCK"]);
    let list = format!("{} -l", program("ssh-add").display());
    let listed = ssh().args(["-A", "hub", &list]).success().stdout();
    assert!(listed.contains("(ED25519)"), "{listed}");
    let without = ssh().args(["-a", "hub", "echo agent=$SSH_AUTH_SOCK"]).success().stdout();
    assert_eq!(without, "agent=\n");

    let display = Display::start(hub.scratch());
    let ssh = display.on(hub.openssh("ssh", &command)).arg("-X");
    let ssh = ssh.args(["-o", &display.xauth_location(Release::V9_2)]);
    let seen = ssh.args(["hub", "echo DISPLAY=$DISPLAY; xdpyinfo"]).success().stdout();
    assert!(seen.starts_with("DISPLAY=localhost:") && seen.contains("dimensions:    640x480"), "{seen}");
}

#[test]
fn sshfs_mounts_a_folder_of_the_server() {
    let hub = Hub::with_server();
    let command = hub.hop_proxy(&hub.token(&[ACCESS]), &hub.url(""));
    let (from, to) = super::large(&hub);
    let folder = hub.scratch().folder("mounted");
    let point = hub.scratch().folder("point");
    let unmount = Unmount(point.clone());
    let remote = format!("hub:{}", folder.display());
    let _ =
        Run::new(program("sshfs")).arg("-F").arg(hub.ssh_config(&command)).arg(remote).arg(&point).success();
    fs::copy(&from, point.join("large")).unwrap();
    payload::assert_same(&from, &folder.join("large"));
    fs::copy(point.join("large"), &to).unwrap();
    payload::assert_same(&from, &to);
    for number in 0..200 {
        fs::write(point.join(number.to_string()), number.to_string()).unwrap();
    }
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 201);
    assert_eq!(fs::read(folder.join("150")).unwrap(), b"150");
    drop(unmount);
}

struct Unmount(std::path::PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = Run::new("fusermount3").arg("-u").arg(&self.0).finish();
    }
}

/// Twelve sessions of one connection, all there at the same time, and twenty connections, none of which is dropped:
/// where jupyter-sshd-proxy's sshd takes ten of each.
#[test]
fn twelve_sessions_of_one_connection_and_twenty_logins_at_once() {
    let hub = Hub::with_server();
    let command = hub.hop_proxy(&hub.token(&[ACCESS]), &hub.url(""));
    let socket = hub.scratch().join("m");
    let control = format!("ControlPath={}", socket.display());
    // Written once: others read it at any time.
    let config = hub.ssh_config(&command);
    let ssh =
        |words: &[&str]| Run::from_words(&Release::V9_2.words("ssh")).arg("-F").arg(&config).args(words);
    let master = ssh(&["-o", &control, "-M", "-N", "hub"]).background();
    master.wait_for("the master's socket", |_| socket.exists().then_some(()));
    let go = hub.scratch().join("go");
    let waits = |status: i32| {
        format!("echo here; until test -e {}; do sleep 0.05; done; exit {status}", go.display())
    };
    // One that the master refuses would log in by itself: that is forbidden.
    let sharing = (100..112).map(|status| {
        let ssh = ssh(&["-o", &control, "-o", "ProxyCommand=false", "hub", &waits(status)]);
        (status, ssh.background())
    });
    let alone = (120..140).map(|status| (status, ssh(&["hub", &waits(status)]).background()));
    let sessions: Vec<_> = sharing.chain(alone).collect();
    for (_, session) in &sessions {
        session.wait_for("its word that it is there", |text| text.contains("here").then_some(()));
    }
    let _ = hub.scratch().write("go", "");
    for (status, mut session) in sessions {
        assert_eq!(session.wait(), Some(status), "{}", session.output());
    }
    let _ = ssh(&["-o", &control, "-O", "exit", "hub"]).success();
}
