//! Two engines in memory, joined by their buffers: what holds back whom.

use super::*;
use crate::algorithms::Algorithms;
use crate::config::{ClientConfig, HostKey, RekeyLimits, ServerConfig};
use crate::transport::{HOSTKEYS_PROVE, Transport};
use crate::wire::Put;
use hop_keys::{Identity, KeyAlgorithm, PrivateKey};

/// Two ends of one connection, past authentication.
struct Pair {
    client: Engine,
    server: Engine,
    now: Instant,
}

fn pass(from: &mut Leg, to: &mut Leg, most: usize) -> usize {
    let bytes: Vec<u8> = from.output().pending().iter().copied().take(most).collect();
    from.output().consume(bytes.len());
    to.input().preload(&bytes);
    bytes.len()
}

impl Pair {
    fn new(limits: Limits, rekey: RekeyLimits) -> Self {
        let now = Instant::now();
        let key = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
        let mut server = ServerConfig::new(vec![HostKey::new(key)]);
        server.rekey = rekey;
        server.algorithms = Algorithms::default();
        let mut client = ClientConfig::new(Arc::new(|_: &Identity| Ok(())));
        client.rekey = rekey;
        let mut client: Leg = Transport::client(Arc::new(client), now).unwrap().into();
        let mut server: Leg = Transport::server(Arc::new(server), now).unwrap().into();
        while pass(&mut client, &mut server, usize::MAX) + pass(&mut server, &mut client, usize::MAX) > 0 {
            assert!(client.next(now).unwrap().is_none());
            assert!(server.next(now).unwrap().is_none());
        }
        for leg in [&mut client, &mut server] {
            let Leg::Sealed(transport) = leg else { unreachable!() };
            transport.set_authenticated();
        }
        Self { client: Engine::new(client, limits, now), server: Engine::new(server, limits, now), now }
    }

    /// Moves everything that can move.
    fn settle(&mut self) {
        loop {
            self.client.fill().unwrap();
            self.server.fill().unwrap();
            let moved = pass(&mut self.client.leg, &mut self.server.leg, 100_003)
                + pass(&mut self.server.leg, &mut self.client.leg, 100_003);
            self.server.process(self.now).unwrap();
            self.client.process(self.now).unwrap();
            if moved == 0 {
                return;
            }
        }
    }

    /// Opens a channel from the client: its number there, and at the server.
    fn open(&mut self) -> (u32, u32) {
        let (caller, mut answer) = oneshot::channel();
        let here = self.client.open(&ChannelKind::Session, caller).unwrap().unwrap();
        self.settle();
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

fn read(engine: &mut Engine, channel: u32, now: Instant) -> Option<Vec<u8>> {
    let mut room = vec![0; 1 << 20];
    match engine.read(channel, Stream::Data, &mut room, Waker::noop(), now).unwrap() {
        Read::Bytes(count) => Some(room[..count].to_vec()),
        Read::Pending => Some(Vec::new()),
        Read::End => None,
    }
}

#[test]
fn a_stalled_reader_stops_its_own_channel_only() {
    let mut pair = Pair::new(Limits::default(), RekeyLimits::default());
    let channels: Vec<_> = (0..10).map(|_| pair.open()).collect();
    let block = vec![7; 64 * 1024];
    let mut taken = [0usize; 10];
    for _ in 0..400 {
        for (here, _) in &channels {
            write(&mut pair.client, *here, &block);
        }
        pair.settle();
        // Channel 0 is never read.
        for (index, (_, there)) in channels.iter().enumerate().skip(1) {
            taken[index] += read(&mut pair.server, *there, pair.now).unwrap().len();
        }
    }
    assert_eq!(taken[0], 0);
    let least = taken[1..].iter().min().unwrap();
    assert!(*least > 20 * 1024 * 1024, "{taken:?}");
    let waiting = pair.server.channel(channels[0].1).unwrap().receive.data.len();
    assert!(waiting <= window::INITIAL as usize, "{waiting}");
}

#[test]
fn a_thousand_flooded_channels_stay_inside_the_budget() {
    let limits = Limits { receive_budget: 16 * 1024 * 1024, ..Limits::default() };
    let mut pair = Pair::new(limits, RekeyLimits::default());
    let mut open = Vec::new();
    let mut answers = Vec::new();
    // The client's own budget must not be what stops it.
    pair.client.budget = Budget::new(1 << 40);
    for _ in 0..1000 {
        let (caller, answer) = oneshot::channel();
        let here = pair.client.open(&ChannelKind::Session, caller).unwrap().unwrap();
        answers.push((here, answer));
    }
    pair.settle();
    while let Some(Some(Arrival::Open { channel, .. })) = pair.server.poll_arrival(Waker::noop()) {
        pair.server.accept_open(channel).unwrap();
    }
    pair.settle();
    let mut refused = 0;
    for (here, mut answer) in answers {
        match answer.try_recv().unwrap() {
            Ok(()) => open.push(here),
            Err(OpenRefused { reason, .. }) => {
                assert_eq!(reason, OpenFailure::ResourceShortage);
                refused += 1;
            }
        }
    }
    assert!(refused > 0 && open.len() >= 64, "{} open, {refused} refused", open.len());
    for _ in 0..40 {
        for here in &open {
            write(&mut pair.client, *here, &[1; 100_000]);
        }
        pair.settle();
    }
    let held: usize = pair.server.channels.iter_mut().map(|channel| channel.receive.data.len()).sum();
    assert!(held as u64 <= limits.receive_budget, "{held}");
    assert!(held as u64 > limits.receive_budget / 2, "the flood did not reach the channels: {held}");
}

#[test]
fn order_within_a_channel_survives_stalls_rekeys_and_half_close() {
    let rekey = RekeyLimits { bytes: Some(1 << 20), ..Default::default() };
    let mut pair = Pair::new(Limits::default(), rekey);
    let (here, there) = pair.open();
    let sent: Vec<u8> = (0..12_000_000u32).map(|n| (n % 253) as u8).collect();
    let (mut offset, mut got) = (0, Vec::new());
    while offset < sent.len() {
        offset += write(&mut pair.client, here, &sent[offset..sent.len().min(offset + 50_000)]);
        pair.settle();
        if offset % 3 == 0 || offset > 6_000_000 {
            got.extend(read(&mut pair.server, there, pair.now).unwrap());
        }
    }
    pair.client.request(here, &ChannelRequest::ExitStatus(3), None);
    pair.client.send_eof(here);
    loop {
        pair.settle();
        match read(&mut pair.server, there, pair.now) {
            Some(more) => got.extend(more),
            None => break,
        }
    }
    assert!(got == sent, "{} of {} bytes", got.len(), sent.len());
    let Some(Some(request)) = pair.server.poll_request(there, Waker::noop()) else { panic!("no request") };
    assert_eq!(request.request, ChannelRequest::ExitStatus(3));
    // The other direction is still open after our EOF.
    write(&mut pair.server, there, b"still here");
    pair.settle();
    assert_eq!(read(&mut pair.client, here, pair.now).unwrap(), b"still here");
    pair.client.abandon(here).unwrap();
    pair.settle();
    pair.server.abandon(there).unwrap();
    pair.settle();
    assert_eq!((pair.client.channel_count(), pair.server.channel_count()), (0, 0));
}

#[test]
fn small_output_passes_bulk_that_waits() {
    let mut pair = Pair::new(Limits::default(), RekeyLimits::default());
    let (bulk, _) = pair.open();
    let (small, small_there) = pair.open();
    // Nothing is passed on: the output fills, then the queue of the bulk channel.
    while write(&mut pair.client, bulk, &[0; 32 * 1024]) > 0 {
        pair.client.fill().unwrap();
    }
    assert!(pair.client.leg.output().len() < FULL + 40 * 1024);
    assert_eq!(write(&mut pair.client, small, b"x"), 1);
    // One packet's worth of room opens: the small output takes it.
    let before = pair.client.leg.output().len();
    pass(&mut pair.client.leg, &mut pair.server.leg, before - (FULL - 10));
    pair.client.fill().unwrap();
    pass(&mut pair.client.leg, &mut pair.server.leg, FULL + 100);
    pair.server.process(pair.now).unwrap();
    assert_eq!(read(&mut pair.server, small_there, pair.now).unwrap(), b"x");
}

#[test]
fn replies_keep_their_order_and_floods_of_requests_are_bounded() {
    let limits = Limits { requests: 4, ..Limits::default() };
    let mut pair = Pair::new(limits, RekeyLimits::default());
    let mut answers = Vec::new();
    for name in ["one", "keepalive@openssh.com", "two"] {
        let (caller, answer) = oneshot::channel();
        pair.client.request_global(name, &[], Some(caller)).unwrap();
        answers.push(answer);
    }
    pair.settle();
    let mut tickets = Vec::new();
    while let Some(Some(Arrival::Global { reply, .. })) = pair.server.poll_arrival(Waker::noop()) {
        tickets.push(reply.unwrap());
    }
    pair.server.reply_global(tickets[1], Ok(vec![2])).unwrap();
    pair.settle();
    assert!(answers[0].try_recv().is_err() && answers[1].try_recv().is_err());
    pair.server.reply_global(tickets[0], Ok(vec![1])).unwrap();
    pair.settle();
    let got: Vec<GlobalReply> = answers.iter_mut().map(|answer| answer.try_recv().unwrap()).collect();
    assert_eq!(got, [Ok(vec![1]), Err(()), Ok(vec![2])]);

    for _ in 0..2000 {
        pair.client.request_global("flood", &[], None).unwrap();
    }
    pair.client.fill().unwrap();
    pass(&mut pair.client.leg, &mut pair.server.leg, usize::MAX);
    assert!(matches!(pair.server.process(pair.now), Err(Error::Limit { .. })));
}

#[test]
fn wrong_peers_get_the_right_reason() {
    // (what the peer sends, the reason it gets)
    let cases: &[(&[u8], DisconnectReason)] = &[
        (&[94, 0, 0, 0, 9, 0, 0, 0, 1, 0], DisconnectReason::ProtocolError),
        (&[93, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff], DisconnectReason::ProtocolError),
        (&[99, 0, 0, 0, 0], DisconnectReason::ProtocolError),
        (&[81], DisconnectReason::ProtocolError),
        (&[96], DisconnectReason::ProtocolError),
        (&[90, 0, 0, 0, 1], DisconnectReason::ProtocolError),
    ];
    for (payload, reason) in cases {
        let mut pair = Pair::new(Limits::default(), RekeyLimits::default());
        let _channel = pair.open();
        pair.client.leg.send(payload, &[]).unwrap();
        pass(&mut pair.client.leg, &mut pair.server.leg, usize::MAX);
        let error = pair.server.process(pair.now).unwrap_err();
        assert_eq!(error.disconnect().unwrap().0, *reason, "{payload:?}: {error}");
    }
}

#[test]
fn a_peer_that_overruns_its_window_is_cut_off() {
    let mut pair = Pair::new(Limits::default(), RekeyLimits::default());
    let (_, there) = pair.open();
    let head = data_head(Stream::Data, there, 32 * 1024);
    let error = loop {
        pair.client.leg.send(&head, &[0; 32 * 1024]).unwrap();
        pass(&mut pair.client.leg, &mut pair.server.leg, usize::MAX);
        if let Err(error) = pair.server.process(pair.now) {
            break error;
        }
    };
    assert!(error.to_string().contains("more data than the channel's window allows"), "{error}");
}

#[test]
fn silent_peers_are_asked_and_then_given_up() {
    let limits = Limits { keepalive: Some(Duration::from_secs(10)), keepalive_most: 2, ..Limits::default() };
    let mut pair = Pair::new(limits, RekeyLimits::default());
    let mut now = pair.now;
    for _ in 0..2 {
        now = pair.server.deadline().unwrap();
        pair.server.on_time(now).unwrap();
    }
    // An answer to either starts the count anew.
    pair.now = now;
    pair.settle();
    for _ in 0..2 {
        now = pair.server.deadline().unwrap();
        assert!(now > pair.now);
        pair.server.on_time(now).unwrap();
    }
    now = pair.server.deadline().unwrap();
    assert!(matches!(pair.server.on_time(now), Err(Error::TimedOut { .. })));
}

/// As websocat does with what is behind the last line end while its pipe is full.
#[test]
fn what_is_held_back_on_the_way_is_pushed_on_once() {
    let limits = Limits { push: Some(Duration::from_secs(1)), ..Limits::default() };
    let mut pair = Pair::new(limits, RekeyLimits::default());
    let (here, there) = pair.open();
    let mut held = Vec::new();
    write(&mut pair.server, there, b"the end");
    pair.server.fill().unwrap();
    held.extend_from_slice(pair.server.leg.output().pending());
    let count = held.len();
    pair.server.leg.output().consume(count);
    // However long it was silent before, what was sent just now is not pushed at once.
    pair.now += Duration::from_secs(100);
    let mut pushes = 0;
    for _ in 0..30 {
        pair.now += Duration::from_millis(300);
        while pair.server.deadline().is_some_and(|deadline| deadline <= pair.now) {
            pair.server.on_time(pair.now).unwrap();
        }
        let pushed = pair.server.leg.output().pending().to_vec();
        pair.server.leg.output().consume(pushed.len());
        if !pushed.is_empty() {
            pushes += 1;
            // It carries along what was held, and takes its place.
            held.extend_from_slice(&pushed);
            let kept = held.split_off(held.len() - pushed.len());
            pair.client.leg.input().preload(&held);
            pair.client.process(pair.now).unwrap();
            held = kept;
        }
    }
    assert_eq!(pushes, 1);
    assert_eq!(read(&mut pair.client, here, pair.now).unwrap(), b"the end");
    // The push itself means nothing.
    pair.client.leg.input().preload(&held);
    pair.client.process(pair.now).unwrap();
    assert!(pair.client.ended().is_none());
    // What is sent while the look is still to come puts it off.
    for _ in 0..5 {
        write(&mut pair.server, there, b"more");
        pair.settle();
        pair.server.on_time(pair.now).unwrap();
        let deadline = pair.server.deadline().unwrap();
        assert_eq!(deadline, pair.now + Duration::from_secs(1));
        pair.now = deadline;
        write(&mut pair.server, there, b"more");
        pair.settle();
        pair.server.on_time(pair.now).unwrap();
        assert!(pair.server.leg.output().is_empty());
        pair.now = pair.server.deadline().unwrap();
    }
}

#[test]
fn a_peer_that_knows_no_global_requests_is_alive_and_refuses_them() {
    let limits = Limits { keepalive: Some(Duration::from_secs(10)), keepalive_most: 1, ..Limits::default() };
    let mut pair = Pair::new(limits, RekeyLimits::default());
    let not_known = [message::UNIMPLEMENTED, 0, 0, 0, 1];
    for _ in 0..3 {
        let now = pair.client.deadline().unwrap();
        pair.client.on_time(now).unwrap();
        pair.server.leg.send(&not_known, &[]).unwrap();
        pass(&mut pair.server.leg, &mut pair.client.leg, usize::MAX);
        pair.client.process(now).unwrap();
    }
    // Nothing is left of the keepalives: the next answer is the caller's.
    let (caller, mut answer) = oneshot::channel();
    pair.client.request_global("tcpip-forward", &[], Some(caller)).unwrap();
    for _ in 0..2 {
        // The second stands for nothing.
        pair.server.leg.send(&not_known, &[]).unwrap();
    }
    pass(&mut pair.server.leg, &mut pair.client.leg, usize::MAX);
    pair.client.process(pair.now).unwrap();
    assert_eq!(answer.try_recv().unwrap(), Err(()));
    assert!(pair.client.ended().is_none());
}

#[test]
fn unknown_messages_are_answered_and_unknown_requests_refused() {
    let mut pair = Pair::new(Limits::default(), RekeyLimits::default());
    for payload in [&[120u8, 1, 2][..], &[50, 0], &[61], &[5, 0, 0, 0, 0]] {
        pair.client.leg.send(payload, &[]).unwrap();
    }
    pair.settle();
    assert!(pair.client.ended().is_none() && pair.server.ended().is_none());
    let (caller, mut answer) = oneshot::channel();
    let kind = ChannelKind::Other { name: "tun@openssh.com".into(), data: vec![0; 8] };
    pair.client.open(&kind, caller).unwrap();
    pair.settle();
    let Some(Some(Arrival::Open { channel, .. })) = pair.server.poll_arrival(Waker::noop()) else {
        panic!("no open arrived")
    };
    pair.server.refuse_open(channel, OpenFailure::UnknownChannelType, "no such type").unwrap();
    pair.settle();
    let refused = answer.try_recv().unwrap().unwrap_err();
    assert_eq!(refused.reason, OpenFailure::UnknownChannelType);
}

/// A peer could have the engine spin for ever over data that it may not send.
#[test]
fn a_channel_that_takes_no_data_is_no_channel() {
    let mut pair = Pair::new(Limits::default(), RekeyLimits::default());
    let (caller, _answer) = oneshot::channel();
    let here = pair.server.open(&ChannelKind::AuthAgent, caller).unwrap().unwrap();
    let mut confirm = numbered(message::CHANNEL_OPEN_CONFIRMATION, here);
    for field in [0u32, 1 << 20, 0] {
        confirm.extend_from_slice(&field.to_be_bytes());
    }
    pair.client.leg.send(&confirm, &[]).unwrap();
    pass(&mut pair.client.leg, &mut pair.server.leg, usize::MAX);
    let refused = pair.server.process(pair.now).unwrap_err();
    assert_eq!(refused.disconnect().unwrap().0, DisconnectReason::ProtocolError);
}

/// Sends payloads as the client's engine would never, until the server has had enough.
fn flood(pair: &mut Pair, payload: &[u8], most: usize) -> Option<Error> {
    (0..most).find_map(|_| {
        pair.client.leg.send(payload, &[]).unwrap();
        pass(&mut pair.client.leg, &mut pair.server.leg, usize::MAX);
        pass(&mut pair.server.leg, &mut pair.client.leg, usize::MAX);
        pair.server.process(pair.now).err()
    })
}

#[test]
fn answers_that_wait_for_an_earlier_one_are_bounded() {
    for name in ["keepalive@openssh.com", "tcpip-forward@example.org", HOSTKEYS_PROVE] {
        let mut pair = Pair::new(Limits { requests: 4, ..Limits::default() }, RekeyLimits::default());
        let (caller, _answer) = oneshot::channel();
        pair.client.request_global("undecided", &[], Some(caller)).unwrap();
        pair.settle();
        let mut request = vec![message::GLOBAL_REQUEST];
        request.put_string(name);
        request.put_boolean(true);
        let error = flood(&mut pair, &request, 100).unwrap();
        assert!(matches!(error, Error::Limit { .. }), "{name}: {error}");
        assert!(pair.server.globals.owed.len() <= 16, "{name}");
    }
}

#[test]
fn requests_that_nobody_takes_are_bounded_in_bytes() {
    let mut pair = Pair::new(Limits::default(), RekeyLimits::default());
    let channels: Vec<u32> = (0..20).map(|_| pair.open().1).collect();
    let mut taken = 0;
    let error = channels.iter().cycle().find_map(|channel| {
        let mut request = numbered(message::CHANNEL_REQUEST, *channel);
        request.put_string("exec");
        request.put_boolean(false);
        request.put_string(vec![b'x'; 200_000]);
        taken += 1;
        flood(&mut pair, &request, 1)
    });
    assert!(matches!(error, Some(Error::Limit { .. })));
    assert!((10..=21).contains(&taken), "{taken} requests of 200,000 bytes");
    // Closing a channel gives back what waited on it.
    for channel in channels {
        pair.server.abandon(channel).unwrap();
    }
    assert_eq!(pair.server.waiting, 0);
}

#[test]
fn writers_hear_that_they_cannot_write_any_more() {
    type End = fn(&mut Engine, u32);
    let ends: [End; 2] =
        [|engine, channel| engine.send_eof(channel), |engine, channel| engine.close(channel)];
    for end in ends {
        let mut pair = Pair::new(Limits::default(), RekeyLimits::default());
        let (here, _) = pair.open();
        while write(&mut pair.client, here, &[0; 64 * 1024]) > 0 {
            pair.client.fill().unwrap();
        }
        // The two streams may have a task each.
        let flags = [Stream::Data, Stream::Stderr].map(|stream| {
            let (flag, waker) = crate::fuzzing::Flag::new();
            assert!(matches!(pair.client.write(here, stream, b"x", &waker), Ok(Written::Pending)));
            flag
        });
        end(&mut pair.client, here);
        assert!(flags.iter().all(|flag| flag.is_set()));
    }
}

/// A process that was stopped for a while has not listened: that is not the peer's silence.
#[test]
fn a_peer_is_given_up_only_after_it_had_time_to_answer() {
    let limits = Limits { keepalive: Some(Duration::from_secs(10)), keepalive_most: 2, ..Limits::default() };
    let mut pair = Pair::new(limits, RekeyLimits::default());
    pair.now += Duration::from_secs(600);
    let mut asked = 0;
    while pair.server.deadline().unwrap() <= pair.now {
        pair.server.on_time(pair.now).unwrap();
        asked += 1;
    }
    assert_eq!(asked, 1);
    pair.settle();
    assert_eq!(pair.server.keepalive.unanswered, 0);
}
