//! `hop up`: a whole site for the person who runs it, and the lines that get them in.

use super::server;
use crate::cli::{self, YesNo};
use crate::error::CommandError;
use crate::output;
use crate::site::settings::{Projects, Settings};
use crate::site::supervisor::Supervisor;
use hop_endpoint::account::Account;
use hop_keys::PublicKey;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

/// Runs the site until a signal.
pub(crate) fn run(arguments: &cli::Up) -> Result<(), CommandError> {
    server::log_to_stderr("warn");
    let offered = offered_keys(arguments);
    let settings = Settings {
        data: arguments.data.clone(),
        ssh: arguments.ssh,
        http: arguments.http,
        projects: Projects { sandbox: !arguments.unsandboxed, ..Projects::default() },
        ..Settings::default()
    };
    server::runtime()?.block_on(async {
        let supervisor = Supervisor::prepare(settings, offered, &[])?;
        supervisor.run(|ready| ready.map_or(Ok(()), |ready| ready.announce(arguments.json))).await
    })
}

/// The person's own public keys, if they may be used; asked for at the first start.
fn offered_keys(arguments: &cli::Up) -> Vec<String> {
    let account = Account::current(&server::account_hints());
    let is_first = !arguments.data.join("site").exists();
    let found = own_keys(&server::home_directory(&account).join(".ssh"));
    let wanted = match arguments.add_keys {
        Some(answer) => answer == YesNo::Yes,
        None => is_first && !found.is_empty() && std::io::stdin().is_terminal() && ask(&found),
    };
    if wanted && found.is_empty() {
        output::warning("there is no public key in ~/.ssh");
        output::note("hint: make one with ssh-keygen -t ed25519, then start with --add-keys yes");
    }
    if !wanted {
        return Vec::new();
    }
    found.iter().map(|(key, comment)| key.to_line(comment).trim().to_owned()).collect()
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
    output::note("May they open your projects? [Y/n]");
    let mut answer = String::new();
    match std::io::stdin().read_line(&mut answer) {
        Ok(0) | Err(_) => false,
        Ok(_) => matches!(answer.trim().to_ascii_lowercase().as_str(), "" | "y" | "yes"),
    }
}
