//! A server under measurement: started for one run, stopped after it, its processor time read from the wait.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde::Deserialize;

use crate::error::Error;
use crate::lab::Lab;
use crate::process::{self, children_cpu, collect_orphans, descendants};

/// How long a server may take to begin, and its sessions to be gone after the client is.
const PATIENCE: Duration = Duration::from_secs(30);
/// Other programs may take a free port before sshd, which cannot choose one itself, has it.
const TRIES: usize = 5;

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Hop,
    Sshd,
}

impl Kind {
    pub(crate) const BOTH: [Self; 2] = [Self::Hop, Self::Sshd];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hop => "hop",
            Self::Sshd => "sshd",
        })
    }
}

/// A server that serves.
pub(crate) struct Running {
    child: Option<Child>,
    port: u16,
    said: Arc<Mutex<String>>,
    listener: Option<JoinHandle<()>>,
}

/// What `hop endpoint --json` prints when it listens.
#[derive(Deserialize)]
struct Listening {
    listen: Vec<std::net::SocketAddr>,
}

impl Running {
    pub(crate) fn start(lab: &Lab, kind: Kind) -> Result<Self, Error> {
        let mut last = Error::Unexpected("a server was not started");
        for _ in 0..TRIES {
            match Self::try_start(lab, kind) {
                Err(error @ Error::NotServing { .. }) => last = error,
                other => return other,
            }
        }
        Err(last)
    }

    fn try_start(lab: &Lab, kind: Kind) -> Result<Self, Error> {
        let port = match kind {
            Kind::Hop => 0,
            Kind::Sshd => {
                if lab.account.is_made() {
                    // Root's sshd wants it; on a booted Debian systemd makes it. It may be there.
                    let _there = std::fs::create_dir("/run/sshd");
                }
                free_port()?
            }
        };
        let mut command = lab.server_command(kind, port);
        let program = command.get_program().to_string_lossy().into_owned();
        let (reader, writer) = std::io::pipe().map_err(Error::system("making a pipe"))?;
        let both = writer.try_clone().map_err(Error::system("making a pipe"))?;
        command.stdin(Stdio::null()).stdout(writer).stderr(both);
        let child = command.spawn().map_err(|source| Error::Start { program: program.clone(), source })?;
        // Holds the pipe's other end, whose closing tells the end of the server.
        drop(command);
        let (tell, told) = mpsc::channel();
        let said = Arc::new(Mutex::new(String::new()));
        let listener = std::thread::spawn({
            let said = Arc::clone(&said);
            move || listen(BufReader::new(reader), kind, port, &said, &tell)
        });
        let mut running = Self { child: Some(child), port, said, listener: Some(listener) };
        match told.recv_timeout(PATIENCE) {
            Ok(port) => {
                running.port = port;
                Ok(running)
            }
            Err(_) => {
                let output = running.log();
                Err(Error::NotServing { program, output })
            }
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// Waits until nothing of a session is left: only then has the server collected the processor time of all.
    pub(crate) fn settle(&self) -> Result<(), Error> {
        let deadline = Instant::now() + PATIENCE;
        while !descendants(self.id())?.is_empty() {
            if Instant::now() > deadline {
                return Err(Error::NotServing {
                    program: "a session that should end".into(),
                    output: self.log(),
                });
            }
            // Nothing tells of the end of a grandchild.
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Stops it; the processor time of it and of all it started, in seconds.
    pub(crate) fn stop(mut self) -> Result<f64, Error> {
        self.settle()?;
        let before = children_cpu()?;
        self.end(Signal::TERM)?;
        collect_orphans()?;
        Ok(children_cpu()? - before)
    }

    /// Stops it while other children of ours go on.
    pub(crate) fn stop_alone(mut self) -> Result<(), Error> {
        self.settle()?;
        self.end(Signal::TERM)
    }

    fn end(&mut self, signal: Signal) -> Result<(), Error> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        process::signal(child.id(), signal)?;
        child.wait().map_err(Error::system("waiting for a server"))?;
        if let Some(listener) = self.listener.take() {
            // Its own panic was reported when it happened.
            let _ended = listener.join();
        }
        Ok(())
    }

    fn log(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // After an error; nobody is left to be told of another.
        let _ended = self.end(Signal::KILL);
    }
}

/// Reads what the server says to its end, and tells the port once it serves.
fn listen(mut from: impl BufRead, kind: Kind, port: u16, said: &Mutex<String>, tell: &mpsc::Sender<u16>) {
    let mut line = String::new();
    while from.read_line(&mut line).is_ok_and(|count| count > 0) {
        let serving = match kind {
            Kind::Sshd => line.starts_with("Server listening").then_some(port),
            Kind::Hop => serde_json::from_str::<Listening>(&line)
                .ok()
                .and_then(|listening| listening.listen.first().map(std::net::SocketAddr::port)),
        };
        if let Some(port) = serving {
            // Told once; later lines of the same kind interest nobody.
            let _told = tell.send(port);
        }
        said.lock().unwrap_or_else(PoisonError::into_inner).push_str(&line);
        line.clear();
    }
}

fn free_port() -> Result<u16, Error> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    listener.map(|address| address.port()).map_err(Error::system("finding a free port"))
}
