//! Two honest ends, joined by their buffers, with their users doing anything in any order while keys are
//! replaced: what one writes the other reads, and when nobody does anything any more nothing is left over.

use super::*;
use crate::transport::script::{client_config, established, server_config};
use proptest::collection::vec;
use proptest::prelude::*;

/// What a user of one end does. The first number chooses the channel, among those that are open.
#[derive(Clone, Copy, Debug)]
enum Act {
    Open,
    Write(usize, Stream, usize),
    Read(usize, Stream, usize),
    Ask(usize),
    Eof(usize),
    Close(usize),
    Rekey,
    /// The socket takes this many bytes.
    Pass(usize),
}

fn act() -> impl Strategy<Value = Act> {
    let stream = prop_oneof![3 => Just(Stream::Data), 1 => Just(Stream::Stderr)];
    let size = prop_oneof![0..100usize, 0..40_000usize, 0..400_000usize];
    prop_oneof![
        2 => Just(Act::Open),
        8 => (0..4usize, stream.clone(), size.clone()).prop_map(|(channel, on, size)| Act::Write(channel, on, size)),
        8 => (0..4usize, stream, size.clone()).prop_map(|(channel, on, size)| Act::Read(channel, on, size)),
        2 => (0..4usize).prop_map(Act::Ask),
        1 => (0..4usize).prop_map(Act::Eof),
        1 => (0..4usize).prop_map(Act::Close),
        1 => Just(Act::Rekey),
        8 => size.prop_map(Act::Pass),
    ]
}

/// One end of one channel.
#[derive(Debug, Default)]
struct End {
    local: u32,
    written: [usize; 2],
    read: [usize; 2],
    asked: u32,
    closed: bool,
}

struct Pair {
    /// The client and the server.
    engines: [Engine; 2],
    /// Channels that both have, with their two ends.
    channels: Vec<[End; 2]>,
    now: Instant,
}

/// What is written at an offset of a stream: no two streams have the same.
fn pattern(channel: usize, side: usize, stream: Stream, offset: usize) -> u8 {
    let seed = channel * 31 + side * 7 + usize::from(stream == Stream::Stderr) * 3;
    (offset.wrapping_mul(2_654_435_761) >> 5).wrapping_add(seed) as u8
}

impl Pair {
    fn new() -> Self {
        let now = Instant::now();
        let (client, server) = established();
        let client = Transport::import_client(client, client_config(), now).unwrap();
        let server = Transport::import_server(server, server_config(), now).unwrap();
        let limits = Limits { receive_budget: 4 * 1024 * 1024, ..Limits::default() };
        let engines = [client, server].map(|leg| Engine::new(leg.into(), limits, now));
        Self { engines, channels: Vec::new(), now }
    }

    fn act(&mut self, side: usize, act: Act) {
        let now = self.now;
        let open = self.channels.len().max(1);
        let chosen = |channel: usize| channel % open;
        match act {
            Act::Open if self.channels.len() < 4 => self.open(side),
            Act::Open => {}
            Act::Rekey => self.engines[side].leg.start_rekey(now).unwrap(),
            Act::Pass(most) => {
                self.pass(side, most);
            }
            Act::Read(channel, stream, most) => {
                self.read(chosen(channel), side, stream, most);
            }
            Act::Write(channel, stream, size) => self.write(chosen(channel), side, stream, size),
            Act::Ask(channel) | Act::Eof(channel) | Act::Close(channel) => {
                let Some(ends) = self.channels.get_mut(chosen(channel)) else { return };
                let (engine, end) = (&mut self.engines[side], &mut ends[side]);
                match act {
                    Act::Eof(_) => engine.send_eof(end.local),
                    Act::Close(_) => {
                        engine.close(end.local);
                        end.closed = true;
                    }
                    _ => {
                        engine.request(end.local, &ChannelRequest::Break(end.asked), None);
                        end.asked += 1;
                    }
                }
            }
        }
    }

    fn open(&mut self, side: usize) {
        let (caller, mut answer) = oneshot::channel();
        let here = self.engines[side].open(&ChannelKind::Session, caller).unwrap().unwrap();
        while answer.try_recv().is_err() {
            self.pass(0, usize::MAX);
            self.pass(1, usize::MAX);
            let other = &mut self.engines[1 - side];
            if let Some(Some(Arrival::Open { channel, .. })) = other.poll_arrival(Waker::noop()) {
                other.accept_open(channel).unwrap();
                let mut ends = [End::default(), End::default()];
                (ends[side].local, ends[1 - side].local) = (here, channel);
                self.channels.push(ends);
            }
        }
    }

    fn write(&mut self, channel: usize, side: usize, stream: Stream, size: usize) {
        let Some(ends) = self.channels.get_mut(channel) else { return };
        let end = &mut ends[side];
        let start = end.written[stream as usize];
        let bytes: Vec<u8> = (start..start + size).map(|at| pattern(channel, side, stream, at)).collect();
        if let Written::Bytes(count) =
            self.engines[side].write(end.local, stream, &bytes, Waker::noop()).unwrap()
        {
            end.written[stream as usize] += count;
        }
    }

    /// Whether anything was read.
    fn read(&mut self, channel: usize, side: usize, stream: Stream, most: usize) -> bool {
        let Some(ends) = self.channels.get_mut(channel) else { return false };
        let end = &mut ends[side];
        let mut room = vec![0; most];
        let read = self.engines[side].read(end.local, stream, &mut room, Waker::noop(), self.now).unwrap();
        let Read::Bytes(count) = read else { return false };
        for byte in &room[..count] {
            assert_eq!(*byte, pattern(channel, 1 - side, stream, end.read[stream as usize]));
            end.read[stream as usize] += 1;
        }
        count > 0
    }

    /// Moves up to `most` bytes from one end to the other; whether any were.
    fn pass(&mut self, from: usize, most: usize) -> bool {
        self.engines[from].fill().unwrap();
        let output = self.engines[from].leg.output();
        let bytes = output.pending()[..output.len().min(most)].to_vec();
        output.consume(bytes.len());
        let to = &mut self.engines[1 - from];
        to.leg.input().preload(&bytes);
        to.process(self.now).unwrap();
        !bytes.is_empty()
    }

    /// Everybody reads and the sockets take everything, until nothing moves.
    fn settle(&mut self) {
        let mut moved = true;
        while moved {
            moved = self.pass(0, usize::MAX) | self.pass(1, usize::MAX);
            for channel in 0..self.channels.len() {
                for side in [0, 1] {
                    for stream in [Stream::Data, Stream::Stderr] {
                        moved |= self.read(channel, side, stream, 1 << 20);
                    }
                }
            }
        }
    }

    fn check(&mut self) {
        for (number, ends) in self.channels.iter().enumerate() {
            for (writer, reader) in [(0, 1), (1, 0)] {
                // Who closes says that it reads no more.
                if !ends[reader].closed {
                    assert_eq!(
                        ends[reader].read, ends[writer].written,
                        "channel {number} from side {writer}"
                    );
                }
            }
        }
        for engine in &mut self.engines {
            assert!(engine.schedule.is_empty() && engine.leg.output().is_empty());
            assert!(!engine.leg.is_exchanging());
        }
        // Requests came in their order, and all of them.
        for ends in &self.channels {
            for (asker, asked) in [(0, 1), (1, 0)] {
                let engine = &mut self.engines[asked];
                let mut count = 0;
                while let Some(Some(request)) = engine.poll_request(ends[asked].local, Waker::noop()) {
                    assert_eq!(request.request, ChannelRequest::Break(count));
                    count += 1;
                }
                assert!(count == ends[asker].asked || ends[0].closed || ends[1].closed);
            }
        }
        for ends in std::mem::take(&mut self.channels) {
            for (side, end) in ends.iter().enumerate() {
                self.engines[side].abandon(end.local).unwrap();
            }
        }
        self.settle();
        let left = self.engines.each_ref().map(Engine::channel_count);
        assert_eq!(left, [0, 0], "channels are left over");
        for engine in &mut self.engines {
            assert_eq!(engine.waiting, 0);
            // All memory set aside for windows is free again.
            let windows: Vec<_> = std::iter::from_fn(|| engine.budget.open()).collect();
            let fresh: Vec<_> = std::iter::repeat_with(|| ())
                .scan(Budget::new(4 * 1024 * 1024), |budget, ()| budget.open())
                .collect();
            assert_eq!(windows.len(), fresh.len());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_one_writes_the_other_reads(acts in vec((0..2usize, act()), 1..120)) {
        let mut pair = Pair::new();
        pair.open(0);
        for (side, act) in acts {
            pair.act(side, act);
        }
        pair.settle();
        pair.check();
    }
}
