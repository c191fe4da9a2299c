//! A pseudo-terminal: allocated for a pty-req, given to one process, then its master side.
//!
//! [`Pty`] still holds the slave side, so that the master does not report an end before the process has
//! opened it; starting a process consumes it and leaves [`PtyMaster`].

use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;
use rustix::termios::{InputModes, OptionalActions, Winsize, tcgetattr, tcgetpgrp, tcsetattr, tcsetwinsize};

use crate::descriptor::Descriptor;
use crate::terminal_modes::TerminalModes;

/// Dimensions of a terminal as pty-req and window-change carry them (RFC 4254 sections 6.2, 6.7).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WindowSize {
    /// Characters in a line.
    pub columns: u32,
    /// Lines.
    pub rows: u32,
    /// Width in pixels, 0 if unknown.
    pub width: u32,
    /// Height in pixels, 0 if unknown.
    pub height: u32,
}

impl WindowSize {
    fn to_system(self) -> Winsize {
        let clamp = |value: u32| u16::try_from(value).unwrap_or(u16::MAX);
        Winsize {
            ws_col: clamp(self.columns),
            ws_row: clamp(self.rows),
            ws_xpixel: clamp(self.width),
            ws_ypixel: clamp(self.height),
        }
    }
}

/// No pseudo-terminal could be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot {step}: {source}")]
pub struct PtyError {
    step: &'static str,
    source: io::Error,
}

/// A pseudo-terminal that no process uses yet.
#[derive(Debug)]
pub struct Pty {
    master: PtyMaster,
    slave: OwnedFd,
}

/// The side of a pseudo-terminal that is not the process.
#[derive(Debug)]
pub struct PtyMaster {
    descriptor: Descriptor,
    device: CString,
}

impl Pty {
    /// Allocates a pseudo-terminal with the size and modes that the client asked for.
    pub fn open(size: WindowSize, modes: &TerminalModes) -> Result<Self, PtyError> {
        let failed = |step: &'static str| {
            move |error: rustix::io::Errno| PtyError { step, source: io::Error::from(error) }
        };
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = rustix::pty::openpt(flags).map_err(failed("open /dev/ptmx"))?;
        rustix::pty::grantpt(&master).map_err(failed("grant the terminal"))?;
        rustix::pty::unlockpt(&master).map_err(failed("unlock the terminal"))?;
        let device = rustix::pty::ptsname(&master, Vec::new()).map_err(failed("name the terminal"))?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = rustix::fs::open(&device, flags, Mode::empty()).map_err(failed("open the terminal"))?;
        let mut termios = tcgetattr(&slave).map_err(failed("read the terminal's modes"))?;
        modes.apply(&mut termios);
        tcsetattr(&slave, OptionalActions::Now, &termios).map_err(failed("set the terminal's modes"))?;
        tcsetwinsize(&slave, size.to_system()).map_err(failed("set the terminal's size"))?;
        let descriptor = Descriptor::pty_master(master)
            .map_err(|source| PtyError { step: "register the terminal", source })?;
        Ok(Self { master: PtyMaster { descriptor, device }, slave })
    }

    /// The master side, while no process runs yet.
    pub fn master(&self) -> &PtyMaster {
        &self.master
    }

    /// The side of the process, to be handed to one that runs already.
    pub fn slave(&self) -> BorrowedFd<'_> {
        self.slave.as_fd()
    }

    /// From now on bytes pass as they are, in both directions.
    pub fn make_raw(&self) -> io::Result<()> {
        let mut termios = tcgetattr(&self.slave)?;
        termios.make_raw();
        Ok(tcsetattr(&self.slave, OptionalActions::Now, &termios)?)
    }

    /// Gives up our hold on the slave side: from now on the master ends when the processes on it have.
    pub(crate) fn into_master(self) -> PtyMaster {
        drop(self.slave);
        self.master
    }
}

impl PtyMaster {
    /// Output of the terminal is read here and its input written; the end of file is that of the last
    /// process on it.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// For example `/dev/pts/3`.
    pub fn device(&self) -> &Path {
        Path::new(OsStr::from_bytes(self.device.as_bytes()))
    }

    pub(crate) fn device_name(&self) -> &CStr {
        &self.device
    }

    /// Changes the size; the kernel tells the foreground process by SIGWINCH.
    pub fn resize(&self, size: WindowSize) -> io::Result<()> {
        Ok(tcsetwinsize(self.descriptor.as_fd(), size.to_system())?)
    }

    /// A break (RFC 4335). A pty has no line on which the kernel could see one, so its effect is made here
    /// as termios(3) describes it: nothing with IGNBRK, SIGINT to the foreground with BRKINT, else a NUL.
    pub fn send_break(&self) -> io::Result<()> {
        let modes = tcgetattr(self.descriptor.as_fd())?.input_modes;
        if modes.contains(InputModes::IGNBRK) {
            return Ok(());
        }
        if modes.contains(InputModes::BRKINT) {
            let foreground = tcgetpgrp(self.descriptor.as_fd())?;
            return Ok(rustix::process::kill_process_group(foreground, rustix::process::Signal::INT)?);
        }
        // PARMRK would want a marked NUL, but the line discipline doubles a \377 that is written from here.
        rustix::io::write(&self.descriptor, b"\0")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rustix::termios::{LocalModes, tcgetwinsize};

    use super::*;

    fn size() -> WindowSize {
        WindowSize { columns: 132, rows: 43, width: 0, height: 100_000 }
    }

    #[tokio::test]
    async fn opens_with_size_and_modes() {
        let modes = TerminalModes::parse(b"\x35\0\0\0\0\x2a\0\0\0\x01\0");
        let pty = Pty::open(size(), &modes).unwrap();
        assert!(pty.master().device().exists());
        let size = tcgetwinsize(&pty.slave).unwrap();
        assert_eq!((size.ws_col, size.ws_row, size.ws_xpixel, size.ws_ypixel), (132, 43, 0, u16::MAX));
        let termios = tcgetattr(&pty.slave).unwrap();
        assert!(!termios.local_modes.contains(LocalModes::ECHO));
        assert!(termios.input_modes.contains(InputModes::IUTF8));
        pty.master().resize(WindowSize { columns: 80, ..WindowSize::default() }).unwrap();
        assert_eq!(tcgetwinsize(&pty.slave).unwrap().ws_col, 80);
    }

    #[tokio::test]
    async fn what_was_written_before_the_last_close_is_read_and_then_the_end() {
        let pty = Pty::open(size(), &TerminalModes::parse(b"\x46\0\0\0\0\0")).unwrap();
        rustix::io::write(&pty.slave, b"last words").unwrap();
        let master = pty.into_master();
        let mut buffer = [0; 64];
        let read = master.descriptor().read(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..read], b"last words");
        assert_eq!(master.descriptor().read(&mut buffer).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_break_is_what_the_modes_make_of_it() {
        // Raw: neither ICANON (51) nor ECHO (53).
        let pty = Pty::open(size(), &TerminalModes::parse(b"\x33\0\0\0\0\x35\0\0\0\0\0")).unwrap();
        pty.master().send_break().unwrap();
        let mut buffer = [0; 8];
        // The line discipline hands over in a worker; a blocking read waits for it.
        let read = rustix::io::read(&pty.slave, &mut buffer).unwrap();
        assert_eq!(&buffer[..read], b"\0");
    }
}
