//! What can be typed for servers behind a JupyterHub.

use super::{YesNo, duration};
use clap::{Args, Subcommand};
use hop_connect::Alias;
use std::path::PathBuf;
use std::time::Duration;

/// Reach your server behind a JupyterHub with ssh, scp, rsync, git, VS Code
///
/// Once set up, plain ssh NAME starts the server if it is stopped, and goes in. The Hub's token is the first lock and an
/// SSH key is the second.
#[derive(Debug, Args)]
pub(crate) struct Jupyter {
    #[command(subcommand)]
    pub(crate) command: JupyterCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum JupyterCommand {
    Add(Box<Add>),
    List(List),
    Status(Named),
    Login(Login),
    Remove(Remove),
}

fn alias(text: &str) -> Result<Alias, String> {
    Alias::parse(text).map_err(|error| error.to_string())
}

fn json_object(text: &str) -> Result<serde_json::Value, String> {
    match serde_json::from_str(text) {
        Ok(value @ serde_json::Value::Object(_)) => Ok(value),
        Ok(_) => Err("use a JSON object, as {\"profile\": \"small\"}".to_owned()),
        Err(error) => Err(format!("that is no JSON: {error}")),
    }
}

/// Where a token comes from and what becomes of it.
#[derive(Debug, Args)]
pub(crate) struct TokenArguments {
    /// File with a token, "-" for standard input; else it is asked for on the terminal, without echo
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// How long a token that is made here lives
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30d")]
    pub(crate) expires: Duration,
    /// Keep the right to make tokens, so that the token is renewed by itself; whoever has such a token has all your rights
    #[arg(long)]
    pub(crate) renew: bool,
    /// Whether a token with more rights than needed is revoked after it was traded for a small one; asked on a terminal
    #[arg(long, value_name = "WHETHER")]
    pub(crate) revoke_large: Option<YesNo>,
}

/// Set up ssh to your server: token, key, ~/.ssh/config
///
/// Gets a token from you (the page where you make it is opened in a browser), trades one with all rights for one that may
/// only start and reach your server and ends by itself, keeps it in the desktop's keyring or an encrypted file, starts the
/// server, puts your public key there, and writes a block into ~/.ssh/hop-jupyter.conf, which ~/.ssh/config includes.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  hop jupyter add https://hub.example.org
  hop jupyter add https://hub.example.org --server lab --name lab
  hop jupyter add https://hub.example.org --key https://github.com/NAME.keys
  hop jupyter add https://hub.example.org --options '{\"profile\": \"small\"}'
  hop jupyter add https://hub.example.org --through-terminal      nothing can be installed in its image
  hop jupyter add https://hub.example.org --token-file - --yes < token    without a terminal

Without a desktop's keyring the token is in ~/.local/share/hop/secrets, encrypted. Its passphrase is asked for once in
8 hours, or read from the file that HOP_PASSPHRASE_FILE names.")]
pub(crate) struct Add {
    /// The Hub: the address of any of its pages
    #[arg(value_name = "HUB")]
    pub(crate) hub: String,
    /// Whose server [default: the token's owner]
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// A named server [default: the first one]
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub(crate) server: String,
    /// What you type after ssh [default: from the Hub's name]
    #[arg(long, value_name = "NAME", value_parser = alias)]
    pub(crate) name: Option<Alias>,
    /// Public key, as a file or an https:// page of keys [default: one of ~/.ssh/*.pub]
    #[arg(long, value_name = "FILE|URL")]
    pub(crate) key: Option<String>,
    #[command(flatten)]
    pub(crate) token: TokenArguments,
    /// What the Hub's start form is answered with, where it has one
    #[arg(long, value_name = "JSON", value_parser = json_object)]
    pub(crate) options: Option<serde_json::Value>,
    /// CA certificates (PEM) to trust beside the system's
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Time for the server to start
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10m")]
    pub(crate) start_timeout: Duration,
    /// Where nothing serves SSH and nothing can be installed: put hop into the home there, and carry SSH through a terminal of
    /// the server; slower. Asked on a terminal where it is needed
    #[arg(long)]
    pub(crate) through_terminal: bool,
    /// The hop to put there, where the server is another kind of machine than this [default: this one]
    #[arg(long, value_name = "FILE", requires = "through_terminal")]
    pub(crate) binary: Option<PathBuf>,
    /// Agree to the changes of ~/.ssh without being asked
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Do not try ssh at the end
    #[arg(long)]
    pub(crate) no_test: bool,
}

/// List the servers that were set up
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  hop jupyter list
  hop jupyter list --json")]
pub(crate) struct List {
    /// Print one line of JSON for each
    #[arg(long)]
    pub(crate) json: bool,
}

/// Show a server: whether it runs, how long the token lasts, which keys it takes
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  hop jupyter status hub
  hop jupyter status hub --json")]
pub(crate) struct Named {
    /// What you type after ssh
    #[arg(value_parser = alias)]
    pub(crate) name: Alias,
    /// Print one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Give a new token, when the old one is expired, revoked or lost
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  hop jupyter login hub
  hop jupyter login hub --token-file - < token")]
pub(crate) struct Login {
    /// What you type after ssh
    #[arg(value_parser = alias)]
    pub(crate) name: Alias,
    #[command(flatten)]
    pub(crate) token: TokenArguments,
}

/// Forget a server: its block, its keys over there, its token
///
/// The server itself is left alone.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Example:
  hop jupyter remove hub")]
pub(crate) struct Remove {
    /// What you type after ssh
    #[arg(value_parser = alias)]
    pub(crate) name: Alias,
    /// Agree to the changes of ~/.ssh without being asked
    #[arg(long, short)]
    pub(crate) yes: bool,
}
