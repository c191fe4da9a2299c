//! What took access away, numbered in the order of commits. Gateways follow it and judge again the sessions that it
//! concerns; a row never says by itself that a session must end.

use hop_keys::Fingerprint;

use crate::db::{Arg, Db, Row, Sql, args};
use crate::error::StoreError;
use crate::feed::RevocationFeed;
use crate::id::{AccountId, ProjectId, SshSessionId};
use crate::keys::KeyOwner;
use crate::store::Store;
use crate::stored::stored_enum;
use crate::time::Timestamp;

/// The number of a revocation. Without gaps, and none becomes visible before a smaller one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RevocationSeq(i64);

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// Its number.
    pub seq: RevocationSeq,
    /// When, by the clock of who did it.
    pub at: Timestamp,
    /// What.
    pub revoked: Revoked,
}

/// What was taken away, with all that is needed to find the sessions that it concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revoked {
    /// An owner has the key no more.
    Key {
        /// The key.
        fingerprint: Fingerprint,
        /// Who had it.
        owner: KeyOwner,
    },
    /// A key's end has come, or was moved.
    Expiry {
        /// The key.
        fingerprint: Fingerprint,
        /// Who has it.
        owner: KeyOwner,
    },
    /// An account is no member of a project any more.
    Member {
        /// The project.
        project: ProjectId,
        /// The account.
        account: AccountId,
    },
    /// A project was suspended or removed.
    Project {
        /// The project.
        project: ProjectId,
    },
    /// An account was suspended.
    Account {
        /// The account.
        account: AccountId,
    },
    /// A certificate counts no more.
    Certificate {
        /// Its serial.
        serial: u64,
    },
    /// Somebody ends one session.
    Session {
        /// The session.
        session: SshSessionId,
    },
}

stored_enum!(
    /// The word for each kind.
    Kind {
        /// A key of an account or project.
        Key = "key",
        /// A key's end.
        Expiry = "expiry",
        /// A member.
        Member = "member",
        /// A project.
        Project = "project",
        /// An account.
        Account = "account",
        /// A certificate.
        Certificate = "certificate",
        /// One session.
        Session = "session",
    }
);

/// Reading of revocations.
pub struct Revocations<'a> {
    store: &'a Store,
}

pub(crate) const APPEND: Sql = Sql::new(
    "record a revocation",
    "INSERT INTO revocations (seq, at, kind, account, project, fingerprint, serial, session)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
);
const LAST: Sql =
    Sql::new("read the last revocation's number", "SELECT last_revocation FROM site WHERE id = 1");
const SINCE: Sql = Sql::new(
    "read revocations",
    "SELECT seq, at, kind, account, project, fingerprint, serial, session
     FROM revocations WHERE seq > $1 ORDER BY seq LIMIT $2",
);

impl<'a> Revocations<'a> {
    pub(crate) fn new(store: &'a Store) -> Self {
        Self { store }
    }

    /// The number of the newest; [`RevocationSeq::START`] when there is none yet.
    pub async fn last_seq(&self) -> Result<RevocationSeq, StoreError> {
        match self.store.db().row(LAST, args![]).await? {
            Some(row) => RevocationSeq::read(&row, "last_revocation"),
            None => Err(StoreError::corrupt("site.id", "no row")),
        }
    }

    /// At most `most` revocations after `seq`, in order.
    pub async fn since(&self, seq: RevocationSeq, most: u32) -> Result<Vec<Revocation>, StoreError> {
        since(self.store.db(), seq, most).await
    }

    /// Follows what comes after `seq`.
    pub async fn follow(&self, seq: RevocationSeq) -> Result<RevocationFeed, StoreError> {
        RevocationFeed::start(self.store, seq).await
    }
}

pub(crate) async fn since(db: &Db, seq: RevocationSeq, most: u32) -> Result<Vec<Revocation>, StoreError> {
    let rows = db.rows(SINCE, args![seq.0, i64::from(most)]).await?;
    rows.iter().map(Revocation::read).collect()
}

impl RevocationSeq {
    /// Before the first.
    pub const START: Self = Self(0);

    /// The number itself.
    pub const fn as_i64(self) -> i64 {
        self.0
    }

    pub(crate) fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    pub(crate) fn read(row: &Row, column: &'static str) -> Result<Self, StoreError> {
        row.int(column).map(Self)
    }
}

impl Revocation {
    fn read(row: &Row) -> Result<Self, StoreError> {
        let account = || row.text("account");
        let project = || row.text("project");
        let owner = || -> Result<KeyOwner, StoreError> {
            Ok(match row.text_or_null("project")? {
                None => KeyOwner::Account(account()?),
                Some(project) => KeyOwner::Project { project, holder: account()? },
            })
        };
        let revoked = match row.text::<Kind>("kind")? {
            Kind::Key => Revoked::Key { fingerprint: row.text("fingerprint")?, owner: owner()? },
            Kind::Expiry => Revoked::Expiry { fingerprint: row.text("fingerprint")?, owner: owner()? },
            Kind::Member => Revoked::Member { project: project()?, account: account()? },
            Kind::Project => Revoked::Project { project: project()? },
            Kind::Account => Revoked::Account { account: account()? },
            Kind::Certificate => {
                let text: String = row.text("serial")?;
                let serial = text.parse().map_err(|_| StoreError::corrupt("serial", &text))?;
                Revoked::Certificate { serial }
            }
            Kind::Session => Revoked::Session { session: row.text("session")? },
        };
        Ok(Self { seq: RevocationSeq::read(row, "seq")?, at: row.time("at")?, revoked })
    }
}

impl Revoked {
    fn kind(&self) -> Kind {
        match self {
            Self::Key { .. } => Kind::Key,
            Self::Expiry { .. } => Kind::Expiry,
            Self::Member { .. } => Kind::Member,
            Self::Project { .. } => Kind::Project,
            Self::Account { .. } => Kind::Account,
            Self::Certificate { .. } => Kind::Certificate,
            Self::Session { .. } => Kind::Session,
        }
    }

    pub(crate) fn args(&self, seq: RevocationSeq, at: Timestamp) -> Vec<Arg> {
        let (mut account, mut project, mut fingerprint, mut serial, mut session) =
            (None, None, None, None, None);
        match self {
            Self::Key { fingerprint: key, owner } | Self::Expiry { fingerprint: key, owner } => {
                fingerprint = Some(*key);
                account = Some(owner.holder());
                project = owner.project();
            }
            Self::Member { project: of, account: who } => (account, project) = (Some(*who), Some(*of)),
            Self::Project { project: which } => project = Some(*which),
            Self::Account { account: who } => account = Some(*who),
            // TEXT, because a serial has 64 bits and the databases' integers have a sign.
            Self::Certificate { serial: number } => serial = Some(number.to_string()),
            Self::Session { session: which } => session = Some(*which),
        }
        args![
            seq.0,
            at,
            &self.kind(),
            account.as_ref(),
            project.as_ref(),
            fingerprint.as_ref(),
            serial.as_ref(),
            session.as_ref(),
        ]
    }
}
