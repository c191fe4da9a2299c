//! Moves bytes between the stream and the session.
//!
//! Responses gather while whole requests are waiting and leave in one write as soon as none is, or when the
//! buffer is full: nobody waits for a timer. Reading goes on while responses wait to be sent, until the
//! request buffer is full too.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};

use super::aside::Desk;
use super::input::Input;
use super::order::Answer;
use super::output::Output;
use super::session::{MAX_RESPONSE, Session};
use super::{ServeError, Summary};

/// Requests answered in a row before other tasks of the thread get their turn.
const TURN: usize = 32;

/// Serves the session until the client's stream ends.
pub(crate) async fn drive<R, W>(reader: R, writer: W, session: Session) -> Result<Summary, ServeError>
where
    R: AsyncRead,
    W: AsyncWrite,
{
    let mut desk = Desk::new(session);
    let mut wire = Wire {
        reader: pin!(reader),
        writer: pin!(writer),
        input: Input::new(),
        output: Output::new(),
        ended: false,
        unflushed: false,
    };
    loop {
        let more = answer_some(&mut desk, &mut wire.input, &mut wire.output)?;
        if more {
            // Send what there is, wait for nothing, let others have the thread.
            poll_fn(|cx| match wire.poll_progress(cx) {
                Poll::Ready(result) => Poll::Ready(result),
                Poll::Pending => Poll::Ready(Ok(())),
            })
            .await?;
            tokio::task::yield_now().await;
            continue;
        }
        if wire.has_ended() && !desk.is_waiting() {
            break;
        }
        poll_fn(|cx| {
            let finished = desk.poll_finished(cx, &mut wire.output);
            match (finished, wire.poll_progress(cx)) {
                (Poll::Ready(Err(error)), _) => Poll::Ready(Err(error)),
                (Poll::Ready(Ok(())), Poll::Pending) => Poll::Ready(Ok(())),
                (_, progress) => progress,
            }
        })
        .await?;
    }
    if !wire.input.is_empty() {
        return Err(ServeError::CutShort);
    }
    wire.writer.shutdown().await.map_err(ServeError::Write)?;
    desk.into_session().map(|session| session.finish()).ok_or(ServeError::WorkerGone)
}

/// Answers requests while there are any and the output has room, at most a [`TURN`]. Returns whether there may be more.
fn answer_some(desk: &mut Desk, input: &mut Input, output: &mut Output) -> Result<bool, ServeError> {
    for _ in 0..TURN {
        if output.room() < MAX_RESPONSE {
            return Ok(false);
        }
        let Some((session, reads)) = desk.session() else { return Ok(false) };
        let Some(packet) = input.packet()? else { return Ok(false) };
        match session.answer(packet, reads, output)? {
            Answer::Given => {}
            Answer::ReadAside(read) => desk.start_read(read),
            Answer::Aside => desk.start(packet.to_vec()),
            Answer::Later => return Ok(false),
        }
        input.take();
    }
    Ok(true)
}

struct Wire<'a, R, W> {
    reader: Pin<&'a mut R>,
    writer: Pin<&'a mut W>,
    input: Input,
    output: Output,
    /// The client's stream has ended.
    ended: bool,
    /// Something was written that may still be held by the writer.
    unflushed: bool,
}

impl<R: AsyncRead, W: AsyncWrite> Wire<'_, R, W> {
    /// Whether nothing more comes in and everything has gone out.
    fn has_ended(&self) -> bool {
        self.ended && self.output.is_empty() && !self.unflushed && !matches!(self.input.packet(), Ok(Some(_)))
    }

    /// Writes and reads what can be without waiting. Ready when anything moved.
    fn poll_progress(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ServeError>> {
        let wrote = self.poll_write(cx)?;
        let read = self.poll_read(cx)?;
        if wrote || read { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<bool, ServeError> {
        let mut moved = false;
        while !self.output.is_empty() {
            match self.writer.as_mut().poll_write(cx, self.output.pending()) {
                Poll::Ready(Ok(0)) => return Err(ServeError::Write(std::io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => {
                    self.output.advance(count);
                    self.unflushed = true;
                    moved = true;
                }
                Poll::Ready(Err(error)) => return Err(ServeError::Write(error)),
                Poll::Pending => return Ok(moved),
            }
        }
        if self.unflushed {
            match self.writer.as_mut().poll_flush(cx) {
                Poll::Ready(Ok(())) => {
                    self.unflushed = false;
                    moved = true;
                }
                Poll::Ready(Err(error)) => return Err(ServeError::Write(error)),
                Poll::Pending => {}
            }
        }
        Ok(moved)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Result<bool, ServeError> {
        if self.ended {
            return Ok(false);
        }
        let space = self.input.space();
        if space.is_empty() {
            return Ok(false);
        }
        let mut buffer = ReadBuf::new(space);
        match self.reader.as_mut().poll_read(cx, &mut buffer) {
            Poll::Ready(Ok(())) => {
                let count = buffer.filled().len();
                self.input.filled(count);
                self.ended = count == 0;
                Ok(true)
            }
            Poll::Ready(Err(error)) => Err(ServeError::Read(error)),
            Poll::Pending => Ok(false),
        }
    }
}
