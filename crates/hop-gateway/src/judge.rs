//! Who asks, and for what: from a key or certificate to a grant, or none.
//!
//! What must stay true: whatever the answer, the same steps lead to it; a certificate counts by its CA and the account
//! that it names, never by a stored key inside it; a revoked key or certificate counts nowhere.

use crate::gateway::Clock;
use crate::grant::{
    Denied, Grant, JumpGrant, Pass, authorize, authorize_certificate, authorize_certificate_jump,
    authorize_jump,
};
use hop_keys::{Certificate, CertificatePolicy, CertificateRefusal, Identity, PublicKey, RevocationList};
use hop_ssh::USER_SIGNATURES;
use hop_store::{AccountId, ProjectId, Store, StoreError, Timestamp};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// The reserved user name of the door that leads to other doors.
pub(crate) const JUMP: &str = "jump";
/// What precedes an account's id in a certificate's principal.
const PERSON: &str = "person:";

/// Whose user certificates count here, and which do not any more.
#[derive(Clone)]
pub struct UserCa {
    /// The CA's keys; none: no certificate counts.
    pub keys: Vec<PublicKey>,
    /// A revocation list beside the store's records, as it is now; asked at every login, so it must be at hand. Keys
    /// on it count nowhere, stored or not. (Certificates that the store does not know, or knows as revoked, count
    /// nowhere anyway.)
    pub revoked: Arc<dyn Fn() -> Arc<RevocationList> + Send + Sync>,
}

impl Default for UserCa {
    /// No CA and nothing revoked.
    fn default() -> Self {
        let none = Arc::new(RevocationList::new());
        Self { keys: Vec::new(), revoked: Arc::new(move || none.clone()) }
    }
}

impl fmt::Debug for UserCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserCa").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

/// What somebody wants to get into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// A project, by whatever name was given.
    Project(String),
    /// The door `jump`.
    Jump,
}

impl Target {
    /// What a user name means.
    pub(crate) fn of_user(user: &str) -> Self {
        if user == JUMP { Self::Jump } else { Self::Project(user.to_owned()) }
    }

    pub(crate) fn project(id: ProjectId) -> Self {
        Self::Project(id.to_string())
    }

    fn name(&self) -> &str {
        match self {
            Self::Project(name) => name,
            Self::Jump => JUMP,
        }
    }
}

/// What was granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Access {
    Project(Grant),
    Jump(JumpGrant),
}

impl Access {
    pub(crate) fn pass(&self) -> &Pass {
        match self {
            Self::Project(grant) => grant.pass(),
            Self::Jump(grant) => grant.pass(),
        }
    }

    pub(crate) fn project(&self) -> Option<ProjectId> {
        match self {
            Self::Project(grant) => Some(grant.project().id),
            Self::Jump(_) => None,
        }
    }
}

/// Why nobody is let in; for the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error(transparent)]
    Certificate(#[from] CertificateRefusal),
    #[error("the certificate does not name exactly one account ({PERSON}ID)")]
    Principal,
    #[error("the certificate is not on record, or was revoked")]
    NotOnRecord,
    #[error("the key is on the revocation list")]
    Revoked,
}

/// What decisions are made from.
#[derive(Clone)]
pub(crate) struct Judge {
    pub(crate) store: Store,
    pub(crate) user_ca: UserCa,
    pub(crate) clock: Clock,
}

impl Judge {
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Whether this key or certificate, shown from `address`, opens the target now.
    pub(crate) async fn judge(
        &self,
        target: &Target,
        identity: &Identity,
        address: Option<IpAddr>,
    ) -> Result<Result<Access, Refusal>, StoreError> {
        match identity {
            Identity::Key(_) => self.judge_key(target, identity).await,
            Identity::Certificate(certificate) => self.judge_certificate(target, certificate, address).await,
        }
    }

    async fn judge_key(
        &self,
        target: &Target,
        identity: &Identity,
    ) -> Result<Result<Access, Refusal>, StoreError> {
        let fingerprint = identity.key().fingerprint();
        let now = self.now();
        let facts = self.store.access().by_key(target.name(), fingerprint, now).await?;
        if (self.user_ca.revoked)().find(identity).is_some() {
            return Ok(Err(Refusal::Revoked));
        }
        let access = match target {
            Target::Project(_) => authorize(&facts, fingerprint, now).map(Access::Project),
            Target::Jump => authorize_jump(&facts, fingerprint, now).map(Access::Jump),
        };
        Ok(access.map_err(Refusal::from))
    }

    async fn judge_certificate(
        &self,
        target: &Target,
        certificate: &Certificate,
        address: Option<IpAddr>,
    ) -> Result<Result<Access, Refusal>, StoreError> {
        let person = person(certificate);
        // Asked for whatever the certificate is worth.
        let nobody = AccountId::new(Timestamp::from_micros(0), [0; 10]);
        let account = person.as_ref().map_or(nobody, |(_, account)| *account);
        let facts = self.store.access().by_account(target.name(), account).await?;
        let record = self.store.certificates().find_by_serial(certificate.serial()).await?;
        let Some((principal, _)) = person else { return Ok(Err(Refusal::Principal)) };
        let revoked = (self.user_ca.revoked)();
        let policy = CertificatePolicy {
            cas: &self.user_ca.keys,
            ca_signatures: USER_SIGNATURES,
            revocations: Some(&revoked),
            understood: &[],
        };
        let now = self.now().as_seconds();
        let judged = match certificate.judge_user(&policy, &[principal], address, now) {
            Ok(judged) => judged,
            Err(refusal) => return Ok(Err(refusal.into())),
        };
        let fingerprint = certificate.key().fingerprint();
        // One that the site does not know could not be taken back.
        let is_on_record = record.is_some_and(|record| {
            record.account == account && record.fingerprint == fingerprint && record.revoked.is_none()
        });
        if !is_on_record {
            return Ok(Err(Refusal::NotOnRecord));
        }
        let access = match target {
            Target::Project(_) => authorize_certificate(&facts, &judged, fingerprint).map(Access::Project),
            Target::Jump => authorize_certificate_jump(&facts, &judged, fingerprint).map(Access::Jump),
        };
        Ok(access.map_err(Refusal::from))
    }
}

/// The one account that a certificate names; other principals are for other programs.
fn person(certificate: &Certificate) -> Option<(&str, AccountId)> {
    let mut persons = certificate.principals().iter().filter(|name| name.starts_with(PERSON));
    let (Some(principal), None) = (persons.next(), persons.next()) else { return None };
    let id = principal.strip_prefix(PERSON)?;
    let account = AccountId::parse(id)?;
    // One spelling: what is compared as text elsewhere must not be two things here.
    (account.to_string() == id).then_some((principal.as_str(), account))
}
