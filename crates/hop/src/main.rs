//! The command line of Grasshopper: parse, call, print. What is said here is for people; the libraries never
//! print and never read the environment.

mod chance;
mod cli;
mod command;
mod error;
mod output;
mod site;

use cli::Command;
use error::CommandError;
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let called = PathBuf::from(std::env::args_os().next().unwrap_or_default());
    let name = called.file_name().unwrap_or_default();
    if name == "sftp-server" {
        return finish(command::sftp_server::run(std::env::args_os().skip(1)));
    }
    if name == command::out::create_ssh_socket::NAME {
        return finish(command::out::create_ssh_socket::run(std::env::args_os()));
    }
    if name == command::out::askpass::NAME {
        return command::out::askpass::run(&called, std::env::args_os().skip(1));
    }
    finish(match cli::command() {
        Command::Up(arguments) => command::up::run(&arguments),
        Command::Serve(arguments) => command::serve::run(&arguments),
        Command::Admin(arguments) => command::admin::run(&arguments),
        Command::Endpoint(arguments) => command::endpoint::run(&arguments),
        Command::SftpServer(arguments) => command::sftp_server::run(arguments.arguments),
        Command::Jupyter(arguments) => command::jupyter::run(&arguments.command),
        Command::Proxy(arguments) => command::proxy::run(&arguments),
        Command::Completions(arguments) => command::generate::completions(&arguments),
        Command::Man(arguments) => command::generate::man(&arguments),
        Command::Role(arguments) => return site::role::run(arguments.role),
        Command::Door => command::door::run(),
        Command::ProxyPort(arguments) => command::proxy_port::run(&arguments.socket),
        Command::Login(arguments) => command::out::login::run(&arguments),
        Command::Logout(arguments) => command::out::logout::run(&arguments),
        Command::Status(arguments) => command::out::status::run(&arguments),
        Command::Exec(arguments) => return command::out::exec::run(&arguments),
        Command::Forward(arguments) => command::out::forward::run(&arguments),
        Command::Ssh(arguments) => return command::out::ssh::run(&arguments),
        Command::SshConfig(arguments) => command::out::ssh_config::run(&arguments),
        Command::Agent(arguments) => command::out::agent::run(&arguments),
        Command::Secret(arguments) => command::secret::run(&arguments),
        Command::Answer(arguments) => command::out::answer::run(&arguments),
        Command::Daemon(arguments) => command::out::daemon::run(&arguments),
        Command::Ensure(arguments) => return command::out::ensure::run(&arguments),
        Command::Dial(arguments) => return command::out::dial::run(&arguments),
        Command::OnTerminal(arguments) => command::out::on_terminal::run(arguments.words),
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
