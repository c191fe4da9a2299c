//! The processes of an environment, as the kernel lists them: by parent.

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// More than this are not looked at; the rest goes with its sandbox.
const MOST: usize = 4096;

/// A process that stays the same one even when its number is used again.
#[derive(Debug)]
pub(crate) struct Process(OwnedFd);

impl Process {
    pub(crate) fn open(pid: u32) -> Option<Self> {
        let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
        rustix::process::pidfd_open(pid, PidfdFlags::NONBLOCK).ok().map(Self)
    }

    /// Sends it the signal that asks it to end. It may have ended already.
    pub(crate) fn ask_to_end(&self) {
        let _gone_already = rustix::process::pidfd_send_signal(&self.0, Signal::TERM);
    }

    fn gone_before(&self, deadline: Instant) -> bool {
        let left = Timespec::try_from(deadline.saturating_duration_since(Instant::now())).ok();
        let mut watched = [PollFd::new(&self.0, PollFlags::IN)];
        matches!(rustix::event::poll(&mut watched, left.as_ref()), Ok(1))
    }
}

/// Whether all of them ended, waiting so long for it. The first process of a sandbox has ended when everything in that
/// has. Blocks.
pub(crate) fn gone_within(processes: &[Process], patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    processes.iter().all(|process| process.gone_before(deadline))
}

/// All processes below this one, parents before children.
pub(crate) fn below(root: u32) -> Vec<Process> {
    let mut numbers = vec![root];
    let mut found = Vec::new();
    let mut next = 0;
    while let Some(parent) = numbers.get(next).copied() {
        next += 1;
        for child in children(parent) {
            if found.len() >= MOST {
                return found;
            }
            // Opened first, then confirmed to be the one that was listed.
            if let Some(process) = Process::open(child)
                && children(parent).contains(&child)
            {
                numbers.push(child);
                found.push(process);
            }
        }
    }
    found
}

fn children(parent: u32) -> Vec<u32> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{parent}/task")) else { return Vec::new() };
    let mut found = Vec::new();
    for thread in threads.flatten() {
        let listed = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        found.extend(listed.split_ascii_whitespace().filter_map(|number| number.parse::<u32>().ok()));
    }
    found
}
