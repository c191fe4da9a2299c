//! Descriptors that this process was started with and knows nothing of: a shell's, a terminal multiplexer's. Nothing
//! that runs in a project may have them, and a daemon that kept them would keep whoever reads the other end waiting.
#![expect(unsafe_code, reason = "a descriptor known by its number only is borrowed for one call")]

use rustix::io::FdFlags;
use std::io;
use std::os::fd::BorrowedFd;

/// Marks everything above the standard streams as not to be inherited. What this program opens itself is marked
/// from the beginning.
///
/// # Errors
/// When the list of open descriptors cannot be read.
pub fn keep_to_ourselves() -> io::Result<()> {
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let number = entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok());
        let Some(number) = number.filter(|number| *number > 2) else { continue };
        // SAFETY: it was open when it was listed. If another thread closed it since, the call fails, or marks
        // one that was opened in its place, which is marked anyway; nothing is read, written or closed.
        let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
        match rustix::io::fcntl_setfd(descriptor, FdFlags::CLOEXEC) {
            Ok(()) | Err(rustix::io::Errno::BADF) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
