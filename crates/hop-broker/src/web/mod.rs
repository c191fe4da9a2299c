//! The broker for browsers and notebooks: a page on the loopback interface where questions are answered, and the requests
//! of the socket over HTTP. It is started when it is first asked for, and is one more client of the broker's own socket.
//!
//! Must stay true: it listens on 127.0.0.1 only, where other users of the machine can connect, too: so nothing is said
//! without a [`Key`](key::Key) that this user alone was given, and to others ([`peer`]) not even with one. What can be asked for is what the socket answers; answers
//! of people go in, and never come out.

mod api;
mod assets;
mod body;
mod conversation;
mod doors;
mod guard;
mod key;
mod page;
mod peer;
mod seen;
mod serve;
mod words;

pub use api::parse as parse_request;

use doors::Doors;
use hop_connect::SocketDirectory;
use key::Key;
use seen::Seen;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Answers that go on as long as their reader stays: those of pages, and those of programs.
const STREAMS: usize = 64;

/// What all requests share.
#[derive(Debug)]
struct Shared {
    sockets: SocketDirectory,
    doors: Doors,
    seen: Seen,
    streams: Arc<Semaphore>,
}

/// The server, as the broker holds it.
#[derive(Debug)]
pub(crate) struct Web {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Web {
    /// Listens; serves in one of `tasks`. Must be called inside a runtime.
    pub(crate) fn start(sockets: &SocketDirectory, tasks: &mut JoinSet<()>) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            sockets: sockets.clone(),
            doors: Doors::new(Key::random()?),
            seen: Seen::default(),
            streams: Arc::new(Semaphore::new(STREAMS)),
        });
        tasks.spawn(serve::serve(tokio::net::TcpListener::from_std(listener)?, shared.clone()));
        Ok(Self { address, shared })
    }

    /// A link to the page, which opens it in one browser, once.
    pub(crate) fn link(&self) -> io::Result<String> {
        let key = Key::random()?;
        let link = format!("http://{}/enter/{}", self.address, key.expose());
        self.shared.doors.add_link(key);
        Ok(link)
    }

    /// Where programs find the API, and the file that holds their token.
    pub(crate) fn api(&self) -> io::Result<(String, PathBuf)> {
        let path = self.shared.sockets.api_token();
        // Made anew, so that nobody has it open who should not.
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(self.shared.doors.token().expose().as_bytes())?;
        Ok((format!("http://{}/v1", self.address), path))
    }
}
