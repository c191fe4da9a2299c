//! The audit trail: who changed what, from where. Append-only (triggers refuse anything else) and chained: each row's
//! hash covers the row and the hash of the row before, so that whoever knows a later hash notices any change.
//!
//! What must stay true: the canonical form below is never changed; another form gets another first line.

use std::net::IpAddr;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::change::Through;
use crate::db::{Arg, Db, Row, Sql, args};
use crate::error::StoreError;
use crate::hex;
use crate::id::{AccountId, ProjectId};
use crate::time::Timestamp;

/// First in what is hashed.
const FORM: &[u8] = b"hop audit row 1\n";
/// Rows read at once by [`AuditTrail::verify`].
const BATCH: i64 = 1_000;

/// One row of the trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its number, without gaps from 1.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// The account that did it, if any.
    pub actor: Option<AccountId>,
    /// The door.
    pub through: Through,
    /// From where, if over a network.
    pub address: Option<IpAddr>,
    /// What, as `noun.verb`.
    pub action: String,
    /// The account that it concerns.
    pub account: Option<AccountId>,
    /// The project that it concerns.
    pub project: Option<ProjectId>,
    /// More, by name.
    pub detail: Value,
    /// Its hash, in hexadecimal digits.
    pub hash: String,
}

/// What [`AuditTrail::verify`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditVerdict {
    /// Every row is there and as it was written.
    Intact {
        /// How many rows.
        rows: u64,
        /// The hash of the last. Kept elsewhere, it shows later that nobody rewrote the whole chain.
        head: String,
    },
    /// The chain breaks.
    Broken {
        /// The first bad row.
        seq: u64,
        /// What is wrong with it.
        fault: AuditFault,
    },
}

/// What is wrong with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuditFault {
    /// It is not there.
    #[error("it is missing")]
    Missing,
    /// It, or the hash stored with it, is not what was written.
    #[error("it was altered")]
    Altered,
    /// It continues the chain, but the site's own note of the last hash says otherwise.
    #[error("it is not the row that the site wrote last")]
    Head,
}

/// Which rows [`AuditTrail::list`] shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditFilter {
    /// All.
    All,
    /// Those that concern an account.
    Account(AccountId),
    /// Those that concern a project.
    Project(ProjectId),
}

/// Reading of the audit trail.
pub struct AuditTrail<'a> {
    db: &'a Db,
}

/// What is hashed and stored of a row: the texts as they stand in the table, because two spellings of an id are two
/// texts.
pub(crate) struct AuditRow {
    pub(crate) seq: i64,
    pub(crate) at: Timestamp,
    pub(crate) actor: Option<String>,
    pub(crate) through: String,
    pub(crate) address: Option<String>,
    pub(crate) action: String,
    pub(crate) account: Option<String>,
    pub(crate) project: Option<String>,
    pub(crate) detail: String,
}

pub(crate) const APPEND: Sql = Sql::new(
    "add to the audit trail",
    "INSERT INTO audit (seq, at, actor, through, address, action, account, project, detail, hash)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
);
const HEAD: Sql =
    Sql::new("read the audit trail's head", "SELECT audit_seq, audit_hash FROM site WHERE id = 1");

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT seq, at, actor, through, address, action, account, project, detail, hash FROM audit ",
            $rest
        )
    };
}
const FORWARD: Sql =
    Sql::new("read the audit trail", select!("WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3"));
const LATEST: Sql = Sql::new("read the audit trail", select!("WHERE seq < $1 ORDER BY seq DESC LIMIT $2"));
const LATEST_OF_ACCOUNT: Sql =
    Sql::new("read the audit trail", select!("WHERE seq < $1 AND account = $3 ORDER BY seq DESC LIMIT $2"));
const LATEST_OF_PROJECT: Sql =
    Sql::new("read the audit trail", select!("WHERE seq < $1 AND project = $3 ORDER BY seq DESC LIMIT $2"));

impl<'a> AuditTrail<'a> {
    pub(crate) fn new(db: &'a Db) -> Self {
        Self { db }
    }

    /// At most `most` rows before row `before` (`None`: the newest), newest first.
    pub async fn list(
        &self,
        filter: AuditFilter,
        before: Option<u64>,
        most: u32,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let before = before.and_then(|seq| i64::try_from(seq).ok()).unwrap_or(i64::MAX);
        let most = i64::from(most);
        let rows = match filter {
            AuditFilter::All => self.db.rows(LATEST, args![before, most]).await?,
            AuditFilter::Account(account) => {
                self.db.rows(LATEST_OF_ACCOUNT, args![before, most, &account]).await?
            }
            AuditFilter::Project(project) => {
                self.db.rows(LATEST_OF_PROJECT, args![before, most, &project]).await?
            }
        };
        rows.iter().map(AuditEntry::read).collect()
    }

    /// Computes every hash again, from the first row to the one that is the last when this begins.
    pub async fn verify(&self) -> Result<AuditVerdict, StoreError> {
        let Some(head) = self.db.row(HEAD, args![]).await? else {
            return Err(StoreError::corrupt("site.id", "no row"));
        };
        let last = head.int("audit_seq")?;
        let mut seq = 0;
        let mut hash = [0; 32];
        while seq < last {
            let rows = self.db.rows(FORWARD, args![seq, last, BATCH]).await?;
            for row in &rows {
                seq += 1;
                if row.int("seq")? != seq {
                    return Ok(broken(seq, AuditFault::Missing));
                }
                hash = AuditRow::read(row)?.hash(&hash);
                if row.text::<String>("hash")? != hex::encode(&hash) {
                    return Ok(broken(seq, AuditFault::Altered));
                }
            }
            if rows.is_empty() {
                return Ok(broken(seq + 1, AuditFault::Missing));
            }
        }
        let noted: String = head.text("audit_hash")?;
        if noted != hex::encode(&hash) {
            return Ok(broken(last, AuditFault::Head));
        }
        Ok(AuditVerdict::Intact { rows: number(last), head: noted })
    }
}

fn broken(seq: i64, fault: AuditFault) -> AuditVerdict {
    AuditVerdict::Broken { seq: number(seq), fault }
}

/// Rows count from 1.
fn number(seq: i64) -> u64 {
    seq.unsigned_abs()
}

impl AuditEntry {
    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            seq: row.count("seq")?,
            at: row.time("at")?,
            actor: row.text_or_null("actor")?,
            through: row.text("through")?,
            address: row.text_or_null("address")?,
            action: row.text("action")?,
            account: row.text_or_null("account")?,
            project: row.text_or_null("project")?,
            detail: row.json("detail")?,
            hash: row.text("hash")?,
        })
    }
}

impl AuditRow {
    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            seq: row.int("seq")?,
            at: row.time("at")?,
            actor: row.text_or_null("actor")?,
            through: row.text("through")?,
            address: row.text_or_null("address")?,
            action: row.text("action")?,
            account: row.text_or_null("account")?,
            project: row.text_or_null("project")?,
            detail: row.text("detail")?,
        })
    }

    pub(crate) fn args(&self, hash: &[u8; 32]) -> Vec<Arg> {
        args![
            self.seq,
            self.at,
            self.actor.as_ref(),
            &self.through,
            self.address.as_ref(),
            &self.action,
            self.account.as_ref(),
            self.project.as_ref(),
            &self.detail,
            &hex::encode(hash),
        ]
    }

    /// SHA-256 over the form's name, the previous hash, the two numbers (64 bits, big endian), and each text with its
    /// presence and length before it, so that no two rows have the same bytes.
    pub(crate) fn hash(&self, previous: &[u8; 32]) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(FORM);
        hash.update(previous);
        hash.update(self.seq.to_be_bytes());
        hash.update(self.at.as_micros().to_be_bytes());
        let texts = [
            self.actor.as_ref(),
            Some(&self.through),
            self.address.as_ref(),
            Some(&self.action),
            self.account.as_ref(),
            self.project.as_ref(),
            Some(&self.detail),
        ];
        for text in texts {
            match text {
                None => hash.update([0]),
                Some(text) => {
                    hash.update([1]);
                    hash.update((text.len() as u64).to_be_bytes());
                    hash.update(text);
                }
            }
        }
        hash.finalize().into()
    }
}

#[cfg(test)]
mod tests;
