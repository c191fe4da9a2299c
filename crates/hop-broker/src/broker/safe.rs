//! The secrets of the broker's user, as a login needs them: from the desktop's keyring, or from the encrypted file, whose
//! passphrase the person is asked for when the kernel does not hold its key.

use super::errand::Errand;
use hop_secrets::{
    EncryptedFile, FileError, KeptKeys, Label, OpenFile, Secret, SecretService, Vault, VaultError,
};
use std::path::PathBuf;
use std::time::Duration;

/// How long the kernel holds the key of the file: a day's work.
const KEPT: Duration = Duration::from_secs(8 * 3600);
/// How often a wrong passphrase is asked for again.
const TRIES: usize = 3;

/// Where to look.
#[derive(Clone, Debug)]
pub(super) struct Safe {
    /// The address of the desktop's bus.
    pub(super) bus: Option<String>,
    /// The encrypted file.
    pub(super) file: PathBuf,
}

/// Why a secret was not found.
#[derive(Debug, thiserror::Error)]
pub(super) enum SafeError {
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error("nobody unlocked it")]
    Locked,
}

impl From<FileError> for SafeError {
    fn from(error: FileError) -> Self {
        Self::Vault(error.into())
    }
}

impl Safe {
    /// The secret with this label.
    pub(super) async fn find(&self, label: &Label, errand: &Errand) -> Result<Option<Secret>, SafeError> {
        if let Some(secret) = self.in_keyring(label).await? {
            return Ok(Some(secret));
        }
        let user = rustix::process::geteuid().as_raw();
        let file = EncryptedFile::at(self.file.clone(), user);
        if !file.exists() {
            return Ok(None);
        }
        let open = self.open(file, errand).await?;
        Ok(open.find(label)?)
    }

    /// The secret with this label, if nobody has to be asked for it.
    pub(super) async fn find_unlocked(&self, label: &Label) -> Option<Secret> {
        if let Some(secret) = self.in_keyring(label).await.ok()? {
            return Some(secret);
        }
        let file = EncryptedFile::at(self.file.clone(), rustix::process::geteuid().as_raw());
        let open = file.open_with(KeptKeys.find(&self.file)?).ok()?;
        open.find(label).ok()?
    }

    /// Without anybody who keeps secrets on the bus there is the file.
    async fn in_keyring(&self, label: &Label) -> Result<Option<Secret>, VaultError> {
        let Some(bus) = &self.bus else { return Ok(None) };
        let Ok(service) = SecretService::connect(bus).await else { return Ok(None) };
        Vault::Service(service).find(label).await
    }

    async fn open(&self, file: EncryptedFile, errand: &Errand) -> Result<OpenFile, SafeError> {
        if let Some(key) = KeptKeys.find(&self.file) {
            match file.clone().open_with(key) {
                // Kept for a file that was there before.
                Err(FileError::WrongKey { .. }) => KeptKeys.forget(&self.file),
                other => return Ok(other?),
            }
        }
        let path = self.file.display();
        for _ in 0..TRIES {
            let question = format!("Passphrase for the secrets in {path}: ");
            let passphrase = errand.ask(question).await.ok_or(SafeError::Locked)?;
            let (file, kept) = (file.clone(), self.file.clone());
            // Half a second of work.
            let opening = tokio::task::spawn_blocking(move || {
                let open = file.open(&passphrase)?;
                // Where the kernel keeps nothing, it is asked again.
                let _ = KeptKeys.keep(&kept, open.key(), KEPT);
                Ok(open)
            });
            match opening.await {
                Ok(Err(FileError::WrongKey { .. })) => {
                    errand.note("That does not open them.".to_owned()).await
                }
                Ok(other) => return other.map_err(|error: FileError| error.into()),
                Err(_) => return Err(SafeError::Locked),
            }
        }
        Err(SafeError::Locked)
    }
}
