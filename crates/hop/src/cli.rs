//! What can be typed. The doc comments are the help texts, the man pages and the reference.

pub(crate) mod admin;
pub(crate) mod agent;
pub(crate) mod jupyter;
pub(crate) mod out;
pub(crate) mod proxy;
pub(crate) mod secret;

use crate::site::role::Role;
use clap::{Args, Parser, Subcommand, ValueEnum};
use hop_ssh::Algorithms;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// SSH access for research computing: one login, every tool
///
/// Grasshopper gets people, their notebooks, their workflow engines and their web apps onto clusters and into
/// project environments over SSH.
#[derive(Debug, Parser)]
#[command(name = "hop", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What is called so often that its start counts. Building the tree of all commands takes 0.4 ms, a tenth of a whole
/// `hop exec`.
#[derive(Debug, Parser)]
#[command(name = "hop")]
enum Quick {
    Exec(out::Exec),
    Ensure(out::Ensure),
}

/// What was typed. Help and mistakes are answered by [`Cli`], and end the process.
pub(crate) fn command() -> Command {
    match Quick::try_parse() {
        Ok(Quick::Exec(arguments)) => Command::Exec(arguments),
        Ok(Quick::Ensure(arguments)) => Command::Ensure(arguments),
        Err(_) => Cli::parse().command,
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Up(Up),
    Serve(Serve),
    Admin(admin::Admin),
    Login(out::Login),
    Logout(out::Logout),
    Status(out::Status),
    Exec(out::Exec),
    Ssh(out::Ssh),
    Forward(out::Forward),
    SshConfig(out::SshConfig),
    Secret(secret::Secret),
    Agent(agent::Agent),
    Answer(out::Answer),
    Daemon(out::Daemon),
    Endpoint(Box<Endpoint>),
    SftpServer(SftpServer),
    Jupyter(jupyter::Jupyter),
    Proxy(proxy::Proxy),
    Completions(Completions),
    #[command(hide = true)]
    Man(Man),
    #[command(hide = true)]
    Role(RoleOf),
    #[command(hide = true)]
    Door,
    #[command(hide = true)]
    ProxyPort(ProxyPort),
    #[command(hide = true)]
    Walls(Walls),
    #[command(hide = true)]
    Ensure(out::Ensure),
    #[command(hide = true)]
    Dial(out::Dial),
    #[command(hide = true)]
    OnTerminal(out::OnTerminal),
}

/// Start a whole site: SSH gateway, web pages, projects; and print how to get in
///
/// Makes a data directory with everything on the first start (an account "admin", a first project, keys of the
/// site) and finds it again on later ones. Prints a link that signs you in on the pages, and the ssh line that
/// opens the first project. Ctrl-C stops it; a second one cuts open sessions.
///
/// Started by an ordinary user, projects are kept apart by user namespaces; started by root, the site's parts and
/// each project run as users of their own.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  hop up                          take the keys in ~/.ssh/*.pub, after asking
  hop up --add-keys yes           without asking
  hop up --ssh 127.0.0.1:0 --http 127.0.0.1:0 --json
                                  any free ports, and one line of JSON for scripts

For a site that others reach, write the settings into a file: hop serve --config site.toml.")]
pub(crate) struct Up {
    /// Where keys and settings are kept
    #[arg(long, value_name = "DIR", default_value = "hop-data")]
    pub(crate) data: PathBuf,
    /// Address and port for SSH; port 0 takes any free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:2222")]
    pub(crate) ssh: SocketAddr,
    /// Address and port for the web pages; port 0 takes any free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8022")]
    pub(crate) http: SocketAddr,
    /// Whether the public keys in ~/.ssh become admin's; asked on a terminal at the first start when not given
    #[arg(long, value_name = "WHETHER")]
    pub(crate) add_keys: Option<YesNo>,
    /// Do not keep projects apart from this user: for one person on their own machine
    #[arg(long)]
    pub(crate) unsandboxed: bool,
    /// Print one line of JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

/// Start a site as its settings file says
///
/// The same processes as hop up, with everything chosen: addresses, names that people see, PostgreSQL, TLS, what
/// projects reach and take. The manual page and docs/site.toml have all settings with their defaults.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  hop serve --config /etc/hop/site.toml
  hop serve --config site.toml --json
  hop serve --config site.toml --only keeper

A small settings file:
  data = \"/var/lib/hop\"
  ssh = \"0.0.0.0:22\"
  http = \"127.0.0.1:8022\"
  behind_proxy = [\"127.0.0.1/32\"]
  [public]
  url = \"https://hop.example.org\"
  ssh_name = \"hop.example.org\"")]
pub(crate) struct Serve {
    /// The settings
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Run this part of the site only; may be given several times. The parts find one another in the data directory,
    /// so that each can be a service of its own
    #[arg(long, value_name = "PART")]
    pub(crate) only: Vec<Role>,
    /// Print one line of JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

/// One process of a site; started by hop up and hop serve, never by hand
#[derive(Debug, Args)]
pub(crate) struct RoleOf {
    pub(crate) role: Role,
}

/// Leads a project's proxy port to the site's socket; started by the keeper, never by hand
#[derive(Debug, Args)]
pub(crate) struct ProxyPort {
    pub(crate) socket: PathBuf,
}

/// Runs a program behind a project's walls; started by the keeper, never by hand
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Walls {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) words: Vec<OsString>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum YesNo {
    Yes,
    No,
}

/// Serve SSH for one environment: shell, commands, SFTP, forwardings
///
/// Runs as whoever starts it and gives logins exactly that user's rights; needs no root, no passwd entry and
/// no OpenSSH. Files with keys are read again at every login.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  hop endpoint --listen 127.0.0.1:2222 --authorized-keys ~/.ssh/authorized_keys
  hop endpoint --unix ~/.hop/ssh.sock --trusted-user-ca user_ca.pub --revoked-keys revoked.krl
  ssh -o ProxyCommand='hop endpoint --stdio --authorized-keys keys' anything")]
pub(crate) struct Endpoint {
    /// Listen on this address and port; port 0 takes any free one; may be given several times
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Vec<SocketAddr>,
    /// Listen on a Unix socket that only this user can connect to
    #[arg(long, value_name = "PATH")]
    pub(crate) unix: Vec<PathBuf>,
    /// Take WebSockets on this address, or at unix:PATH, with SSH in their binary frames; may be given several times
    #[arg(long, value_name = "ADDR|unix:PATH")]
    pub(crate) websocket: Vec<WebSocketPlace>,
    /// Path at which WebSockets are taken
    #[arg(long, value_name = "PATH", default_value = "/sshd/", requires = "websocket")]
    pub(crate) path: String,
    /// Serve one connection on standard input and output
    #[arg(long, conflicts_with_all = ["listen", "unix", "websocket"])]
    pub(crate) stdio: bool,
    /// Standard input and output are a text terminal: carry SSH in lines, as hop proxy --through-terminal wants it
    #[arg(long, requires = "stdio")]
    pub(crate) framed: bool,
    /// Standard input is a listening Unix socket of the site that started this process; its gateway
    /// authenticates and vouches for whoever comes
    #[arg(long, hide = true, conflicts_with_all = ["listen", "unix", "websocket", "stdio", "authorized_keys", "host_key"])]
    pub(crate) site: bool,
    /// Private host key; FILE-cert.pub beside it is its certificate; made and kept when none is given
    #[arg(long, value_name = "FILE")]
    pub(crate) host_key: Vec<PathBuf>,
    /// Where host keys are kept that are made here [default: ~/.local/share/hop/host-keys]
    #[arg(long, value_name = "DIR", conflicts_with = "host_key")]
    pub(crate) host_key_dir: Option<PathBuf>,
    /// Who may log in, in the format of sshd
    #[arg(long, value_name = "FILE")]
    pub(crate) authorized_keys: Vec<PathBuf>,
    /// CA whose user certificates are accepted; one public key in a line
    #[arg(long, value_name = "FILE")]
    pub(crate) trusted_user_ca: Vec<PathBuf>,
    /// Revoked keys and certificates: a KRL or a list of public keys
    #[arg(long, value_name = "FILE")]
    pub(crate) revoked_keys: Option<PathBuf>,
    /// Name that may be logged in as, "*" for any; all mean the same account [default: this user's name]
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Vec<String>,
    /// Which algorithms are offered
    #[arg(long, value_enum, default_value = "default")]
    pub(crate) algorithms: AlgorithmSet,
    /// Time for logging in
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "2m")]
    pub(crate) login_grace_time: Duration,
    /// Failed signatures before a connection is ended; keys that are only asked about do not count
    #[arg(long, value_name = "COUNT", default_value_t = 6)]
    pub(crate) max_auth_tries: u32,
    /// Connections that may be logging in at once; more wait
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    pub(crate) max_startups: usize,
    /// Sessions at once on one connection
    #[arg(long, value_name = "COUNT", default_value_t = 64)]
    pub(crate) max_sessions: usize,
    /// End connections without data for this long; keepalives are no data [default: never]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) idle_time: Option<Duration>,
    /// Replace keys after this many bytes in one direction [default: what the cipher allows]
    #[arg(long, value_name = "BYTES")]
    pub(crate) rekey_bytes: Option<u64>,
    /// Whether -R may listen beyond loopback, as sshd's GatewayPorts
    #[arg(long, value_enum, default_value = "no")]
    pub(crate) gateway_ports: GatewayPorts,
    /// Sessions get this process's whole environment, HOME and SHELL included, not only PATH, TZ, LANG and proxies
    #[arg(long)]
    pub(crate) inherit_env: bool,
    /// For a program that starts this one: end with standard input, print a line of JSON when channel data went by
    #[arg(long, hide = true, requires = "json", conflicts_with = "stdio")]
    pub(crate) attended: bool,
    /// Socket on which that program hands over connections whose WebSocket was asked for
    #[arg(long, value_name = "PATH", hide = true, requires = "attended")]
    pub(crate) hand_over: Option<PathBuf>,
    /// Print one line of JSON that says where it listens, instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where WebSockets are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WebSocketPlace {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl std::str::FromStr for WebSocketPlace {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix("unix:") {
            Some("") => Err("unix: wants a path behind it"),
            Some(path) => Ok(Self::Unix(path.into())),
            None => text
                .parse()
                .map(Self::Tcp)
                .map_err(|_| "use an address with a port, as 127.0.0.1:0, or unix:PATH"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AlgorithmSet {
    /// What no current audit objects to
    Default,
    /// Also ECDH and ECDSA on NIST curves and plain HMAC-SHA2, for older peers
    Compatible,
}

impl AlgorithmSet {
    /// What is in it.
    pub(crate) fn algorithms(self) -> Algorithms {
        match self {
            Self::Default => Algorithms::default(),
            Self::Compatible => Algorithms::compatible(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum GatewayPorts {
    /// Loopback only
    No,
    /// The address that the client asks for
    Clientspecified,
    /// All addresses
    Yes,
}

/// Serve SFTP on standard input and output, as OpenSSH's sftp-server
///
/// Takes the options of sftp-server(8): -e -l -f -R -P -p -d -u -Q. Also runs when the program is called
/// sftp-server.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct SftpServer {
    /// Options of sftp-server(8)
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) arguments: Vec<OsString>,
}

/// Print completions for a shell
#[derive(Debug, Args)]
#[command(after_long_help = "\
Example:
  hop completions bash > ~/.local/share/bash-completion/completions/hop")]
pub(crate) struct Completions {
    pub(crate) shell: clap_complete::Shell,
}

/// Write the manual pages into a directory
#[derive(Debug, Args)]
pub(crate) struct Man {
    pub(crate) directory: PathBuf,
}

/// Reads "90", "90s", "5m", "2h", "1d" as a time.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (digits, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
        Some(end) => text.split_at(end),
        None => (text, "s"),
    };
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err("use a number with s, m, h or d, as in 90s or 5m".to_owned()),
    };
    let count: u64 =
        digits.parse().map_err(|_| "use a number with s, m, h or d, as in 90s or 5m".to_owned())?;
    match count.checked_mul(factor) {
        Some(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds)),
        _ => Err("the time must be longer than nothing and shorter than for ever".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
        Quick::command().debug_assert();
    }

    #[test]
    fn what_is_parsed_quickly_is_a_command_like_the_others() {
        for words in [
            vec!["hop", "exec", "saga", "-t", "--", "id", "-u"],
            vec!["hop", "exec", "saga", "squeue", "--me"],
            vec![
                "hop",
                "ensure",
                "--id",
                "saga",
                "--name",
                "s",
                "--addr",
                "a",
                "--user",
                "u",
                "--port",
                "22",
                "--local-user",
                "l",
            ],
        ] {
            let quick = Quick::try_parse_from(&words).unwrap();
            let whole = format!("{:?}", Cli::try_parse_from(&words).unwrap().command);
            assert_eq!(format!("{quick:?}"), whole);
        }
        for words in [vec!["hop", "exec"], vec!["hop", "exec", "--help"], vec!["hop", "login", "saga"]] {
            assert!(Quick::try_parse_from(words).is_err());
        }
    }

    #[test]
    fn times_as_people_write_them() {
        for (text, seconds) in [("90", 90), ("90s", 90), ("5m", 300), ("2h", 7200), ("1d", 86_400)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)));
        }
        for wrong in ["", "m", "0", "1w", "-1", "1.5h", "99999999999999999999d"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
