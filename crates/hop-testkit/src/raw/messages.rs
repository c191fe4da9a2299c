//! Messages of the connection protocol (RFC 4254), made and looked into by hand.

use std::fmt;

use hop_ssh::message;
use hop_ssh::wire::{Put, Reader};

use super::Granted;

/// SSH_MSG_CHANNEL_OPEN with what its type adds.
pub fn open(kind: &str, local: u32, window: u32, largest: u32, data: &[u8]) -> Vec<u8> {
    let mut message = vec![message::CHANNEL_OPEN];
    message.put_string(kind);
    message.put_uint32(local);
    message.put_uint32(window);
    message.put_uint32(largest);
    message.put_raw(data);
    message
}

/// An open of type `direct-tcpip` to a port of 127.0.0.1.
pub fn open_port(local: u32, window: u32, port: u16) -> Vec<u8> {
    let mut ends = Vec::new();
    ends.put_string("127.0.0.1");
    ends.put_uint32(u32::from(port));
    ends.put_string("127.0.0.1");
    ends.put_uint32(1);
    open("direct-tcpip", local, window, 32 * 1024, &ends)
}

/// SSH_MSG_CHANNEL_REQUEST.
pub fn request(remote: u32, name: &str, want_reply: bool, data: &[u8]) -> Vec<u8> {
    let mut message = numbered(message::CHANNEL_REQUEST, remote);
    message.put_string(name);
    message.put_boolean(want_reply);
    message.put_raw(data);
    message
}

/// A request whose data is one string, that wants a reply.
pub fn request_text(remote: u32, name: &str, text: &str) -> Vec<u8> {
    let mut data = Vec::new();
    data.put_string(text);
    request(remote, name, true, &data)
}

/// The request `exec`, which wants a reply.
pub fn exec(remote: u32, command: &str) -> Vec<u8> {
    request_text(remote, "exec", command)
}

/// The request `env`, which wants a reply.
pub fn env(remote: u32, name: &str, value: &str) -> Vec<u8> {
    let mut data = Vec::new();
    data.put_string(name);
    data.put_string(value);
    request(remote, "env", true, &data)
}

/// SSH_MSG_GLOBAL_REQUEST.
pub fn global(name: &str, want_reply: bool, data: &[u8]) -> Vec<u8> {
    let mut message = vec![message::GLOBAL_REQUEST];
    message.put_string(name);
    message.put_boolean(want_reply);
    message.put_raw(data);
    message
}

/// The global request `tcpip-forward`, which wants a reply.
pub fn tcpip_forward(address: &str, port: u32) -> Vec<u8> {
    let mut data = Vec::new();
    data.put_string(address);
    data.put_uint32(port);
    global("tcpip-forward", true, &data)
}

/// SSH_MSG_CHANNEL_DATA.
pub fn data(remote: u32, bytes: &[u8]) -> Vec<u8> {
    let mut message = numbered(message::CHANNEL_DATA, remote);
    message.put_string(bytes);
    message
}

/// SSH_MSG_CHANNEL_EOF.
pub fn eof(remote: u32) -> Vec<u8> {
    numbered(message::CHANNEL_EOF, remote)
}

/// SSH_MSG_CHANNEL_CLOSE.
pub fn close(remote: u32) -> Vec<u8> {
    numbered(message::CHANNEL_CLOSE, remote)
}

/// SSH_MSG_CHANNEL_WINDOW_ADJUST.
pub fn adjust(remote: u32, credit: u32) -> Vec<u8> {
    let mut message = numbered(message::CHANNEL_WINDOW_ADJUST, remote);
    message.put_uint32(credit);
    message
}

/// SSH_MSG_CHANNEL_OPEN_CONFIRMATION.
pub fn confirm(recipient: u32, local: u32, window: u32, largest: u32) -> Vec<u8> {
    let mut message = numbered(message::CHANNEL_OPEN_CONFIRMATION, recipient);
    for field in [local, window, largest] {
        message.put_uint32(field);
    }
    message
}

/// A message that begins with a channel's number.
pub fn numbered(number: u8, remote: u32) -> Vec<u8> {
    let mut message = vec![number];
    message.put_uint32(remote);
    message
}

/// What a confirmation grants.
pub fn granted(message: &[u8]) -> Option<Granted> {
    let mut reader = after_channel(message)?;
    Some(Granted {
        remote: reader.uint32().ok()?,
        window: reader.uint32().ok()?,
        largest: reader.uint32().ok()?,
    })
}

/// The bytes of a data message, of either kind.
pub fn data_in(message: &[u8]) -> Option<&[u8]> {
    let mut reader = after_channel(message)?;
    if message.first() == Some(&message::CHANNEL_EXTENDED_DATA) {
        reader.uint32().ok()?;
    }
    reader.string().ok()
}

/// The number (uint32) right behind the channel's: credit, or a reason.
pub fn number_in(message: &[u8]) -> Option<u32> {
    after_channel(message)?.uint32().ok()
}

/// Whether a global or channel request wants a reply.
pub fn wants_reply(message: &[u8]) -> bool {
    let mut reader = match message.first() {
        Some(&message::GLOBAL_REQUEST) => Reader::new(message.get(1..).unwrap_or_default()),
        _ => after_channel(message).unwrap_or(Reader::new(&[])),
    };
    reader.string().is_ok() && reader.boolean().unwrap_or(false)
}

/// A channel request in words: its name, and the value of `exit-status` and `exit-signal`.
pub fn request_in(message: &[u8]) -> String {
    let read = || {
        let mut reader = after_channel(message)?;
        let name = reader.text().ok()?;
        reader.boolean().ok()?;
        Some(match name {
            "exit-status" => format!("{name} {}", reader.uint32().ok()?),
            "exit-signal" => format!("{name} {}", reader.text().ok()?),
            other => other.to_owned(),
        })
    };
    read().unwrap_or_else(|| "malformed request".to_owned())
}

fn after_channel(message: &[u8]) -> Option<Reader<'_>> {
    message.get(5..).map(Reader::new)
}

/// A message for a person.
pub struct Shown<'a>(pub &'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = self.0.get(..self.0.len().min(200)).unwrap_or_default();
        let number = self.0.first().copied().unwrap_or_default();
        write!(formatter, "message {number} of {} bytes: {}", self.0.len(), start.escape_ascii())
    }
}
