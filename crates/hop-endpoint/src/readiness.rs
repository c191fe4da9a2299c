//! Registration of a descriptor with the runtime of the current thread.

#![expect(unsafe_code, reason = "tokio's registration asks its caller for what OwnedFd already promises")]

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Registers a descriptor for readiness events. Must be called inside a runtime.
pub(crate) fn register(descriptor: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd stays open and names the same open file until it is dropped, and AsyncFd owns it;
    // its as_raw_fd is a field access.
    unsafe { AsyncFd::register_with_interest(descriptor, interest) }.map_err(io::Error::from)
}
