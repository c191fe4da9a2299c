//! The person's secrets, wherever they are: the desktop's keyring if one answers, else an encrypted file whose passphrase
//! is asked for once a while.
//!
//! What must stay true: a secret is never printed; nobody is asked where nobody can answer.

use super::out::terminal::{Asked, Terminal};
use crate::error::{CommandError, ErrorKind, OrFail};
use crate::output;
use hop_secrets::{
    Cost, EncryptedFile, FileError, KeptKeys, Label, OpenFile, Secret, SecretService, ServiceError, Vault,
    check_unexposed,
};
use std::path::PathBuf;
use std::time::Duration;

/// How long the kernel holds the key of the file: a day's work.
const KEPT: Duration = Duration::from_secs(8 * 3600);
/// Names a file with the passphrase, for machines where nobody types.
const PASSPHRASE_FILE: &str = "HOP_PASSPHRASE_FILE";

/// Both places; the file is opened when it is needed.
#[derive(Debug)]
pub(crate) struct Secrets {
    service: Option<Vault>,
    path: PathBuf,
    file: Option<Vault>,
}

impl Secrets {
    /// Those of this user. The desktop's keyring is used if it answers.
    pub(crate) async fn of_user() -> Self {
        let bus = std::env::var("DBUS_SESSION_BUS_ADDRESS").ok().filter(|bus| !bus.is_empty());
        let service = match bus {
            Some(bus) => SecretService::connect(&bus).await.ok().map(Vault::Service),
            None => None,
        };
        Self { service, path: data_folder().join("secrets"), file: None }
    }

    /// The secret with this label.
    pub(crate) async fn find(&mut self, label: &Label) -> Result<Option<Secret>, CommandError> {
        if let Some(service) = &self.service
            && let Some(secret) = service.find(label).await.or_fail(ErrorKind::Unavailable)?
        {
            return Ok(Some(secret));
        }
        match self.existing_file()? {
            Some(file) => file.find(label).await.or_fail(ErrorKind::Config),
            None => Ok(None),
        }
    }

    /// Stores one; says where.
    pub(crate) async fn set(&mut self, label: &Label, secret: &Secret) -> Result<String, CommandError> {
        if let Some(service) = &self.service {
            match service.set(label, secret).await {
                Ok(()) => return Ok("the desktop's keyring".to_owned()),
                // A bus without anybody who keeps secrets.
                Err(hop_secrets::VaultError::Service(ServiceError::Silent)) => {}
                Err(error) => return Err(CommandError::new(ErrorKind::Unavailable, error)),
            }
        }
        let place = self.path.display().to_string();
        if self.existing_file()?.is_none() {
            self.file = Some(Vault::File(create(&self.path)?));
        }
        match &self.file {
            Some(file) => file.set(label, secret).await.or_fail(ErrorKind::Config)?,
            None => return Err(CommandError::new(ErrorKind::Internal, "the file of secrets was not made")),
        }
        Ok(format!("{place}, encrypted"))
    }

    /// Forgets one; whether there was one.
    pub(crate) async fn remove(&mut self, label: &Label) -> Result<bool, CommandError> {
        let of_service = match &self.service {
            Some(service) => service.remove(label).await.or_fail(ErrorKind::Unavailable)?,
            None => false,
        };
        let of_file = match self.existing_file()? {
            Some(file) => file.remove(label).await.or_fail(ErrorKind::Config)?,
            None => false,
        };
        Ok(of_service || of_file)
    }

    /// The file, opened, if there is one.
    fn existing_file(&mut self) -> Result<Option<&Vault>, CommandError> {
        let file = EncryptedFile::at(self.path.clone(), user());
        if self.file.is_none() && file.exists() {
            self.file = Some(Vault::File(open(file)?));
        }
        Ok(self.file.as_ref())
    }
}

/// Where this user's data is kept.
pub(crate) fn data_folder() -> PathBuf {
    let set = std::env::var_os("XDG_DATA_HOME").filter(|set| !set.is_empty()).map(PathBuf::from);
    let home = || super::out::ssh_config::home().join(".local/share");
    set.filter(|set| set.is_absolute()).unwrap_or_else(home).join("hop")
}

fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn open(file: EncryptedFile) -> Result<OpenFile, CommandError> {
    let path = file.path().to_owned();
    if let Some(key) = KeptKeys.find(&path) {
        match file.clone().open_with(key) {
            Ok(open) => return Ok(open),
            // Kept for a file that was there before.
            Err(FileError::WrongKey { .. }) => KeptKeys.forget(&path),
            Err(error) => return Err(CommandError::new(ErrorKind::Config, error)),
        }
    }
    let open = match given_passphrase()? {
        Some(passphrase) => file.open(&passphrase).or_fail(ErrorKind::Denied)?,
        None => {
            let prompt = format!("Passphrase of {}: ", path.display());
            file.open(&ask_hidden(&prompt, "the secrets")?).or_fail(ErrorKind::Denied)?
        }
    };
    // Where the kernel keeps nothing, it is asked again.
    let _ = KeptKeys.keep(&path, open.key(), KEPT);
    Ok(open)
}

fn create(path: &std::path::Path) -> Result<OpenFile, CommandError> {
    let passphrase = match given_passphrase()? {
        Some(passphrase) => passphrase,
        None => {
            output::note(&format!(
                "There is no desktop's keyring; secrets are kept in {}, encrypted.",
                path.display()
            ));
            let first = ask_hidden("A new passphrase for it: ", "the secrets")?;
            let again = ask_hidden("Once more: ", "the secrets")?;
            if first.expose() != again.expose() {
                return Err(CommandError::new(ErrorKind::Config, "the two passphrases differ"));
            }
            first
        }
    };
    let file = EncryptedFile::at(path.to_owned(), user());
    let open = file.create(&passphrase, Cost::default()).or_fail(ErrorKind::Config)?;
    let _ = KeptKeys.keep(path, open.key(), KEPT);
    Ok(open)
}

fn given_passphrase() -> Result<Option<Secret>, CommandError> {
    let Some(path) = std::env::var_os(PASSPHRASE_FILE).filter(|path| !path.is_empty()) else {
        return Ok(None);
    };
    let path = PathBuf::from(path);
    check_unexposed(&path, user()).or_fail(ErrorKind::Config)?;
    let text = std::fs::read_to_string(&path).map(zeroize::Zeroizing::new).map_err(|error| {
        CommandError::new(ErrorKind::Config, format!("cannot read {}: {error}", path.display()))
    })?;
    Ok(Some(Secret::new(text.trim_end_matches(['\r', '\n']).to_owned())))
}

/// Asks for a secret on the terminal, without showing it. `what` names what stays closed when nobody is there.
pub(crate) fn ask_hidden(prompt: &str, what: &str) -> Result<Secret, CommandError> {
    let Some(mut terminal) = Terminal::of_process() else {
        return Err(CommandError::new(
            ErrorKind::Denied,
            format!("{what} cannot be asked for: there is no terminal"),
        )
        .hint(format!(
            "{PASSPHRASE_FILE} names a file with the passphrase of the secrets; a token comes by --token-file"
        )));
    };
    match terminal.ask_alone(prompt, false).or_fail(ErrorKind::Unavailable)? {
        Asked::Answer(secret) => Ok(secret),
        Asked::Abort | Asked::Interrupted => Err(CommandError::new(ErrorKind::Interrupted, "interrupted")),
    }
}

/// Asks a question that yes or no answers; `None` when nobody is there.
pub(crate) fn ask_yes_no(question: &str) -> Result<Option<bool>, CommandError> {
    let Some(mut terminal) = Terminal::of_process() else { return Ok(None) };
    match terminal.ask_alone(&format!("{question} [y/N] "), true).or_fail(ErrorKind::Unavailable)? {
        Asked::Answer(answer) => Ok(Some(matches!(answer.expose().trim(), "y" | "Y" | "yes"))),
        Asked::Abort | Asked::Interrupted => Err(CommandError::new(ErrorKind::Interrupted, "interrupted")),
    }
}
