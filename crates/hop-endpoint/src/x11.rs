//! X11 forwarding (RFC 4254 section 6.3): a display of ours on loopback, whose connections go to the client.
//!
//! The cookie that the client sent (its ssh made it up and exchanges it for the real one) is written by us,
//! since images have no xauth, into a file of its own in the connection's private directory; XAUTHORITY names
//! that file. The user's own records are copied into it when the display opens, so that other displays stay
//! reachable; records added elsewhere later are not seen in this session. Nothing is ever written to the
//! user's own file, and no secret stays behind.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use tokio::net::TcpStream;

use crate::forward::TcpForward;
use crate::private_dir::{PrivateDir, random_name};
use crate::xauthority::{Entry, INTERNET, INTERNET6, LOCAL, WILD, parse, write};

/// Displays below are for servers with a screen; sshd begins at the same number.
const FIRST_DISPLAY: u16 = 10;
/// More than a thousand forwarded displays means that something else is wrong.
const LAST_DISPLAY: u16 = 1009;
/// X servers listen on 6000 plus the display number.
const FIRST_PORT: u16 = 6000;
/// Longest cookie (MIT-MAGIC-COOKIE-1 has 16 bytes).
const MAX_COOKIE: usize = 256;
/// Longest name of a protocol.
const MAX_PROTOCOL: usize = 64;
/// The user's own file is not read beyond this.
const MAX_OWN_FILE: u64 = 256 * 1024;

/// A checked x11-req.
#[derive(Clone, PartialEq, Eq)]
pub struct X11Request {
    single_connection: bool,
    protocol: Vec<u8>,
    cookie: Vec<u8>,
    screen: u32,
}

/// Why X11 is not forwarded.
#[derive(Debug, thiserror::Error)]
pub enum X11Error {
    /// The name of the authentication protocol has other characters than names have.
    #[error("the X11 authentication protocol is malformed")]
    Protocol,
    /// The cookie is not hexadecimal, or too long.
    #[error("the X11 authentication cookie is malformed")]
    Cookie,
    /// All are taken.
    #[error("no display from {FIRST_DISPLAY} to {LAST_DISPLAY} is free")]
    NoDisplay,
    /// Loopback cannot be listened on.
    #[error("cannot listen for X11 on loopback: {0}")]
    Listen(io::Error),
    /// The cookie cannot be stored.
    #[error("cannot write the X11 authority file {}: {source}", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl X11Request {
    /// Checks the fields of an x11-req; `cookie` is in hexadecimal, as on the wire.
    pub fn parse(
        single_connection: bool,
        protocol: &[u8],
        cookie: &[u8],
        screen: u32,
    ) -> Result<Self, X11Error> {
        let in_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._:/".contains(byte);
        if protocol.is_empty() || protocol.len() > MAX_PROTOCOL || !protocol.iter().all(in_name) {
            return Err(X11Error::Protocol);
        }
        let cookie = from_hex(cookie).ok_or(X11Error::Cookie)?;
        Ok(Self { single_connection, protocol: protocol.to_vec(), cookie, screen })
    }
}

impl std::fmt::Debug for X11Request {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("X11Request")
            .field("single_connection", &self.single_connection)
            .field("screen", &self.screen)
            .finish_non_exhaustive()
    }
}

/// An open display. Closed, and its cookie removed, when dropped.
#[derive(Debug)]
pub struct X11Display {
    listener: TcpForward,
    name: String,
    authority: PathBuf,
    single_connection: bool,
}

impl X11Display {
    /// Opens the first free display and writes its authority file into `directory`. `own_authority` is the
    /// user's own file, whose records are copied if it is there.
    pub fn open(
        request: &X11Request,
        directory: &PrivateDir,
        own_authority: Option<&Path>,
    ) -> Result<Self, X11Error> {
        let (number, listener) = first_free()?;
        let host = rustix::system::uname().nodename().to_bytes().to_vec();
        let mut entries = our_entries(request, number, &host);
        let shadowed = number.to_string().into_bytes();
        entries.extend(own_entries(own_authority).into_iter().filter(|entry| entry.number != shadowed));
        let path = directory.path().join(format!("xauthority-{}", random_name().unwrap_or_default()));
        store(&path, &write(&entries))
            .map_err(|source| X11Error::Authority { path: path.clone(), source })?;
        Ok(Self {
            listener,
            name: format!("localhost:{number}.{}", request.screen),
            authority: path,
            single_connection: request.single_connection,
        })
    }

    /// For DISPLAY.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// For XAUTHORITY.
    pub fn authority(&self) -> &Path {
        &self.authority
    }

    /// Whether the client wanted one connection only: the caller drops the display after the first.
    pub fn single_connection(&self) -> bool {
        self.single_connection
    }

    /// The next program that opens the display. Cancel-safe.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.listener.accept().await
    }
}

impl Drop for X11Display {
    fn drop(&mut self) {
        let removed = std::fs::remove_file(&self.authority);
        if let Err(error) = removed.or_else(|error| match error.kind() {
            // The private directory went first.
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        }) {
            tracing::warn!(path = %self.authority.display(), %error, "X11 authority file not removed");
        }
    }
}

fn first_free() -> Result<(u16, TcpForward), X11Error> {
    for number in FIRST_DISPLAY..=LAST_DISPLAY {
        match TcpForward::listen_loopback(FIRST_PORT + number) {
            Ok(listener) => return Ok((number, listener)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(X11Error::Listen(error)),
        }
    }
    Err(X11Error::NoDisplay)
}

/// Xlib looks a display on loopback up as "this host by name"; other implementations by its address, or take
/// only a wildcard. All four say the same.
fn our_entries(request: &X11Request, display: u16, host: &[u8]) -> Vec<Entry> {
    let entry = |family: u16, address: &[u8]| Entry {
        family,
        address: address.to_vec(),
        number: display.to_string().into_bytes(),
        protocol: request.protocol.clone(),
        data: request.cookie.clone(),
    };
    vec![
        entry(LOCAL, host),
        entry(INTERNET, &[127, 0, 0, 1]),
        entry(INTERNET6, &std::net::Ipv6Addr::LOCALHOST.octets()),
        entry(WILD, b""),
    ]
}

fn own_entries(path: Option<&Path>) -> Vec<Entry> {
    let Some(path) = path else { return Vec::new() };
    let mut bytes = Vec::new();
    match std::fs::File::open(path).and_then(|file| file.take(MAX_OWN_FILE).read_to_end(&mut bytes)) {
        Ok(_) => parse(&bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "the user's X11 authority file is left out");
            Vec::new()
        }
    }
}

fn store(path: &Path, bytes: &[u8]) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(bytes)
}

fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    if text.is_empty() || text.len() > 2 * MAX_COOKIE || !text.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    text.chunks_exact(2)
        .map(|pair| match pair {
            [high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::process::Command;

    use super::*;

    const COOKIE: &[u8] = b"00112233445566778899aabbccddeeff";

    fn request() -> X11Request {
        X11Request::parse(false, b"MIT-MAGIC-COOKIE-1", COOKIE, 2).unwrap()
    }

    fn xauth_list(file: &Path, display: &str) -> String {
        let listed = Command::new("xauth").arg("-f").arg(file).args(["list", display]).output();
        String::from_utf8(listed.expect("Debian package xauth is installed").stdout).unwrap()
    }

    #[test]
    fn malformed_requests_are_refused() {
        let long_cookie = vec![b'a'; 2 * MAX_COOKIE + 2];
        let cases = [
            (&b"MIT-MAGIC-COOKIE-1"[..], COOKIE, true),
            (b"XDM-AUTHORIZATION-1", b"aB", true),
            (b"", COOKIE, false),
            (b"MIT MAGIC", COOKIE, false),
            (b"MIT\nadd", COOKIE, false),
            (b"MIT-MAGIC-COOKIE-1", b"", false),
            (b"MIT-MAGIC-COOKIE-1", b"abc", false),
            (b"MIT-MAGIC-COOKIE-1", b"+a", false),
            (b"MIT-MAGIC-COOKIE-1", b"zz", false),
            (b"MIT-MAGIC-COOKIE-1", &long_cookie, false),
        ];
        for (protocol, cookie, accepted) in cases {
            assert_eq!(X11Request::parse(false, protocol, cookie, 0).is_ok(), accepted);
        }
        let logged = format!("{:?}", request());
        assert!(!logged.contains("cookie") && !logged.contains("221"), "no cookie in a log: {logged}");
    }

    #[tokio::test]
    async fn two_displays_differ_and_clean_up() {
        let directory = PrivateDir::create(&std::env::temp_dir()).unwrap();
        let first = X11Display::open(&request(), &directory, None).unwrap();
        let second = X11Display::open(&request(), &directory, None).unwrap();
        assert_ne!(first.name(), second.name());
        assert!(first.name().starts_with("localhost:") && first.name().ends_with(".2"));
        let number: u16 = first.name()["localhost:".len()..first.name().len() - 2].parse().unwrap();
        let (accepted, connected) =
            tokio::join!(first.accept(), TcpStream::connect(("localhost", FIRST_PORT + number)));
        assert_eq!(accepted.unwrap().1, connected.unwrap().local_addr().unwrap());
        let authority = first.authority().to_owned();
        assert_eq!(std::fs::metadata(&authority).unwrap().mode() & 0o777, 0o600);
        drop(first);
        assert!(!authority.exists());
    }

    #[tokio::test]
    async fn xauth_reads_our_cookie_and_the_users_own() {
        let directory = PrivateDir::create(&std::env::temp_dir()).unwrap();
        let own = directory.path().join("own");
        let own_entry = Entry {
            family: LOCAL,
            address: b"elsewhere".to_vec(),
            number: b"99".to_vec(),
            protocol: b"MIT-MAGIC-COOKIE-1".to_vec(),
            data: vec![0xab; 16],
        };
        store(&own, &write(&[own_entry])).unwrap();
        let display = X11Display::open(&request(), &directory, Some(&own)).unwrap();
        let listed = xauth_list(display.authority(), display.name());
        assert!(listed.contains("00112233445566778899aabbccddeeff"), "{listed}");
        let listed = xauth_list(display.authority(), "elsewhere/unix:99");
        assert!(listed.contains(&"ab".repeat(16)), "{listed}");
    }
}
