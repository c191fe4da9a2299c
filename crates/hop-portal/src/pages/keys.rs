//! The page of a person's SSH keys.

use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use hop_store::{KeyId, KeyOwner, StoredKey, Timestamp, Title};
use hyper::StatusCode;
use serde::Deserialize;

use super::view::{KeyView, Names};
use super::when::end_of_day;
use super::{Done, Frame, Notice, back_to, refused, refused_page, render, sentence};
use crate::operations::{AddedKeys, ErrorKind, KeyError, KeyPlace, KeySource, KeyUrlError};
use crate::portal::Shared;
use crate::web::Person;

const WORDS: &[(&str, &str)] = &[
    ("added", "The key was added. It opens all your projects from now on."),
    ("changed", "The key was changed."),
    ("removed", "The key was removed; sessions that it opened end now."),
];

#[derive(Template)]
#[template(path = "keys.html")]
struct KeysPage {
    frame: Frame,
    keys: Vec<KeyView>,
    form: KeyForm,
    has_urls: bool,
}

/// The form for new keys, of an account or a project.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct KeyForm {
    #[serde(default)]
    pub(crate) title: String,
    #[serde(default)]
    pub(crate) key: String,
    #[serde(default)]
    pub(crate) url: String,
    #[serde(default)]
    pub(crate) last_day: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct ChangeForm {
    title: String,
    #[serde(default)]
    last_day: String,
}

/// The keys, and the form for more.
pub(super) async fn page(
    State(shared): State<Arc<Shared>>,
    person: Person,
    Query(done): Query<Done>,
) -> Response {
    show(&shared, &person, StatusCode::OK, done.notices(WORDS), KeyForm::default()).await
}

async fn show(
    shared: &Shared,
    person: &Person,
    status: StatusCode,
    notices: Vec<Notice>,
    form: KeyForm,
) -> Response {
    match keys(shared, person).await {
        Ok(keys) => {
            let frame = Frame::new("SSH keys", "keys", Some(person), notices);
            render(status, &KeysPage { frame, keys, form, has_urls: shared.key_urls.is_some() })
        }
        Err(error) => refused_page(error.kind(), &error),
    }
}

async fn keys(shared: &Shared, person: &Person) -> Result<Vec<KeyView>, KeyError> {
    let stored = shared.operations.account_keys(&person.caller, person.account.id).await?;
    let now = shared.operations.now();
    let mut names = Names::new(shared.operations.store());
    let mut keys = Vec::with_capacity(stored.len());
    for key in &stored {
        keys.push(names.key(key, now, true).await?);
    }
    Ok(keys)
}

/// Adds keys from a paste or a URL.
pub(super) async fn add(
    State(shared): State<Arc<Shared>>,
    person: Person,
    Form(form): Form<KeyForm>,
) -> Response {
    let place = KeyPlace::Account(person.account.id);
    match add_from_form(&shared, &person, place, &form).await {
        Ok(outcome) if outcome.is_plain() => back_to("/keys", "added"),
        Ok(outcome) => {
            let (status, notices) = outcome.tell();
            let form = if outcome.added.is_empty() { form } else { KeyForm::default() };
            show(&shared, &person, status, notices, form).await
        }
        Err(error) => {
            let (status, notice) = refused(error.kind(), &error);
            show(&shared, &person, status, vec![notice], form.without_secret(&error)).await
        }
    }
}

/// Reads a form for new keys and adds them.
pub(super) async fn add_from_form(
    shared: &Shared,
    person: &Person,
    place: KeyPlace,
    form: &KeyForm,
) -> Result<AddedKeys, KeyError> {
    let title = match form.title.trim() {
        "" => None,
        title => Some(Title::parse(title)?),
    };
    let expires = form.expires()?;
    let url = form.url.trim();
    let source = if url.is_empty() || !form.key.trim().is_empty() {
        KeySource::Paste(form.key.clone())
    } else {
        let text = shared.key_urls.as_ref().ok_or(KeyUrlError::Off)?.fetch(url).await?;
        KeySource::Url { url: url.to_owned(), text }
    };
    shared.operations.add_keys(&person.caller, place, title.as_ref(), &source, expires).await
}

/// Gives a key another title or end.
pub(super) async fn change(
    State(shared): State<Arc<Shared>>,
    person: Person,
    Path(key): Path<String>,
    Form(form): Form<ChangeForm>,
) -> Response {
    let changed = change_key(&shared, &person, &key, &form).await;
    back(&shared, &person, changed, "changed").await
}

async fn change_key(
    shared: &Shared,
    person: &Person,
    key: &str,
    form: &ChangeForm,
) -> Result<StoredKey, KeyError> {
    let id = KeyId::parse(key).ok_or(KeyError::Absent)?;
    let key = shared.operations.find_key(&person.caller, id).await?;
    let title = Title::parse(&form.title)?;
    let expires = last_day(&form.last_day)?;
    if title != key.title {
        shared.operations.rename_key(&person.caller, id, &title).await?;
    }
    if expires != key.expires {
        shared.operations.set_key_expiry(&person.caller, id, expires).await?;
    }
    Ok(key)
}

/// Takes a key away.
pub(super) async fn remove(
    State(shared): State<Arc<Shared>>,
    person: Person,
    Path(key): Path<String>,
) -> Response {
    let removed = match KeyId::parse(&key) {
        Some(id) => shared.operations.remove_key(&person.caller, id).await,
        None => Err(KeyError::Absent),
    };
    back(&shared, &person, removed, "removed").await
}

/// To the page on which the key stands.
async fn back(
    shared: &Shared,
    person: &Person,
    changed: Result<StoredKey, KeyError>,
    done: &str,
) -> Response {
    match changed {
        Ok(key) => match key.owner {
            KeyOwner::Account(_) => back_to("/keys", done),
            KeyOwner::Project { project, .. } => {
                back_to(&format!("/projects/{project}"), &format!("key-{done}"))
            }
        },
        Err(error) => {
            let (status, notice) = refused(error.kind(), &error);
            show(shared, person, status, vec![notice], KeyForm::default()).await
        }
    }
}

impl KeyForm {
    fn expires(&self) -> Result<Option<Timestamp>, KeyError> {
        last_day(&self.last_day)
    }

    /// What is shown again after a refusal: nothing of a private key.
    pub(super) fn without_secret(self, error: &KeyError) -> Self {
        match error {
            KeyError::Private(_) => Self { key: String::new(), ..self },
            _ => self,
        }
    }
}

/// The end of the last day on which a key is good.
fn last_day(text: &str) -> Result<Option<Timestamp>, KeyError> {
    match text.trim() {
        "" => Ok(None),
        day => end_of_day(day).map(Some).ok_or(KeyError::PastExpiry),
    }
}

impl AddedKeys {
    /// One key, nothing to say about it.
    pub(super) fn is_plain(&self) -> bool {
        let has_warning = self.added.iter().any(|key| key.warning.is_some());
        self.added.len() == 1 && self.is_complete() && !has_warning
    }

    /// What came of each.
    pub(super) fn tell(&self) -> (StatusCode, Vec<Notice>) {
        let mut notices = Vec::new();
        match self.added.as_slice() {
            [] => {}
            [key] => notices.push(Notice::done(format!("The key \"{}\" was added.", key.title))),
            keys => notices.push(Notice::done(format!("{} keys were added.", keys.len()))),
        }
        for key in &self.added {
            if let Some(warning) = key.warning {
                notices.push(Notice::warning(format!("{}: {}", key.title, sentence(&warning.to_string()))));
            }
        }
        let several = self.added.len() + self.refused.len() > 1;
        for refused in &self.refused {
            let text = if several { refused.to_string() } else { refused.reason.to_string() };
            notices.push(Notice::error(sentence(&text)));
        }
        let status = if self.added.is_empty() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
        (status, notices)
    }
}

/// For pages that show a key's form elsewhere.
pub(super) fn kind_of(error: &KeyError) -> ErrorKind {
    error.kind()
}
