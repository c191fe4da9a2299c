//! The login environment of one session, and what a client may add to it.
//!
//! It is made from nothing: no variable of this process leaks into a session unless the caller put it
//! into [`SiteEnvironment`]. What the client sends passes an allow-list (RFC 4254 section 6.4 leaves the
//! choice to the server), so `LD_PRELOAD`, `PATH` and their like never come from the wire.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::account::Account;

/// Most variables one session accepts from its client.
pub const MAX_CLIENT_VARIABLES: usize = 128;
/// Most bytes (names and values) one session accepts from its client: well under the kernel's limit of
/// 128 KiB for one string, so that an accepted variable never makes exec fail.
pub const MAX_CLIENT_BYTES: usize = 32 * 1024;

const DEFAULT_PATH: &[u8] = b"/usr/local/bin:/usr/bin:/bin";
const DEFAULT_ROOT_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Names a client may set; a trailing `*` stands for any ending.
const CLIENT_ALLOWED: &[&str] =
    &["LANG", "LANGUAGE", "LC_*", "GIT_PROTOCOL", "COLORTERM", "NO_COLOR", "TERM_PROGRAM*"];

/// Facts about the connection that no `environment=` option may override.
const FACTS: &[&str] = &[
    "SSH_CONNECTION",
    "SSH_CLIENT",
    "SSH_TTY",
    "SSH_AUTH_SOCK",
    "SSH_ORIGINAL_COMMAND",
    "DISPLAY",
    "XAUTHORITY",
];

/// Why a variable of the client was not taken. Answered to the client as CHANNEL_FAILURE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VariableRefused {
    /// Not on the allow-list.
    #[error("the name is not one that clients may set")]
    NotAllowed,
    /// A NUL cannot be in an environment string.
    #[error("the value contains a NUL byte")]
    Nul,
    /// [`MAX_CLIENT_VARIABLES`] or [`MAX_CLIENT_BYTES`] would be exceeded.
    #[error("too many variables, or too long")]
    TooMuch,
}

/// Variables that a client sent for one session with `env` requests, already judged.
#[derive(Debug, Clone, Default)]
pub struct ClientEnvironment {
    variables: BTreeMap<Vec<u8>, Vec<u8>>,
    bytes: usize,
}

impl ClientEnvironment {
    /// Takes the variable or says why not. A name sent twice keeps the later value.
    pub fn offer(&mut self, name: &[u8], value: &[u8]) -> Result<(), VariableRefused> {
        if !client_may_set(name) {
            return Err(VariableRefused::NotAllowed);
        }
        if value.contains(&0) {
            return Err(VariableRefused::Nul);
        }
        let replaced = self.variables.get(name).map_or(0, |old| name.len() + old.len());
        let bytes = self.bytes - replaced + name.len() + value.len();
        let count = self.variables.len() + usize::from(replaced == 0);
        if bytes > MAX_CLIENT_BYTES || count > MAX_CLIENT_VARIABLES {
            return Err(VariableRefused::TooMuch);
        }
        self.bytes = bytes;
        self.variables.insert(name.to_vec(), value.to_vec());
        Ok(())
    }
}

/// What the caller of this library gives to all sessions: passed in, never read from the process.
#[derive(Debug, Clone, Default)]
pub struct SiteEnvironment {
    /// PATH of the caller; its absolute entries are used, if there are any.
    pub path: Option<Vec<u8>>,
    /// TZ of the caller.
    pub time_zone: Option<Vec<u8>>,
    /// LANG of the caller; a client's LANG replaces it.
    pub lang: Option<Vec<u8>>,
    /// Anything else that every session shall have (a project's or notebook's variables).
    pub variables: Vec<(String, Vec<u8>)>,
}

/// The two ends of the connection, as SSH_CONNECTION tells them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// Where the client is, as far as we know (from the socket or from the gateway's word).
    pub client: SocketAddr,
    /// The address the client reached.
    pub server: SocketAddr,
}

/// The terminal of a session that has one.
#[derive(Debug, Clone, Copy)]
pub struct SessionTerminal<'a> {
    /// Device, for SSH_TTY.
    pub device: &'a Path,
    /// TERM as the pty-req had it; empty leaves TERM unset.
    pub term: &'a [u8],
}

/// The display of a session that asked for X11 forwarding.
#[derive(Debug, Clone, Copy)]
pub struct SessionDisplay<'a> {
    /// DISPLAY, for example `localhost:10.0`.
    pub display: &'a str,
    /// The file that holds its cookie.
    pub authority: &'a Path,
}

/// Everything that decides the environment of one session.
#[derive(Debug, Clone, Copy)]
pub struct SessionFacts<'a> {
    /// Who it runs as.
    pub account: &'a Account,
    /// What all sessions get.
    pub site: &'a SiteEnvironment,
    /// What this client sent for this session.
    pub client: &'a ClientEnvironment,
    /// What the gateway's word injects; may set anything but the facts of the connection.
    pub injected: &'a [(String, Vec<u8>)],
    /// `environment=` options of the key that logged in; may set anything but the facts of the connection.
    pub from_key: &'a [(String, String)],
    /// Unknown on stdio and Unix sockets without a word.
    pub addresses: Option<Addresses>,
    /// Set with a pty.
    pub terminal: Option<SessionTerminal<'a>>,
    /// Set with agent forwarding.
    pub agent_socket: Option<&'a Path>,
    /// Set with X11 forwarding.
    pub display: Option<SessionDisplay<'a>>,
    /// What the client asked for, when a forced command runs instead.
    pub original_command: Option<&'a [u8]>,
}

/// A finished environment: unique names, no NUL, sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    variables: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Environment {
    /// The login environment of a session. Later lines win over earlier ones: what the site gives, what
    /// the client sends, who the account is, the word, the key's options, the facts of the connection.
    pub fn of_session(facts: &SessionFacts<'_>) -> Self {
        let mut made = Self::default();
        let account = facts.account;
        made.set(b"PATH", &usable_path(facts.site.path.as_deref(), account.is_root()));
        made.set_optional(b"TZ", facts.site.time_zone.as_deref());
        made.set_optional(b"LANG", facts.site.lang.as_deref());
        made.set_all(&facts.site.variables);
        for (name, value) in &facts.client.variables {
            made.set(name, value);
        }
        made.set(b"USER", account.name.as_bytes());
        made.set(b"LOGNAME", account.name.as_bytes());
        made.set(b"HOME", account.home.as_os_str().as_bytes());
        made.set(b"SHELL", account.shell.as_os_str().as_bytes());
        if let Some(terminal) = facts.terminal.filter(|terminal| !terminal.term.is_empty()) {
            made.set(b"TERM", terminal.term);
        }
        made.set_all(facts.injected);
        for (name, value) in facts.from_key {
            made.set(name.as_bytes(), value.as_bytes());
        }
        made.set_facts(facts);
        made
    }

    /// The value of a variable.
    pub fn value(&self, name: &str) -> Option<&[u8]> {
        self.variables.get(name.as_bytes()).map(Vec::as_slice)
    }

    /// `NAME=value` strings as exec wants them.
    pub(crate) fn to_strings(&self) -> Vec<CString> {
        let join = |(name, value): (&Vec<u8>, &Vec<u8>)| [name.as_slice(), b"=", value.as_slice()].concat();
        // `set` keeps NUL out, so that no string is lost here.
        self.variables.iter().filter_map(|pair| CString::new(join(pair)).ok()).collect()
    }

    fn set_facts(&mut self, facts: &SessionFacts<'_>) {
        for name in FACTS {
            self.variables.remove(name.as_bytes());
        }
        if let Some(Addresses { client, server }) = facts.addresses {
            let (from, to) = (client.ip().to_canonical(), server.ip().to_canonical());
            let connection = format!("{from} {} {to} {}", client.port(), server.port());
            let short = format!("{from} {} {}", client.port(), server.port());
            self.set(b"SSH_CONNECTION", connection.as_bytes());
            self.set(b"SSH_CLIENT", short.as_bytes());
        }
        self.set_optional(b"SSH_TTY", facts.terminal.map(|terminal| terminal.device.as_os_str().as_bytes()));
        self.set_optional(b"SSH_AUTH_SOCK", facts.agent_socket.map(|path| path.as_os_str().as_bytes()));
        self.set_optional(b"SSH_ORIGINAL_COMMAND", facts.original_command);
        if let Some(display) = facts.display {
            self.set(b"DISPLAY", display.display.as_bytes());
            self.set(b"XAUTHORITY", display.authority.as_os_str().as_bytes());
        }
    }

    fn set_all(&mut self, variables: &[(String, Vec<u8>)]) {
        for (name, value) in variables {
            self.set(name.as_bytes(), value);
        }
    }

    fn set_optional(&mut self, name: &[u8], value: Option<&[u8]>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    /// Ignores what cannot be an environment string; the sources have been judged where they came in.
    fn set(&mut self, name: &[u8], value: &[u8]) {
        if !name.is_empty() && !name.contains(&b'=') && !name.contains(&0) && !value.contains(&0) {
            self.variables.insert(name.to_vec(), value.to_vec());
        }
    }
}

fn client_may_set(name: &[u8]) -> bool {
    let spelled_well = name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    spelled_well
        && CLIENT_ALLOWED.iter().any(|allowed| match allowed.strip_suffix('*') {
            Some(stem) => name.starts_with(stem.as_bytes()),
            None => name == allowed.as_bytes(),
        })
}

/// The absolute entries of `wanted` (a relative or empty one means "wherever the user stands"), or the default.
fn usable_path(wanted: Option<&[u8]>, root: bool) -> Vec<u8> {
    let absolute: Vec<&[u8]> = wanted
        .unwrap_or_default()
        .split(|byte| *byte == b':')
        .filter(|entry| entry.starts_with(b"/") && !entry.contains(&0))
        .collect();
    if absolute.is_empty() {
        return if root { DEFAULT_ROOT_PATH } else { DEFAULT_PATH }.to_vec();
    }
    absolute.join(&b':')
}

#[cfg(test)]
mod tests;
