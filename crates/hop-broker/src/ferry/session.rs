//! A session of a carried client (RFC 4254 section 6): a session of the master, on pipes or a terminal of ours.
//!
//! Must stay true: output, then EOF, then the exit status, then CLOSE; when the client closes the channel, the session at
//! the host is closed; what goes wrong is said on standard error, and the status is ssh's own 255.

use super::Fare;
use super::admission::{Admission, FerryError};
use super::flow::{self, Pipe};
use crate::protocol::Request;
use hop_connect::mux::client::{Ended, OpenSession};
use hop_connect::mux::message::NewSession;
use hop_connect::mux::{MuxClient, MuxError};
use hop_endpoint::pty::{Pty, WindowSize};
use hop_endpoint::terminal_modes::TerminalModes;
use hop_ssh::connection::{ChannelRequest, Stream};
use hop_ssh::driver::{Channel, ChannelRequests};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

/// What ssh(1) exits with when it was ssh that failed.
const OURS: u32 = 255;
/// Variables of one session, and the bytes of each; the host takes few of them anyway.
const MOST_VARIABLES: usize = 64;
const LONGEST_VARIABLE: usize = 32 * 1024;
/// Notices on their way to a client.
const NOTICES: usize = 8;
/// Dead connections are replaced, but not for ever.
const REPLACEMENTS: usize = 3;

/// Serves a session channel from its opening to its end.
pub(super) async fn serve(fare: &Fare, channel: Channel) {
    let mut requests = channel.requests();
    let Some(wanted) = Wanted::read(&mut requests).await else { return };
    let master = AtomicU32::new(0);
    let (notices, mut told) = mpsc::channel::<String>(NOTICES);
    let telling = async {
        while let Some(text) = told.recv().await {
            tell(&channel, wanted.terminal.is_some(), &text).await;
        }
        std::future::pending().await
    };
    let ended = tokio::select! {
        ended = run(fare, &channel, &wanted, &master, notices) => ended,
        () = control(&mut requests, &wanted, &master) => return,
        never = telling => never,
    };
    let status = match ended {
        Ok(Ended::Exit(status)) => Some(status),
        // Which signal it was, the master does not tell: without a status, a client says that of itself.
        Ok(Ended::WithoutStatus) => None,
        Err(error) => {
            tell(&channel, wanted.terminal.is_some(), &error.to_string()).await;
            Some(OURS)
        }
    };
    channel.send_eof();
    if let Some(status) = status {
        channel.notify(&ChannelRequest::ExitStatus(status));
    }
    channel.close();
    while requests.next().await.is_some() {}
}

/// What a client asked for.
struct Wanted {
    session: NewSession,
    terminal: Option<Pty>,
}

impl Wanted {
    /// Takes requests until one asks for a program, which is granted; `None` when the client goes instead.
    async fn read(requests: &mut ChannelRequests) -> Option<Self> {
        let mut terminal = None;
        let mut session = NewSession {
            tty: false,
            x11: false,
            agent: false,
            subsystem: false,
            terminal: String::new(),
            command: String::new(),
            environment: Vec::new(),
        };
        loop {
            let incoming = requests.next().await?;
            let granted = match incoming.request() {
                ChannelRequest::Shell => {
                    incoming.accept();
                    return Some(Self { session, terminal });
                }
                ChannelRequest::Exec(command) | ChannelRequest::Subsystem(command) => {
                    match String::from_utf8(command.clone()) {
                        Ok(command) => {
                            session.subsystem = matches!(incoming.request(), ChannelRequest::Subsystem(_));
                            session.command = command;
                            incoming.accept();
                            return Some(Self { session, terminal });
                        }
                        // The master takes text only.
                        Err(_) => false,
                    }
                }
                ChannelRequest::Pty(asked) if terminal.is_none() => {
                    let modes = TerminalModes::parse(&asked.modes);
                    terminal = Pty::open(window_size(asked.size), &modes).ok();
                    session.tty = terminal.is_some();
                    session.terminal = String::from_utf8_lossy(&asked.term).into_owned();
                    session.tty
                }
                ChannelRequest::Env { name, value } => match entry(name, value) {
                    // The master sends on what its own configuration sends (SendEnv).
                    Some(entry) if session.environment.len() < MOST_VARIABLES => {
                        session.environment.push(entry);
                        true
                    }
                    _ => false,
                },
                ChannelRequest::WindowChange(size) => {
                    terminal.as_ref().is_some_and(|pty: &Pty| pty.master().resize(window_size(*size)).is_ok())
                }
                // The master would forward its own agent and display, not this client's.
                ChannelRequest::AuthAgent | ChannelRequest::X11(_) => false,
                _ => false,
            };
            match granted {
                true => incoming.accept(),
                false => incoming.refuse(),
            }
        }
    }
}

fn entry(name: &[u8], value: &[u8]) -> Option<String> {
    let entry = [name, b"=", value].concat();
    String::from_utf8(entry).ok().filter(|entry| entry.len() <= LONGEST_VARIABLE && !entry.contains('\0'))
}

/// Runs a session to its end.
async fn run(
    fare: &Fare,
    channel: &Channel,
    wanted: &Wanted,
    master: &AtomicU32,
    notices: mpsc::Sender<String>,
) -> Result<Ended, FerryError> {
    let (stdout, stderr) = (flow::from_master()?, flow::from_master()?);
    let (input, stdin) = Input::new(wanted.terminal.as_ref())?;
    let theirs = [stdin, stdout.theirs, stderr.theirs];
    let (_admission, opened) = open(fare, wanted, theirs, master, notices).await?;
    if let Some(pty) = &wanted.terminal {
        // The master has read its modes by now.
        pty.make_raw().map_err(|source| FerryError::System { step: "set a terminal's modes", source })?;
    }
    let has_none = AtomicBool::new(false);
    let output = async {
        tokio::join!(
            flow::to_the_client(channel, Stream::Data, stdout.ours),
            flow::to_the_client(channel, Stream::Stderr, stderr.ours),
            opened.ended(|| has_none.store(true, Ordering::Relaxed)),
        )
        .2
    };
    let feeding = async {
        match input {
            Input::Pipe(pipe) => flow::to_the_host(channel, pipe).await,
            // A terminal has no end of input: what a program reads there ends with the session.
            Input::Terminal(pty) => flow::to_the_host(channel, pty.master().descriptor()).await,
        }
        std::future::pending().await
    };
    let ended = tokio::select! {
        ended = output => ended,
        () = feeding => return Ok(Ended::WithoutStatus),
    };
    if has_none.load(Ordering::Relaxed) {
        tell(channel, false, "the host gave no terminal").await;
    }
    ended.map_err(|source| FerryError::Master { alias: fare.alias.clone(), source })
}

/// Where what the client types goes.
enum Input<'a> {
    Pipe(tokio::net::unix::pipe::Sender),
    Terminal(&'a Pty),
}

impl<'a> Input<'a> {
    fn new(terminal: Option<&'a Pty>) -> Result<(Self, OwnedFd), FerryError> {
        match terminal {
            Some(pty) => {
                let slave = pty.slave().try_clone_to_owned();
                let failed = |source| FerryError::System { step: "use a terminal", source };
                Ok((Self::Terminal(pty), slave.map_err(failed)?))
            }
            None => {
                let Pipe { theirs, ours } = flow::to_master()?;
                Ok((Self::Pipe(ours), theirs))
            }
        }
    }
}

/// Opens a session, in line as often as need be.
async fn open(
    fare: &Fare,
    wanted: &Wanted,
    theirs: [OwnedFd; 3],
    master: &AtomicU32,
    notices: mpsc::Sender<String>,
) -> Result<(Admission, OpenSession), FerryError> {
    // A client that does not read misses what it would not have read.
    let mut tell = |text| drop(notices.try_send(text));
    let mut admission = Admission::connect(&fare.sockets).await?;
    let mut replacements = 0;
    loop {
        let admitted = admission.admitted(fare, true, &mut tell).await?;
        let session = wanted.session.clone();
        let passed = theirs.each_ref().map(|end| end.try_clone());
        let socket = admitted.socket;
        let opening = move || {
            let [stdin, stdout, stderr] = passed;
            let ends =
                [stdin.map_err(MuxError::Io)?, stdout.map_err(MuxError::Io)?, stderr.map_err(MuxError::Io)?];
            MuxClient::open_session(&socket, session, ends.each_ref().map(AsFd::as_fd))
        };
        let opened = tokio::task::spawn_blocking(opening).await;
        match opened.unwrap_or_else(|error| Err(MuxError::Io(std::io::Error::other(error)))) {
            Ok(opened) => {
                master.store(admitted.master, Ordering::Relaxed);
                return Ok((admission, opened));
            }
            Err(error) if error.is_full() => {
                admission.report(&Request::Full { alias: fare.alias.clone() }).await?;
            }
            Err(error) if error.is_dead() && replacements < REPLACEMENTS => {
                replacements += 1;
                let silent = Request::Silent { alias: fare.alias.clone(), master: admitted.master };
                admission.report(&silent).await?;
            }
            Err(source) => return Err(FerryError::Master { alias: fare.alias.clone(), source }),
        }
    }
}

/// Takes requests while the session waits or runs; returns when the client has closed the channel.
async fn control(requests: &mut ChannelRequests, wanted: &Wanted, master: &AtomicU32) {
    while let Some(incoming) = requests.next().await {
        match (incoming.request(), &wanted.terminal) {
            (ChannelRequest::WindowChange(size), Some(pty)) => {
                let resized = pty.master().resize(window_size(*size));
                let pid = i32::try_from(master.load(Ordering::Relaxed)).ok();
                if let (Ok(()), Some(pid)) = (resized, pid.and_then(rustix::process::Pid::from_raw)) {
                    // As ssh(1) does when its window changes while it rides; the master then asks all terminals.
                    let _ = rustix::process::kill_process(pid, rustix::process::Signal::WINCH);
                }
                incoming.accept();
            }
            // PROTOCOL.mux has no word for signals.
            _ => incoming.refuse(),
        }
    }
}

/// Says something to the person, or the program.
async fn tell(channel: &Channel, is_terminal: bool, text: &str) {
    let end = if is_terminal { "\r\n" } else { "\n" };
    let lines: String = text.lines().map(|line| format!("hop: {line}{end}")).collect();
    let mut stderr = channel.writer(Stream::Stderr);
    // A client that does not read is gone.
    let _ = stderr.write_all(lines.as_bytes()).await;
}

fn window_size(size: hop_ssh::connection::WindowSize) -> WindowSize {
    WindowSize {
        columns: size.columns,
        rows: size.rows,
        width: size.width_pixels,
        height: size.height_pixels,
    }
}
