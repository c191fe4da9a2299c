//! `hop daemon`: the broker as a process.

use super::{broker, on_terminal, places, ssh_config, unit};
use crate::cli::out::{Daemon as Arguments, DaemonAction};
use crate::error::{CommandError, ErrorKind, OrFail};
use crate::output;
use hop_broker::broker::{Folders, Settings};
use hop_broker::daemon::{Daemon, DaemonError};
use hop_broker::host_settings::HostSettingsFiles;
use hop_broker::{Event, Request};
use serde::Serialize;
use std::path::{Path, PathBuf};
use tokio::signal::unix::{SignalKind, signal};

pub(crate) fn run(arguments: &Arguments) -> Result<(), CommandError> {
    match arguments.action {
        DaemonAction::Start => {
            let conversation = broker::running_or_started()?;
            output::note(&format!("the daemon runs (process {})", conversation.broker));
            Ok(())
        }
        DaemonAction::Status => {
            match broker::running()? {
                Some(conversation) => output::line(&format!("running (process {})", conversation.broker)),
                None => output::line("not running"),
            }
            Ok(())
        }
        DaemonAction::Stop => {
            let Some(mut conversation) = broker::running()? else {
                output::note("the daemon does not run");
                return Ok(());
            };
            conversation.send(&Request::Stop).or_fail(ErrorKind::Unavailable)?;
            // Its end is the end of the conversation.
            while let Ok(event) = conversation.next() {
                if let Event::Refused { reason } = event {
                    return Err(CommandError::new(ErrorKind::Denied, reason));
                }
            }
            output::note("the daemon has ended, and every login with it");
            Ok(())
        }
        DaemonAction::Api { json } => api(json),
        DaemonAction::Unit => unit::run(),
        DaemonAction::Run { stay } => serve(stay),
    }
}

/// The administrator's settings of hosts.
const MACHINE: &str = "/etc/hop/config.toml";

pub(crate) fn host_settings() -> HostSettingsFiles {
    HostSettingsFiles { person: Some(places::config().join("config.toml")), machine: Some(MACHINE.into()) }
}

fn settings(program: &Path) -> Settings {
    let hosts = host_settings();
    let on_terminal = vec![program.into(), on_terminal::NAME.into(), "--".into()];
    let folders = Folders {
        home: ssh_config::home(),
        state: places::state(),
        secrets: crate::command::vault::data_folder().join("secrets"),
    };
    Settings::new(hosts, folders, ssh_config::state(), on_terminal)
}

/// The JSON document.
#[derive(Serialize)]
struct Api {
    schema_version: u32,
    url: String,
    token_file: PathBuf,
}

fn api(json: bool) -> Result<(), CommandError> {
    let mut conversation = broker::running_or_started()?;
    conversation.send(&Request::Api).or_fail(ErrorKind::Unavailable)?;
    match conversation.next().or_fail(ErrorKind::Unavailable)? {
        Event::Api { url, token_file } if json => output::json(&Api { schema_version: 1, url, token_file }),
        Event::Api { url, token_file } => {
            output::line(&url);
            output::line(&token_file.display().to_string());
            Ok(())
        }
        Event::Refused { reason } => Err(CommandError::new(ErrorKind::Unavailable, reason)),
        _ => Err(CommandError::new(ErrorKind::Internal, "the broker said something else")),
    }
}

fn serve(stay: bool) -> Result<(), CommandError> {
    // A session of its own: the terminal that started it may go.
    let _ = rustix::process::setsid();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("HOP_LOG").unwrap_or_else(|_| "info".into()),
        )
        .init();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().or_fail(ErrorKind::Internal)?;
    runtime.block_on(async {
        let program = std::env::current_exe().or_fail(ErrorKind::Internal)?;
        let settings = Settings { stays: stay, ..settings(&program) };
        let daemon = match Daemon::bind(broker::sockets(), &program, settings) {
            // Somebody was quicker.
            Err(DaemonError::Running) => {
                output::line(broker::READY);
                return Ok(());
            }
            other => other.or_fail(ErrorKind::Config)?,
        };
        let mut terminate = signal(SignalKind::terminate()).or_fail(ErrorKind::Internal)?;
        let mut interrupt = signal(SignalKind::interrupt()).or_fail(ErrorKind::Internal)?;
        output::line(broker::READY);
        daemon
            .run(async {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            })
            .await;
        Ok(())
    })
}
