//! Our client against OpenSSH's server, our own, and servers that misbehave.

use std::fs::File;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Stdio;

use hop_sftp::client::{
    Batch, Client, ConnectError, ConnectionError, Direction, Job, RequestError, TransferError,
    TransferOptions, Transferred, connect,
};
use hop_sftp::codec::{
    Attributes, ClientPacket, Hello, LENGTH_PREFIX, OpenFlags, Request, Response, ServerPacket, StatusCode,
    Times, frame_length,
};
use hop_sftp::server::{ServerOptions, serve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::peers::{OUR_SERVER, openssh_server};
use crate::raw::options;

const NONE: Attributes =
    Attributes { size: None, owner: None, permissions: None, times: None, extended: Vec::new() };

/// A client, what serves it, and how its connection ends.
struct Served {
    client: Client,
    connection: JoinHandle<Result<(), ConnectionError>>,
    _server: Option<Child>,
}

impl Served {
    /// By a program over pipes.
    async fn by(program: &Path, arguments: &[&str], folder: &Path) -> Self {
        let mut server = Command::new(program)
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the server starts");
        let (reader, writer) = (server.stdout.take().expect("piped"), server.stdin.take().expect("piped"));
        let (client, connection) = connect(reader, writer).await.expect("a greeting");
        Self { client, connection: tokio::spawn(connection.run()), _server: Some(server) }
    }

    /// In process.
    async fn inside(options: ServerOptions) -> Self {
        let (ours, theirs) = tokio::io::duplex(256 * 1024);
        let (reader, writer) = tokio::io::split(theirs);
        tokio::spawn(serve(reader, writer, options));
        Self::over(ours).await
    }

    async fn over(stream: DuplexStream) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        let (client, connection) = connect(reader, writer).await.expect("a greeting");
        Self { client, connection: tokio::spawn(connection.run()), _server: None }
    }

    async fn all(folder: &Path) -> [Self; 3] {
        [
            Self::by(openssh_server(), &[], folder).await,
            Self::by(OUR_SERVER.as_ref(), &[], folder).await,
            Self::inside(options(folder)).await,
        ]
    }

    /// Drops the client; the connection must end in peace.
    async fn end(self) {
        drop(self.client);
        self.connection.await.expect("no panic").expect("a clean end");
    }
}

#[tokio::test]
async fn operations() {
    for n in 0..3 {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().canonicalize().expect("it exists").into_os_string().into_encoded_bytes();
        let [a, b, c] = Served::all(folder.path()).await;
        let served = [a, b, c].into_iter().nth(n).expect("three");
        let client = &served.client;
        assert_eq!((client.server().read_length, client.server().write_length), (261_120, 261_120));

        client.make_directory(b"dir", NONE).await.expect("mkdir");
        let file = client.open(b"dir/file", OpenFlags(0x1b), NONE).await.expect("open");
        file.write_at(0, b"contents").await.expect("write");
        assert_eq!(file.read_at(3, 100).await.expect("read").as_deref(), Some(&b"tents"[..]));
        assert_eq!(file.read_at(8, 100).await.expect("read"), None);
        assert_eq!(file.stat().await.expect("fstat").size, Some(8));
        let times = Times { accessed: 1000, modified: 2000 };
        file.set_attributes(Attributes { times: Some(times), ..NONE }).await.expect("fsetstat");
        file.sync().await.expect("fsync");
        file.close().await.expect("close");
        client
            .set_attributes(b"dir/file", Attributes { permissions: Some(0o640), ..NONE })
            .await
            .expect("setstat");
        let attributes = client.stat(b"dir/file").await.expect("stat");
        assert_eq!((attributes.times, attributes.permissions), (Some(times), Some(0o100_640)));

        client.symlink(b"dir/file", b"link").await.expect("symlink");
        assert_eq!(client.read_link(b"link").await.expect("readlink"), b"dir/file");
        assert_eq!(client.lstat(b"link").await.expect("lstat").permissions, Some(0o120_777));
        client.hard_link(b"dir/file", b"second").await.expect("hardlink");
        let taken = client.rename(b"second", b"dir/file").await.expect_err("the name is taken");
        assert_eq!(taken.code(), Some(StatusCode::Failure));
        client.rename(b"second", b"third").await.expect("rename");
        client.replace(b"third", b"dir/file").await.expect("posix-rename");
        assert_eq!(
            client.canonicalize(b"dir/./new").await.expect("realpath"),
            [&root[..], b"/dir/new"].concat()
        );
        assert_eq!(client.expand(b"~root").await.expect("expand-path"), b"/root");
        assert!(client.statistics(b".").await.expect("statvfs").blocks > 0);

        let mut names = Vec::new();
        let mut directory = client.open_directory(b".").await.expect("opendir");
        while let Some(entries) = directory.next_entries().await.expect("readdir") {
            names.extend(entries.into_iter().map(|entry| entry.name));
        }
        names.sort();
        assert_eq!(names, [&b"."[..], b"..", b"dir", b"link", b"third"]);

        let missing = client.remove(b"missing \xff").await.expect_err("it is missing");
        assert_eq!(missing.to_string(), "remove \"missing \\xff\": No such file");
        for name in [&b"link"[..], b"third", b"dir/file"] {
            client.remove(name).await.expect("remove");
        }
        client.remove_directory(b"dir").await.expect("rmdir");
        drop(directory);
        served.end().await;
        assert_eq!(std::fs::read_dir(folder.path()).expect("list").count(), 0);
    }
}

fn contents(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

#[tokio::test]
async fn files_of_all_sizes_go_there_and_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    for served in Served::all(folder.path()).await {
        for length in [0, 1, 4096, 261_119, 261_120, 261_121, 10_000_000] {
            let original = contents(length);
            std::fs::write(path("original"), &original).expect("write");
            std::fs::write(path("there"), contents(20_000_000 / 261_121 * 300)).expect("write");
            std::fs::write(path("back"), contents(300_000)).expect("write");
            let moved = Transferred { bytes: length as u64 };
            let file = File::open(path("original")).expect("open");
            let options = TransferOptions::default();
            assert_eq!(served.client.put(&file, b"there", &options).await.expect("put"), moved);
            assert!(std::fs::read(path("there")).expect("read") == original, "put {length}");
            let file = File::options().write(true).open(path("back")).expect("open");
            assert_eq!(served.client.get(b"there", &file, &options).await.expect("get"), moved);
            assert!(std::fs::read(path("back")).expect("read") == original, "get {length}");
        }
        // A file that says it is empty.
        let file = File::create(path("version")).expect("create");
        served.client.get(b"/proc/version", &file, &TransferOptions::default()).await.expect("get");
        assert_eq!(
            std::fs::read(path("version")).expect("read"),
            std::fs::read("/proc/version").expect("read")
        );
        served.end().await;
    }
}

#[tokio::test]
async fn mode_times_and_what_is_there_already() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let original = contents(1_000_000);
    std::fs::write(path("original"), &original).expect("write");
    std::fs::set_permissions(path("original"), std::fs::Permissions::from_mode(0o751)).expect("chmod");
    let file = File::options().write(true).open(path("original")).expect("open");
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_234_567_890);
    file.set_times(std::fs::FileTimes::new().set_modified(time).set_accessed(time)).expect("utimes");
    for served in Served::all(folder.path()).await {
        let _ = std::fs::remove_file(path("there"));
        let _ = std::fs::remove_file(path("back"));
        let all = TransferOptions { permissions: true, times: true, sync: true, from: 0 };
        let put = Job { direction: Direction::Put, remote: b"there".to_vec(), local: path("original") };
        served.client.transfer(&put, &all).await.expect("put");
        let get = Job { direction: Direction::Get, remote: b"there".to_vec(), local: path("back") };
        served.client.transfer(&get, &all).await.expect("get");
        for name in ["there", "back"] {
            let metadata = std::fs::metadata(path(name)).expect("stat");
            assert_eq!((metadata.mode() & 0o7777, metadata.mtime()), (0o751, 1_234_567_890), "{name}");
        }
        // Going on from the middle leaves the beginning alone.
        std::fs::write(path("there"), [&[7; 400_000][..], b"to be overwritten"].concat()).expect("write");
        let rest = TransferOptions { from: 400_000, ..TransferOptions::default() };
        let moved = served.client.transfer(&put, &rest).await.expect("put");
        assert_eq!(moved.bytes, 600_000);
        let expected = [&[7; 400_000][..], &original[400_000..]].concat();
        assert!(std::fs::read(path("there")).expect("read") == expected);
        std::fs::write(path("back"), [9; 400_000]).expect("write");
        served.client.transfer(&get, &rest).await.expect("get");
        let expected = [&[9; 400_000][..], &original[400_000..]].concat();
        assert!(std::fs::read(path("back")).expect("read") == expected);
        served.end().await;
    }
}

#[tokio::test]
async fn many_files_at_once() {
    const FILES: usize = 400;
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    for name in ["here", "there", "back"] {
        std::fs::create_dir(path(name)).expect("mkdir");
    }
    for n in 0..FILES {
        std::fs::write(path("here").join(n.to_string()), contents(n * 100)).expect("write");
    }
    for served in Served::all(folder.path()).await {
        let job = |direction, local: &str, n: usize| Job {
            direction,
            remote: format!("there/{n}").into_bytes(),
            local: path(local).join(n.to_string()),
        };
        // One more than there is, each way.
        for (direction, local) in [(Direction::Put, "here"), (Direction::Get, "back")] {
            let (mut done, mut failed) = (0, Vec::new());
            let jobs = (0..=FILES).map(|n| job(direction, local, n));
            served
                .client
                .transfer_all(jobs, Batch::default(), |job, outcome| match outcome {
                    Ok(_) => done += 1,
                    Err(error) => failed.push((job, error)),
                })
                .await;
            assert_eq!(done, FILES);
            let [(job, error)] = failed.as_slice() else { panic!("{failed:?}") };
            assert!(job.remote.ends_with(FILES.to_string().as_bytes()));
            match direction {
                Direction::Put => {
                    assert!(matches!(error, TransferError::Local { action: "opening", .. }), "{error}")
                }
                Direction::Get => {
                    assert_eq!(error.to_string(), format!("open \"there/{FILES}\": No such file"))
                }
            }
        }
        for n in 0..FILES {
            for name in ["there", "back"] {
                let copy = std::fs::read(path(name).join(n.to_string())).expect("read");
                assert!(copy == contents(n * 100), "{name}/{n}");
                std::fs::remove_file(path(name).join(n.to_string())).expect("remove");
            }
        }
        let _ = std::fs::remove_file(path("back").join(FILES.to_string()));
        served.end().await;
    }
}

#[tokio::test]
async fn more_files_than_the_budget_holds_do_not_wait_for_each_other() {
    const LENGTH: u64 = 2_500_000;
    let folder = tempfile::tempdir().expect("a folder");
    let source = File::create(folder.path().join("source")).expect("create");
    // Without disk space; the reading of it costs the same.
    source.set_len(LENGTH).expect("truncate");
    let served = Served::inside(options(folder.path())).await;
    for direction in [Direction::Put, Direction::Get] {
        let jobs = (0..64).map(|n| Job {
            direction,
            remote: match direction {
                Direction::Put => format!("copy-{n}").into_bytes(),
                Direction::Get => b"source".to_vec(),
            },
            local: folder.path().join(match direction {
                Direction::Put => "source".to_owned(),
                Direction::Get => format!("copy-{n}"),
            }),
        });
        let mut bytes = 0;
        served
            .client
            .transfer_all(jobs, Batch::default(), |_, outcome| bytes += outcome.expect("no failure").bytes)
            .await;
        assert_eq!(bytes, 64 * LENGTH);
    }
    served.end().await;
}

#[tokio::test]
async fn what_is_given_up_is_closed() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("file"), contents(5_000_000)).expect("write");
    let limited = ServerOptions { open_handles: Some(4), ..options(folder.path()) };
    let served = Served::inside(limited).await;
    let client = &served.client;
    for turns in 0..60 {
        // Given up after a few turns: while opening, while reading, or nearly done.
        let target = File::create(folder.path().join("copy")).expect("create");
        let whole = TransferOptions::default();
        let transfer = client.get(b"file", &target, &whole);
        tokio::select! {
            biased;
            _ = transfer => {}
            () = async { for _ in 0..turns * 3 { tokio::task::yield_now().await; } } => {}
        }
        let open = client.open(b"file", OpenFlags::READ, NONE);
        tokio::select! {
            biased;
            _ = open => {}
            () = async { for _ in 0..turns { tokio::task::yield_now().await; } } => {}
        }
    }
    // All handles are free again, once the closes are through: they were sent before this.
    let mut open = Vec::new();
    for _ in 0..4 {
        open.push(client.open(b"file", OpenFlags::READ, NONE).await.expect("a free handle"));
    }
    client.open(b"file", OpenFlags::READ, NONE).await.expect_err("four are open");
    drop(open);
    served.end().await;
}

#[tokio::test]
async fn a_server_that_dies_fails_everything() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut served = Served::by(OUR_SERVER.as_ref(), &[], folder.path()).await;
    let file = served.client.open(b"file", OpenFlags(0x1a), NONE).await.expect("open");
    served._server.as_mut().expect("a program").kill().await.expect("kill");
    let error = loop {
        // The first may still be written into the pipe.
        if let Err(error) = file.write_at(0, b"x").await {
            break error;
        }
    };
    assert!(matches!(error, RequestError::Connection(_)), "{error}");
    let again = served.client.stat(b".").await.expect_err("the server is dead");
    assert_eq!(again.to_string(), error.to_string());
    assert!(served.connection.await.expect("no panic").is_err());
}

#[tokio::test]
async fn a_connection_that_is_not_served_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let (ours, theirs) = tokio::io::duplex(4096);
    let (reader, writer) = tokio::io::split(theirs);
    tokio::spawn(serve(reader, writer, options(folder.path())));
    let (reader, writer) = tokio::io::split(ours);
    let (client, connection) = connect(reader, writer).await.expect("a greeting");
    drop(connection);
    let error = client.stat(b".").await.expect_err("nobody moves the bytes");
    assert!(matches!(error, RequestError::Connection(ConnectionError::Abandoned)), "{error}");
}

#[tokio::test]
async fn greetings_that_are_none() {
    for (greeting, message) in [
        (&b"Welcome to the cluster!\n"[..], "(first bytes \"Welc\")"),
        (b"", "before it said a word of SFTP"),
        (b"\0\0\0\x05\x02\0\0\0\x06", "version 6"),
        (b"\0\0\0\x05\x65\0\0\0\x01", "no VERSION"),
    ] {
        let (ours, mut theirs) = tokio::io::duplex(4096);
        theirs.write_all(greeting).await.expect("write");
        theirs.shutdown().await.expect("shutdown");
        let (reader, writer) = tokio::io::split(ours);
        let error: ConnectError = connect(reader, writer).await.expect_err("no greeting");
        assert!(error.to_string().contains(message), "{error}");
    }
}

/// A server of one file that answers in an odd order and gives less than it is asked for. States no limits.
async fn odd_server(mut stream: DuplexStream, file: Vec<u8>) {
    let mut held: Vec<Vec<u8>> = Vec::new();
    let mut turn = 0_usize;
    loop {
        // Answers are held while more requests come at once, and then go out last first.
        let mut prefix = [0; LENGTH_PREFIX];
        let next = tokio::select! {
            biased;
            next = stream.read_exact(&mut prefix) => Some(next),
            () = async { for _ in 0..20 { tokio::task::yield_now().await; } } => None,
        };
        let Some(next) = next else {
            while let Some(answer) = held.pop() {
                stream.write_all(&answer).await.expect("write");
            }
            if stream.read_exact(&mut prefix).await.is_err() {
                return;
            }
            held.push(answer(&mut stream, prefix, &file, &mut turn).await);
            continue;
        };
        if next.is_err() {
            return;
        }
        held.push(answer(&mut stream, prefix, &file, &mut turn).await);
    }
}

async fn answer(
    stream: &mut DuplexStream,
    prefix: [u8; LENGTH_PREFIX],
    file: &[u8],
    turn: &mut usize,
) -> Vec<u8> {
    let mut packet = vec![0; frame_length(&prefix).expect("sane").expect("whole")];
    stream.read_exact(&mut packet).await.expect("a whole packet");
    let (id, request) = match ClientPacket::decode(&packet).expect("sane") {
        ClientPacket::Init(_) => {
            let mut bytes = Vec::new();
            ServerPacket::Version(Hello { version: 3, extensions: Vec::new() }).encode(&mut bytes);
            return bytes;
        }
        ClientPacket::Request { id, request } => (id, request),
    };
    *turn += 1;
    let response = match request {
        Request::Open { .. } => Response::Handle(b"the handle"),
        Request::Fstat { .. } => Response::Attributes(Attributes { size: Some(file.len() as u64), ..NONE }),
        Request::Read { offset, length, .. } => {
            assert!(length <= 32_768, "no limits were stated");
            let rest = &file[file.len().min(offset as usize)..];
            let count = rest.len().min(length as usize).min(*turn * 7919 % 40_000 + 1);
            match count {
                0 => Response::status(StatusCode::Eof),
                _ => Response::Data(&rest[..count]),
            }
        }
        Request::Write { data, .. } if data.len() > 32_768 => panic!("no limits were stated"),
        _ => Response::status(StatusCode::Ok),
    };
    let mut bytes = Vec::new();
    response.encode(id, &mut bytes);
    bytes
}

#[tokio::test]
async fn short_answers_in_any_order_make_the_same_file() {
    let original = contents(3_000_000);
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    tokio::spawn(odd_server(theirs, original.clone()));
    let served = Served::over(ours).await;
    let mut copy = tempfile::tempfile().expect("a file");
    let moved = served.client.get(b"any", &copy, &TransferOptions::default()).await.expect("get");
    assert_eq!(moved.bytes, 3_000_000);
    let mut received = Vec::new();
    std::io::Read::read_to_end(&mut copy, &mut received).expect("read");
    assert!(received == original);
    served.client.put(&copy, b"any", &TransferOptions::default()).await.expect("put");
    let error = served.client.expand(b"~").await.expect_err("not offered");
    assert_eq!(error.to_string(), "the server cannot do expand-path");
    served.end().await;
}

#[tokio::test]
async fn an_answer_to_nothing_ends_the_connection() {
    let (ours, mut theirs) = tokio::io::duplex(4096);
    let mut bytes = Vec::new();
    ServerPacket::Version(Hello { version: 3, extensions: Vec::new() }).encode(&mut bytes);
    Response::status(StatusCode::Ok).encode(4711, &mut bytes);
    theirs.write_all(&bytes).await.expect("write");
    let served = Served::over(ours).await;
    let error = served.connection.await.expect("no panic").expect_err("nonsense");
    assert_eq!(error, ConnectionError::UnknownId { id: 4711 });
    let error = served.client.stat(b".").await.expect_err("it has ended");
    assert!(error.to_string().contains("4711"), "{error}");
}

#[tokio::test]
async fn more_or_less_data_than_a_read_can_give_is_an_error() {
    for length in [0, 101, 5000] {
        let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
        tokio::spawn(async move {
            let data = vec![7; length];
            let mut answers = [Response::Handle(b"h"), Response::Data(&data)].into_iter();
            let mut prefix = [0; LENGTH_PREFIX];
            while theirs.read_exact(&mut prefix).await.is_ok() {
                let mut packet = vec![0; frame_length(&prefix).expect("sane").expect("whole")];
                theirs.read_exact(&mut packet).await.expect("a whole packet");
                let mut bytes = Vec::new();
                match ClientPacket::decode(&packet).expect("sane") {
                    ClientPacket::Init(_) => {
                        ServerPacket::Version(Hello { version: 3, extensions: Vec::new() })
                            .encode(&mut bytes);
                    }
                    ClientPacket::Request { id, .. } => {
                        let answer = answers.next().unwrap_or(Response::status(StatusCode::Ok));
                        answer.encode(id, &mut bytes);
                    }
                }
                theirs.write_all(&bytes).await.expect("write");
            }
        });
        let served = Served::over(ours).await;
        let file = served.client.open(b"any", OpenFlags::READ, NONE).await.expect("open");
        let error = file.read_at(0, 100).await.expect_err("not what was asked for");
        assert!(matches!(error, RequestError::Unexpected { .. }), "{length} bytes: {error}");
        drop(file);
        served.end().await;
    }
}
