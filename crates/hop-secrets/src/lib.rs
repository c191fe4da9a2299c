//! What a person entrusts to `hop`: passwords, seeds of one-time codes, passphrases of keys, tokens; and where it is kept.
//!
//! Two places: the desktop's Secret Service, and an encrypted file, whose key the kernel holds for a while so that the
//! person types its passphrase once a day. Must stay true: no secret is in an error, in a log or in the output of
//! `Debug`; none is read from a file that others can read or that lies in a git work tree.

mod exposure;
mod file;
mod kernel;
mod label;
mod service;
mod totp;
mod vault;

pub use exposure::{Exposed, check_unexposed, check_unpublished};
pub use file::{Cost, EncryptedFile, FileError, FileKey, OpenFile};
pub use hop_model::Secret;
pub use kernel::KeptKeys;
pub use label::{Kind, Label};
pub use service::{SecretService, ServiceError};
pub use totp::{Code, Totp, TotpError};
pub use vault::{Vault, VaultError};
