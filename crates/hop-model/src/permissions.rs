//! What an authenticated session may do: the one type that authorized_keys options, certificate options and
//! the gateway's word all parse into.
//!
//! What must stay true: `intersect` never grants what one side refuses.

use crate::forwards::{PermitListen, PermitOpen};
use serde::{Deserialize, Serialize};

/// What an authenticated session may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permissions {
    /// A terminal may be allocated.
    pub pty: bool,
    /// The client's agent may be forwarded.
    pub agent_forwarding: bool,
    /// X11 connections may be forwarded.
    pub x11_forwarding: bool,
    /// `~/.ssh/rc` may run.
    pub user_rc: bool,
    /// Where connections may be opened to (`-L`, `-D`, `-W`).
    pub open: PermitOpen,
    /// Where the server may listen (`-R`).
    pub listen: PermitListen,
    /// Runs instead of whatever the client asks for.
    pub force_command: Option<String>,
    /// Variables set in the session, in order.
    pub environment: Vec<(String, String)>,
}

impl Permissions {
    /// Everything: a plain authorized_keys line without options.
    pub fn all() -> Self {
        Self {
            pty: true,
            agent_forwarding: true,
            x11_forwarding: true,
            user_rc: true,
            open: PermitOpen::Any,
            listen: PermitListen::Any,
            force_command: None,
            environment: Vec::new(),
        }
    }

    /// Only a command without a terminal: authorized_keys' `restrict`, and a certificate without extensions.
    pub fn none() -> Self {
        Self {
            pty: false,
            agent_forwarding: false,
            x11_forwarding: false,
            user_rc: false,
            open: PermitOpen::None,
            listen: PermitListen::None,
            force_command: None,
            environment: Vec::new(),
        }
    }

    /// What both sides allow, as when a certificate's options meet those of the line that trusts its CA.
    ///
    /// A forced command of either side holds; two different ones cannot both hold, which sshd treats as a
    /// refusal and so must the caller. Variables of `self` win over those of `other` with the same name.
    pub fn intersect(self, other: Self) -> Result<Self, CommandConflict> {
        let force_command = match (self.force_command, other.force_command) {
            (Some(one), Some(two)) if one != two => return Err(CommandConflict),
            (one, two) => one.or(two),
        };
        let mut environment = self.environment;
        for (name, value) in other.environment {
            if !environment.iter().any(|(known, _)| *known == name) {
                environment.push((name, value));
            }
        }
        Ok(Self {
            pty: self.pty && other.pty,
            agent_forwarding: self.agent_forwarding && other.agent_forwarding,
            x11_forwarding: self.x11_forwarding && other.x11_forwarding,
            user_rc: self.user_rc && other.user_rc,
            open: self.open.intersect(other.open),
            listen: self.listen.intersect(other.listen),
            force_command,
            environment,
        })
    }

    /// Whether the session may connect to `host` and `port`, as the client wrote them.
    pub fn may_open(&self, host: &str, port: u16) -> bool {
        self.open.admits(host, port)
    }

    /// Whether the server may listen on `host` and `port` for the session, as the client wrote them.
    pub fn may_listen(&self, host: &str, port: u16) -> bool {
        self.listen.admits(host, port)
    }

    /// Whether the session may connect to unix sockets. Rules name hosts and ports only, so any list of them
    /// excludes paths (stricter than sshd, which forgets the list there).
    pub fn may_stream_local(&self) -> bool {
        self.open == PermitOpen::Any
    }

    /// Whether the server may listen on unix sockets for the session; excluded by any list of rules.
    pub fn may_listen_stream_local(&self) -> bool {
        self.listen == PermitListen::Any
    }
}

/// Two sources force different commands on one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the certificate and the authorized key force different commands")]
pub struct CommandConflict;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ListenRule, OpenRule};

    #[test]
    fn all_is_neutral_and_none_absorbs() {
        let some = Permissions {
            agent_forwarding: false,
            open: PermitOpen::only(vec![OpenRule::parse("h:1").unwrap()]),
            listen: PermitListen::only(vec![ListenRule::parse("1").unwrap()]),
            force_command: Some("true".to_owned()),
            environment: vec![("A".to_owned(), "1".to_owned())],
            ..Permissions::all()
        };
        assert_eq!(some.clone().intersect(Permissions::all()), Ok(some.clone()));
        assert_eq!(Permissions::all().intersect(some.clone()), Ok(some.clone()));
        let nothing = Permissions {
            force_command: some.force_command.clone(),
            environment: some.environment.clone(),
            ..Permissions::none()
        };
        assert_eq!(some.intersect(Permissions::none()), Ok(nothing));
    }

    #[test]
    fn forced_commands_must_agree() {
        let forced =
            |command: &str| Permissions { force_command: Some(command.to_owned()), ..Permissions::all() };
        assert_eq!(forced("a").intersect(forced("a")), Ok(forced("a")));
        assert_eq!(forced("a").intersect(forced("b")), Err(CommandConflict));
    }

    #[test]
    fn the_first_value_of_a_variable_wins() {
        let with = |value: &str| Permissions {
            environment: vec![("A".to_owned(), value.to_owned())],
            ..Permissions::all()
        };
        assert_eq!(with("1").intersect(with("2")).unwrap().environment, with("1").environment);
    }

    #[test]
    fn paths_need_unrestricted_forwarding() {
        let mut permissions = Permissions::all();
        assert!(permissions.may_stream_local() && permissions.may_listen_stream_local());
        permissions.open = PermitOpen::only(vec![OpenRule::parse("*:*").unwrap()]);
        permissions.listen = PermitListen::only(vec![ListenRule::parse("*:*").unwrap()]);
        assert!(!permissions.may_stream_local() && !permissions.may_listen_stream_local());
        assert!(permissions.may_open("h", 1) && permissions.may_listen("h", 1));
    }
}
