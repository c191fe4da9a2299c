//! One session channel (RFC 4254 section 6): requests that prepare it, then one program, then its ending.
//!
//! What must stay true: all output leaves before EOF, EOF before the exit status, the exit status before CLOSE;
//! and when the client closes the channel or the connection ends, the process group is hung up.

mod display;
mod flows;
mod plan;
mod run;
mod setup;

use std::sync::Arc;
use std::time::Instant;

use hop_ssh::connection::{ChannelRequest, ExitSignal, Stream};
use hop_ssh::driver::{Channel, ChannelRequests};
use tokio::io::AsyncWriteExt;

use crate::context::Context;
use crate::process::{Ending, StartError, start_on_terminal, start_piped};
use plan::Plan;
use run::{Outcome, Running};
use setup::{Setup, Wanted};

/// Exit status of a session whose program could not be started: what shells say for "not found".
const NOT_STARTED: u32 = 127;

/// Serves a session channel from its opening to its end.
pub(crate) async fn serve(context: Arc<Context>, channel: Channel) {
    let started = Instant::now();
    let mut requests = channel.requests();
    let mut setup = Setup::default();
    let plan = loop {
        let Some((wanted, request)) = setup.until_program(&context, &mut requests).await else {
            tracing::info!("session closed before it asked for anything");
            return;
        };
        match Plan::of(&wanted, context.permissions.force_command.as_deref()) {
            Ok(plan) => {
                request.accept();
                break plan;
            }
            Err(refused) => {
                tracing::info!(kind = wanted.name(), %refused, "session request refused");
                request.refuse();
            }
        }
    };
    let kind = plan.name();
    let terminal = setup.has_terminal();
    let outcome = start(&context, &channel, &mut requests, setup, plan).await;
    if let Outcome::Ended(ending) = outcome {
        finish(&channel, ending);
    }
    tracing::info!(kind, terminal, seconds = started.elapsed().as_secs_f64(), %outcome, "session");
    // The client closes its side once it has got all of it; a server that stops waits for that.
    while requests.next().await.is_some() {}
}

async fn start(
    context: &Arc<Context>,
    channel: &Channel,
    requests: &mut ChannelRequests,
    mut setup: Setup,
    plan: Plan,
) -> Outcome {
    let forced = context.permissions.force_command.is_some();
    let (program, original) = match &plan {
        Plan::Sftp(arguments) => {
            return run::sftp(context, channel, requests, arguments).await;
        }
        Plan::Program { command, original } => (Plan::program(command.as_deref()), original.as_deref()),
    };
    let environment = setup.environment(context, original);
    let account = &context.config.account;
    let running = Running { context, channel, requests, may_signal: !forced };
    // The display stays open at least as long as the session.
    let _display = setup.display.take();
    match setup.terminal.take() {
        Some(terminal) => match start_on_terminal(account, program, &environment, terminal.pty) {
            Ok(process) => running.on_terminal(process).await,
            Err(error) => not_started(channel, &error).await,
        },
        None => match start_piped(account, program, &environment) {
            Ok(process) => running.piped(process).await,
            Err(error) => not_started(channel, &error).await,
        },
    }
}

/// Says why on standard error; the request itself has been granted, as with sshd, whose child finds out only
/// after that.
async fn not_started(channel: &Channel, error: &StartError) -> Outcome {
    tracing::error!(%error, "session not started");
    // A client that does not read is gone.
    let _unread = channel.writer(Stream::Stderr).write_all(format!("hop: {error}\n").as_bytes()).await;
    Outcome::Ended(Ending::Exited(NOT_STARTED))
}

/// EOF, exit status, CLOSE: behind all output, in one go.
fn finish(channel: &Channel, ending: Ending) {
    channel.send_eof();
    channel.notify(&match ending {
        Ending::Exited(status) => ChannelRequest::ExitStatus(status),
        Ending::Signalled { signal, core_dumped } => ChannelRequest::ExitSignal(ExitSignal {
            signal: signal.to_owned(),
            core_dumped,
            message: String::new(),
        }),
    });
    channel.close();
}
