//! A local stream carried in lines over a terminal, both ends alike.
//!
//! What must stay true: everything the far end sends is read at once, whatever the local side does, since a terminal that
//! nobody reads stops a Jupyter server; so no more than a window of it is ever under way, and a far end that sends more is cut.

use super::line::{Lines, MOST, Part, PartKind};
use std::collections::VecDeque;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};
use tokio::sync::Notify;

/// Bytes under way in one direction at most.
const WINDOW: u64 = 1024 * 1024;
/// So many that were delivered are told of at once.
const TOLD: u64 = WINDOW / 4;
/// How often an end without anything to say shows that it lives.
const ALIVE: Duration = Duration::from_secs(20);
/// An end that was not heard for so long is gone.
const SILENCE: Duration = Duration::from_secs(75);
/// How long the far end may take to end, too.
const GOODBYE: Duration = Duration::from_secs(5);
/// How much is read at once.
const READ: usize = 64 * 1024;
/// How much of what a shell says is kept, to say why nothing came.
const HEARD: usize = 400;

/// Which end this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// It waits for so long for the far end to begin.
    Near(Duration),
    /// It lies in the terminal, and begins.
    Far,
}

/// How a tunnel ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TunnelEnd {
    /// The local stream had no more.
    Here,
    /// The far end had no more.
    There,
}

/// Why a tunnel broke.
#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    /// The terminal never showed the far end.
    #[error("the program in the terminal did not begin; it printed: {0:?}")]
    Start(String),
    /// The terminal ended.
    #[error("the terminal ended")]
    Lost,
    /// A part is missing or was damaged.
    #[error("the terminal lost or damaged part {wanted}: part {got} came instead")]
    Damaged {
        /// What was to come.
        wanted: u32,
        /// What came.
        got: u32,
    },
    /// More than there was room for.
    #[error("the far end sends more than there is room for")]
    Overrun,
    /// No sign of life.
    #[error("nothing was heard from the far end for {} s", .0.as_secs())]
    Silent(Duration),
    /// Reading or writing.
    #[error("the terminal cannot be read or written: {0}")]
    Terminal(io::Error),
    /// The local stream.
    #[error("the local stream cannot be read or written: {0}")]
    Local(io::Error),
}

#[derive(Debug, Default)]
struct State {
    /// Received, not delivered yet. At most a window.
    inbox: VecDeque<Vec<u8>>,
    has_ended: bool,
    received: u64,
    delivered: u64,
    told: u64,
    sent: u64,
    taken: u64,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// The inbox has something new.
    arrived: Notify,
    /// The writer has something new to do.
    due: Notify,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Carries `local` until either side ends. What is read from `printed` is what the far end wrote; every write to `typing` is
/// whole lines.
///
/// # Errors
/// What broke it.
pub async fn tunnel<L, R, W>(local: L, printed: R, typing: W, side: Side) -> Result<TunnelEnd, TunnelError>
where
    L: AsyncRead + AsyncWrite + Unpin,
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let shared = Shared::default();
    let mut reader = Reader { printed, lines: Lines::default(), input: Vec::new(), expected: 0 };
    let mut writer = Writer { typing, number: 0 };
    match side {
        Side::Far => writer.begin().await?,
        Side::Near(limit) => reader.begin(limit).await?,
    }
    let (from_local, to_local) = split(local);
    let mut down = std::pin::pin!(async {
        tokio::try_join!(reader.run(&shared), deliver(&shared, to_local)).map(|((), ())| ())
    });
    tokio::select! {
        ended = &mut down => return ended.map(|()| TunnelEnd::There),
        ended = writer.run(&shared, from_local) => ended?,
    }
    // The end was said: what is under way may still arrive. Whoever has nothing more to say may be gone: an error is no news.
    let _late = tokio::time::timeout(GOODBYE, down).await;
    Ok(TunnelEnd::Here)
}

struct Reader<R> {
    printed: R,
    lines: Lines,
    input: Vec<u8>,
    expected: u32,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    /// Passes over what a shell prints, until the far end says hello.
    async fn begin(&mut self, limit: Duration) -> Result<(), TunnelError> {
        let mut heard = VecDeque::new();
        let hello = async {
            loop {
                let before = self.input.len();
                self.fill().await?;
                heard.extend(self.input.get(before..).unwrap_or_default());
                let excess = heard.len().saturating_sub(HEARD);
                heard.drain(..excess);
                while let Some(part) = self.take() {
                    if part.kind == PartKind::Hello {
                        self.expected = part.number.wrapping_add(1);
                        return Ok(());
                    }
                }
            }
        };
        match tokio::time::timeout(limit, hello).await {
            Ok(Err(TunnelError::Terminal(error))) => Err(TunnelError::Terminal(error)),
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => {
                let heard: Vec<u8> = heard.into();
                Err(TunnelError::Start(String::from_utf8_lossy(&heard).into_owned()))
            }
        }
    }

    async fn fill(&mut self) -> Result<(), TunnelError> {
        self.input.reserve(READ);
        match self.printed.read_buf(&mut self.input).await {
            Ok(0) => Err(TunnelError::Lost),
            Ok(_) => Ok(()),
            Err(error) => Err(TunnelError::Terminal(error)),
        }
    }

    fn take(&mut self) -> Option<Part> {
        let (taken, part) = self.lines.next(&self.input);
        self.input.drain(..taken);
        part
    }

    /// Reads until the far end ends.
    async fn run(&mut self, shared: &Shared) -> Result<(), TunnelError> {
        loop {
            while let Some(part) = self.take() {
                if part.number != self.expected {
                    return Err(TunnelError::Damaged { wanted: self.expected, got: part.number });
                }
                self.expected = self.expected.wrapping_add(1);
                if shared.accept(part)? {
                    return Ok(());
                }
            }
            tokio::time::timeout(SILENCE, self.fill()).await.map_err(|_| TunnelError::Silent(SILENCE))??;
        }
    }
}

impl Shared {
    /// Takes a part; whether it was the last.
    fn accept(&self, part: Part) -> Result<bool, TunnelError> {
        let mut state = self.state();
        match part.kind {
            PartKind::Data => {
                state.received = state.received.saturating_add(part.payload.len() as u64);
                if state.received - state.delivered > WINDOW {
                    return Err(TunnelError::Overrun);
                }
                state.inbox.push_back(part.payload);
                self.arrived.notify_one();
            }
            PartKind::Delivered => {
                let count = part.payload.first_chunk().map_or(0, |count| u64::from_be_bytes(*count));
                // Never more than was sent: else the window would be the far end's to choose.
                state.taken = state.taken.max(count.min(state.sent));
                self.due.notify_one();
            }
            PartKind::End => {
                state.has_ended = true;
                self.arrived.notify_one();
                return Ok(true);
            }
            PartKind::Hello | PartKind::Alive => {}
        }
        Ok(false)
    }

    /// What is to be told as delivered now.
    fn report(&self) -> Option<u64> {
        let mut state = self.state();
        let is_due = state.delivered - state.told >= TOLD;
        is_due.then(|| {
            state.told = state.delivered;
            state.told
        })
    }
}

/// Gives the local side what has arrived, until the far end's end.
async fn deliver<W: AsyncWrite + Unpin>(shared: &Shared, mut local: W) -> Result<(), TunnelError> {
    loop {
        let next = {
            let mut state = shared.state();
            match state.inbox.pop_front() {
                None if state.has_ended => break,
                next => next,
            }
        };
        let Some(bytes) = next else {
            shared.arrived.notified().await;
            continue;
        };
        local.write_all(&bytes).await.map_err(TunnelError::Local)?;
        local.flush().await.map_err(TunnelError::Local)?;
        let mut state = shared.state();
        state.delivered += bytes.len() as u64;
        if state.delivered - state.told >= TOLD {
            shared.due.notify_one();
        }
    }
    // A local side that is gone needs no end.
    let _gone = local.shutdown().await;
    Ok(())
}

struct Writer<W> {
    typing: W,
    number: u32,
}

impl<W: AsyncWrite + Unpin> Writer<W> {
    /// Begins a line of its own: a shell leaves words in front of what it runs (readline's end of bracketed paste).
    async fn begin(&mut self) -> Result<(), TunnelError> {
        self.typing.write_all(b"\n").await.map_err(TunnelError::Terminal)?;
        self.send(PartKind::Hello, Vec::new()).await
    }

    async fn send(&mut self, kind: PartKind, payload: Vec<u8>) -> Result<(), TunnelError> {
        let line = Part { kind, number: self.number, payload }.line();
        self.number = self.number.wrapping_add(1);
        self.typing.write_all(line.as_bytes()).await.map_err(TunnelError::Terminal)?;
        self.typing.flush().await.map_err(TunnelError::Terminal)
    }

    /// Sends until the local side ends.
    async fn run<L: AsyncRead + Unpin>(&mut self, shared: &Shared, mut local: L) -> Result<(), TunnelError> {
        let mut piece = vec![0; MOST];
        loop {
            if let Some(delivered) = shared.report() {
                self.send(PartKind::Delivered, delivered.to_be_bytes().to_vec()).await?;
            }
            let room = {
                let state = shared.state();
                usize::try_from(WINDOW - (state.sent - state.taken)).unwrap_or(MOST).min(MOST)
            };
            let room = piece.get_mut(..room).unwrap_or_default();
            tokio::select! {
                // An empty room would read as the end.
                count = local.read(room), if !room.is_empty() => {
                    let count = count.map_err(TunnelError::Local)?;
                    if count == 0 {
                        return self.send(PartKind::End, Vec::new()).await;
                    }
                    shared.state().sent += count as u64;
                    let bytes = room.get(..count).unwrap_or_default().to_vec();
                    self.send(PartKind::Data, bytes).await?;
                }
                () = shared.due.notified() => {}
                () = tokio::time::sleep(ALIVE) => self.send(PartKind::Alive, Vec::new()).await?,
            }
        }
    }
}

#[cfg(test)]
mod tests;
