//! The tasks beside the broker's own: each does one thing that takes time and tells the broker what came of it.

use super::errand::Errand;
use super::forwarding::Opened;
use super::preparing::Preparation;
use super::{Inbox, Input};
use crate::host_settings::{HostSettings, HostSettingsError, HostSettingsFiles};
use crate::protocol::{Failure, FailureKind};
use hop_connect::Alias;
use hop_connect::master::{Plan, Started};
use hop_connect::mux::MuxClient;
use hop_connect::mux::forward::Forward;
use hop_connect::resolve::{Given, ResolveError, Resolved, Ssh, resolve};
use hop_connect::watch::ProcessEnd;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Lines of standard error on their way.
const LINES: usize = 64;
/// How long the end of a master waits for the end of its standard error.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What a host means, by ssh's configuration and by ours.
#[derive(Debug)]
pub(super) struct Meaning {
    pub(super) resolved: Resolved,
    pub(super) settings: HostSettings,
}

/// Why that is not known.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotKnown {
    #[error(transparent)]
    Ssh(#[from] ResolveError),
    #[error(transparent)]
    Settings(#[from] HostSettingsError),
}

/// Finds out what a host means.
pub(super) async fn resolving(files: HostSettingsFiles, ssh: Ssh, alias: Alias, given: Given, inbox: Inbox) {
    let result = meaning(&files, ssh, &alias, &given).await;
    let _ = inbox.send(Input::Resolved { alias, result }).await;
}

async fn meaning(
    files: &HostSettingsFiles,
    mut ssh: Ssh,
    alias: &Alias,
    given: &Given,
) -> Result<Box<Meaning>, NotKnown> {
    if let Some(program) = files.read(&[alias.as_str()])?.program {
        ssh.program = program.into();
    }
    let resolved = resolve(&ssh, alias, given).await?;
    // The address is what an administrator knows a cluster by.
    let settings = files.read(&[alias.as_str(), &resolved.host_name])?;
    Ok(Box::new(Meaning { resolved, settings }))
}

/// Runs a login from its preparation to the end of its master.
pub(super) async fn mastering(
    preparation: Preparation,
    mut plan: Plan,
    errand: Errand,
    given_up: CancellationToken,
) {
    let prepared = tokio::select! {
        biased;
        () = given_up.cancelled() => Err(None),
        prepared = preparation.run(&errand) => prepared.map_err(Some),
    };
    let failure = match prepared {
        Ok(()) => {
            plan.once = preparation.is_answered(&plan.alias);
            run_and_listen(&plan, &errand).await.err()
        }
        Err(failure) => failure,
    };
    let (alias, generation) = (errand.alias, errand.generation);
    let _ = errand.inbox.send(Input::MasterEnded { alias, generation, failure }).await;
}

async fn run_and_listen(plan: &Plan, errand: &Errand) -> Result<(), Failure> {
    let (sender, lines) = mpsc::channel(LINES);
    let telling = tokio::spawn(tell_lines(lines, errand.clone()));
    let ended = run_master(plan, sender, errand).await;
    // Its last words come before its end; but a process that it left behind may hold the pipe for ever.
    let _ = tokio::time::timeout(LAST_WORDS, telling).await;
    ended.map_err(|reason| Failure { kind: FailureKind::Config, reason, hint: None })
}

/// What could not be done is said in words; that the master failed, its own words say.
async fn run_master(plan: &Plan, lines: mpsc::Sender<String>, errand: &Errand) -> Result<(), String> {
    let mut master = plan
        .start(lines)
        .map_err(|error| format!("cannot run {}: {error}", plan.ssh.program.to_string_lossy()))?;
    errand.runs(master.pid()).await;
    match master.started().await {
        Ok(Started::Ended(_)) => Ok(()),
        Ok(Started::Up { pid }) => {
            let (alias, generation) = (errand.alias.clone(), errand.generation);
            let _ = errand.inbox.send(Input::MasterUp { alias, generation, pid }).await;
            master.ended().await.map(drop).map_err(|error| format!("cannot wait for ssh: {error}"))
        }
        Err(error) => {
            if let Some(pid) = master.pid() {
                hop_connect::master::kill(pid);
            }
            Err(format!("cannot watch the login: {error}"))
        }
    }
}

async fn tell_lines(mut lines: mpsc::Receiver<String>, errand: Errand) {
    while let Some(text) = lines.recv().await {
        errand.line(text).await;
    }
}

/// Waits for the end of a passenger.
pub(super) async fn riding(alias: Alias, pid: u32, inbox: Inbox) {
    if let Ok(end) = ProcessEnd::of(pid) {
        let _ = end.wait().await;
    }
    let _ = inbox.send(Input::PassengerLeft { alias, pid }).await;
}

/// Waits before the next in line is let through.
pub(super) async fn pausing(alias: Alias, pause: Duration, inbox: Inbox) {
    tokio::time::sleep(pause).await;
    let _ = inbox.send(Input::PauseEnded { alias }).await;
}

/// Opens a forwarding and tells what came of it.
pub(super) async fn forwarding(socket: PathBuf, mut opened: Opened, inbox: Inbox) {
    let forward = opened.forward.clone();
    let opening = tokio::task::spawn_blocking(move || MuxClient::connect(&socket)?.open_forward(&forward));
    opened.result = match opening.await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let _ = inbox.send(opened.into()).await;
}

/// Closes a forwarding; one that is gone already is as good as closed.
pub(super) async fn unforwarding(socket: PathBuf, forward: Forward) {
    let shown = forward.to_string();
    let closing = tokio::task::spawn_blocking(move || MuxClient::connect(&socket)?.close_forward(&forward));
    if let Ok(Err(error)) = closing.await {
        tracing::debug!(forward = shown, %error, "a forwarding was not closed");
    }
}

/// What the broker asks of a master.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    Terminate,
    StopListening,
}

/// Passes an order on; a master that does not take it is killed.
pub(super) async fn ordering(socket: PathBuf, pid: u32, order: Order) {
    let done = match order {
        Order::Terminate => hop_connect::master::terminate(&socket).await,
        Order::StopListening => hop_connect::master::stop_listening(&socket).await,
    };
    if let Err(error) = done {
        tracing::info!(pid, %error, ?order, "a master did not take an order");
        hop_connect::master::kill(pid);
    }
}
