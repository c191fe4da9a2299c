//! What every server can be asked for: the same operations against each.

use hop_e2e::Foreign;
use hop_e2e::foreign::Software;
use hop_e2e::sshd::Release;
use hop_ssh::Error;
use hop_ssh::connection::{ChannelKind, ChannelRequest, OpenRefused, PtyRequest, Stream, WindowSize};
use hop_ssh::driver::{Channel, OpenError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::client::{Client, Person, config_for, finish, judged_by, log_in, log_in_to, private, run};
use super::servers::against;
use crate::expected::{EXEC, Large, TERMINAL, Terminal};

against! {
    sshd_9_2 = Software::Sshd(Release::V9_2) => [
        logs_in_with_the_allowed_key_only, refuses_another_host_key, gets_streams_and_status,
        hears_of_a_killing_signal, uploads_64_mib_intact, downloads_64_mib_intact,
        gets_a_terminal_and_resizes_it, gets_its_terminal_modes, runs_twelve_sessions_at_once,
    ];
    sshd_10_0 = Software::Sshd(Release::V10_0) => [
        logs_in_with_the_allowed_key_only, refuses_another_host_key, gets_streams_and_status,
        hears_of_a_killing_signal, uploads_64_mib_intact, downloads_64_mib_intact,
        gets_a_terminal_and_resizes_it, gets_its_terminal_modes, runs_twelve_sessions_at_once,
    ];
    dropbear = Software::Dropbear => [
        logs_in_with_the_allowed_key_only, refuses_another_host_key, gets_streams_and_status,
        hears_of_a_killing_signal, uploads_64_mib_intact, downloads_64_mib_intact,
        gets_a_terminal_and_resizes_it, gets_its_terminal_modes, runs_twelve_sessions_at_once,
    ];
    tinysshd = Software::Tinysshd => [
        logs_in_with_the_allowed_key_only, refuses_another_host_key, gets_streams_and_status,
        hears_of_a_killing_signal, uploads_64_mib_intact, downloads_64_mib_intact,
        gets_a_terminal_and_resizes_it, is_told_when_a_second_session_is_too_many,
    ];
}

fn logs_in_with_the_allowed_key_only(software: Software) {
    let server = Foreign::start(software);
    run(async {
        // Both at hand: the refused one costs nothing but a question.
        let mut person =
            Person { keys: vec![private(&server.stranger), private(&server.user_key)], ..Person::default() };
        let offers = person.offers();
        let client =
            log_in(server.address, config_for(&server), &server.user, offers, &mut person).await.unwrap();
        // tinysshd says of every key that it would do.
        let signed = if software == Software::Tinysshd { 2 } else { 1 };
        assert_eq!(person.signed.len(), signed, "a key signs only once the server wants it");
        assert_eq!(client.exec("echo in", b"").await.success(), "in\n");

        let mut person = Person::with(private(&server.stranger));
        let offers = person.offers();
        let refused = log_in(server.address, config_for(&server), &server.user, offers, &mut person).await;
        let refused = refused.err().unwrap();
        assert!(
            matches!(&refused, Error::AuthenticationRefused { remaining } if remaining.contains("publickey")),
            "{refused}"
        );
    });
}

fn refuses_another_host_key(software: Software) {
    let server = Foreign::start(software);
    run(async {
        let port = server.address.port();
        let known = format!("[127.0.0.1]:{port} {}\n", server.stranger.public_without_comment());
        let mut person = Person::with(private(&server.user_key));
        let offers = person.offers();
        let config = judged_by(&known, "127.0.0.1", port);
        let refused = log_in(server.address, config, &server.user, offers, &mut person).await.err().unwrap();
        assert!(
            matches!(&refused, Error::HostKeyRejected { problem, .. } if problem.starts_with("Changed")),
            "{refused}"
        );
        assert!(person.signed.is_empty());
    });
}

fn gets_streams_and_status(software: Software) {
    let server = Foreign::start(software);
    run(async {
        let client = log_in_to(&server).await;
        let ended = client.exec(EXEC, b"").await;
        assert_eq!(ended.status, Some(7));
        assert_eq!((&*ended.stdout, &*ended.stderr), (&b"to stdout"[..], &b"to stderr"[..]));
        // Standard input ends when we say so, and output after that still arrives. A login of its own: tinysshd
        // ends the connection with the session.
        let client = log_in_to(&server).await;
        let ended = client.exec("cat; echo; echo end", b"some input").await;
        assert_eq!(ended.success(), "some input\nend\n");
    });
}

fn hears_of_a_killing_signal(software: Software) {
    let server = Foreign::start(software);
    run(async {
        let client = log_in_to(&server).await;
        let ended = client.exec("kill -TERM $$; sleep 60", b"").await;
        assert_eq!(ended.status, None);
        assert_eq!(ended.signal.expect("an exit signal").signal, "TERM");
    });
}

fn uploads_64_mib_intact(software: Software) {
    let (server, large) = (Foreign::start(software), Large::new());
    run(async {
        let client = log_in_to(&server).await;
        let ended = client.exec(&large.sink(), &std::fs::read(&large.original).unwrap()).await;
        assert_eq!(ended.success(), "");
        large.assert_copied();
    });
}

fn downloads_64_mib_intact(software: Software) {
    let (server, large) = (Foreign::start(software), Large::new());
    run(async {
        let client = log_in_to(&server).await;
        let ended = client.exec(&large.source(), b"").await;
        assert_eq!(ended.status, Some(0));
        std::fs::write(&large.copy, ended.stdout).unwrap();
        large.assert_copied();
    });
}

/// Terminal modes of RFC 4254 section 8: no echo (53 is ECHO), Ctrl-A to interrupt (1 is VINTR), 38400 baud in both directions.
const MODES: &[u8] = &[53, 0, 0, 0, 0, 1, 0, 0, 0, 1, 128, 0, 0, 0x96, 0, 129, 0, 0, 0x96, 0, 0];

const SIZE: WindowSize = WindowSize { columns: 132, rows: 43, width_pixels: 0, height_pixels: 0 };

/// A session with a terminal.
async fn start_on_terminal(client: &Client, command: &str) -> Channel {
    let channel = client.connection.open(ChannelKind::Session).await.unwrap();
    let pty = PtyRequest { term: b"vt220".to_vec(), size: SIZE, modes: MODES.to_vec() };
    assert!(channel.request(&ChannelRequest::Pty(pty)).await);
    assert!(channel.request(&ChannelRequest::Exec(command.as_bytes().to_vec())).await);
    channel
}

fn gets_its_terminal_modes(software: Software) {
    let server = Foreign::start(software);
    run(async {
        let client = log_in_to(&server).await;
        let modes = finish(&start_on_terminal(&client, "stty -a").await).await.success();
        for wanted in ["speed 38400 baud", "intr = ^A;", " -echo "] {
            assert!(modes.contains(wanted), "no {wanted}: {modes}");
        }
    });
}

fn gets_a_terminal_and_resizes_it(software: Software) {
    let server = Foreign::start(software);
    run(async {
        let client = log_in_to(&server).await;
        let channel = start_on_terminal(&client, TERMINAL).await;
        let mut output = Vec::new();
        let mut reader = channel.reader(Stream::Data);
        while !output.windows(5).any(|part| part == b"ready") {
            assert_ne!(
                reader.read_buf(&mut output).await.unwrap(),
                0,
                "{}",
                String::from_utf8_lossy(&output)
            );
        }
        let size = WindowSize { columns: 100, rows: 30, ..SIZE };
        channel.notify(&ChannelRequest::WindowChange(size));
        channel.writer(Stream::Data).write_all(b"\n").await.unwrap();
        drop(reader);
        let ended = finish(&channel).await;
        output.extend(ended.stdout);
        assert_eq!(ended.status, Some(5));
        Terminal::default().assert_in(&String::from_utf8_lossy(&output));
    });
}

fn runs_twelve_sessions_at_once(software: Software) {
    let server = Foreign::start(software);
    run(async {
        let client = log_in_to(&server).await;
        let mut sessions = Vec::new();
        for number in 0..12 {
            sessions.push((number, client.start(&format!("read line; exit {number}")).await));
        }
        // All of them wait for a line, so all of them are there at once.
        assert_eq!(client.connection.channel_count(), 12);
        for (number, session) in &sessions {
            session.writer(Stream::Data).write_all(b"go\n").await.unwrap();
            assert_eq!(finish(session).await.status, Some(*number));
        }
        drop(sessions);
        assert_eq!(client.exec("echo still", b"").await.success(), "still\n");
    });
}

fn is_told_when_a_second_session_is_too_many(software: Software) {
    let server = Foreign::start(software);
    run(async {
        let client = log_in_to(&server).await;
        let first = client.start("read line; echo $line").await;
        let refused = client.connection.open(ChannelKind::Session).await.err().unwrap();
        assert!(
            matches!(&refused, OpenError::Refused(OpenRefused { description, .. }) if description.contains("only one")),
            "{refused}"
        );
        // The first is none the worse for it.
        first.writer(Stream::Data).write_all(b"still\n").await.unwrap();
        assert_eq!(finish(&first).await.success(), "still\n");
    });
}
