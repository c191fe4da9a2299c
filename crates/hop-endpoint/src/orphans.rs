//! Orphans: as the first process of a container we inherit every process whose parent has ended, and must collect
//! it, or the container fills with zombies.
//!
//! What must stay true: a process that a session waits for is never collected here. So starting one and noting
//! it is one step under the lock under which orphans are looked for.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use tokio::signal::unix::{SignalKind, signal};

/// Processes that sessions wait for. One set for the process, as its children are.
static AWAITED: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

fn awaited() -> MutexGuard<'static, BTreeSet<i32>> {
    AWAITED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a process that its caller will wait for; [`forget`] must follow when it has.
pub(crate) fn start_awaited(start: impl FnOnce() -> io::Result<Pid>) -> io::Result<Pid> {
    let mut awaited = awaited();
    let pid = start()?;
    awaited.insert(pid.as_raw_nonzero().get());
    Ok(pid)
}

/// The process has been collected.
pub(crate) fn forget(pid: Pid) {
    awaited().remove(&pid.as_raw_nonzero().get());
}

/// Collects orphans for ever, if they come to this process; else returns at once.
pub(crate) async fn collect() {
    if rustix::process::getpid().as_raw_nonzero().get() == 1 {
        collect_on_signals().await;
    }
}

async fn collect_on_signals() {
    let mut ended = match signal(SignalKind::child()) {
        Ok(ended) => ended,
        Err(error) => return tracing::warn!(%error, "orphans of sessions will stay zombies"),
    };
    loop {
        collect_from(&children());
        if ended.recv().await.is_none() {
            return;
        }
    }
}

fn collect_from(children: &[i32]) {
    let awaited = awaited();
    for pid in children {
        if !awaited.contains(pid)
            && let Some(pid) = Pid::from_raw(*pid)
        {
            // Still running, most of the time.
            let _running = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
        }
    }
}

/// The children of all our threads. Empty where the kernel does not list them.
fn children() -> Vec<i32> {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else { return Vec::new() };
    let lists = threads.flatten().filter_map(|thread| {
        // A thread may end while we look.
        std::fs::read_to_string(thread.path().join("children")).ok()
    });
    lists.flat_map(|list| list.split_whitespace().flat_map(str::parse).collect::<Vec<i32>>()).collect()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn orphans_are_collected_and_awaited_children_are_not() {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
        let mut ours = Command::new("true").spawn().unwrap();
        start_awaited(|| Ok(Pid::from_child(&ours))).unwrap();
        // The shell ends, its child is left to us and ends when its input does.
        let mut parent = Command::new("sh");
        parent.args(["-c", "exec 3<&0; { read l <&3; } >/dev/null & echo $!"]);
        let mut parent = parent.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        start_awaited(|| Ok(Pid::from_child(&parent))).unwrap();
        let input = parent.stdin.take();
        let output = parent.wait_with_output().unwrap();
        let orphan: i32 = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
        assert!(children().contains(&orphan));
        drop(input);
        // Only these: the test's process may have other children, of other tests.
        while children().contains(&orphan) {
            collect_from(&[orphan, ours.id().cast_signed()]);
        }
        assert!(ours.wait().unwrap().success(), "its status is still there");
    }
}
