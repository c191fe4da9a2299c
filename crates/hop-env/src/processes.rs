//! The processes of an environment, as the kernel lists them: by parent.

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// More than this are not looked at; the rest goes with its sandbox.
const MOST: usize = 4096;
/// How long one that was killed may take to be gone.
const STRAY_PATIENCE: Duration = Duration::from_secs(5);

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

/// Kills what runs as a project's user in other process namespaces than ours: what a keeper left that was killed
/// before the sandbox knew whose child it is. For uids that are nobody else's. Blocks.
pub(crate) fn end_strays(uid: u32) {
    let own = namespace("self");
    let Ok(listed) = std::fs::read_dir("/proc") else { return };
    let numbers = listed.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    for number in numbers.filter(|number| runs_as(*number, uid)) {
        // Opened first, then looked at, so that it is this one that ends.
        let Some(process) = Process::open(number) else { continue };
        let elsewhere = namespace(&number.to_string()).is_some_and(|namespace| Some(namespace) != own);
        if elsewhere && runs_as(number, uid) {
            tracing::warn!(uid, process = number, "it was left by a keeper before this one, and is ended");
            let _gone_already = rustix::process::pidfd_send_signal(&process.0, Signal::KILL);
            process.gone_before(Instant::now() + STRAY_PATIENCE);
        }
    }
}

fn namespace(process: &str) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{process}/ns/pid")).ok()
}

/// Whether its real user is this one.
fn runs_as(process: u32, uid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let uids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    uids.and_then(|uids| uids.split_ascii_whitespace().next()).is_some_and(|real| real == uid.to_string())
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
