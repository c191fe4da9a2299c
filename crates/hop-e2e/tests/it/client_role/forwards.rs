//! Connections through a server: those that we ask it to make, and those that it takes for us.

use hop_e2e::foreign::Software;
use hop_e2e::sshd::Release;
use hop_e2e::{Foreign, Scratch};
use hop_ssh::connection::{ChannelKind, GlobalRequest, OpenRefused, Stream, TcpEnds};
use hop_ssh::driver::{Channel, Incoming, OpenError};
use hop_ssh::message::OpenFailure;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::client::{Client, log_in_to, run};
use super::servers::against;

against! {
    sshd_9_2 = Software::Sshd(Release::V9_2) => [
        reaches_a_port_of_the_far_side, is_told_of_a_closed_port, takes_connections_to_a_far_port,
        reaches_a_unix_socket_of_the_far_side, takes_connections_to_a_far_unix_socket,
    ];
    sshd_10_0 = Software::Sshd(Release::V10_0) => [
        reaches_a_port_of_the_far_side, is_told_of_a_closed_port, takes_connections_to_a_far_port,
        reaches_a_unix_socket_of_the_far_side, takes_connections_to_a_far_unix_socket,
    ];
    dropbear = Software::Dropbear => [
        reaches_a_port_of_the_far_side, is_told_of_a_closed_port, takes_connections_to_a_far_port,
    ];
    tinysshd = Software::Tinysshd => [is_told_that_there_are_no_forwardings];
}

/// More than any window at first.
const LENGTH: usize = 3_000_003;

fn payload() -> Vec<u8> {
    (0..LENGTH).map(|n| (n % 251) as u8).collect()
}

/// Sends a payload and its end through a stream, and expects all of it back, behind it the word of somebody who saw
/// the end.
async fn assert_echoed(reader: impl AsyncReadExt + Unpin, mut writer: impl AsyncWriteExt + Unpin) {
    let mut reader = reader;
    let mut back = Vec::new();
    let send = async {
        writer.write_all(&payload()).await.unwrap();
        writer.shutdown().await.unwrap();
    };
    let receive = reader.read_to_end(&mut back);
    tokio::join!(send, async { receive.await.unwrap() });
    assert_eq!(back.len(), LENGTH + 3);
    assert!(back == [payload(), b"end".to_vec()].concat());
}

/// Gives back what comes, then says that it saw the end.
async fn echo(reader: impl AsyncReadExt + Unpin, mut writer: impl AsyncWriteExt + Unpin) {
    let mut reader = reader;
    copy(&mut reader, &mut writer).await.unwrap();
    writer.write_all(b"end").await.unwrap();
    writer.shutdown().await.unwrap();
}

async fn assert_channel_echoes(channel: Channel) {
    assert_echoed(channel.reader(Stream::Data), channel.writer(Stream::Data)).await;
}

fn to(port: u16) -> ChannelKind {
    ChannelKind::DirectTcpip(TcpEnds {
        host: "127.0.0.1".to_owned(),
        port: port.into(),
        originator: "127.0.0.1".to_owned(),
        originator_port: 4711,
    })
}

fn reaches_a_port_of_the_far_side(software: Software) {
    let server = Foreign::start(software);
    run(async {
        let client = log_in_to(&server).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let far = tokio::task::spawn_local(async move {
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (reader, writer) = stream.split();
                echo(reader, writer).await;
            }
        });
        for _ in 0..2 {
            assert_channel_echoes(client.connection.open(to(port)).await.unwrap()).await;
        }
        far.await.unwrap();
    });
}

fn is_told_of_a_closed_port(software: Software) {
    let server = Foreign::start(software);
    run(async {
        let client = log_in_to(&server).await;
        let port = {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            listener.local_addr().unwrap().port()
        };
        let refused = client.connection.open(to(port)).await.err().unwrap();
        assert!(
            matches!(&refused, OpenError::Refused(OpenRefused { reason: OpenFailure::ConnectFailed, .. })),
            "{refused:?}"
        );
    });
}

/// The next channel that the server opens.
async fn next_open(client: &mut Client) -> (ChannelKind, Channel) {
    loop {
        match client.arrivals.next().await.expect("the connection goes on") {
            Incoming::Open(open) => return (open.kind().clone(), open.accept()),
            // sshd announces its host keys.
            Incoming::Request(request) => request.refuse(),
        }
    }
}

async fn echo_on(channel: Channel) {
    echo(channel.reader(Stream::Data), channel.writer(Stream::Data)).await;
}

fn takes_connections_to_a_far_port(software: Software) {
    let server = Foreign::start(software);
    run(async {
        let mut client = log_in_to(&server).await;
        let asked = GlobalRequest::TcpipForward { address: "127.0.0.1".to_owned(), port: 0 };
        let reply = client.connection.request(&asked).await.expect("the server listens");
        let port = u32::from_be_bytes(reply.try_into().expect("the port that it chose"));
        let address = ("127.0.0.1", u16::try_from(port).unwrap());

        for _ in 0..2 {
            let mut near = TcpStream::connect(address).await.unwrap();
            let originator_port = near.local_addr().unwrap().port();
            let (kind, channel) = next_open(&mut client).await;
            let wanted = TcpEnds {
                host: "127.0.0.1".to_owned(),
                port,
                originator: "127.0.0.1".to_owned(),
                originator_port: originator_port.into(),
            };
            assert_eq!(kind, ChannelKind::ForwardedTcpip(wanted));
            let (reader, writer) = near.split();
            tokio::join!(echo_on(channel), assert_echoed(reader, writer));
        }

        if software == Software::Dropbear {
            // 2022.83 compares a field that it does not fill: whether it finds the listener again is chance.
            return;
        }
        let cancel = GlobalRequest::CancelTcpipForward { address: "127.0.0.1".to_owned(), port };
        client.connection.request(&cancel).await.expect("the server takes it back");
        let refused = TcpStream::connect(address).await.unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        assert!(client.connection.request(&cancel).await.is_none(), "there is nothing left to take back");
    });
}

fn reaches_a_unix_socket_of_the_far_side(software: Software) {
    let (server, scratch) = (Foreign::start(software), Scratch::new());
    run(async {
        let client = log_in_to(&server).await;
        let path = scratch.join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let far = tokio::task::spawn_local(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (reader, writer) = stream.split();
            echo(reader, writer).await;
        });
        let kind = ChannelKind::DirectStreamlocal { path: path.into_os_string().into_encoded_bytes() };
        assert_channel_echoes(client.connection.open(kind).await.unwrap()).await;
        far.await.unwrap();
    });
}

fn takes_connections_to_a_far_unix_socket(software: Software) {
    let (server, scratch) = (Foreign::start(software), Scratch::new());
    run(async {
        let mut client = log_in_to(&server).await;
        let socket = scratch.join("socket");
        let path = socket.clone().into_os_string().into_encoded_bytes();
        let asked = GlobalRequest::StreamlocalForward { path: path.clone() };
        assert!(client.connection.request(&asked).await.is_some());
        let mut near = UnixStream::connect(&socket).await.unwrap();
        let (kind, channel) = next_open(&mut client).await;
        assert_eq!(kind, ChannelKind::ForwardedStreamlocal { path: path.clone() });
        let (reader, writer) = near.split();
        tokio::join!(echo_on(channel), assert_echoed(reader, writer));

        let cancel = GlobalRequest::CancelStreamlocalForward { path };
        assert!(client.connection.request(&cancel).await.is_some());
        assert!(UnixStream::connect(&socket).await.is_err());
    });
}

/// A server without forwardings: both kinds are refused, the connection is none the worse.
fn is_told_that_there_are_no_forwardings(software: Software) {
    let server = Foreign::start(software);
    run(async {
        let client = log_in_to(&server).await;
        let refused = client.connection.open(to(1)).await.err().unwrap();
        assert!(matches!(refused, OpenError::Refused(_)), "{refused:?}");
        let asked = GlobalRequest::TcpipForward { address: "127.0.0.1".to_owned(), port: 0 };
        assert_eq!(client.connection.request(&asked).await, None);
        assert_eq!(client.exec("echo still", b"").await.success(), "still\n");
    });
}
