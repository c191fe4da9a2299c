//! A listener on port 0 of loopback that starts one program per connection, the socket as its stdin and stdout.
//!
//! OpenSSH's sshd, dropbear and tinysshd all serve that way, so that no server needs a fixed port and none can be
//! found by another test. Everything started goes when the listener is dropped.

use std::fs::{File, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::run::kill_group;

/// A listening socket and the processes behind it.
#[derive(Debug)]
pub struct Inetd {
    address: SocketAddr,
    log: PathBuf,
    stop: Arc<AtomicBool>,
    children: Arc<Mutex<Vec<Child>>>,
    acceptor: Option<JoinHandle<()>>,
}

impl Inetd {
    /// Listens; `command` makes the program for each connection, `log` gets its standard error.
    #[must_use]
    pub fn start(log: &Path, command: impl Fn() -> Command + Send + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listen on loopback");
        let address = listener.local_addr().expect("a bound socket has an address");
        let stop = Arc::new(AtomicBool::new(false));
        let children = Arc::new(Mutex::new(Vec::new()));
        let (stopped, started, errors) = (Arc::clone(&stop), Arc::clone(&children), log.to_owned());
        let acceptor = std::thread::spawn(move || {
            for socket in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let socket = socket.expect("accept a connection");
                let child = spawn(command(), socket, append(&errors));
                started.lock().expect("no holder panics").push(child);
            }
        });
        let _ = append(log);
        Self { address, log: log.to_owned(), stop, children, acceptor: Some(acceptor) }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the programs wrote to standard error so far.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }
}

impl Drop for Inetd {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the acceptor, which is blocked in accept(2).
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        for child in self.children.lock().expect("no holder panics").iter_mut() {
            // Before it is waited for: until then its number cannot belong to another group.
            kill_group(child.id());
            let _ = child.wait();
        }
    }
}

fn spawn(mut command: Command, socket: TcpStream, errors: File) -> Child {
    let output: OwnedFd = socket.try_clone().expect("share the socket").into();
    let input: OwnedFd = socket.into();
    command.stdin(input).stdout(output).stderr(errors).process_group(0);
    command.spawn().unwrap_or_else(|e| panic!("starting {}: {e}", command.get_program().display()))
}

fn append(log: &Path) -> File {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .unwrap_or_else(|e| panic!("{}: {e}", log.display()))
}
