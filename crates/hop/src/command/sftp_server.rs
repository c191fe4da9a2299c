//! `hop sftp-server`: SFTP on standard input and output.

use crate::error::{CommandError, ErrorKind, OrFail};
use crate::output;
use hop_endpoint::account::Account;
use hop_sftp::arguments::{self, Arguments, LogLevel, USAGE};
use hop_sftp::requests::RequestName;
use hop_sftp::server::{self, serve_stdio};
use std::ffi::OsString;

/// Runs the server with the arguments behind its name.
pub(crate) fn run(arguments: impl IntoIterator<Item = OsString>) -> Result<(), CommandError> {
    match arguments::parse(arguments) {
        Ok(arguments::Command::Serve(arguments)) => serve(&arguments),
        Ok(arguments::Command::ListRequests) => {
            for name in RequestName::ALL {
                output::line(name.as_str());
            }
            Ok(())
        }
        Ok(arguments::Command::Help) => {
            output::note(&format!("usage: sftp-server {USAGE}"));
            Ok(())
        }
        Err(error) => {
            Err(CommandError::new(ErrorKind::Config, error).hint(format!("usage: sftp-server {USAGE}")))
        }
    }
}

fn serve(arguments: &Arguments) -> Result<(), CommandError> {
    if arguments.log.to_stderr {
        super::server::log_to_stderr(match arguments.log.level {
            LogLevel::Quiet => "off",
            LogLevel::Fatal | LogLevel::Error => "error",
            LogLevel::Info | LogLevel::Verbose => "info",
            LogLevel::Debug | LogLevel::Debug1 | LogLevel::Debug2 | LogLevel::Debug3 => "debug",
        });
    }
    if let Some(umask) = arguments.umask {
        rustix::process::umask(rustix::fs::Mode::from_bits_truncate(umask));
    }
    let account = Account::current(&super::server::account_hints());
    let options = arguments
        .server_options(server::Account { name: account.name, home: account.home })
        .or_fail(ErrorKind::Config)?;
    serve_stdio(options).map(drop).or_fail(ErrorKind::Unavailable)
}
