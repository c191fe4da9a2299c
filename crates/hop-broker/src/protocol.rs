//! What is said on the broker's socket: JSON lines, requests one way and events the other.
//!
//! Must stay true: the requests are this closed set; an unknown field or word is refused, it could be a restriction; the
//! only secrets are [`Request::Answer`]'s, [`Event::Answered`]'s and [`Event::Page`]'s.

use crate::prompt::class::Hint;
use crate::prompt::{Open, PromptId};
use hop_connect::Alias;
use hop_connect::mux::forward::Forward;
use hop_connect::passenger::Passenger;
use hop_connect::resolve::{Given, Resolved};
use hop_model::Secret;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The version of this protocol; the first line from the broker has it.
pub const VERSION: u32 = 2;
/// A longer line is refused. A command line of ssh may be long.
pub const LONGEST_LINE: usize = 256 * 1024;
/// What a login may need of its caller's environment. The broker takes nothing else: a program of the user could set anything
/// of ssh's environment by asking; it gains nothing by it, but a misunderstanding could.
pub const LOGIN_ENVIRONMENT: &[&str] = &[
    "SSH_AUTH_SOCK",
    "KRB5CCNAME",
    "KRB5_CONFIG",
    "PATH",
    "LANG",
    "LC_ALL",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "DBUS_SESSION_BUS_ADDRESS",
    "XDG_RUNTIME_DIR",
    "XAUTHORITY",
];

/// What may be asked of a broker.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// A person logs in; questions come as events until [`Event::Up`] or [`Event::Failed`].
    Login {
        /// The host.
        alias: Alias,
        /// What was given besides the host; `None` is as before.
        given: Option<Given>,
        /// How long the connection may live, in seconds; `None` is as before, or the default.
        lifetime: Option<u64>,
        /// How long it may live unused, in seconds.
        idle: Option<u64>,
        /// The person can be asked.
        attended: bool,
        /// What of the caller's environment the login needs (the agent, a Kerberos ticket).
        environment: Vec<(String, String)>,
    },
    /// A program of ours wants to use a connection for as long as this conversation lasts.
    Use {
        /// The host.
        alias: Alias,
        /// What for, for people.
        purpose: String,
        /// It opens a session there, of which a host takes so many at once.
        takes_session: bool,
        /// Its user can be asked.
        attended: bool,
        /// As in [`Request::Login`].
        environment: Vec<(String, String)>,
    },
    /// An `ssh` asks in its configuration.
    Ensure {
        /// The host.
        alias: Alias,
        /// Who it is.
        passenger: Box<Passenger>,
        /// Its process.
        pid: u32,
        /// What started it, for people.
        started_by: String,
        /// Its user can be asked.
        attended: bool,
        /// As in [`Request::Login`].
        environment: Vec<(String, String)>,
    },
    /// The connection does not answer on its socket.
    Silent {
        /// The host.
        alias: Alias,
        /// The master that did not, as [`Event::Up`] named it.
        master: u32,
    },
    /// The session that [`Request::Use`] was granted for was refused: the host takes no more than are open without it.
    /// The conversation keeps its place in line for another [`Request::Use`].
    Full {
        /// The host.
        alias: Alias,
    },
    /// Opens a forwarding on a connection that is up. It ends with this conversation, unless it stays.
    Forward {
        /// The host.
        alias: Alias,
        /// Where from and where to.
        forward: Forward,
        /// Until the host is logged out of, also on connections that come after this one.
        stays: bool,
    },
    /// Closes a forwarding, whoever opened it.
    CloseForward {
        /// The host.
        alias: Alias,
        /// As it was opened.
        forward: Forward,
    },
    /// Asks for the loopback port, which is opened if it is not.
    Port,
    /// Ends a connection.
    Logout {
        /// The host.
        alias: Alias,
        /// Also for those who use it.
        at_once: bool,
    },
    /// What is held, once.
    Status,
    /// What is held, now and after each change.
    Watch,
    /// Makes this conversation a place where questions are asked, whoever needs the answer.
    Attend,
    /// Answers a question.
    Answer {
        /// Which.
        prompt: PromptId,
        /// With what.
        text: Secret,
    },
    /// Gives a question up: nobody here will answer.
    Decline {
        /// Which.
        prompt: PromptId,
    },
    /// ssh asks something; only from a process that a login of ours has started.
    Ask {
        /// The login's host.
        alias: Alias,
        /// Its words.
        text: String,
        /// Its kind, as ssh says.
        hint: Hint,
    },
    /// A link to the page where questions are answered in a browser.
    Page,
    /// Where programs find the same over HTTP.
    Api,
    /// Ends all connections, and the broker.
    Stop,
}

/// What a broker says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The first line.
    Hello {
        /// [`VERSION`].
        version: u32,
        /// The broker's process.
        pid: u32,
    },
    /// The connection can be used.
    Up {
        /// Its control socket.
        socket: PathBuf,
        /// The master's process.
        master: u32,
        /// Its end, in seconds since 1970.
        until: u64,
        /// It was there already.
        was_up: bool,
        /// What it was made with.
        resolved: Box<Resolved>,
    },
    /// It cannot.
    Failed(Failure),
    /// The passenger shall connect by itself.
    Declined {
        /// Why, for people; nothing where nothing is to be said.
        reason: Option<String>,
    },
    /// Something to tell a person who waits.
    Progress {
        /// A line.
        text: String,
    },
    /// The forwarding is open.
    Forwarded {
        /// The port that the host chose, where it was asked to.
        port: Option<u16>,
    },
    /// The loopback port.
    Port {
        /// Its number.
        number: u16,
    },
    /// The host takes no more sessions at once; this place is in line for one.
    InLine {
        /// Who has them, for people.
        text: String,
    },
    /// A question.
    Prompt(Open),
    /// A question needs no answer any more.
    Withdrawn {
        /// Which.
        prompt: PromptId,
    },
    /// The answer to [`Request::Ask`].
    Answered {
        /// What was typed.
        text: Secret,
    },
    /// Nobody answers [`Request::Ask`].
    Unanswered,
    /// What is held.
    Status(Status),
    /// The page.
    Page {
        /// Opens it in one browser, once.
        link: Secret,
    },
    /// The API.
    Api {
        /// Where it begins.
        url: String,
        /// The file that holds the token; its user's alone.
        token_file: PathBuf,
    },
    /// It was done.
    Done,
    /// The request was not understood or not allowed.
    Refused {
        /// Why.
        reason: String,
    },
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind, for exit codes.
    pub kind: FailureKind,
    /// For people.
    pub reason: String,
    /// What to do.
    pub hint: Option<String>,
}

/// Kinds of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The host cannot be reached.
    Unreachable,
    /// It does not let this person in.
    Denied,
    /// It may work later.
    Later,
    /// A person has to log in.
    NeedsPerson,
    /// The configuration is wrong.
    Config,
}

/// All that is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// One of each host that was ever wanted since the broker started.
    pub connections: Vec<ConnectionStatus>,
}

/// One host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionStatus {
    /// As it is called.
    pub alias: Alias,
    /// Where it stands.
    pub state: StateName,
    /// `user@address`, `:port` when it is not 22.
    pub target: Option<String>,
    /// The way there, when it is not direct.
    pub via: Option<String>,
    /// Since when, in seconds since 1970.
    pub since: Option<u64>,
    /// Its end, in seconds since 1970.
    pub until: Option<u64>,
    /// Who uses it.
    pub users: Vec<UserStatus>,
    /// How many wait for it.
    pub waiting: usize,
    /// Who they are.
    #[serde(default)]
    pub waiters: Vec<UserStatus>,
    /// What is being asked, if anything.
    pub asks: Option<String>,
    /// Why it is down.
    pub reason: Option<String>,
    /// Forwardings that were asked for by `hop forward` and by carried clients.
    pub forwards: Vec<ForwardStatus>,
    /// The end of the Kerberos ticket that its login used, in seconds since 1970.
    pub ticket_until: Option<u64>,
    /// Its control socket.
    pub socket: PathBuf,
}

/// A forwarding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForwardStatus {
    /// As it would be typed: `-L 8080:localhost:80`.
    pub forward: String,
    /// The port that the host chose, where it was asked to.
    pub port: Option<u16>,
    /// It stays until the host is logged out of.
    pub stays: bool,
}

/// Where a connection stands, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StateName {
    /// There is none.
    Down,
    /// A login is in progress.
    Starting,
    /// It can be used.
    Up,
    /// It ends with its last user.
    Draining,
}

/// Who uses a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserStatus {
    /// The program.
    pub what: String,
    /// Its process.
    pub pid: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_a_closed_set() {
        let status: Request = serde_json::from_str(r#"{"request":"status"}"#).unwrap();
        assert!(matches!(status, Request::Status));
        for wrong in [
            r#"{"request":"shell"}"#,
            r#"{"request":"logout","alias":"saga"}"#,
            r#"{"request":"logout","alias":"-oProxyCommand=x","at_once":true}"#,
            r#"{"request":"logout","alias":"saga","at_once":true,"only_if":"x"}"#,
            r#"{"request":"answer","prompt":1,"text":5}"#,
            "[]",
            "",
        ] {
            assert!(serde_json::from_str::<Request>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_secret_is_not_shown_with_its_request() {
        let line = r#"{"request":"answer","prompt":3,"text":"123456"}"#;
        let shown = format!("{:?}", serde_json::from_str::<Request>(line).unwrap());
        assert!(!shown.contains("123456"), "{shown}");
    }
}
