//! The same requests to OpenSSH's server and to ours: the same answers and the same files afterwards.

use std::path::Path;

use hop_sftp::codec::{
    Attributes, CopyData, Extended, NameEntry, OpenFlags, Request, Response, ServerPacket, Times,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::peers::{OUR_SERVER, openssh_server};
use crate::raw::{Packet, Raw, options, session_with};

/// A request in which handles are numbers: the n-th one that was given.
#[derive(Debug, Clone)]
enum Step {
    Open(Vec<u8>, u32, Option<u32>),
    /// OPENDIR, READDIR to the end, CLOSE. In one go: OpenSSH looks at each entry by its path, so that it lists nothing
    /// when the directory was renamed meanwhile; ours looks inside the open directory.
    List(Vec<u8>),
    OnPath(u8, Vec<u8>, Attributes),
    OnPaths(u8, Vec<u8>, Vec<u8>),
    OnHandle(u8, usize, Attributes),
    Read(usize, u64, u32),
    Write(usize, u64, Vec<u8>),
    /// Up to the end: when the source ends before a stated length, OpenSSH sometimes says that all went well.
    Copy(usize, usize, u64, u64),
}

/// Names that are apart enough to mean something and few enough to meet. `l` is where links are made: what OpenSSH's
/// RENAME does to a name that is a dangling link differs (it replaces it, against the protocol's word), so no rename
/// goes there.
fn path() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![8 => plain_path(), 2 => link_path()]
}

fn link_path() -> impl Strategy<Value = Vec<u8>> {
    prop::sample::select(vec![&b"l"[..], b"l/x", b"l/", b"d/l"]).prop_map(<[u8]>::to_vec)
}

fn plain_path() -> impl Strategy<Value = Vec<u8>> {
    let names = [
        &b"a"[..],
        b"b",
        b"d",
        b"d/x",
        b"d/e",
        b"d/e/f",
        b"",
        b".",
        b"./a",
        b"a/",
        b"d/",
        b"a/x",
        b"d/../a",
        b"none/x",
        b"\xff\xfe",
        b"new\nline",
    ];
    prop::sample::select(names.to_vec()).prop_map(<[u8]>::to_vec)
}

/// A new name for a rename. With a slash behind it there are two things wrong at once, and another one is reported.
fn new_path() -> impl Strategy<Value = Vec<u8>> {
    plain_path().prop_filter("no slash at its end", |path| !path.ends_with(b"/"))
}

fn attributes() -> impl Strategy<Value = Attributes> {
    (
        prop::option::of(prop_oneof![0..5000_u64, Just(u64::MAX)]),
        prop::option::of(prop::sample::select(vec![0o644_u32, 0o600, 0o100_755, 0o1777, 0o400])),
        prop::option::of(0..2_000_000_000_u32),
    )
        .prop_map(|(size, permissions, modified)| Attributes {
            size,
            permissions,
            times: modified.map(|modified| Times { accessed: modified / 2, modified }),
            ..Attributes::default()
        })
}

fn step() -> impl Strategy<Value = Step> {
    let handle = || 0..6_usize;
    prop_oneof![
        4 => (path(), 0..64_u32, prop::option::of(Just(0o640))).prop_map(|(p, f, m)| Step::Open(p, f, m)),
        2 => path().prop_map(Step::List),
        8 => (0..9_u8, path(), attributes()).prop_map(|(n, p, a)| Step::OnPath(n, p, a)),
        1 => (0..3_u8, plain_path(), new_path()).prop_map(|(n, p, q)| Step::OnPaths(n, p, q)),
        1 => (path(), link_path()).prop_map(|(p, q)| Step::OnPaths(3, p, q)),
        4 => (0..5_u8, handle(), attributes()).prop_map(|(n, h, a)| Step::OnHandle(n, h, a)),
        3 => (handle(), prop_oneof![0..6000_u64, Just(1_u64 << 63)], 0..9000_u32).prop_map(|(h, o, l)| Step::Read(h, o, l)),
        3 => (handle(), 0..3000_u64, vec(any::<u8>(), 0..1500)).prop_map(|(h, o, d)| Step::Write(h, o, d)),
        1 => (handle(), handle(), 0..3000_u64, 0..3000_u64).prop_map(|(s, t, a, b)| Step::Copy(s, t, a, b)),
    ]
}

/// One of the servers and the handles it gave.
struct Server {
    raw: Raw,
    handles: Vec<Vec<u8>>,
    root: Vec<u8>,
}

impl Server {
    async fn new(mut raw: Raw, folder: &Path) -> Self {
        raw.initialise().await;
        let root = folder.canonicalize().expect("it exists").into_os_string().into_encoded_bytes();
        Self { raw, handles: Vec::new(), root }
    }

    async fn list(&mut self, path: &[u8]) -> String {
        let answer = self.raw.ask(&Request::Opendir { path }).await;
        let Response::Handle(handle) = answer.response() else { return show(&answer, &self.root) };
        let mut shown = String::new();
        for request in [
            Request::Readdir { handle },
            Request::Readdir { handle },
            Request::Read { handle, offset: 0, length: 1 },
            Request::Close { handle },
            Request::Close { handle },
        ] {
            shown += &show(&self.raw.ask(&request).await, &self.root);
            shown.push('\n');
        }
        shown
    }

    async fn take(&mut self, step: &Step) -> String {
        if let Step::List(path) = step {
            return self.list(path).await;
        }
        let Self { raw, handles, root } = self;
        // One that was never given.
        let handle = |n: usize| handles.get(n).map_or(&b"\0\0\xff\xff"[..], Vec::as_slice);
        let request = match step {
            Step::Open(path, flags, mode) => Request::Open {
                path,
                flags: OpenFlags(*flags),
                attributes: Attributes { permissions: *mode, ..Attributes::default() },
            },
            Step::List(_) => unreachable!("dealt with above"),
            Step::OnPath(kind, path, attributes) => match kind {
                0 => Request::Stat { path },
                1 => Request::Lstat { path },
                2 => Request::Setstat { path, attributes: attributes.clone() },
                3 => Request::Remove { path },
                4 => Request::Mkdir { path, attributes: attributes.clone() },
                5 => Request::Rmdir { path },
                6 => Request::Realpath { path },
                7 => Request::Readlink { path },
                _ => Request::Extended(Extended::Lsetstat { path, attributes: attributes.clone() }),
            },
            Step::OnPaths(kind, first, second) => match kind {
                0 => Request::Rename { old_path: first, new_path: second },
                1 => Request::Extended(Extended::PosixRename { old_path: first, new_path: second }),
                2 => Request::Extended(Extended::Hardlink { old_path: first, new_path: second }),
                _ => Request::Symlink { target: first, link_path: second },
            },
            Step::OnHandle(kind, n, attributes) => match kind {
                0 => Request::Close { handle: handle(*n) },
                1 => Request::Fstat { handle: handle(*n) },
                2 => Request::Fsetstat { handle: handle(*n), attributes: attributes.clone() },
                3 => Request::Readdir { handle: handle(*n) },
                _ => Request::Extended(Extended::Fsync { handle: handle(*n) }),
            },
            Step::Read(n, offset, length) => {
                Request::Read { handle: handle(*n), offset: *offset, length: *length }
            }
            Step::Write(n, offset, data) => Request::Write { handle: handle(*n), offset: *offset, data },
            Step::Copy(source, target, source_offset, target_offset) => {
                Request::Extended(Extended::CopyData(CopyData {
                    source: handle(*source),
                    source_offset: *source_offset,
                    length: 0,
                    target: handle(*target),
                    target_offset: *target_offset,
                }))
            }
        };
        let answer = raw.ask(&request).await;
        let shown = show(&answer, root);
        if let Response::Handle(given) = answer.response() {
            handles.push(given.to_vec());
        }
        // OpenSSH uses a number again, so a closed one must not be named again.
        if let Step::OnHandle(0, n, _) = step
            && let Some(closed) = handles.get_mut(*n)
        {
            *closed = b"\0\0\xff\xff".to_vec();
        }
        shown
    }
}

/// An answer without what must differ: the folder's name, handles, times of now, sizes of folders.
fn show(answer: &Packet, root: &[u8]) -> String {
    let plain = |attributes: &Attributes| {
        let mut attributes = attributes.clone();
        let folder = attributes.permissions.is_some_and(|mode| mode & 0o170_000 == 0o040_000);
        if folder {
            attributes.size = None;
        }
        // Times that a request set are in the past; others are the moment's.
        attributes.times = attributes.times.filter(|times| {
            times.modified < 2_000_000_000 && !folder && times.accessed == times.modified / 2
        });
        attributes
    };
    let without_root = |name: &[u8]| {
        let name = name.strip_prefix(root).map_or(name.to_vec(), |rest| [b"ROOT", rest].concat());
        name.escape_ascii().to_string()
    };
    match ServerPacket::decode(&answer.0).expect("a whole response") {
        ServerPacket::Response { response: Response::Handle(_), .. } => "a handle".to_owned(),
        ServerPacket::Response { response: Response::Attributes(attributes), .. } => {
            format!("{:?}", plain(&attributes))
        }
        ServerPacket::Response { response: Response::Name(mut entries), .. } => {
            entries.sort_by_key(|entry| entry.name);
            // The folder that all tests share.
            entries.retain(|entry| entry.name != b"..");
            let entries = entries.iter().map(|NameEntry { name, long_name, attributes }| {
                // Up to the owner; then sizes of folders and times follow.
                let line = if attributes.permissions.is_some() { &long_name[..32] } else { long_name };
                format!("{} {} {:?}", without_root(name), without_root(line), plain(attributes))
            });
            entries.collect::<Vec<_>>().join("\n")
        }
        ServerPacket::Response { response, .. } => format!("{response:?}"),
        ServerPacket::Version(_) => panic!("VERSION in the middle"),
    }
}

/// All files below a folder with their kind, mode and contents.
fn tree(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut entries: Vec<_> =
        std::fs::read_dir(folder).expect("list").map(|entry| entry.expect("entry").path()).collect();
    entries.sort();
    for path in entries {
        use std::os::unix::fs::MetadataExt as _;
        let metadata = path.symlink_metadata().expect("lstat");
        let name = path.file_name().expect("a name").as_encoded_bytes().escape_ascii().to_string();
        let contents = match metadata.file_type() {
            kind if kind.is_dir() => tree(&path).join(", "),
            kind if kind.is_symlink() => format!("{:?}", std::fs::read_link(&path).expect("readlink")),
            _ => std::fs::read(&path).expect("read").escape_ascii().to_string(),
        };
        found.push(format!("{name} {:o} {} {contents}", metadata.mode(), metadata.nlink()));
    }
    found
}

#[test]
fn the_same_answers_as_openssh() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut runner = TestRunner::new(Config {
        cases: 80,
        max_shrink_iters: 400,
        failure_persistence: None,
        ..Config::default()
    });
    let outcome = runner.run(&vec(step(), 1..80), |steps| {
        runtime.block_on(async {
            let folders = [(); 3].map(|()| tempfile::tempdir().expect("a folder"));
            let [openssh, program, inside] = &folders;
            let mut reference =
                Server::new(Raw::start(openssh_server(), &[], openssh.path()), openssh.path()).await;
            let mut others = [
                Server::new(Raw::start(OUR_SERVER.as_ref(), &[], program.path()), program.path()).await,
                Server::new(session_with(options(inside.path()), 1 << 20).raw, inside.path()).await,
            ];
            for step in &steps {
                let expected = reference.take(step).await;
                for other in &mut others {
                    prop_assert_eq!(other.take(step).await, expected.as_str(), "{:?}", step);
                }
            }
            let expected = tree(openssh.path());
            for folder in [program, inside] {
                prop_assert_eq!(tree(folder.path()), expected.as_slice());
            }
            Ok(())
        })
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
