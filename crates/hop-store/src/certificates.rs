//! Certificates that the site's CA issued. A serial is stored before its certificate leaves, so that each can be
//! revoked; one that is not on record opens nothing.

use hop_keys::Fingerprint;
use serde_json::json;

use crate::change::Change;
use crate::db::{Db, Row, Sql, args};
use crate::error::StoreError;
use crate::id::AccountId;
use crate::revocations::Revoked;
use crate::time::Timestamp;

/// A certificate on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedCertificate {
    /// Its number; no other has it.
    pub serial: u64,
    /// Whom it stands for.
    pub account: AccountId,
    /// The certified key.
    pub fingerprint: Fingerprint,
    /// When it was asked for.
    pub created: Timestamp,
    /// From when it opens nothing.
    pub expires: Timestamp,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
}

/// A certificate about to be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCertificate {
    /// Its number, drawn by chance from 64 bits; never 0.
    pub serial: u64,
    /// Whom it stands for.
    pub account: AccountId,
    /// The certified key.
    pub fingerprint: Fingerprint,
    /// From when it opens nothing.
    pub expires: Timestamp,
}

/// Reading of certificates.
pub struct Certificates<'a> {
    db: &'a Db,
}

/// Changing of certificates.
pub struct CertificateChanges<'a> {
    change: &'a mut Change,
}

macro_rules! columns {
    () => {
        "SELECT serial, account, fingerprint, created, expires, revoked FROM certificates "
    };
}
const BY_SERIAL: Sql = Sql::new("find a certificate", concat!(columns!(), "WHERE serial = $1"));
const OF_ACCOUNT: Sql = Sql::new(
    "list certificates",
    concat!(columns!(), "WHERE account = $1 AND expires > $2 AND revoked IS NULL ORDER BY created, serial"),
);
const ADD: Sql = Sql::new(
    "add a certificate",
    "INSERT INTO certificates (serial, account, fingerprint, created, expires) VALUES ($1, $2, $3, $4, $5)",
);
const REVOKE: Sql = Sql::new(
    "revoke a certificate",
    "UPDATE certificates SET revoked = $2 WHERE serial = $1 AND revoked IS NULL RETURNING account",
);

impl<'a> Certificates<'a> {
    pub(crate) fn new(db: &'a Db) -> Self {
        Self { db }
    }

    /// The certificate with this number, also one that is revoked or over.
    pub async fn find_by_serial(&self, serial: u64) -> Result<Option<IssuedCertificate>, StoreError> {
        let row = self.db.row(BY_SERIAL, args![&serial.to_string()]).await?;
        row.as_ref().map(IssuedCertificate::read).transpose()
    }

    /// The certificates of an account that still count, oldest first.
    pub async fn list_of_account(
        &self,
        account: AccountId,
        now: Timestamp,
    ) -> Result<Vec<IssuedCertificate>, StoreError> {
        self.db.rows(OF_ACCOUNT, args![&account, now]).await?.iter().map(IssuedCertificate::read).collect()
    }
}

impl<'a> CertificateChanges<'a> {
    pub(crate) fn new(change: &'a mut Change) -> Self {
        Self { change }
    }

    /// Puts a certificate on record, before it is signed. The account exists.
    pub async fn add(&mut self, new: &NewCertificate) -> Result<(), StoreError> {
        let now = self.change.now();
        let values = args![&new.serial.to_string(), &new.account, &new.fingerprint, now, new.expires];
        self.change.run(ADD, values).await?;
        let detail = json!({ "serial": new.serial.to_string(), "fingerprint": new.fingerprint.to_string() });
        self.change.record("certificate.add", Some(new.account), None, detail).await
    }

    /// Takes back what a certificate opens: its sessions end; false when there is none of this number that still
    /// counts.
    pub async fn revoke(&mut self, serial: u64) -> Result<bool, StoreError> {
        let now = self.change.now();
        let Some(row) = self.change.row(REVOKE, args![&serial.to_string(), now]).await? else {
            return Ok(false);
        };
        self.change.revoke(Revoked::Certificate { serial }).await?;
        let detail = json!({ "serial": serial.to_string() });
        self.change.record("certificate.revoke", Some(row.text("account")?), None, detail).await?;
        Ok(true)
    }
}

impl IssuedCertificate {
    fn read(row: &Row) -> Result<Self, StoreError> {
        let serial: String = row.text("serial")?;
        Ok(Self {
            serial: serial.parse().map_err(|_| StoreError::corrupt("certificates.serial", "not a number"))?,
            account: row.text("account")?,
            fingerprint: row.text("fingerprint")?,
            created: row.time("created")?,
            expires: row.time("expires")?,
            revoked: row.time_or_null("revoked")?,
        })
    }
}
