//! What several pages show: keys, SSH sessions.

use std::collections::HashMap;

use hop_keys::PublicKey;
use hop_store::{AccountId, Project, ProjectId, SshSession, Store, StoreError, StoredKey, Timestamp};

use super::when::When;

/// A key on a page.
pub(crate) struct KeyView {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) algorithm: String,
    pub(crate) sha256: String,
    pub(crate) md5: String,
    pub(crate) created: When,
    pub(crate) last_use: Option<UseView>,
    pub(crate) expires: Option<When>,
    pub(crate) is_over: bool,
    /// The last day on which it is good, for the form.
    pub(crate) last_day: String,
    /// Who holds it, for a project's key.
    pub(crate) holder: Option<String>,
    pub(crate) may_change: bool,
    /// Where its forms go.
    pub(crate) action: String,
}

/// A key's last use on a page.
pub(crate) struct UseView {
    pub(crate) at: When,
    pub(crate) address: String,
    /// Title and address of the project.
    pub(crate) project: Option<(String, String)>,
}

/// A live SSH session on a page.
pub(crate) struct SessionView {
    pub(crate) id: String,
    pub(crate) account: String,
    pub(crate) key: String,
    pub(crate) client: String,
    pub(crate) started: When,
    pub(crate) received: String,
    pub(crate) sent: String,
    pub(crate) may_end: bool,
}

/// Names of accounts and projects, looked up once each.
pub(crate) struct Names<'a> {
    store: &'a Store,
    accounts: HashMap<AccountId, String>,
    projects: HashMap<ProjectId, String>,
}

impl<'a> Names<'a> {
    pub(crate) fn new(store: &'a Store) -> Self {
        Self { store, accounts: HashMap::new(), projects: HashMap::new() }
    }

    pub(crate) async fn account(&mut self, id: AccountId) -> Result<String, StoreError> {
        if let Some(name) = self.accounts.get(&id) {
            return Ok(name.clone());
        }
        let found = self.store.accounts().find_by_id(id).await?;
        let name = found.map_or_else(|| "somebody".to_owned(), |account| account.name.to_string());
        self.accounts.insert(id, name.clone());
        Ok(name)
    }

    pub(crate) async fn project(&mut self, id: ProjectId) -> Result<String, StoreError> {
        if let Some(title) = self.projects.get(&id) {
            return Ok(title.clone());
        }
        let found = self.store.projects().find_by_id(id).await?;
        let title = found.map_or_else(|| "a project".to_owned(), |project| project.title.to_string());
        self.projects.insert(id, title.clone());
        Ok(title)
    }

    pub(crate) async fn key(
        &mut self,
        key: &StoredKey,
        now: Timestamp,
        may_change: bool,
    ) -> Result<KeyView, StoreError> {
        let last_use = match &key.last_use {
            Some(used) => Some(UseView {
                at: When::new(used.at, now),
                address: used.address.to_canonical().to_string(),
                project: match used.project {
                    Some(id) => Some((self.project(id).await?, format!("/projects/{id}"))),
                    None => None,
                },
            }),
            None => None,
        };
        let holder = match key.owner.project() {
            Some(_) => Some(self.account(key.owner.holder()).await?),
            None => None,
        };
        let expires = key.expires.map(|time| When::new(time, now));
        let last_day = key.expires.map(|time| time.minus(std::time::Duration::from_secs(1)));
        Ok(KeyView {
            id: key.id.to_string(),
            title: key.title.to_string(),
            algorithm: algorithm(key),
            sha256: key.fingerprint.to_string(),
            md5: key.md5_fingerprint.clone(),
            created: When::new(key.created, now),
            last_use,
            is_over: key.expires.is_some_and(|time| time <= now),
            expires,
            last_day: last_day.map(|time| When::new(time, now).day().to_owned()).unwrap_or_default(),
            holder,
            may_change,
            action: format!("/keys/{}", key.id),
        })
    }

    pub(crate) async fn session(
        &mut self,
        session: &SshSession,
        now: Timestamp,
        may_end: bool,
    ) -> Result<SessionView, StoreError> {
        Ok(SessionView {
            id: session.id.to_string(),
            account: self.account(session.account).await?,
            key: session.key_title.clone(),
            client: session.client.ip().to_canonical().to_string(),
            started: When::new(session.started, now),
            received: bytes(session.bytes_to_client),
            sent: bytes(session.bytes_from_client),
            may_end,
        })
    }
}

/// The algorithm as `ssh-keygen -l` calls it.
fn algorithm(key: &StoredKey) -> String {
    let bits = PublicKey::from_blob(&key.blob).ok().and_then(|key| key.rsa_bits());
    match (key.algorithm.as_str(), bits) {
        ("ssh-ed25519", _) => "ED25519".to_owned(),
        ("ssh-rsa", Some(bits)) => format!("RSA {bits}"),
        ("ecdsa-sha2-nistp256", _) => "ECDSA 256".to_owned(),
        ("ecdsa-sha2-nistp384", _) => "ECDSA 384".to_owned(),
        ("ecdsa-sha2-nistp521", _) => "ECDSA 521".to_owned(),
        ("sk-ssh-ed25519@openssh.com", _) => "ED25519-SK, on a security token".to_owned(),
        ("sk-ecdsa-sha2-nistp256@openssh.com", _) => "ECDSA-SK, on a security token".to_owned(),
        (other, _) => other.to_owned(),
    }
}

/// `12.3 MB`.
pub(crate) fn bytes(count: u64) -> String {
    const STEP: u64 = 1_000;
    let mut whole = count;
    let mut rest = 0;
    for unit in ["B", "kB", "MB", "GB", "TB"] {
        if whole < STEP {
            return match (unit, whole) {
                ("B", _) | (_, 10..) => format!("{whole} {unit}"),
                (_, ..10) => format!("{whole}.{rest} {unit}"),
            };
        }
        rest = whole % STEP / 100;
        whole /= STEP;
    }
    format!("{whole} PB")
}

/// The name that people type for a project.
pub(crate) fn project_name(project: &Project) -> String {
    project.alias.as_ref().map_or_else(|| project.id.to_string(), ToString::to_string)
}

/// The name of a project's block in `~/.ssh/config`.
pub(crate) fn config_name(project: &Project) -> String {
    match &project.alias {
        Some(alias) => alias.to_string(),
        None => format!("project-{}", project.id.to_string().get(24..).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (count, wanted) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (1_250, "1.2 kB"),
            (12_345_678, "12 MB"),
            (9_900_000_000, "9.9 GB"),
            (u64::MAX, "18446 PB"),
        ] {
            assert_eq!(bytes(count), wanted, "{count}");
        }
    }
}
