//! Which file calls can be made without leaving the task that serves the connection.
//!
//! A call is made at once only when it can be expected to return from memory: the path resolves in the kernel's
//! cache and lies on a local file system. A network mount that hangs is thus never touched here. What looks
//! local may still be slow (a cold disk, a full write-back queue); [`Pace`] notices that afterwards.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::directory::WorkingDirectory;

/// File systems whose calls are answered by this machine (numbers of statfs(2)). Everything else, FUSE and the network
/// ones first of all, is taken for slow.
const LOCAL: [u32; 12] = [
    0xef53,      // ext2, ext3, ext4
    0x5846_5342, // xfs
    0x9123_683e, // btrfs
    0x0102_1994, // tmpfs
    0x8584_58f6, // ramfs
    0x794c_7630, // overlayfs, the root of most containers
    0xf2f5_2010, // f2fs
    0x2fc1_2fc1, // zfs
    0xca45_1a4e, // bcachefs
    0x7371_7368, // squashfs
    0xe0f5_e1e2, // erofs
    0x4d44,      // fat
];

/// Whether an open file or directory lies on a local file system.
pub(crate) fn is_local(file: impl AsFd) -> bool {
    // The field's width and sign differ between machines; the numbers have 32 bits.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "compared as 32-bit patterns"
    )]
    rustix::fs::fstatfs(file).is_ok_and(|file_system| LOCAL.contains(&(file_system.f_type as u32)))
}

/// Whether a symbolic link at the end of a path is followed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    Follow,
    Stay,
}

/// Whether what the path names is in the cache and local. One that is known not to exist goes by its parent.
pub(crate) fn is_at_hand(directory: &WorkingDirectory, path: &[u8], links: Links) -> bool {
    match open_cached(directory, path, links) {
        Some(local) => local,
        None => is_parent_at_hand(directory, path),
    }
}

/// Whether the directory that holds the path's last component is in the cache and local.
pub(crate) fn is_parent_at_hand(directory: &WorkingDirectory, path: &[u8]) -> bool {
    let parent = match path.iter().rposition(|byte| *byte == b'/') {
        Some(0) => b"/",
        Some(slash) => path.get(..slash).unwrap_or_default(),
        None => b".",
    };
    open_cached(directory, parent, Links::Follow).unwrap_or(true)
}

/// Looks a path up in the kernel's cache alone (RESOLVE_CACHED, Linux 5.12). `None`: nothing is there, and that too is
/// known without waiting.
fn open_cached(directory: &WorkingDirectory, path: &[u8], links: Links) -> Option<bool> {
    let mut flags = OFlags::PATH | OFlags::CLOEXEC;
    if links == Links::Stay {
        flags |= OFlags::NOFOLLOW;
    }
    match rustix::fs::openat2(directory, path, flags, Mode::empty(), ResolveFlags::CACHED) {
        Ok(file) => Some(is_local(file)),
        Err(
            Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::ACCESS | Errno::INVAL | Errno::NAMETOOLONG,
        ) => None,
        // Not in the cache; or a kernel that does not know the question ("invalid" before 5.12).
        Err(_) => Some(false),
    }
}

/// A call that took longer, and waited, was not answered from memory.
const SLOW: Duration = Duration::from_millis(1);

/// Requests that are taken for slow after a slow one; each slow one among them starts the count again.
const WARY_FOR: u32 = 16;

/// How the calls before this one went.
#[derive(Default)]
pub(crate) struct Pace {
    wary: u32,
}

/// The beginning of a call.
pub(crate) struct Began {
    at: Instant,
    waits: i64,
}

impl Began {
    pub(crate) fn now() -> Self {
        Self { at: Instant::now(), waits: waits() }
    }

    /// Whether the thread has waited since, and long. Time alone does not tell: on a busy machine a thread that could run
    /// is often made to stand aside.
    fn was_slow(&self) -> bool {
        self.at.elapsed() > SLOW && waits() > self.waits
    }
}

/// How often this thread has given up the processor to wait for something.
fn waits() -> i64 {
    getrusage(UsageWho::RUSAGE_THREAD).map_or(0, |usage| usage.voluntary_context_switches())
}

impl Pace {
    /// Notes how a call went, on the thread on which it began.
    pub(crate) fn note(&mut self, began: &Began) {
        self.note_slow(began.was_slow());
    }

    fn note_slow(&mut self, slow: bool) {
        self.wary = if slow { WARY_FOR } else { self.wary.saturating_sub(1) };
    }

    /// Whether the last ones were slow.
    pub(crate) fn is_slow(&self) -> bool {
        self.wary > 0
    }
}

#[cfg(test)]
mod tests {
    use super::{Began, Links, Pace, SLOW, WARY_FOR, is_at_hand, is_local, is_parent_at_hand};
    use crate::server::directory::WorkingDirectory;

    #[test]
    fn pseudo_file_systems_are_not_at_hand() {
        let directory = WorkingDirectory::at("/".as_ref()).expect("the root opens");
        assert!(!is_local(std::fs::File::open("/proc/self/status").expect("it opens")));
        for path in [&b"proc"[..], b"/proc/version", b"/proc/self/fd/0", b"/proc/nothing-here"] {
            assert!(!is_at_hand(&directory, path, Links::Follow), "{}", path.escape_ascii());
        }
    }

    #[test]
    fn a_file_just_used_is_at_hand() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let directory = WorkingDirectory::at(folder.path()).expect("it opens");
        if !is_local(std::fs::File::open(folder.path()).expect("it opens")) {
            // The temporary directory itself is on a network file system; then nothing here is at hand.
            assert!(!is_parent_at_hand(&directory, b"x"));
            return;
        }
        std::fs::write(folder.path().join("file"), b"").expect("write");
        std::os::unix::fs::symlink("/proc/version", folder.path().join("link")).expect("symlink");
        assert!(is_at_hand(&directory, b"file", Links::Follow));
        assert!(is_at_hand(&directory, b"link", Links::Stay));
        assert!(!is_at_hand(&directory, b"link", Links::Follow));
        assert!(is_parent_at_hand(&directory, b"new") && is_parent_at_hand(&directory, b"./new"));
    }

    #[test]
    fn one_slow_call_makes_wary_for_a_while() {
        let mut pace = Pace::default();
        pace.note(&Began::now());
        assert!(!pace.is_slow());
        pace.note_slow(true);
        for _ in 0..WARY_FOR {
            assert!(pace.is_slow());
            pace.note_slow(false);
        }
        assert!(!pace.is_slow());
    }

    #[test]
    fn a_long_wait_is_slow_and_a_long_calculation_is_not() {
        let mut pace = Pace::default();
        let waiting = Began::now();
        std::thread::sleep(2 * SLOW);
        pace.note(&waiting);
        assert!(pace.is_slow());

        let calculating = Began::now();
        let mut sum = 0_u64;
        while calculating.at.elapsed() < 2 * SLOW {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(!calculating.was_slow());
    }
}
