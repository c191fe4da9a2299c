//! The server in process: order, limits, refusals, and what hostile or clumsy clients get.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use hop_sftp::codec::{
    Attributes, CopyData, Extended, Extension, FileSystemStatistics, Hello, IdNames, Limits, OpenFlags,
    Owner, PacketType, Request, Response, ServerPacket, StatusCode, Times,
};
use hop_sftp::requests::RequestSet;
use hop_sftp::server::{ServeError, ServerOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::raw::{Raw, options, session, session_with};

const NEW: OpenFlags = OpenFlags(0x02 | 0x08 | 0x10);
const NONE: Attributes =
    Attributes { size: None, owner: None, permissions: None, times: None, extended: Vec::new() };

#[tokio::test]
async fn version_offers_what_openssh_offers() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut session = session_with(options(folder.path()), 1024);
    let version = session.raw.initialise().await;
    let Ok(ServerPacket::Version(Hello { version, extensions })) = ServerPacket::decode(&version.0) else {
        panic!("no VERSION: {version:?}");
    };
    assert_eq!(version, 3);
    let expected = Extension::ALL.map(|known| (known.name().as_bytes(), known.version().as_bytes()));
    assert_eq!(extensions, expected);
    let summary = session.end().await.expect("a clean end");
    assert_eq!(summary.requests, 0);
}

#[tokio::test]
async fn what_is_sent_without_waiting_takes_effect_in_the_order_sent() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut session = session(folder.path()).await;
    let raw = &mut session.raw;
    let handle = raw.open(b"file", NEW).await;
    // For each round: write, look, cut, look, write elsewhere, rename, look at both names, rename back.
    let mut sent = Vec::new();
    for round in 0..200_u64 {
        let data = vec![b'x'; 1000];
        let cut = Attributes { size: Some(10), ..NONE };
        for request in [
            Request::Write { handle: &handle, offset: round, data: &data },
            Request::Stat { path: b"file" },
            Request::Setstat { path: b"file", attributes: cut },
            Request::Fstat { handle: &handle },
            Request::Write { handle: &handle, offset: 20, data: b"tail" },
            Request::Read { handle: &handle, offset: 20, length: 100 },
            Request::Rename { old_path: b"file", new_path: b"other" },
            Request::Lstat { path: b"file" },
            Request::Lstat { path: b"other" },
            Request::Extended(Extended::PosixRename { old_path: b"other", new_path: b"file" }),
        ] {
            // The handle was opened for writing only: reading is refused, in its turn.
            sent.push(raw.send(&request).await);
        }
    }
    let mut responses = std::collections::HashMap::new();
    for _ in &sent {
        let packet = raw.receive().await.expect("a response");
        responses.insert(packet.id(), packet);
    }
    for (round, ids) in sent.chunks(10).enumerate() {
        let responses: Vec<_> = ids.iter().map(|id| &responses[id]).collect();
        let size = |n: usize| responses[n].attributes().size.expect("stat has a size");
        assert_eq!(size(1), 1000 + round as u64, "round {round}");
        assert_eq!(size(3), 10);
        assert_eq!(responses[5].code(), StatusCode::NoSuchFile);
        assert_eq!(responses[7].code(), StatusCode::NoSuchFile);
        assert_eq!(size(8), 24);
        for n in [0, 2, 4, 6, 9] {
            assert_eq!(responses[n].code(), StatusCode::Ok);
        }
    }
    let summary = session.end().await.expect("a clean end");
    assert_eq!(summary.bytes_written, 200 * 1004);
}

#[tokio::test]
async fn a_close_waits_for_the_reads_before_it_and_its_handle_is_gone_after_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let contents: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    std::fs::write(folder.path().join("big"), &contents).expect("write");
    // /proc is taken for slow: its reads are done aside.
    let version = std::fs::read("/proc/version").expect("read");
    let mut session = session(folder.path()).await;
    let raw = &mut session.raw;
    let big = raw.open(b"big", OpenFlags::READ).await;
    let slow = raw.open(b"/proc/version", OpenFlags::READ).await;
    let mut expected = std::collections::HashMap::new();
    let mut offset = 0;
    while offset < contents.len() {
        let end = contents.len().min(offset + 200_000);
        let id = raw.send(&Request::Read { handle: &big, offset: offset as u64, length: 200_000 }).await;
        expected.insert(id, contents[offset..end].to_vec());
        let id = raw.send(&Request::Read { handle: &slow, offset: 0, length: 4096 }).await;
        expected.insert(id, version.clone());
        offset = end;
        // Responses of 12 MB do not fit the stream: take them while sending.
        while expected.len() > 4 {
            let packet = raw.receive().await.expect("a response");
            assert_eq!(expected.remove(&packet.id()).as_deref(), Some(packet.data()));
        }
    }
    let closes =
        [raw.send(&Request::Close { handle: &slow }).await, raw.send(&Request::Close { handle: &big }).await];
    let after = [
        raw.send(&Request::Read { handle: &slow, offset: 0, length: 1 }).await,
        raw.send(&Request::Close { handle: &big }).await,
    ];
    for _ in 0..expected.len() + 4 {
        let packet = raw.receive().await.expect("a response");
        match packet.id() {
            id if closes.contains(&id) => assert_eq!(packet.code(), StatusCode::Ok),
            id if id == after[0] => assert_eq!(packet.code(), StatusCode::Failure),
            id if id == after[1] => assert_eq!(packet.code(), StatusCode::NoSuchFile),
            id => assert_eq!(expected.remove(&id).as_deref(), Some(packet.data())),
        }
    }
    let summary = session.end().await.expect("a clean end");
    assert_eq!(summary.bytes_read, (contents.len() + 60 * version.len()) as u64);
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_read_from_no_more() {
    const REQUESTS: u32 = 200_000;
    let folder = tempfile::tempdir().expect("a folder");
    let mut session = session_with(options(folder.path()), 4096);
    session.raw.initialise().await;
    // Far more than all buffers together.
    let mut requests = Vec::new();
    for id in 0..REQUESTS {
        Request::Fstat { handle: b"" }.encode(id, &mut requests);
    }
    let Raw { mut reader, mut writer, .. } = session.raw;
    let mut taken = 0;
    'sending: loop {
        // The server runs on this same thread: if it takes nothing in a thousand turns, it never will.
        for turn in 0.. {
            let write = writer.write(&requests[taken..]);
            let count = tokio::select! {
                biased;
                count = write => count.expect("the server reads"),
                () = tokio::task::yield_now() => 0,
            };
            taken += count;
            if count > 0 {
                break;
            }
            if turn > 1000 {
                break 'sending;
            }
        }
    }
    // What fills the response buffer, and a little read ahead.
    assert!(taken < 400_000, "{taken} bytes taken without an answer read");

    // Once the answers are read, all are given.
    let sender = tokio::spawn(async move {
        writer.write_all(&requests[taken..]).await.expect("the server reads");
        writer.shutdown().await.expect("shutdown");
    });
    let mut received = Vec::new();
    reader.read_to_end(&mut received).await.expect("the server ends its stream");
    sender.await.expect("sender");
    let summary = session.outcome.await.expect("no panic").expect("a clean end");
    assert_eq!(summary.requests, u64::from(REQUESTS));
    let mut one = Vec::new();
    Response::status(StatusCode::Failure).encode(0, &mut one);
    assert_eq!(received.len(), one.len() * REQUESTS as usize);
}

#[tokio::test]
async fn handles_are_limited_and_come_back() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("file"), b"x").expect("write");
    let mut session = session_with(ServerOptions { open_handles: Some(3), ..options(folder.path()) }, 4096);
    session.raw.initialise().await;
    let raw = &mut session.raw;
    let limits = raw.ask(&Request::Extended(Extended::Limits)).await;
    let Response::ExtendedReply(payload) = limits.response() else { panic!("{limits:?}") };
    let limits = Limits::decode(payload).expect("limits");
    assert_eq!(
        limits,
        Limits { packet_length: 262_144, read_length: 261_120, write_length: 261_120, open_handles: 3 }
    );
    let first = raw.open(b"file", OpenFlags::READ).await;
    let second = raw.ask(&Request::Opendir { path: b"." }).await.handle();
    raw.open(b"file", OpenFlags::READ).await;
    let refused = Request::Open { path: b"created-in-vain", flags: NEW, attributes: NONE };
    assert_eq!(raw.ask(&refused).await.code(), StatusCode::Failure);
    assert!(!folder.path().join("created-in-vain").exists());
    assert_eq!(raw.ask(&Request::Opendir { path: b"." }).await.code(), StatusCode::Failure);
    for handle in [first, second] {
        assert_eq!(raw.ask(&Request::Close { handle: &handle }).await.code(), StatusCode::Ok);
    }
    raw.open(b"file", OpenFlags::READ).await;
    raw.open(b"file", OpenFlags::READ).await;
    session.end().await.expect("open handles are closed at the end");
}

#[tokio::test]
async fn read_only_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("file"), b"contents").expect("write");
    std::fs::create_dir(folder.path().join("dir")).expect("mkdir");
    let before = std::fs::metadata(folder.path().join("file")).expect("stat");
    let mut session = session_with(ServerOptions { read_only: true, ..options(folder.path()) }, 4096);
    session.raw.initialise().await;
    let raw = &mut session.raw;
    let handle = raw.open(b"file", OpenFlags::READ).await;
    let handle = handle.as_slice();
    let mode = Attributes { permissions: Some(0o600), size: Some(0), ..NONE };
    let copy = CopyData { source: handle, source_offset: 0, length: 0, target: handle, target_offset: 0 };
    for request in [
        Request::Open { path: b"file", flags: OpenFlags::WRITE, attributes: NONE },
        Request::Open { path: b"file", flags: OpenFlags::READ | OpenFlags::TRUNCATE, attributes: NONE },
        Request::Open { path: b"new", flags: OpenFlags::READ | OpenFlags::CREATE, attributes: NONE },
        Request::Write { handle, offset: 0, data: b"y" },
        Request::Setstat { path: b"file", attributes: mode.clone() },
        Request::Fsetstat { handle, attributes: mode.clone() },
        Request::Remove { path: b"file" },
        Request::Mkdir { path: b"new", attributes: NONE },
        Request::Rmdir { path: b"dir" },
        Request::Rename { old_path: b"file", new_path: b"new" },
        Request::Symlink { target: b"file", link_path: b"new" },
        Request::Extended(Extended::PosixRename { old_path: b"file", new_path: b"new" }),
        Request::Extended(Extended::Hardlink { old_path: b"file", new_path: b"new" }),
        Request::Extended(Extended::Lsetstat {
            path: b"file",
            attributes: Attributes { size: None, ..mode },
        }),
        Request::Extended(Extended::CopyData(copy)),
        Request::Extended(Extended::Fsync { handle }),
    ] {
        assert_eq!(raw.ask(&request).await.code(), StatusCode::PermissionDenied, "{request:?}");
    }
    assert_eq!(raw.ask(&Request::Read { handle, offset: 0, length: 100 }).await.data(), b"contents");
    let after = std::fs::metadata(folder.path().join("file")).expect("stat");
    assert_eq!((before.mtime(), before.mode(), before.len()), (after.mtime(), after.mode(), after.len()));
    assert_eq!(std::fs::read_dir(folder.path()).expect("list").count(), 2);
}

#[tokio::test]
async fn denied_requests_are_denied() {
    let folder = tempfile::tempdir().expect("a folder");
    let permitted = RequestSet::ALL.without(RequestSet::parse("remove,statvfs").expect("requests"));
    let mut session = session_with(ServerOptions { permitted, ..options(folder.path()) }, 4096);
    session.raw.initialise().await;
    let raw = &mut session.raw;
    assert_eq!(raw.ask(&Request::Remove { path: b"x" }).await.code(), StatusCode::PermissionDenied);
    let statvfs = Request::Extended(Extended::Statvfs { path: b"." });
    assert_eq!(raw.ask(&statvfs).await.code(), StatusCode::PermissionDenied);
    assert_eq!(raw.ask(&Request::Rmdir { path: b"x" }).await.code(), StatusCode::NoSuchFile);
    // Which requests are known is no secret.
    let unknown = Request::Extended(Extended::Unknown { name: b"x@example.org", payload: b"" });
    assert_eq!(raw.ask(&unknown).await.code(), StatusCode::OpUnsupported);
}

#[tokio::test]
async fn rename_never_replaces_and_posix_rename_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("a"), b"a").expect("write");
    std::fs::write(path("b"), b"b").expect("write");
    std::fs::create_dir(path("empty")).expect("mkdir");
    std::fs::create_dir(path("dir")).expect("mkdir");
    symlink("nowhere", path("dangling")).expect("symlink");
    let mut session = session(folder.path()).await;
    let raw = &mut session.raw;
    for (old_path, new_path, code) in [
        (&b"a"[..], &b"b"[..], StatusCode::Failure),
        (b"a", b"dangling", StatusCode::Failure),
        (b"a", b"dir", StatusCode::Failure),
        (b"dir", b"empty", StatusCode::Failure),
        (b"dir", b"dir/inside", StatusCode::BadMessage),
        (b"nothing", b"c", StatusCode::NoSuchFile),
        (b"a", b"nowhere/c", StatusCode::NoSuchFile),
        (b"a", b"c", StatusCode::Ok),
        (b"dir", b"moved", StatusCode::Ok),
    ] {
        let answer = raw.ask(&Request::Rename { old_path, new_path }).await;
        assert_eq!(answer.code(), code, "{} to {}", old_path.escape_ascii(), new_path.escape_ascii());
    }
    assert_eq!(std::fs::read(path("b")).expect("read"), b"b");
    let rename = Request::Extended(Extended::PosixRename { old_path: b"c", new_path: b"b" });
    assert_eq!(raw.ask(&rename).await.code(), StatusCode::Ok);
    assert_eq!(std::fs::read(path("b")).expect("read"), b"a");
}

#[tokio::test]
async fn attributes_are_set_in_one_go() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file");
    std::fs::write(&path, b"0123456789").expect("write");
    symlink("file", folder.path().join("link")).expect("symlink");
    let mut session = session(folder.path()).await;
    let raw = &mut session.raw;
    let own = std::fs::metadata(&path).expect("stat");
    let all = Attributes {
        size: Some(4),
        permissions: Some(0o100_640),
        times: Some(Times { accessed: 1_000_000, modified: 2_000_000 }),
        owner: Some(Owner { user: own.uid(), group: u32::MAX }),
        extended: vec![(b"unknown@example.org".to_vec(), b"ignored".to_vec())],
    };
    let set = Request::Setstat { path: b"link", attributes: all };
    assert_eq!(raw.ask(&set).await.code(), StatusCode::Ok);
    let after = std::fs::metadata(&path).expect("stat");
    assert_eq!((after.len(), after.permissions().mode() & 0o7777), (4, 0o640));
    assert_eq!((after.atime(), after.mtime(), after.gid()), (1_000_000, 2_000_000, own.gid()));

    // The link itself.
    let times = Attributes { times: Some(Times { accessed: 5, modified: 6 }), ..NONE };
    let set = Request::Extended(Extended::Lsetstat { path: b"link", attributes: times });
    assert_eq!(raw.ask(&set).await.code(), StatusCode::Ok);
    assert_eq!(std::fs::symlink_metadata(folder.path().join("link")).expect("lstat").mtime(), 6);
    assert_eq!(std::fs::metadata(&path).expect("stat").mtime(), 2_000_000);
    let mode = Attributes { permissions: Some(0o600), ..NONE };
    let set = Request::Extended(Extended::Lsetstat { path: b"link", attributes: mode.clone() });
    assert_eq!(raw.ask(&set).await.code(), StatusCode::Failure);
    let set = Request::Extended(Extended::Lsetstat { path: b"file", attributes: mode });
    assert_eq!(raw.ask(&set).await.code(), StatusCode::Ok);
    assert_eq!(std::fs::metadata(&path).expect("stat").permissions().mode() & 0o7777, 0o600);

    // The last failure is reported; what can be done is done.
    let partly = Attributes { size: Some(u64::MAX), permissions: Some(0o611), ..NONE };
    let set = Request::Setstat { path: b"file", attributes: partly };
    assert_eq!(raw.ask(&set).await.code(), StatusCode::BadMessage);
    assert_eq!(std::fs::metadata(&path).expect("stat").permissions().mode() & 0o7777, 0o611);
}

#[tokio::test]
async fn names_are_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut session = session(folder.path()).await;
    let raw = &mut session.raw;
    let name: Vec<u8> = (1..=255).filter(|byte| *byte != b'/').collect();
    let handle = raw.open(&name, NEW).await;
    raw.ask(&Request::Close { handle: &handle }).await;
    let handle = raw.ask(&Request::Opendir { path: b"" }).await;
    assert_eq!(handle.code(), StatusCode::NoSuchFile);
    let handle = raw.ask(&Request::Opendir { path: b"." }).await.handle();
    let listing = raw.ask(&Request::Readdir { handle: &handle }).await;
    let Response::Name(entries) = listing.response() else { panic!("{listing:?}") };
    assert!(entries.iter().any(|entry| entry.name == name));
    assert_eq!(raw.ask(&Request::Readdir { handle: &handle }).await.code(), StatusCode::Eof);
    let real = raw.ask(&Request::Realpath { path: &name }).await.name();
    assert!(real.ends_with(&name));
    assert_eq!(raw.ask(&Request::Stat { path: b"a\0b" }).await.code(), StatusCode::BadMessage);
}

#[tokio::test]
async fn a_long_listing_comes_in_pieces_and_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    for n in 0..350 {
        std::fs::write(folder.path().join(format!("{n:0200}")), b"").expect("write");
    }
    let mut session = session(folder.path()).await;
    let raw = &mut session.raw;
    let handle = raw.ask(&Request::Opendir { path: b"." }).await.handle();
    let mut names = std::collections::BTreeSet::new();
    loop {
        let listing = raw.ask(&Request::Readdir { handle: &handle }).await;
        let entries = match listing.response() {
            Response::Name(entries) => entries,
            Response::Status { code: StatusCode::Eof, .. } => break,
            other => panic!("{other:?}"),
        };
        assert!(entries.len() <= 100);
        for entry in entries {
            assert!(entry.long_name.ends_with(entry.name));
            assert!(names.insert(entry.name.to_vec()), "listed twice");
        }
    }
    assert_eq!(names.len(), 352);
}

#[tokio::test]
async fn extensions_answer() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("source"), b"0123456789").expect("write");
    let home = folder.path().canonicalize().expect("it exists").into_os_string().into_encoded_bytes();
    let mut session = session(folder.path()).await;
    let raw = &mut session.raw;
    for (path, expected) in [
        (&b"~"[..], home.clone()),
        (b"~/new", [&home[..], b"/new"].concat()),
        (b"source", [&home[..], b"/source"].concat()),
        (b"~root", b"/root".to_vec()),
        (b"/etc/../etc/.", b"/etc".to_vec()),
    ] {
        let answer = raw.ask(&Request::Extended(Extended::ExpandPath { path })).await;
        assert_eq!(answer.name(), expected, "{}", path.escape_ascii());
    }
    let answer = raw.ask(&Request::Extended(Extended::ExpandPath { path: b"~nobody-here/x" })).await;
    let words = Response::Status { code: StatusCode::NoSuchFile, message: b"no such user", language: b"" };
    assert_eq!(answer.response(), words);

    let answer = raw.ask(&Request::Extended(Extended::HomeDirectory { user: b"" })).await;
    assert_eq!(answer.name(), folder.path().as_os_str().as_encoded_bytes());
    let answer = raw.ask(&Request::Extended(Extended::HomeDirectory { user: b"root" })).await;
    assert_eq!(answer.name(), b"/root");
    let answer = raw.ask(&Request::Extended(Extended::HomeDirectory { user: b"nobody-here" })).await;
    assert_eq!(answer.code(), StatusCode::Failure);

    let ids = Extended::UsersGroupsById { users: vec![0, 3_999_999_999], groups: vec![0] };
    let answer = raw.ask(&Request::Extended(ids)).await;
    let Response::ExtendedReply(payload) = answer.response() else { panic!("{answer:?}") };
    let names = IdNames { users: vec![b"root".to_vec(), Vec::new()], groups: vec![b"root".to_vec()] };
    assert_eq!(IdNames::decode(payload), Ok(names));

    let source = raw.open(b"source", OpenFlags::READ).await;
    for request in [Extended::Statvfs { path: b"." }, Extended::Fstatvfs { handle: &source }] {
        let answer = raw.ask(&Request::Extended(request)).await;
        let Response::ExtendedReply(payload) = answer.response() else { panic!("{answer:?}") };
        let statistics = FileSystemStatistics::decode(payload).expect("eleven numbers");
        assert!(statistics.blocks > 0 && statistics.name_length >= 255);
    }
    assert_eq!(raw.ask(&Request::Extended(Extended::Fsync { handle: &source })).await.code(), StatusCode::Ok);
    let hardlink = Extended::Hardlink { old_path: b"source", new_path: b"second name" };
    assert_eq!(raw.ask(&Request::Extended(hardlink)).await.code(), StatusCode::Ok);
    assert_eq!(std::fs::metadata(folder.path().join("source")).expect("stat").nlink(), 2);
}

#[tokio::test]
async fn copy_data_copies() {
    let folder = tempfile::tempdir().expect("a folder");
    let contents: Vec<u8> = (0..1_000_000_u32).map(|n| n.to_be_bytes()[2]).collect();
    std::fs::write(folder.path().join("source"), &contents).expect("write");
    let mut session = session(folder.path()).await;
    let raw = &mut session.raw;
    let source = raw.open(b"source", OpenFlags::READ).await;
    let target = raw.open(b"target", NEW).await;
    let copy = |source_offset, length, target_offset| {
        Request::Extended(Extended::CopyData(CopyData {
            source: &source,
            source_offset,
            length,
            target: &target,
            target_offset,
        }))
    };
    assert_eq!(raw.ask(&copy(0, 0, 0)).await.code(), StatusCode::Ok);
    assert_eq!(std::fs::read(folder.path().join("target")).expect("read"), contents);
    assert_eq!(raw.ask(&copy(10, 100, 5)).await.code(), StatusCode::Ok);
    let copied = std::fs::read(folder.path().join("target")).expect("read");
    assert_eq!(copied[5..105], contents[10..110]);
    assert_eq!(copied[105..], contents[105..]);
    // Asked for more than there is: what there is has been copied, and EOF says so.
    assert_eq!(raw.ask(&copy(999_990, 100, 1_000_000)).await.code(), StatusCode::Eof);
    assert_eq!(std::fs::metadata(folder.path().join("target")).expect("stat").len(), 1_000_010);
    assert_eq!(raw.ask(&copy(5_000_000, 0, 0)).await.code(), StatusCode::Ok);

    // From a file without a length, to one that appends.
    let version = raw.open(b"/proc/version", OpenFlags::READ).await;
    let append = raw.open(b"appended", OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::APPEND).await;
    for _ in 0..2 {
        let copy =
            CopyData { source: &version, source_offset: 0, length: 0, target: &append, target_offset: 0 };
        let copy = Request::Extended(Extended::CopyData(copy));
        assert_eq!(raw.ask(&copy).await.code(), StatusCode::Ok);
    }
    let version_text = std::fs::read("/proc/version").expect("read");
    assert_eq!(std::fs::read(folder.path().join("appended")).expect("read"), version_text.repeat(2));

    // One file twice.
    let again = raw.open(b"source", OpenFlags::WRITE).await;
    for (source, target) in [(&source, &source), (&source, &again), (&target, &source)] {
        let copy = CopyData { source, source_offset: 0, length: 0, target, target_offset: 0 };
        assert_ne!(raw.ask(&Request::Extended(Extended::CopyData(copy))).await.code(), StatusCode::Ok);
    }
}

#[tokio::test]
async fn odd_requests_are_answered() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("file"), b"x").expect("write");
    let mut session = session(folder.path()).await;
    let raw = &mut session.raw;
    assert_eq!(raw.ask(&Request::Unknown(PacketType::Unknown(42))).await.code(), StatusCode::OpUnsupported);
    assert_eq!(raw.ask(&Request::Unknown(PacketType::Data)).await.code(), StatusCode::OpUnsupported);
    // A READ cut short after its id.
    raw.send_bytes(b"\0\0\0\x07\x05\0\0\0\x63\0\0").await;
    let answer = raw.receive().await.expect("a response");
    assert_eq!((answer.id(), answer.code()), (0x63, StatusCode::BadMessage));
    // Bytes behind the last field.
    raw.send_bytes(b"\0\0\0\x0d\x11\0\0\0\x64\0\0\0\x01.abc").await;
    assert_eq!(raw.receive().await.expect("a response").attributes().size.map(|_| ()), Some(()));
    let handle = raw.open(b"file", OpenFlags::READ).await;
    for (offset, length, code) in
        [(1, 10, StatusCode::Eof), (u64::MAX, 10, StatusCode::BadMessage), (1 << 40, 1, StatusCode::Eof)]
    {
        let read = Request::Read { handle: &handle, offset, length };
        assert_eq!(raw.ask(&read).await.code(), code);
    }
    assert_eq!(raw.ask(&Request::Read { handle: &handle, offset: 0, length: 0 }).await.data(), b"");
    assert_eq!(raw.ask(&Request::Read { handle: &handle, offset: 0, length: u32::MAX }).await.data(), b"x");
    let directory = raw.open(b".", OpenFlags::READ).await;
    let read = Request::Read { handle: &directory, offset: 0, length: 1 };
    assert_eq!(raw.ask(&read).await.code(), StatusCode::Failure);
    session.end().await.expect("a clean end");
}

#[tokio::test]
async fn a_fifo_does_not_hang_the_session() {
    let folder = tempfile::tempdir().expect("a folder");
    let status = std::process::Command::new("mkfifo").arg(folder.path().join("fifo")).status();
    assert!(status.expect("mkfifo (Debian package coreutils)").success());
    let mut session = session(folder.path()).await;
    let raw = &mut session.raw;
    let handle = raw.open(b"fifo", OpenFlags::READ).await;
    let read = Request::Read { handle: &handle, offset: 0, length: 1 };
    assert_eq!(raw.ask(&read).await.code(), StatusCode::Failure);
    raw.ask(&Request::Close { handle: &handle }).await;
    let write = Request::Open { path: b"fifo", flags: OpenFlags::WRITE, attributes: NONE };
    assert_eq!(raw.ask(&write).await.code(), StatusCode::Failure);
}

#[tokio::test]
async fn what_is_no_sftp_ends_the_session() {
    let folder = tempfile::tempdir().expect("a folder");
    for (bytes, error) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], "(first bytes \"GET \") exceeds the limit"),
        (b"\0\0\0\0", "length 0"),
        (b"\0\0\0\x05\x11\0\0\0\x01", "did not begin with INIT"),
        (b"\0\0\0\x02\x01\0", "did not begin with INIT"),
        (b"\0\0\0\x05\x01\0\0\0\x03\0\0\0\x01\x11", "type 17 without a request id"),
        (b"\0\0\0\x05\x01\0\0\0\x03\0\0\0\x09\x11\0", "in the middle of a packet"),
    ] {
        let mut session = session_with(options(folder.path()), 4096);
        session.raw.send_bytes(bytes).await;
        let outcome: Result<_, ServeError> = session.end().await;
        let message = outcome.expect_err("no SFTP").to_string();
        assert!(message.contains(error), "{message}");
    }
}

#[tokio::test]
async fn a_start_directory_that_is_missing_is_passed_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut session = session_with(options(&folder.path().join("missing")), 4096);
    session.raw.initialise().await;
    let here = std::env::current_dir().expect("a working directory");
    let answer = session.raw.ask(&Request::Realpath { path: b"." }).await;
    assert_eq!(answer.name(), here.canonicalize().expect("it exists").as_os_str().as_encoded_bytes());
}

#[test]
fn no_packet_panics_the_server() {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};

    // Half-way sensible: a type that exists, then bytes among which lengths, handles and names are likely.
    let word = || {
        prop_oneof![
            Just(vec![0, 0, 0, 0]),
            Just(vec![0, 0, 0, 1]),
            Just(b"\0\0\0\x01.".to_vec()),
            Just(b"\0\0\0\x04file".to_vec()),
            // The first two handles.
            Just(b"\0\0\0\x08\0\0\0\0\0\0\0\0".to_vec()),
            Just(b"\0\0\0\x08\0\0\0\x01\0\0\0\0".to_vec()),
            prop::sample::select(Extension::ALL.to_vec()).prop_map(|extension| {
                let name = extension.name().as_bytes();
                [&[0, 0, 0, u8::try_from(name.len()).expect("short")], name].concat()
            }),
            vec(any::<u8>(), 0..12),
        ]
    };
    // Not a second INIT: without an id there is nothing to answer.
    let kind = prop_oneof![3..=20_u8, Just(200_u8), 2..=255_u8];
    let packet = (kind, any::<u32>(), vec(word(), 0..6))
        .prop_map(|(kind, id, words)| [&[kind][..], &id.to_be_bytes(), &words.concat()].concat());
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("file"), b"contents").expect("write");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let config = Config { cases: 300, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&vec(packet, 1..40), |packets| {
        runtime.block_on(async {
            // What a random path may name must not be changed.
            let options = ServerOptions { read_only: true, ..options(folder.path()) };
            let mut session = session_with(options, 1 << 20);
            session.raw.initialise().await;
            for packet in &packets {
                let length = u32::try_from(packet.len()).expect("short").to_be_bytes();
                session.raw.send_bytes(&[&length, packet.as_slice()].concat()).await;
            }
            let summary = session.end().await.expect("every packet has an id");
            prop_assert_eq!(summary.requests, packets.len() as u64);
            Ok(())
        })
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
