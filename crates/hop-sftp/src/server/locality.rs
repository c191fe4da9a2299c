//! Which file calls can be made without leaving the task that serves the connection.
//!
//! A call is made at once only when it can be expected to return from memory: the path resolves in the kernel's
//! cache and lies on a local file system. A network mount that hangs is thus never touched here; even asking
//! it for its type (statfs) could hang, so the mount is told by its number, which the kernel keeps. What looks
//! local may still be slow (a cold disk, a full write-back queue); [`Pace`] notices that afterwards.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, StatxFlags};
use rustix::io::Errno;

use super::directory::WorkingDirectory;

/// Types of file systems whose calls are answered by this machine. Everything else, FUSE and the network ones first of
/// all, is taken for slow.
const LOCAL: [&[u8]; 15] = [
    b"ext2",
    b"ext3",
    b"ext4",
    b"xfs",
    b"btrfs",
    b"f2fs",
    b"zfs",
    b"bcachefs",
    b"tmpfs",
    b"devtmpfs",
    b"ramfs",
    // The root of most containers.
    b"overlay",
    b"squashfs",
    b"erofs",
    b"vfat",
];

/// The kernel's table of the mounts that this process sees.
const TABLE: &str = "/proc/self/mountinfo";

/// Mounts remembered before all are forgotten and learnt again.
const KEPT: usize = 1024;

/// Which mounts are local, as far as known.
#[derive(Default)]
pub(crate) struct Mounts {
    /// By number and device: a number alone is given again after an unmount.
    known: HashMap<Mount, bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Mount {
    number: u64,
    device: (u32, u32),
}

/// Whether a symbolic link at the end of a path is followed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    Follow,
    Stay,
}

impl Mounts {
    /// Whether an open file or directory lies on a local file system.
    pub(crate) fn is_local(&mut self, file: impl AsFd) -> bool {
        let Some(mount) = mount_of(file) else { return false };
        if let Some(local) = self.known.get(&mount) {
            return *local;
        }
        if self.known.len() >= KEPT {
            self.known.clear();
        }
        let table = std::fs::read(TABLE).unwrap_or_default();
        let local = type_of(mount.number, &table).is_some_and(|kind| LOCAL.contains(&kind));
        self.known.insert(mount, local);
        local
    }

    /// Whether what the path names is in the cache and local. One that is known not to exist goes by its parent.
    pub(crate) fn is_at_hand(&mut self, directory: &WorkingDirectory, path: &[u8], links: Links) -> bool {
        match self.look_up(directory, path, links) {
            Some(local) => local,
            None => self.is_parent_at_hand(directory, path),
        }
    }

    /// Whether the directory that holds the path's last component is in the cache and local.
    pub(crate) fn is_parent_at_hand(&mut self, directory: &WorkingDirectory, path: &[u8]) -> bool {
        let parent = match path.iter().rposition(|byte| *byte == b'/') {
            Some(0) => b"/",
            Some(slash) => path.get(..slash).unwrap_or_default(),
            None => b".",
        };
        self.look_up(directory, parent, Links::Follow).unwrap_or(true)
    }

    /// Looks a path up in the kernel's cache alone (RESOLVE_CACHED, Linux 5.12). `None`: nothing is there, and that too
    /// is known without waiting.
    fn look_up(&mut self, directory: &WorkingDirectory, path: &[u8], links: Links) -> Option<bool> {
        let mut flags = OFlags::PATH | OFlags::CLOEXEC;
        if links == Links::Stay {
            flags |= OFlags::NOFOLLOW;
        }
        match rustix::fs::openat2(directory, path, flags, Mode::empty(), ResolveFlags::CACHED) {
            Ok(file) => Some(self.is_local(file)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::ACCESS | Errno::NAMETOOLONG) => None,
            // Not in the cache; or a kernel that does not know the question ("invalid" before 5.12).
            Err(_) => Some(false),
        }
    }
}

/// The mount a file is on, without asking the file system's server for anything.
fn mount_of(file: impl AsFd) -> Option<Mount> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let stat = rustix::fs::statx(file, c"", flags, StatxFlags::MNT_ID).ok()?;
    let answered = stat.stx_mask & StatxFlags::MNT_ID.bits() != 0;
    answered.then_some(Mount { number: stat.stx_mnt_id, device: (stat.stx_dev_major, stat.stx_dev_minor) })
}

/// The type of a mount in the table: `NUMBER … - TYPE SOURCE OPTIONS` (proc_pid_mountinfo(5)).
fn type_of(number: u64, table: &[u8]) -> Option<&[u8]> {
    let number = number.to_string();
    let line = table
        .split(|byte| *byte == b'\n')
        .find(|line| line.split(|byte| *byte == b' ').next() == Some(number.as_bytes()))?;
    // The number of fields before the dash varies; blanks in paths are written as \040.
    let mut fields = line.split(|byte| *byte == b' ').skip_while(|field| field != b"-");
    fields.nth(1)
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
    use super::{Began, Links, Mounts, Pace, SLOW, WARY_FOR, type_of};
    use crate::server::directory::WorkingDirectory;

    #[test]
    fn types_are_found_in_the_table() {
        let table = b"22 27 0:21 / /proc rw,relatime - proc proc rw\n\
            127 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw\n\
            27 1 0:50 / /mnt/a\\040-\\040b rw - nfs4 server:/export rw,vers=4.2\n\
            30 1 0:51 / /mnt/c rw unbindable - fuse.sshfs x:/y rw\n\
            31 1 0:52 / /cut";
        for (number, expected) in [
            (22, Some(&b"proc"[..])),
            (127, Some(b"ext4")),
            (27, Some(b"nfs4")),
            (30, Some(b"fuse.sshfs")),
            (31, None),
            (2, None),
            (7, None),
        ] {
            assert_eq!(type_of(number, table), expected, "{number}");
        }
    }

    #[test]
    fn pseudo_file_systems_are_not_at_hand() {
        let directory = WorkingDirectory::at("/".as_ref()).expect("the root opens");
        let mut mounts = Mounts::default();
        assert!(!mounts.is_local(std::fs::File::open("/proc/self/status").expect("it opens")));
        for path in [&b"proc"[..], b"/proc/version", b"/proc/self/fd/0", b"/proc/nothing-here"] {
            assert!(!mounts.is_at_hand(&directory, path, Links::Follow), "{}", path.escape_ascii());
        }
    }

    #[test]
    fn a_file_just_used_is_at_hand() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let directory = WorkingDirectory::at(folder.path()).expect("it opens");
        let mut mounts = Mounts::default();
        assert!(
            mounts.is_local(std::fs::File::open(folder.path()).expect("it opens")),
            "{} is not on a local file system; set TMPDIR",
            folder.path().display()
        );
        std::fs::write(folder.path().join("file"), b"").expect("write");
        std::os::unix::fs::symlink("/proc/version", folder.path().join("link")).expect("symlink");
        assert!(mounts.is_at_hand(&directory, b"file", Links::Follow));
        assert!(mounts.is_at_hand(&directory, b"link", Links::Stay));
        assert!(!mounts.is_at_hand(&directory, b"link", Links::Follow));
        assert!(
            mounts.is_parent_at_hand(&directory, b"new") && mounts.is_parent_at_hand(&directory, b"./new")
        );
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
