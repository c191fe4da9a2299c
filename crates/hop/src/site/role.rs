//! One process of a site, as the supervisor starts it.

use super::leash::{Leash, Orders, Report};
use super::users::Users;
use super::{keeper, serving, signer};
use crate::command::server;
use crate::error::{CommandError, ErrorKind, OrFail};
use crate::output;
use rustix::process::{DumpableBehavior, Resource, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::ExitCode;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// What a process of a site does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    /// Starts and holds projects.
    Keeper,
    /// Holds the CA keys.
    Signer,
    /// Gateway, pages and records.
    Site,
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl Role {
    /// As it is written.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Keeper => "keeper",
            Self::Signer => "signer",
            Self::Site => "site",
        }
    }

    /// The user that the process becomes; `None` when it stays who starts it.
    pub(crate) fn switches_to(self, users: &Users) -> Option<u32> {
        users.projects()?;
        match self {
            // Only root can start projects as others.
            Self::Keeper => None,
            Self::Signer => Some(users.signer()),
            Self::Site => Some(users.site()),
        }
    }
}

/// Runs a process of a site until the supervisor lets go. What it cannot do it tells the supervisor, which tells the
/// person; only later failures are told here.
pub(crate) fn run(role: Role) -> ExitCode {
    let Err(Unready { error, leash }) = obey(role) else { return ExitCode::SUCCESS };
    match leash {
        Some(leash) => leash.report(&Report::Failed {
            code: error.code(),
            message: error.message().to_owned(),
            hints: error.hints().to_vec(),
        }),
        None => output::error(&error),
    }
    ExitCode::from(error.code())
}

fn obey(role: Role) -> Result<(), Unready> {
    server::log_to_stderr("warn");
    let alone = |error| Unready { error, leash: None };
    // Others of the same user must not look into it: projects of a site that a person started are such others.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .or_fail(ErrorKind::Internal)
        .map_err(alone)?;
    raise_open_files();
    let leash = Leash::on_stdin().map_err(alone)?;
    let (orders, descriptors) = leash.orders().map_err(alone)?;
    if orders.role != role {
        let words = format!("the orders are for the {}", orders.role);
        return Err(alone(CommandError::new(ErrorKind::Internal, words)));
    }
    let runtime = match role {
        Role::Keeper | Role::Signer => server::runtime(),
        Role::Site => many_threads(),
    };
    let runtime = runtime.map_err(alone)?;
    match role {
        Role::Keeper => runtime.block_on(keeper::run(orders, descriptors, leash)),
        Role::Signer => runtime.block_on(signer::run(orders, descriptors, leash)),
        Role::Site => runtime.block_on(serving::run(orders, descriptors, leash)),
    }
}

/// A session takes two descriptors and a running project some in the keeper: the usual soft limit of 1024, there for
/// programs that use select(2), would be a site's. Projects' processes get a limit of their own.
fn raise_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit on open files is not raised");
    }
}

/// A process that failed; with its leash when the supervisor does not know yet.
pub(crate) struct Unready {
    /// Why.
    pub(crate) error: CommandError,
    /// To tell it by.
    pub(crate) leash: Option<Leash>,
}

/// The one Unix listener of keeper and signer.
pub(crate) fn unix_listener(
    orders: &Orders,
    descriptors: Vec<OwnedFd>,
) -> Result<UnixListener, CommandError> {
    let mut descriptors = descriptors.into_iter();
    let (Some(listener), None) = (descriptors.next(), descriptors.next()) else {
        return Err(CommandError::new(
            ErrorKind::Internal,
            format!("the {} wants one listener", orders.role),
        ));
    };
    Ok(UnixListener::from(listener))
}

/// Cancelled when the supervisor lets go.
pub(crate) fn until_let_go(leash: Leash) -> CancellationToken {
    let stop = CancellationToken::new();
    let token = stop.clone();
    // Ends with the process.
    tokio::spawn(async move {
        leash.let_go().await;
        token.cancel();
    });
    stop
}

fn many_threads() -> Result<Runtime, CommandError> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().or_fail(ErrorKind::Internal)
}
