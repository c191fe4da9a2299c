//! Raw bytes at either end of a WebSocket: whatever comes, what is read is no more than what was sent, and it ends.
#![no_main]

use hop_link::WebSocket;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

hop_fuzz::target!(8, |bytes| run(bytes));

fn run(bytes: &[u8]) {
    let [first, frames @ ..] = bytes else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        // Room for pieces of any size, and for all that is answered.
        let (ours, theirs) = tokio::io::duplex(1 + usize::from(first >> 1) * 97);
        let (mut answers, mut frames_out) = tokio::io::split(theirs);
        let sending = async {
            let _refused = frames_out.write_all(frames).await;
            let _gone = frames_out.shutdown().await;
        };
        let listening = async {
            let mut answered = Vec::new();
            let _broken = answers.read_to_end(&mut answered).await;
            answered.len()
        };
        let reading = async {
            let mut socket = match first & 1 {
                0 => WebSocket::server(ours, &[]),
                _ => WebSocket::client(ours, &[], |bytes| bytes.fill(7)),
            };
            let mut heard = Vec::new();
            let _broken = socket.read_to_end(&mut heard).await;
            assert!(socket.end().is_some(), "it has ended, and nobody knows how");
            assert_eq!(socket.traffic().received, heard.len() as u64);
            heard.len()
        };
        let ((), answered, heard) = tokio::join!(sending, listening, reading);
        assert!(heard <= frames.len() && answered <= frames.len() * 4 + 256, "{heard} heard, {answered} answered");
    });
}
