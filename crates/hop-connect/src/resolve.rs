//! What `ssh ALIAS` means by the user's own configuration, as `ssh -G ALIAS` says it.
//!
//! Must stay true: nobody but `ssh` reads ssh_config (Match, Include, tokens, canonicalization), so that what works
//! with `ssh` works here. What it prints is bounded in size and time.

use crate::alias::Alias;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::io;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

/// `ssh -G` runs the `Match exec` commands of the configuration, and may ask DNS for canonical names.
const LIMIT: Duration = Duration::from_secs(15);
/// A configuration with hundreds of lines prints a few kilobytes.
const LONGEST_OUTPUT: u64 = 256 * 1024;

/// How a host is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// By its own address.
    Direct,
    /// Through these jump hosts, as ProxyJump has them.
    Jump(String),
    /// By a command.
    Command(String),
}

/// What of a host's configuration matters for sharing its connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolved {
    /// The address.
    pub host_name: String,
    /// The account there.
    pub user: String,
    /// The port.
    pub port: u16,
    /// How it is reached.
    pub route: Route,
    /// The key files, as the configuration has them.
    pub identity_files: Vec<String>,
    /// Certificates of keys, likewise; those beside a key file are not named.
    pub certificate_files: Vec<String>,
    /// Whether the connection forwards the agent (other than `no`).
    pub forward_agent: bool,
    /// Whether it forwards X11.
    pub forward_x11: bool,
    /// Environment variables that go along, as patterns.
    pub send_env: Vec<String>,
    /// `NAME=value` that the configuration sets.
    pub set_env: Vec<String>,
    /// Whether the configuration has a keepalive of its own.
    pub has_keepalive: bool,
    /// Whether it has a time limit for connecting.
    pub has_connect_timeout: bool,
    /// Whether a Kerberos ticket is offered.
    pub gssapi: bool,
    /// `BatchMode yes`: ssh asks nobody anything.
    pub batch_mode: bool,
}

/// Why a host's configuration is not known.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The program could not be run.
    #[error("cannot run {program}: {source}\nhint: install OpenSSH's client (Debian: openssh-client)")]
    Start {
        /// What was run.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// It says that the configuration is wrong.
    #[error("ssh does not accept the configuration of {alias}: {said}\nhint: ssh -G {alias} says the same")]
    Refused {
        /// The host.
        alias: Alias,
        /// Its last line.
        said: String,
    },
    /// It took too long.
    #[error("`ssh -G {alias}` took longer than {} seconds\nhint: a Match exec in ~/.ssh/config may hang", LIMIT.as_secs())]
    Slow {
        /// The host.
        alias: Alias,
    },
    /// It printed what was not expected.
    #[error("`ssh -G {alias}` did not say {missing}")]
    Incomplete {
        /// The host.
        alias: Alias,
        /// What was not there.
        missing: &'static str,
    },
}

/// The program that connects, with what it must see of the environment.
#[derive(Clone, Debug)]
pub struct Ssh {
    /// `ssh` or a compatible one.
    pub program: OsString,
    /// Environment variables to set; the others are those of this process.
    pub environment: Vec<(OsString, OsString)>,
}

/// What a person gave on a command line instead of in the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Given {
    /// The account, as ssh's `-l`.
    pub user: Option<UserName>,
    /// The port, as ssh's `-p`.
    pub port: Option<u16>,
}

impl Given {
    /// The words for ssh.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let user = self.user.iter().flat_map(|user| ["-l".to_owned(), user.0.clone()]);
        let port = self.port.iter().flat_map(|port| ["-p".to_owned(), port.to_string()]);
        user.chain(port).collect()
    }
}

/// An account's name that is nothing else in a command line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserName(String);

impl UserName {
    /// Reads what was typed.
    ///
    /// # Errors
    /// When it is empty, long, begins with a dash, or has a character with a meaning for a shell (as OpenSSH 9.6).
    pub fn parse(text: &str) -> Result<Self, String> {
        let is_plain = |c: char| !c.is_control() && !c.is_whitespace() && !"'`\"$\\;&<>|(){}".contains(c);
        if text.is_empty() || text.len() > 255 || text.starts_with('-') || !text.chars().all(is_plain) {
            return Err("this cannot be a user's name".to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for UserName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl From<UserName> for String {
    fn from(user: UserName) -> Self {
        user.0
    }
}

/// The variable that tells our own `Match exec` that a connection's own ssh asks.
pub const MASTER_VARIABLE: &str = "HOP_MASTER";

/// Asks `ssh -G`.
///
/// # Errors
/// When ssh is missing, refuses the configuration, or takes too long.
pub async fn resolve(ssh: &Ssh, alias: &Alias, given: &Given) -> Result<Resolved, ResolveError> {
    let start = |source| ResolveError::Start { program: ssh.program.to_string_lossy().into_owned(), source };
    let mut child = Command::new(&ssh.program)
        .arg("-G")
        .args(given.words())
        .args(["--", alias.as_str()])
        .envs(ssh.environment.iter().map(|(name, value)| (name, value)))
        .env(MASTER_VARIABLE, alias.as_str())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(start)?;
    let (mut output, mut said) = (String::new(), String::new());
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(start(io::ErrorKind::BrokenPipe.into()));
    };
    let (mut stdout, mut stderr) = (stdout.take(LONGEST_OUTPUT), stderr.take(LONGEST_OUTPUT));
    let running = async {
        tokio::try_join!(stdout.read_to_string(&mut output), stderr.read_to_string(&mut said))?;
        // Whoever prints more than is read would wait for ever.
        drop((stdout, stderr));
        child.wait().await
    };
    let status = tokio::time::timeout(LIMIT, running)
        .await
        .map_err(|_| ResolveError::Slow { alias: alias.clone() })?
        .map_err(start)?;
    if !status.success() {
        let said = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("nothing").trim().to_owned();
        return Err(ResolveError::Refused { alias: alias.clone(), said });
    }
    parse(&output).map_err(|missing| ResolveError::Incomplete { alias: alias.clone(), missing })
}

/// Reads the lines of `ssh -G`: a keyword in lower case, a space, the value.
fn parse(output: &str) -> Result<Resolved, &'static str> {
    let values = |keyword: &'static str| {
        output
            .lines()
            .filter_map(move |line| line.split_once(' ').filter(|(word, _)| *word == keyword))
            .map(|(_, value)| value.to_owned())
    };
    let first = |keyword: &'static str| values(keyword).next();
    let is_set = |keyword: &'static str| {
        first(keyword).is_some_and(|value| !matches!(value.as_str(), "no" | "none" | "0" | "false"))
    };
    let named = |value: &String| !value.eq_ignore_ascii_case("none");
    let route = match (first("proxycommand").filter(named), first("proxyjump").filter(named)) {
        (Some(command), _) => Route::Command(command),
        (None, Some(jump)) => Route::Jump(jump),
        (None, None) => Route::Direct,
    };
    Ok(Resolved {
        host_name: first("hostname").ok_or("a host name")?,
        user: first("user").ok_or("a user")?,
        port: first("port").and_then(|port| port.parse().ok()).ok_or("a port")?,
        route,
        identity_files: values("identityfile").collect(),
        certificate_files: values("certificatefile").collect(),
        forward_agent: is_set("forwardagent"),
        forward_x11: is_set("forwardx11"),
        send_env: values("sendenv").collect(),
        set_env: values("setenv").collect(),
        has_keepalive: is_set("serveraliveinterval"),
        has_connect_timeout: is_set("connecttimeout"),
        gssapi: is_set("gssapiauthentication"),
        batch_mode: is_set("batchmode"),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What OpenSSH 9.2 prints, shortened.
    const PRINTED: &str = "\
host cluster
user alice
hostname 10.77.2.2
port 22
batchmode no
forwardagent no
forwardx11 no
serveraliveinterval 0
connecttimeout none
identityfile ~/.ssh/id_ed25519
identityfile ~/.ssh/id_rsa
sendenv LANG
sendenv LC_*
setenv FOO=a b
proxyjump bastion
";

    pub(crate) fn cluster() -> Resolved {
        parse(PRINTED).unwrap()
    }

    #[test]
    fn the_lines_of_ssh_g() {
        let found = cluster();
        assert_eq!((found.host_name.as_str(), found.user.as_str(), found.port), ("10.77.2.2", "alice", 22));
        assert_eq!(found.route, Route::Jump("bastion".to_owned()));
        assert_eq!(found.identity_files, ["~/.ssh/id_ed25519", "~/.ssh/id_rsa"]);
        assert_eq!(
            (found.send_env, found.set_env),
            (vec!["LANG".into(), "LC_*".into()], vec!["FOO=a b".into()])
        );
        assert!(
            !found.has_keepalive && !found.has_connect_timeout && !found.forward_agent && !found.batch_mode
        );
        let direct = parse("user a\nhostname b\nport 1\nproxycommand none\n").unwrap();
        assert_eq!(direct.route, Route::Direct);
        let command = parse("user a\nhostname b\nport 1\nproxycommand nc %h %p\nforwardagent yes\n").unwrap();
        assert_eq!(command.route, Route::Command("nc %h %p".to_owned()));
        assert!(command.forward_agent);
        assert_eq!(parse("user a\nhostname b\nport x\n"), Err("a port"));
    }

    #[test]
    fn what_is_given_is_words_of_ssh_and_nothing_else() {
        let given = Given { user: Some(UserName::parse("alice").unwrap()), port: Some(2222) };
        assert_eq!(given.words(), ["-l", "alice", "-p", "2222"]);
        assert!(Given::default().words().is_empty());
        for wrong in ["", "-oProxyCommand=x", "a b", "$(x)", "a'b", "a\nb"] {
            assert!(UserName::parse(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "(\\PC{0,20}\n){0,20}") {
            let _ = parse(&text);
        }
    }
}
