use super::*;
use crate::connection::{ChannelKind, Stream};
use crate::driver::{Channel, Incoming};
use crate::lent::Lender;
use hop_model::Permissions;
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe::Receiver;

/// A channel over a bare connection: the client's end of it and of the connection, and the server's.
async fn channel() -> ((Channel, Connection), (Channel, Connection)) {
    let (near, far) = UnixStream::pair().unwrap();
    let any = "192.0.2.1:22".parse().unwrap();
    let word = Word::new("s", "p", any, any, Permissions::all());
    let serving = async { BareServer::accept(far).await.unwrap().serve(Limits::default()).await.unwrap() };
    let (given, (_, server, mut arrivals, driver)) = tokio::join!(give_word(near, &word), serving);
    tokio::spawn(driver.run());
    let (near, transport) = given.unwrap();
    let (client, _, driver) = connection::start(near, transport.into(), Limits::default(), now());
    tokio::spawn(driver.run());
    let accepting = async {
        match arrivals.next().await {
            Some(Incoming::Open(asked)) => asked.accept(),
            _ => panic!("no channel"),
        }
    };
    let (opened, accepted) = tokio::join!(client.open(ChannelKind::Session), accepting);
    ((opened.unwrap(), client), (accepted, server))
}

/// A pipe of a busy program: to read from, to lend from, and to write to.
fn pipe() -> (Receiver, Lender, std::fs::File) {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    fcntl_setpipe_size(&write, 256 * 1024).unwrap();
    let reader = Receiver::from_owned_fd(read.try_clone().unwrap()).unwrap();
    (reader, Lender::new(Arc::new(read)), write.into())
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 31 / 7) as u8).collect()
}

/// Lends what can be lent and copies the rest, as a session does; how much was lent.
async fn pump(pipe: &mut Receiver, lender: &Lender, channel: &Channel) -> usize {
    let mut writer = channel.writer(Stream::Data);
    let mut lent = 0;
    let mut room = vec![0; 50_000];
    loop {
        poll_fn(|cx| lender.poll_over(cx)).await;
        let count = poll_fn(|cx| writer.poll_lend(cx, lender)).await;
        lent += count;
        if count > 0 {
            continue;
        }
        match pipe.read(&mut room).await.unwrap() {
            0 => break,
            count => writer.write_all(&room[..count]).await.unwrap(),
        }
    }
    lent
}

#[tokio::test]
async fn what_a_program_wrote_arrives_whole_and_in_order_lent_or_copied() {
    let ((client, connection), (server, _connection)) = channel().await;
    let (mut source, lender, mut program) = pipe();
    let sent = pattern(20_000_000);
    let expected = sent.clone();
    let feeding = std::thread::spawn(move || {
        // Pieces of all sizes, whole pipes and single bytes among them.
        let mut rest = &sent[..];
        for size in [1, 5_000, 32_768, 32_769, 300_000, 1_000_000, 1_000_000, 7].into_iter().cycle() {
            let (now, later) = rest.split_at(size.min(rest.len()));
            program.write_all(now).unwrap();
            rest = later;
            if rest.is_empty() {
                return;
            }
        }
    });
    let (mut reader, mut errors) = (client.reader(Stream::Data), client.reader(Stream::Stderr));
    let receiving = async {
        // The window (2 MiB at first) runs dry before anything is read.
        while connection.traffic().received < 2 << 20 {
            tokio::task::yield_now().await;
        }
        let mut received = Vec::new();
        reader.read_to_end(&mut received).await.unwrap();
        received
    };
    // Another stream of the same channel, whose bytes are copied in between.
    let complaining = async {
        let mut writer = server.writer(Stream::Stderr);
        for _ in 0..1000 {
            writer.write_all(&[9; 100]).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    let hearing = async {
        let mut heard = vec![0; 100_000];
        errors.read_exact(&mut heard).await.unwrap();
        heard
    };
    let sending = async {
        let (lent, ()) = tokio::join!(pump(&mut source, &lender, &server), complaining);
        server.send_eof();
        lent
    };
    let (lent, received, heard) = tokio::join!(sending, receiving, hearing);
    feeding.join().unwrap();
    assert!(received == expected, "{} bytes of {}", received.len(), expected.len());
    assert!(heard.iter().all(|byte| *byte == 9));
    // More than the first window, so that it went on after that had run dry.
    assert!(lent > 4 << 20, "only {lent} bytes of {} were lent", expected.len());
}

#[tokio::test]
async fn a_program_that_reads_its_own_output_ends_its_connection_and_nothing_hangs() {
    let ((client, _), (server, connection)) = channel().await;
    let (_source, lender, mut program) = pipe();
    program.write_all(&pattern(60_000)).unwrap();
    let mut writer = server.writer(Stream::Data);
    assert_eq!(poll_fn(|cx| writer.poll_lend(cx, &lender)).await, 60_000);
    // The driver, on the same thread, has not moved them yet.
    let mut thief = std::fs::File::open(format!("/proc/self/fd/{}", program.as_raw_fd())).unwrap();
    let mut stolen = vec![0; 10_000];
    assert_eq!(thief.read(&mut stolen).unwrap(), 10_000);
    let mut received = Vec::new();
    client.reader(Stream::Data).read_to_end(&mut received).await.unwrap();
    poll_fn(|cx| lender.poll_over(cx)).await;
    let ended = connection.ended().unwrap();
    assert!(
        matches!(&*ended, Error::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof),
        "{ended:?}"
    );
}

#[tokio::test]
async fn little_is_not_lent_nor_what_the_window_does_not_hold() {
    let (_client, (server, _connection)) = channel().await;
    let (_source, lender, mut program) = pipe();
    let mut writer = server.writer(Stream::Data);
    program.write_all(&pattern(32 * 1024 - 1)).unwrap();
    assert_eq!(poll_fn(|cx| writer.poll_lend(cx, &lender)).await, 0);
    program.write_all(&[1]).unwrap();
    assert_eq!(poll_fn(|cx| writer.poll_lend(cx, &lender)).await, 32 * 1024);
    assert_eq!(poll_fn(|cx| writer.poll_lend(cx, &lender)).await, 0, "what is lent already");
    server.send_eof();
    poll_fn(|cx| lender.poll_over(cx)).await;
    program.write_all(&pattern(60_000)).unwrap();
    assert_eq!(poll_fn(|cx| writer.poll_lend(cx, &lender)).await, 0, "after the end");
}
