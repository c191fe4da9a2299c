//! The limit on open files: as high as allowed for this process, and as it was for sessions.
//!
//! A thousand connections with sessions need more descriptors than the usual soft limit of 1024. Programs of
//! the user must not inherit a raised one: those that use select(2) break above 1024, which is why the soft
//! limit is what it is.

use std::sync::OnceLock;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};

/// The limit that this process was started with. One for the process, as the limit itself is.
static INHERITED: OnceLock<Rlimit> = OnceLock::new();

/// Raises our own soft limit to the hard one. Where that is refused, the limit stays.
pub(crate) fn raise() {
    let inherited = *INHERITED.get_or_init(|| getrlimit(Resource::Nofile));
    let raised = Rlimit { current: inherited.maximum, maximum: inherited.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "limit on open files not raised");
    }
}

/// Gives a process that was just started the limit that we were started with. It is between exec and its first
/// instructions; posix_spawn cannot do it before.
pub(crate) fn restore(child: Pid) {
    if let Some(inherited) = INHERITED.get()
        && let Err(error) = prlimit(Some(child), Resource::Nofile, *inherited)
    {
        tracing::debug!(%error, "limit on open files not restored for a session");
    }
}
