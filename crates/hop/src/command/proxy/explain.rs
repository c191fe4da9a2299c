//! What an HTTP answer in place of a WebSocket, or the end of one, means to a person: a sentence and what to do.

use super::hub::HubServer;
use crate::error::{CommandError, ErrorKind};
use hop_link::{CloseCode, ConnectError, End, Refusal, Target, Traffic};

/// Where a token came from: what to do about one that is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TokenFrom {
    /// There is none.
    Nowhere,
    /// A file or variable that the person names.
    Given,
    /// The secrets, as `hop jupyter` stored it for this name.
    Stored(String),
}

/// Why there is no connection.
pub(crate) fn refused(target: &Target, error: &ConnectError, token: &TokenFrom) -> CommandError {
    match error {
        ConnectError::Refused(refusal) => by_status(target, refusal, error, token),
        _ => unreached(error),
    }
}

/// Whether another token would help.
pub(super) fn is_token_refused(error: &ConnectError) -> bool {
    matches!(error, ConnectError::Refused(Refusal { status: 401 | 403, .. }))
}

/// Why nobody answered as a web server does.
pub(crate) fn unreached(error: &ConnectError) -> CommandError {
    let say = |kind| CommandError::new(kind, error);
    match error {
        ConnectError::Refused(_) => say(ErrorKind::Unavailable),
        ConnectError::NotPublic { .. } => {
            say(ErrorKind::Denied).hint("save the keys into a file yourself, and name that file")
        }
        ConnectError::Resolve { .. } => {
            say(ErrorKind::Unavailable).hint("check the name and this machine's network")
        }
        ConnectError::Connect { .. } => say(ErrorKind::Unavailable)
            .hint("check the port; a firewall or a proxy (https_proxy) may be in between"),
        ConnectError::Tls { .. } if error.is_certificate() => {
            say(ErrorKind::Unavailable).hint("for a private CA: --ca-file FILE with its certificate")
        }
        ConnectError::Tls { .. } if error.is_http2_only() => say(ErrorKind::Unavailable)
            .hint("the front end speaks HTTP/2 only; its operator must allow HTTP/1.1 for WebSockets"),
        ConnectError::Tls { .. } => say(ErrorKind::Unavailable)
            .hint("perhaps it speaks no TLS at this port; then ws:// in place of wss://"),
        ConnectError::Http { .. } => {
            say(ErrorKind::Unavailable).hint("perhaps it wants TLS (wss://), or is no web server")
        }
        ConnectError::NotWebSocket { .. } => say(ErrorKind::Unavailable)
            .hint("something on the way changes answers: a proxy that knows no WebSockets?"),
        ConnectError::ProxyRefused { status: 407, .. } => say(ErrorKind::Denied)
            .hint("write the name and password into https_proxy: http://USER:PASSWORD@HOST:PORT"),
        ConnectError::Token => say(ErrorKind::Config).hint("paste it again, as one line"),
        ConnectError::Slow { .. } => say(ErrorKind::Later),
        ConnectError::ProxyRefused { .. } | ConnectError::NoTrust { .. } => say(ErrorKind::Unavailable),
        ConnectError::ProxyUrl(_) => say(ErrorKind::Config),
    }
}

/// Whether the server is there but does not run yet.
pub(super) fn is_not_running(error: &ConnectError) -> bool {
    let ConnectError::Refused(refusal) = error else { return false };
    let to = refusal.location.as_deref().unwrap_or_default();
    match refusal.status {
        301..=308 => refusal.is_same_origin && to.contains("/hub/") && !to.contains("/login"),
        424 | 502..=504 => true,
        _ => false,
    }
}

/// Whether something answers there that knows no such path: a Jupyter server looks for it without the slash, too.
pub(crate) fn is_nothing(target: &Target, error: &ConnectError) -> bool {
    let ConnectError::Refused(refusal) = error else { return false };
    let path = target.path().trim_end_matches('/');
    match refusal.status {
        301..=308 => {
            refusal.is_same_origin && refusal.location.as_deref().is_some_and(|to| to.ends_with(path))
        }
        404 => true,
        _ => false,
    }
}

fn by_status(target: &Target, refusal: &Refusal, error: &ConnectError, token: &TokenFrom) -> CommandError {
    let hub = HubServer::of(target);
    let whose =
        hub.as_ref().map_or_else(|| "the server".to_owned(), |hub| format!("the server of {}", hub.user));
    let start = match &hub {
        Some(hub) => format!("start it at {}/hub/home, or let ssh do it: hop proxy --start", hub.hub),
        None => "start it, then try again".to_owned(),
    };
    let nothing = || {
        let error = CommandError::new(ErrorKind::Unavailable, format!("there is nothing at {target}"));
        error.hint(match &hub {
            Some(_) => {
                "the image of the server may lack the package grasshopper-ssh, or the Hub is just restarting; see the path, too"
            }
            None => "check the path",
        })
    };
    let not_running = || CommandError::new(ErrorKind::Later, format!("{whose} is not running")).hint(&start);
    match refusal.status {
        301..=308 => {
            let to = refusal.location.as_deref().unwrap_or_default();
            if !refusal.is_same_origin {
                let words = format!("{} sends everybody to another sign-in: {to}", target.host());
                return CommandError::new(ErrorKind::Denied, words)
                    .hint("a single sign-on stands before it, which no token passes; ask its operator for a way past it");
            }
            if to.contains("/login") || to.contains("/oauth") {
                return no_token(&hub, token, &whose);
            }
            if to.contains("/hub/") {
                // A Hub has a page of its own for servers that are not there.
                not_running()
            } else if is_nothing(target, error) {
                nothing()
            } else {
                CommandError::new(ErrorKind::Unavailable, refusal)
            }
        }
        401 | 403 => no_token(&hub, token, &whose),
        404 => nothing(),
        405 | 426 => CommandError::new(ErrorKind::Unavailable, format!("{target} takes no WebSockets"))
            .hint("check the path"),
        400 => CommandError::new(
            ErrorKind::Unavailable,
            format!("{target} did not understand the request (status 400)"),
        )
        .hint("a proxy before it may drop the Upgrade header; its operator must let WebSockets through"),
        421 => CommandError::new(
            ErrorKind::Config,
            format!("what answers at {} does not go by that name (status 421)", target.host()),
        )
        .hint("use the name that the site prints, or that its pages have in a browser"),
        424 => not_running(),
        429 => {
            CommandError::new(ErrorKind::Later, format!("{} has too many requests just now", target.host()))
                .hint("try again in a minute")
        }
        502..=504 => CommandError::new(
            ErrorKind::Later,
            format!("{whose} does not answer yet (status {})", refusal.status),
        )
        .hint("it may be starting, or be overloaded: try again in a minute"),
        200 => CommandError::new(ErrorKind::Unavailable, format!("{target} answered with a web page"))
            .hint("a sign-in page of the network, or another path; open the address in a browser"),
        _ => CommandError::new(ErrorKind::Unavailable, refusal),
    }
}

fn no_token(hub: &Option<HubServer<'_>>, token: &TokenFrom, whose: &str) -> CommandError {
    let refused =
        || format!("the token does not open {whose}: it is wrong, expired, revoked, or may not do this");
    let (words, lead) = match token {
        TokenFrom::Nowhere => (format!("{whose} wants a token, and there is none"), "make one"),
        TokenFrom::Given => (refused(), "make a new one"),
        TokenFrom::Stored(alias) => {
            return CommandError::new(ErrorKind::Denied, refused())
                .hint(format!("hop jupyter login {alias} gives a new one"));
        }
    };
    let error = CommandError::new(ErrorKind::Denied, words);
    match hub {
        Some(HubServer { hub, user, .. }) => error
            .hint(format!("{lead} at {hub}/hub/token; it needs the scope access:servers!user={user}"))
            .hint("give it by --token-file FILE (chmod 600) or the environment variable HOP_TOKEN; or hop jupyter add keeps one"),
        None => error.hint("give it by --token-file FILE (chmod 600) or the environment variable HOP_TOKEN"),
    }
}

/// Whether the end of a connection needs words: ssh itself says only that it is closed.
pub(super) fn ended(target: &Target, end: &End, traffic: Traffic) -> Result<(), CommandError> {
    let host = target.host();
    let fail = |words: String| Err(CommandError::new(ErrorKind::Unavailable, words));
    match end {
        End::Closed(close) => {
            let reason = close.reason.escape_debug();
            match close.code {
                CloseCode::Normal | CloseCode::NoStatus if traffic.received > 0 => Ok(()),
                CloseCode::GoingAway | CloseCode::Restart => {
                    fail(format!("the server at {host} is stopping {reason}"))
                }
                CloseCode::TryAgainLater => {
                    Err(CommandError::new(ErrorKind::Later, format!("{host} has no room now: {reason}")))
                }
                CloseCode::TooBig => Err(CommandError::new(
                    ErrorKind::Unavailable,
                    format!("{host} closed the connection: {reason} (code 1009)"),
                )
                .hint("a proxy in between takes only small frames; its operator must let 64 KiB through")),
                code if reason.to_string().is_empty() => {
                    fail(format!("{host} closed the connection (code {})", code.number()))
                }
                code => fail(format!("{host} closed the connection: {reason} (code {})", code.number())),
            }
        }
        End::Lost => {
            Err(CommandError::new(ErrorKind::Unavailable, format!("the connection to {host} was cut"))
                .hint("the server was stopped, or a proxy in between ended it"))
        }
        End::Broken(error) => fail(format!("{host} broke the protocol: {error}")),
        End::Silent(time) => fail(format!("no sign of life from {host} for {} s", time.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Target {
        Target::parse(url).unwrap()
    }

    #[test]
    fn every_answer_is_a_sentence_with_a_hint() {
        let here = target("wss://hub.example/user/alice/sshd/");
        let cases = [
            (302, Some("/hub/user/alice/sshd/"), true, true, "is not running", 75),
            (302, Some("/hub/login"), true, true, "token does not open", 77),
            (302, Some("https://sso.example/"), false, true, "another sign-in: https://sso.example/", 77),
            (302, Some("/user/alice/sshd"), true, true, "nothing at wss://hub.example/user/alice/sshd/", 69),
            (302, Some("/else/"), true, true, "status 302", 69),
            (401, None, false, true, "token does not open the server of alice", 77),
            (403, None, false, false, "wants a token, and there is none", 77),
            (404, None, false, true, "nothing at wss://hub.example/user/alice/sshd/", 69),
            (405, None, false, true, "takes no WebSockets", 69),
            (400, None, false, true, "did not understand", 69),
            (421, None, false, true, "does not go by that name", 78),
            (424, None, false, true, "not running", 75),
            (429, None, false, true, "too many requests", 75),
            (503, None, false, true, "does not answer yet", 75),
            (200, None, false, true, "web page", 69),
            (418, None, false, true, "status 418", 69),
        ];
        for (status, location, is_same_origin, has_token, wanted, code) in cases {
            let refusal = Refusal {
                target: here.to_string(),
                status,
                location: location.map(str::to_owned),
                is_same_origin,
            };
            let from = if has_token { TokenFrom::Given } else { TokenFrom::Nowhere };
            let error = refused(&here, &ConnectError::Refused(refusal.clone()), &from);
            assert!(error.message().contains(wanted), "{status}: {}", error.message());
            assert_eq!(error.code(), code, "{status}");
            let waits = wanted.contains("not running") || wanted.contains("not answer yet");
            assert_eq!(is_not_running(&ConnectError::Refused(refusal.clone())), waits, "{status}");
            assert!(!error.hints().is_empty() || [302, 418].contains(&status), "{status}");
        }
    }
}
