//! `create_ssh_socket`: the script of Hylleraas' tools by its own name and with its own flags. Leaves a control socket
//! below `~/.ssh` that `ssh -o ControlPath=…` and rsync use.

use super::place::Place;
use super::terminal::Terminal;
use super::{broker, login, ssh_config, times};
use crate::error::{CommandError, ErrorKind, OrFail};
use crate::output;
use clap::Parser;
use hop_broker::Request;
use hop_connect::Alias;
use hop_connect::resolve::{Given, UserName};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The name that this program is called by then.
pub(crate) const NAME: &str = "create_ssh_socket";

/// Log in to a host once, and leave a socket for everything that follows
///
/// Prints the socket's path: ssh -o ControlPath=PATH USER@HOST. Part of Grasshopper: hop login does the same for hosts
/// of ~/.ssh/config, hop status shows what is open.
#[derive(Debug, Parser)]
#[command(name = NAME, version)]
struct Arguments {
    /// The host
    #[arg(long)]
    host: String,
    /// The account there
    #[arg(long, value_parser = UserName::parse)]
    user: UserName,
    /// The port
    #[arg(long, default_value_t = 22)]
    port: u16,
    /// When it ends, in seconds after the login
    #[arg(long, default_value_t = 6000)]
    timeout: u64,
}

pub(crate) fn run(words: impl Iterator<Item = OsString>) -> Result<(), CommandError> {
    let arguments = Arguments::parse_from(words);
    let alias = Alias::parse(&arguments.host).or_fail(ErrorKind::Config)?;
    let mut place = Place::new(broker::running_or_started()?, Terminal::of_process());
    place.send(&Request::Login {
        alias: alias.clone(),
        given: Some(Given { user: Some(arguments.user.clone()), port: Some(arguments.port) }),
        lifetime: Some(arguments.timeout),
        idle: None,
        attended: place.terminal.is_some(),
        environment: broker::environment(),
    })?;
    let ready = login::wait(&mut place)?;
    let user = String::from(arguments.user);
    let link = ssh_config::home().join(".ssh").join(format!("{user}@{alias}:{}.socket", arguments.port));
    point(&link, &ready.socket).or_fail(ErrorKind::Config)?;
    output::note(&format!("{alias} is up until {}", times::clock(ready.until)));
    output::line(&link.display().to_string());
    Ok(())
}

/// Makes the name lead to the socket; what was made before leads nowhere once its connection has ended.
fn point(link: &Path, socket: &PathBuf) -> std::io::Result<()> {
    let beside = link.with_extension(format!("socket-{}", std::process::id()));
    std::os::unix::fs::symlink(socket, &beside)?;
    std::fs::rename(&beside, link)
}
