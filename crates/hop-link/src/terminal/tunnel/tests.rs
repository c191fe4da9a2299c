use super::*;
use tokio::io::{DuplexStream, duplex};

fn line(kind: PartKind, number: u32, payload: &[u8]) -> Vec<u8> {
    Part { kind, number, payload: payload.to_vec() }.line().into_bytes()
}

const LIMIT: Duration = Duration::from_secs(30);

/// A near end with what is typed to it and what it types.
async fn near(
    printed: impl AsyncRead + Unpin,
    typing: impl AsyncWrite + Unpin,
    local: DuplexStream,
) -> Result<TunnelEnd, TunnelError> {
    tunnel(local, printed, typing, Side::Near(LIMIT)).await
}

#[tokio::test(start_paused = true)]
async fn bytes_of_every_kind_go_both_ways_past_what_a_shell_prints() {
    let (mut shell, printed) = duplex(4095);
    let (typing, typed) = duplex(4095);
    let (mut ssh, here) = duplex(5000);
    let (mut sshd, there) = duplex(3000);
    let bytes: Vec<u8> = (0..3_000_000u32).map(|count| (count ^ (count >> 8)) as u8).collect();
    let far = async {
        shell.write_all(b"Last login: never\r\n$ exec hop endpoint\r\n\x1b[?2004l\r").await.unwrap();
        tunnel(there, typed, &mut shell, Side::Far).await
    };
    let client = async |ssh: &mut DuplexStream| {
        let (mut from, mut to) = split(ssh);
        let mut back = vec![0; bytes.len()];
        let (sent, got) = tokio::join!(to.write_all(&bytes), from.read_exact(&mut back));
        sent.unwrap();
        got.unwrap();
        back
    };
    let server = async |sshd: &mut DuplexStream| {
        let (mut from, mut to) = split(sshd);
        let mut got = vec![0; bytes.len()];
        let (sent, read) = tokio::join!(to.write_all(&bytes), from.read_exact(&mut got));
        sent.unwrap();
        read.unwrap();
        got
    };
    let ends = async {
        let (back, got) = tokio::join!(client(&mut ssh), server(&mut sshd));
        assert!(back == bytes && got == bytes);
        // The server ends: that arrives here as an end.
        drop(sshd);
        assert_eq!(ssh.read(&mut [0]).await.unwrap(), 0);
    };
    let (near, far, ()) = tokio::join!(near(printed, typing, here), far, ends);
    assert_eq!((near.unwrap(), far.unwrap()), (TunnelEnd::There, TunnelEnd::Here));
}

#[tokio::test(start_paused = true)]
async fn a_local_side_that_does_not_read_holds_back_one_window() {
    let (mut shell, printed) = duplex(4095);
    let (typing, typed) = duplex(1 << 22);
    let (ssh, here) = duplex(10);
    let (mut sshd, there) = duplex(10);
    let far = tunnel(there, typed, &mut shell, Side::Far);
    // Nobody reads `ssh`: so much is taken, and no more.
    let count = async {
        let mut count = 0u64;
        while tokio::time::timeout(Duration::from_secs(1), sshd.write_all(&[7; 10])).await.is_ok() {
            count += 10;
        }
        count
    };
    let count = tokio::select! {
        count = count => count,
        ended = near(printed, typing, here) => panic!("{ended:?}"),
        ended = far => panic!("{ended:?}"),
    };
    assert!((WINDOW..WINDOW + 100).contains(&count), "{count}");
    drop(ssh);
}

#[tokio::test(start_paused = true)]
async fn what_breaks_it() {
    let hello = line(PartKind::Hello, 0, &[]);
    let piece = [1; MOST];
    let too_much: Vec<u8> = (1..=WINDOW as u32 / MOST as u32 + 2)
        .flat_map(|number| line(PartKind::Data, number, &piece))
        .collect();
    let damaged = {
        let mut first = line(PartKind::Data, 1, b"abc");
        first[12] ^= 1;
        [first, line(PartKind::Data, 2, b"def")].concat()
    };
    let cases: [(&str, Vec<u8>); 3] = [
        ("the terminal lost or damaged part 1: part 2 came instead", [hello.clone(), damaged].concat()),
        ("the far end sends more than there is room for", [hello.clone(), too_much].concat()),
        ("nothing was heard from the far end for 75 s", hello.clone()),
    ];
    for (wanted, text) in cases {
        let (mut shell, printed) = duplex(1 << 22);
        let (_ssh, here) = duplex(10);
        shell.write_all(&text).await.unwrap();
        assert_eq!(near(printed, tokio::io::sink(), here).await.unwrap_err().to_string(), wanted);
    }
    let (mut shell, printed) = duplex(1000);
    let (_ssh, here) = duplex(10);
    shell.write_all(&hello).await.unwrap();
    drop(shell);
    let lost = near(printed, tokio::io::sink(), here).await;
    assert!(matches!(lost, Err(TunnelError::Lost)), "{lost:?}");
}

#[tokio::test(start_paused = true)]
async fn what_the_shell_said_tells_why_nothing_began() {
    for is_gone in [false, true] {
        let (mut shell, printed) = duplex(1000);
        let (_ssh, here) = duplex(10);
        shell.write_all(b"$ exec hop\r\nsh: 1: exec: hop: not found\r\n").await.unwrap();
        let shell = (!is_gone).then_some(shell);
        let started = tokio::time::Instant::now();
        let failed = near(printed, tokio::io::sink(), here).await.unwrap_err();
        assert!(
            failed.to_string().contains("did not begin; it printed: \"$ exec hop\\r\\nsh: 1"),
            "{failed}"
        );
        assert_eq!(started.elapsed(), if is_gone { Duration::ZERO } else { LIMIT });
        drop(shell);
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_tunnel_lives() {
    let (mut shell, printed) = duplex(4095);
    let (typing, typed) = duplex(4095);
    let (_ssh, here) = duplex(10);
    let (_sshd, there) = duplex(10);
    tokio::select! {
        ended = near(printed, typing, here) => panic!("{ended:?}"),
        ended = tunnel(there, typed, &mut shell, Side::Far) => panic!("{ended:?}"),
        () = tokio::time::sleep(SILENCE * 10) => {}
    }
}
