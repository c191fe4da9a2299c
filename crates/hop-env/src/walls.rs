//! Our own builder of sandboxes: what `hop walls` runs. It takes the words that bubblewrap takes, as far as projects
//! need them, so that a site needs nothing installed; and builds the walls from the kernel's namespaces alone.
//!
//! Three processes: the *outer* one unshares and waits, the *first* of the new namespaces builds, starts the program
//! and then only collects its orphans, the *program* runs. Must stay true: the program is started only when every
//! wall stands and every capability is gone; when one process of the chain dies, those inside die with it.

mod build;
mod devices;
mod loopback;
mod mounts;
mod plan;

use build::Sources;
use nix::sched::{CloneFlags, unshare};
use plan::Plan;
use rustix::process::{DumpableBehavior, Pid, Signal, WaitOptions, set_parent_process_death_signal};
use rustix::thread::{CapabilitySet, CapabilitySets};
use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, ExitStatus};

/// Said to ourselves: what follows is for the first process of the new namespaces.
const INSIDE: &str = "--inside";

/// The walls do not stand.
#[derive(Debug, thiserror::Error)]
#[error("cannot {step}: {source}")]
pub struct WallsError {
    step: String,
    source: io::Error,
}

/// Names a step that may fail.
trait Step<T> {
    fn step(self, step: impl FnOnce() -> String) -> Result<T, WallsError>;
}

impl<T, E: Into<io::Error>> Step<T> for Result<T, E> {
    fn step(self, step: impl FnOnce() -> String) -> Result<T, WallsError> {
        self.map_err(|error| WallsError { step: step(), source: error.into() })
    }
}

/// Builds the walls that the words describe and runs the program behind them; its exit status is ours. The process
/// must have one thread.
pub fn run(mut words: Vec<OsString>) -> Result<ExitCode, WallsError> {
    if words.first().is_some_and(|word| word == INSIDE) {
        words.remove(0);
        return inside(&Plan::parse(words)?);
    }
    outside(words)
}

/// Makes the namespaces and waits for what runs in them.
fn outside(words: Vec<OsString>) -> Result<ExitCode, WallsError> {
    let plan = Plan::parse(words.clone())?;
    let mut flags = CloneFlags::CLONE_NEWUSER
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWCGROUP;
    if !plan.share_net {
        flags |= CloneFlags::CLONE_NEWNET;
    }
    become_the_same_user_in(flags)?;
    keep_capabilities()?;
    die_with_parent()?;
    let mut command = Command::new("/proc/self/exe");
    let child = command.arg("walls").arg(INSIDE).args(words).env_clear().spawn();
    let ended =
        child.and_then(|mut child| child.wait()).step(|| "start the first process inside".to_owned())?;
    Ok(code_of(ended))
}

/// Builds, gives up every power, starts the program, and collects orphans until it ends.
fn inside(plan: &Plan) -> Result<ExitCode, WallsError> {
    die_with_parent()?;
    // Before anything is hidden: paths mean what they meant to whoever gave them.
    let sources = Sources::open(plan)?;
    if !plan.share_net {
        loopback::bring_up().step(|| "bring up the loopback interface".to_owned())?;
    }
    if let Some(name) = &plan.host_name {
        rustix::system::sethostname(name.as_encoded_bytes()).step(|| "set the host name".to_owned())?;
    }
    build::raise(plan, &sources)?;
    drop(sources);
    forbid_namespaces()?;
    give_up_capabilities()?;
    rustix::process::setsid().step(|| "begin a session".to_owned())?;
    let mut command = Command::new(&plan.program);
    command
        .args(&plan.arguments)
        .env_clear()
        .envs(plan.environment.iter().map(|(name, value)| (name, value)));
    command.current_dir(plan.directory.as_deref().unwrap_or(std::path::Path::new("/")));
    // What runs inside is the same user: it must not reach into this process, which still has what was inherited.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .step(|| "close our own doors".to_owned())?;
    let program = command.spawn().step(|| format!("run {}", plan.program.display()))?;
    let nothing = std::fs::File::open("/dev/null").step(|| "open /dev/null".to_owned())?;
    rustix::stdio::dup2_stdin(nothing).step(|| "let go of what is the program's".to_owned())?;
    collect_until_end(program.id())
}

/// The first process of a namespace inherits orphans; nobody else would ever collect them.
fn collect_until_end(program: u32) -> Result<ExitCode, WallsError> {
    let program = i32::try_from(program).ok().and_then(Pid::from_raw);
    loop {
        match rustix::process::waitpid(None, WaitOptions::empty()) {
            Ok(Some((pid, status))) if Some(pid) == program => {
                return Ok(code_of(ExitStatus::from_raw(status.as_raw())));
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).step(|| "wait for the program".to_owned()),
        }
    }
}

/// Enters new namespaces in which we are nobody but ourselves.
fn become_the_same_user_in(flags: CloneFlags) -> Result<(), WallsError> {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    unshare(flags).step(|| "make namespaces".to_owned())?;
    for (file, text) in [
        // Without it a group could be dropped that is there to keep somebody out.
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("{uid} {uid} 1\n")),
        ("gid_map", format!("{gid} {gid} 1\n")),
    ] {
        let path = format!("/proc/self/{file}");
        std::fs::write(&path, text).step(|| format!("write {path}"))?;
    }
    Ok(())
}

/// One user namespace more, below one in which no further ones can be made: what runs inside gets no new powers from
/// a namespace of its own.
fn forbid_namespaces() -> Result<(), WallsError> {
    let limit = "/proc/sys/user/max_user_namespaces";
    std::fs::write(limit, "1").step(|| format!("write {limit}"))?;
    mounts::read_only(std::path::Path::new("/proc/sys"))?;
    become_the_same_user_in(CloneFlags::CLONE_NEWUSER)
}

/// What a new namespace gives is lost by running a program, unless it is handed on by name.
fn keep_capabilities() -> Result<(), WallsError> {
    let step = || "hand capabilities on".to_owned();
    let mut sets = rustix::thread::capabilities(None).step(step)?;
    sets.inheritable = sets.permitted;
    rustix::thread::set_capabilities(None, sets).step(step)?;
    for one in sets.permitted.iter() {
        rustix::thread::configure_capability_in_ambient_set(one, true).step(step)?;
    }
    Ok(())
}

fn give_up_capabilities() -> Result<(), WallsError> {
    let step = || "give up capabilities".to_owned();
    for one in CapabilitySet::all().iter() {
        match rustix::thread::remove_capability_from_bounding_set(one) {
            // Newer than the kernel.
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(error).step(step),
        }
    }
    rustix::thread::clear_ambient_capability_set().step(step)?;
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    rustix::thread::set_capabilities(None, sets).step(step)?;
    rustix::thread::set_no_new_privs(true).step(step)
}

/// Whoever started us may have ended before this took hold; then so do we.
fn die_with_parent() -> Result<(), WallsError> {
    let step = || "tie our life to our parent's".to_owned();
    let parent = rustix::process::getppid();
    set_parent_process_death_signal(Some(Signal::KILL)).step(step)?;
    if rustix::process::getppid() != parent {
        return Err(io::Error::from(io::ErrorKind::NotConnected)).step(step);
    }
    Ok(())
}

/// As a shell says it.
fn code_of(ended: ExitStatus) -> ExitCode {
    let code = ended.code().or_else(|| ended.signal().map(|signal| 128 + signal)).unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
