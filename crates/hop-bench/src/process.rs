//! Programs run to their end, the processor time of those that were waited for, and the tree below a process.

use std::process::{Command, Output, Stdio};

use nix::errno::Errno;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::wait::wait;

use crate::error::Error;

/// Runs a program to its end, its output kept for a failure's message.
pub(crate) fn run(program: &str, prepare: impl FnOnce(&mut Command)) -> Result<(), Error> {
    output(program, prepare).map(drop)
}

/// The same; its standard output.
pub(crate) fn output(program: &str, prepare: impl FnOnce(&mut Command)) -> Result<String, Error> {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    prepare(&mut command);
    finish(&mut command)
}

/// Runs a prepared command to its end; its standard output, if it is piped.
pub(crate) fn finish(command: &mut Command) -> Result<String, Error> {
    let Output { status, stdout, stderr } = command.output().map_err(|source| Error::Start {
        program: command.get_program().to_string_lossy().into_owned(),
        source,
    })?;
    if status.success() {
        return Ok(String::from_utf8_lossy(&stdout).into_owned());
    }
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    let said = [stdout, stderr].concat();
    Err(Error::Failed { line: line.join(" "), status, output: String::from_utf8_lossy(&said).into_owned() })
}

/// Processor time, user and system, in seconds, of all children that were waited for so far, and of theirs. The
/// difference around one wait is what that child cost.
pub(crate) fn children_cpu() -> Result<f64, Error> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)
        .map_err(|errno| Error::System { what: "reading processor times", source: errno.into() })?;
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
}

/// Processor time, user and system, in seconds, that one running process has used so far.
pub(crate) fn clock(process: u32) -> Result<f64, Error> {
    let cannot = |errno: Errno| Error::System { what: "reading a process's clock", source: errno.into() };
    let process = i32::try_from(process).map_err(|_| Error::Unexpected("a process id out of range"))?;
    let clock = nix::time::clock_getcpuclockid(nix::unistd::Pid::from_raw(process)).map_err(cannot)?;
    let time = clock.now().map_err(cannot)?;
    Ok(time.tv_sec() as f64 + time.tv_nsec() as f64 / 1e9)
}

/// Processor time of a tree below a process so far, in seconds, with the children that each has waited for; those in ticks
/// of some 10 ms.
pub(crate) fn clock_below(root: u32) -> Result<f64, Error> {
    let ticks = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok().flatten();
    let ticks = ticks.ok_or(Error::Unexpected("no length of a tick"))? as f64;
    let mut sum = 0.0;
    for process in descendants(root)? {
        // A process may end between the listing and this; then its time is its parent's.
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{process}/stat")) else { continue };
        sum += clock(process).unwrap_or_default() + waited_for(&stat).unwrap_or_default() as f64 / ticks;
    }
    Ok(sum)
}

/// Sends a process a signal.
pub(crate) fn signal(process: u32, signal: rustix::process::Signal) -> Result<(), Error> {
    let Some(pid) = i32::try_from(process).ok().and_then(rustix::process::Pid::from_raw) else {
        return Ok(());
    };
    rustix::process::kill_process(pid, signal)
        .map_err(|errno| Error::system("stopping a program")(errno.into()))
}

/// Makes orphans below us our children: the part of an sshd that works for the user outlives its parent by a moment, and
/// its time would be lost to init.
pub(crate) fn adopt_orphans() -> Result<(), Error> {
    nix::sys::prctl::set_child_subreaper(true)
        .map_err(|errno| Error::System { what: "becoming the parent of orphans", source: errno.into() })
}

/// Waits for all children that are left, adopted ones mostly.
pub(crate) fn collect_orphans() -> Result<(), Error> {
    loop {
        match wait() {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(Errno::ECHILD) => return Ok(()),
            Err(errno) => return Err(Error::System { what: "waiting for orphans", source: errno.into() }),
        }
    }
}

/// Every process below this one, itself not included.
pub(crate) fn descendants(root: u32) -> Result<Vec<u32>, Error> {
    let mut parents = Vec::new();
    let list = std::fs::read_dir("/proc").map_err(Error::system("listing processes"))?;
    for entry in list.flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // A process may end between the listing and this.
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        if let Some(parent) = parent(&stat) {
            parents.push((id, parent));
        }
    }
    let mut found = vec![root];
    let mut next = 0;
    while let Some(&above) = found.get(next) {
        found.extend(parents.iter().filter(|(_, parent)| *parent == above).map(|(id, _)| *id));
        next += 1;
    }
    found.remove(0);
    Ok(found)
}

/// The parent in a line of /proc/PID/stat: the second field after the name, which may hold anything.
fn parent(stat: &str) -> Option<u32> {
    let (_, after) = stat.rsplit_once(')')?;
    after.split_whitespace().nth(1)?.parse().ok()
}

/// The ticks of the children that were waited for in such a line, user and system: the 14th field after the name and the
/// next (proc(5): cutime and cstime).
fn waited_for(stat: &str) -> Option<u64> {
    let (_, after) = stat.rsplit_once(')')?;
    let mut fields = after.split_whitespace().skip(13);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

/// Proportional set size of a process in bytes: shared pages count by their share.
pub(crate) fn proportional_set(process: u32) -> Result<u64, Error> {
    let path = std::path::PathBuf::from(format!("/proc/{process}/smaps_rollup"));
    let text = std::fs::read_to_string(&path).map_err(Error::file(&path))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.map(|kib| kib * 1024).ok_or(Error::Unexpected("smaps_rollup has no Pss"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_is_found_behind_any_name() {
        assert_eq!(parent("12 (a) b) S 7 12 12 0"), Some(7));
        assert_eq!(parent("12 (sh) S"), None);
        assert_eq!(waited_for("12 (a) b) S 7 12 12 0 -1 4 1 2 3 4 50 60 700 8000 20 0"), Some(8700));
        assert_eq!(waited_for("12 (sh) S 7"), None);
    }

    #[test]
    fn children_are_found_and_their_time_is_counted() {
        let before = children_cpu().unwrap();
        let mut child = Command::new("sh")
            .args(["-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; read x"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        assert!(descendants(std::process::id()).unwrap().contains(&child.id()));
        assert!(proportional_set(std::process::id()).unwrap() > 0);
        // It is still in its loop, or waits for its input.
        while clock_below(std::process::id()).unwrap() == 0.0 {
            std::thread::yield_now();
        }
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(children_cpu().unwrap() > before);
        assert!(clock(std::process::id()).unwrap() > 0.0);
    }

    #[test]
    fn a_failure_has_the_program_and_its_words() {
        let error = output("sh", |command| {
            command.args(["-c", "echo why >&2; exit 3"]);
        })
        .unwrap_err();
        assert!(error.to_string().contains("why"), "{error}");
    }
}
