//! The public keys over there: chosen, put, prolonged, listed, removed.

use super::TIME;
use super::token::{machine, open_in_browser};
use crate::command::out::ssh_config::home;
use crate::command::vault::ask_yes_no;
use crate::command::web;
use crate::error::{CommandError, ErrorKind, OrFail};
use crate::output;
use hop_jupyter::{
    Asked, InstalledKey, KeyDoor, KeyDoorError, KeySource, Offer, PublicLine, Record, RequestState,
};
use hop_link::{Secret, Target};
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;

/// How long the person may take to confirm in the browser.
const CONFIRM: Duration = Duration::from_secs(600);
/// From asking whether they did to asking again.
const AGAIN: Duration = Duration::from_secs(1);
/// OpenSSH's own order, newest first.
const NAMES: [&str; 3] = ["id_ed25519", "id_ecdsa", "id_rsa"];

/// Keys, and the private one's file if it is here.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) lines: Vec<PublicLine>,
    pub(super) public: Option<PathBuf>,
    pub(super) identity: Option<PathBuf>,
}

/// The keys that the person means.
pub(super) async fn choose(wanted: Option<&str>, ca_file: Option<&Path>) -> Result<Chosen, CommandError> {
    let folder = home().join(".ssh");
    let own = || NAMES.iter().map(|name| folder.join(format!("{name}.pub"))).find(|path| path.exists());
    let source = match wanted {
        Some(text) => KeySource::parse(text).or_fail(ErrorKind::Config)?,
        None => KeySource::File(match own() {
            Some(path) => path,
            None => make(&folder)?,
        }),
    };
    let options = web::options(None, matches!(source, KeySource::Page(_)), ca_file, TIME)?;
    let lines = source.read(&options).await.or_fail(ErrorKind::Config)?;
    let public = match source {
        KeySource::File(path) => Some(std::path::absolute(path).or_fail(ErrorKind::Config)?),
        KeySource::Page(_) => None,
    };
    // Where only the public one is here, an agent has the private one; ssh finds it by the public.
    let identity = public.as_ref().map(|path| match path.extension() {
        Some(extension) if extension == "pub" && path.with_extension("").exists() => path.with_extension(""),
        _ => path.clone(),
    });
    Ok(Chosen { lines, public, identity })
}

/// Has ssh-keygen make a key: it asks for a passphrase itself.
fn make(folder: &Path) -> Result<PathBuf, CommandError> {
    let path = folder.join("id_ed25519");
    let none = || {
        CommandError::new(ErrorKind::Config, format!("there is no public key in {}", folder.display()))
            .hint("ssh-keygen -t ed25519 makes one; --key FILE.pub names another place")
    };
    if ask_yes_no(&format!("There is no SSH key in {}. Make one?", folder.display()))? != Some(true) {
        return Err(none());
    }
    let mut command = std::process::Command::new("ssh-keygen");
    let status = command.args(["-t", "ed25519", "-f"]).arg(&path).stdout(std::io::stderr()).status();
    if !status.is_ok_and(|status| status.success()) {
        return Err(none());
    }
    Ok(path.with_extension("pub"))
}

fn door(record: &Record, token: &Secret) -> Result<KeyDoor, CommandError> {
    let target = Target::parse(&record.url).or_fail(ErrorKind::Config)?;
    let ca_file = record.ca_file.as_deref();
    let options = web::options(Some(token.clone()), target.is_secure(), ca_file, TIME)?;
    KeyDoor::beside(&target, options)
        .ok_or_else(|| CommandError::new(ErrorKind::Internal, "no place for keys beside the URL"))
}

/// Puts keys; `false` when the person has to do it by hand, and was told how.
pub(super) async fn install(
    record: &mut Record,
    token: &Secret,
    lines: &[PublicLine],
) -> Result<bool, CommandError> {
    let door = door(record, token)?;
    let title = machine();
    let end = record.end_for_keys(Timestamp::now());
    let offer = Offer { keys: lines, title: &title, expires: end };
    let asked = match door.offer(&offer).await {
        Ok(asked) => asked,
        Err(error @ (KeyDoorError::Off | KeyDoorError::Absent | KeyDoorError::Refused(_))) => {
            output::note(&by_hand(&error, lines));
            return Ok(false);
        }
        Err(error) => return Err(CommandError::new(ErrorKind::Unavailable, error)),
    };
    if let Asked::Confirm { id, code, page } = asked {
        confirmed(&door, &id, &code, &page).await?;
    }
    record.keys_end = end;
    record.keys = lines.iter().map(|line| line.key.fingerprint().to_string()).collect();
    let count = if lines.len() == 1 { "The key is".to_owned() } else { format!("{} keys are", lines.len()) };
    output::note(&format!("{count} installed in the server."));
    Ok(true)
}

async fn confirmed(door: &KeyDoor, id: &str, code: &str, page: &str) -> Result<(), CommandError> {
    output::note(&format!("Confirm the key in your browser, where it must show the code {code}:\n  {page}"));
    open_in_browser(page);
    let begun = Instant::now();
    loop {
        match door.state(id).await.or_fail(ErrorKind::Unavailable)? {
            RequestState::Allowed => return Ok(()),
            RequestState::Waiting if begun.elapsed() < CONFIRM => {}
            RequestState::Refused => {
                return Err(CommandError::new(ErrorKind::Denied, "the key was refused in the browser"));
            }
            RequestState::Waiting | RequestState::Gone => {
                let error = CommandError::new(ErrorKind::Denied, "nobody confirmed the key in the browser");
                return Err(error.hint("run the same command again"));
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// What the person types over there where keys are put by hand.
fn by_hand(error: &KeyDoorError, lines: &[PublicLine]) -> String {
    let mut text =
        format!("{error}.\nType this in a terminal of JupyterLab:\n  mkdir -p ~/.ssh && chmod 700 ~/.ssh");
    for line in lines {
        // A comment with a quote could end the word.
        let comment: String = line.comment.chars().filter(|c| *c != '\'').collect();
        text.push_str(&format!("\n  echo '{}' >> ~/.ssh/authorized_keys", line.key.to_line(&comment)));
    }
    text
}

/// Gives the keys of a server the end of its new token, where it runs; else the next `ssh` does. Whether they have it now.
pub(crate) async fn prolong(record: &mut Record, token: &Secret) -> bool {
    let end = record.end_for_keys(Timestamp::now());
    if record.keys.is_empty() || record.keys_end == end {
        return true;
    }
    let is_done = put_again(record, token, end).await.is_some();
    if is_done {
        record.keys_end = end;
    }
    is_done
}

/// The keys of this machine that were put there, as far as their file still has them.
async fn public_lines(record: &Record) -> Vec<PublicLine> {
    let read = async {
        let options = web::options(None, false, None, TIME).ok()?;
        KeySource::File(record.key_file.clone()?).read(&options).await.ok()
    };
    let is_known = |line: &PublicLine| record.keys.contains(&line.key.fingerprint().to_string());
    read.await.unwrap_or_default().into_iter().filter(is_known).collect()
}

async fn put_again(record: &Record, token: &Secret, end: Option<Timestamp>) -> Option<()> {
    let known = public_lines(record).await;
    if known.is_empty() {
        return None;
    }
    if record.through_terminal {
        return super::by_terminal::put_keys(record, token, &known, end).await.ok();
    }
    let title = machine();
    let offer = Offer { keys: &known, title: &title, expires: end };
    let asked = door(record, token).ok()?.offer(&offer).await.ok()?;
    (asked == Asked::Installed).then_some(())
}

/// What the server takes; `None` when it does not tell.
pub(super) async fn installed(record: &Record, token: &Secret) -> Option<Vec<InstalledKey>> {
    door(record, token).ok()?.list().await.ok().map(|there| there.keys)
}

/// Takes the keys of this machine out again; says which stay.
pub(super) async fn remove(record: &Record, token: &Secret) {
    let Ok(door) = door(record, token) else { return };
    for fingerprint in &record.keys {
        match door.remove(fingerprint).await {
            Ok(true) => output::note(&format!("The key {fingerprint} is removed from the server.")),
            Ok(false) => {}
            Err(_) => output::note(&format!(
                "The key {fingerprint} stays in the server's ~/.local/share/hop/jupyter-keys: the server did not answer."
            )),
        }
    }
}
