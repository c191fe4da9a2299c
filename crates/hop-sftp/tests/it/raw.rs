//! A client without any sense: sends what it is told and shows what comes back.

use std::path::Path;
use std::process::Stdio;

use hop_sftp::codec::{
    Attributes, ClientPacket, Hello, LENGTH_PREFIX, OpenFlags, Request, Response, ServerPacket, StatusCode,
    frame_length,
};
use hop_sftp::server::{Account, ServeError, ServerOptions, Summary, serve};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

/// A packet from a server, without its length.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Packet(pub(crate) Vec<u8>);

impl Packet {
    pub(crate) fn id(&self) -> u32 {
        match ServerPacket::decode(&self.0) {
            Ok(ServerPacket::Response { id, .. }) => id,
            other => panic!("no response: {other:?}"),
        }
    }

    pub(crate) fn response(&self) -> Response<'_> {
        match ServerPacket::decode(&self.0) {
            Ok(ServerPacket::Response { response, .. }) => response,
            other => panic!("no response: {other:?}"),
        }
    }

    pub(crate) fn code(&self) -> StatusCode {
        match self.response() {
            Response::Status { code, .. } => code,
            other => panic!("no status: {other:?}"),
        }
    }

    pub(crate) fn handle(&self) -> Vec<u8> {
        match self.response() {
            Response::Handle(handle) => handle.to_vec(),
            other => panic!("no handle: {other:?}"),
        }
    }

    pub(crate) fn data(&self) -> &[u8] {
        match ServerPacket::decode(&self.0) {
            Ok(ServerPacket::Response { response: Response::Data(data), .. }) => data,
            other => panic!("no data: {other:?}"),
        }
    }

    pub(crate) fn attributes(&self) -> Attributes {
        match self.response() {
            Response::Attributes(attributes) => attributes,
            other => panic!("no attributes: {other:?}"),
        }
    }

    /// The one name of a NAME response.
    pub(crate) fn name(&self) -> Vec<u8> {
        match self.response() {
            Response::Name(entries) if entries.len() == 1 => entries[0].name.to_vec(),
            other => panic!("no single name: {other:?}"),
        }
    }
}

impl std::fmt::Debug for Packet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", ServerPacket::decode(&self.0))
    }
}

/// The two ends of a session's stream.
pub(crate) struct Raw {
    pub(crate) reader: Box<dyn AsyncRead + Unpin + Send>,
    pub(crate) writer: Box<dyn AsyncWrite + Unpin + Send>,
    next: u32,
    _child: Option<Child>,
}

impl Raw {
    pub(crate) fn over(stream: DuplexStream) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        Self { reader: Box::new(reader), writer: Box::new(writer), next: 0, _child: None }
    }

    /// Starts a server program in a folder.
    pub(crate) fn start(program: &Path, arguments: &[&str], folder: &Path) -> Self {
        let mut child = Command::new(program)
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the server starts");
        let (reader, writer) = (child.stdout.take().expect("piped"), child.stdin.take().expect("piped"));
        Self { reader: Box::new(reader), writer: Box::new(writer), next: 0, _child: Some(child) }
    }

    /// INIT and VERSION.
    pub(crate) async fn initialise(&mut self) -> Packet {
        let mut bytes = Vec::new();
        ClientPacket::Init(Hello { version: 3, extensions: Vec::new() }).encode(&mut bytes);
        self.send_bytes(&bytes).await;
        self.receive().await.expect("VERSION")
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        self.writer.write_all(bytes).await.expect("the server reads");
    }

    /// Sends a request without waiting for its response; its id.
    pub(crate) async fn send(&mut self, request: &Request<'_>) -> u32 {
        self.next += 1;
        let mut bytes = Vec::new();
        request.encode(self.next, &mut bytes);
        self.send_bytes(&bytes).await;
        self.next
    }

    /// The next packet; `None` at the end of the stream.
    pub(crate) async fn receive(&mut self) -> Option<Packet> {
        let mut prefix = [0; LENGTH_PREFIX];
        self.reader.read_exact(&mut prefix).await.ok()?;
        let length = frame_length(&prefix).expect("a sane length").expect("a whole prefix");
        let mut packet = vec![0; length];
        self.reader.read_exact(&mut packet).await.expect("a whole packet");
        Some(Packet(packet))
    }

    /// One request and its response.
    pub(crate) async fn ask(&mut self, request: &Request<'_>) -> Packet {
        let id = self.send(request).await;
        let packet = self.receive().await.expect("a response");
        assert_eq!(packet.id(), id);
        packet
    }

    pub(crate) async fn open(&mut self, path: &[u8], flags: OpenFlags) -> Vec<u8> {
        self.ask(&Request::Open { path, flags, attributes: Attributes::default() }).await.handle()
    }
}

/// An in-process session.
pub(crate) struct Session {
    pub(crate) raw: Raw,
    pub(crate) outcome: JoinHandle<Result<Summary, ServeError>>,
}

pub(crate) fn options(folder: &Path) -> ServerOptions {
    let account = Account { name: "tester".into(), home: folder.to_owned() };
    ServerOptions { start_directory: Some(folder.to_owned()), ..ServerOptions::new(account) }
}

/// Serves a session in a task, over a stream of `capacity` bytes each way.
pub(crate) fn session_with(options: ServerOptions, capacity: usize) -> Session {
    let (ours, theirs) = tokio::io::duplex(capacity);
    let (reader, writer) = tokio::io::split(theirs);
    Session { raw: Raw::over(ours), outcome: tokio::spawn(serve(reader, writer, options)) }
}

/// Serves a session with the folder as its start, after INIT.
pub(crate) async fn session(folder: &Path) -> Session {
    let mut session = session_with(options(folder), 64 * 1024);
    session.raw.initialise().await;
    session
}

impl Session {
    /// Ends the stream and waits for the server's end.
    pub(crate) async fn end(self) -> Result<Summary, ServeError> {
        let Self { mut raw, outcome } = self;
        raw.writer.shutdown().await.expect("shutdown");
        while raw.receive().await.is_some() {}
        outcome.await.expect("the server does not panic")
    }
}
