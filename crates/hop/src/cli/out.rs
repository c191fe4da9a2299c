//! What can be typed for the way out: logins to clusters that every tool shares.

use super::duration;
use clap::{Args, Subcommand};
use hop_connect::Alias;
use hop_connect::mux::forward::{self as mux, Direction, ForwardError};
use std::ffi::OsString;
use std::time::Duration;

fn alias(text: &str) -> Result<Alias, String> {
    Alias::parse(text).map_err(|error| error.to_string())
}

/// Log in to a host once, for everything that follows
///
/// HOST is what you type after ssh; everything about it is read from ~/.ssh/config. The login is an ssh of your own
/// that stays open in the background: type passphrases and one-time codes here, once. A daemon of yours, which starts
/// by itself, holds it after this terminal is closed.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  hop login saga                 for 8 hours
  hop login saga --for 12h
  hop login saga --idle 1h       ends earlier when nobody uses it for an hour

To let ssh, scp, sftp, rsync and git use it: hop ssh-config enable saga")]
pub(crate) struct Login {
    /// The host, as after ssh
    #[arg(value_parser = alias)]
    pub(crate) host: Alias,
    /// When it ends, counted from the login [default: 8h, or as last time]
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub(crate) lifetime: Option<Duration>,
    /// End it earlier when nobody uses it for this long [default: never]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) idle: Option<Duration>,
}

/// End a login
///
/// Whoever uses it may finish; nobody new gets in.
#[derive(Debug, Args)]
pub(crate) struct Logout {
    /// The host
    #[arg(value_parser = alias)]
    pub(crate) host: Alias,
    /// Also cut off whoever uses it
    #[arg(long)]
    pub(crate) now: bool,
}

/// Show logins: how long they last, who uses them, who waits
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Only this host
    #[arg(value_parser = alias)]
    pub(crate) host: Option<Alias>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Go on, and print again after each change
    #[arg(long)]
    pub(crate) watch: bool,
}

/// Run a command on a host, over its login
///
/// Starts no ssh and authenticates nothing: the command goes over the connection that is open, which is made first if
/// there is none. Exits with the command's status; 255 is a failure of ours, as ssh's is.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  hop exec saga -- squeue -u alice
  hop exec saga -- sbatch job.sh
  hop exec saga --tty -- top")]
pub(crate) struct Exec {
    /// The host
    #[arg(value_parser = alias)]
    pub(crate) host: Alias,
    /// Give the command a terminal, as ssh -t
    #[arg(long, short = 't')]
    pub(crate) tty: bool,
    /// The command; its words are joined by spaces, as ssh does
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

/// Run ssh over a host's login, which is made first if there is none
///
/// For hosts that are not enabled in ssh's configuration; the others need only ssh.
#[derive(Debug, Args)]
pub(crate) struct Ssh {
    /// The host
    #[arg(value_parser = alias)]
    pub(crate) host: Alias,
    /// More words for ssh: options and a command
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "WORDS")]
    pub(crate) words: Vec<OsString>,
}

/// Forward ports over a host's login, which is made first if there is none
///
/// What ssh's -L, -R and -D take. Forwardings end with this command (Ctrl-C), or stay until the host is logged out of
/// (--background), also when the connection is replaced. Without any, prints those that are open.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  hop forward saga -L 8888:localhost:8888           a notebook there, as if it were here
  hop forward saga -L 5432:db.internal:5432 --background
  hop forward saga -R 0:localhost:5005              something here, on a free port there
  hop forward saga -D 1080                          a SOCKS proxy
  hop forward saga                                  what is open
  hop forward saga -L 5432:db.internal:5432 --cancel")]
pub(crate) struct Forward {
    /// The host
    #[arg(value_parser = alias)]
    pub(crate) host: Alias,
    /// Listen here, connect from there: [ADDRESS:]PORT:HOST:PORT, or paths of sockets
    #[arg(short = 'L', value_name = "FORWARD", value_parser = local)]
    pub(crate) local: Vec<mux::Forward>,
    /// Listen there, connect from here; without a destination ([ADDRESS:]PORT) as a SOCKS proxy
    #[arg(short = 'R', value_name = "FORWARD", value_parser = remote)]
    pub(crate) remote: Vec<mux::Forward>,
    /// Listen here as a SOCKS proxy: [ADDRESS:]PORT
    #[arg(short = 'D', value_name = "FORWARD", value_parser = dynamic)]
    pub(crate) dynamic: Vec<mux::Forward>,
    /// Leave them open
    #[arg(long)]
    pub(crate) background: bool,
    /// Close them
    #[arg(long, conflicts_with = "background")]
    pub(crate) cancel: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

fn local(text: &str) -> Result<mux::Forward, ForwardError> {
    mux::Forward::parse(Direction::Local, text)
}

fn remote(text: &str) -> Result<mux::Forward, ForwardError> {
    mux::Forward::parse(Direction::Remote, text)
}

fn dynamic(text: &str) -> Result<mux::Forward, ForwardError> {
    mux::Forward::parse(Direction::Dynamic, text)
}

/// Let ssh, scp, sftp, rsync and git share a host's login
#[derive(Debug, Args)]
pub(crate) struct SshConfig {
    #[command(subcommand)]
    pub(crate) action: SshConfigAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SshConfigAction {
    /// Write a host's block into ~/.ssh/hop.conf, and one Include line into ~/.ssh/config
    ///
    /// Shows what would change and asks first. Nothing else in ~/.ssh/config is touched; disable takes it out again.
    Enable(SshConfigChange),
    /// Take a host's block out again
    Disable(SshConfigChange),
    /// Print a host's block
    Show(SshConfigShow),
}

#[derive(Debug, Args)]
pub(crate) struct SshConfigChange {
    /// The host
    #[arg(value_parser = alias)]
    pub(crate) host: Alias,
    /// Do not ask
    #[arg(long, short = 'y')]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) kind: SshConfigKind,
}

#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct SshConfigKind {
    /// For tools that read only HostName, Port, User and IdentityFile (paramiko, ssh2.js, JetBrains): HOST-plain, by way
    /// of an SSH port of the daemon on 127.0.0.1
    #[arg(long)]
    pub(crate) plain: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SshConfigShow {
    /// The host
    #[arg(value_parser = alias)]
    pub(crate) host: Alias,
    #[command(flatten)]
    pub(crate) kind: SshConfigKind,
}

/// Answer what logins ask that were started elsewhere
///
/// Waits for questions until it is ended; one answer serves all who wait. With --page, a page in a browser does the same.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  hop answer              here, until Ctrl-C
  hop answer --page       in a browser on this computer

The page of another computer: ssh -L 8020:127.0.0.1:PORT HOST, and open its link with port 8020 in place of PORT")]
pub(crate) struct Answer {
    /// End when no question is open
    #[arg(long)]
    pub(crate) once: bool,
    /// Print a link to a page where questions are answered, and open it where there is a desktop; the link is good once,
    /// for ten minutes, on this computer
    #[arg(long, conflicts_with = "once")]
    pub(crate) page: bool,
    /// Only print the link
    #[arg(long, requires = "page")]
    pub(crate) no_open: bool,
}

/// The daemon that holds logins; it starts and stops by itself
#[derive(Debug, Args)]
pub(crate) struct Daemon {
    #[command(subcommand)]
    pub(crate) action: DaemonAction,
}

#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum DaemonAction {
    /// Start it now
    Start,
    /// End it, and with it every login
    Stop,
    /// Say whether it runs
    Status,
    /// Say where programs, such as notebooks, find its HTTP API
    ///
    /// Prints the address and the file that holds the token, which only you can read. The API has what a terminal has:
    /// status, login, logout, answering. No answer and no secret ever comes out of it. docs/clusters.md has examples.
    Api {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print a systemd user unit that keeps it running, and how to install it
    ///
    /// The daemon starts by itself, and stays as long as there is something to hold. With the unit it is there from your first
    /// session on, and with linger also after your last one.
    Unit,
    /// Be it; started by the others
    #[command(hide = true)]
    Run {
        /// Stay also when there is nothing to hold
        #[arg(long)]
        stay: bool,
    },
}

/// Called by ssh (Match exec in ~/.ssh/hop.conf): makes sure that a host's login is there
#[derive(Debug, Args)]
pub(crate) struct Ensure {
    #[arg(long, value_parser = alias)]
    pub(crate) id: Alias,
    #[arg(long)]
    pub(crate) name: String,
    #[arg(long)]
    pub(crate) addr: String,
    #[arg(long)]
    pub(crate) user: String,
    #[arg(long)]
    pub(crate) port: String,
    #[arg(long)]
    pub(crate) local_user: String,
}

/// Runs a program with its standard input as its controlling terminal; started by the daemon, never by hand
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct OnTerminal {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) words: Vec<OsString>,
}

/// Called by ssh (ProxyCommand in ~/.ssh/hop.conf) when it could not use a host's login
#[derive(Debug, Args)]
pub(crate) struct Dial {
    #[arg(value_parser = alias)]
    pub(crate) id: Alias,
    /// %n %r %h %p
    #[arg(allow_hyphen_values = true)]
    pub(crate) tokens: Vec<String>,
}
