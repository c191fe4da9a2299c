//! The command line of Grasshopper: parse, call, print. What is said here is for people; the libraries never
//! print and never read the environment.

mod chance;
mod cli;
mod command;
mod error;
mod output;
mod site;

use clap::Parser;
use cli::{Cli, Command};
use error::CommandError;
use std::process::ExitCode;

fn main() -> ExitCode {
    let called_as_sftp_server = std::env::args_os()
        .next()
        .and_then(|name| std::path::PathBuf::from(name).file_name().map(|name| name == "sftp-server"))
        .unwrap_or(false);
    if called_as_sftp_server {
        return finish(command::sftp_server::run(std::env::args_os().skip(1)));
    }
    let cli = Cli::parse();
    finish(match cli.command {
        Command::Up(arguments) => command::up::run(&arguments),
        Command::Serve(arguments) => command::serve::run(&arguments),
        Command::Admin(arguments) => command::admin::run(&arguments),
        Command::Endpoint(arguments) => command::endpoint::run(&arguments),
        Command::SftpServer(arguments) => command::sftp_server::run(arguments.arguments),
        Command::Proxy(arguments) => command::proxy::run(&arguments),
        Command::Completions(arguments) => command::generate::completions(&arguments),
        Command::Man(arguments) => command::generate::man(&arguments),
        Command::Role(arguments) => return site::role::run(arguments.role),
        Command::Door => command::door::run(),
        Command::ProxyPort(arguments) => command::proxy_port::run(&arguments.socket),
        Command::Walls(arguments) => return command::walls::run(arguments.words),
    })
}

fn finish(result: Result<(), CommandError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(&error);
            ExitCode::from(error.code())
        }
    }
}
