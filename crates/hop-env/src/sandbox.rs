//! The walls around a project's processes: who they run as, what they see, how much they may take.
//!
//! Must stay true: never uid 0; when root starts a project, the uid is switched *before* bubblewrap, which
//! otherwise keeps root's access to files; what is visible is a list of what is needed, not the host less
//! a list of secrets.

use crate::made_etc::{SHARED, shell};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

/// Where `hop` is found inside.
pub(crate) const HOP: &str = "/run/grasshopper/hop";

/// The user and group that a project's processes run as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunAs {
    /// Never 0.
    pub uid: u32,
    /// Never 0.
    pub gid: u32,
}

/// A project, as far as its processes are concerned.
#[derive(Clone, Debug)]
pub struct Project {
    /// The project's id, in text.
    pub id: String,
    /// The user name inside.
    pub user: String,
    /// The project's files; becomes the home directory.
    pub home: PathBuf,
    /// Who its processes are.
    pub run_as: RunAs,
}

impl Project {
    /// The host name inside: short enough for a prompt.
    pub(crate) fn host_name(&self) -> &str {
        self.id.get(..12).unwrap_or(&self.id)
    }
}

/// What a project reaches over the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// Its own loopback only.
    #[default]
    None,
    /// Whatever this machine reaches, its loopback included: for sites where everybody is trusted.
    Host,
}

/// How much a project may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Processes and threads.
    pub processes: u64,
    /// Address space of one process, in bytes; `None` is no limit.
    pub memory: Option<u64>,
    /// Open files of one process.
    pub open_files: u64,
    /// Each of /tmp and /run, in bytes.
    pub temporary: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { processes: 1024, memory: None, open_files: 8192, temporary: 1 << 30 }
    }
}

/// How projects are kept apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// In namespaces made by bubblewrap.
    Sandbox {
        /// The program.
        bwrap: PathBuf,
    },
    /// Not at all: for one person on their own machine.
    Unsandboxed,
}

/// Projects cannot be kept apart here.
#[derive(Debug, thiserror::Error)]
pub enum IsolationError {
    /// bubblewrap is not installed.
    #[error(
        "projects cannot be kept apart: bubblewrap (bwrap) is not installed\nhint: install the package bubblewrap"
    )]
    NoBwrap,
    /// It is, and does not work.
    #[error(
        "projects cannot be kept apart: bubblewrap does not work here: {0}\nhint: user namespaces may be switched off (sysctl kernel.unprivileged_userns_clone, user.max_user_namespaces)"
    )]
    Broken(String),
    /// A project would run as root.
    #[error("a project must not run as root")]
    Root,
}

impl Isolation {
    /// Finds bubblewrap and tries it once as `run_as`.
    pub async fn detect(run_as: RunAs) -> Result<Self, IsolationError> {
        let candidates = ["/usr/bin/bwrap", "/usr/local/bin/bwrap"];
        let bwrap = candidates.into_iter().map(PathBuf::from).find(|path| path.exists());
        let bwrap = bwrap.ok_or(IsolationError::NoBwrap)?;
        let mut arguments = switched(run_as, &bwrap)?;
        for word in
            ["--unshare-all", "--unshare-user", "--disable-userns", "--ro-bind", "/", "/", "--", "/bin/true"]
        {
            arguments.push(word.into());
        }
        let output = command(arguments).stdin(Stdio::null()).output().await;
        let output = output.map_err(|error| IsolationError::Broken(error.to_string()))?;
        if output.status.success() {
            return Ok(Self::Sandbox { bwrap });
        }
        Err(IsolationError::Broken(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }

    /// A command that runs `program` for `project` inside the walls. `etc` holds the made /etc.
    pub(crate) fn command(
        &self,
        project: &Project,
        etc: &Path,
        hop: &Path,
        network: Network,
        limits: Limits,
        program: &[OsString],
    ) -> Result<Command, IsolationError> {
        let Self::Sandbox { bwrap } = self else {
            if project.run_as.uid == 0 {
                return Err(IsolationError::Root);
            }
            let (first, rest) = program.split_first().ok_or(IsolationError::Root)?;
            let mut arguments = switched(project.run_as, Path::new(first))?;
            arguments.extend(rest.iter().cloned());
            return Ok(command(arguments));
        };
        let mut words = switched(project.run_as, bwrap)?;
        let mut add = |list: &[&dyn AsRef<std::ffi::OsStr>]| {
            words.extend(list.iter().map(|word| word.as_ref().to_owned()));
        };
        add(&[
            &"--unshare-all",
            &"--unshare-user",
            &"--disable-userns",
            &"--die-with-parent",
            &"--new-session",
        ]);
        add(&[&"--cap-drop", &"ALL", &"--hostname", &project.host_name(), &"--clearenv"]);
        if network == Network::Host {
            add(&[&"--share-net"]);
        }
        add(&[&"--ro-bind", &"/usr", &"/usr"]);
        for (link, target) in
            [("/bin", "usr/bin"), ("/sbin", "usr/sbin"), ("/lib", "usr/lib"), ("/lib64", "usr/lib64")]
        {
            add(&[&"--symlink", &target, &link]);
        }
        add(&[&"--ro-bind", &etc, &"/etc"]);
        for path in SHARED.iter().filter(|path| Path::new(path).exists()) {
            add(&[&"--ro-bind", path, path]);
        }
        let size = limits.temporary.to_string();
        add(&[&"--size", &size, &"--tmpfs", &"/tmp", &"--size", &size, &"--tmpfs", &"/run"]);
        add(&[&"--proc", &"/proc", &"--dev", &"/dev"]);
        add(&[&"--dir", &"/run/grasshopper", &"--ro-bind", &hop, &HOP]);
        let home = format!("/home/{}", project.user);
        add(&[&"--dir", &"/home", &"--bind", &project.home, &home, &"--chdir", &home]);
        for (name, value) in [
            ("HOME", home.as_str()),
            ("USER", &project.user),
            ("LOGNAME", &project.user),
            ("SHELL", shell()),
            ("PATH", "/usr/local/bin:/usr/bin:/bin:/run/grasshopper"),
            ("LANG", "C.UTF-8"),
        ] {
            add(&[&"--setenv", &name, &value]);
        }
        add(&[&"--", &"/usr/bin/prlimit"]);
        add(&[
            &format!("--nproc={}", limits.processes),
            &format!("--nofile={}", limits.open_files),
            &"--core=0",
        ]);
        if let Some(memory) = limits.memory {
            add(&[&format!("--as={memory}")]);
        }
        add(&[&"--"]);
        words.extend(program.iter().cloned());
        Ok(command(words))
    }
}

/// The words that run `program` as a user: through setpriv when we are root, as it is when we are that user.
fn switched(run_as: RunAs, program: &Path) -> Result<Vec<OsString>, IsolationError> {
    if run_as.uid == 0 || run_as.gid == 0 {
        return Err(IsolationError::Root);
    }
    if rustix::process::geteuid().as_raw() != 0 {
        return Ok(vec![program.into()]);
    }
    Ok(vec![
        "/usr/bin/setpriv".into(),
        format!("--reuid={}", run_as.uid).into(),
        format!("--regid={}", run_as.gid).into(),
        "--clear-groups".into(),
        "--inh-caps=-all".into(),
        "--no-new-privs".into(),
        "--".into(),
        program.into(),
    ])
}

fn command(words: Vec<OsString>) -> Command {
    let mut words = words.into_iter();
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words).env_clear().current_dir("/").kill_on_drop(true);
    command
}
