//! posix_spawn(3) with what a login needs: an own session, a controlling terminal, default signals.
//!
//! The unsafe code of this crate is here, in `readiness` and in `clock`. posix_spawn and not fork: it costs the same however much
//! memory the server uses (0.8 ms with exec; fork + exec was 0.9 ms at 4 MiB resident, 1.4 at 40, 3.8 at
//! 200), and it leaves no copy-on-write faults to the connections that share this process. std, nix and the
//! pty crates cannot say SETSID *and* a directory *and* "open the terminal in the child" without fork.

#![expect(
    unsafe_code,
    reason = "posix_spawn has no complete safe binding; every pointer here lives on this page"
)]

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::process::Pid;

/// What the child gets as its descriptors 0, 1 and 2.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stdio<'a> {
    /// Three descriptors of ours, usually ends of pipes.
    Descriptors { stdin: BorrowedFd<'a>, stdout: BorrowedFd<'a>, stderr: BorrowedFd<'a> },
    /// A terminal device, opened by the child as the leader of its new session, which makes it the
    /// controlling terminal on Linux without TIOCSCTTY.
    Terminal(&'a CStr),
}

/// Starts `program` as the leader of a new session and process group, in `directory`, with all signals at
/// their default and none blocked. Returns when the child has called exec or failed to.
pub(crate) fn spawn(
    program: &CStr,
    arguments: &[CString],
    environment: &[CString],
    directory: &CStr,
    stdio: Stdio<'_>,
) -> io::Result<Pid> {
    seal_descriptors();
    let mut actions = FileActions::new()?;
    actions.change_directory(directory)?;
    match stdio {
        Stdio::Descriptors { stdin, stdout, stderr } => {
            // std keeps 0 to 2 occupied from the start, so that none of these is overwritten before its turn.
            actions.duplicate(stdin.as_raw_fd(), 0)?;
            actions.duplicate(stdout.as_raw_fd(), 1)?;
            actions.duplicate(stderr.as_raw_fd(), 2)?;
        }
        Stdio::Terminal(device) => {
            actions.open_read_write(0, device)?;
            actions.duplicate(0, 1)?;
            actions.duplicate(0, 2)?;
        }
    }
    let attributes = Attributes::new_session()?;
    let arguments = null_terminated(arguments);
    let environment = null_terminated(environment);
    let mut pid: libc::pid_t = 0;
    // SAFETY: all pointers are to live, initialised objects; both arrays end with a null pointer and their
    // strings outlive the call, which does not keep them.
    check(unsafe {
        libc::posix_spawn(
            &raw mut pid,
            program.as_ptr(),
            &raw const actions.0,
            &raw const attributes.0,
            arguments.as_ptr(),
            environment.as_ptr(),
        )
    })?;
    Pid::from_raw(pid).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

/// Marks everything above stderr as close-on-exec: whatever started us (a shell, systemd, a gateway that
/// passed a listener) may have left descriptors without that mark, and no session may see them. What this
/// program opens itself is marked from birth; the call costs less than a microsecond.
fn seal_descriptors() {
    const FIRST: libc::c_uint = 3;
    // SAFETY: changes flags of descriptors only, closes nothing, takes no pointers. Fails harmlessly with
    // ENOSYS before Linux 5.11.
    unsafe { libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
}

/// posix_spawn functions return the error number instead of setting errno.
fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(result)) }
}

fn null_terminated(strings: &[CString]) -> Vec<*mut libc::c_char> {
    strings.iter().map(|string| string.as_ptr().cast_mut()).chain([std::ptr::null_mut()]).collect()
}

struct FileActions(libc::posix_spawn_file_actions_t);

impl FileActions {
    fn new() -> io::Result<Self> {
        // SAFETY: the C type is plain data for which zero bytes are a value; init then sets it up.
        let mut actions = unsafe { std::mem::zeroed() };
        // SAFETY: a valid, exclusive pointer.
        check(unsafe { libc::posix_spawn_file_actions_init(&raw mut actions) })?;
        Ok(Self(actions))
    }

    fn change_directory(&mut self, directory: &CStr) -> io::Result<()> {
        // SAFETY: initialised by `new`; the path is copied.
        check(unsafe { libc::posix_spawn_file_actions_addchdir_np(&raw mut self.0, directory.as_ptr()) })
    }

    fn duplicate(&mut self, from: libc::c_int, to: libc::c_int) -> io::Result<()> {
        // SAFETY: initialised by `new`; descriptors are plain numbers, used in the child.
        check(unsafe { libc::posix_spawn_file_actions_adddup2(&raw mut self.0, from, to) })
    }

    fn open_read_write(&mut self, at: libc::c_int, path: &CStr) -> io::Result<()> {
        // SAFETY: initialised by `new`; the path is copied.
        check(unsafe {
            libc::posix_spawn_file_actions_addopen(&raw mut self.0, at, path.as_ptr(), libc::O_RDWR, 0)
        })
    }
}

impl Drop for FileActions {
    fn drop(&mut self) {
        // SAFETY: initialised by `new`, destroyed once.
        unsafe { libc::posix_spawn_file_actions_destroy(&raw mut self.0) };
    }
}

struct Attributes(libc::posix_spawnattr_t);

impl Attributes {
    fn new_session() -> io::Result<Self> {
        const FLAGS: libc::c_int = libc::POSIX_SPAWN_SETSID as libc::c_int
            | libc::POSIX_SPAWN_SETSIGDEF as libc::c_int
            | libc::POSIX_SPAWN_SETSIGMASK as libc::c_int;
        // SAFETY: plain data; init, sigfillset and sigemptyset get valid, exclusive pointers.
        unsafe {
            let mut attributes = std::mem::zeroed();
            check(libc::posix_spawnattr_init(&raw mut attributes))?;
            let mut made = Self(attributes);
            let mut signals: libc::sigset_t = std::mem::zeroed();
            libc::sigfillset(&raw mut signals);
            check(libc::posix_spawnattr_setsigdefault(&raw mut made.0, &raw const signals))?;
            libc::sigemptyset(&raw mut signals);
            check(libc::posix_spawnattr_setsigmask(&raw mut made.0, &raw const signals))?;
            check(libc::posix_spawnattr_setflags(&raw mut made.0, FLAGS as libc::c_short))?;
            Ok(made)
        }
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: initialised by `new_session`, destroyed once.
        unsafe { libc::posix_spawnattr_destroy(&raw mut self.0) };
    }
}
