//! What a terminal prints, and the messages in which it comes: whatever it is, nothing is found that was not sent, and it ends.
#![no_main]

use hop_link::{Lines, PartKind, Side, TerminalReader, TunnelError, tunnel};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

hop_fuzz::target!(8, |bytes| run(bytes));

fn run(bytes: &[u8]) {
    let [first, text @ ..] = bytes else { return };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let mut printed = Vec::new();
        let _broken = TerminalReader::new(text).read_to_end(&mut printed).await;
        assert!(printed.len() <= text.len());

        let (mut lines, mut rest, mut payload) = (Lines::default(), text, 0);
        while !rest.is_empty() {
            let (taken, part) = lines.next(rest);
            assert!(taken > 0, "it does not get on");
            rest = &rest[taken..];
            payload += part.filter(|part| part.kind == PartKind::Data).map_or(0, |part| part.payload.len());
        }

        // Pieces of any size; the far end is gone when all is said.
        let (mut far, near) = tokio::io::duplex(1 + usize::from(*first) * 7);
        let (mut ssh, local) = tokio::io::duplex(1 << 16);
        let sending = async {
            // What is damaged is not read to its end.
            let _ended = far.write_all(text).await;
            drop(far);
        };
        let near = tunnel(local, near, tokio::io::sink(), Side::Near(Duration::from_secs(5)));
        let reading = async {
            let mut heard = Vec::new();
            let _broken = ssh.read_to_end(&mut heard).await;
            heard.len()
        };
        let sending = async {
            let ((), ended) = tokio::join!(sending, near);
            ended
        };
        let (ended, heard) = tokio::join!(sending, reading);
        assert!(heard <= payload, "{heard} heard of {payload}");
        assert!(!matches!(ended, Err(TunnelError::Silent(_))), "it is over, and was waited for");
    });
}
