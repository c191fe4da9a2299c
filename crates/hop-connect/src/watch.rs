//! Waiting for the kernel's own word: something appeared in a directory, a process ended.
#![expect(unsafe_code, reason = "tokio's registration asks its caller for what OwnedFd already promises")]

use std::io;
use std::os::fd::OwnedFd;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Has the runtime watch a descriptor. Must be called inside a runtime.
///
/// # Errors
/// When the system does not.
pub fn register(descriptor: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd stays open and names the same open file until it is dropped, and AsyncFd owns it; its
    // as_raw_fd is a field access.
    unsafe { AsyncFd::register_with_interest(descriptor, interest) }.map_err(io::Error::from)
}

#[cfg(target_os = "linux")]
pub use linux::{Appearance, ProcessEnd};
#[cfg(not(target_os = "linux"))]
pub use portable::{Appearance, ProcessEnd};

#[cfg(target_os = "linux")]
mod linux {
    use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    use std::io;
    use std::os::fd::OwnedFd;
    use std::path::Path;
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    /// Wakes when something appears in a directory.
    #[derive(Debug)]
    pub struct Appearance(AsyncFd<OwnedFd>);

    impl Appearance {
        /// Watches from now on. Must be called inside a runtime.
        ///
        /// # Errors
        /// When the directory is not there, or the user watches too much already.
        pub fn within(directory: &Path) -> io::Result<Self> {
            let watch = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
            inotify::add_watch(&watch, directory, WatchFlags::CREATE | WatchFlags::MOVED_TO)?;
            super::register(watch, Interest::READABLE).map(Self)
        }

        /// Waits until something has appeared since the last time. Cancel safe.
        ///
        /// # Errors
        /// When the runtime ends.
        pub async fn wait(&mut self) -> io::Result<()> {
            let mut ready = self.0.readable().await?;
            let mut events = [0; 4096];
            // What appeared does not matter: whoever waits looks for its own.
            while rustix::io::read(self.0.get_ref(), &mut events).is_ok_and(|count| count > 0) {}
            ready.clear_ready();
            Ok(())
        }
    }

    /// Wakes when a process that is not our child ends.
    #[derive(Debug)]
    pub struct ProcessEnd(AsyncFd<OwnedFd>);

    impl ProcessEnd {
        /// Watches a process. Must be called inside a runtime.
        ///
        /// # Errors
        /// When there is no such process.
        pub fn of(pid: u32) -> io::Result<Self> {
            let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
            super::register(pidfd_open(pid, PidfdFlags::NONBLOCK)?, Interest::READABLE).map(Self)
        }

        /// Waits for its end. Cancel safe.
        ///
        /// # Errors
        /// When the runtime ends.
        pub async fn wait(&self) -> io::Result<()> {
            self.0.readable().await.map(drop)
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod portable {
    use std::io;
    use std::path::Path;
    use std::time::Duration;

    /// Looks twenty times a second, while a login is in progress.
    #[derive(Debug)]
    pub struct Appearance;

    #[expect(missing_docs, reason = "as on Linux")]
    impl Appearance {
        pub fn within(_directory: &Path) -> io::Result<Self> {
            Ok(Self)
        }

        pub async fn wait(&mut self) -> io::Result<()> {
            tokio::time::sleep(Duration::from_millis(50)).await;
            Ok(())
        }
    }

    /// Asks once a second whether a process is there.
    #[derive(Debug)]
    pub struct ProcessEnd(rustix::process::Pid);

    #[expect(missing_docs, reason = "as on Linux")]
    impl ProcessEnd {
        pub fn of(pid: u32) -> io::Result<Self> {
            let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
            pid.map(Self).ok_or_else(|| io::ErrorKind::InvalidInput.into())
        }

        pub async fn wait(&self) -> io::Result<()> {
            while rustix::process::test_kill_process(self.0).is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_of_a_process_wakes() {
        let mut child =
            std::process::Command::new("/bin/cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let end = ProcessEnd::of(child.id()).unwrap();
        drop(child.stdin.take());
        end.wait().await.unwrap();
        child.wait().unwrap();
        assert!(ProcessEnd::of(child.id()).is_err());
    }

    #[tokio::test]
    async fn what_appears_wakes() {
        let scratch = tempfile::tempdir().unwrap();
        let mut appearance = Appearance::within(scratch.path()).unwrap();
        std::fs::write(scratch.path().join("x"), "").unwrap();
        appearance.wait().await.unwrap();
    }
}
