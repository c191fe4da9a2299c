//! A whole site with one project, and three other ways to the same place: an endpoint in the same project that clients
//! reach directly, the same behind OpenSSH's sshd as a jump host, and a relay whose both legs are SSH.
//!
//! Must stay true: all ways end in the same sandbox, user, shell and files; they differ in what stands before it and in
//! nothing else.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hop_testkit::{RelayConfig, RelayEvent, Target};
use serde::Deserialize;

use crate::error::Error;
use crate::lab::{Cipher, KEX, Lab};
use crate::process::{self, children_cpu, clock, clock_below, descendants, finish};
use crate::server::{Kind, Running};

/// How long a program of a site may take to serve, or a project to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a client gets into the project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// To an endpoint inside it that listens by itself.
    Direct,
    /// Through the gateway.
    Gateway,
    /// To that endpoint by `ssh -J` through an sshd.
    Jump,
    /// To that endpoint through a relay that logs in there by SSH: what the gateway's engine costs with a second leg
    /// that has a cipher of its own.
    Relay,
}

impl Way {
    /// Its name, in reports and in the clients' configuration.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Gateway => "gateway",
            Self::Jump => "jumped",
            Self::Relay => "relay",
        }
    }
}

/// What `hop serve --json` prints.
#[derive(Deserialize)]
struct Ready {
    ssh: SocketAddr,
}

/// What `hop endpoint --json` prints.
#[derive(Deserialize)]
struct Listening {
    listen: Vec<SocketAddr>,
}

/// A running site whose project `first` the lab's user key opens.
pub(crate) struct Site {
    serve: Program,
    pub(crate) ssh: SocketAddr,
    /// The process that is the gateway.
    process: u32,
    /// The process that holds the environments.
    keeper: u32,
}

/// The project.
pub(crate) const PROJECT: &str = "first";

impl Site {
    /// Starts one in a data directory of its own; `settings` are lines of its `[projects]`.
    pub(crate) fn start(lab: &Lab, settings: &str) -> Result<Self, Error> {
        lab.remove("site")?;
        let path = lab.path("site.toml");
        let folder = lab.path("");
        let text = format!(
            "data = {:?}\nssh = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\n[projects]\nnetwork = \"host\"\n\
             shown = [{{ path = {:?}, writable = true }}]\n{settings}\n",
            lab.path("site"),
            folder.components().collect::<PathBuf>(),
        );
        std::fs::write(&path, text).map_err(Error::file(&path))?;
        let mut command = Command::new(lab.path("bin/hop"));
        command.args(["serve", "--json", "--config"]).arg(&path);
        let (serve, ready) = Program::start(command, |line| serde_json::from_str::<Ready>(line).ok())?;
        process::run("hop", |command| {
            *command = Command::new(lab.path("bin/hop"));
            command.args(["admin", "--config"]).arg(&path);
            command.args(["key", "add", "--account", "admin", "--title", "bench", "--file"]);
            command.arg(lab.path("user_key.pub")).stdin(Stdio::null());
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
        })?;
        let (process, keeper) = (serve.role("site")?, serve.role("keeper")?);
        Ok(Self { serve, ssh: ready.ssh, process, keeper })
    }

    /// Processor time of the gateway's process so far, in seconds. (It is the site's process: pages and records, which
    /// nobody uses meanwhile, are in it.)
    pub(crate) fn cpu(&self) -> Result<f64, Error> {
        clock(self.process)
    }

    /// Resident bytes of that process.
    pub(crate) fn memory(&self) -> Result<u64, Error> {
        let memory = hop_testkit::Memory::of(self.process);
        Ok(memory.map_err(Error::system("reading the memory of the site"))?.resident)
    }

    /// Waits until no project runs.
    pub(crate) fn wait_for_quiet(&self) -> Result<(), Error> {
        let deadline = Instant::now() + PATIENCE;
        while !descendants(self.keeper)?.is_empty() {
            if Instant::now() > deadline {
                return Err(Error::Unexpected("the project does not stop"));
            }
            // Nothing tells of the end of a grandchild.
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Stops it, to the end of all that it started.
    pub(crate) fn stop(self) -> Result<(), Error> {
        self.serve.stop()
    }
}

/// All ways into one project.
pub(crate) struct Ways<'a> {
    lab: &'a Lab,
    pub(crate) site: Site,
    direct: Program,
    relay: Option<Program>,
    jump: Running,
}

impl<'a> Ways<'a> {
    /// Starts a site, its project, the endpoint in it, the jump host and, where its program is known, the relay.
    pub(crate) fn open(lab: &'a Lab) -> Result<Self, Error> {
        let site = Site::start(lab, "")?;
        let jump = Running::start(lab, Kind::Sshd)?;
        let mut hosts = of_gateway(&site);
        write(lab, &hosts)?;
        let account = finish(client(lab, "ssh").args([
            "gateway",
            "ssh-keygen -q -t ed25519 -N '' -f ~/direct_key && echo $USER && echo $HOME",
        ]))?;
        let (name, home) =
            account.trim().split_once('\n').ok_or(Error::Unexpected("a project without a name"))?;
        let mut command = client(lab, "ssh");
        command.arg("gateway").arg(format!(
            "exec hop endpoint --json --listen 127.0.0.1:0 --max-startups 1000 --host-key {home}/direct_key \
             --authorized-keys {}",
            lab.path("authorized_keys").display()
        ));
        let (direct, listening) =
            Program::start(command, |line| serde_json::from_str::<Listening>(line).ok())?;
        let address = listening.listen.first().copied();
        let address = address.ok_or(Error::Unexpected("an endpoint that listens nowhere"))?;
        let relay = match &lab.relay {
            None => None,
            Some(program) => {
                let public = client(lab, "ssh").args(["gateway", "ssh-keygen -y -f ~/direct_key"]).output();
                let public = public.map_err(Error::system("asking for a host key"))?;
                let target = Target::Ssh {
                    address,
                    user: name.to_owned(),
                    key: lab.path("user_key"),
                    host_key: String::from_utf8_lossy(&public.stdout).trim().to_owned(),
                };
                let mut told =
                    RelayConfig::new(lab.path("host_key"), name, lab.path("authorized_keys"), target);
                told.ciphers = vec![CIPHER.name().to_owned()];
                let path = lab.path("relay.json");
                let told =
                    serde_json::to_vec(&told).map_err(|_| Error::Unexpected("a relay's configuration"))?;
                std::fs::write(&path, told).map_err(Error::file(&path))?;
                let mut command = Command::new(program);
                command.arg(path);
                let (relay, address) =
                    Program::start(command, |line| match serde_json::from_str(line).ok()? {
                        RelayEvent::Listening { address } => Some(address),
                        _ => None,
                    })?;
                hosts += &format!("Host relay\n{}", user(address.port(), name));
                Some(relay)
            }
        };
        hosts += &format!("Host direct jumped\n{}", user(address.port(), name));
        hosts += "Host jumped\n  ProxyJump jump\n";
        hosts += &format!("Host jump\n{}", user(jump.port(), &lab.account.name));
        write(lab, &hosts)?;
        Ok(Self { lab, site, direct, relay, jump })
    }

    /// `ssh` through the gateway of a site that has no other ways.
    pub(crate) fn to_gateway(lab: &Lab, site: &Site) -> Result<Command, Error> {
        write(lab, &of_gateway(site))?;
        let mut command = client(lab, "ssh");
        command.arg(Way::Gateway.name()).stdout(Stdio::null());
        Ok(command)
    }

    /// Those that are there: all but the relay, which wants a program of its own.
    pub(crate) fn all(&self) -> Vec<Way> {
        let mut ways = vec![Way::Direct, Way::Gateway, Way::Jump];
        ways.extend(self.relay.as_ref().map(|_| Way::Relay));
        ways
    }

    /// One of OpenSSH's clients that goes this way, told everything but what to do.
    pub(crate) fn client(&self, program: &str, way: Way) -> Command {
        let mut command = client(self.lab, program);
        command.arg(way.name()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// Processor time so far, in seconds, of what stands between a client and the project on this way; `None` for the
    /// direct one, and for sshd, whose processes come and go.
    pub(crate) fn cpu_between(&self, way: Way) -> Result<Option<f64>, Error> {
        match (way, &self.relay) {
            (Way::Gateway, _) => self.site.cpu().map(Some),
            (Way::Relay, Some(relay)) => clock(relay.id()).map(Some),
            (Way::Direct | Way::Jump | Way::Relay, _) => Ok(None),
        }
    }

    /// Processor time so far, in seconds, of all that works on this way: clients that have ended, what is between, the
    /// endpoint and its programs. `None` for the way through sshd, whose processes come and go.
    pub(crate) fn cpu_of_all(&self, way: Way) -> Result<Option<f64>, Error> {
        let relay = match (way, &self.relay) {
            (Way::Jump, _) => return Ok(None),
            (Way::Relay, Some(relay)) => clock(relay.id())?,
            (Way::Direct | Way::Gateway | Way::Relay, _) => 0.0,
        };
        Ok(Some(children_cpu()? + relay + self.site.cpu()? + clock_below(self.site.keeper)?))
    }

    /// Stops everything.
    pub(crate) fn close(self) -> Result<(), Error> {
        let Self { site, direct, relay, jump, .. } = self;
        drop((direct, relay));
        jump.stop_alone()?;
        site.stop()
    }
}

/// The one cipher of these comparisons.
pub(crate) const CIPHER: Cipher = Cipher::Aes256Gcm;

fn of_gateway(site: &Site) -> String {
    format!("Host gateway\n{}", user(site.ssh.port(), PROJECT))
}

fn user(port: u16, name: &str) -> String {
    format!("  Port {port}\n  User {name}\n")
}

fn write(lab: &Lab, hosts: &str) -> Result<(), Error> {
    let path = lab.path("ways");
    std::fs::write(&path, config(lab, hosts)).map_err(Error::file(&path))
}

fn client(lab: &Lab, program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_remove("SSH_AUTH_SOCK").arg("-F").arg(lab.path("ways"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn config(lab: &Lab, hosts: &str) -> String {
    format!(
        "{hosts}Host *\n  HostName 127.0.0.1\n  IdentityFile {}\n  IdentitiesOnly yes\n  IdentityAgent none\n  \
         UserKnownHostsFile /dev/null\n  GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking no\n  \
         UpdateHostKeys no\n  BatchMode yes\n  ControlPath none\n  LogLevel ERROR\n  Compression no\n  \
         KexAlgorithms {KEX}\n  Ciphers {}\n  HostKeyAlgorithms ssh-ed25519\n  SendEnv -*\n",
        lab.path("user_key").display(),
        CIPHER.name(),
    )
}

/// A program that goes on, and tells in a line of its output when it serves. Dropping it kills it.
pub(crate) struct Program {
    child: Child,
    /// What it says later is thrown away.
    _listener: std::thread::JoinHandle<()>,
}

impl Program {
    pub(crate) fn start<T: Send + 'static>(
        mut command: Command,
        serves: impl Fn(&str) -> Option<T> + Send + 'static,
    ) -> Result<(Self, T), Error> {
        let program = command.get_program().to_string_lossy().into_owned();
        let (reader, writer) = std::io::pipe().map_err(Error::system("making a pipe"))?;
        let both = writer.try_clone().map_err(Error::system("making a pipe"))?;
        command.stdin(Stdio::null()).stdout(writer).stderr(both);
        let child = command.spawn().map_err(|source| Error::Start { program: program.clone(), source })?;
        // It holds the pipe's other end, whose closing tells the end of the program.
        drop(command);
        let (tell, told) = std::sync::mpsc::channel();
        let listener = std::thread::spawn(move || {
            for line in BufReader::new(reader).lines().map_while(Result::ok) {
                // Told once; nobody listens later.
                let _told = tell.send(serves(&line).ok_or(line));
            }
        });
        let started = Self { child, _listener: listener };
        let deadline = Instant::now() + PATIENCE;
        let mut said = String::new();
        loop {
            match told.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Ok(serving)) => return Ok((started, serving)),
                Ok(Err(line)) => said = said + &line + "\n",
                Err(_) => return Err(Error::NotServing { program, output: said }),
            }
        }
    }

    fn id(&self) -> u32 {
        self.child.id()
    }

    /// The process of a site's supervisor that has this role.
    fn role(&self, role: &str) -> Result<u32, Error> {
        for id in descendants(self.id())? {
            // A process may end between the listing and this.
            let Ok(line) = std::fs::read(format!("/proc/{id}/cmdline")) else { continue };
            let mut words = line.split(|byte| *byte == 0).skip(1);
            if words.next() == Some(b"role") && words.next() == Some(role.as_bytes()) {
                return Ok(id);
            }
        }
        Err(Error::Unexpected("a process of the site is missing"))
    }

    fn stop(mut self) -> Result<(), Error> {
        process::signal(self.id(), rustix::process::Signal::TERM)?;
        self.child.wait().map(drop).map_err(Error::system("waiting for a site"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended; nobody is left to be told.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}
