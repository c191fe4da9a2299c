//! The walls around a project's processes: who they run as, what they see, how much they may take.
//!
//! Must stay true: never uid 0; when root starts a project, the uid is switched *before* bubblewrap, which
//! otherwise keeps root's access to files; what is visible is a list of what is needed, not the host less
//! a list of secrets.

use crate::made_etc::{SHARED, shell};
use crate::project::{Project, RunAs};
use crate::proxy;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

/// Where `hop` is found inside.
pub(crate) const HOP: &str = "/run/grasshopper/hop";
/// Where a project's socket to its gateway is inside.
pub(crate) const DOOR: &str = "/run/grasshopper/gateway";

/// What a project reaches over the network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// Its own loopback only.
    #[default]
    None,
    /// Its own loopback, and the world's public addresses through an HTTP proxy of the site.
    Proxy {
        /// The socket on which the site's [`proxy`] serves, in a directory of its own: projects see all of that,
        /// so that they find the socket that the site makes when it comes back.
        socket: PathBuf,
    },
    /// Whatever this machine reaches, its loopback included: for sites where everybody is trusted.
    Host,
}

/// A directory of this machine that projects see under the same path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Where it is.
    pub path: PathBuf,
    /// Whether projects may write there, as far as its own permissions let their users.
    pub writable: bool,
}

/// How much a project may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Processes and threads.
    pub processes: u64,
    /// Memory of the whole project, in bytes; holds only where there is a control group. `None` is no limit.
    pub memory: Option<u64>,
    /// Address space of one process, in bytes; many programs reserve far more than they use. `None` is no limit.
    pub memory_of_a_process: Option<u64>,
    /// Open files of one process.
    pub open_files: u64,
    /// Each of /tmp, /run and /dev/shm, in bytes.
    pub temporary: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            processes: 1024,
            memory: None,
            memory_of_a_process: None,
            open_files: 8192,
            temporary: 1 << 30,
        }
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
    /// In namespaces that our own program makes ([`walls`](crate::walls)).
    Walls {
        /// `hop`; every project's user can read and run it.
        hop: PathBuf,
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
    /// They cannot be built by the program that was tried.
    #[error(
        "projects cannot be kept apart: the walls around them cannot be built here: {0}\nhint: user namespaces may be switched off (sysctl kernel.unprivileged_userns_clone, user.max_user_namespaces)"
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
        let isolation = Self::Sandbox { bwrap: bwrap.ok_or(IsolationError::NoBwrap)? };
        isolation.tried(run_as).await
    }

    /// As [`detect`](Self::detect); where bubblewrap is not there or does not work, our own program builds the walls.
    pub async fn detect_or_build(run_as: RunAs, hop: &Path) -> Result<Self, IsolationError> {
        let without = match Self::detect(run_as).await {
            Err(IsolationError::Root) => return Err(IsolationError::Root),
            Err(error) => error,
            Ok(isolation) => return Ok(isolation),
        };
        tracing::info!(%without, "walls are built by hop itself");
        Self::build(run_as, hop).await
    }

    /// Our own walls, tried once as `run_as`.
    pub async fn build(run_as: RunAs, hop: &Path) -> Result<Self, IsolationError> {
        Self::Walls { hop: hop.to_owned() }.tried(run_as).await
    }

    /// Builds walls once, around nothing.
    async fn tried(self, run_as: RunAs) -> Result<Self, IsolationError> {
        let mut words = self.builder(run_as)?;
        words.extend(WHOLE.map(OsString::from));
        words.extend(["--ro-bind", "/usr", "/usr"].map(OsString::from));
        for (link, target) in LINKS {
            words.extend(["--symlink", target, link].map(OsString::from));
        }
        words.extend(["--proc", "/proc", "--dev", "/dev", "--", "/usr/bin/true"].map(OsString::from));
        let output = command(words).stdin(Stdio::null()).output().await;
        let output = output.map_err(|error| IsolationError::Broken(error.to_string()))?;
        if output.status.success() {
            return Ok(self);
        }
        Err(IsolationError::Broken(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }

    /// The program that builds walls as a user, and its first words; none where there are no walls.
    fn builder(&self, run_as: RunAs) -> Result<Vec<OsString>, IsolationError> {
        match self {
            Self::Sandbox { bwrap } => switched(run_as, bwrap),
            Self::Walls { hop } => {
                let mut words = switched(run_as, hop)?;
                words.push("walls".into());
                Ok(words)
            }
            Self::Unsandboxed => Ok(Vec::new()),
        }
    }

    /// A command that runs `program` for `project` inside the walls.
    pub(crate) fn command(
        &self,
        project: &Project,
        inside: &Inside<'_>,
        program: &[OsString],
    ) -> Result<Command, IsolationError> {
        let Inside { etc, hop, door, network, shown, limits, group } = *inside;
        let mut words = self.builder(project.run_as)?;
        if words.is_empty() {
            let mut words = vec![SETPRIV.into(), "--pdeathsig=KILL".into()];
            words.extend(as_user(project.run_as)?);
            words.push("--".into());
            words.extend(limited(limits));
            words.extend(program.iter().cloned());
            return Ok(command(grouped(group, words)));
        }
        let mut add = |list: &[&dyn AsRef<std::ffi::OsStr>]| {
            words.extend(list.iter().map(|word| word.as_ref().to_owned()));
        };
        add(&WHOLE.each_ref().map(|word| word as &dyn AsRef<std::ffi::OsStr>));
        add(&[&"--hostname", &project.host_name()]);
        if *network == Network::Host {
            add(&[&"--share-net"]);
        }
        add(&[&"--ro-bind", &"/usr", &"/usr"]);
        for (link, target) in LINKS {
            add(&[&"--symlink", &target, &link]);
        }
        add(&[&"--ro-bind", &etc, &"/etc"]);
        for path in SHARED.iter().filter(|path| Path::new(path).exists()) {
            add(&[&"--ro-bind", path, path]);
        }
        let size = limits.temporary.to_string();
        add(&[&"--size", &size, &"--tmpfs", &"/tmp", &"--size", &size, &"--tmpfs", &"/run"]);
        add(&[&"--proc", &"/proc", &"--dev", &"/dev", &"--size", &size, &"--tmpfs", &"/dev/shm"]);
        add(&[&"--dir", &"/run/grasshopper", &"--ro-bind", &hop, &HOP]);
        if let Some(door) = door {
            add(&[&"--bind", &door, &DOOR]);
        }
        if let Network::Proxy { socket } = network {
            let directory = socket.parent().unwrap_or(Path::new("/nonexistent"));
            add(&[&"--ro-bind", &directory, &proxy::DIRECTORY]);
            let address = format!("http://{}", proxy::ADDRESS);
            for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"] {
                add(&[&"--setenv", &name, &address]);
            }
            for name in ["no_proxy", "NO_PROXY"] {
                add(&[&"--setenv", &name, &"localhost,127.0.0.1,::1"]);
            }
        }
        let home = format!("/home/{}", project.user);
        add(&[&"--dir", &"/home", &"--bind", &project.home, &home, &"--chdir", &home]);
        for Shown { path, writable } in shown {
            add(&[if *writable { &"--bind" } else { &"--ro-bind" }, path, path]);
        }
        // What bubblewrap made for these is memory without a limit.
        add(&[&"--remount-ro", &"/dev", &"--remount-ro", &"/"]);
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
        add(&[&"--"]);
        words.extend(limited(limits));
        words.extend(program.iter().cloned());
        Ok(command(grouped(group, words)))
    }
}

/// What lies in /usr and is known by older names.
const LINKS: [(&str, &str); 4] =
    [("/bin", "usr/bin"), ("/sbin", "usr/sbin"), ("/lib", "usr/lib"), ("/lib64", "usr/lib64")];

/// What is always asked for, whoever builds.
const WHOLE: [&str; 8] = [
    "--unshare-all",
    "--unshare-user",
    "--disable-userns",
    "--die-with-parent",
    "--new-session",
    "--clearenv",
    "--cap-drop",
    "ALL",
];

/// What a sandbox is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inside<'a> {
    /// The made /etc.
    pub(crate) etc: &'a Path,
    /// The `hop` program.
    pub(crate) hop: &'a Path,
    /// The project's socket to its gateway.
    pub(crate) door: Option<&'a Path>,
    pub(crate) network: &'a Network,
    pub(crate) shown: &'a [Shown],
    pub(crate) limits: Limits,
    /// The project's control group.
    pub(crate) group: Option<&'a Path>,
}

const SETPRIV: &str = "/usr/bin/setpriv";

/// The words that run `program` as a user: through setpriv when we are root, as it is when we are that user.
fn switched(run_as: RunAs, program: &Path) -> Result<Vec<OsString>, IsolationError> {
    let user = as_user(run_as)?;
    if user.is_empty() {
        return Ok(vec![program.into()]);
    }
    let mut words = vec![SETPRIV.into()];
    words.extend(user);
    words.push("--".into());
    words.push(program.into());
    Ok(words)
}

/// The words of setpriv that make us that user; none when we are.
fn as_user(run_as: RunAs) -> Result<Vec<OsString>, IsolationError> {
    if run_as.uid == 0 || run_as.gid == 0 {
        return Err(IsolationError::Root);
    }
    if rustix::process::geteuid().as_raw() != 0 {
        return Ok(Vec::new());
    }
    Ok(vec![
        format!("--reuid={}", run_as.uid).into(),
        format!("--regid={}", run_as.gid).into(),
        "--clear-groups".into(),
        "--inh-caps=-all".into(),
        "--no-new-privs".into(),
    ])
}

/// The words that set the limits of whatever follows.
fn limited(limits: Limits) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec![
        "/usr/bin/prlimit".into(),
        format!("--nproc={}", limits.processes).into(),
        format!("--nofile={}", limits.open_files).into(),
        "--core=0".into(),
    ];
    if let Some(memory) = limits.memory_of_a_process {
        words.push(format!("--as={memory}").into());
    }
    words.push("--".into());
    words
}

/// The words that go into a control group before anything else happens; a shell does it, since what is moved later has
/// children already.
fn grouped(group: Option<&Path>, words: Vec<OsString>) -> Vec<OsString> {
    let Some(group) = group else { return words };
    let script = "echo 0 > \"$0\" && exec \"$@\"";
    let mut first = vec!["/bin/sh".into(), "-c".into(), script.into(), group.join("cgroup.procs").into()];
    first.extend(words);
    first
}

fn command(words: Vec<OsString>) -> Command {
    let mut words = words.into_iter();
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words).env_clear().current_dir("/").kill_on_drop(true);
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::ProjectKey;

    #[tokio::test]
    async fn nothing_ever_runs_as_root() {
        let root = RunAs { uid: 0, gid: 0 };
        let hop = Path::new("/bin/true");
        assert!(matches!(Isolation::detect(root).await, Err(IsolationError::Root)));
        assert!(matches!(Isolation::detect_or_build(root, hop).await, Err(IsolationError::Root)));
        assert!(matches!(Isolation::build(root, hop).await, Err(IsolationError::Root)));
        for run_as in [root, RunAs { uid: 1, gid: 0 }, RunAs { uid: 0, gid: 1 }] {
            let key = ProjectKey::parse(&"a".repeat(32)).unwrap();
            let project = Project { key, user: "p".to_owned(), home: "/".into(), run_as };
            let inside = Inside {
                etc: Path::new("/etc"),
                hop,
                door: None,
                network: &Network::None,
                shown: &[],
                limits: Limits::default(),
                group: None,
            };
            for isolation in [
                Isolation::Unsandboxed,
                Isolation::Walls { hop: hop.to_owned() },
                Isolation::Sandbox { bwrap: "/usr/bin/bwrap".into() },
            ] {
                let refused = isolation.command(&project, &inside, &["/bin/true".into()]);
                assert!(matches!(refused, Err(IsolationError::Root)), "{isolation:?} {run_as:?}");
            }
        }
    }

    #[tokio::test]
    async fn walls_that_cannot_be_built_are_refused_with_what_was_said() {
        let own = rustix::process::geteuid().as_raw().max(1);
        let run_as = RunAs { uid: own, gid: own };
        match Isolation::build(run_as, Path::new("/bin/ls")).await {
            Err(IsolationError::Broken(said)) => assert!(said.contains("ls:"), "{said}"),
            other => panic!("{other:?}"),
        }
    }
}
