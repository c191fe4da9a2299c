use super::*;
use crate::bare::BareTransport;
use crate::connection::{ChannelKind, Limits, Stream};
use crate::driver::connection::{self, Connection};
use crate::driver::{BareServer, Channel, ChannelReader, ChannelWriter, Incoming, give_word};
use crate::relay::{PassAll, Sink, Source};
use hop_model::{Permissions, Word};
use rustix::pipe::{PipeFlags, pipe_with};
use std::io::{Read, Write};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::pipe::{Receiver, Sender};

/// Takes every pipe, or none.
struct Opener {
    takes: bool,
}

impl OpenPipes for Opener {
    fn source(&mut self, pipe: OwnedFd) -> io::Result<Source> {
        if self.takes {
            Ok(Box::new(Receiver::from_owned_fd(pipe)?))
        } else {
            Err(io::ErrorKind::Other.into())
        }
    }
    fn sink(&mut self, pipe: OwnedFd) -> io::Result<Sink> {
        if self.takes { Ok(Box::new(Sender::from_owned_fd(pipe)?)) } else { Err(io::ErrorKind::Other.into()) }
    }
}

/// A channel through a relay, the client's end and the endpoint's, and the two connections.
struct Line {
    client: Channel,
    endpoint: Channel,
    near: Connection,
    far: Connection,
    meter: Arc<RelayMeter>,
}

impl Line {
    async fn new(takes: bool) -> Self {
        Self::with(takes, 64 << 20, 200_000).await
    }

    /// The client gives the memory for its windows, and the sockets have so much room.
    async fn with(takes: bool, receive_budget: u64, room: usize) -> Self {
        let (near_io, relay_near) = UnixStream::pair().unwrap();
        let (relay_far, far_io) = UnixStream::pair().unwrap();
        for socket in [&near_io, &relay_near, &relay_far, &far_io] {
            rustix::net::sockopt::set_socket_send_buffer_size(socket, room).unwrap();
        }
        let any = "192.0.2.1:22".parse().unwrap();
        let word = Word::new("s", "p", any, any, Permissions::all());
        let serving =
            async { BareServer::accept(far_io).await.unwrap().serve(Limits::default()).await.unwrap() };
        let (given, (_, far, mut arrivals, driver)) = tokio::join!(give_word(relay_far, &word), serving);
        tokio::spawn(driver.run());
        let (far_stream, far_leg) = given.unwrap();
        let leg = || BareTransport::resumed(true, 0);
        let relay = Relay::new(leg(), far_leg, Box::new(PassAll), None, now()).unwrap();
        let mut driver =
            RelayDriver::new(relay, relay_near, far_stream).borrowing(Box::new(Opener { takes }));
        let meter = driver.meter();
        tokio::spawn(async move { driver.run(std::future::pending()).await });
        let limits = Limits { receive_budget, ..Limits::default() };
        let (near, _, driver) = connection::start(near_io, leg().into(), limits, now());
        tokio::spawn(driver.run());
        let accepting = async {
            match arrivals.next().await {
                Some(Incoming::Open(asked)) => asked.accept(),
                _ => panic!("no channel"),
            }
        };
        let (opened, endpoint) = tokio::join!(near.open(ChannelKind::Session), accepting);
        Self { client: opened.unwrap(), endpoint, near, far, meter }
    }
}

/// A pipe: to read from without blocking, and to write to in a thread.
fn output_pipe() -> (Receiver, std::fs::File) {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    (Receiver::from_owned_fd(read).unwrap(), write.into())
}

/// The same for what a program reads.
fn input_pipe() -> (std::fs::File, Sender) {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    (read.into(), Sender::from_owned_fd(write).unwrap())
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 31 / 7) as u8).collect()
}

fn again(pipe: &impl std::os::fd::AsFd) -> io::Result<OwnedFd> {
    pipe.as_fd().try_clone_to_owned()
}

/// Copies `first` bytes, lends the pipes, and copies what there is when they come back: how many bytes those were.
async fn lend_output(
    writer: &mut ChannelWriter,
    pipe: &mut Receiver,
    errors: Option<&Receiver>,
    first: usize,
) -> u64 {
    let mut room = vec![0; first];
    pipe.read_exact(&mut room).await.unwrap();
    writer.write_all(&room).await.unwrap();
    writer.flush().await.unwrap();
    assert!(writer.lend(|| {
        let errors = errors.map(again).transpose()?;
        Ok([Some(again(pipe)?), errors].into_iter().flatten().collect())
    }));
    assert!(!writer.lend(|| panic!("they are lent")));
    poll_fn(|cx| writer.poll_returned(cx)).await;
    tokio::io::copy(pipe, writer).await.unwrap()
}

/// Writes in pieces of all sizes, whole pipes and single bytes among them.
fn write_all(mut program: std::fs::File, bytes: Vec<u8>) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let mut rest = &bytes[..];
        for size in [1, 5_000, 32_768, 32_769, 300_000, 1_000_000, 1_000_000, 7].into_iter().cycle() {
            let (now, later) = rest.split_at(size.min(rest.len()));
            program.write_all(now).unwrap();
            rest = later;
            if rest.is_empty() {
                return;
            }
        }
    })
}

async fn all_of(mut reader: ChannelReader) -> Vec<u8> {
    let mut received = Vec::new();
    reader.read_to_end(&mut received).await.unwrap();
    received
}

#[tokio::test]
async fn lent_output_arrives_whole_and_in_order_on_both_streams() {
    let line = Line::new(true).await;
    let (mut output, program) = output_pipe();
    let (errors, complainer) = output_pipe();
    let (sent, complaints) = (pattern(20_000_000), pattern(3_000_000));
    let threads = [write_all(program, sent.clone()), write_all(complainer, complaints.clone())];
    let sending = async {
        let mut writer = line.endpoint.writer(Stream::Data);
        let copied = lend_output(&mut writer, &mut output, Some(&errors), 100_000).await;
        line.endpoint.send_eof();
        copied
    };
    let (received, heard) = (line.client.reader(Stream::Data), line.client.reader(Stream::Stderr));
    let (copied, received, heard) = tokio::join!(sending, all_of(received), all_of(heard));
    for thread in threads {
        thread.join().unwrap();
    }
    assert!(received == sent, "{} bytes of {}", received.len(), sent.len());
    assert!(heard == complaints, "{} bytes of {}", heard.len(), complaints.len());
    assert_eq!(copied, 0, "bytes passed through the endpoint that need not have");
    assert!(!line.far.lends());
    // The endpoint's connection has carried what came first and little more.
    assert!(line.far.traffic().sent < 200_000, "{:?}", line.far.traffic());
    assert!(line.meter.crossed(Side::Server) > 23_000_000);
    assert!(line.meter.carried() > 23_000_000);
}

#[tokio::test]
async fn a_client_that_does_not_read_stops_a_lent_program_and_loses_nothing() {
    let line = Line::new(true).await;
    let (mut output, program) = output_pipe();
    let sent = pattern(8_000_000);
    let thread = write_all(program, sent.clone());
    let mut writer = line.endpoint.writer(Stream::Data);
    let sending = async {
        lend_output(&mut writer, &mut output, None, 100_000).await;
        line.endpoint.send_eof();
    };
    let receiving = async {
        // The window (2 MiB) runs dry before anything is read; more does not come.
        while line.near.traffic().received < 2 << 20 {
            tokio::task::yield_now().await;
        }
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let before = line.near.traffic().received;
        assert!(before < (2 << 20) + 50_000, "{before}");
        all_of(line.client.reader(Stream::Data)).await
    };
    let ((), received) = tokio::join!(sending, receiving);
    thread.join().unwrap();
    assert!(received == sent, "{} bytes of {}", received.len(), sent.len());
}

#[tokio::test]
async fn what_nobody_wants_to_borrow_goes_the_long_way() {
    let line = Line::new(false).await;
    let (mut output, program) = output_pipe();
    let sent = pattern(5_000_000);
    let thread = write_all(program, sent.clone());
    let mut writer = line.endpoint.writer(Stream::Data);
    let sending = async {
        let copied = lend_output(&mut writer, &mut output, None, 100_000).await;
        assert!(!writer.lend(|| panic!("refused once is refused for good")));
        line.endpoint.send_eof();
        copied
    };
    let (copied, received) = tokio::join!(sending, all_of(line.client.reader(Stream::Data)));
    thread.join().unwrap();
    assert!(received == sent && copied == 4_900_000, "{copied}");
}

/// The endpoint's side of input: copies until the end, and lends when it can; whether it did.
async fn take_input(channel: &Channel, mut pipe: Sender) -> bool {
    let mut reader = channel.reader(Stream::Data);
    let mut room = vec![0; 64 * 1024];
    let mut is_lent = false;
    loop {
        is_lent = is_lent || reader.lend(|| again(&pipe));
        match reader.read(&mut room).await.unwrap() {
            0 => return is_lent,
            count => {
                if pipe.write_all(&room[..count]).await.is_err() {
                    channel.discard_input();
                    return is_lent;
                }
            }
        }
    }
}

#[tokio::test]
async fn lent_input_arrives_whole_and_in_order_and_so_does_its_end() {
    let line = Line::new(true).await;
    let (mut program, pipe) = input_pipe();
    let sent = pattern(30_000_000);
    let expected = sent.clone();
    let thread = std::thread::spawn(move || {
        let mut received = Vec::new();
        program.read_to_end(&mut received).unwrap();
        received
    });
    let mut writer = line.client.writer(Stream::Data);
    let sending = async {
        for piece in sent.chunks(77_777) {
            writer.write_all(piece).await.unwrap();
        }
        writer.shutdown().await.unwrap();
    };
    let (is_lent, ()) = tokio::join!(take_input(&line.endpoint, pipe), sending);
    assert!(is_lent);
    assert!(thread.join().unwrap() == expected);
    let passed = line.far.traffic().received;
    assert!(passed < 15_000_000, "{passed} bytes passed through the endpoint");
    assert!(line.meter.crossed(Side::Client) > 30_000_000);
}

#[tokio::test]
async fn a_program_that_reads_no_more_holds_its_client_back_and_then_lets_it_go() {
    let line = Line::new(true).await;
    let (mut program, pipe) = input_pipe();
    let first = 8_000_000;
    let mut writer = line.client.writer(Stream::Data);
    let sending = async {
        let mut count = 0_u64;
        // More than all windows and pipes take.
        for piece in pattern(20_000_000).chunks(77_777) {
            writer.write_all(piece).await.unwrap();
            count += piece.len() as u64;
        }
        writer.shutdown().await.unwrap();
        count
    };
    let near = line.near.clone();
    let reading = async {
        let half = tokio::task::spawn_blocking(move || {
            let mut received = vec![0; first];
            program.read_exact(&mut received).unwrap();
            (program, received)
        });
        let (program, received) = half.await.unwrap();
        assert!(received == pattern(first));
        // It stands still: so many bytes of windows, pipes and sockets later nothing moves any more.
        let mut sent = 0;
        while near.traffic().sent != sent {
            sent = near.traffic().sent;
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        assert!(sent < first as u64 + (6 << 20), "{sent}");
        drop(program);
    };
    let (is_lent, count, ()) = tokio::join!(take_input(&line.endpoint, pipe), sending, reading);
    assert!(is_lent);
    assert_eq!(count, 20_000_000);
}

#[tokio::test]
async fn pipes_that_are_idle_go_back_and_can_be_lent_again() {
    let line = Line::new(true).await;
    let (mut output, mut program) = output_pipe();
    let mut writer = line.endpoint.writer(Stream::Data);
    let mut reader = line.client.reader(Stream::Data);
    let mut room = [0; 5];
    // Even if nothing passed meanwhile.
    for is_used in [false, true] {
        program.write_all(b"first").unwrap();
        output.read_exact(&mut room).await.unwrap();
        writer.write_all(&room).await.unwrap();
        writer.flush().await.unwrap();
        reader.read_exact(&mut room).await.unwrap();
        assert!(writer.lend(|| Ok(vec![again(&output)?])));
        if is_used {
            program.write_all(b"other").unwrap();
            reader.read_exact(&mut room).await.unwrap();
            assert_eq!(&room, b"other");
        }
        assert!(line.far.lends());
        poll_fn(|cx| writer.poll_returned(cx)).await;
        assert!(!line.far.lends());
    }
    // The window came back with them.
    drop(program);
    writer.write_all(b"more!").await.unwrap();
    reader.read_exact(&mut room).await.unwrap();
    assert_eq!(&room, b"more!");
}

#[tokio::test]
async fn a_channel_that_is_closed_gives_back_what_it_borrowed() {
    for by_client in [true, false] {
        let line = Line::new(true).await;
        let (mut output, mut program) = output_pipe();
        let mut writer = line.endpoint.writer(Stream::Data);
        program.write_all(b"first").unwrap();
        let mut room = [0; 5];
        output.read_exact(&mut room).await.unwrap();
        writer.write_all(&room).await.unwrap();
        writer.flush().await.unwrap();
        assert!(writer.lend(|| Ok(vec![again(&output)?])));
        program.write_all(b"other").unwrap();
        let mut both = [0; 10];
        line.client.reader(Stream::Data).read_exact(&mut both).await.unwrap();
        let closed = if by_client { &line.client } else { &line.endpoint };
        closed.close();
        poll_fn(|cx| writer.poll_returned(cx)).await;
        drop(output);
        // Nobody holds it any more.
        while program.write_all(b"more!").is_ok() {
            tokio::task::yield_now().await;
        }
    }
}

/// Pumps and loans meet in many ways: narrow sockets, small windows, a program that takes its time.
#[tokio::test]
async fn an_echo_is_whole_whatever_is_narrow() {
    let mut lent = [0; 2];
    for round in 0..24_usize {
        let budget = [64 << 20, 512 << 10, 4 << 20][round % 3];
        let room = [4_000, 30_000, 300_000][round / 3 % 3];
        let line = Line::with(true, budget, room).await;
        let (mut reads, input) = input_pipe();
        let (mut output, mut writes) = output_pipe();
        let program = std::thread::spawn(move || {
            let mut buffer = vec![0; 1 + round * 5_000];
            let mut turn = 0_u64;
            loop {
                let count = reads.read(&mut buffer).unwrap();
                if count == 0 {
                    return;
                }
                writes.write_all(&buffer[..count]).unwrap();
                turn += 1;
                if turn % 61 == round as u64 {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        });
        let sent = pattern(if round == 0 { 300_000 } else { 12_000_000 });
        let expected = sent.clone();
        let mut writer = line.client.writer(Stream::Data);
        let sending = tokio::spawn(async move {
            for piece in sent.chunks(1 + round * 3_333) {
                writer.write_all(piece).await.unwrap();
            }
            writer.shutdown().await.unwrap();
        });
        let endpoint = line.endpoint.clone();
        let taking = tokio::spawn(async move { take_input(&endpoint, input).await });
        let endpoint = line.endpoint.clone();
        let giving = tokio::spawn(async move {
            let mut to_client = endpoint.writer(Stream::Data);
            let copied = lend_output(&mut to_client, &mut output, None, 100_000).await;
            endpoint.send_eof();
            copied
        });
        let received = all_of(line.client.reader(Stream::Data)).await;
        assert!(received == expected, "round {round}: {} bytes of {}", received.len(), expected.len());
        sending.await.unwrap();
        lent[0] += usize::from(taking.await.unwrap());
        lent[1] += usize::from(giving.await.unwrap() == 0);
        program.join().unwrap();
    }
    assert!(lent[0] > 8 && lent[1] > 20, "{lent:?}");
}
