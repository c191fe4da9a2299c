//! The options before a key.

use hop_model::{ListenRule, OpenRule, Permissions, PermitListen, PermitOpen, RuleError};

use super::expiry::Expiry;
use crate::address::{PatternError, PatternList};
use crate::token::TokenPolicy;
use crate::wire::printable;

/// As many variables, and as many rules of one kind, as sshd takes from a line.
const MAX_RULES: usize = 1024;

/// What the options of one line say.
#[derive(Debug, Clone)]
pub(super) struct LineOptions {
    pub(super) cert_authority: bool,
    pub(super) principals: Option<Vec<String>>,
    pub(super) from: Option<PatternList>,
    pub(super) token: TokenPolicy,
    expiries: Vec<Expiry>,
    permissions: Permissions,
    port_forwarding: bool,
    open: Vec<OpenRule>,
    listen: Vec<ListenRule>,
}

impl Default for LineOptions {
    fn default() -> Self {
        Self {
            cert_authority: false,
            principals: None,
            from: None,
            token: TokenPolicy::default(),
            expiries: Vec::new(),
            permissions: Permissions::all(),
            port_forwarding: true,
            open: Vec::new(),
            listen: Vec::new(),
        }
    }
}

impl LineOptions {
    /// Reads a comma-separated list of options; of contradicting flags the last counts. Superfluous commas
    /// are harmless.
    pub(super) fn parse(text: &str) -> Result<Self, OptionError> {
        let mut options = Self::default();
        let mut rest = text.trim_start_matches(',');
        while !rest.is_empty() {
            let end = rest.find([',', '=']).unwrap_or(rest.len());
            let (name, tail) = rest.split_at(end);
            let name = name.to_ascii_lowercase();
            rest = match tail.strip_prefix('=') {
                Some(quoted) => {
                    let (value, tail) = unquote(&name, quoted)?;
                    options.set_value(&name, value)?;
                    tail
                }
                None => {
                    options.set_flag(&name)?;
                    tail
                }
            };
            if !rest.is_empty() && !rest.starts_with(',') {
                return Err(OptionError::Unknown { name: printable(rest.as_bytes()) });
            }
            rest = rest.trim_start_matches(',');
        }
        // sshd lets nobody in by such a line: whoever wrote it meant it for a CA.
        if options.principals.is_some() && !options.cert_authority {
            return Err(OptionError::PrincipalsOfPlainKey);
        }
        Ok(options)
    }

    fn set_flag(&mut self, name: &str) -> Result<(), OptionError> {
        let (positive, on) = match name.strip_prefix("no-") {
            Some(positive) => (positive, false),
            None => (name, true),
        };
        match positive {
            "restrict" if on => {
                self.permissions = Permissions {
                    force_command: self.permissions.force_command.take(),
                    environment: std::mem::take(&mut self.permissions.environment),
                    ..Permissions::none()
                };
                self.port_forwarding = false;
            }
            "cert-authority" if on => self.cert_authority = true,
            "pty" => self.permissions.pty = on,
            "agent-forwarding" => self.permissions.agent_forwarding = on,
            "x11-forwarding" => self.permissions.x11_forwarding = on,
            "user-rc" => self.permissions.user_rc = on,
            "port-forwarding" => self.port_forwarding = on,
            "touch-required" => self.token.touch_required = on,
            "verify-required" => self.token.verification_required = on,
            _ => return Err(OptionError::Unknown { name: printable(name.as_bytes()) }),
        }
        Ok(())
    }

    fn set_value(&mut self, name: &str, value: String) -> Result<(), OptionError> {
        match name {
            "command" => set_once(&mut self.permissions.force_command, value, "command")?,
            "principals" => {
                let list = value.split(',').map(str::to_owned).collect();
                set_once(&mut self.principals, list, "principals")?;
            }
            "from" => {
                let list = PatternList::parse(&value).map_err(OptionError::From)?;
                set_once(&mut self.from, list, "from")?;
            }
            "expiry-time" => {
                let expiry = Expiry::parse(&value).ok_or(OptionError::Expiry { text: value })?;
                push(&mut self.expiries, expiry, "expiry-time")?;
            }
            "environment" => self.add_variable(&value)?,
            "permitopen" => push(&mut self.open, OpenRule::parse(&value)?, "permitopen")?,
            "permitlisten" => push(&mut self.listen, ListenRule::parse(&value)?, "permitlisten")?,
            // We have no tun devices, so there is nothing that a line could force.
            "tunnel" if value == "any" || value.parse::<u32>().is_ok() => {}
            "tunnel" => return Err(OptionError::Tunnel { text: printable(value.as_bytes()) }),
            _ => return Err(OptionError::Unknown { name: printable(name.as_bytes()) }),
        }
        Ok(())
    }

    /// Of several values of one variable the first counts, as in sshd.
    fn add_variable(&mut self, text: &str) -> Result<(), OptionError> {
        let broken = || OptionError::Environment { text: printable(text.as_bytes()) };
        let (name, value) = text.split_once('=').ok_or_else(broken)?;
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(broken());
        }
        let variables = &mut self.permissions.environment;
        if variables.iter().any(|(known, _)| known == name) {
            return Ok(());
        }
        push(variables, (name.to_owned(), value.to_owned()), "environment")
    }

    /// The earliest expiry as Unix time in seconds.
    pub(super) fn expiry(&self, utc_offset: i32) -> Option<u64> {
        self.expiries.iter().map(|expiry| expiry.unix_time(utc_offset)).min()
    }

    /// What the line allows. Rules narrow port forwarding and never switch it on.
    pub(super) fn permissions(&self) -> Permissions {
        let mut permissions = self.permissions.clone();
        if !self.port_forwarding {
            permissions.open = PermitOpen::None;
            permissions.listen = PermitListen::None;
            return permissions;
        }
        permissions.open =
            if self.open.is_empty() { PermitOpen::Any } else { PermitOpen::only(self.open.clone()) };
        permissions.listen =
            if self.listen.is_empty() { PermitListen::Any } else { PermitListen::only(self.listen.clone()) };
        permissions
    }
}

fn set_once<T>(slot: &mut Option<T>, value: T, name: &'static str) -> Result<(), OptionError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(OptionError::Repeated { name }),
    }
}

fn push<T>(list: &mut Vec<T>, value: T, name: &'static str) -> Result<(), OptionError> {
    if list.len() == MAX_RULES {
        return Err(OptionError::TooMany { name });
    }
    list.push(value);
    Ok(())
}

/// Splits a line at the first blank that is not inside quotes: the options, and the rest.
pub(super) fn split(text: &str) -> Result<(&str, &str), OptionError> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' if !escaped => quoted = !quoted,
            b' ' | b'\t' if !quoted => {
                let (options, rest) = text.split_at(at);
                return Ok((options, rest.trim_start()));
            }
            _ => {}
        }
        escaped = byte == b'\\';
    }
    if quoted { Err(OptionError::Quote { name: printable(text.as_bytes()) }) } else { Ok((text, "")) }
}

/// Takes a quoted value off the front; `\"` inside stands for a quote, every other backslash for itself.
fn unquote<'a>(name: &str, text: &'a str) -> Result<(String, &'a str), OptionError> {
    let broken = || OptionError::Quote { name: printable(name.as_bytes()) };
    let mut rest = text.strip_prefix('"').ok_or_else(broken)?;
    let mut value = String::new();
    loop {
        let end = rest.find(['"', '\\']).ok_or_else(broken)?;
        let (plain, tail) = rest.split_at(end);
        value.push_str(plain);
        if let Some(tail) = tail.strip_prefix("\\\"") {
            value.push('"');
            rest = tail;
        } else if let Some(tail) = tail.strip_prefix('\\') {
            value.push('\\');
            rest = tail;
        } else {
            return Ok((value, tail.strip_prefix('"').unwrap_or(tail)));
        }
    }
}

/// Why the options of an authorized_keys line cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// An option that we do not know; it might be a restriction, so the line must not count.
    #[error("option \"{name}\" is unknown or in the wrong place")]
    Unknown {
        /// Its name, escaped.
        name: String,
    },
    /// A value lacks a quote at its begin or end.
    #[error("the value of {name} is not in double quotes")]
    Quote {
        /// The option, escaped.
        name: String,
    },
    /// An option that may stand once stands twice.
    #[error("option {name} stands twice")]
    Repeated {
        /// Its name.
        name: &'static str,
    },
    /// More of one option than sshd takes.
    #[error("more than {MAX_RULES} {name} options")]
    TooMany {
        /// Its name.
        name: &'static str,
    },
    /// `from` cannot be read.
    #[error("from: {0}")]
    From(PatternError),
    /// `expiry-time` cannot be read.
    #[error("expiry-time \"{text}\" is not YYYYMMDD or YYYYMMDDHHMM[SS], with or without Z")]
    Expiry {
        /// The value.
        text: String,
    },
    /// `environment` cannot be read.
    #[error("environment \"{text}\" is not NAME=VALUE")]
    Environment {
        /// The value, escaped.
        text: String,
    },
    /// `tunnel` cannot be read.
    #[error("tunnel \"{text}\" is neither a number nor any")]
    Tunnel {
        /// The value, escaped.
        text: String,
    },
    /// `principals` on a line that trusts no CA.
    #[error("principals has a meaning only together with cert-authority")]
    PrincipalsOfPlainKey,
    /// `permitopen` or `permitlisten` cannot be read.
    #[error(transparent)]
    Rule(#[from] RuleError),
}
