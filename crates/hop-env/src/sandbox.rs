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

    /// A command that runs `program` for `project` inside the walls.
    pub(crate) fn command(
        &self,
        project: &Project,
        inside: &Inside<'_>,
        program: &[OsString],
    ) -> Result<Command, IsolationError> {
        let Inside { etc, hop, door, network, shown, limits, group } = *inside;
        let Self::Sandbox { bwrap } = self else {
            let mut words = vec![SETPRIV.into(), "--pdeathsig=KILL".into()];
            words.extend(as_user(project.run_as)?);
            words.push("--".into());
            words.extend(limited(limits));
            words.extend(program.iter().cloned());
            return Ok(command(grouped(group, words)));
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
        if *network == Network::Host {
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
