//! A peer that a test drives message by message: real key exchange and encryption, and above that whatever the test
//! wants to say, in any order, known or not.
//!
//! It blocks, with a time limit on every wait; what does not go as the test says is a panic that tells what came.
#![expect(clippy::panic, reason = "a peer that cannot do its part ends the test, as an assertion does")]

pub mod messages;
pub mod plain;
pub mod userauth;

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hop_keys::{Identity, PrivateKey};
use hop_ssh::auth::{ClientAuth, ClientStep, Offer, Question, ServerAuth, ServerStep, SessionBinding};
use hop_ssh::message;
use hop_ssh::wire::Reader;
use hop_ssh::{ClientConfig, Error, HostKey, ServerConfig, Transport};

/// How long anything may take. Two loaded cores and a debug build on the other side.
const LIMIT: Duration = Duration::from_secs(60);

/// One end of a connection.
pub struct RawPeer {
    stream: TcpStream,
    transport: Transport,
    sent: u32,
    /// Heard, but not asked for yet.
    kept: VecDeque<Vec<u8>>,
}

/// What came.
#[derive(Debug)]
pub enum Heard {
    /// A message for a layer above the transport, or one whose number nobody knows.
    Message(Vec<u8>),
    /// The peer does not know our packet of this sequence number.
    Unimplemented(u32),
    /// The connection ended, or the peer broke a rule.
    End(Error),
}

/// A channel that the peer granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Granted {
    /// The peer's number for it.
    pub remote: u32,
    /// What may be sent to it at first.
    pub window: u32,
    /// The largest data message that it takes.
    pub largest: u32,
}

/// All that came on one channel until it was closed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Conversation {
    /// Standard output.
    pub data: Vec<u8>,
    /// Standard error.
    pub errors: Vec<u8>,
    /// Messages other than data and window adjustments, in order: `success`, `failure`, `eof`, `close`, or a
    /// request's name with its value, as `exit-status 3`; `data` stands for any number of data messages in a row.
    pub order: Vec<String>,
}

impl RawPeer {
    /// A client with this software string that has exchanged keys.
    pub fn connect(address: SocketAddr, software: &str) -> Self {
        let mut config = ClientConfig::new(Arc::new(|_: &Identity| Ok(())));
        software.clone_into(&mut config.software);
        Self::connect_with(address, config)
    }

    /// The same with another configuration.
    pub fn connect_with(address: SocketAddr, config: ClientConfig) -> Self {
        let stream = TcpStream::connect(address).unwrap_or_else(|e| panic!("connecting to {address}: {e}"));
        let transport = Transport::client(Arc::new(config), Instant::now())
            .unwrap_or_else(|e| panic!("starting a client: {e}"));
        Self::start(stream, transport)
    }

    /// A server with this key for a client that has connected.
    pub fn serve(stream: TcpStream, host_key: PrivateKey, software: &str) -> Self {
        let mut config = ServerConfig::new(vec![HostKey::new(host_key)]);
        software.clone_into(&mut config.software);
        let transport = Transport::server(Arc::new(config), Instant::now())
            .unwrap_or_else(|e| panic!("starting a server: {e}"));
        Self::start(stream, transport)
    }

    fn start(stream: TcpStream, transport: Transport) -> Self {
        let ready = stream.set_read_timeout(Some(LIMIT)).and_then(|()| stream.set_write_timeout(Some(LIMIT)));
        ready.and_then(|()| stream.set_nodelay(true)).unwrap_or_else(|e| panic!("setting up a socket: {e}"));
        // A server's first packet under new keys is its SSH_MSG_EXT_INFO.
        let sent = u32::from(transport.is_server());
        let mut peer = Self { stream, transport, sent, kept: VecDeque::new() };
        while peer.transport.session_id().is_none() {
            match peer.transport.next(Instant::now()) {
                Ok(None) => {}
                // The first message under the new keys may come together with them.
                Ok(Some(payload)) => peer.kept.push_back(peer.transport.payload(&payload).to_vec()),
                Err(error) => panic!("exchanging keys: {error}"),
            }
            if peer.transport.session_id().is_none() {
                peer.flush();
                peer.read().unwrap_or_else(|e| panic!("exchanging keys: {e}"));
            }
        }
        peer.flush();
        peer
    }

    /// Logs in with a key.
    ///
    /// # Panics
    /// When it is refused.
    pub fn log_in(&mut self, user: &str, key: &PrivateKey) {
        let binding = self.binding();
        let extensions = self.transport.peer_extensions().clone();
        let offer = Offer::Key(Identity::Key(key.public().clone()));
        let (mut auth, first) = ClientAuth::start(binding, user, extensions, [offer]);
        self.send(&first);
        loop {
            let message = self.message();
            auth.set_extensions(self.transport.peer_extensions());
            match auth.on_message(&message) {
                Ok(ClientStep::Reply(reply)) => self.send(&reply),
                Ok(ClientStep::Wait | ClientStep::Banner(_)) => {}
                Ok(ClientStep::Sign { algorithm, message, .. }) => {
                    let signature = key.sign(algorithm, &message).unwrap_or_else(|e| panic!("signing: {e}"));
                    let request = auth.signature(Some(&signature));
                    self.send(&request.unwrap_or_else(|e| panic!("logging in as {user}: {e}")));
                }
                Ok(ClientStep::Ask(request)) => panic!("the server asks {request:?}"),
                Ok(ClientStep::Done) => break,
                Err(error) => panic!("logging in as {user}: {error}"),
            }
        }
        self.transport.set_authenticated();
    }

    /// As a server: lets the client in whatever key it has, by the name it gives; that name.
    pub fn let_in(&mut self) -> String {
        let mut auth = ServerAuth::new(self.binding(), 6);
        loop {
            let message = self.message();
            match auth.on_message(&message) {
                Ok(ServerStep::Reply(reply)) => self.send(&reply),
                Ok(ServerStep::Ask(question)) => {
                    let reply = auth.answer(true).unwrap_or_else(|e| panic!("letting a client in: {e}"));
                    self.send(&reply.0);
                    if let Question::Login(key) = question {
                        self.transport.set_authenticated();
                        return key.user().to_owned();
                    }
                }
                Err(error) => panic!("letting a client in: {error}"),
            }
        }
    }

    /// What signatures for authentication are bound to.
    pub fn binding(&self) -> SessionBinding {
        SessionBinding::of(&self.transport).unwrap_or_else(|| panic!("keys were not exchanged"))
    }

    /// The transport, for what it knows of the peer.
    pub fn transport(&self) -> &Transport {
        &self.transport
    }

    /// Our end of the connection.
    pub fn local_address(&self) -> SocketAddr {
        self.stream.local_addr().unwrap_or_else(|e| panic!("a connected socket has an address: {e}"))
    }

    /// The sequence number of the next packet that is sent: they count from the last exchange of keys.
    pub fn next_sequence(&self) -> u32 {
        self.sent
    }

    /// Sends one message.
    pub fn send(&mut self, message: &[u8]) {
        self.send_together(&[message]);
    }

    /// Sends messages in one write.
    pub fn send_together(&mut self, messages: &[impl AsRef<[u8]>]) {
        for message in messages {
            self.sent += 1;
            let sent = self.transport.send(message.as_ref(), &[]);
            sent.unwrap_or_else(|e| panic!("sending: {e}"));
        }
        self.flush();
    }

    /// Sends one message in two halves, and does something `between`.
    pub fn send_in_halves(&mut self, message: &[u8], between: impl FnOnce()) {
        self.sent += 1;
        let sent = self.transport.send(message, &[]);
        sent.unwrap_or_else(|e| panic!("sending: {e}"));
        let output = self.transport.output();
        let half = output.len() / 2;
        let written = self.stream.write_all(output.pending().get(..half).unwrap_or_default());
        written.unwrap_or_else(|e| panic!("writing to the peer: {e}"));
        output.consume(half);
        between();
        self.flush();
    }

    /// Exchanges keys anew; messages that come meanwhile are kept as if they came after.
    pub fn rekey(&mut self) {
        let started = self.transport.start_rekey(Instant::now());
        started.unwrap_or_else(|e| panic!("starting a key exchange: {e}"));
        self.flush();
        loop {
            match self.fresh() {
                Some(Heard::Message(message)) => self.kept.push_back(message),
                Some(other) => panic!("while keys were exchanged came {other:?}"),
                None if !self.transport.is_exchanging() => break,
                None => {
                    self.flush();
                    let read = self.read();
                    read.unwrap_or_else(|e| panic!("exchanging keys: {e}"));
                }
            }
        }
        self.flush();
        self.sent = 0;
    }

    /// Waits for what comes next.
    pub fn hear(&mut self) -> Heard {
        if let Some(message) = self.kept.pop_front() {
            return Heard::Message(message);
        }
        loop {
            if let Some(heard) = self.fresh() {
                return heard;
            }
            self.flush();
            match self.read() {
                Ok(0) => return Heard::End(Error::Closed),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    panic!("nothing came within {LIMIT:?}")
                }
                Err(error) => return Heard::End(Error::Io(error)),
            }
        }
    }

    /// What has arrived already.
    fn fresh(&mut self) -> Option<Heard> {
        let next = match self.transport.next(Instant::now()) {
            Ok(next) => next.map(|payload| self.transport.payload(&payload).to_vec()),
            Err(error) => return Some(Heard::End(error)),
        };
        match (self.transport.take_unimplemented(), next) {
            (Some(sequence), next) => {
                self.kept.extend(next);
                Some(Heard::Unimplemented(sequence))
            }
            (None, next) => next.map(Heard::Message),
        }
    }

    /// Waits for a message.
    ///
    /// # Panics
    /// When something else comes.
    pub fn message(&mut self) -> Vec<u8> {
        match self.hear() {
            Heard::Message(message) => message,
            other => panic!("instead of a message came {other:?}"),
        }
    }

    /// Waits for a message of this number; others before it that may come at any time (banners, window adjustments,
    /// announcements of host keys) are passed over.
    pub fn expect(&mut self, number: u8) -> Vec<u8> {
        loop {
            let message = self.message();
            match message.first() {
                Some(found) if *found == number => return message,
                Some(&message::CHANNEL_WINDOW_ADJUST | &message::USERAUTH_BANNER) => {}
                Some(&message::GLOBAL_REQUEST) if !messages::wants_reply(&message) => {}
                _ => panic!("instead of message {number} came {}", messages::Shown(&message)),
            }
        }
    }

    /// Waits for the end of the connection.
    ///
    /// # Panics
    /// When it goes on for more than 10,000 messages.
    pub fn end(&mut self) -> Error {
        for _ in 0..10_000 {
            if let Heard::End(error) = self.hear() {
                return error;
            }
        }
        panic!("the connection does not end")
    }

    /// Opens a session channel and waits for its confirmation.
    pub fn open_session(&mut self, local: u32, window: u32, largest: u32) -> Granted {
        self.open(&messages::open("session", local, window, largest, &[]))
    }

    /// Sends an open and waits for its confirmation.
    pub fn open(&mut self, open: &[u8]) -> Granted {
        self.send(open);
        let reply = self.expect(message::CHANNEL_OPEN_CONFIRMATION);
        messages::granted(&reply).unwrap_or_else(|| panic!("a malformed confirmation {reply:?}"))
    }

    /// Runs a command on a fresh channel with ample window, without input; everything until its end.
    pub fn run(&mut self, command: &str) -> Conversation {
        let granted = self.open_session(0, 1 << 30, 32 * 1024);
        self.send(&messages::exec(granted.remote, command));
        self.send(&messages::eof(granted.remote));
        self.until_closed(granted.remote)
    }

    /// Collects what comes on the only open channel until the peer closes it, then closes it, too.
    pub fn until_closed(&mut self, remote: u32) -> Conversation {
        let mut conversation = Conversation::default();
        while conversation.order.last().is_none_or(|last| last != "close") {
            let message = self.message();
            if !conversation.take(&message) {
                panic!("while a channel was open came {}", messages::Shown(&message));
            }
        }
        self.send(&messages::close(remote));
        conversation
    }

    fn read(&mut self) -> io::Result<usize> {
        let input = self.transport.input();
        let count = self.stream.read(input.spare())?;
        input.commit(count);
        Ok(count)
    }

    fn flush(&mut self) {
        let output = self.transport.output();
        while !output.is_empty() {
            match self.stream.write(output.pending()) {
                Ok(count) => output.consume(count),
                // A peer that has hung up is heard of by reading.
                Err(error) if is_gone(&error) => return,
                Err(error) => panic!("writing to the peer: {error}"),
            }
        }
    }
}

impl fmt::Debug for RawPeer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RawPeer").field("stream", &self.stream).finish_non_exhaustive()
    }
}

impl Conversation {
    /// Notes a message; whether it belongs to a channel.
    pub fn take(&mut self, message: &[u8]) -> bool {
        let mut reader = Reader::new(message);
        let Ok(number) = reader.byte() else { return false };
        let note = match number {
            message::CHANNEL_WINDOW_ADJUST => return true,
            message::GLOBAL_REQUEST => return !messages::wants_reply(message),
            message::CHANNEL_DATA => {
                self.data.extend_from_slice(messages::data_in(message).unwrap_or_default());
                "data".to_owned()
            }
            message::CHANNEL_EXTENDED_DATA => {
                self.errors.extend_from_slice(messages::data_in(message).unwrap_or_default());
                "errors".to_owned()
            }
            message::CHANNEL_SUCCESS => "success".to_owned(),
            message::CHANNEL_FAILURE => "failure".to_owned(),
            message::CHANNEL_EOF => "eof".to_owned(),
            message::CHANNEL_CLOSE => "close".to_owned(),
            message::CHANNEL_REQUEST => messages::request_in(message),
            _ => return false,
        };
        if !matches!((self.order.last(), &*note), (Some(last), "data" | "errors") if *last == note) {
            self.order.push(note);
        }
        true
    }

    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.data).into_owned()
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}
