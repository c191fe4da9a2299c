//! A server on standard input and output with `sftp-server`'s own command line; for tests and measurements.

use std::process::ExitCode;

use hop_sftp::arguments::{Command, USAGE, parse};
use hop_sftp::requests::RequestName;
use hop_sftp::server::{Account, serve_stdio};
use nix::unistd::{Uid, User};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            #[expect(clippy::print_stderr, reason = "a program's error message")]
            {
                eprintln!("sftp-stdio: {message}");
            }
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "a program's answer")]
fn run() -> Result<(), String> {
    let arguments = match parse(std::env::args_os().skip(1)).map_err(|error| error.to_string())? {
        Command::Serve(arguments) => arguments,
        Command::ListRequests => {
            for name in RequestName::ALL {
                println!("{name}");
            }
            return Ok(());
        }
        Command::Help => {
            println!("usage: sftp-stdio {USAGE}");
            return Ok(());
        }
    };
    if let Some(umask) = arguments.umask {
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(umask));
    }
    let user = User::from_uid(Uid::current()).map_err(|error| error.to_string())?;
    let user = user.ok_or("no account for this user id")?;
    let options = arguments
        .server_options(Account { name: user.name, home: user.dir })
        .map_err(|error| error.to_string())?;
    serve_stdio(options).map(|_| ()).map_err(|error| error.to_string())
}
