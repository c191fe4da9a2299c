//! `hop jupyter add`: from the Hub's address to `ssh NAME`.

use super::token::{Wanted, obtain, store, stored};
use super::{by_terminal, config, failed, hub, keys, records, save, start};
use crate::cli::jupyter::Add;
use crate::command::proxy::explain::{self, TokenFrom};
use crate::command::vault::{Secrets, ask_yes_no};
use crate::error::{CommandError, ErrorKind, OrFail};
use crate::output;
use hop_connect::Alias;
use hop_jupyter::{Hub, HubAddress, Record};
use hop_link::Target;
use std::process::{Command, Stdio};

pub(super) async fn run(arguments: &Add) -> Result<(), CommandError> {
    let pasted = HubAddress::parse(&arguments.hub).or_fail(ErrorKind::Config)?;
    let ca_file =
        arguments.ca_file.as_deref().map(std::path::absolute).transpose().or_fail(ErrorKind::Config)?;
    let hub = hub(&pasted.hub, ca_file.as_deref())?;
    if arguments.hub.trim().starts_with("http:") && !is_loopback(hub.address()) {
        output::warning(&format!("the token crosses the network in the clear to {}", hub.address()));
    }
    let version = hub.version().await.map_err(failed)?;
    output::note(&format!("JupyterHub {version} at {}", hub.address()));
    let alias = match &arguments.name {
        Some(name) => name.clone(),
        None => config::name_of(&hub.address().host(), &arguments.server)?,
    };
    is_free(&alias, hub.address(), arguments)?;
    // Before the person goes and makes a token.
    let chosen = keys::choose(arguments.key.as_deref(), ca_file.as_deref()).await?;
    let mut secrets = Secrets::of_user().await;
    let wanted = Wanted { user: arguments.user.as_deref(), server: &arguments.server };
    let known = match &arguments.token.token_file {
        Some(_) => None,
        None => stored(&hub, &mut secrets, wanted).await?,
    };
    let is_new = known.is_none();
    let held = match known {
        Some((held, record)) => {
            output::note(&format!("The token of {} is used, which is stored here.", record.alias));
            held
        }
        None => obtain(&hub, wanted, &arguments.token).await?,
    };
    let (address, user, server) = (hub.address().clone(), held.user.clone(), arguments.server.clone());
    let mut record = match records().find(alias.as_str()).or_fail(ErrorKind::Config)? {
        Some(record) if record.user == user => record,
        _ => Record::new(alias.to_string(), address, user, server),
    };
    record.options = arguments.options.clone().or(record.options);
    record.ca_file = ca_file;
    if is_new {
        store(&mut secrets, &held, &mut record).await?;
    } else {
        super::token::note_facts(&held, &mut record)?;
    }
    let hub = hub.with_token(held.token.clone());
    let options = record.options.as_ref();
    let started = start::ready(&hub, &record.user, &record.server, options, arguments.start_timeout).await?;
    let target = hub.address().ssh_of(&started.url).ok_or_else(|| {
        let words = format!(
            "the Hub says that the server is at {}, which is another site",
            started.url.escape_debug()
        );
        CommandError::new(ErrorKind::Denied, words)
            .hint("the token is not sent there; ask the Hub's operator")
    })?;
    record.url = target.to_string();
    record.through_terminal = needs_terminal(&hub, &target, arguments).await?;
    let is_installed = if record.through_terminal {
        by_terminal::set_up(&hub, &mut record, &chosen.lines, arguments.binary.as_deref()).await?;
        true
    } else {
        keys::install(&mut record, &held.token, &chosen.lines).await?
    };
    record.key_file.clone_from(&chosen.public);
    config::write(&alias, &record, chosen.identity.as_deref(), arguments.yes)?;
    save(&record)?;
    if is_installed && !arguments.no_test {
        test(&alias)?;
    }
    output::line(&format!("ssh {alias}"));
    Ok(())
}

/// Refuses a name that means another host already.
fn is_free(alias: &Alias, hub: &HubAddress, arguments: &Add) -> Result<(), CommandError> {
    let taken = |what: String| {
        Err(CommandError::new(ErrorKind::Config, format!("{alias} is {what} already"))
            .hint("--name NAME gives another name"))
    };
    match records().find(alias.as_str()).or_fail(ErrorKind::Config)? {
        Some(record) if record.hub != *hub || record.server != arguments.server => {
            return taken(format!("a server at {}", record.hub));
        }
        Some(record) if arguments.user.as_ref().is_some_and(|user| *user != record.user) => {
            return taken(format!("the server of {}", record.user));
        }
        _ => {}
    }
    if config::ssh_config().is_own_host(alias).or_fail(ErrorKind::Config)? {
        return taken("a host of your ~/.ssh/config".to_owned());
    }
    Ok(())
}

fn is_loopback(hub: &HubAddress) -> bool {
    Target::parse(hub.as_str()).is_ok_and(|target| target.is_loopback())
}

/// Whether SSH has to go through a terminal, since nothing serves it there.
async fn needs_terminal(hub: &Hub, target: &Target, arguments: &Add) -> Result<bool, CommandError> {
    if arguments.through_terminal {
        return Ok(true);
    }
    match hop_link::connect(target, hub.options()).await {
        Ok(_socket) => Ok(false),
        Err(error) => {
            let refused = explain::refused(target, &error, &TokenFrom::Given);
            if !explain::is_nothing(target, &error) {
                return Err(refused);
            }
            output::note(refused.message());
            let question = "Put hop into your home there, and go through a terminal of the server? It is slower, and an open \
                            connection keeps the server from being stopped when idle.";
            match ask_yes_no(question)? {
                Some(true) => Ok(true),
                Some(false) | None => Err(refused
                    .hint("--through-terminal works without it: slower, through a terminal of the server")),
            }
        }
    }
}

/// Tries it as the person will.
fn test(alias: &Alias) -> Result<(), CommandError> {
    let mut command = Command::new("ssh");
    let has_terminal = crate::command::out::terminal::Terminal::of_process().is_some();
    if !has_terminal {
        command.args(["-o", "BatchMode=yes"]);
    }
    let status = command.args([alias.as_str(), "true"]).stdin(Stdio::null()).stdout(Stdio::null()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => {
            let words = format!("everything is set up, but `ssh {alias} true` ended with {status}");
            Err(CommandError::new(ErrorKind::Unavailable, words).hint(format!(
                "ssh -v {alias} says more; a key with a passphrase wants ssh-add where nobody can type it"
            )))
        }
        Err(error) => {
            let words = format!("everything is set up, but ssh does not start: {error}");
            Err(CommandError::new(ErrorKind::Unavailable, words).hint("install OpenSSH's client"))
        }
    }
}
