//! A script for the relay: two hostile peers, packets from both in any order, sockets that take little, time
//! that passes, and moves to another process in between.

use super::*;
use crate::bare::BareTransport;
use crate::config::{ClientConfig, ServerConfig};
use crate::export::RelaySetup;
use crate::fuzzing::Script;
use crate::lending::{Flow, Lending, Step};
use crate::transport::LONGEST_BACKLOG;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

const KEEPALIVE: RelayKeepalive = RelayKeepalive { every: Duration::from_secs(10), most: 3 };
/// The longest payload that may cross.
const LONGEST: usize = LONGEST_PACKET as usize;

/// Runs a script against the relay.
pub fn relay(script: &[u8]) {
    let now = Instant::now();
    let leg = || BareTransport::resumed(true, 0);
    let relay = Relay::new(leg(), leg(), Box::new(Picky), Some(KEEPALIVE), now);
    let mut bench =
        Bench { relay: relay.expect("bare legs announce nothing"), now, programs: Programs::default() };
    bench.relay.borrow_pipes(Box::new(bench.programs.clone()));
    let mut script = Script::new(script);
    while let Some(step) = script.step() {
        if bench.step(step, &mut script).is_err() {
            return;
        }
        bench.check();
    }
}

/// Refuses a little of everything.
struct Picky;

impl RelayPolicy for Picky {
    fn open(&mut self, _from: Side, kind: &ChannelKind) -> Verdict {
        if kind.name() == "direct-tcpip" { Verdict::Refuse("no forwards") } else { Verdict::Pass }
    }
    fn channel_request(&mut self, _from: Side, name: &str) -> Verdict {
        if name == "pty-req" { Verdict::Refuse("no terminals") } else { Verdict::Pass }
    }
    fn global_request(&mut self, _from: Side, request: &GlobalRequest) -> Verdict {
        match request {
            GlobalRequest::StreamlocalForward { .. } => Verdict::Refuse("no sockets"),
            _ => Verdict::Pass,
        }
    }
}

struct Bench {
    relay: Relay,
    now: Instant,
    programs: Programs,
}

/// The far ends of what was lent, in memory.
#[derive(Clone, Default)]
struct Programs(Arc<Mutex<Vec<DuplexStream>>>);

impl Programs {
    fn pipe(&self) -> DuplexStream {
        let (near, far) = tokio::io::duplex(100_000);
        self.0.lock().expect("no panic before").push(far);
        near
    }

    /// One of them reads or writes so much, or ends.
    fn act(&self, which: u8, amount: usize) {
        let mut programs = self.0.lock().expect("no panic before");
        let count = programs.len().max(1);
        let index = usize::from(which >> 2) % count;
        let Some(program) = programs.get_mut(index) else { return };
        let mut cx = Context::from_waker(Waker::noop());
        let mut bytes = vec![0; amount.min(100_000)];
        match which & 3 {
            0 | 1 => drop(Pin::new(program).poll_write(&mut cx, &bytes)),
            2 => drop(Pin::new(program).poll_read(&mut cx, &mut ReadBuf::new(&mut bytes))),
            _ => drop(programs.remove(index)),
        }
    }
}

impl OpenPipes for Programs {
    fn source(&mut self, _: OwnedFd) -> io::Result<Source> {
        Ok(Box::new(self.pipe()))
    }
    fn sink(&mut self, _: OwnedFd) -> io::Result<Sink> {
        Ok(Box::new(self.pipe()))
    }
}

impl Bench {
    fn step(&mut self, step: u8, script: &mut Script<'_>) -> Result<(), RelayError> {
        let side = if step & 0x80 == 0 { Side::Client } else { Side::Server };
        if step & 0x18 == 0x18 {
            self.lending(step, script)?;
            return self.relay.process(self.now);
        }
        match step & 7 {
            0..=3 => self.deliver(side, script.bytes())?,
            4 => {
                // Data without its bytes being in the script.
                let mut payload = vec![message::CHANNEL_DATA];
                payload.put_uint32(u32::from(script.byte() % 4));
                payload.put_string(vec![0; script.amount().min(LONGEST - 9)]);
                self.deliver(side, &payload)?;
            }
            5 => self.write(side, script.amount()),
            6 => {
                self.now += Duration::from_secs(u64::from(script.byte()));
                self.on_time()?;
            }
            _ => self.relocate(),
        }
        self.relay.process(self.now)
    }

    /// Something about pipes: descriptors come, a program does something, or the relay looks after them.
    fn lending(&mut self, step: u8, script: &mut Script<'_>) -> Result<(), RelayError> {
        match step & 3 {
            0 => {
                let null = std::fs::File::open("/dev/null").expect("there is one");
                self.relay.bring(vec![null.into()])?;
            }
            1 => {
                // A whole message, so that scripts need not find its form.
                let flow = if step & 4 == 0 { Flow::Output } else { Flow::Input };
                let what = match script.byte() % 4 {
                    0 => Step::Start { window: u32::try_from(script.amount()).unwrap_or(u32::MAX) },
                    with => Step::Lend { with_errors: with == 1, largest: 1000 },
                };
                let channel = u32::from(script.byte() % 4);
                self.deliver(Side::Server, &Lending { channel, flow, step: what }.encode())?;
            }
            2 => self.programs.act(script.byte(), script.amount()),
            _ => while self.relay.poll_move(&mut Context::from_waker(Waker::noop()), self.now)? {},
        }
        Ok(())
    }

    /// A payload comes in, if the socket is being read at all.
    fn deliver(&mut self, side: Side, payload: &[u8]) -> Result<(), RelayError> {
        if payload.is_empty() || !self.relay.wants_read(side) {
            return Ok(());
        }
        let input = self.relay.leg(side).input();
        let length = u32::try_from(payload.len()).expect("scripts have short payloads");
        input.preload(&length.to_be_bytes());
        input.preload(payload);
        self.relay.process(self.now)
    }

    /// The socket takes up to `most` bytes: only what may leave a leg leaves it.
    fn write(&mut self, side: Side, most: usize) {
        let mut left = most;
        loop {
            let output = self.relay.leg(side).output();
            let Some(length) = output.pending().first_chunk().copied().map(u32::from_be_bytes) else {
                return;
            };
            let length = length as usize;
            assert!((1..=LONGEST).contains(&length), "a payload of {length} bytes leaves");
            if length > left {
                return;
            }
            let number = output.pending().get(4).copied().expect("payloads are written whole");
            let is_lending = matches!(number, message::LENT | message::LOAN_RETURNED) && side == Side::Server;
            let may_leave = is_lending || matches!(number, 80..=127 | message::UNIMPLEMENTED);
            assert!(may_leave, "message {number} leaves {side:?}");
            left -= length;
            output.consume(4 + length);
        }
    }

    fn on_time(&mut self) -> Result<(), RelayError> {
        for _ in 0..100 {
            if self.relay.deadline().is_none_or(|deadline| deadline > self.now) {
                return Ok(());
            }
            self.relay.on_time(self.now)?;
        }
        unreachable!("the timer never stops");
    }

    /// To another process and back.
    fn relocate(&mut self) {
        // A large state takes long to overwrite, and shows nothing that a small one does not.
        if self.relay.has_loans() {
            return;
        }
        if [Side::Client, Side::Server].iter().any(|side| self.relay.leg(*side).output().len() > 16 * 1024) {
            return;
        }
        let leg = || BareTransport::resumed(true, 0);
        let empty = Relay::assembled(leg().into(), leg().into(), Box::new(Picky), None, self.now);
        let relay = std::mem::replace(&mut self.relay, empty);
        let before = (relay.channels.count(), relay.channels.pending(), relay.crossed(Side::Client));
        let Ok(state) = relay.export() else { unreachable!("bare legs never exchange keys") };
        let setup = RelaySetup {
            server: Arc::new(ServerConfig::new(Vec::new())),
            client: Arc::new(ClientConfig::new(Arc::new(|_: &hop_keys::Identity| Ok(())))),
            policy: Box::new(Picky),
            keepalive: Some(KEEPALIVE),
        };
        let relay = Relay::import(&state, setup, self.now).expect("what was exported can be imported");
        assert_eq!((relay.channels.count(), relay.channels.pending(), relay.crossed(Side::Client)), before);
        self.relay = relay;
        self.relay.borrow_pipes(Box::new(self.programs.clone()));
    }

    fn check(&mut self) {
        for side in [Side::Client, Side::Server] {
            let end = self.relay.end(side);
            let output = end.leg.output().len();
            assert!(output <= LONGEST_BACKLOG + LONGEST + 64, "{output} bytes of output");
            let returned = if side == Side::Client { loans::MOST_KEPT } else { 0 };
            let stash = end.stash.iter().map(Vec::len).sum::<usize>();
            assert!(stash <= LONGEST + 64 + returned, "{stash} bytes wait for the other leg");
            assert!(end.owed.len() <= 4 * MOST_REQUESTS, "{} replies are owed", end.owed.len());
            let asked =
                end.asked.iter().filter(|question| matches!(question, Question::Forwarded(..))).count();
            assert!(asked <= MOST_REQUESTS, "{asked} replies are awaited");
            let can_cross = !end.stash.is_empty() && self.relay.end(side.other()).takes_more();
            assert!(!can_cross, "a payload of {side:?} waits although it could cross");
        }
        self.relay.channels.check();
        self.relay.loans.check();
        assert!(self.relay.channels.count() <= MOST_CHANNELS, "{} channels", self.relay.channels.count());
        let listeners = self.relay.invitations.listeners().len();
        assert!(listeners <= 2 * 256, "{listeners} listeners");
    }
}
