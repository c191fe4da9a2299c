//! The way out of a project whose network is `proxy`: HTTP `CONNECT`, and plain requests with an absolute URI.
//!
//! Three pieces: inside the project [`port`] listens on the loopback and passes bytes to a socket of the site; the
//! keeper only shows that socket inside; the site runs [`serve`] on it, which is the only piece with a network. What
//! must stay true: a name is resolved once, by us; every address it has is public; the connection goes to an address
//! that was looked at. So neither this machine, nor what is near it, nor a cloud's metadata service is reached.

mod address;
mod request;

use request::{Head, HeadError};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Where a project's programs find the proxy.
pub const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 3128);
/// Where the directory with the site's socket is inside a project. The keeper starts `hop proxy-port SOCKET` there.
pub const DIRECTORY: &str = "/run/grasshopper/proxy";

/// How many connections all projects may have together.
const MOST_CONNECTIONS: usize = 1024;
/// How many one user may have: by root each project is one.
const MOST_BY_USER: usize = 128;
/// How many connections [`port`] passes on at once.
const MOST_INSIDE: usize = 128;
/// How long a client may take to say where it wants to go.
const HEAD_PATIENCE: Duration = Duration::from_secs(15);
/// How long a name and a connection may take.
const CONNECT_PATIENCE: Duration = Duration::from_secs(15);
/// A connection on which nothing moves for this long ends.
const IDLE: Duration = Duration::from_secs(15 * 60);

/// Serves the proxy of a site until `stop` is cancelled; connections end with it.
pub async fn serve(listener: UnixListener, stop: CancellationToken) {
    serve_with(listener, stop, address::is_public).await;
}

/// Passes connections to a listener at [`ADDRESS`] on to the site's socket; runs inside a project, and ends with it.
pub async fn port(listener: TcpListener, socket: &Path) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(MOST_INSIDE));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return Ok(()) };
        let (inside, _) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "accepting failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let socket = socket.to_owned();
        tokio::spawn(async move {
            match UnixStream::connect(&socket).await {
                Ok(site) => pump(inside, site).await,
                Err(error) => tracing::warn!(%error, "the site's proxy is not there"),
            }
            drop(place);
        });
    }
}

/// Which addresses may be reached.
type Policy = fn(IpAddr) -> bool;

async fn serve_with(listener: UnixListener, stop: CancellationToken, policy: Policy) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let users = Users::default();
    let tasks = TaskTracker::new();
    let accepting = async {
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((client, _)) => {
                    // A user with too many is hung up on.
                    let Some(share) = users.share(&client) else { continue };
                    let stop = stop.clone();
                    tasks.spawn(async move {
                        stop.run_until_cancelled(connection(client, policy)).await;
                        drop((place, share));
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "accepting failed");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    };
    stop.run_until_cancelled(accepting).await;
    tasks.close();
    tasks.wait().await;
}

/// How many connections each user has.
#[derive(Clone, Debug, Default)]
struct Users(Arc<Mutex<HashMap<u32, usize>>>);

/// One connection of a user.
#[derive(Debug)]
struct Share {
    users: Users,
    uid: u32,
}

impl Users {
    fn share(&self, client: &UnixStream) -> Option<Share> {
        let uid = rustix::net::sockopt::socket_peercred(client).ok()?.uid.as_raw();
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(uid).or_default();
        if *count >= MOST_BY_USER {
            return None;
        }
        *count += 1;
        Some(Share { users: self.clone(), uid })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut counts = self.users.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.uid) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.uid);
            }
        }
    }
}

/// Why a connection is not made; the client hears it.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Head(#[from] HeadError),
    #[error("nothing was asked in time")]
    Silent,
    #[error("{0} is not a public address: projects reach the public network only")]
    NotPublic(String),
    #[error("{host} cannot be reached: {source}")]
    Unreachable { host: String, source: io::Error },
}

impl Refusal {
    fn status(&self) -> &'static str {
        match self {
            Self::Head(_) => "400 Bad Request",
            Self::Silent => "408 Request Timeout",
            Self::NotPublic(_) => "403 Forbidden",
            Self::Unreachable { .. } => "502 Bad Gateway",
        }
    }
}

async fn connection(mut client: UnixStream, policy: Policy) {
    match open(&mut client, policy).await {
        Ok((far, greeting)) => {
            if client.write_all(&greeting).await.is_ok() {
                pump(client, far).await;
            }
        }
        Err(refusal) => {
            tracing::debug!(%refusal, "proxy");
            let words = format!("{refusal}\n");
            let answer = format!(
                "HTTP/1.1 {}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{words}",
                refusal.status(),
                words.len()
            );
            // It may have hung up.
            let _ = client.write_all(answer.as_bytes()).await;
            let _ = client.shutdown().await;
        }
    }
}

/// The connection that a client asked for, and what it is told before its bytes go there.
async fn open(client: &mut UnixStream, policy: Policy) -> Result<(TcpStream, Vec<u8>), Refusal> {
    let (head, rest) =
        tokio::time::timeout(HEAD_PATIENCE, read_head(client)).await.map_err(|_| Refusal::Silent)??;
    let far = tokio::time::timeout(CONNECT_PATIENCE, reach(&head.host, head.port, policy)).await;
    let mut far = far.unwrap_or_else(|_| {
        Err(Refusal::Unreachable { host: head.host.clone(), source: io::ErrorKind::TimedOut.into() })
    })?;
    let unreachable = |source| Refusal::Unreachable { host: head.host.clone(), source };
    far.write_all(&head.forwarded).await.map_err(unreachable)?;
    far.write_all(&rest).await.map_err(unreachable)?;
    let greeting =
        if head.is_tunnel() { b"HTTP/1.1 200 Connection established\r\n\r\n".to_vec() } else { Vec::new() };
    Ok((far, greeting))
}

/// The head of a request, and what came after it.
async fn read_head(client: &mut UnixStream) -> Result<(Head, Vec<u8>), Refusal> {
    let mut read = Vec::new();
    loop {
        if let Some(end) = request::end_of_head(&read) {
            let rest = read.split_off(end);
            return Ok((Head::parse(&read)?, rest));
        }
        if read.len() >= request::LONGEST_HEAD {
            return Err(HeadError::TooLong.into());
        }
        let mut chunk = [0; 2048];
        match client.read(&mut chunk).await {
            Ok(0) | Err(_) => return Err(HeadError::CutOff.into()),
            Ok(length) => read.extend_from_slice(chunk.get(..length).unwrap_or_default()),
        }
    }
}

/// Resolves once, looks at every address, and connects to one that was looked at.
async fn reach(host: &str, port: u16, policy: Policy) -> Result<TcpStream, Refusal> {
    let unreachable = |source| Refusal::Unreachable { host: host.to_owned(), source };
    let addresses: Vec<SocketAddr> =
        tokio::net::lookup_host((host, port)).await.map_err(unreachable)?.take(32).collect();
    if !addresses.iter().all(|address| policy(address.ip())) {
        return Err(Refusal::NotPublic(host.to_owned()));
    }
    let mut failed = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                let _slower_at_worst = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => failed = error,
        }
    }
    Err(unreachable(failed))
}

/// Copies both ways until both ended, one failed, or nothing moved for long.
async fn pump<A, B>(one: A, other: B)
where
    A: tokio::io::AsyncRead + tokio::io::AsyncWrite,
    B: tokio::io::AsyncRead + tokio::io::AsyncWrite,
{
    let (from_one, to_one) = tokio::io::split(one);
    let (from_other, to_other) = tokio::io::split(other);
    let moved = Mutex::new(tokio::time::Instant::now());
    let idle = async {
        loop {
            let since = *moved.lock().unwrap_or_else(PoisonError::into_inner);
            if since.elapsed() >= IDLE {
                return;
            }
            tokio::time::sleep_until(since + IDLE).await;
        }
    };
    tokio::select! {
        () = idle => {}
        _ended = async { tokio::try_join!(copy(from_one, to_other, &moved), copy(from_other, to_one, &moved)) } => {}
    }
}

async fn copy(
    from: impl tokio::io::AsyncRead,
    to: impl tokio::io::AsyncWrite,
    moved: &Mutex<tokio::time::Instant>,
) -> io::Result<()> {
    let (mut from, mut to) = (std::pin::pin!(from), std::pin::pin!(to));
    let mut chunk = vec![0; 16 * 1024];
    loop {
        let length = from.read(&mut chunk).await?;
        *moved.lock().unwrap_or_else(PoisonError::into_inner) = tokio::time::Instant::now();
        if length == 0 {
            return to.shutdown().await;
        }
        to.write_all(chunk.get(..length).unwrap_or_default()).await?;
    }
}

#[cfg(test)]
mod tests;
