//! A script for the connection protocol: a hostile peer on one side, handles that do anything on the other, and
//! a check after each step that bounds hold and that nobody sleeps who has something to do.

use super::channel::Phase;
use super::*;
use crate::bare::BareTransport;
use crate::fuzzing::{Flag, Script};
use crate::packet::LONGEST_PACKET;
use crate::transport::LONGEST_BACKLOG;
use std::task::Waker;

/// Small, so that scripts reach them.
const LIMITS: Limits = Limits {
    receive_budget: 1024 * 1024,
    channels: 12,
    requests: 8,
    keepalive: Some(Duration::from_secs(10)),
    keepalive_most: 3,
    push: Some(Duration::from_secs(1)),
};

/// Runs a script against the engine.
pub fn connection(script: &[u8]) {
    let mut bench = Bench::new();
    let mut script = Script::new(script);
    while let Some(step) = script.step() {
        bench.step(step, &mut script);
        bench.check();
        if bench.engine.ended().is_some() {
            break;
        }
    }
    bench.finish();
}

/// Somebody who waits, for what, and whether they were woken.
struct Sleeper {
    channel: u32,
    waits: Waits,
    flag: Arc<Flag>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Waits {
    Read(Stream),
    /// To write, or for what was written to leave: they share a place.
    Write(Stream),
    Flush(Stream),
    Request,
    Arrival,
}

struct Bench {
    engine: Engine,
    now: Instant,
    driver: Arc<Flag>,
    driver_waker: Waker,
    /// The driver's last write took less than there was: the socket wakes it.
    blocked: bool,
    sleepers: Vec<Sleeper>,
    undecided: Vec<(Option<u32>, Ticket)>,
    opens: Vec<oneshot::Receiver<Result<(), OpenRefused>>>,
    replies: Vec<oneshot::Receiver<bool>>,
    globals: Vec<oneshot::Receiver<GlobalReply>>,
}

impl Bench {
    fn new() -> Self {
        let now = Instant::now();
        let leg = BareTransport::resumed(true, 0).into();
        let mut engine = Engine::new(leg, LIMITS, now);
        let (driver, driver_waker) = Flag::new();
        engine.set_driver(&driver_waker);
        Self {
            engine,
            now,
            driver,
            driver_waker,
            blocked: false,
            sleepers: Vec::new(),
            undecided: Vec::new(),
            opens: Vec::new(),
            replies: Vec::new(),
            globals: Vec::new(),
        }
    }

    /// As the driver does: an error ends the connection.
    fn with<T>(&mut self, operation: impl FnOnce(&mut Engine) -> Result<T, Error>) -> Option<T> {
        match operation(&mut self.engine) {
            Ok(value) => Some(value),
            Err(error) => {
                self.engine.end(error);
                None
            }
        }
    }

    /// A channel by the script's choice, if anybody can have a handle on it.
    fn held(&mut self, script: &mut Script<'_>) -> Option<u32> {
        let number = u32::from(script.byte() % 16);
        let channel = self.engine.channel(number)?;
        (matches!(channel.phase, Phase::Open) && !channel.abandoned).then_some(number)
    }

    fn step(&mut self, step: u8, script: &mut Script<'_>) {
        let (now, stream) = (self.now, if step & 0x40 == 0 { Stream::Data } else { Stream::Stderr });
        match step & 15 {
            // Half of all steps are the peer's.
            0..=5 => self.deliver(script.bytes()),
            6 => self.data(script),
            7 => self.decide(script.byte()),
            8 => {
                let (channel, mut room) = (self.held(script), vec![0; script.amount()]);
                let Some(channel) = channel else { return };
                let (flag, waker) = Flag::new();
                let read = self.with(|engine| engine.read(channel, stream, &mut room, &waker, now));
                if matches!(read, Some(Read::Pending)) {
                    self.sleep(channel, Waits::Read(stream), flag);
                }
            }
            9 => {
                let (channel, bytes) = (self.held(script), vec![0x5a; script.amount()]);
                let Some(channel) = channel else { return };
                let (flag, waker) = Flag::new();
                let written = self.with(|engine| engine.write(channel, stream, &bytes, &waker));
                if matches!(written, Some(Written::Pending)) {
                    self.sleep(channel, Waits::Write(stream), flag);
                }
            }
            10 => self.drive(script.amount()),
            11 => self.ask(step >> 4, script),
            12 => {
                if let Some(channel) = self.held(script) {
                    self.finish_with(step >> 4, channel);
                }
            }
            13 => {
                if let Some(channel) = self.held(script) {
                    self.poll(step >> 4, stream, channel);
                }
            }
            14 => self.pass_time(u64::from(script.byte())),
            _ => self.answer(script.byte()),
        }
    }

    /// The peer sends a payload, and the driver reads it.
    fn deliver(&mut self, payload: &[u8]) {
        if payload.is_empty() {
            return;
        }
        let length = u32::try_from(payload.len()).expect("scripts have short payloads");
        let input = self.engine.leg().input();
        input.preload(&length.to_be_bytes());
        input.preload(payload);
        let now = self.now;
        self.with(|engine| engine.process(now));
        self.drive(0);
    }

    /// A lot of data, without its bytes being in the script.
    fn data(&mut self, script: &mut Script<'_>) {
        let (channel, count) = (u32::from(script.byte() % 16), script.amount().min(100_000));
        let mut payload = data_head(Stream::Data, channel, count);
        payload.resize(payload.len() + count, 1);
        self.deliver(&payload);
    }

    /// What the driver does when it is polled; the socket takes `most` bytes.
    fn drive(&mut self, most: usize) {
        self.driver.clear();
        self.engine.set_driver(&self.driver_waker);
        let mut left = most;
        loop {
            if self.with(Engine::fill).is_none() {
                return;
            }
            let output = self.engine.leg().output();
            let count = output.len().min(left);
            output.consume(count);
            left -= count;
            self.blocked = !output.is_empty();
            if count == 0 {
                return;
            }
        }
    }

    /// The caller takes an arrival and decides it, or does not yet.
    fn decide(&mut self, choice: u8) {
        let (flag, waker) = Flag::new();
        match self.engine.poll_arrival(&waker) {
            None => self.sleep(0, Waits::Arrival, flag),
            Some(None) => {}
            Some(Some(Arrival::Open { channel, .. })) => {
                if choice & 3 == 0 {
                    let reason = OpenFailure::AdministrativelyProhibited;
                    self.with(|engine| engine.refuse_open(channel, reason, "no"));
                } else {
                    self.with(|engine| engine.accept_open(channel));
                }
            }
            Some(Some(Arrival::Global { reply, .. })) => {
                self.undecided.extend(reply.map(|ticket| (None, ticket)));
            }
        }
    }

    /// An undecided request gets its reply.
    fn answer(&mut self, choice: u8) {
        if self.undecided.is_empty() {
            return;
        }
        let (channel, ticket) = self.undecided.swap_remove(usize::from(choice) % self.undecided.len());
        let accepted = choice & 0x80 != 0;
        match channel {
            Some(channel) => self.with(|engine| engine.reply(channel, ticket, accepted)),
            None => {
                let reply = if accepted { Ok(vec![choice; 4]) } else { Err(()) };
                self.with(|engine| engine.reply_global(ticket, reply))
            }
        };
    }

    /// We ask the peer for something.
    fn ask(&mut self, kind: u8, script: &mut Script<'_>) {
        let wants_reply = kind & 8 != 0;
        match kind & 7 {
            0..=2 => {
                let (caller, answer) = oneshot::channel();
                if matches!(self.with(|engine| engine.open(&ChannelKind::Session, caller)), Some(Some(_)))
                    && wants_reply
                {
                    self.opens.push(answer);
                }
            }
            3..=5 => {
                let Some(channel) = self.held(script) else { return };
                let (caller, answer) = oneshot::channel();
                let request =
                    ChannelRequest::Exec(vec![b'x'; script.amount().min(LONGEST_PACKET as usize / 2)]);
                self.engine.request(channel, &request, wants_reply.then_some(caller));
                self.replies.push(answer);
            }
            _ => {
                let (caller, answer) = oneshot::channel();
                let caller = wants_reply.then_some(caller);
                self.with(|engine| engine.request_global("x@example.org", b"data", caller));
                self.globals.push(answer);
            }
        }
    }

    fn finish_with(&mut self, how: u8, channel: u32) {
        let now = self.now;
        match how & 3 {
            0 => self.engine.send_eof(channel),
            1 => self.engine.close(channel),
            2 => {
                self.with(|engine| engine.discard(channel, now));
            }
            _ => {
                // The last handle is dropped: nobody can then wait on it.
                self.with(|engine| engine.abandon(channel));
                self.sleepers.retain(|sleeper| sleeper.channel != channel || sleeper.waits == Waits::Arrival);
            }
        }
    }

    fn poll(&mut self, what: u8, stream: Stream, channel: u32) {
        let (flag, waker) = Flag::new();
        if what & 1 == 0 {
            match self.engine.poll_request(channel, &waker) {
                None => self.sleep(channel, Waits::Request, flag),
                Some(None) => {}
                Some(Some(request)) => {
                    self.undecided.extend(request.reply.map(|ticket| (Some(channel), ticket)));
                }
            }
        } else if !self.engine.is_flushed(channel, stream, &waker) {
            self.sleep(channel, Waits::Flush(stream), flag);
        }
    }

    fn pass_time(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        let now = self.now;
        // As the driver does; each call must bring the deadline forward.
        for _ in 0..100 {
            if self.engine.ended().is_some() || self.engine.deadline().is_none_or(|deadline| deadline > now) {
                self.drive(0);
                return;
            }
            self.with(|engine| engine.on_time(now));
        }
        assert!(self.engine.deadline().is_none_or(|deadline| deadline > now), "the timer never stops");
    }

    /// Who waits takes the place of whoever waited for the same.
    fn sleep(&mut self, channel: u32, waits: Waits, flag: Arc<Flag>) {
        let place = |waits| if let Waits::Flush(stream) = waits { Waits::Write(stream) } else { waits };
        self.sleepers.retain(|sleeper| sleeper.channel != channel || place(sleeper.waits) != place(waits));
        self.sleepers.push(Sleeper { channel, waits, flag });
    }

    fn check(&mut self) {
        let engine = &mut self.engine;
        let ended = engine.ended.is_some();
        let output = engine.leg.output().len();
        let longest = LONGEST_BACKLOG + LONGEST_PACKET as usize + 64;
        assert!(output <= longest, "{output} bytes of output");
        assert!(engine.channels.len() <= LIMITS.channels, "{} channels", engine.channels.len());
        let received: usize =
            engine.channels.iter_mut().map(|c| c.receive.data.len() + c.receive.stderr.len()).sum();
        assert!(received as u64 <= LIMITS.receive_budget, "{received} bytes wait to be read");
        let owed: usize = engine.channels.iter_mut().map(|c| c.owed.len()).max().unwrap_or_default();
        let owed = owed.max(engine.globals.owed.len());
        assert!(owed <= 4 * LIMITS.requests, "{owed} replies are owed");
        let requests: usize = engine.channels.iter_mut().map(|channel| cost_of(&channel.requests)).sum();
        let waiting = requests + cost_of(&engine.arrivals);
        assert_eq!(engine.waiting, waiting, "what waits is counted wrong");
        assert!(waiting <= MOST_WAITING, "{waiting} bytes of requests wait");

        self.sleepers.retain(|sleeper| !sleeper.flag.is_set());
        for sleeper in &self.sleepers {
            let channel = engine.channels.get_mut(sleeper.channel);
            let (rests, what) = match (sleeper.waits, channel) {
                (Waits::Arrival, _) => (engine.arrivals.is_empty() && !ended, "an arrival"),
                (_, None) => (false, "a channel that is gone"),
                (Waits::Read(stream), Some(channel)) => {
                    let receive = &mut channel.receive;
                    (receive.queue(stream).is_empty() && !receive.eof && !receive.closed && !ended, "data")
                }
                (Waits::Write(_), Some(channel)) => {
                    let send = &channel.send;
                    (send.room() == 0 && !send.eof && !send.closing && !send.closed && !ended, "room")
                }
                (Waits::Flush(_), Some(channel)) => {
                    (channel.send.queued > 0 && !channel.send.closed && !ended, "a flush")
                }
                (Waits::Request, Some(channel)) => {
                    (channel.requests.is_empty() && !channel.receive.closed && !ended, "a request")
                }
            };
            assert!(rests, "somebody sleeps on channel {} who has {what}", sleeper.channel);
        }
        let idle = engine.leg.output().is_empty() && (engine.schedule.is_empty() || !engine.leg.may_send());
        assert!(
            idle || self.blocked || ended || self.driver.is_set(),
            "the driver sleeps and has something to send"
        );
    }

    /// Everything can be sent, then the connection ends: nobody is left waiting.
    fn finish(&mut self) {
        self.drive(usize::MAX);
        self.engine.end(Error::Closed);
        assert!(self.sleepers.iter().all(|sleeper| sleeper.flag.is_set()), "somebody sleeps after the end");
        let waits = oneshot::error::TryRecvError::Empty;
        assert!(self.opens.iter_mut().all(|answer| answer.try_recv() != Err(waits.clone())), "an open hangs");
        assert!(
            self.replies.iter_mut().all(|answer| answer.try_recv() != Err(waits.clone())),
            "a request hangs"
        );
        assert!(
            self.globals.iter_mut().all(|answer| answer.try_recv() != Err(waits.clone())),
            "a request hangs"
        );
    }
}
