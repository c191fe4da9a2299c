//! Where a person's secrets are, wherever that is.

use crate::{FileError, Label, OpenFile, Secret, SecretService, ServiceError};

/// Why a secret was not found or stored.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The file's reason.
    #[error(transparent)]
    File(#[from] FileError),
    /// The desktop's.
    #[error(transparent)]
    Service(#[from] ServiceError),
}

/// An open place of secrets.
#[derive(Debug)]
pub enum Vault {
    /// The desktop's keyring.
    Service(SecretService),
    /// An encrypted file.
    File(OpenFile),
}

impl Vault {
    /// The secret with this label.
    pub async fn find(&self, label: &Label) -> Result<Option<Secret>, VaultError> {
        match self {
            Self::Service(service) => Ok(service.find(label).await?),
            Self::File(file) => Ok(file.find(label)?),
        }
    }

    /// What there is.
    pub async fn list(&self) -> Result<Vec<Label>, VaultError> {
        match self {
            Self::Service(service) => Ok(service.list().await?),
            Self::File(file) => Ok(file.list()?),
        }
    }

    /// Stores a secret, in place of one with the same label.
    pub async fn set(&self, label: &Label, secret: &Secret) -> Result<(), VaultError> {
        match self {
            Self::Service(service) => Ok(service.set(label, secret).await?),
            Self::File(file) => Ok(file.set(label, secret)?),
        }
    }

    /// Forgets a secret; whether there was one.
    pub async fn remove(&self, label: &Label) -> Result<bool, VaultError> {
        match self {
            Self::Service(service) => Ok(service.remove(label).await?),
            Self::File(file) => Ok(file.remove(label)?),
        }
    }
}
