//! From project to project: the tools that people use, by a forwarded agent and by keys.

use crate::site::{FIRST, Options, Site, output, text};
use hop_gateway::Limits;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// An agent with one key; ends with the value.
pub(crate) struct Agent {
    process: Child,
    socket: std::path::PathBuf,
}

impl Agent {
    pub(crate) fn start(site: &Site) -> Self {
        let socket = site.directory.path().join("agent");
        let mut command = Command::new("ssh-agent");
        command.arg("-D").arg("-a").arg(&socket).stdout(Stdio::null());
        let process = command.spawn().expect("install the Debian package openssh-client");
        let start = Instant::now();
        while !socket.exists() {
            std::thread::sleep(Duration::from_millis(5));
            assert!(start.elapsed() < Duration::from_secs(10), "the agent does not start");
        }
        Self { process, socket }
    }

    pub(crate) fn add(&self, words: &[&str]) -> std::process::Output {
        let mut command = Command::new("ssh-add");
        command.env("SSH_AUTH_SOCK", &self.socket).args(words).output().unwrap()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// ssh with a forwarded agent, whose keys are the only ones.
pub(crate) fn with_agent(site: &Site, agent: &Agent, words: &[&str]) -> Command {
    let mut ssh = Command::new("ssh");
    ssh.args(["-F", "none", "-A", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o"]);
    ssh.arg(format!("UserKnownHostsFile={}", site.directory.path().join("known").display()));
    ssh.arg("-o").arg(format!("Port={}", site.address.port()));
    ssh.env("SSH_AUTH_SOCK", &agent.socket).args(words).stdin(Stdio::null());
    ssh
}

#[tokio::test]
async fn a_forwarded_agent_leads_on_also_when_its_keys_are_bound_to_the_gateway() {
    let site = Site::start().await;
    let agent = Agent::start(&site);
    // The gateway by the name that this machine has for it, and by the one that projects have.
    let line = format!("[127.0.0.1]:{} {}\n", site.address.port(), site.host_key_line);
    let known = site.directory.path().join("known");
    std::fs::write(&known, &line).unwrap();
    let private = site.ada.private.to_str().unwrap();
    let gateway = format!("[127.0.0.1]:{}", site.address.port());
    let on = format!("{gateway}>{gateway}");
    let hosts = known.to_str().unwrap();
    let to = format!("{FIRST}@127.0.0.1");
    let second = "ssh -o BatchMode=yes second-one@ssh 'echo $HOP_PROJECT'";
    let expected = format!("{}\n", site.second);
    for (what, words, is_in) in [
        ("a free key", &[private][..], true),
        ("bound to the gateway and on from it", &["-H", hosts, "-h", &gateway, "-h", &on, private], true),
        ("bound to the gateway alone", &["-H", hosts, "-h", &gateway, private], false),
    ] {
        agent.add(&["-D"]);
        let added = agent.add(words);
        assert!(added.status.success(), "{what}: {}", text(&added.stderr));
        let output = output(with_agent(&site, &agent, &[&to, second])).await;
        assert_eq!(text(&output.stdout) == expected, is_in, "{what}: {}", text(&output.stderr));
    }
    let sessions = site.sessions_of(site.second).await;
    assert_eq!(sessions.len(), 2);
    assert!(sessions.iter().all(|session| session.source_project == Some(site.first)), "{sessions:?}");
}

#[tokio::test]
async fn git_rsync_and_scp_go_from_project_to_project() {
    let site = Site::start().await;
    let first = site.first.to_string();
    let batch = format!("put {} .ssh/id\nchmod 600 .ssh/id\n", site.ada.private.display());
    let made = site
        .ssh(&site.ada, &first, &["mkdir -m 700 .ssh; echo 'IdentityFile ~/.ssh/id' > .ssh/config"])
        .await;
    assert!(made.status.success(), "{}", text(&made.stderr));
    assert!(site.sftp(&site.ada, &first, &batch).await.status.success());
    let steps = "set -e
        export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
        ssh second-one@ssh git init -q --bare repository
        git init -q work && cd work && head -c 3000000 /dev/urandom > data && git add data && git commit -q -m one
        git push -q second-one@ssh:repository HEAD:main
        cd .. && git clone -q -b main second-one@ssh:repository again && cmp work/data again/data
        rsync -a work/data second-one@ssh:copied && rsync -a second-one@ssh:copied back && cmp work/data back
        scp -q work/data second-one@ssh:scp && scp -q second-one@ssh:scp scp && cmp work/data scp
        echo all the same";
    let output = site.ssh(&site.ada, &first, &[steps]).await;
    assert_eq!(text(&output.stdout), "all the same\n", "{}", text(&output.stderr));
    // And by way of a person's own machine.
    let mut scp = Command::new("scp");
    scp.arg("-F").arg(site.config_of(&site.ada, &site.ada)).args(["-3", "-q"]);
    scp.args([format!("{FIRST}@gateway:work/data"), "second-one@gateway:by-hand".to_owned()])
        .stdin(Stdio::null());
    let copied = crate::site::output(scp).await;
    assert!(copied.status.success(), "{}", text(&copied.stderr));
    let same = std::fs::read(site.in_home(site.first, "work/data")).unwrap();
    assert!(same == std::fs::read(site.in_home(site.second, "by-hand")).unwrap());
}

#[tokio::test]
async fn two_hundred_logins_at_once_all_get_in() {
    let limits = Limits { login_grace: Duration::from_secs(120), ..Limits::default() };
    let site = Site::start_with(Options { limits, ..Options::default() }).await;
    let mut logins = tokio::task::JoinSet::new();
    let start = Instant::now();
    for number in 0..200 {
        let person = if number % 2 == 0 { &site.ada } else { &site.bob };
        let mut ssh = Command::new("ssh");
        ssh.arg("-F").arg(site.config_of(person, person)).arg(format!("{FIRST}@gateway"));
        ssh.arg(format!("echo {number}")).stdin(Stdio::null());
        logins.spawn(async move { (number, output(ssh).await) });
    }
    while let Some(login) = logins.join_next().await {
        let (number, output) = login.unwrap();
        assert_eq!(text(&output.stdout), format!("{number}\n"), "{}", text(&output.stderr));
    }
    eprintln!("200 logins in {} ms", start.elapsed().as_millis());
}
