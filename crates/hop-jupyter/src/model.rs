//! What a Hub says of people, servers and tokens: the parts that are used, of any version since JupyterHub 2.

use hop_link::Secret;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;

/// Whom a token belongs to and what it may do: the answer to "who am I".
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Holder {
    /// Of the person, or of the service.
    pub name: String,
    /// `user` or `service`.
    #[serde(default)]
    pub kind: String,
    /// Groups, where the token may see them.
    #[serde(default)]
    pub groups: Vec<String>,
    /// What the token may do, hierarchies resolved.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// What the token is called where it is revoked; since JupyterHub 5.
    #[serde(default)]
    pub token_id: Option<String>,
}

/// A server.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Server {
    /// Whether it takes requests.
    #[serde(default)]
    pub ready: bool,
    /// What happens to it just now: `spawn` or `stop`.
    #[serde(default)]
    pub pending: Option<String>,
    /// Its place: a path of the Hub's host, or a whole URL.
    pub url: String,
    /// Where the Hub tells how a start goes.
    #[serde(default)]
    pub progress_url: Option<String>,
}

/// A person's servers by name; the first one's name is empty. Those that do not run may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Servers {
    #[serde(default)]
    servers: BTreeMap<String, Server>,
}

impl Servers {
    /// The server of this name, if the Hub tells of it.
    pub fn find(&self, name: &str) -> Option<&Server> {
        self.servers.get(name)
    }
}

/// A token that the Hub has just made, or told of.
#[derive(Clone, Debug, Deserialize)]
pub struct NewToken {
    /// The token itself.
    pub token: Secret,
    /// What it is called where it is revoked.
    #[serde(default)]
    pub id: Option<String>,
    /// When it ends; `None` for never.
    #[serde(default, deserialize_with = "time")]
    pub expires_at: Option<Timestamp>,
}

/// What the Hub says of a token that is there.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct TokenFacts {
    #[serde(default, deserialize_with = "time")]
    pub(crate) expires_at: Option<Timestamp>,
}

/// A Hub writes times with a `Z`; one that cannot be read counts as none: what is shown, not what is decided, hangs on it.
fn time<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Timestamp>, D::Error> {
    let text = Option::<String>::deserialize(source)?;
    Ok(text.and_then(|text| text.parse().ok()))
}

/// What a Hub says of an error.
#[derive(Debug, Deserialize)]
struct Complaint {
    message: String,
}

/// The Hub's own words on an error, without control characters, at most a line.
pub(crate) fn complaint(body: &[u8]) -> Option<String> {
    let said: Complaint = serde_json::from_slice(body).ok()?;
    let text: String = said.message.chars().filter(|c| !c.is_control()).take(300).collect();
    (!text.trim().is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn answers_as_a_hub_gives_them() {
        let holder: Holder = serde_json::from_str(
            r#"{"kind":"user","name":"alice","admin":false,"groups":[],"scopes":["access:servers!user=alice"],"token_id":"a3","session_id":null}"#,
        )
        .unwrap();
        assert_eq!((holder.name.as_str(), holder.token_id.as_deref()), ("alice", Some("a3")));
        let servers: Servers = serde_json::from_str(
            r#"{"name":"alice","servers":{"":{"name":"","pending":"spawn","ready":false,"url":"/user/alice/","progress_url":"/hub/api/users/alice/server/progress","user_options":{}}}}"#,
        )
        .unwrap();
        assert_eq!(servers.find("").unwrap().pending.as_deref(), Some("spawn"));
        assert_eq!(servers.find("lab"), None);
        let token: NewToken =
            serde_json::from_str(r#"{"token":"x","id":"a4","expires_at":"2026-12-22T10:00:00.123456Z"}"#)
                .unwrap();
        assert_eq!(token.expires_at.unwrap().to_string(), "2026-12-22T10:00:00.123456Z");
        let token: NewToken = serde_json::from_str(r#"{"token":"x","expires_at":"soon"}"#).unwrap();
        assert_eq!(token.expires_at, None);
        assert_eq!(complaint(br#"{"status":400,"message":"no\u001b profile"}"#).unwrap(), "no profile");
    }

    proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>, text: String) {
            for bytes in [bytes.as_slice(), text.as_bytes(), format!("{{\"message\": {text:?}}}").as_bytes()] {
                let _ = complaint(bytes);
                let _ = serde_json::from_slice::<Servers>(bytes).map(|servers| servers.find("").is_some());
                let _ = serde_json::from_slice::<Holder>(bytes).is_ok();
            }
        }
    }
}
