//! The `ssh` that runs one of our programs from its configuration, found among this process's ancestors.
//!
//! Must stay true: only facts of the kernel count (/proc), and what cannot be read is "not found".

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// `Match exec` and ProxyCommand run a shell, which may run another.
const FARTHEST: usize = 4;
/// The longest command line that is read.
const LONGEST: usize = 1024 * 1024;

/// The ssh that asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    /// Its process id.
    pub pid: u32,
    /// Its words, without the program's name.
    pub words: Vec<String>,
    /// The program that started it (`scp`, `rsync`, `git`, a shell), for people.
    pub started_by: String,
}

impl Parent {
    /// Looks for the nearest ancestor of a process that is one of these programs.
    #[must_use]
    pub fn find(of: u32, programs: &[&str]) -> Option<Self> {
        let mut pid = of;
        for _ in 0..FARTHEST {
            pid = parent_of(pid)?;
            let name = program_of(pid)?;
            if programs.iter().any(|program| OsStr::new(program) == OsStr::new(&name)) {
                let words = command_line(pid)?.split_off(1);
                let started_by = parent_of(pid).and_then(program_of).unwrap_or_default();
                return Some(Self { pid, words, started_by });
            }
        }
        None
    }
}

/// Whether a process is an ancestor of another, or the same.
#[must_use]
pub fn is_ancestor(ancestor: u32, of: u32) -> bool {
    let mut pid = of;
    for _ in 0..64 {
        if pid == ancestor {
            return true;
        }
        match parent_of(pid) {
            Some(parent) if parent > 1 => pid = parent,
            _ => return false,
        }
    }
    false
}

/// Whether a process asks for an ssh itself: it is its child, and what it prints goes to it and to nobody else. Other
/// children of an ssh (a ProxyCommand, a jump host's ssh) ask for themselves.
#[must_use]
pub fn is_question_of(ssh: u32, pid: u32) -> bool {
    let Ok(output) = std::fs::read_link(format!("/proc/{pid}/fd/1")) else { return false };
    let is_pipe = output.as_os_str().as_bytes().starts_with(b"pipe:");
    let reads = |entry: std::fs::DirEntry| std::fs::read_link(entry.path()).is_ok_and(|to| to == output);
    let Ok(held) = std::fs::read_dir(format!("/proc/{ssh}/fd")) else { return false };
    is_pipe && parent_of(pid) == Some(ssh) && held.flatten().any(reads)
}

/// The parent's process id, from the fourth field of `/proc/PID/stat`.
fn parent_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses, and may have anything in it.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// The file name of the program that a process runs.
fn program_of(pid: u32) -> Option<String> {
    let path = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let name = Path::new(&path).file_name()?.as_bytes();
    // A program that was upgraded while it ran.
    let name = name.strip_suffix(b" (deleted)").unwrap_or(name);
    Some(String::from_utf8_lossy(name).into_owned())
}

fn command_line(pid: u32) -> Option<Vec<String>> {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    if bytes.len() > LONGEST {
        return None;
    }
    let bytes = bytes.strip_suffix(b"\0")?;
    let words: Result<Vec<_>, _> =
        bytes.split(|b| *b == 0).map(|word| String::from_utf8(word.to_vec())).collect();
    words.ok().filter(|words| !words.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_prints_elsewhere_asks_for_itself() {
        use std::process::{Command, Stdio};
        let own = std::process::id();
        for (output, is_its_own) in [(Stdio::piped(), true), (Stdio::null(), false)] {
            let mut command = Command::new("/bin/cat");
            let mut child = command.stdin(Stdio::piped()).stdout(output).spawn().unwrap();
            assert_eq!(is_question_of(own, child.id()), is_its_own);
            drop(child.stdin.take());
            child.wait().unwrap();
        }
        let mut shell = Command::new("/bin/sh");
        let shell = shell.args(["-c", "cat & echo $!; wait"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = shell.spawn().unwrap();
        let mut line = String::new();
        use std::io::{BufRead, BufReader};
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(!is_question_of(own, line.trim().parse().unwrap()), "it is a grandchild");
        shell.wait().unwrap();
    }

    #[test]
    fn this_test_is_found_from_its_child() {
        let own = std::process::id();
        let mut child = std::process::Command::new("/bin/sh")
            .args(["-c", "read line; :"])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let name = program_of(own).unwrap();
        let found = Parent::find(child.id(), &[&name]).unwrap();
        assert_eq!(found.pid, own);
        assert_eq!(found.words, std::env::args().skip(1).collect::<Vec<_>>());
        assert!(is_ancestor(own, child.id()));
        assert!(!is_ancestor(child.id(), own));
        assert_eq!(Parent::find(child.id(), &["no-such-program"]), None);
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}
