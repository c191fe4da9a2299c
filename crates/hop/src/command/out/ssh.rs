//! `hop ssh`: ssh itself, over a held connection.

use super::place::Place;
use super::terminal::Terminal;
use super::{broker, login};
use crate::cli::out;
use crate::error::CommandError;
use crate::output;
use hop_broker::Request;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

pub(crate) fn run(arguments: &out::Ssh) -> ExitCode {
    let error = match ready(arguments) {
        Ok(mut command) => {
            let error = command.exec();
            CommandError::new(crate::error::ErrorKind::Unavailable, format!("cannot run ssh: {error}"))
        }
        Err(error) => error,
    };
    output::error(&error);
    ExitCode::from(255)
}

fn ready(arguments: &out::Ssh) -> Result<Command, CommandError> {
    let mut place = Place::new(broker::running_or_started()?, Terminal::of_process());
    place.send(&Request::Login {
        alias: arguments.host.clone(),
        given: None,
        lifetime: None,
        idle: None,
        attended: place.terminal.is_some(),
        environment: broker::environment(),
    })?;
    let ready = login::wait(&mut place)?;
    let mut path = std::ffi::OsString::from("ControlPath=");
    path.push(ready.socket);
    let mut command = Command::new("ssh");
    command.arg("-o").arg(path).args(["-o", "ControlMaster=no"]);
    // Options may stand before the host only where a command follows it.
    let options = arguments.words.iter().take_while(|word| word.as_encoded_bytes().starts_with(b"-")).count();
    let (options, rest) = arguments.words.split_at(options);
    command.args(options).arg(arguments.host.as_str()).args(rest);
    Ok(command)
}
