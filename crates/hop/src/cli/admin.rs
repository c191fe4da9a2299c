//! `hop admin`: what can be typed.

use super::duration;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// Run a site from a shell: accounts, invitations, projects, members, keys, sessions, audit
///
/// Does what the pages do, by the same rules, for whoever may open the site's records: the user who runs the site,
/// or root. Changes act at once, also on open sessions, while the site runs or not.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  hop admin account add ada
  hop admin key add --account ada --title laptop --file id_ed25519.pub
  hop admin project add \"Protein folding\" --owner ada --alias folding
  hop admin member add folding bob --role collaborator
  hop admin session list --json
  hop admin --config /etc/hop/site.toml audit verify")]
pub(crate) struct Admin {
    /// The data directory of hop up
    #[arg(long, value_name = "DIR", default_value = "hop-data", global = true, conflicts_with = "config")]
    pub(crate) data: PathBuf,
    /// The settings of hop serve
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
    /// Print JSON: one document in each line
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) what: AdminCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AdminCommand {
    /// People who can sign in
    #[command(subcommand)]
    Account(AccountCommand),
    /// Links by which people get an account, perhaps with a project
    #[command(subcommand)]
    Invitation(InvitationCommand),
    /// What people log in to
    #[command(subcommand)]
    Project(ProjectCommand),
    /// Who may enter a project
    #[command(subcommand)]
    Member(MemberCommand),
    /// Public keys of accounts and projects
    #[command(subcommand)]
    Key(KeyCommand),
    /// Short-lived certificates of the site's CA
    #[command(subcommand)]
    Cert(CertCommand),
    /// SSH sessions that are open
    #[command(subcommand)]
    Session(SessionCommand),
    /// Who changed what
    #[command(subcommand)]
    Audit(AuditCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// List accounts
    List,
    /// Make an account and print its sign-in link
    Add {
        name: String,
        /// It runs the site
        #[arg(long)]
        admin: bool,
    },
    /// Print a link that signs an account in once
    Link {
        name: String,
        /// How long it counts
        #[arg(long, value_name = "TIME", value_parser = duration, default_value = "12h")]
        valid: Duration,
    },
    /// Take everything from an account: its sessions end now
    Suspend { name: String },
    /// Give a suspended account back what it had
    Activate { name: String },
}

#[derive(Debug, Subcommand)]
pub(crate) enum InvitationCommand {
    /// List open invitations
    List {
        /// Only those to this project
        #[arg(long, value_name = "PROJECT")]
        project: Option<String>,
    },
    /// Make an invitation and print its link
    Add {
        /// The project to which it invites
        #[arg(long, value_name = "PROJECT")]
        project: Option<String>,
        /// As what
        #[arg(long, value_enum, default_value = "collaborator", requires = "project")]
        role: MemberRole,
        /// How long it counts
        #[arg(long, value_name = "TIME", value_parser = duration, default_value = "7d")]
        valid: Duration,
    },
    /// Withdraw an invitation
    Remove { id: String },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProjectCommand {
    /// List projects
    List,
    /// Make a project
    Add {
        title: String,
        /// The account that owns it
        #[arg(long, value_name = "NAME")]
        owner: String,
        /// A short name for ssh: 3 to 32 lower-case letters, digits and hyphens
        #[arg(long)]
        alias: Option<String>,
    },
    /// Change title or alias
    Set {
        project: String,
        #[arg(long)]
        title: Option<String>,
        /// The new alias; an empty one takes it away
        #[arg(long)]
        alias: Option<String>,
    },
    /// Close a project for now: its sessions end
    Suspend { project: String },
    /// Open a suspended project
    Activate { project: String },
    /// Remove a project for good; its files stay on disk
    Remove { project: String },
}

#[derive(Debug, Subcommand)]
pub(crate) enum MemberCommand {
    /// List members
    List { project: String },
    /// Let an account in
    Add {
        project: String,
        account: String,
        #[arg(long, value_enum, default_value = "collaborator")]
        role: MemberRole,
    },
    /// Change what a member may do
    Set {
        project: String,
        account: String,
        #[arg(long, value_enum)]
        role: MemberRole,
    },
    /// Take a member out: its sessions there end
    Remove { project: String, account: String },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum MemberRole {
    /// Decides about members and keys
    Owner,
    /// Enters the project
    Collaborator,
}

/// Whose keys: an account's open all its projects, a project's open that one.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct KeyHolder {
    /// The account that has the key
    #[arg(long, value_name = "NAME")]
    pub(crate) account: Option<String>,
    /// The project that it opens; the account then answers for it
    #[arg(long, value_name = "PROJECT")]
    pub(crate) project: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// List keys with their last use
    List {
        #[command(flatten)]
        of: KeyHolder,
    },
    /// Add the public keys in a file
    Add {
        #[command(flatten)]
        of: KeyHolder,
        /// What to call it [default: the comment in the file]
        #[arg(long)]
        title: Option<String>,
        /// The file; - is standard input
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
        /// From now until when it opens anything [default: for ever]
        #[arg(long, value_name = "TIME", value_parser = duration)]
        valid: Option<Duration>,
    },
    /// Remove a key: the sessions that it opened end
    Remove { id: String },
}

#[derive(Debug, Subcommand)]
pub(crate) enum CertCommand {
    /// Issue a certificate for an account's public key and print it
    Issue {
        /// Whom it stands for
        #[arg(long, value_name = "NAME")]
        account: String,
        /// The public key
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
        /// How long it counts; a week at most
        #[arg(long, value_name = "TIME", value_parser = duration, default_value = "8h")]
        valid: Duration,
        /// The only command that its sessions run
        #[arg(long, value_name = "COMMAND")]
        force_command: Option<String>,
        /// Addresses and networks it can be used from, separated by commas
        #[arg(long, value_name = "LIST")]
        source_address: Option<String>,
        /// What its sessions may not do; may be given several times
        #[arg(long, value_enum, value_name = "WHAT")]
        no: Vec<Permit>,
    },
    /// List an account's certificates that count
    List {
        #[arg(long, value_name = "NAME")]
        account: String,
    },
    /// Revoke a certificate: its sessions end
    Revoke { serial: u64 },
    /// Print the public keys of the CAs
    Ca,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Permit {
    Pty,
    PortForwarding,
    AgentForwarding,
    X11Forwarding,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SessionCommand {
    /// List open sessions
    List {
        /// Only those into this project
        #[arg(long, value_name = "PROJECT")]
        project: Option<String>,
        /// Only those of this account
        #[arg(long, value_name = "NAME", conflicts_with = "project")]
        account: Option<String>,
    },
    /// End a session now
    End { id: String },
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Show the last changes, newest first
    List {
        /// How many
        #[arg(long, value_name = "COUNT", default_value_t = 50)]
        most: u32,
    },
    /// Check that nobody altered or removed a row
    Verify,
}
