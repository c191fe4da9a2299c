//! Certificates of the site's CA: issued, revoked, listed.
//!
//! What must stay true: a certificate is on record before it is signed; one that was not signed does not stay on record
//! as one that counts.

use std::time::Duration;

use hop_ca::{Permits, SignerClient, SignerError, UserRequest};
use hop_keys::PublicKey;
use hop_store::{Account, AccountId, AccountState, IssuedCertificate, NewCertificate, StoreError, Timestamp};

use super::caller::Powers;
use super::denied::{Checked, from_checked};
use super::{Caller, Denied, ErrorKind, Operations};

/// What a certificate is to say; the signer's rules may refuse it.
#[derive(Debug, Clone)]
pub struct CertificateWish {
    /// The key to certify.
    pub key: PublicKey,
    /// From now until when it counts.
    pub lifetime: Duration,
    /// The only command that its sessions run.
    pub force_command: Option<String>,
    /// Addresses and networks it can be used from, separated by commas.
    pub source_address: Option<String>,
    /// What its sessions may do.
    pub permits: Permits,
}

/// A certificate that was issued.
#[derive(Debug, Clone)]
pub struct Issued {
    /// Its number.
    pub serial: u64,
    /// The line of a `-cert.pub` file.
    pub certificate: String,
    /// From when it opens nothing.
    pub expires: Timestamp,
}

/// Why a certificate was not issued, revoked or shown.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The caller may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// No such account.
    #[error("there is no such account")]
    NoAccount,
    /// The account may do nothing now.
    #[error("the account {name} is suspended: a certificate would open nothing")]
    Suspended {
        /// The account's name.
        name: String,
    },
    /// None of this number that still counts, or none of the caller's: the same words for both.
    #[error("there is no certificate {serial} that still counts")]
    Absent {
        /// The number.
        serial: u64,
    },
    /// The signer did not sign.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// The store did not do its part.
    #[error(transparent)]
    Store(#[from] StoreError),
}
from_checked!(CertificateError);

impl CertificateError {
    /// What it means to a door.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Denied(denied) => denied.kind(),
            Self::NoAccount | Self::Absent { .. } => ErrorKind::Absent,
            Self::Suspended { .. } => ErrorKind::Conflict,
            Self::Signer(SignerError::Refused(_)) => ErrorKind::Invalid,
            Self::Signer(SignerError::Unreachable { .. }) => ErrorKind::Temporary,
            Self::Store(error) => ErrorKind::of_store(error),
        }
    }
}

impl Operations {
    /// Has the signer sign a certificate for an account's key. For admins.
    pub async fn issue_certificate(
        &self,
        caller: &Caller,
        signer: &SignerClient,
        account: AccountId,
        wish: CertificateWish,
    ) -> Result<Issued, CertificateError> {
        let serial = self.serial();
        let CertificateWish { key, lifetime, force_command, source_address, permits } = wish;
        let new = NewCertificate {
            serial,
            account,
            fingerprint: key.fingerprint(),
            expires: self.now().plus(lifetime),
        };
        // Nobody else waits while the signer works.
        self.put_on_record(caller, &new).await?;
        let request = UserRequest {
            person: account.to_string(),
            serial,
            public_key: key.to_line("").trim().to_owned(),
            lifetime: lifetime.as_secs(),
            force_command,
            source_address,
            permits,
        };
        match signer.sign_user(request).await {
            Ok(signed) => Ok(Issued {
                serial,
                certificate: signed.certificate,
                expires: Timestamp::from_seconds(signed.valid_before),
            }),
            Err(error) => {
                // An answer may have been lost: whoever has the certificate has nothing.
                if let Err(error) = self.take_back(caller, serial).await {
                    tracing::warn!(%error, serial, "a certificate that was not signed stays on record");
                }
                Err(error.into())
            }
        }
    }

    /// Takes back what a certificate opens: its sessions end. For its account and admins.
    pub async fn revoke_certificate(
        &self,
        caller: &Caller,
        serial: u64,
    ) -> Result<IssuedCertificate, CertificateError> {
        let mut turn = self.begin(caller).await?;
        if caller.powers() != Powers::Operator {
            self.own_account(caller).await?;
        }
        let absent = CertificateError::Absent { serial };
        let Some(found) = self.store.certificates().find_by_serial(serial).await? else {
            return Err(absent);
        };
        match self.check_self_or_admin(caller, found.account).await {
            Ok(()) => {}
            Err(Checked::Denied(_)) => return Err(absent),
            Err(Checked::Store(error)) => return Err(error.into()),
        }
        if !turn.change.certificates().revoke(serial).await? {
            return Err(absent);
        }
        turn.change.commit().await?;
        Ok(found)
    }

    /// An account's certificates that count. For itself and admins.
    pub async fn account_certificates(
        &self,
        caller: &Caller,
        account: AccountId,
    ) -> Result<Vec<IssuedCertificate>, CertificateError> {
        self.check_self_or_admin(caller, account).await?;
        Ok(self.store.certificates().list_of_account(account, self.now()).await?)
    }

    async fn put_on_record(&self, caller: &Caller, new: &NewCertificate) -> Result<(), CertificateError> {
        let mut turn = self.begin(caller).await?;
        self.check_admin(caller).await?;
        let found = self.store.accounts().find_by_id(new.account).await?;
        let Account { name, state, .. } = found.ok_or(CertificateError::NoAccount)?;
        if state != AccountState::Active {
            return Err(CertificateError::Suspended { name: name.to_string() });
        }
        turn.change.certificates().add(new).await?;
        Ok(turn.change.commit().await?)
    }

    async fn take_back(&self, caller: &Caller, serial: u64) -> Result<(), StoreError> {
        let mut turn = self.begin(caller).await?;
        turn.change.certificates().revoke(serial).await?;
        turn.change.commit().await
    }

    /// A number that nobody guesses and no other certificate has.
    fn serial(&self) -> u64 {
        let mut bytes = [0; 8];
        (self.random)(&mut bytes);
        u64::from_be_bytes(bytes).max(1)
    }
}
