//! A client, a relay and a server in memory, joined by their buffers.

use super::*;
use crate::config::{ClientConfig, HostKey, RekeyLimits, ServerConfig};
use crate::connection::{Arrival, ChannelRequest, Engine, Limits, Read, Stream, Written};
use crate::transport::Transport;
use hop_keys::{Identity, KeyAlgorithm, PrivateKey};
use std::sync::Arc;
use std::task::Waker;
use tokio::sync::oneshot;

struct Line {
    client: Engine,
    relay: Relay,
    server: Engine,
    now: Instant,
}

fn pass(from: &mut Leg, to: &mut Leg, most: usize) -> usize {
    let bytes: Vec<u8> = from.output().pending().iter().copied().take(most).collect();
    from.output().consume(bytes.len());
    to.input().preload(&bytes);
    bytes.len()
}

fn legs(rekey: RekeyLimits, now: Instant) -> (Leg, Leg) {
    let key = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
    let mut server = ServerConfig::new(vec![HostKey::new(key)]);
    server.rekey = rekey;
    let mut client = ClientConfig::new(Arc::new(|_: &Identity| Ok(())));
    client.rekey = rekey;
    let mut client: Leg = Transport::client(Arc::new(client), now).unwrap().into();
    let mut server: Leg = Transport::server(Arc::new(server), now).unwrap().into();
    while pass(&mut client, &mut server, usize::MAX) + pass(&mut server, &mut client, usize::MAX) > 0 {
        assert!(client.next(now).unwrap().is_none() && server.next(now).unwrap().is_none());
    }
    for leg in [&mut client, &mut server] {
        let Leg::Sealed(transport) = leg else { unreachable!() };
        transport.set_authenticated();
    }
    (client, server)
}

impl Line {
    fn new(limits: Limits, rekey: RekeyLimits, policy: impl RelayPolicy + 'static) -> Self {
        let now = Instant::now();
        let (client, near) = legs(rekey, now);
        let (far, server) = legs(rekey, now);
        let keepalive = Some(RelayKeepalive { every: Duration::from_secs(10), most: 3 });
        Self {
            client: Engine::new(client, limits, now),
            relay: Relay::new(near, far, Box::new(policy), keepalive, now).unwrap(),
            server: Engine::new(server, limits, now),
            now,
        }
    }

    /// Moves everything that can move, `chunk` bytes at a time; whether anything did.
    fn step(&mut self, chunk: usize) -> bool {
        self.client.fill().unwrap();
        self.server.fill().unwrap();
        let mut moved = pass(self.relay.leg(Side::Client), self.client.leg(), chunk)
            + pass(self.relay.leg(Side::Server), self.server.leg(), chunk);
        if self.relay.wants_read(Side::Client) {
            moved += pass(self.client.leg(), self.relay.leg(Side::Client), chunk);
        }
        if self.relay.wants_read(Side::Server) {
            moved += pass(self.server.leg(), self.relay.leg(Side::Server), chunk);
        }
        self.relay.process(self.now).unwrap();
        self.client.process(self.now).unwrap();
        self.server.process(self.now).unwrap();
        moved > 0
    }

    fn settle(&mut self) {
        while self.step(100_003) {}
    }

    fn ask(
        &mut self,
        kind: &ChannelKind,
    ) -> (u32, oneshot::Receiver<Result<(), crate::connection::OpenRefused>>) {
        let (caller, answer) = oneshot::channel();
        let here = self.client.open(kind, caller).unwrap().unwrap();
        self.settle();
        (here, answer)
    }

    fn open(&mut self) -> (u32, u32) {
        let (here, mut answer) = self.ask(&ChannelKind::Session);
        let Some(Some(Arrival::Open { channel: there, .. })) = self.server.poll_arrival(Waker::noop()) else {
            panic!("no open arrived")
        };
        self.server.accept_open(there).unwrap();
        self.settle();
        answer.try_recv().unwrap().unwrap();
        (here, there)
    }
}

fn write(engine: &mut Engine, channel: u32, bytes: &[u8]) -> usize {
    match engine.write(channel, Stream::Data, bytes, Waker::noop()).unwrap() {
        Written::Bytes(count) => count,
        Written::Pending => 0,
        Written::Broken => panic!("channel {channel} is broken"),
    }
}

fn read(engine: &mut Engine, channel: u32, now: Instant) -> Vec<u8> {
    let mut room = vec![0; 1 << 20];
    match engine.read(channel, Stream::Data, &mut room, Waker::noop(), now).unwrap() {
        Read::Bytes(count) => room[..count].to_vec(),
        Read::Pending => Vec::new(),
        Read::End => panic!("channel {channel} ended"),
    }
}

#[test]
fn a_thousand_rekeys_of_all_four_initiators_lose_nothing() {
    let rekey = RekeyLimits { bytes: Some(1 << 20), ..Default::default() };
    let limits = Limits { receive_budget: 1 << 30, ..Limits::default() };
    let mut line = Line::new(limits, rekey, PassAll);
    let channels: Vec<_> = (0..8).map(|_| line.open()).collect();
    let (mut up_sent, mut up_got) = ([0usize; 8], [0usize; 8]);
    let (mut down_sent, mut down_got) = ([0usize; 8], [0usize; 8]);
    let block: Vec<u8> = (0..40_000usize).map(|n| (n % 250) as u8).collect();
    let byte_at = |offset: usize| (offset % 250) as u8;
    let mut rekeys = 0u32;
    let mut exchanging = [false; 4];
    let mut round = 0u32;
    while rekeys < 1000 {
        round += 1;
        for (index, (here, there)) in channels.iter().enumerate() {
            let start = up_sent[index] % 250;
            up_sent[index] += write(&mut line.client, *here, &block[start..]);
            let start = down_sent[index] % 250;
            down_sent[index] += write(&mut line.server, *there, &block[start..]);
        }
        // Each of the four may also start one at any moment.
        match round % 7 {
            0 => line.client.leg().start_rekey(line.now).unwrap(),
            1 => line.server.leg().start_rekey(line.now).unwrap(),
            2 if !line.relay.leg(Side::Server).is_exchanging() => {
                line.relay.leg(Side::Client).start_rekey(line.now).unwrap();
            }
            3 if !line.relay.leg(Side::Client).is_exchanging() => {
                line.relay.leg(Side::Server).start_rekey(line.now).unwrap();
            }
            _ => {}
        }
        for _ in 0..6 {
            line.step(30_011);
            let Line { client, relay, server, .. } = &mut line;
            let states = [
                client.leg().is_exchanging(),
                server.leg().is_exchanging(),
                relay.leg(Side::Client).is_exchanging(),
                relay.leg(Side::Server).is_exchanging(),
            ];
            for (before, after) in exchanging.iter_mut().zip(states) {
                rekeys += u32::from(*before && !after);
                *before = after;
            }
        }
        for (index, (here, there)) in channels.iter().enumerate() {
            for byte in read(&mut line.server, *there, line.now) {
                assert_eq!(byte, byte_at(up_got[index]));
                up_got[index] += 1;
            }
            for byte in read(&mut line.client, *here, line.now) {
                assert_eq!(byte, byte_at(down_got[index]));
                down_got[index] += 1;
            }
        }
        assert!(round < 20_000, "stuck after {rekeys} rekeys, {up_got:?} of {up_sent:?}");
    }
    for _ in 0..2000 {
        line.settle();
        for (index, (here, there)) in channels.iter().enumerate() {
            up_got[index] += read(&mut line.server, *there, line.now).len();
            down_got[index] += read(&mut line.client, *here, line.now).len();
        }
        if up_got == up_sent && down_got == down_sent {
            return;
        }
    }
    panic!("lost: {up_got:?} of {up_sent:?} up, {down_got:?} of {down_sent:?} down");
}

#[test]
fn a_stalled_reader_holds_back_its_channel_and_the_relay_stays_small() {
    let mut line = Line::new(Limits::default(), RekeyLimits::default(), PassAll);
    let channels: Vec<_> = (0..10).map(|_| line.open()).collect();
    let mut taken = [0usize; 10];
    let mut most = 0;
    for _ in 0..300 {
        for (here, _) in &channels {
            write(&mut line.client, *here, &[7; 64 * 1024]);
        }
        while line.step(50_000) {
            let held = line.relay.client.leg.input().unread().len() + line.relay.server.leg.output().len();
            most = most.max(held);
        }
        for (index, (_, there)) in channels.iter().enumerate().skip(1) {
            taken[index] += read(&mut line.server, *there, line.now).len();
        }
    }
    assert!(taken[1..].iter().all(|count| *count > 15 * 1024 * 1024), "{taken:?}");
    assert!(most <= 512 * 1024, "{most}");
}

#[test]
fn a_client_that_reads_nothing_stops_the_server_and_not_the_memory() {
    let mut line =
        Line::new(Limits { receive_budget: 1 << 30, ..Limits::default() }, RekeyLimits::default(), PassAll);
    let channels: Vec<_> = (0..20).map(|_| line.open()).collect();
    let mut held = 0;
    for _ in 0..200 {
        for (_, there) in &channels {
            write(&mut line.server, *there, &[7; 64 * 1024]);
        }
        line.server.fill().unwrap();
        if line.relay.wants_read(Side::Server) {
            pass(line.server.leg(), line.relay.leg(Side::Server), 64 * 1024);
        }
        line.relay.process(line.now).unwrap();
        // Nothing of the relay's output towards the client is taken.
        held = line.relay.client.leg.output().len() + line.relay.server.leg.input().unread().len();
    }
    assert!(held > FULL && held < 512 * 1024, "{held}");
}

#[test]
fn the_far_side_opens_only_what_was_asked_for() {
    let mut line = Line::new(Limits::default(), RekeyLimits::default(), PassAll);
    let (here, there) = line.open();
    let forwarded = |port| {
        ChannelKind::ForwardedTcpip(crate::connection::TcpEnds {
            host: "localhost".into(),
            port,
            originator: "x".into(),
            originator_port: 1,
        })
    };
    let opened = |line: &mut Line, kind: &ChannelKind| {
        let (caller, mut answer) = oneshot::channel();
        line.server.open(kind, caller).unwrap();
        line.settle();
        match line.client.poll_arrival(Waker::noop()) {
            Some(Some(Arrival::Open { channel, .. })) => {
                line.client.accept_open(channel).unwrap();
                line.settle();
                assert!(answer.try_recv().unwrap().is_ok());
                true
            }
            _ => {
                assert!(answer.try_recv().unwrap().is_err());
                false
            }
        }
    };
    assert!(!opened(&mut line, &ChannelKind::AuthAgent));
    assert!(!opened(&mut line, &forwarded(8080)));
    line.client.request(here, &ChannelRequest::AuthAgent, None);
    line.settle();
    line.server.poll_request(there, Waker::noop());
    assert!(opened(&mut line, &ChannelKind::AuthAgent));

    // A port that the far side allocates counts once it has said which.
    let (caller, mut reply) = oneshot::channel();
    let mut asked = Vec::new();
    GlobalRequest::TcpipForward { address: "localhost".into(), port: 0 }.write(&mut asked);
    line.client.request_global("tcpip-forward", &asked, Some(caller)).unwrap();
    line.settle();
    assert!(!opened(&mut line, &forwarded(8080)));
    let Some(Some(Arrival::Global { reply: Some(ticket), .. })) = line.server.poll_arrival(Waker::noop())
    else {
        panic!("no request arrived")
    };
    line.server.reply_global(ticket, Ok(8080u32.to_be_bytes().to_vec())).unwrap();
    line.settle();
    assert_eq!(reply.try_recv().unwrap(), Ok(8080u32.to_be_bytes().to_vec()));
    assert!(opened(&mut line, &forwarded(8080)));
    assert!(!opened(&mut line, &forwarded(8081)));
}

struct Forbids;

impl RelayPolicy for Forbids {
    fn open(&mut self, _from: Side, kind: &ChannelKind) -> Verdict {
        match kind {
            ChannelKind::DirectTcpip(_) => Verdict::Refuse("forwarding is switched off"),
            _ => Verdict::Pass,
        }
    }
    fn channel_request(&mut self, _from: Side, name: &str) -> Verdict {
        if name == "pty-req" { Verdict::Refuse("no terminals") } else { Verdict::Pass }
    }
    fn global_request(&mut self, _from: Side, request: &GlobalRequest) -> Verdict {
        match request {
            GlobalRequest::TcpipForward { .. } => Verdict::Refuse("no listeners"),
            _ => Verdict::Pass,
        }
    }
}

#[test]
fn what_the_policy_refuses_is_refused_in_its_turn() {
    let mut line = Line::new(Limits::default(), RekeyLimits::default(), Forbids);
    let (here, there) = line.open();
    let ends =
        crate::connection::TcpEnds { host: "h".into(), port: 1, originator: "x".into(), originator_port: 1 };
    let (_, mut answer) = line.ask(&ChannelKind::DirectTcpip(ends));
    let refused = answer.try_recv().unwrap().unwrap_err();
    assert_eq!(refused.description, "forwarding is switched off");

    // A request before it and one after it: three answers, in order.
    let pty = ChannelRequest::Pty(crate::connection::PtyRequest {
        term: b"xterm".to_vec(),
        size: Default::default(),
        modes: vec![],
    });
    let mut answers = Vec::new();
    for request in [&ChannelRequest::Shell, &pty, &ChannelRequest::AuthAgent] {
        let (caller, answer) = oneshot::channel();
        line.client.request(here, request, Some(caller));
        answers.push(answer);
    }
    line.settle();
    let mut names = Vec::new();
    while let Some(Some(request)) = line.server.poll_request(there, Waker::noop()) {
        names.push(request.request.name().to_owned());
        let known = !matches!(request.request, ChannelRequest::Other { .. });
        line.server.reply(there, request.reply.unwrap(), known).unwrap();
    }
    line.settle();
    assert_eq!(names, ["shell", REFUSED, "auth-agent-req@openssh.com"]);
    let got: Vec<bool> = answers.iter_mut().map(|answer| answer.try_recv().unwrap()).collect();
    assert_eq!(got, [true, false, true]);

    // Global requests: one that crosses, one refused here, a keepalive; the far side answers late.
    let mut answers = Vec::new();
    let mut listen = Vec::new();
    GlobalRequest::TcpipForward { address: "".into(), port: 1 }.write(&mut listen);
    for (name, data) in [("first@x", &[][..]), ("tcpip-forward", &listen), ("keepalive@openssh.com", &[])] {
        let (caller, answer) = oneshot::channel();
        line.client.request_global(name, data, Some(caller)).unwrap();
        answers.push(answer);
    }
    line.settle();
    assert!(answers.iter_mut().all(|answer| answer.try_recv().is_err()), "answered out of turn");
    let Some(Some(Arrival::Global { reply: Some(ticket), .. })) = line.server.poll_arrival(Waker::noop())
    else {
        panic!("no request arrived")
    };
    line.server.reply_global(ticket, Ok(vec![5])).unwrap();
    line.settle();
    let got: Vec<GlobalReply> = answers.iter_mut().map(|answer| answer.try_recv().unwrap()).collect();
    assert_eq!(got, [Ok(vec![5]), Err(()), Err(())]);
}

#[test]
fn messages_of_a_leg_stay_on_it() {
    let mut line = Line::new(Limits::default(), RekeyLimits::default(), PassAll);
    // Unknown numbers, an UNIMPLEMENTED, late authentication, a ping: none may reach the server, whose
    // engine ends the connection on any of them.
    let mut ping = vec![message::PING];
    ping.put_string(b"x");
    for payload in [&[150u8, 1, 2][..], &[3, 0, 0, 0, 9], &[50, 0], &[60], &[2, 0, 0, 0, 0], &ping] {
        line.client.leg().send(payload, &[]).unwrap();
    }
    line.settle();
    assert!(line.server.ended().is_none());
    let (here, there) = line.open();
    assert_eq!(write(&mut line.client, here, b"still fine"), 10);
    line.settle();
    assert_eq!(read(&mut line.server, there, line.now), b"still fine");
}

/// As tinysshd, which knows no global requests: what it does not know is told by packet, and only some are questions.
#[test]
fn a_request_that_the_far_side_does_not_know_has_failed() {
    let mut line = Line::new(Limits::default(), RekeyLimits::default(), PassAll);
    line.settle();
    let mut answers = Vec::new();
    for name in ["first@test", "second@test", "third@test"] {
        // Crosses, and is nobody's question.
        line.client.leg().send(&[101, 1, 2], &[]).unwrap();
        let (caller, answer) = oneshot::channel();
        line.client.request_global(name, &[], Some(caller)).unwrap();
        answers.push(answer);
    }
    while pass(line.client.leg(), line.relay.leg(Side::Client), usize::MAX) > 0 {
        line.relay.process(line.now).unwrap();
    }
    pass(line.relay.leg(Side::Server), line.server.leg(), usize::MAX);
    let far = line.server.leg();
    let mut requests = 0;
    while let Some(payload) = far.next(line.now).unwrap() {
        requests += u32::from(far.payload(&payload)[0] == message::GLOBAL_REQUEST);
        match requests {
            2 if far.payload(&payload)[0] == message::GLOBAL_REQUEST => {
                far.send(&[message::REQUEST_SUCCESS], b"fine").unwrap();
            }
            _ => far.send_unimplemented(&payload).unwrap(),
        }
    }
    assert_eq!(requests, 3);
    line.settle();
    let got: Vec<GlobalReply> = answers.iter_mut().map(|answer| answer.try_recv().unwrap()).collect();
    assert_eq!(got, [Err(()), Ok(b"fine".to_vec()), Err(())]);
    line.open();
}

/// A keepalive must not leave before a request that waits for room: replies are told apart by order alone.
#[test]
fn a_keepalive_does_not_overtake_a_request_that_waits() {
    let mut line = Line::new(Limits::default(), RekeyLimits::default(), PassAll);
    let (here, _) = line.open();
    let (mut answer, block) = (None, vec![0; 64 << 10]);
    // The server does not read: what the client sends fills the relay.
    while line.relay.wants_read(Side::Client) {
        write(&mut line.client, here, &block);
        line.client.fill().unwrap();
        pass(line.client.leg(), line.relay.leg(Side::Client), usize::MAX);
        line.relay.process(line.now).unwrap();
        if line.relay.leg(Side::Server).output().len() >= FULL && answer.is_none() {
            let (caller, kept) = oneshot::channel();
            line.client.request_global("mine@test", &[], Some(caller)).unwrap();
            answer = Some(kept);
        }
    }
    let mut answer = answer.unwrap();
    line.now += Duration::from_secs(11);
    line.relay.on_time(line.now).unwrap();
    line.settle();
    let Some(Some(Arrival::Global { reply: Some(ticket), .. })) = line.server.poll_arrival(Waker::noop())
    else {
        panic!("no request arrived")
    };
    assert!(answer.try_recv().is_err(), "a keepalive's reply was taken for an answer");
    line.server.reply_global(ticket, Ok(vec![7])).unwrap();
    line.settle();
    assert_eq!(answer.try_recv().unwrap(), Ok(vec![7]));
}

#[test]
fn both_legs_are_asked_whether_they_live() {
    let mut line = Line::new(Limits::default(), RekeyLimits::default(), PassAll);
    for _ in 0..10 {
        line.now = line.relay.deadline().unwrap();
        line.relay.on_time(line.now).unwrap();
        line.settle();
    }
    // Nobody answers any more.
    let mut outcome = Ok(());
    for _ in 0..10 {
        line.now = line.relay.deadline().unwrap();
        outcome = line.relay.on_time(line.now);
        if outcome.is_err() {
            break;
        }
    }
    assert!(matches!(outcome.unwrap_err().error, Error::TimedOut { .. }));
}

#[test]
fn data_messages_are_lowered_to_what_both_legs_carry() {
    let mut line = Line::new(Limits::default(), RekeyLimits::default(), PassAll);
    let mut open = vec![message::CHANNEL_OPEN];
    open.put_string("session");
    for field in [5, 1 << 20, u32::MAX] {
        open.put_uint32(field);
    }
    line.client.leg().send(&open, &[]).unwrap();
    pass(line.client.leg(), line.relay.leg(Side::Client), usize::MAX);
    line.relay.process(line.now).unwrap();
    pass(line.relay.leg(Side::Server), line.server.leg(), usize::MAX);
    let payload = line.server.leg().next(line.now).unwrap().unwrap();
    let bytes = line.server.leg().payload(&payload);
    assert_eq!(bytes[bytes.len() - 4..], LARGEST_DATA.to_be_bytes());
}

/// With one leg's exchange under way and the other's keys due, there is nothing to do but to wait.
#[test]
fn keys_that_fall_due_during_the_other_legs_exchange_do_not_keep_the_timer_busy() {
    let mut line = Line::new(Limits::default(), RekeyLimits::default(), PassAll);
    line.settle();
    // The client begins and goes no further.
    line.now += Duration::from_secs(3599);
    line.client.leg().start_rekey(line.now).unwrap();
    pass(line.client.leg(), line.relay.leg(Side::Client), usize::MAX);
    line.relay.process(line.now).unwrap();
    assert!(line.relay.leg(Side::Client).is_exchanging());
    line.now += Duration::from_secs(2);
    for _ in 0..10 {
        if line.relay.deadline().unwrap() > line.now {
            break;
        }
        line.relay.on_time(line.now).unwrap();
    }
    assert!(line.relay.deadline().unwrap() > line.now);
    assert!(!line.relay.leg(Side::Server).is_exchanging());
    assert!(line.relay.leg(Side::Server).rekey_due(line.now));
    // Once that exchange is over, the other one begins.
    line.settle();
    assert!(!line.relay.leg(Side::Server).rekey_due(line.now));
}

/// A client with as many listeners as it may have can still close one; a name that cannot be is not kept.
#[test]
fn listeners_are_counted_and_their_names_are_short() {
    let mut line = Line::new(Limits::default(), RekeyLimits::default(), PassAll);
    let ask = |line: &mut Line, request: &GlobalRequest| {
        let mut data = Vec::new();
        request.write(&mut data);
        let (caller, mut answer) = oneshot::channel();
        line.client.request_global(request.name(), &data, Some(caller)).unwrap();
        line.settle();
        let crossed = match line.server.poll_arrival(Waker::noop()) {
            Some(Some(Arrival::Global { reply: Some(ticket), .. })) => {
                line.server.reply_global(ticket, Ok(Vec::new())).unwrap();
                line.settle();
                true
            }
            _ => false,
        };
        assert_eq!(answer.try_recv().unwrap().is_ok(), crossed);
        crossed
    };
    let listen = |port| GlobalRequest::TcpipForward { address: "localhost".into(), port };
    for port in 1..=256 {
        assert!(ask(&mut line, &listen(port)), "{port}");
    }
    assert!(!ask(&mut line, &listen(257)));
    assert!(ask(&mut line, &GlobalRequest::CancelTcpipForward { address: "localhost".into(), port: 7 }));
    assert!(ask(&mut line, &listen(257)));

    let mut line = Line::new(Limits::default(), RekeyLimits::default(), PassAll);
    assert!(!ask(&mut line, &GlobalRequest::TcpipForward { address: "a".repeat(2000), port: 1 }));
    assert!(!ask(&mut line, &GlobalRequest::StreamlocalForward { path: vec![b'/'; 2000] }));
    assert!(ask(&mut line, &GlobalRequest::StreamlocalForward { path: vec![b'/'; 1000] }));
}
