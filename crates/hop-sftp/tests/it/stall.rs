//! A file call that hangs stops its session and nothing else.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use hop_sftp::codec::{Attributes, OpenFlags, Request, StatusCode};

use crate::peers::python;
use crate::raw::session;

/// Takes a write lease on a file, says so, and keeps it until told to let go. Opening the file hangs that long
/// (the kernel's limit is 45 seconds).
const LEASE: &str = r#"
import fcntl, os, signal, sys
signal.signal(signal.SIGIO, signal.SIG_IGN)
file = os.open(sys.argv[1], os.O_RDWR)
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("held", flush=True)
sys.stdin.readline()
"#;

#[tokio::test]
async fn a_hanging_call_leaves_the_runtime_running() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("leased");
    std::fs::write(&path, b"contents").expect("write");
    let mut holder = Command::new(python())
        .args(["-c", LEASE])
        .arg(&path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python starts");
    let mut line = String::new();
    BufReader::new(holder.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    assert_eq!(line, "held\n");

    // All of this runs on one thread: were the call made on it, nothing below would go on.
    let mut stuck = session(folder.path()).await;
    let mut other = session(folder.path()).await;
    let open = Request::Open { path: b"leased", flags: OpenFlags::READ, attributes: Attributes::default() };
    let opened = stuck.raw.send(&open).await;
    let after = stuck.raw.send(&Request::Remove { path: b"leased" }).await;
    for _ in 0..100 {
        let answer = other.raw.ask(&Request::Stat { path: b"leased" }).await;
        assert_eq!(answer.attributes().size, Some(8), "the remove behind the open has not happened");
    }
    let early = tokio::select! {
        biased;
        packet = stuck.raw.receive() => packet,
        () = tokio::task::yield_now() => None,
    };
    assert_eq!(early, None, "the open cannot have been answered yet");

    holder.stdin.take().expect("piped").write_all(b"\n").expect("the holder lives");
    let first = stuck.raw.receive().await.expect("a response");
    assert_eq!((first.id(), first.handle().len()), (opened, 8));
    let second = stuck.raw.receive().await.expect("a response");
    assert_eq!((second.id(), second.code()), (after, StatusCode::Ok));
    assert!(!path.exists());
    holder.wait().expect("the holder ends");
}
