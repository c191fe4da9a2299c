use super::*;
use crate::bare::BareTransport;
use crate::relay::{PassAll, RelayError};
use std::os::fd::OwnedFd;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

/// Hands out streams in memory, whatever is lent.
struct Memory(Vec<DuplexStream>);

impl OpenPipes for Memory {
    fn source(&mut self, _: OwnedFd) -> io::Result<Source> {
        Ok(Box::new(self.0.pop().ok_or(io::ErrorKind::Other)?))
    }
    fn sink(&mut self, _: OwnedFd) -> io::Result<Sink> {
        Ok(Box::new(self.0.pop().ok_or(io::ErrorKind::Other)?))
    }
}

/// A relay with one channel: the client calls it 3, the endpoint 5.
struct Bench {
    relay: Relay,
    now: Instant,
}

const CLIENT: u32 = 3;
const SERVER: u32 = 5;

impl Bench {
    fn new(streams: Vec<DuplexStream>) -> Self {
        let now = Instant::now();
        let leg = || BareTransport::resumed(true, 0);
        let mut relay = Relay::new(leg(), leg(), Box::new(PassAll), None, now).unwrap();
        relay.borrow_pipes(Box::new(Memory(streams)));
        let mut bench = Self { relay, now };
        bench.open(CLIENT, SERVER);
        bench
    }

    fn open(&mut self, client: u32, server: u32) {
        let mut open = vec![message::CHANNEL_OPEN];
        open.put_string("session");
        for field in [client, 1 << 21, LARGEST_DATA] {
            open.put_uint32(field);
        }
        self.say(Side::Client, &open).unwrap();
        let mut confirm = vec![message::CHANNEL_OPEN_CONFIRMATION];
        for field in [client, server, 1 << 21, LARGEST_DATA] {
            confirm.put_uint32(field);
        }
        self.say(Side::Server, &confirm).unwrap();
        self.heard(Side::Client);
        self.heard(Side::Server);
    }

    fn say(&mut self, side: Side, payload: &[u8]) -> Result<(), RelayError> {
        let input = self.relay.leg(side).input();
        input.preload(&u32::try_from(payload.len()).unwrap().to_be_bytes());
        input.preload(payload);
        self.relay.process(self.now)
    }

    fn lending(&mut self, flow: Flow, step: Step) -> Result<(), RelayError> {
        self.say(Side::Server, &Lending { channel: CLIENT, flow, step }.encode())
    }

    /// As the endpoint does: the pipes, and what it says of them.
    fn lend(&mut self, flow: Flow, with_errors: bool) -> Result<(), RelayError> {
        let null = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        self.relay.bring((0..=u8::from(with_errors)).map(|_| null()).collect())?;
        self.lending(flow, Step::Lend { with_errors, largest: 1000 })
    }

    fn data(&mut self, length: usize) -> Result<(), RelayError> {
        let mut data = numbered(message::CHANNEL_DATA, SERVER);
        data.put_string(vec![b'd'; length]);
        self.say(Side::Client, &data)
    }

    fn adjust(&mut self, count: u32) -> Result<(), RelayError> {
        let mut adjust = numbered(message::CHANNEL_WINDOW_ADJUST, SERVER);
        adjust.put_uint32(count);
        self.say(Side::Client, &adjust)
    }

    fn poll(&mut self) {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        while self.relay.poll_move(&mut cx, self.now).unwrap() {}
    }

    /// The payloads that went to a side.
    fn heard(&mut self, side: Side) -> Vec<Vec<u8>> {
        let output = self.relay.leg(side).output();
        let mut payloads = Vec::new();
        while let Some(length) = output.pending().first_chunk().copied().map(u32::from_be_bytes) {
            let end = 4 + length as usize;
            payloads.push(output.pending()[4..end].to_vec());
            output.consume(end);
        }
        payloads
    }

    /// What the endpoint heard of its pipes, the last first.
    fn answer(&mut self) -> Option<Step> {
        let heard = self.heard(Side::Server);
        heard.iter().rev().find(|payload| payload[0] >= message::LEND).map(|payload| {
            let lending = Lending::decode(payload).unwrap();
            assert_eq!(lending.channel, SERVER);
            lending.step
        })
    }
}

/// How many bytes of data, in how many messages.
fn carried(payloads: &[Vec<u8>]) -> (usize, usize) {
    let data: Vec<_> = payloads.iter().filter(|payload| payload[0] == message::CHANNEL_DATA).collect();
    (data.iter().map(|payload| payload.len() - 9).sum(), data.len())
}

#[tokio::test]
async fn output_is_sent_within_the_window_and_the_clients_largest_message() {
    let (mut program, pipe) = duplex(1 << 20);
    let mut bench = Bench::new(vec![pipe]);
    program.write_all(&[7; 100_000]).await.unwrap();
    bench.lend(Flow::Output, false).unwrap();
    assert_eq!(bench.answer(), Some(Step::Lent));
    // Credit that the endpoint does not hear of any more.
    bench.adjust(500).unwrap();
    bench.poll();
    assert!(bench.heard(Side::Server).is_empty() && bench.heard(Side::Client).is_empty(), "before the start");
    bench.lending(Flow::Output, Step::Start { window: 2000 }).unwrap();
    bench.poll();
    assert_eq!(carried(&bench.heard(Side::Client)), (2500, 3));
    bench.adjust(1_000).unwrap();
    bench.poll();
    assert_eq!(carried(&bench.heard(Side::Client)), (1_000, 1));
    bench.adjust(10).unwrap();
    bench.now += IDLE;
    bench.relay.on_time(bench.now).unwrap();
    assert_eq!(bench.answer(), Some(Step::Returned { moved: 3500, credit: 10 }));
    assert!(!bench.relay.has_loans());
    // From here on the endpoint hears of it again.
    bench.adjust(20).unwrap();
    assert_eq!(bench.heard(Side::Server).len(), 1);
}

#[tokio::test]
async fn a_clients_output_takes_no_more_than_it_sends() {
    let (mut program, pipe) = duplex(1 << 22);
    let mut bench = Bench::new(vec![pipe]);
    program.write_all(&vec![7; 4 << 20]).await.unwrap();
    bench.lend(Flow::Output, false).unwrap();
    bench.lending(Flow::Output, Step::Start { window: u32::MAX }).unwrap();
    bench.poll();
    let waiting = bench.relay.leg(Side::Client).output().len();
    assert!(waiting < 2 * FULL, "{waiting} bytes wait");
}

#[tokio::test]
async fn the_endpoint_has_a_turn_for_each_channel_that_is_not_lent() {
    for others in [1, 4] {
        let (mut program, pipe) = duplex(1 << 22);
        let mut bench = Bench::new(vec![pipe]);
        for other in 0..others {
            bench.open(100 + other, 200 + other);
        }
        program.write_all(&vec![7; 4 << 20]).await.unwrap();
        bench.lend(Flow::Output, false).unwrap();
        bench.lending(Flow::Output, Step::Start { window: u32::MAX }).unwrap();
        // All that the endpoint says lies here already.
        let mut data = numbered(message::CHANNEL_DATA, 100);
        data.put_string(vec![b'd'; 30_000]);
        let input = bench.relay.leg(Side::Server).input();
        for _ in 0..140 {
            input.preload(&u32::try_from(data.len()).unwrap().to_be_bytes());
            input.preload(&data);
        }
        let (mut lent, mut not_lent) = (0, 0);
        for _ in 0..(1 + others) * 6 {
            bench.poll();
            for payload in bench.heard(Side::Client) {
                match recipient(&payload).unwrap() {
                    CLIENT => lent += payload.len(),
                    _ => not_lent += payload.len(),
                }
            }
        }
        let ratio = not_lent as f64 / lent as f64 / f64::from(others);
        assert!((0.8..1.25).contains(&ratio), "{others} others: {not_lent} beside {lent} bytes");
    }
}

#[tokio::test]
async fn input_is_kept_within_its_window_and_given_back_in_order() {
    let (pipe, _program) = duplex(1000);
    let mut bench = Bench::new(vec![pipe]);
    bench.lend(Flow::Input, false).unwrap();
    assert_eq!(bench.answer(), Some(Step::Lent));
    bench.data(600).unwrap();
    bench.data(600).unwrap();
    bench.poll();
    assert!(bench.heard(Side::Server).is_empty());
    bench.lending(Flow::Input, Step::Start { window: 2000 }).unwrap();
    bench.poll();
    bench.data(800).unwrap();
    // 1000 are in the pipe; the rest comes back, before the end of the data.
    bench.say(Side::Client, &numbered(message::CHANNEL_EOF, SERVER)).unwrap();
    let heard = bench.heard(Side::Server);
    let returned =
        Lending { channel: SERVER, flow: Flow::Input, step: Step::Returned { moved: 1000, credit: 0 } };
    assert_eq!(heard.first(), Some(&returned.encode()));
    assert_eq!(carried(&heard), (1000, 1));
    assert_eq!(heard.last(), Some(&numbered(message::CHANNEL_EOF, SERVER)));
}

/// What the client sent before waits for the endpoint to read; only behind it the endpoint may hear that the rest is kept.
#[tokio::test]
async fn what_is_said_of_pipes_does_not_overtake_what_the_client_said() {
    let (pipe, _program) = duplex(1000);
    let mut bench = Bench::new(vec![pipe]);
    for _ in 0..6 {
        bench.data(30_000).unwrap();
    }
    assert!(!bench.relay.wants_read(Side::Client), "more than the endpoint's leg holds");
    bench.lend(Flow::Input, false).unwrap();
    bench.now += IDLE;
    bench.relay.on_time(bench.now).unwrap();
    let mut heard = bench.heard(Side::Server);
    bench.relay.process(bench.now).unwrap();
    heard.extend(bench.heard(Side::Server));
    let numbers: Vec<u8> = heard.iter().map(|payload| payload[0]).collect();
    let data = message::CHANNEL_DATA;
    assert_eq!(numbers, [data, data, data, data, data, data, message::LENT, message::LOAN_RETURNED]);
}

#[tokio::test]
async fn the_client_gets_credit_as_the_program_takes_it() {
    let (pipe, mut program) = duplex(1 << 20);
    let mut bench = Bench::new(vec![pipe]);
    bench.lend(Flow::Input, false).unwrap();
    bench.lending(Flow::Input, Step::Start { window: LARGEST_INPUT }).unwrap();
    for _ in 0..50 {
        bench.data(30_000).unwrap();
    }
    bench.poll();
    let credit = |payloads: Vec<Vec<u8>>| -> u32 {
        let adjusts = payloads.iter().filter(|payload| payload[0] == message::CHANNEL_WINDOW_ADJUST);
        adjusts.map(|payload| Reader::new(&payload[5..]).uint32().unwrap()).sum()
    };
    assert_eq!(credit(bench.heard(Side::Client)), 1 << 20);
    program.read_exact(&mut vec![0; 1 << 20]).await.unwrap();
    bench.poll();
    assert_eq!(credit(bench.heard(Side::Client)), 1_500_000 - (1 << 20));
}

#[tokio::test]
async fn what_a_hostile_end_says_of_pipes_ends_the_connection_or_nothing() {
    type Act = fn(&mut Bench) -> Result<(), RelayError>;
    let cases: [(&str, Option<Side>, Act); 11] = [
        ("pipes that did not come", Some(Side::Server), |bench| {
            bench.lending(Flow::Output, Step::Lend { with_errors: true, largest: 1000 })
        }),
        ("descriptors without an end", Some(Side::Server), |bench| {
            let null = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
            bench.relay.bring((0..=MOST_BROUGHT).map(|_| null()).collect())
        }),
        ("lent twice", Some(Side::Server), |bench| {
            bench.lend(Flow::Input, false)?;
            bench.lend(Flow::Input, false)
        }),
        ("a window that is less than what came", Some(Side::Server), |bench| {
            bench.lend(Flow::Input, false)?;
            bench.data(500)?;
            bench.lending(Flow::Input, Step::Start { window: 499 })
        }),
        ("data beyond the window", Some(Side::Client), |bench| {
            bench.lend(Flow::Input, false)?;
            bench.lending(Flow::Input, Step::Start { window: 499 })?;
            bench.data(500)
        }),
        ("data without an end before the start", Some(Side::Client), |bench| {
            bench.lend(Flow::Input, false)?;
            (0..100).try_for_each(|_| bench.data(30_000))
        }),
        ("credit without an end", Some(Side::Client), |bench| {
            bench.lend(Flow::Output, false)?;
            bench.adjust(u32::MAX)?;
            bench.adjust(1)
        }),
        ("a message of half its length", Some(Side::Server), |bench| {
            bench.say(Side::Server, &[message::LEND, 0, 0])
        }),
        ("a largest message of nothing", None, |bench| {
            let null = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
            bench.relay.bring(vec![null])?;
            bench.lending(Flow::Output, Step::Lend { with_errors: false, largest: 0 })?;
            assert_eq!(bench.answer(), Some(Step::Returned { moved: 0, credit: 0 }));
            Ok(())
        }),
        ("a start of what is not lent", None, |bench| {
            bench.lending(Flow::Input, Step::Start { window: 7 })?;
            bench.lending(Flow::Output, Step::Start { window: 7 })
        }),
        ("a client that lends", None, |bench| {
            let lend = Step::Lend { with_errors: false, largest: 1000 };
            bench.say(Side::Client, &Lending { channel: SERVER, flow: Flow::Input, step: lend }.encode())?;
            assert!(!bench.relay.has_loans() && bench.heard(Side::Server).is_empty());
            Ok(())
        }),
    ];
    for (name, at_fault, act) in cases {
        let (_far, stream) = duplex(10);
        let (_other, another) = duplex(10);
        let mut bench = Bench::new(vec![stream, another]);
        let ended = act(&mut bench).err().map(|error| error.side);
        assert_eq!(ended, at_fault, "{name}");
    }
}

/// The offer and the end of the data crossed: a pipe that is held here would not end.
#[tokio::test]
async fn input_that_has_ended_is_not_taken() {
    let (stream, _program) = duplex(10);
    let mut bench = Bench::new(vec![stream]);
    bench.say(Side::Client, &numbered(message::CHANNEL_EOF, SERVER)).unwrap();
    bench.lend(Flow::Input, false).unwrap();
    assert_eq!(bench.answer(), Some(Step::Returned { moved: 0, credit: 0 }));
}

#[tokio::test]
async fn more_than_so_many_are_given_back_at_once() {
    let mut bench = Bench::new(Vec::new());
    bench.lend(Flow::Output, true).unwrap();
    assert_eq!(bench.answer(), Some(Step::Returned { moved: 0, credit: 0 }), "none can be opened");
    let (_far, stream) = duplex(10);
    let mut bench = Bench::new(vec![stream]);
    bench.lend(Flow::Output, true).unwrap();
    assert_eq!(bench.answer(), Some(Step::Returned { moved: 0, credit: 0 }), "only one can");
}
