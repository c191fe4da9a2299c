use super::*;
use crate::frame::Header;
use proptest::prelude::*;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::Instant;

fn chance(bytes: &mut [u8]) {
    for (number, byte) in bytes.iter_mut().enumerate() {
        *byte = 0x5a ^ number as u8;
    }
}

fn pair(room: usize) -> (WebSocket<DuplexStream>, WebSocket<DuplexStream>) {
    let (one, other) = duplex(room);
    (WebSocket::client(one, &[], chance), WebSocket::server(other, &[]))
}

/// A server's end, and the bare stream of its client.
fn server(room: usize) -> (WebSocket<DuplexStream>, DuplexStream) {
    let (ours, theirs) = duplex(room);
    (WebSocket::server(ours, &[]), theirs)
}

/// A frame as a client sends it, masked with zeros.
fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Header { is_final: true, opcode, mask: Some([0; 4]), length: payload.len() as u64 }.write(&mut bytes);
    bytes.extend_from_slice(payload);
    bytes
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|number| (number * 7 + number / 251) as u8).collect()
}

/// What a poll of a write gives at this moment.
async fn write_now<IO: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocket<IO>,
    bytes: &[u8],
) -> Poll<io::Result<usize>> {
    std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut *socket).poll_write(cx, bytes))).await
}

#[tokio::test]
async fn a_megabyte_each_way_in_tasks_of_their_own() {
    // Rooms that fit no header, no frame, and everything.
    for (room, len) in [(1, 20_000), (1000, 1 << 20), (1 << 21, 1 << 20)] {
        let (client, server) = pair(room);
        let mut tasks = tokio::task::JoinSet::new();
        for socket in [client, server] {
            let often = Keepalive::Beat { every: Duration::from_millis(1) };
            let (mut reader, mut writer) = tokio::io::split(socket.keep_alive(often));
            tasks.spawn(async move {
                writer.write_all(&pattern(len)).await.unwrap();
                writer.flush().await.unwrap();
            });
            tasks.spawn(async move {
                let mut heard = vec![0; len];
                reader.read_exact(&mut heard).await.unwrap();
                assert!(heard == pattern(len));
            });
        }
        let done = tokio::time::timeout(Duration::from_secs(60), tasks.join_all()).await;
        assert!(done.is_ok(), "no end with room for {room} bytes");
    }
}

#[tokio::test]
async fn a_goodbye_arrives_after_the_data_and_is_answered() {
    let (mut client, mut server) = pair(1 << 20);
    client.write_all(b"question").await.unwrap();
    server.write_all(b"late answer").await.unwrap();
    server.flush().await.unwrap();
    client.set_close(Close::new(CloseCode::Other(4000), "enough"));
    client.shutdown().await.unwrap();
    assert_eq!(client.write(b"more").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    let mut heard = Vec::new();
    server.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"question");
    assert_eq!(server.end(), Some(&End::Closed(Close::new(CloseCode::Other(4000), "enough"))));
    assert_eq!(server.write(b"more").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    // What was sent before the other end knew is not lost.
    heard.clear();
    client.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"late answer");
    assert_eq!(client.end(), Some(&End::Closed(Close::new(CloseCode::Other(4000), ""))));
    assert_eq!(client.traffic(), Traffic { received: 11, sent: 8 });
}

#[tokio::test]
async fn an_end_without_goodbye_is_a_loss() {
    let (mut socket, mut theirs) = server(1024);
    theirs.write_all(&frame(Opcode::Binary, b"cut").as_slice()[..8]).await.unwrap();
    drop(theirs);
    let mut heard = Vec::new();
    socket.read_to_end(&mut heard).await.unwrap();
    assert_eq!((heard.as_slice(), socket.end()), (b"cu".as_slice(), Some(&End::Lost)));
}

#[tokio::test]
async fn text_is_refused_with_a_hint() {
    let (mut socket, mut theirs) = server(1024);
    theirs.write_all(&frame(Opcode::Text, b"SSH-2.0-x")).await.unwrap();
    let error = socket.read(&mut [0; 10]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    let mut said = [0; 200];
    let count = theirs.read(&mut said).await.unwrap();
    let said = &said[..count];
    assert_eq!(said[..2], [0x88, count as u8 - 2]);
    let close = Close::parse(&said[2..]).unwrap();
    assert!(close.code == CloseCode::Unsupported && close.reason.contains("--binary"), "{close:?}");
    assert_eq!(socket.read(&mut [0; 10]).await.unwrap(), 0);
}

#[tokio::test]
async fn whoever_does_not_read_holds_the_writer_back() {
    let (mut client, mut server) = pair(1000);
    let flood = vec![7; 1 << 20];
    let mut taken = 0;
    while let Poll::Ready(count) = write_now(&mut client, &flood).await {
        taken += count.unwrap();
    }
    assert_eq!(taken, MOST_PAYLOAD, "one frame and no more");
    assert!(client.sender.pending().len() <= MOST_PAYLOAD);
    // Then it goes on, and nothing was lost.
    let mut heard = vec![0; taken + 10];
    let both =
        async { tokio::join!(client.write_all(&[7; 10]), async { server.read_exact(&mut heard).await }) };
    let (written, read) = both.await;
    written.unwrap();
    client.flush().await.unwrap_or_default();
    read.unwrap();
    assert!(heard.iter().all(|byte| *byte == 7));
}

#[tokio::test]
async fn a_flood_of_pings_is_answered_by_one_pong_at_a_time() {
    let (mut socket, mut theirs) = server(200);
    let mut pings = Vec::new();
    for number in 0..10_000u32 {
        pings.extend(frame(Opcode::Ping, format!("{number:0100}").as_bytes()));
    }
    pings.extend(frame(Opcode::Binary, b"x"));
    // It sends and does not read a single pong.
    let mut one = [0];
    let (written, read) = tokio::join!(theirs.write_all(&pings), socket.read(&mut one));
    written.unwrap();
    assert_eq!((read.unwrap(), &one), (1, b"x"));
    assert!(socket.sender.pending().len() <= 102, "{} bytes wait", socket.sender.pending().len());
    assert!(socket.pong.is_some(), "the newest waits");
    assert_eq!(socket.traffic().received, 1);
}

#[tokio::test]
async fn a_writer_that_waits_is_not_forgotten_for_a_pong() {
    let (socket, mut theirs) = server(100);
    let (mut reader, mut writer) = tokio::io::split(socket);
    let writing = tokio::spawn(async move {
        writer.write_all(&[1; 50_000]).await.unwrap();
        writer.flush().await.unwrap();
    });
    tokio::task::yield_now().await;
    // The reader has pongs to send while the writer waits, then reads no more.
    theirs.write_all(&frame(Opcode::Ping, b"there?")).await.unwrap();
    theirs.write_all(&frame(Opcode::Binary, b"x")).await.unwrap();
    reader.read_exact(&mut [0]).await.unwrap();
    let mut heard = vec![0; 50_004 + 8];
    theirs.read_exact(&mut heard).await.unwrap();
    writing.await.unwrap();
    assert_eq!(heard[50_004..], *b"\x8a\x06there?");
}

#[tokio::test(start_paused = true)]
async fn silence_is_asked_about_and_then_the_end() {
    let after = Duration::from_secs(20);
    let (mut socket, mut theirs) = server(1024);
    socket = socket.keep_alive(Keepalive::Ask { after, give_up: after * 3 });
    let start = Instant::now();
    let listening = async {
        let mut pings = Vec::new();
        for _ in 0..2 {
            let mut ping = [0; 2];
            theirs.read_exact(&mut ping).await.unwrap();
            assert_eq!(ping, [0x89, 0]);
            pings.push(start.elapsed().as_secs());
            // A sign of life, the first time.
            if pings.len() == 1 {
                theirs.write_all(&frame(Opcode::Pong, b"")).await.unwrap();
            }
        }
        assert_eq!(pings, [20, 40]);
    };
    let mut room = [0; 10];
    let (read, ()) = tokio::join!(socket.read(&mut room), listening);
    assert_eq!(read.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert_eq!(start.elapsed(), after * 4, "three times after the sign of life");
    assert!(matches!(socket.end(), Some(End::Silent(_))));
    assert_eq!(socket.traffic(), Traffic::default(), "pings are no data");
}

#[tokio::test(start_paused = true)]
async fn a_server_says_something_that_wants_no_answer() {
    let (mut socket, mut theirs) = server(1024);
    socket = socket.keep_alive(Keepalive::Beat { every: Duration::from_secs(20) });
    let waited = tokio::time::timeout(Duration::from_secs(3600), socket.read(&mut [0; 10])).await;
    assert!(waited.is_err());
    let mut beats = [0; 1024];
    let count = theirs.read(&mut beats).await.unwrap();
    assert_eq!((count, &beats[..2]), (2 * 180, [0x8a, 0].as_slice()), "one each 20 s");
}

/// websocat sends what it held back together with its answer.
#[tokio::test(start_paused = true)]
async fn a_server_asks_once_soon_after_data() {
    let (mut socket, mut theirs) = server(1024);
    socket = socket.keep_alive(Keepalive::Beat { every: Duration::from_secs(20) });
    let start = Instant::now();
    let reading = async {
        let mut room = [0; 10];
        while socket.read(&mut room).await.unwrap() > 0 {}
    };
    let sending = async {
        for _ in 0..4 {
            theirs.write_all(&frame(Opcode::Binary, b"x")).await.unwrap();
            tokio::time::sleep(Duration::from_millis(600)).await;
        }
        let mut said = [0; 2];
        theirs.read_exact(&mut said).await.unwrap();
        assert_eq!(said, [0x89, 0]);
        let since = start.elapsed() - Duration::from_millis(3 * 600);
        assert!(since >= Duration::from_secs(1) && since <= Duration::from_secs(2), "{since:?}");
        theirs.read_exact(&mut said).await.unwrap();
        assert_eq!((said, start.elapsed().as_secs()), ([0x8a, 0], 20), "then the beat as ever");
        drop(theirs);
    };
    tokio::join!(reading, sending);
}

#[tokio::test]
async fn an_idle_connection_owns_no_buffer() {
    let (mut socket, mut theirs) = server(1 << 20);
    theirs.write_all(&frame(Opcode::Binary, &[1; 100_000])).await.unwrap();
    socket.read_exact(&mut vec![0; 100_000]).await.unwrap();
    let mut room = [0; 1];
    let idle = std::future::poll_fn(|cx| {
        Poll::Ready(Pin::new(&mut socket).poll_read(cx, &mut ReadBuf::new(&mut room)).is_pending())
    });
    assert!(idle.await);
    assert_eq!((socket.input.capacity(), socket.sender.pending().len()), (0, 0));
}

/// Raw bytes at either end: how many were heard, how many answered, and how it ended.
async fn raw(is_server: bool, room: usize, bytes: &[u8]) -> (usize, usize, Option<End>) {
    let (ours, theirs) = duplex(room);
    let (mut answers, mut sent) = tokio::io::split(theirs);
    let sending = async {
        let _refused = sent.write_all(bytes).await;
        let _gone = sent.shutdown().await;
    };
    let listening = async {
        let mut answered = Vec::new();
        answers.read_to_end(&mut answered).await.unwrap();
        answered.len()
    };
    let reading = async {
        let mut socket = match is_server {
            true => WebSocket::server(ours, &[]),
            false => WebSocket::client(ours, &[], chance),
        };
        let mut heard = Vec::new();
        let _broken = socket.read_to_end(&mut heard).await;
        assert_eq!(socket.traffic().received, heard.len() as u64);
        (heard.len(), socket.end().cloned())
    };
    let ((), answered, (heard, end)) = tokio::join!(sending, listening, reading);
    (heard, answered, end)
}

proptest! {
    #[test]
    fn whatever_comes_it_ends_and_is_bounded(
        is_server: bool,
        room in 1..3000usize,
        frames in prop::collection::vec((0..16u8, 0..4u8, prop::collection::vec(any::<u8>(), 0..200)), 0..12),
        tail in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut bytes = Vec::new();
        for (opcode, kind, payload) in frames {
            // Mostly such frames as a peer may send, and some that it may not.
            let mask = if (kind == 0) == is_server { 0 } else { 0x80 };
            bytes.push(if kind == 1 { opcode } else { 0x80 | opcode });
            let length = u8::try_from(payload.len()).unwrap();
            match length {
                0..=125 => bytes.push(mask | length),
                _ => bytes.extend([mask | 126, 0, length]),
            }
            if mask != 0 {
                bytes.extend([1, 2, 3, 4]);
            }
            bytes.extend(payload);
        }
        bytes.extend(tail);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let run = raw(is_server, room, &bytes);
        let limited = async { tokio::time::timeout(Duration::from_secs(30), run).await.expect("it ends") };
        let (heard, answered, end) = runtime.block_on(limited);
        prop_assert!(end.is_some() && heard <= bytes.len() && answered <= bytes.len() * 4 + 256);
    }
}
