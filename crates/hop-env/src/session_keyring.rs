//! The kernel's keys (keyrings(7)): a session keyring is inherited by every process, across users and namespaces, and
//! whoever has it may read what is in it: Kerberos tickets, keys of encrypted disks.
#![expect(unsafe_code, reason = "no safe crate of ours knows keyctl(2)")]

use std::io;

const KEYCTL_JOIN_SESSION_KEYRING: libc::c_long = 1;

/// Gives the calling thread, and what it starts from now on, a new session keyring with nothing in it.
pub(crate) fn join_new() -> io::Result<()> {
    // SAFETY: the call takes a name or, as here, none; it touches no memory of ours.
    let joined = unsafe {
        libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, std::ptr::null::<libc::c_char>())
    };
    if joined >= 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        // A kernel without keys has none to give away.
        Some(libc::ENOSYS) => Ok(()),
        Some(libc::EDQUOT) => {
            let words = "no session keyring of its own: too many keys\nhint: sysctl kernel.keys.maxkeys";
            Err(io::Error::new(io::ErrorKind::QuotaExceeded, words))
        }
        Some(_) | None => Err(error),
    }
}
