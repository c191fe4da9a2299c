//! Public keys of accounts and projects: added from a paste, renamed, given an end, removed.

use hop_store::{
    AccountId, AddKeyError, ChangeKeyError, KeyId, KeyOwner, NewKey, ProjectId, StoreError, StoredKey,
    Timestamp, Title, TitleError,
};

use super::caller::Powers;
use super::denied::{Checked, from_checked};
use super::{
    Caller, Denied, ErrorKind, KeyUrlError, KeyWarning, Operations, PastedKey, PastedProblem,
    PrivateKeyPasted, parse_keys,
};

/// Where keys are added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyPlace {
    /// To an account: they open every project of which it is a member.
    Account(AccountId),
    /// To a project: they open this one, while the member who holds them is one.
    Project {
        /// The project.
        project: ProjectId,
        /// Who answers for them.
        holder: AccountId,
    },
}

/// Where the text with the keys comes from.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// A person pasted it.
    Paste(String),
    /// It was read from a URL (see [`super::KeyUrls`]).
    Url {
        /// The URL, for titles.
        url: String,
        /// What it answered.
        text: String,
    },
}

/// What became of a paste.
#[derive(Debug, Clone, Default)]
pub struct AddedKeys {
    /// Those that were stored.
    pub added: Vec<AddedKey>,
    /// What was not.
    pub refused: Vec<RefusedKey>,
}

/// A key that was stored.
#[derive(Debug, Clone)]
pub struct AddedKey {
    /// Its id.
    pub id: KeyId,
    /// What it is called.
    pub title: Title,
    /// What its owner should know.
    pub warning: Option<KeyWarning>,
}

/// A line that was not stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct RefusedKey {
    /// Counted from 1.
    pub line: usize,
    /// Why.
    pub reason: RefusedKeyReason,
}

/// Why a line was not stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefusedKeyReason {
    /// It is not a key that can be used.
    #[error(transparent)]
    Pasted(#[from] super::PastedReason),
    /// The owner has it already.
    #[error("this key is there already, as \"{title}\"")]
    Duplicate {
        /// Under which title.
        title: Title,
    },
    /// The owner has as many as the site allows.
    #[error("there are {most} keys already, more are not kept; remove some first")]
    Full {
        /// The limit.
        most: usize,
    },
}

/// Why keys were not added or changed.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The caller may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// No such key, or not the caller's: the same words for both.
    #[error("there is no such key")]
    Absent,
    /// A private key.
    #[error(transparent)]
    Private(#[from] PrivateKeyPasted),
    /// Nothing in it.
    #[error("there is no key in this")]
    Empty,
    /// The title is not taken.
    #[error(transparent)]
    Title(#[from] TitleError),
    /// It would end before it begins.
    #[error("the end lies in the past; remove the key instead")]
    PastExpiry,
    /// The URL did not answer with keys.
    #[error(transparent)]
    Url(#[from] KeyUrlError),
    /// Only members hold keys of a project.
    #[error("who holds a project's key must be a member of the project")]
    HolderNotAMember,
    /// The store did not do its part.
    #[error(transparent)]
    Store(#[from] StoreError),
}
from_checked!(KeyError);

impl KeyError {
    /// What it means to a door.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Denied(denied) => denied.kind(),
            Self::Absent => ErrorKind::Absent,
            Self::Private(_)
            | Self::Empty
            | Self::Title(_)
            | Self::PastExpiry
            | Self::Url(_)
            | Self::HolderNotAMember => ErrorKind::Invalid,
            Self::Store(error) => ErrorKind::of_store(error),
        }
    }
}

impl From<ChangeKeyError> for KeyError {
    fn from(error: ChangeKeyError) -> Self {
        match error {
            ChangeKeyError::Absent { .. } => Self::Absent,
            ChangeKeyError::Store(error) => Self::Store(error),
        }
    }
}

impl Operations {
    /// Stores the keys of a text, each that can be used; the others are told with their lines. Without a title each is
    /// called by its comment, or else by where it comes from. An account's keys: for itself and admins; a project's:
    /// for its owners.
    pub async fn add_keys(
        &self,
        caller: &Caller,
        place: KeyPlace,
        title: Option<&Title>,
        source: &KeySource,
        expires: Option<Timestamp>,
    ) -> Result<AddedKeys, KeyError> {
        let pasted = parse_keys(source.text())?;
        if pasted.keys.is_empty() && pasted.problems.is_empty() {
            return Err(KeyError::Empty);
        }
        let refused = pasted
            .problems
            .into_iter()
            .map(|PastedProblem { line, reason }| RefusedKey { line, reason: reason.into() });
        let mut outcome = AddedKeys { added: Vec::new(), refused: refused.collect() };
        let mut turn = self.begin(caller).await?;
        let owner = self.check_place(caller, place).await?;
        if expires.is_some_and(|end| end <= turn.change.now()) {
            return Err(KeyError::PastExpiry);
        }
        let mut count = self.keys_of(place).await?.len();
        let several = pasted.keys.len() > 1;
        for (key, number) in pasted.keys.iter().zip(1..) {
            if count >= self.rules.most_keys {
                let reason = RefusedKeyReason::Full { most: self.rules.most_keys };
                outcome.refused.push(RefusedKey { line: key.line, reason });
                continue;
            }
            let title = key_title(title, several.then_some(number), key, source)?;
            let id = KeyId::new(turn.change.now(), self.id_bytes());
            let new = NewKey { id, owner, title: title.clone(), key: &key.key, expires };
            match turn.change.keys().add(&new).await {
                Ok(()) => {
                    count += 1;
                    outcome.added.push(AddedKey { id, title, warning: key.warning });
                }
                Err(AddKeyError::Duplicate { title }) => {
                    let reason = RefusedKeyReason::Duplicate { title };
                    outcome.refused.push(RefusedKey { line: key.line, reason });
                }
                Err(AddKeyError::NoAccount { .. } | AddKeyError::NotAMember { .. }) => {
                    return Err(KeyError::HolderNotAMember);
                }
                Err(AddKeyError::NoProject { .. }) => return Err(Denied::NoProject.into()),
                Err(AddKeyError::Store(error)) => return Err(error.into()),
            }
        }
        outcome.refused.sort_by_key(|refused| refused.line);
        if !outcome.added.is_empty() {
            turn.change.commit().await?;
        }
        Ok(outcome)
    }

    /// Gives a key another title. For who may remove it.
    pub async fn rename_key(&self, caller: &Caller, key: KeyId, title: &Title) -> Result<(), KeyError> {
        let mut turn = self.begin(caller).await?;
        self.check_key(caller, key).await?;
        turn.change.keys().rename(key, title).await?;
        Ok(turn.change.commit().await?)
    }

    /// Sets from when a key opens nothing; `None`: never. An end that has come is for [`Operations::remove_key`]. For
    /// who may remove it.
    pub async fn set_key_expiry(
        &self,
        caller: &Caller,
        key: KeyId,
        expires: Option<Timestamp>,
    ) -> Result<(), KeyError> {
        let mut turn = self.begin(caller).await?;
        self.check_key(caller, key).await?;
        if expires.is_some_and(|end| end <= turn.change.now()) {
            return Err(KeyError::PastExpiry);
        }
        turn.change.keys().set_expiry(key, expires).await?;
        Ok(turn.change.commit().await?)
    }

    /// Takes a key away; the sessions that it opened end. An account's: for itself and admins. A project's: for its
    /// owners and for the member who holds it.
    pub async fn remove_key(&self, caller: &Caller, key: KeyId) -> Result<StoredKey, KeyError> {
        let mut turn = self.begin(caller).await?;
        let found = self.check_key(caller, key).await?;
        turn.change.keys().remove(key).await?;
        turn.change.commit().await?;
        Ok(found)
    }

    /// A key that the caller may change, for a page that asks before it removes it.
    pub async fn find_key(&self, caller: &Caller, key: KeyId) -> Result<StoredKey, KeyError> {
        self.check_key(caller, key).await
    }

    /// The keys of an account, oldest first. For itself and admins.
    pub async fn account_keys(&self, caller: &Caller, of: AccountId) -> Result<Vec<StoredKey>, KeyError> {
        self.check_self_or_admin(caller, of).await?;
        Ok(self.store.keys().list_of_account(of).await?)
    }

    /// A project's own keys, oldest first. For its members.
    pub async fn project_keys(&self, caller: &Caller, of: ProjectId) -> Result<Vec<StoredKey>, KeyError> {
        self.standing(caller, of).await?;
        Ok(self.store.keys().list_of_project(of).await?)
    }

    async fn keys_of(&self, place: KeyPlace) -> Result<Vec<StoredKey>, StoreError> {
        match place {
            KeyPlace::Account(account) => self.store.keys().list_of_account(account).await,
            KeyPlace::Project { project, .. } => self.store.keys().list_of_project(project).await,
        }
    }

    async fn check_place(&self, caller: &Caller, place: KeyPlace) -> Result<KeyOwner, Checked> {
        match place {
            KeyPlace::Account(account) => {
                self.check_self_or_admin(caller, account).await?;
                Ok(KeyOwner::Account(account))
            }
            KeyPlace::Project { project, holder } => {
                self.deciding(caller, project).await?;
                // One member must not put a key into another one's name.
                self.check_self_or_admin(caller, holder).await?;
                Ok(KeyOwner::Project { project, holder })
            }
        }
    }

    /// The key, if the caller may change it.
    async fn check_key(&self, caller: &Caller, key: KeyId) -> Result<StoredKey, KeyError> {
        let found = self.store.keys().find_by_id(key).await?.ok_or(KeyError::Absent);
        if caller.powers() == Powers::Operator {
            return found;
        }
        let own = self.own_account(caller).await?;
        let found = found?;
        if own.admin || found.owner.holder() == own.id {
            return Ok(found);
        }
        let Some(project) = found.owner.project() else { return Err(KeyError::Absent) };
        match self.standing(caller, project).await {
            Ok(standing) if standing.decides => Ok(found),
            Ok(_) => Err(Denied::NotOwner.into()),
            Err(Checked::Denied(_)) => Err(KeyError::Absent),
            Err(Checked::Store(error)) => Err(error.into()),
        }
    }
}

impl KeySource {
    fn text(&self) -> &str {
        match self {
            Self::Paste(text) | Self::Url { text, .. } => text,
        }
    }
}

/// What a key is called: as the person says (numbered when there are several), else its comment, else its origin.
fn key_title(
    given: Option<&Title>,
    number: Option<usize>,
    key: &PastedKey,
    source: &KeySource,
) -> Result<Title, TitleError> {
    let comment = Title::parse(&first(&key.comment, 100));
    let numbered = |text: &str| match number {
        Some(number) => Title::parse(&format!("{} ({number})", first(text, 90))),
        None => Title::parse(&first(text, 100)),
    };
    match (given, comment, source) {
        (Some(title), _, _) => numbered(title.as_str()),
        (None, Ok(comment), _) => Ok(comment),
        (None, Err(_), KeySource::Url { url, .. }) => numbered(url),
        (None, Err(_), KeySource::Paste(_)) => numbered(key.key.algorithm().name()),
    }
}

fn first(text: &str, most: usize) -> String {
    text.trim().chars().take(most).collect()
}

impl AddedKeys {
    /// Whether everything was stored.
    pub fn is_complete(&self) -> bool {
        self.refused.is_empty()
    }
}
