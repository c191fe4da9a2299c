//! `hop up`: a project for the person who runs it, and the ssh line that opens it.

use super::serve;
use crate::cli::{self, YesNo};
use crate::error::{CommandError, ErrorKind, OrFail};
use crate::output;
use hop_endpoint::Endpoint;
use hop_endpoint::access::Access;
use hop_endpoint::account::Account;
use hop_endpoint::host_keys;
use hop_endpoint::listener::{Listener, ListenerAddress};
use hop_keys::PublicKey;
use hop_ssh::ServerConfig;
use serde::Serialize;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Announcement {
    ssh: SocketAddr,
    user: String,
    command: String,
    host_keys: Vec<serve::AnnouncedKey>,
    authorized_keys: PathBuf,
}

/// Runs the project until a signal.
pub(crate) fn run(arguments: &cli::Up) -> Result<(), CommandError> {
    serve::log_to_stderr("warn");
    let account = Account::current(&serve::account_hints());
    prepare(&arguments.data)?;
    let keys = host_keys::keep(&arguments.data.join("host-keys")).or_fail(ErrorKind::Config)?;
    let announced = serve::announced(&keys);
    let authorized = arguments.data.join("authorized_keys");
    add_keys(arguments, &account, &authorized)?;

    let access = Access {
        users: vec![account.name.clone()],
        authorized_keys: vec![authorized.clone()],
        ..Access::default()
    };
    for complaint in access.check().or_fail(ErrorKind::Config)? {
        output::warning(&complaint);
    }
    let user = account.name.clone();
    if account.is_root() {
        output::warning("you are root, so whoever opens this project is root, too");
    }
    let endpoint = Endpoint::new(serve::config(account, ServerConfig::new(serve::host_keys(keys)), access));
    serve::runtime()?.block_on(async {
        let signals = serve::Signals::catch()?;
        let listener = Listener::tcp(arguments.ssh).or_fail(ErrorKind::Unavailable)?;
        let ListenerAddress::Tcp(ssh) = listener.address().or_fail(ErrorKind::Unavailable)? else {
            return Err(CommandError::new(ErrorKind::Internal, "a TCP listener has no address"));
        };
        let command = format!("ssh -p {} {user}@{}", ssh.port(), ssh.ip());
        if arguments.json {
            let document =
                Announcement { ssh, user, command, host_keys: announced, authorized_keys: authorized };
            output::json(&document)?;
        } else {
            print(&command, &announced, &authorized);
        }
        serve::serve_until_signal(endpoint, vec![listener], signals).await
    })
}

fn print(command: &str, host_keys: &[serve::AnnouncedKey], authorized: &Path) {
    output::line(&format!("\nOpen your project with\n\n    {command}\n"));
    output::line("The first time, compare the fingerprint that ssh shows with one of");
    for key in host_keys {
        output::line(&format!("    {}  {}", key.fingerprint, key.algorithm));
    }
    output::line(&format!("\nWho may open it stands in {}. Ctrl-C stops it.", authorized.display()));
}

/// Makes the data directory, or checks the one that is there.
fn prepare(data: &Path) -> Result<(), CommandError> {
    let cannot = |what: &str, error: std::io::Error| {
        CommandError::new(
            ErrorKind::Config,
            format!("cannot {what} the data directory {}: {error}", data.display()),
        )
        .hint("--data DIR chooses another place")
    };
    DirBuilder::new().recursive(true).mode(0o700).create(data).map_err(|error| cannot("make", error))?;
    let metadata = std::fs::metadata(data).map_err(|error| cannot("read", error))?;
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(CommandError::new(
            ErrorKind::Config,
            format!("the data directory {} belongs to another user", data.display()),
        )
        .hint("--data DIR chooses another place"));
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(CommandError::new(
            ErrorKind::Config,
            format!(
                "the data directory {} is open to others (mode {:03o})",
                data.display(),
                metadata.mode() & 0o777
            ),
        )
        .hint(format!("chmod 700 {}", data.display())));
    }
    Ok(())
}

/// On the first start, offers the person's own public keys.
fn add_keys(arguments: &cli::Up, account: &Account, authorized: &Path) -> Result<(), CommandError> {
    if authorized.exists() && arguments.add_keys != Some(YesNo::Yes) {
        return Ok(());
    }
    let found = own_keys(&serve::home_directory(account).join(".ssh"));
    let known = std::fs::read_to_string(authorized).unwrap_or_default();
    let new: Vec<String> = found
        .iter()
        .filter(|(key, _)| !known.contains(key.to_line("").trim()))
        .map(|(key, comment)| key.to_line(comment))
        .collect();
    let wanted = match arguments.add_keys {
        Some(answer) => answer == YesNo::Yes,
        None if new.is_empty() => false,
        None if std::io::stdin().is_terminal() => ask(&found),
        None => false,
    };
    let mut options = OpenOptions::new();
    let written = options.append(true).create(true).mode(0o600).open(authorized).and_then(|mut file| {
        for line in new.iter().filter(|_| wanted) {
            writeln!(file, "{}", line.trim())?;
        }
        file.sync_all()
    });
    written.map_err(|error| {
        CommandError::new(ErrorKind::Config, format!("cannot write {}: {error}", authorized.display()))
    })?;
    let empty = std::fs::metadata(authorized).is_ok_and(|metadata| metadata.len() == 0);
    if empty {
        output::warning(&format!("nobody can log in yet: {} is empty", authorized.display()));
        output::note(match found.is_empty() {
            true => "hint: make a key with ssh-keygen -t ed25519, then start with --add-keys yes",
            false => "hint: start with --add-keys yes to let your own keys in",
        });
    }
    Ok(())
}

/// The public keys in a directory, in the order of their files.
fn own_keys(directory: &Path) -> Vec<(PublicKey, String)> {
    let mut keys: Vec<(PublicKey, String)> = Vec::new();
    let Ok(entries) = std::fs::read_dir(directory) else { return keys };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let is_public = path.extension().is_some_and(|extension| extension == "pub");
        if !is_public {
            continue;
        }
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        if let Ok((key, comment)) = PublicKey::parse_line(text.trim())
            && !keys.iter().any(|(known, _)| *known == key)
        {
            keys.push((key, comment.to_owned()));
        }
    }
    keys
}

fn ask(keys: &[(PublicKey, String)]) -> bool {
    output::note("These public keys of yours were found:");
    for (key, comment) in keys {
        output::note(&format!("    {}  {}  {comment}", key.fingerprint(), key.algorithm().name()));
    }
    output::note("May they open the project? [Y/n]");
    let mut answer = String::new();
    match std::io::stdin().read_line(&mut answer) {
        Ok(0) | Err(_) => false,
        Ok(_) => matches!(answer.trim().to_ascii_lowercase().as_str(), "" | "y" | "yes"),
    }
}
