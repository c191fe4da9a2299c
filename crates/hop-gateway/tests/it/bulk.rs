//! Much data: the gateway is lent the program's pipes, and the project's endpoint has nothing more to do with it.

use crate::site::{FIRST, Options, Person, Site, text};
use hop_ssh::RekeyLimits;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::Output;
use std::time::{Duration, Instant};

const MIB: usize = 1 << 20;

/// Runs a command with this input, which need not be read to its end.
async fn fed(site: &Site, person: &Person, command: &str, input: Vec<u8>) -> Output {
    let mut client = site.running("ssh", person, &[&format!("{FIRST}@gateway"), command]);
    let mut stdin = client.stdin.take().unwrap();
    std::thread::spawn(move || stdin.write_all(&input));
    let waiting = tokio::task::spawn_blocking(move || client.wait_with_output().unwrap());
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("it hangs").unwrap()
}

fn pattern(length: usize) -> Vec<u8> {
    // Repeated, since a debug build takes long for each byte; the period is no size of anything on the way.
    let period: Vec<u8> = (0..100_003_usize).map(|index| (index * 31 / 7) as u8).collect();
    let mut bytes = period.repeat(length.div_ceil(period.len()));
    bytes.truncate(length);
    bytes
}

/// Whether this process, which is the gateway, holds a descriptor of this pipe.
fn holds(pipe: &str) -> bool {
    let ours = std::fs::read_dir("/proc/self/fd").unwrap();
    ours.flatten().any(|entry| std::fs::read_link(entry.path()).is_ok_and(|link| link.as_os_str() == pipe))
}

#[tokio::test]
async fn bulk_data_arrive_and_are_counted() {
    let site = Site::start().await;
    let sent = pattern(60 * MIB);
    let output = fed(&site, &site.ada, "cat > there; wc -c < there", sent.clone()).await;
    assert_eq!(text(&output.stdout), format!("{}\n", sent.len()));
    let output = fed(&site, &site.ada, "cat there", Vec::new()).await;
    assert!(output.stdout == sent, "{} bytes of {}", output.stdout.len(), sent.len());
    let sessions = site.sessions_of(site.first).await;
    let (from, to) = sessions
        .iter()
        .fold((0, 0), |(from, to), session| (from + session.bytes_from_client, to + session.bytes_to_client));
    assert!(from >= sent.len() as u64 && to >= sent.len() as u64, "{from} and {to}");
}

#[tokio::test]
async fn both_ways_at_once_arrive_whole_while_keys_are_replaced() {
    let rekey = RekeyLimits { bytes: Some(3 * MIB as u64), ..RekeyLimits::default() };
    let site = Site::start_with(Options { rekey, ..Options::default() }).await;
    let sent = pattern(40 * MIB);
    site.ssh(&site.ada, FIRST, &["true"]).await;
    let output = fed(&site, &site.ada, "cat; echo over >&2; exit 7", sent.clone()).await;
    let errors = text(&output.stderr);
    assert!(output.stdout == sent, "{} bytes of {}: {errors}", output.stdout.len(), sent.len());
    assert_eq!((text(&output.stderr).as_str(), output.status.code()), ("over\n", Some(7)));
}

#[tokio::test]
async fn both_streams_of_a_program_arrive_whole() {
    let site = Site::start().await;
    site.ssh(&site.ada, FIRST, &["true"]).await;
    let command = "yes out | head -c 20000000 & yes err | head -c 10000000 >&2; wait; exit 3";
    let output = fed(&site, &site.ada, command, Vec::new()).await;
    let whole = |bytes: &[u8], word: &str, length: usize| {
        bytes.len() == length && bytes.chunks(4).all(|line| line == word.as_bytes())
    };
    assert!(whole(&output.stdout, "out\n", 20_000_000), "{} bytes of output", output.stdout.len());
    assert!(whole(&output.stderr, "err\n", 10_000_000), "{} bytes of errors", output.stderr.len());
    assert_eq!(output.status.code(), Some(3));
}

#[tokio::test]
async fn a_program_that_stops_reading_ends_as_it_ends() {
    let site = Site::start().await;
    // It closes its input and goes on; it ends without having read all; it is killed.
    let cases = [
        (
            "head -c 9000000 | wc -c; exec < /dev/null; sleep 0.3; echo after; exit 4",
            "9000000\nafter\n",
            Some(4),
        ),
        ("head -c 9000000 | wc -c; exit 5", "9000000\n", Some(5)),
        ("head -c 9000000 | wc -c; kill -9 $$", "9000000\n", Some(255)),
    ];
    for (command, says, status) in cases {
        let output = fed(&site, &site.ada, command, pattern(40 * MIB)).await;
        assert_eq!((text(&output.stdout).as_str(), output.status.code()), (says, status), "{command}");
    }
}

#[tokio::test]
async fn a_busy_programs_pipes_are_the_gateways_until_they_are_idle() {
    let site = Site::start().await;
    site.ssh(&site.ada, FIRST, &["true"]).await;
    let command = "readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2 >&2; cat";
    let mut client = site.running("ssh", &site.ada, &[&format!("{FIRST}@gateway"), command]);
    let (mut stdin, mut stdout) = (client.stdin.take().unwrap(), client.stdout.take().unwrap());
    let errors = BufReader::new(client.stderr.take().unwrap());
    let talk = move || {
        let pipes: Vec<String> = errors.lines().take(3).map(Result::unwrap).collect();
        assert!(pipes.iter().all(|pipe| pipe.starts_with("pipe:[")), "{pipes:?}");
        let held = || pipes.iter().map(|pipe| holds(pipe)).collect::<Vec<_>>();
        for round in 0..3 {
            assert_eq!(held(), [false; 3], "before round {round}");
            // On a busy machine it may take a while until it is clear that the window need not grow.
            let mut tries = 0;
            while held() != [true; 3] {
                tries += 1;
                assert!(tries < 60, "round {round}: the gateway holds {:?}", held());
                let sent = pattern(8 * MIB + round);
                let expected = sent.clone();
                let writing = std::thread::spawn(move || {
                    stdin.write_all(&sent).unwrap();
                    stdin
                });
                let mut received = vec![0; expected.len()];
                stdout.read_exact(&mut received).unwrap();
                assert!(received == expected, "round {round}");
                stdin = writing.join().unwrap();
            }
            // What lies idle goes back.
            while held() != [false; 3] {
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        drop(stdin);
        let mut rest = Vec::new();
        stdout.read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty());
    };
    tokio::task::spawn_blocking(talk).await.unwrap();
    assert!(client.wait().unwrap().success());
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_ends_its_program() {
    let site = Site::start().await;
    let mut client =
        site.running("ssh", &site.ada, &[&format!("{FIRST}@gateway"), "yes > /dev/stderr & yes; wait"]);
    let mut stdout = client.stdout.take().unwrap();
    let mut errors = client.stderr.take().unwrap();
    std::thread::spawn(move || std::io::copy(&mut errors, &mut std::io::sink()));
    let mut received = vec![0; 30 * MIB];
    let reading = tokio::task::spawn_blocking(move || {
        stdout.read_exact(&mut received).unwrap();
        stdout
    });
    let _stdout = reading.await.unwrap();
    let start = Instant::now();
    client.kill().unwrap();
    client.wait().unwrap();
    let session = site.sessions_of(site.first).await.pop().unwrap();
    let cause = session.end.unwrap().cause;
    // What was under way to it may reset its connection.
    assert!(matches!(cause, hop_store::EndCause::Client | hop_store::EndCause::Broken), "{cause:?}");
    loop {
        let output = site.ssh(&site.ada, FIRST, &["pgrep -x yes || echo none"]).await;
        if text(&output.stdout) == "none\n" {
            break;
        }
    }
    eprintln!("its program ended within {:?}", start.elapsed());
}

#[tokio::test]
async fn what_is_taken_away_ends_a_busy_session_and_a_stalled_one() {
    for stalls in [false, true] {
        let site = Site::start().await;
        let command = "readlink /proc/$$/fd/1 >&2; exec yes";
        let mut client = site.running("ssh", &site.bob, &["-q", &format!("{FIRST}@gateway"), command]);
        let mut stdout = client.stdout.take().unwrap();
        let mut errors = BufReader::new(client.stderr.take().unwrap());
        let reading = tokio::task::spawn_blocking(move || {
            let mut pipe = String::new();
            while !pipe.starts_with("pipe:[") {
                pipe.clear();
                errors.read_line(&mut pipe).unwrap();
            }
            let mut received = vec![0; 20 * MIB];
            stdout.read_exact(&mut received).unwrap();
            (pipe.trim().to_owned(), stdout, errors)
        });
        let (pipe, mut stdout, _errors) = reading.await.unwrap();
        assert!(holds(&pipe), "the program's pipe is not here");
        if !stalls {
            std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        }
        let start = Instant::now();
        let mut change = site.change().await;
        change.members().remove(site.first, site.bob.account).await.unwrap();
        change.commit().await.unwrap();
        // Nothing of it is left: no row, no pipe, no program.
        site.sessions_of(site.first).await;
        while holds(&pipe) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        eprintln!("stalls: {stalls}; the session ended within {:?}", start.elapsed());
        loop {
            let output = site.ssh(&site.ada, FIRST, &["pgrep -x yes || echo none"]).await;
            if text(&output.stdout) == "none\n" {
                break;
            }
        }
        client.kill().unwrap();
        client.wait().unwrap();
    }
}
