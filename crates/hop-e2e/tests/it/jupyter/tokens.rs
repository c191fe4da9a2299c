//! Tokens that end: revoked, or past their date.

use std::path::Path;
use std::time::{Duration, Instant};

use hop_e2e::hub::{Hub, Options, USER};
use serde_json::json;

use super::ACCESS;

/// A Hub whose servers remember its answers about tokens for a second; five minutes is their default.
fn forgetful() -> Hub {
    let server_config = "c.HubOAuth.cache_max_age = 1\nc.HubAuth.cache_max_age = 1\n".to_owned();
    let hub = Hub::start(&Options { server_config, ..Options::default() });
    hub.start_server("");
    hub
}

/// Logs in until that is refused, which must be soon: the last answer may be remembered, and a date may be to come.
fn until_refused(hub: &Hub, token: &Path) {
    let command = hub.hop_proxy(token, &hub.url(""));
    let deadline = Instant::now() + Duration::from_secs(60);
    let said = loop {
        let finished = hub.openssh("ssh", &command).args(["hub", "true"]).finish();
        if finished.status == Some(255) {
            break finished.stderr();
        }
        assert!(finished.status == Some(0) && Instant::now() < deadline, "{finished}");
        // What is remembered runs out by the clock.
        std::thread::sleep(Duration::from_millis(500));
    };
    assert!(said.contains("error: the token does not open the server of alice"), "{said}");
    assert!(said.contains("expired, revoked") && said.contains("/hub/token"), "{said}");
}

#[test]
fn a_revoked_token_opens_nothing_more_and_the_open_session_goes_on() {
    let hub = forgetful();
    let (token, id) = hub.token_and_id(USER, &json!({"note": "ssh", "scopes": [ACCESS]}));
    let command = hub.hop_proxy(&token, &hub.url(""));
    let end = hub.scratch().join("end");
    let wait = format!("echo here; until test -e {}; do sleep 0.05; done; echo still here", end.display());
    let mut open = hub.openssh("ssh", &command).args(["hub", &wait]).background();
    open.wait_for("the session", |text| text.contains("here").then_some(()));
    let (status, answer) = hub.api("DELETE", &format!("/users/alice/tokens/{id}"), None);
    assert_eq!(status, 204, "{answer}");
    until_refused(&hub, &token);
    let _ = hub.scratch().write("end", "");
    assert_eq!(open.wait(), Some(0));
    assert!(open.output().contains("still here"), "{}", open.output());
    // Another token of the same person does.
    let another = hub.hop_proxy(&hub.token(&[ACCESS]), &hub.url(""));
    let _ = hub.openssh("ssh", &another).args(["hub", "true"]).success();
}

#[test]
fn an_expired_token_is_told_apart_from_a_closed_door() {
    let hub = forgetful();
    let token = hub.token_of(USER, &json!({"note": "ssh", "scopes": [ACCESS], "expires_in": 15}));
    let command = hub.hop_proxy(&token, &hub.url(""));
    let _ = hub.openssh("ssh", &command).args(["hub", "true"]).success();
    until_refused(&hub, &token);
}
