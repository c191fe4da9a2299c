//! The messages of a terminal's WebSocket: JSON arrays, `["stdin", TEXT]` there and `["stdout", TEXT]` back.

use serde_json::Value;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The longest message that is read: several of the pieces in which a server reads a terminal.
const MOST: usize = 1024 * 1024;
/// How much is read at once.
const READ: usize = 64 * 1024;

/// What is wrong with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// It is not a list with a name in front.
    #[error("the terminal sent something that is no message of a Jupyter server's terminal")]
    Shape,
    /// It has no end.
    #[error("the terminal sent a message of more than 1 MiB")]
    Long,
}

/// The message that types a text.
fn typed(text: &str) -> String {
    serde_json::json!(["stdin", text]).to_string()
}

/// What a terminal prints, read from its messages.
#[derive(Debug)]
pub struct TerminalReader<R> {
    messages: R,
    splitter: Splitter,
    input: Vec<u8>,
    text: Vec<u8>,
    given: usize,
    is_over: bool,
}

impl<R: AsyncRead + Unpin> TerminalReader<R> {
    /// From the payloads of the messages, one behind the other.
    pub fn new(messages: R) -> Self {
        let splitter = Splitter::default();
        Self { messages, splitter, input: vec![0; READ], text: Vec::new(), given: 0, is_over: false }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for TerminalReader<R> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let rest = this.text.get(this.given..).unwrap_or_default();
            if !rest.is_empty() || this.is_over {
                let count = rest.len().min(buffer.remaining());
                buffer.put_slice(rest.get(..count).unwrap_or_default());
                this.given += count;
                return Poll::Ready(Ok(()));
            }
            this.text.clear();
            this.given = 0;
            let mut input = ReadBuf::new(&mut this.input);
            ready!(Pin::new(&mut this.messages).poll_read(cx, &mut input))?;
            let input = input.filled();
            this.is_over = input.is_empty();
            let ended = this.splitter.take(input, &mut this.text);
            this.is_over |= ended.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
    }
}

/// Types what is written, in one message for each write.
#[derive(Debug)]
pub struct TerminalWriter<W> {
    messages: W,
    message: Vec<u8>,
    sent: usize,
}

impl<W: AsyncWrite + Unpin> TerminalWriter<W> {
    /// Over a layer that makes one message of each write.
    pub fn new(messages: W) -> Self {
        Self { messages, message: Vec::new(), sent: 0 }
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.message.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.messages).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.sent += count,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for TerminalWriter<W> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        let text =
            std::str::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        this.message = typed(text).into_bytes();
        this.sent = 0;
        match this.poll_drain(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(bytes.len())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        Pin::new(&mut this.messages).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        Pin::new(&mut this.messages).poll_shutdown(cx)
    }
}

/// Finds the arrays in the payloads: where one message ends is not passed on by the layer below.
#[derive(Debug, Default)]
struct Splitter {
    message: Vec<u8>,
    depth: u32,
    in_text: bool,
    is_escaped: bool,
}

impl Splitter {
    /// Appends what was printed; whether the terminal has ended.
    fn take(&mut self, input: &[u8], text: &mut Vec<u8>) -> Result<bool, MessageError> {
        for byte in input {
            if self.depth == 0 && byte.is_ascii_whitespace() {
                continue;
            }
            if self.message.len() >= MOST {
                return Err(MessageError::Long);
            }
            self.message.push(*byte);
            match (byte, self.in_text, self.is_escaped) {
                (_, true, true) => self.is_escaped = false,
                (b'\\', true, false) => self.is_escaped = true,
                (b'"', ..) => self.in_text = !self.in_text,
                (b'[' | b'{', false, _) => self.depth += 1,
                (b']' | b'}', false, _) => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
            if self.depth > 0 {
                continue;
            }
            let message: Value = serde_json::from_slice(&self.message).map_err(|_| MessageError::Shape)?;
            self.message.clear();
            match (message.get(0).and_then(Value::as_str), message.get(1)) {
                (Some("stdout"), Some(Value::String(printed))) => text.extend_from_slice(printed.as_bytes()),
                (Some("disconnect"), _) => return Ok(true),
                // A newer server may say more.
                (Some(_), _) => {}
                (None, _) => return Err(MessageError::Shape),
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(input: &[u8], piece: usize) -> Result<(String, bool), MessageError> {
        let (mut splitter, mut text) = (Splitter::default(), Vec::new());
        for part in input.chunks(piece) {
            if splitter.take(part, &mut text)? {
                return Ok((String::from_utf8(text).unwrap(), true));
            }
        }
        Ok((String::from_utf8(text).unwrap(), false))
    }

    #[test]
    fn messages_one_behind_the_other() {
        let input =
            br#"["setup", {}]["stdout", "a\"]\\"] ["new", [1]]["stdout", "\u00e9\r\n"]["disconnect", 1]["#;
        for piece in [1, 3, 1000] {
            assert_eq!(read(input, piece), Ok(("a\"]\\é\r\n".to_owned(), true)), "{piece}");
        }
        assert_eq!(typed("a\n\""), r#"["stdin","a\n\""]"#);
    }

    #[test]
    fn what_is_none() {
        for bad in ["x", "[1]", "{}", "[]", "\"a\"", "]"] {
            assert_eq!(read(bad.as_bytes(), 1), Err(MessageError::Shape), "{bad}");
        }
        let endless = [b"[\"stdout\", \"".as_slice(), &vec![b'x'; MOST]].concat();
        assert_eq!(read(&endless, 4096), Err(MessageError::Long));
    }

    proptest! {
        #[test]
        fn reading_never_panics(input in "[\\[\\]{}\",a\\\\1]{0,60}", piece in 1..9usize) {
            let _ = read(input.as_bytes(), piece);
        }

        #[test]
        fn what_is_printed_arrives(texts in prop::collection::vec(".{0,40}", 0..6), piece in 1..30usize) {
            let input: String =
                texts.iter().map(|text| serde_json::json!(["stdout", text]).to_string()).collect();
            prop_assert_eq!(read(input.as_bytes(), piece), Ok((texts.concat(), false)));
        }
    }
}
