//! What every peer is asked to do, and what must come of it.

use std::path::PathBuf;

use hop_e2e::payload::{self, LARGE};
use hop_e2e::program::{program, scripts_folder};
use hop_e2e::{Finished, Run, Scratch};

/// Writes on both streams and ends with a status that nothing else gives.
pub(crate) const EXEC: &str = "printf 'to stdout'; printf 'to stderr' >&2; exit 7";

/// Says what the terminal is, waits for Enter, says its size again.
pub(crate) const TERMINAL: &str = "tty; echo type=$TERM; stty size; echo ready; read line; stty size; exit 5";

/// The exec test for a program that passes streams and status on as ssh does.
pub(crate) fn assert_exec(finished: &Finished) {
    assert_eq!(finished.status, Some(7), "{finished}");
    assert_eq!(finished.stdout(), "to stdout", "{finished}");
    assert!(finished.stderr().ends_with("to stderr"), "{finished}");
}

/// What [`TERMINAL`] must have printed.
pub(crate) struct Terminal {
    /// The terminal type.
    pub(crate) kind: &'static str,
    /// Rows and columns at first, as `stty size` prints them.
    pub(crate) before: &'static str,
    /// Rows and columns at the end.
    pub(crate) after: &'static str,
}

impl Default for Terminal {
    fn default() -> Self {
        Self { kind: "vt220", before: "43 132", after: "30 100" }
    }
}

impl Terminal {
    /// Judges what the remote side saw.
    pub(crate) fn assert_in(&self, output: &str) {
        let Self { kind, before, after } = self;
        assert!(output.contains("/dev/pts/"), "no terminal: {output}");
        // A terminal ends lines with CR LF.
        assert!(output.contains(&format!("type={kind}\r\n")), "wrong terminal type: {output}");
        let (first, last) = output.split_once("ready").expect("ready is printed");
        assert!(first.contains(&format!("{before}\r\n")), "wrong size: {output}");
        assert!(last.contains(&format!("{after}\r\n")), "the new size did not arrive: {output}");
    }
}

/// An expect run of `terminal.exp`; the client's command line follows.
pub(crate) fn terminal() -> Run {
    Run::new(program("expect")).arg("-f").arg(scripts_folder().join("terminal.exp"))
}

/// A 64 MiB file and the place where its copy will be.
pub(crate) struct Large {
    /// Holds the files.
    pub(crate) scratch: Scratch,
    /// Exists.
    pub(crate) original: PathBuf,
    /// Does not exist yet.
    pub(crate) copy: PathBuf,
}

impl Large {
    /// Makes the file.
    pub(crate) fn new() -> Self {
        let scratch = Scratch::new();
        let (original, copy) = (scratch.join("original"), scratch.join("copy"));
        payload::write(&original, LARGE, 1);
        Self { scratch, original, copy }
    }

    /// A command for the far side that takes the file on standard input.
    pub(crate) fn sink(&self) -> String {
        format!("cat > {}", self.copy.display())
    }

    /// A command for the far side that gives the file on standard output.
    pub(crate) fn source(&self) -> String {
        format!("cat {}", self.original.display())
    }

    /// The address of the copy, as scp and its like write it.
    pub(crate) fn remote_copy(&self) -> String {
        format!("hop:{}", self.copy.display())
    }

    /// The address of the original, as scp and its like write it.
    pub(crate) fn remote_original(&self) -> String {
        format!("hop:{}", self.original.display())
    }

    /// Compares.
    pub(crate) fn assert_copied(&self) {
        payload::assert_same(&self.original, &self.copy);
    }
}

/// A file of some megabytes, a remote folder to work in, and a place for what comes back.
pub(crate) struct SmallTree {
    /// The local file.
    pub(crate) local: PathBuf,
    /// An empty folder on the far side, with one file named `resident`.
    pub(crate) folder: PathBuf,
    /// Where the file comes back to.
    pub(crate) back: PathBuf,
    /// Holds the files until the test is over.
    _scratch: Scratch,
}

/// Not a multiple of any block size.
pub(crate) const SMALL: u64 = 3_000_001;

impl SmallTree {
    /// Makes them.
    pub(crate) fn new() -> Self {
        let scratch = Scratch::new();
        let folder = scratch.folder("remote");
        let (local, back) = (scratch.join("local"), scratch.join("back"));
        payload::write(&local, SMALL, 2);
        scratch.write("remote/resident", "12345");
        Self { local, folder, back, _scratch: scratch }
    }

    /// After: put as `first`, rename to `second`, get to `back`.
    pub(crate) fn assert_moved_and_back(&self) {
        payload::assert_same(&self.local, &self.folder.join("second"));
        payload::assert_same(&self.local, &self.back);
        assert!(!self.folder.join("first").exists(), "the file was renamed");
    }

    /// The names that a listing must show: these two and no third (but for `.` and `..`).
    pub(crate) fn assert_names<'a>(names: impl IntoIterator<Item = &'a str>) {
        let mut names: Vec<_> = names.into_iter().filter(|n| *n != "." && *n != "..").collect();
        names.sort_unstable();
        assert_eq!(names, ["resident", "second"]);
    }
}
