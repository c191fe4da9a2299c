//! What only an own client can ask for: single requests, in any order, and what comes back in which order.

use std::sync::Arc;
use std::time::Duration;

use hop_keys::{Identity, PrivateKey, SignatureAlgorithm};
use hop_ssh::ClientConfig;
use hop_ssh::auth::{InfoRequest, Offer};
use hop_ssh::connection::{
    ChannelKind, ChannelRequest, GlobalRequest, Limits, PtyRequest, Stream, TcpEnds, WindowSize, X11Request,
};
use hop_ssh::driver::{Answers, Arrivals, Channel, ClientLogin, Connection, Incoming, OpenError};
use hop_ssh::message::OpenFailure;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::server::Server;

/// Signs with one key.
struct Key(PrivateKey);

impl Answers for Key {
    async fn sign(
        &mut self,
        _identity: &Identity,
        algorithm: SignatureAlgorithm,
        message: &[u8],
    ) -> Option<Vec<u8>> {
        Some(self.0.sign(algorithm, message).unwrap())
    }

    async fn answer(&mut self, _request: &InfoRequest) -> Option<Vec<String>> {
        None
    }

    async fn banner(&mut self, _text: &str) {}
}

async fn log_in(server: &Server) -> (Connection, Arrivals) {
    let stream = TcpStream::connect(server.address).await.unwrap();
    let config = ClientConfig::new(Arc::new(|_: &Identity| Ok(())));
    let login = ClientLogin::connect(stream, Arc::new(config)).await.unwrap();
    let key = std::fs::read_to_string(server.directory.join("user_key")).unwrap();
    let key = PrivateKey::from_openssh(&key, None).unwrap();
    let offer = Offer::Key(Identity::Key(key.public().clone()));
    let user = server.config().access.users[0].clone();
    let connected = login.log_in(&user, [offer], &mut Key(key), Limits::default()).await;
    let (connection, arrivals, driver) = connected.unwrap();
    tokio::spawn(driver.run());
    (connection, arrivals)
}

fn exec(command: &str) -> ChannelRequest {
    ChannelRequest::Exec(command.into())
}

async fn session(connection: &Connection) -> Channel {
    connection.open(ChannelKind::Session).await.unwrap()
}

async fn read_all(channel: &Channel, stream: Stream) -> String {
    let mut text = String::new();
    channel.reader(stream).read_to_string(&mut text).await.unwrap();
    text
}

async fn read_until(channel: &Channel, wanted: &str) {
    let mut reader = channel.reader(Stream::Data);
    let mut heard = String::new();
    while !heard.contains(wanted) {
        let mut buffer = [0; 512];
        let read = reader.read(&mut buffer).await.unwrap();
        assert_ne!(read, 0, "ended before {wanted:?}: {heard}");
        heard.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
}

/// The last request that the server makes on the channel.
async fn ending(channel: &Channel) -> ChannelRequest {
    let mut requests = channel.requests();
    let mut last = None;
    while let Some(incoming) = requests.next().await {
        last = Some(incoming.request().clone());
    }
    last.unwrap()
}

async fn run(connection: &Connection, command: &str) -> (String, ChannelRequest) {
    let channel = session(connection).await;
    assert!(channel.request(&exec(command)).await);
    channel.send_eof();
    (read_all(&channel, Stream::Data).await, ending(&channel).await)
}

#[tokio::test]
async fn a_program_is_asked_for_once_and_what_prepares_it_before() {
    let server = Server::start();
    let (connection, _arrivals) = log_in(&server).await;
    let channel = session(&connection).await;
    let size = WindowSize { columns: 80, rows: 24, width_pixels: 0, height_pixels: 0 };
    let pty = || ChannelRequest::Pty(PtyRequest { term: b"vt100".to_vec(), size, modes: Vec::new() });
    let variable = |name: &str| ChannelRequest::Env { name: name.into(), value: b"x".to_vec() };
    assert!(channel.request(&pty()).await);
    assert!(!channel.request(&pty()).await, "one terminal is enough");
    assert!(channel.request(&variable("LC_A")).await);
    assert!(!channel.request(&variable("LD_PRELOAD")).await);
    assert!(!channel.request(&ChannelRequest::Signal("TERM".into())).await, "nothing runs yet");
    assert!(channel.request(&ChannelRequest::WindowChange(WindowSize { columns: 99, ..size })).await);
    assert!(!channel.request(&ChannelRequest::Subsystem(b"nothing".to_vec())).await);
    assert!(channel.request(&exec("stty size; echo $TERM $LC_A; cat")).await);
    read_until(&channel, "24 99\r\nvt100 x\r\n").await;
    for late in [exec("true"), ChannelRequest::Shell, pty(), variable("LC_B"), ChannelRequest::AuthAgent] {
        assert!(!channel.request(&late).await, "{late:?}");
    }
    let unknown = ChannelRequest::Other { name: "nothing@example.com".into(), data: vec![1, 2] };
    assert!(!channel.request(&unknown).await);
    channel.writer(Stream::Data).write_all(b"\x04").await.unwrap();
    assert_eq!(ending(&channel).await, ChannelRequest::ExitStatus(0));
}

#[tokio::test]
async fn signals_and_breaks_reach_the_program() {
    let server = Server::start();
    let (connection, _arrivals) = log_in(&server).await;
    let channel = session(&connection).await;
    assert!(
        channel.request(&exec("trap 'echo usr1; exit 3' USR1; echo ready; while :; do read l; done")).await
    );
    read_until(&channel, "ready").await;
    assert!(!channel.request(&ChannelRequest::Signal("STOP".into())).await);
    assert!(!channel.request(&ChannelRequest::Break(100)).await, "there is no terminal");
    assert!(channel.request(&ChannelRequest::Signal("USR1".into())).await);
    assert_eq!(read_all(&channel, Stream::Data).await, "usr1\n");
    assert_eq!(ending(&channel).await, ChannelRequest::ExitStatus(3));

    let channel = session(&connection).await;
    let pty = PtyRequest { term: Vec::new(), size: WindowSize::default(), modes: Vec::new() };
    assert!(channel.request(&ChannelRequest::Pty(pty)).await);
    assert!(channel.request(&exec("stty brkint; echo ready; exec sleep 1000")).await);
    read_until(&channel, "ready").await;
    assert!(channel.request(&ChannelRequest::Break(100)).await);
    let ChannelRequest::ExitSignal(signal) = ending(&channel).await else { panic!("no signal") };
    assert_eq!((signal.signal.as_str(), signal.core_dumped), ("INT", false));
}

#[tokio::test]
async fn a_forced_command_gets_no_signals() {
    let server = Server::start_with("command=\"echo ready; cat\"", |_| {});
    let (connection, _arrivals) = log_in(&server).await;
    let channel = session(&connection).await;
    assert!(channel.request(&ChannelRequest::Shell).await);
    read_until(&channel, "ready").await;
    assert!(!channel.request(&ChannelRequest::Signal("KILL".into())).await);
    channel.send_eof();
    assert_eq!(ending(&channel).await, ChannelRequest::ExitStatus(0));
}

#[tokio::test]
async fn input_sent_before_the_program_is_asked_for_is_its_input() {
    let server = Server::start();
    let (connection, _arrivals) = log_in(&server).await;
    let channel = session(&connection).await;
    channel.writer(Stream::Data).write_all(b"early").await.unwrap();
    channel.send_eof();
    assert!(channel.request(&exec("cat")).await);
    assert_eq!(read_all(&channel, Stream::Data).await, "early");
}

#[tokio::test]
async fn closing_a_channel_hangs_up_its_program_and_no_other() {
    let server = Server::start();
    let (connection, _arrivals) = log_in(&server).await;
    let (first, second) = (session(&connection).await, session(&connection).await);
    let mark = server.directory.join("hung-up");
    let fifo = server.directory.join("fifo");
    let script = format!(
        "mkfifo {0}; trap 'echo gone > {0}; exit' HUP; echo ready; while :; do read l; done",
        fifo.display()
    );
    assert!(first.request(&exec(&script)).await);
    read_until(&first, "ready").await;
    assert!(
        second
            .request(&exec(&format!("echo ready; cat {} > {}; echo over", fifo.display(), mark.display())))
            .await
    );
    read_until(&second, "ready").await;
    first.close();
    assert_eq!(read_all(&second, Stream::Data).await, "over\n");
    assert_eq!(std::fs::read_to_string(mark).unwrap(), "gone\n");
}

#[tokio::test]
async fn a_reader_that_stands_still_holds_up_nobody_else() {
    let server = Server::start();
    let (connection, _arrivals) = log_in(&server).await;
    let stalled = session(&connection).await;
    assert!(stalled.request(&exec("exec head -c 100000000 /dev/zero")).await);
    // Its first bytes have come, so it is under way; nobody reads on.
    stalled.reader(Stream::Data).read_u8().await.unwrap();
    for number in 0..20 {
        let (output, ending) = run(&connection, &format!("echo {number}; exit {number}")).await;
        assert_eq!((output, ending), (format!("{number}\n"), ChannelRequest::ExitStatus(number)));
    }
    let (bulk, _) = run(&connection, "head -c 20000000 /dev/zero").await;
    assert_eq!(bulk.len(), 20_000_000);
}

#[tokio::test]
async fn channels_of_unknown_or_wrong_kinds_are_refused_with_the_right_reason() {
    let server = Server::start();
    let (connection, _arrivals) = log_in(&server).await;
    let ends = TcpEnds { host: "h".into(), port: 1, originator: "o".into(), originator_port: 2 };
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let to = |port: u32| TcpEnds { host: "127.0.0.1".into(), port, ..ends.clone() };
    let cases = [
        (
            ChannelKind::Other { name: "tun@openssh.com".into(), data: vec![0; 8] },
            OpenFailure::UnknownChannelType,
        ),
        (ChannelKind::AuthAgent, OpenFailure::AdministrativelyProhibited),
        (ChannelKind::ForwardedTcpip(ends.clone()), OpenFailure::AdministrativelyProhibited),
        (ChannelKind::DirectTcpip(to(u32::from(nobody))), OpenFailure::ConnectFailed),
        (ChannelKind::DirectTcpip(to(70_000)), OpenFailure::AdministrativelyProhibited),
        (ChannelKind::DirectStreamlocal { path: b"/nonexistent".to_vec() }, OpenFailure::ConnectFailed),
        (ChannelKind::DirectStreamlocal { path: b"relative".to_vec() }, OpenFailure::ConnectFailed),
    ];
    for (kind, reason) in cases {
        let name = kind.name().to_owned();
        let Err(OpenError::Refused(refused)) = connection.open(kind).await else { panic!("{name} opened") };
        assert_eq!(refused.reason, reason, "{name}: {}", refused.description);
    }
}

#[tokio::test]
async fn no_more_sessions_means_none_but_forwardings_go_on() {
    let server = Server::start();
    let (connection, _arrivals) = log_in(&server).await;
    let first = session(&connection).await;
    connection.notify(&GlobalRequest::NoMoreSessions);
    assert!(matches!(connection.open(ChannelKind::Session).await, Err(OpenError::Refused(_))));
    assert!(first.request(&exec("true")).await);
    let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = u32::from(target.local_addr().unwrap().port());
    let ends = TcpEnds { host: "localhost".into(), port, originator: "o".into(), originator_port: 2 };
    connection.open(ChannelKind::DirectTcpip(ends)).await.unwrap();
}

#[tokio::test]
async fn global_requests_are_answered_in_order_and_ports_given_back() {
    let server = Server::start();
    let (connection, mut arrivals) = log_in(&server).await;
    let listen = |port: u32| GlobalRequest::TcpipForward { address: "localhost".into(), port };
    let unknown = GlobalRequest::Other { name: "nothing@example.com".into(), data: Vec::new() };
    let (listen_any, nothing) = (listen(0), unknown);
    let (chosen, refused) = tokio::join!(connection.request(&listen_any), connection.request(&nothing));
    assert_eq!(refused, None);
    let port = u32::from_be_bytes(chosen.unwrap().try_into().unwrap());
    assert_eq!(connection.request(&listen(port)).await, None, "it listens there already");
    let mut stream = TcpStream::connect(("127.0.0.1", port as u16)).await.unwrap();
    let Some(Incoming::Open(open)) = arrivals.next().await else { panic!("no channel") };
    let ChannelKind::ForwardedTcpip(ends) = open.kind().clone() else { panic!("another kind") };
    assert_eq!((ends.host.as_str(), ends.port), ("localhost", port), "as it was asked for");
    assert_eq!(ends.originator_port, u32::from(stream.local_addr().unwrap().port()));
    let channel = open.accept();
    channel.writer(Stream::Data).write_all(b"x").await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'x');
    let cancel = |port: u32| GlobalRequest::CancelTcpipForward { address: "localhost".into(), port };
    assert_eq!(connection.request(&cancel(port + 1)).await, None);
    assert_eq!(connection.request(&cancel(port)).await, Some(Vec::new()));
    // Free again at once, while the connection that was there lives on.
    assert_eq!(connection.request(&listen(port)).await, Some(Vec::new()), "no port in the reply");
    channel.writer(Stream::Data).write_all(b"y").await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'y');
}

#[tokio::test]
async fn an_agent_socket_outlives_the_session_that_asked_for_it() {
    let server = Server::start();
    let (connection, mut arrivals) = log_in(&server).await;
    let mut paths = Vec::new();
    for _ in 0..2 {
        let channel = session(&connection).await;
        assert!(channel.request(&ChannelRequest::AuthAgent).await);
        assert!(channel.request(&ChannelRequest::AuthAgent).await, "a second request is no error");
        assert!(channel.request(&exec("echo $SSH_AUTH_SOCK")).await);
        paths.push(read_all(&channel, Stream::Data).await.trim().to_owned());
    }
    assert_eq!(paths[0], paths[1]);
    let mut program = tokio::net::UnixStream::connect(&paths[0]).await.unwrap();
    let Some(Incoming::Open(open)) = arrivals.next().await else { panic!("no channel") };
    assert_eq!(*open.kind(), ChannelKind::AuthAgent);
    let channel = open.accept();
    program.write_all(b"\0\0\0\x01\x0b").await.unwrap();
    let mut request = [0; 5];
    channel.reader(Stream::Data).read_exact(&mut request).await.unwrap();
    assert_eq!(&request, b"\0\0\0\x01\x0b");
    let directory = std::path::Path::new(&paths[0]).parent().unwrap().to_owned();
    connection.disconnect(hop_ssh::message::DisconnectReason::ByApplication, "done");
    let mut end = Vec::new();
    program.read_to_end(&mut end).await.unwrap();
    drop(server);
    assert!(!directory.exists());
}

#[tokio::test]
async fn a_display_for_one_connection_takes_one() {
    let server = Server::start();
    let (connection, mut arrivals) = log_in(&server).await;
    let channel = session(&connection).await;
    let wanted = |cookie: &str| {
        ChannelRequest::X11(X11Request {
            single_connection: true,
            protocol: "MIT-MAGIC-COOKIE-1".into(),
            cookie: cookie.into(),
            screen: 0,
        })
    };
    assert!(!channel.request(&wanted("not hexadecimal")).await);
    assert!(channel.request(&wanted("00ff")).await);
    assert!(channel.request(&exec("echo $DISPLAY; cat")).await);
    let mut line = String::new();
    let mut reader = tokio::io::BufReader::new(channel.reader(Stream::Data));
    tokio::io::AsyncBufReadExt::read_line(&mut reader, &mut line).await.unwrap();
    let number: u16 =
        line.trim().strip_prefix("localhost:").unwrap().strip_suffix(".0").unwrap().parse().unwrap();
    let mut window = TcpStream::connect(("127.0.0.1", 6000 + number)).await.unwrap();
    let Some(Incoming::Open(open)) = arrivals.next().await else { panic!("no channel") };
    assert!(matches!(open.kind(), ChannelKind::X11 { originator, .. } if originator == "127.0.0.1"));
    let x11 = open.accept();
    x11.writer(Stream::Data).write_all(b"drawn").await.unwrap();
    let mut drawn = [0; 5];
    window.read_exact(&mut drawn).await.unwrap();
    x11.close();
    assert_eq!(window.read(&mut drawn).await.unwrap(), 0);
    drop(window);
    // The listener goes once its only connection has; refusal is the event.
    while TcpStream::connect(("127.0.0.1", 6000 + number)).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn nothing_listens_when_the_connection_has_ended() {
    let mut server = Server::start_with("", |config| config.limits.drain = Duration::from_secs(60));
    let (connection, _arrivals) = log_in(&server).await;
    let path = server.directory.join("forwarded");
    let unix = GlobalRequest::StreamlocalForward { path: path.to_str().unwrap().into() };
    assert_eq!(connection.request(&unix).await, Some(Vec::new()));
    let tcp = GlobalRequest::TcpipForward { address: String::new(), port: 0 };
    let reply = connection.request(&tcp).await.unwrap();
    let port = u32::from_be_bytes(reply.try_into().unwrap()) as u16;
    TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    connection.disconnect(hop_ssh::message::DisconnectReason::ByApplication, "done");
    // Beside, so that our side of the connection can say its goodbye.
    let stopping = tokio::task::spawn_blocking(move || {
        server.stop();
        server
    });
    let _server = stopping.await.unwrap();
    assert!(!path.exists());
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
}

#[tokio::test]
async fn forwardings_have_limits() {
    let server = Server::start_with("", |config| {
        config.limits.listeners = 1;
        config.limits.forwarded = 1;
    });
    let (connection, _arrivals) = log_in(&server).await;
    let listen = || GlobalRequest::TcpipForward { address: String::new(), port: 0 };
    let (first, second) = (listen(), listen());
    assert!(connection.request(&first).await.is_some());
    assert_eq!(connection.request(&second).await, None);
    let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = u32::from(target.local_addr().unwrap().port());
    let to = || {
        let (host, originator) = ("127.0.0.1".to_owned(), "o".to_owned());
        ChannelKind::DirectTcpip(TcpEnds { host, port, originator, originator_port: 2 })
    };
    let held = connection.open(to()).await.unwrap();
    let Err(OpenError::Refused(refused)) = connection.open(to()).await else { panic!("opened") };
    assert_eq!(refused.reason, OpenFailure::ResourceShortage);
    drop(target);
    held.close();
    // Room again once the server has seen the close.
    while connection.open(to()).await.is_err_and(|error| {
        matches!(error, OpenError::Refused(refused) if refused.reason == OpenFailure::ResourceShortage)
    }) {}
}
