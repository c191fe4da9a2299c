//! An SFTP client's byte stream against a server on a folder of its own.
//!
//! Must stay true: no request leaves that folder, whatever the bytes. Names are relative and never go up, also
//! as targets of links, and files stay small; a request that wants otherwise is taken out of the stream.
#![no_main]

use hop_sftp::codec::{
    Attributes, ClientPacket, Extended, LENGTH_PREFIX, Request, ServerPacket, frame_length,
};
use hop_sftp::server::{Account, ServerOptions, serve};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

hop_fuzz::target!(64, |bytes| {
    let stream = harmless(bytes);
    let folder = fresh_folder();
    let mut responses = Vec::new();
    let account = Account { name: "hopper".to_owned(), home: folder.to_owned() };
    let options = ServerOptions {
        start_directory: Some(folder.to_owned()),
        open_handles: Some(16),
        ..ServerOptions::new(account)
    };
    let summary = runtime().block_on(serve(&stream[..], &mut responses, options));
    // Each response is one that a client can read, and none is missing.
    let mut rest = &responses[..];
    let mut answered = 0;
    while let Ok(Some(length)) = frame_length(rest) {
        let (packet, later) = rest[LENGTH_PREFIX..].split_at(length);
        match ServerPacket::decode(packet).expect("a response that a client can read") {
            ServerPacket::Version(_) => {}
            ServerPacket::Response { .. } => answered += 1,
        }
        rest = later;
    }
    assert!(rest.is_empty(), "half a response");
    if let Ok(summary) = summary {
        assert_eq!(summary.requests, answered);
    }
});

fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| tokio::runtime::Builder::new_current_thread().build().expect("a runtime"))
}

/// The same small tree for each run.
fn fresh_folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        // In memory, where there is such a place.
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let folder = base.join(format!("hop-fuzz-sftp-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder for the run");
        folder
    });
    let _ = std::fs::remove_dir_all(folder);
    std::fs::create_dir_all(folder.join("dir/sub")).expect("a folder for the run");
    std::fs::write(folder.join("file"), [7; 3000]).expect("a file for the run");
    std::fs::write(folder.join("dir/other"), b"other").expect("a file for the run");
    std::os::unix::fs::symlink("file", folder.join("link")).expect("a link for the run");
    folder
}

/// The stream without the packets that would leave the folder or fill the disk.
fn harmless(stream: &[u8]) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut rest = stream;
    while let Ok(Some(length)) = frame_length(rest)
        && let Some(packet) = rest.get(LENGTH_PREFIX..LENGTH_PREFIX + length)
    {
        // What cannot be read is not carried out.
        if !matches!(ClientPacket::decode(packet), Ok(ClientPacket::Request { request, .. }) if !is_harmless(&request))
        {
            kept.extend_from_slice(&rest[..LENGTH_PREFIX + length]);
        }
        rest = &rest[LENGTH_PREFIX + length..];
    }
    kept.extend_from_slice(rest);
    kept
}

fn is_harmless(request: &Request<'_>) -> bool {
    const LARGEST: u64 = 256 * 1024;
    let small = |attributes: &Attributes| {
        attributes.size.is_none_or(|size| size <= LARGEST)
            // What nobody may enter or change cannot be cleared away.
            && attributes.permissions.is_none_or(|mode| mode & 0o700 == 0o700)
            && attributes.owner.is_none()
    };
    match request {
        Request::Open { path, attributes, .. }
        | Request::Mkdir { path, attributes }
        | Request::Setstat { path, attributes } => stays(path) && small(attributes),
        Request::Write { offset, .. } => *offset <= LARGEST,
        Request::Fsetstat { attributes, .. } => small(attributes),
        Request::Lstat { path }
        | Request::Stat { path }
        | Request::Opendir { path }
        | Request::Remove { path }
        | Request::Rmdir { path }
        | Request::Realpath { path }
        | Request::Readlink { path } => stays(path),
        Request::Rename { old_path, new_path } => stays(old_path) && stays(new_path),
        Request::Symlink { target, link_path } => stays(target) && stays(link_path),
        Request::Extended(extended) => match extended {
            Extended::PosixRename { old_path, new_path } | Extended::Hardlink { old_path, new_path } => {
                stays(old_path) && stays(new_path)
            }
            Extended::Statvfs { path } | Extended::ExpandPath { path } => stays(path),
            Extended::Lsetstat { path, attributes } => stays(path) && small(attributes),
            Extended::CopyData(copy) => {
                copy.source_offset <= LARGEST && copy.target_offset <= LARGEST && copy.length <= LARGEST
            }
            // Looks other accounts up, which may ask the network.
            Extended::HomeDirectory { user } => user.is_empty(),
            _ => true,
        },
        _ => true,
    }
}

/// Whether a name stays below the folder it starts in.
fn stays(path: &[u8]) -> bool {
    !path.starts_with(b"/")
        && !path.starts_with(b"~")
        && !path.split(|byte| *byte == b'/').any(|part| part == b"..")
}
