//! A server that answers an SFTP client's requests with anything. The script begins with what the client does
//! (its length, then one byte each); the rest is what the server answers.
//!
//! Must stay true: the client never waits for ever for a server that answers or goes.
#![no_main]

use hop_sftp::client::{Client, TransferOptions, connect};
use hop_sftp::codec::{Attributes, Hello, OpenFlags, Response, ServerPacket, StatusCode, VERSION};
use std::fs::File;
use std::sync::OnceLock;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

hop_fuzz::target!(64, |bytes| {
    let mut script = Script(bytes);
    let acts = script.byte() % 8;
    let acts = script.take(acts.into()).to_vec();
    let answers = script.0.to_vec();
    runtime().block_on(async {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let server = tokio::spawn(serve(theirs, answers));
        let (reader, writer) = tokio::io::split(ours);
        let client = async {
            let Ok((client, connection)) = connect(reader, writer).await else { return };
            let connection = tokio::spawn(connection.run());
            for act in acts {
                let _ = do_something(&client, act).await;
            }
            drop(client);
            let _ = connection.await.expect("no panic");
        };
        tokio::time::timeout(Duration::from_secs(5), client).await.expect("the client waits for ever");
        server.abort();
        if let Err(lost) = server.await {
            assert!(lost.is_cancelled());
        }
    });
});

async fn do_something(client: &Client, act: u8) -> Result<(), Box<dyn std::error::Error>> {
    match act % 10 {
        0 => drop(client.stat(b"file").await?),
        1 => drop(client.canonicalize(b".").await?),
        2 => {
            let mut directory = client.open_directory(b".").await?;
            for _ in 0..8 {
                if directory.next_entries().await?.is_none() {
                    break;
                }
            }
        }
        3 => drop(client.statistics(b".").await?),
        4 => {
            let file = client.open(b"file", OpenFlags::READ, Attributes::default()).await?;
            if let Some(chunk) = file.read_at(u64::from(act), 100).await? {
                assert!(chunk.len() <= 100, "more than was asked for");
            }
            file.close().await?;
        }
        5 | 6 => {
            let options =
                TransferOptions { from: u64::from(act), permissions: act > 100, ..Default::default() };
            client.get(b"file", &scratch(), &options).await?;
        }
        7 => {
            let local = scratch();
            local.set_len(u64::from(act) * 1000)?;
            let options = TransferOptions { sync: true, times: true, ..Default::default() };
            client.put(&local, b"file", &options).await?;
        }
        8 => drop(client.expand(b"~").await?),
        _ => client.rename(b"a", b"b").await?,
    }
    Ok(())
}

/// A local file without a name.
fn scratch() -> File {
    static FILE: OnceLock<File> = OnceLock::new();
    let make = || {
        let path = std::env::temp_dir().join(format!("hop-fuzz-client-{}", std::process::id()));
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path);
        std::fs::remove_file(&path).expect("it was made");
        file.expect("a file for the run")
    };
    let file = FILE.get_or_init(make).try_clone().expect("a copy");
    file.set_len(0).expect("it is ours");
    file
}

/// Answers each request by the script, and goes when that is over.
async fn serve(mut stream: DuplexStream, script: Vec<u8>) {
    let mut script = Script(&script);
    while let Ok(length) = stream.read_u32().await {
        let mut packet = vec![0; length as usize];
        if stream.read_exact(&mut packet).await.is_err() {
            return;
        }
        let answer = match packet.first() {
            Some(1) => greeting(script.byte()),
            _ => script.answer(packet.get(1..5).unwrap_or_default()),
        };
        if stream.write_all(&answer).await.is_err() || script.0.is_empty() {
            return;
        }
    }
}

fn greeting(options: u8) -> Vec<u8> {
    let all: [(&[u8], &[u8]); 4] = [
        (b"limits@openssh.com", b"1"),
        (b"fsync@openssh.com", b"1"),
        (b"statvfs@openssh.com", b"2"),
        (b"expand-path@openssh.com", b"1"),
    ];
    let offered = all.iter().enumerate().filter(|(bit, _)| options & (1 << bit) != 0);
    let version = if options & 0x80 == 0 { VERSION } else { u32::from(options) };
    let mut answer = Vec::new();
    let hello = Hello { version, extensions: offered.map(|(_, extension)| *extension).collect() };
    ServerPacket::Version(hello).encode(&mut answer);
    answer
}

fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime")
    })
}

struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or_default()
    }

    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn answer(&mut self, id: &[u8]) -> Vec<u8> {
        let number = id.try_into().map_or(0, u32::from_be_bytes);
        let kind = self.byte();
        let filler = vec![0x5a; usize::from(kind) * 200];
        let mut answer = Vec::new();
        let response = match kind % 8 {
            0 | 1 => {
                // A type and fields, with the right id in between.
                let length = self.byte();
                let fields = self.take(length.into());
                let (kind, fields) = fields.split_at(fields.len().min(1));
                let packet = [kind, id, fields].concat();
                return [&u32::try_from(packet.len()).unwrap_or(0).to_be_bytes(), &packet[..]].concat();
            }
            2 => Response::status(StatusCode::from_number(u32::from(self.byte() % 10))),
            3 => Response::Handle(b"handle"),
            4 | 5 => Response::Data(&filler),
            6 => {
                let size = u64::from(self.byte()) << (self.byte() % 64);
                Response::Attributes(Attributes {
                    size: Some(size),
                    permissions: Some(0o644),
                    ..Default::default()
                })
            }
            // Not even a packet, and then the end.
            _ => return std::mem::take(&mut self.0).to_vec(),
        };
        ServerPacket::Response { id: number, response }.encode(&mut answer);
        answer
    }
}
