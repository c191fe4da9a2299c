//! The requests to a Hub's API that SSH needs. None is repeated, and no redirect is followed.

use crate::address::HubAddress;
use crate::error::HubError;
use crate::model::{Holder, NewToken, Servers, TokenFacts, complaint};
use crate::progress::Progress;
use hop_link::{Answer, ClientOptions, Method, Request, Secret, Target};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::time::Duration;

/// The Hub answers a start only after ten seconds, if the server is not there before.
const START: Duration = Duration::from_secs(60);

/// A Hub, and the token to ask it with.
#[derive(Clone, Debug)]
pub struct Hub {
    address: HubAddress,
    options: ClientOptions,
}

/// What came of asking for a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Started {
    /// It starts now.
    Starts,
    /// It runs, or somebody else has asked for it.
    Runs,
}

impl Hub {
    /// A Hub that is asked with the token in `options`.
    pub fn new(address: HubAddress, options: ClientOptions) -> Self {
        Self { address, options }
    }

    /// The same, asked with another token.
    #[must_use]
    pub fn with_token(&self, token: Secret) -> Self {
        Self { options: ClientOptions { token: Some(token), ..self.options.clone() }, ..self.clone() }
    }

    /// Where it is.
    pub fn address(&self) -> &HubAddress {
        &self.address
    }

    /// How it is connected to.
    pub fn options(&self) -> &ClientOptions {
        &self.options
    }

    /// Its version, which it tells everybody: whether it is a Hub at all.
    ///
    /// # Errors
    /// When it is not.
    pub async fn version(&self) -> Result<String, HubError> {
        let options = ClientOptions { token: None, ..self.options.clone() };
        let target = self.address.api(&[""], "").map_err(|_| self.shape("its address"))?;
        let asked = hop_link::request(&target, Request { method: Method::Get, json: None }, &options).await?;
        let not_a_hub = || HubError::NotAHub { hub: self.address.to_string(), status: asked.status };
        // Elsewhere on the same site is a Hub's or another program's own way to say that there is nothing.
        let away = asked
            .location
            .as_deref()
            .filter(|to| target.join(to).is_none_or(|to| !to.is_same_origin(&target)));
        if let (300..=399, Some(location)) = (asked.status, away) {
            return Err(self.elsewhere(&target, location));
        }
        let version: Value = serde_json::from_slice(&asked.body).map_err(|_| not_a_hub())?;
        let version = version.get("version").and_then(Value::as_str).filter(|_| asked.status == 200);
        version
            .map(|version| version.chars().filter(|c| !c.is_control()).take(40).collect())
            .ok_or_else(not_a_hub)
    }

    /// Whom the token belongs to.
    ///
    /// # Errors
    /// When it opens nothing.
    pub async fn holder(&self) -> Result<Holder, HubError> {
        let answer = self.send(Method::Get, &["user"], "", None).await?;
        if [401, 403].contains(&answer.status) {
            return Err(HubError::UnknownToken { hub: self.address.to_string() });
        }
        self.read(&answer, "telling whose token it is")
    }

    /// A person's servers.
    ///
    /// # Errors
    /// When the token may not see them.
    pub async fn servers(&self, user: &str) -> Result<Servers, HubError> {
        let answer = self.send(Method::Get, &["users", user], "?include_stopped_servers=1", None).await?;
        if answer.status == 404 {
            return Err(HubError::NoUser { hub: self.address.to_string(), user: user.to_owned() });
        }
        self.read(&answer, "telling of servers")
    }

    /// Asks for a server to be started. `options` are those of the Hub's start form.
    ///
    /// # Errors
    /// When it is not.
    pub async fn start(
        &self,
        user: &str,
        server: &str,
        options: Option<&Value>,
    ) -> Result<Started, HubError> {
        let body = options.map(|options| json!({ "user_options": options }).to_string());
        let patient = ClientOptions { time: self.options.time.max(START), ..self.options.clone() };
        let patient = Self { options: patient, ..self.clone() };
        let answer = patient.send(Method::Post, &place_of(user, server), "", body.as_deref()).await?;
        let said = complaint(&answer.body);
        match answer.status {
            200..=299 => Ok(Started::Starts),
            400 if said
                .as_ref()
                .is_none_or(|said| said.contains("already running") || said.contains("pending")) =>
            {
                Ok(Started::Runs)
            }
            404 => Err(HubError::NoUser { hub: self.address.to_string(), user: user.to_owned() }),
            400 | 409 => Err(HubError::Start { user: user.to_owned(), said }),
            _ => Err(self.failed(&answer, "starting the server")),
        }
    }

    /// Follows what the Hub tells of a start; `None` when it tells nothing: no start is pending or has just failed, or the
    /// token may not hear of it.
    pub async fn progress(&self, user: &str, server: &str) -> Option<Progress> {
        let mut place = place_of(user, server);
        place.push("progress");
        let target = self.address.api(&place, "").ok()?;
        let telling = hop_link::follow(&target, &self.options).await.ok()?;
        (telling.status == 200).then(|| Progress::new(telling))
    }

    /// Makes a token. Where the Hub has a limit below `time`, that limit counts.
    ///
    /// # Errors
    /// When the Hub does not.
    pub async fn make_token(
        &self,
        user: &str,
        scopes: &[String],
        time: Duration,
        note: &str,
    ) -> Result<NewToken, HubError> {
        let doing = "making a token";
        let ask = async |seconds: u64| {
            let body = json!({ "note": note, "expires_in": seconds, "scopes": scopes }).to_string();
            self.send(Method::Post, &["users", user, "tokens"], "", Some(&body)).await
        };
        let answer = ask(time.as_secs()).await?;
        let limit = complaint(&answer.body).and_then(|said| most_allowed(&said));
        match limit.filter(|_| answer.status == 400) {
            Some(limit) => self.read(&ask(limit).await?, doing),
            None => self.read(&answer, doing),
        }
    }

    /// When a token ends, where it may be asked.
    ///
    /// # Errors
    /// When the token may not ask.
    pub async fn token_end(&self, user: &str, id: &str) -> Result<Option<Timestamp>, HubError> {
        let answer = self.send(Method::Get, &["users", user, "tokens", id], "", None).await?;
        self.read::<TokenFacts>(&answer, "telling of a token").map(|facts| facts.expires_at)
    }

    /// Revokes a token.
    ///
    /// # Errors
    /// When the token that is asked with may not.
    pub async fn revoke(&self, user: &str, id: &str) -> Result<(), HubError> {
        let answer = self.send(Method::Delete, &["users", user, "tokens", id], "", None).await?;
        match answer.status {
            // One that is gone is as good.
            200..=299 | 404 => Ok(()),
            _ => Err(self.failed(&answer, "revoking a token")),
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &[&str],
        query: &str,
        json: Option<&str>,
    ) -> Result<Answer, HubError> {
        let target = self.address.api(path, query).map_err(|_| self.shape("its address"))?;
        let request = Request { method, json: json.map(str::as_bytes) };
        let answer = hop_link::request(&target, request, &self.options).await?;
        match (answer.status, &answer.location) {
            (300..=399, Some(location)) => Err(self.elsewhere(&target, location)),
            _ => Ok(answer),
        }
    }

    fn elsewhere(&self, from: &Target, location: &str) -> HubError {
        let to = from.join(location).map_or_else(|| location.to_owned(), |to| to.to_string());
        let to = to.replacen("wss://", "https://", 1).replacen("ws://", "http://", 1);
        let to = to
            .split(['?', '#'])
            .next()
            .unwrap_or_default()
            .chars()
            .filter(|c| !c.is_control())
            .take(200)
            .collect();
        HubError::Elsewhere { hub: self.address.to_string(), to }
    }

    fn read<T: DeserializeOwned>(&self, answer: &Answer, doing: &str) -> Result<T, HubError> {
        match answer.status {
            200..=299 => serde_json::from_slice(&answer.body).map_err(|_| self.shape(doing)),
            _ => Err(self.failed(answer, doing)),
        }
    }

    fn failed(&self, answer: &Answer, doing: &str) -> HubError {
        let (hub, doing, said) = (self.address.to_string(), doing.to_owned(), complaint(&answer.body));
        match answer.status {
            401 | 403 => HubError::Forbidden { hub, doing, said },
            status => HubError::Status { hub, doing, status, said },
        }
    }

    fn shape(&self, doing: &str) -> HubError {
        HubError::Shape { hub: self.address.to_string(), doing: doing.to_owned() }
    }
}

/// Where a server is started, and its start told of.
fn place_of<'a>(user: &'a str, server: &'a str) -> Vec<&'a str> {
    if server.is_empty() { vec!["users", user, "server"] } else { vec!["users", user, "servers", server] }
}

/// The limit that a Hub names when a token is to live too long (`token_expires_in_max_seconds`).
fn most_allowed(said: &str) -> Option<u64> {
    said.rsplit_once("must not exceed ")?.1.trim().parse().ok().filter(|seconds| *seconds > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_found_in_the_words_of_a_hub() {
        assert_eq!(most_allowed("token expires_in: 2592000 must not exceed 86400"), Some(86_400));
        assert_eq!(most_allowed("must not exceed x"), None);
        assert_eq!(most_allowed(""), None);
    }
}
