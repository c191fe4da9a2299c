//! `hop endpoint --stdio --framed`: one connection in the lines of a terminal that another program drives.
//!
//! What must stay true: the terminal is raw before anything is said; the process ends with the terminal, and when nobody is
//! heard there any more.

use crate::error::{CommandError, ErrorKind, OrFail};
use hop_endpoint::Endpoint;
use hop_endpoint::listener::Incoming;
use hop_link::Side;
use rustix::termios::{OptionalActions, isatty, tcgetattr, tcsetattr};
use std::net::Shutdown;
use std::os::unix::net::UnixStream as StdUnixStream;
use tokio::net::UnixStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

pub(super) async fn serve(endpoint: &Endpoint) -> Result<(), CommandError> {
    // A terminal that is deleted hangs up: sessions end in order then, too.
    let mut hangup = signal(SignalKind::hangup()).or_fail(ErrorKind::Internal)?;
    let mut terminate = signal(SignalKind::terminate()).or_fail(ErrorKind::Internal)?;
    make_raw()?;
    let (ours, theirs) = StdUnixStream::pair().or_fail(ErrorKind::Internal)?;
    for stream in [&ours, &theirs] {
        stream.set_nonblocking(true).or_fail(ErrorKind::Internal)?;
    }
    let ours = UnixStream::from_std(ours).or_fail(ErrorKind::Internal)?;
    let (printed, typing) = (typed()?, tokio::io::stdout());
    let cut = CancellationToken::new();
    let carry = async {
        let ended = tokio::select! {
            ended = hop_link::tunnel(ours, printed, typing, Side::Far) => ended.map(drop),
            _ = hangup.recv() => Ok(()),
            _ = terminate.recv() => Ok(()),
        };
        cut.cancel();
        ended.or_fail(ErrorKind::Unavailable)
    };
    let (ended, ()) = tokio::join!(carry, endpoint.serve_one(Incoming::Unix(theirs), cut.clone()));
    ended
}

/// Has the terminal pass on every byte as it is.
fn make_raw() -> Result<(), CommandError> {
    let input = std::io::stdin();
    if !isatty(&input) {
        return Ok(());
    }
    let mut modes = tcgetattr(&input).or_fail(ErrorKind::Config)?;
    modes.make_raw();
    tcsetattr(&input, OptionalActions::Now, &modes).or_fail(ErrorKind::Config)
}

/// What is typed. A thread of its own reads it: a descriptor that others share is not to be made nonblocking.
fn typed() -> Result<UnixStream, CommandError> {
    let (typed, mut giving) = StdUnixStream::pair().or_fail(ErrorKind::Internal)?;
    typed.set_nonblocking(true).or_fail(ErrorKind::Internal)?;
    let reading = std::thread::Builder::new().name("hop-typed".into()).spawn(move || {
        // By an error, too: the terminal is gone.
        let _ended = std::io::copy(&mut std::io::stdin().lock(), &mut giving);
        let _gone = giving.shutdown(Shutdown::Write);
    });
    reading.or_fail(ErrorKind::Internal)?;
    UnixStream::from_std(typed).or_fail(ErrorKind::Internal)
}
