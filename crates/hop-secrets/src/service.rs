//! Secrets in the desktop's Secret Service (GNOME Keyring, KWallet, KeePassXC), over D-Bus.

use crate::{Kind, Label, Secret};
use secret_service::{Collection, EncryptionType, Error, SecretService as Connection};
use std::collections::HashMap;
use std::time::Duration;

/// Says whose secrets these are; others have other attributes.
const APPLICATION: (&str, &str) = ("application", "grasshopper");
/// How long the service may take to be there. (Its own questions to the person take as long as they take.)
const PATIENCE: Duration = Duration::from_secs(5);

/// Why the service did not do it.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// Nobody answers.
    #[error("the desktop's keyring (Secret Service) does not answer")]
    Silent,
    /// The person did not unlock it.
    #[error("the desktop's keyring is locked")]
    Locked,
    /// It said something else.
    #[error("the desktop's keyring: {0}")]
    Refused(Error),
    /// What is stored there is no text.
    #[error("what the desktop's keyring has as {0} is no text")]
    NoText(Label),
}

impl From<Error> for ServiceError {
    fn from(error: Error) -> Self {
        match error {
            Error::Locked | Error::Prompt => Self::Locked,
            Error::Unavailable | Error::PromptDisconnected => Self::Silent,
            error => Self::Refused(error),
        }
    }
}

/// A connection to the service. What crosses the bus is encrypted.
pub struct SecretService {
    connection: Connection<'static>,
}

impl std::fmt::Debug for SecretService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretService")
    }
}

impl SecretService {
    /// Connects by the address of the session's bus (`DBUS_SESSION_BUS_ADDRESS`).
    pub async fn connect(bus: &str) -> Result<Self, ServiceError> {
        let connected = async {
            let bus = zbus::connection::Builder::address(bus).map_err(Error::Zbus)?.build().await;
            Connection::connect_with_existing(EncryptionType::Dh, bus.map_err(Error::Zbus)?).await
        };
        match tokio::time::timeout(PATIENCE, connected).await {
            Ok(Ok(connection)) => Ok(Self { connection }),
            // No bus, or nobody on it who keeps secrets.
            Ok(Err(_)) | Err(_) => Err(ServiceError::Silent),
        }
    }

    /// The secret with this label. May ask the person to unlock the keyring.
    pub async fn find(&self, label: &Label) -> Result<Option<Secret>, ServiceError> {
        let keyring = self.keyring().await?;
        let Some(item) = keyring.search_items(attributes(label)).await?.into_iter().next() else {
            return Ok(None);
        };
        let text = String::from_utf8(item.get_secret().await?);
        text.map(|text| Some(Secret::new(text))).map_err(|_| ServiceError::NoText(label.clone()))
    }

    /// What there is of ours.
    pub async fn list(&self) -> Result<Vec<Label>, ServiceError> {
        let keyring = self.keyring().await?;
        let mut labels = Vec::new();
        for item in keyring.search_items(HashMap::from([APPLICATION])).await? {
            let found = item.get_attributes().await?;
            let kind = found.get("kind").and_then(|kind| Kind::named(kind));
            if let (Some(of), Some(kind)) = (found.get("of"), kind) {
                labels.push(Label::new(of, kind));
            }
        }
        labels.sort();
        Ok(labels)
    }

    /// Stores a secret, in place of one with the same label.
    pub async fn set(&self, label: &Label, secret: &Secret) -> Result<(), ServiceError> {
        let (title, text) = (format!("Grasshopper: {label}"), secret.expose().as_bytes());
        let keyring = self.keyring().await?;
        keyring.create_item(&title, attributes(label), text, true, "text/plain").await?;
        Ok(())
    }

    /// Forgets a secret; whether there was one.
    pub async fn remove(&self, label: &Label) -> Result<bool, ServiceError> {
        let keyring = self.keyring().await?;
        let found = keyring.search_items(attributes(label)).await?;
        for item in &found {
            item.delete().await?;
        }
        Ok(!found.is_empty())
    }

    async fn keyring(&self) -> Result<Collection<'_>, ServiceError> {
        let keyring = self.connection.get_any_collection().await?;
        keyring.unlock().await?;
        Ok(keyring)
    }
}

fn attributes(label: &Label) -> HashMap<&str, &str> {
    HashMap::from([APPLICATION, ("of", label.of.as_str()), ("kind", label.kind.name())])
}
