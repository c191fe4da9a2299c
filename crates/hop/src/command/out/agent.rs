//! `hop agent`: one ssh-agent for every shell and daemon.

use super::{broker, places, ssh_config};
use crate::cli::agent::{Agent as Arguments, AgentAction, AgentAdd};
use crate::error::{CommandError, ErrorKind, OrFail};
use crate::output;
use hop_connect::agent::{AddedKeys, Agent};
use serde::Serialize;
use std::path::PathBuf;

/// The keys that ssh-add takes by itself, without those of hardware.
const USUAL: &[&str] = &["id_ed25519", "id_ecdsa", "id_rsa"];

/// The JSON document.
#[derive(Serialize)]
struct Document {
    schema_version: u32,
    socket: Option<PathBuf>,
    fingerprints: Vec<String>,
    missing: Vec<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), CommandError> {
    match &arguments.action {
        AgentAction::Start => {
            let agent = find_or_start()?;
            let socket = agent.socket().display().to_string().replace('\'', "'\\''");
            output::line(&format!("SSH_AUTH_SOCK='{socket}'; export SSH_AUTH_SOCK;"));
            tell_missing(&agent)
        }
        AgentAction::Add(arguments) => add(arguments),
        AgentAction::Status(arguments) => status(arguments.json),
    }
}

fn given() -> Option<PathBuf> {
    std::env::var_os("SSH_AUTH_SOCK").filter(|socket| !socket.is_empty()).map(PathBuf::from)
}

fn find_or_start() -> Result<Agent, CommandError> {
    let sockets = broker::sockets();
    sockets.prepare().or_fail(ErrorKind::Config)?;
    Agent::find_or_start(given().as_deref(), &sockets).or_fail(ErrorKind::Unavailable)
}

fn added() -> AddedKeys {
    AddedKeys::within(&places::state())
}

fn tell_missing(agent: &Agent) -> Result<(), CommandError> {
    let missing = added().missing_from(agent).or_fail(ErrorKind::Unavailable)?;
    if !missing.is_empty() {
        let names: Vec<_> = missing.iter().map(|key| key.display().to_string()).collect();
        output::note(&format!(
            "The agent had {} and has not any more: the machine was restarted, or the time is over.",
            names.join(", ")
        ));
        output::hint("hop agent add");
    }
    Ok(())
}

fn add(arguments: &AgentAdd) -> Result<(), CommandError> {
    let agent = find_or_start()?;
    let keys = keys_to_add(&arguments.keys)?;
    if keys.is_empty() {
        let error = CommandError::new(ErrorKind::Config, "there is no key to add in ~/.ssh");
        return Err(error.hint("ssh-keygen -t ed25519 makes one; hop agent add FILE takes another"));
    }
    let user = rustix::process::geteuid().as_raw();
    for key in &keys {
        hop_secrets::check_unexposed(key, user).or_fail(ErrorKind::Config)?;
    }
    let time = arguments.lifetime.as_secs().to_string();
    let ended = agent.ssh_add().args(["-t", &time, "--"]).args(&keys).status();
    let ended = ended
        .map_err(|error| CommandError::new(ErrorKind::Unavailable, format!("cannot run ssh-add: {error}")))?;
    if !ended.success() {
        return Err(CommandError::new(
            ErrorKind::Denied,
            "ssh-add did not take the keys; its words are above",
        ));
    }
    added().remember(keys).or_fail(ErrorKind::Config)
}

/// Those that were named; else those that were added before, and the usual ones.
fn keys_to_add(named: &[PathBuf]) -> Result<Vec<PathBuf>, CommandError> {
    if !named.is_empty() {
        return named.iter().map(std::path::absolute).collect::<Result<_, _>>().or_fail(ErrorKind::Config);
    }
    let folder = ssh_config::home().join(".ssh");
    let mut keys = added().list();
    keys.extend(USUAL.iter().map(|name| folder.join(name)));
    Ok(keys.into_iter().filter(|key| key.is_file()).collect())
}

fn status(json: bool) -> Result<(), CommandError> {
    let agent = Agent::find(given().as_deref(), &broker::sockets());
    let (fingerprints, missing) = match &agent {
        Some(agent) => (
            agent.fingerprints().or_fail(ErrorKind::Unavailable)?,
            added().missing_from(agent).or_fail(ErrorKind::Unavailable)?,
        ),
        None => (Default::default(), added().list().into_iter().collect()),
    };
    if json {
        return output::json(&Document {
            schema_version: 1,
            socket: agent.map(|agent| agent.socket().to_owned()),
            fingerprints: fingerprints.into_iter().collect(),
            missing,
        });
    }
    match &agent {
        Some(agent) if agent.is_others => {
            output::line(&format!("{}  (of SSH_AUTH_SOCK)", agent.socket().display()));
        }
        Some(agent) => output::line(&agent.socket().display().to_string()),
        None => output::line("no agent runs (hop agent start)"),
    }
    for fingerprint in fingerprints {
        output::line(&format!("    {fingerprint}"));
    }
    for key in missing {
        output::line(&format!("    missing: {} (hop agent add)", key.display()));
    }
    Ok(())
}
