//! The place in a Jupyter server where its owner's keys are put, beside SSH itself: `…/sshd/keys`.
//!
//! The Hub's authentication decides who may: whoever holds the owner's token. The operator decides whether that suffices, or
//! the owner confirms in a browser, or keys are put by hand.

use crate::key_source::PublicLine;
use hop_link::{Answer, ClientOptions, ConnectError, Method, Request, Target};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

/// What the operator allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Door {
    /// Keys are put by hand.
    Off,
    /// The owner confirms each in a browser.
    Ask,
    /// The token suffices.
    On,
}

/// A key that the server takes by this door.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct InstalledKey {
    /// SHA256.
    pub fingerprint: String,
    /// Where it comes from.
    #[serde(default)]
    pub title: String,
    /// When it ends.
    #[serde(default)]
    pub expires: Option<Timestamp>,
}

/// What the door says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct DoorKeys {
    /// Who may put keys.
    pub mode: Door,
    /// The keys that are there.
    pub keys: Vec<InstalledKey>,
}

/// What came of an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The keys are there.
    Installed,
    /// The owner must confirm.
    Confirm {
        /// What the request is called.
        id: String,
        /// Shown here and on the page, so that nobody confirms another's.
        code: String,
        /// The page.
        page: String,
    },
}

impl Asked {
    /// A question to the owner, of the server's own pages, in words that a terminal can show.
    fn read(answer: &[u8], server: &Target) -> Option<Self> {
        #[derive(Deserialize)]
        struct Confirm {
            id: String,
            code: String,
            page: String,
        }
        let Confirm { id, code, page } = serde_json::from_slice(answer).ok()?;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        if !id.chars().chain(code.chars()).all(is_plain) || code.len() >= 20 {
            return None;
        }
        let page = server.join(&page).filter(|page| page.is_same_origin(server))?;
        Some(Self::Confirm { id, code, page: page.to_string().replacen("ws", "http", 1) })
    }
}

/// How a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RequestState {
    /// Nobody has said anything.
    Waiting,
    /// The keys are there.
    Allowed,
    /// The owner does not want them.
    Refused,
    /// It is too old, or the server has started anew.
    Gone,
}

/// Why a key was not put, listed or removed.
#[derive(Debug, thiserror::Error)]
pub enum KeyDoorError {
    /// The server was not reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// It has no such place.
    #[error(
        "the server takes no keys this way: its grasshopper-ssh is too old, or another program serves SSH there"
    )]
    Absent,
    /// The operator wants keys to be put by hand.
    #[error("the operator of this Hub wants keys to be put by hand")]
    Off,
    /// It is not the owner who asks.
    #[error("the server refuses: {0}")]
    Refused(String),
    /// Something else.
    #[error("the server failed (status {status}) {said}")]
    Status {
        /// Its answer.
        status: u16,
        /// Its words.
        said: String,
    },
}

/// What is offered.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    /// The keys.
    pub keys: &'a [PublicLine],
    /// Where they come from: a machine's name.
    pub title: &'a str,
    /// When they end.
    pub expires: Option<Timestamp>,
}

/// The door of one server.
#[derive(Clone, Debug)]
pub struct KeyDoor {
    target: Target,
    options: ClientOptions,
}

impl KeyDoor {
    /// The door beside a server's SSH.
    pub fn beside(ssh: &Target, options: ClientOptions) -> Option<Self> {
        let path = ssh.path().split('?').next()?;
        Some(Self { target: ssh.join(&format!("{}/keys", path.trim_end_matches('/')))?, options })
    }

    /// What is there.
    ///
    /// # Errors
    /// When the server does not tell.
    pub async fn list(&self) -> Result<DoorKeys, KeyDoorError> {
        let answer = self.send(Method::Get, "", None).await?;
        serde_json::from_slice(&answer.body).map_err(|_| KeyDoorError::Absent)
    }

    /// Offers keys. One that is there gets the new end, without a question.
    ///
    /// # Errors
    /// When the server does not want them.
    pub async fn offer(&self, offer: &Offer<'_>) -> Result<Asked, KeyDoorError> {
        let keys: Vec<_> = offer.keys.iter().map(|line| line.key.to_line(&line.comment)).collect();
        let expires = offer.expires.map(|end| end.to_string());
        let body = json!({ "keys": keys, "title": offer.title, "expires": expires }).to_string();
        let answer = self.send(Method::Post, "", Some(&body)).await?;
        if answer.status != 202 {
            return Ok(Asked::Installed);
        }
        Asked::read(&answer.body, &self.target).ok_or(KeyDoorError::Absent)
    }

    /// How a request stands.
    ///
    /// # Errors
    /// When the server does not tell.
    pub async fn state(&self, id: &str) -> Result<RequestState, KeyDoorError> {
        #[derive(Deserialize)]
        struct Stands {
            state: RequestState,
        }
        let answer = self.send(Method::Get, &format!("?request={}", crate::escaped(id)), None).await?;
        let stands: Stands = serde_json::from_slice(&answer.body).map_err(|_| KeyDoorError::Absent)?;
        Ok(stands.state)
    }

    /// Removes a key; whether it was there.
    ///
    /// # Errors
    /// When the server does not.
    pub async fn remove(&self, fingerprint: &str) -> Result<bool, KeyDoorError> {
        let query = format!("?fingerprint={}", crate::escaped(fingerprint));
        match self.send(Method::Delete, &query, None).await {
            Ok(_) => Ok(true),
            Err(KeyDoorError::Status { status: 410, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn send(&self, method: Method, query: &str, json: Option<&str>) -> Result<Answer, KeyDoorError> {
        #[derive(Deserialize)]
        struct Said {
            message: String,
        }
        let target =
            self.target.join(&format!("{}{query}", self.target.path())).ok_or(KeyDoorError::Absent)?;
        let request = Request { method, json: json.map(str::as_bytes) };
        let answer = hop_link::request(&target, request, &self.options).await?;
        let said = serde_json::from_slice::<Said>(&answer.body).map(|said| said.message).unwrap_or_default();
        let said: String = said.chars().filter(|c| !c.is_control()).take(300).collect();
        match answer.status {
            200..=299 => Ok(answer),
            300..=399 | 404 | 405 => Err(KeyDoorError::Absent),
            403 if said == "off" => Err(KeyDoorError::Off),
            400 | 401 | 403 => Err(KeyDoorError::Refused(said)),
            status => Err(KeyDoorError::Status { status, said }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(id: &str, code: &str, page: &str) -> Option<Asked> {
        let server = Target::parse("wss://hub.example/user/alice/sshd/keys").unwrap();
        Asked::read(json!({ "id": id, "code": code, "page": page }).to_string().as_bytes(), &server)
    }

    #[test]
    fn the_person_is_led_to_pages_of_the_server_only() {
        let page = "https://hub.example/user/alice/sshd/confirm/x".to_owned();
        let wanted = Asked::Confirm { id: "x-1".to_owned(), code: "AB-12".to_owned(), page };
        assert_eq!(read("x-1", "AB-12", "/user/alice/sshd/confirm/x"), Some(wanted));
        for (id, code, page) in [
            ("x", "AB", "https://evil.example/confirm/x"),
            ("x", "AB", "//evil.example/x"),
            ("x", "AB", "http://hub.example/x"),
            ("x", "\u{1b}[2J", "/x"),
            ("../x", "AB", "/x"),
            ("x", "a-code-of-twenty-char", "/x"),
        ] {
            assert_eq!(read(id, code, page), None, "{id:?} {code:?} {page}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>, id: String, code: String, page: String) {
            let _ = Asked::read(&bytes, &Target::parse("ws://h/").unwrap());
            let _ = serde_json::from_slice::<DoorKeys>(&bytes).is_ok();
            if let Some(Asked::Confirm { page, .. }) = read(&id, &code, &page) {
                prop_assert!(page.starts_with("https://hub.example/"), "{page}");
            }
        }
    }
}
