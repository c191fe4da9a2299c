//! Client addresses against CIDR lists (`source-address`) and pattern lists (`from=`, known_hosts).
//!
//! What must stay true: what cannot be read matches nothing, and a negated match wins over every other.

use std::net::IpAddr;

use hop_model::wildcard_match;

use crate::wire::printable;

/// A network: an address and how many of its leading bits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cidr {
    network: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// Reads `address` or `address/bits`; `None` for text that is no address at all.
    fn parse(text: &str) -> Option<Result<Self, PatternError>> {
        let broken = || PatternError::Cidr { text: printable(text.as_bytes()) };
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let network: IpAddr = address.parse().ok()?;
        let width = width(network);
        let prefix = match bits {
            None => width,
            Some(bits) if bits.bytes().all(|byte| byte.is_ascii_digit()) => match bits.parse() {
                Ok(prefix) if prefix <= width => prefix,
                _ => return Some(Err(broken())),
            },
            Some(_) => return Some(Err(broken())),
        };
        // 10.0.0.1/8 is refused, as OpenSSH does: whoever wrote it meant something else.
        if number(network) != masked(network, prefix) {
            return Some(Err(broken()));
        }
        Some(Ok(Self { network, prefix }))
    }

    fn contains(self, address: IpAddr) -> bool {
        width(address) == width(self.network) && masked(address, self.prefix) == number(self.network)
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn masked(address: IpAddr, prefix: u8) -> u128 {
    let host_bits = u32::from(width(address).saturating_sub(prefix));
    let network = number(address).checked_shr(host_bits).unwrap_or(0);
    network.checked_shl(host_bits).unwrap_or(0)
}

/// The addresses that a certificate's `source-address` option names: addresses and networks, nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceAddresses(Vec<Cidr>);

impl SourceAddresses {
    /// Reads a comma-separated list; one bad entry spoils it all, and so does an empty list.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let entries = text.split(',').map(|entry| {
            Cidr::parse(entry)
                .unwrap_or_else(|| Err(PatternError::Cidr { text: printable(entry.as_bytes()) }))
        });
        Ok(Self(entries.collect::<Result<_, _>>()?))
    }

    /// Whether `address` is in one of the networks. IPv4 addresses inside IPv6 count as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address.to_canonical()))
    }
}

/// A comma-separated list of `pattern` and `!pattern` (ssh_config(5), "PATTERNS"), as in `from=` and
/// known_hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PatternList(Vec<Pattern>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    negated: bool,
    /// Lower case, since host names are.
    wildcard: String,
    network: Option<Cidr>,
}

impl PatternList {
    /// Reads the host names of a known_hosts line, in which nothing means a network.
    pub(crate) fn of_hosts(text: &str) -> Self {
        let pattern = |entry: &str| {
            let (negated, wildcard) = entry.strip_prefix('!').map_or((false, entry), |rest| (true, rest));
            Pattern { negated, wildcard: wildcard.to_ascii_lowercase(), network: None }
        };
        Self(text.split(',').map(pattern).collect())
    }

    /// Reads the value of `from=`.
    pub(crate) fn parse(text: &str) -> Result<Self, PatternError> {
        let patterns = text.split(',').map(|entry| {
            let (negated, entry) = match entry.strip_prefix('!') {
                Some(rest) => (true, rest),
                None => (false, entry),
            };
            if entry.is_empty()
                || entry.bytes().any(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control())
            {
                return Err(PatternError::Pattern { text: printable(text.as_bytes()) });
            }
            let network = Cidr::parse(entry).transpose()?;
            Ok(Pattern { negated, wildcard: entry.to_ascii_lowercase(), network })
        });
        Ok(Self(patterns.collect::<Result<_, _>>()?))
    }

    /// Whether the client's address, or its host name where it is known, is listed and neither is excluded.
    pub(crate) fn admits_client(&self, address: Option<IpAddr>, host: Option<&str>) -> bool {
        let address = address.map(|address| address.to_canonical());
        let by_address = address.map_or(Match::No, |address| {
            let text = address.to_string();
            self.matches(|pattern| match pattern.network {
                Some(network) => network.contains(address),
                None => wildcard_match(pattern.wildcard.as_bytes(), text.as_bytes()),
            })
        });
        let by_host = host.map_or(Match::No, |host| self.host_match(host));
        match (by_address, by_host) {
            (Match::Excluded, _) | (_, Match::Excluded) | (Match::No, Match::No) => false,
            (Match::Yes, _) | (_, Match::Yes) => true,
        }
    }

    /// Whether the host name is listed and not excluded.
    pub(crate) fn admits_host(&self, host: &str) -> bool {
        matches!(self.host_match(host), Match::Yes)
    }

    fn host_match(&self, host: &str) -> Match {
        let host = host.to_ascii_lowercase();
        self.matches(|pattern| wildcard_match(pattern.wildcard.as_bytes(), host.as_bytes()))
    }

    fn matches(&self, admits: impl Fn(&Pattern) -> bool) -> Match {
        let mut found = Match::No;
        for pattern in self.0.iter().filter(|pattern| admits(pattern)) {
            if pattern.negated {
                return Match::Excluded;
            }
            found = Match::Yes;
        }
        found
    }
}

enum Match {
    No,
    Yes,
    Excluded,
}

/// Why a list of addresses or patterns cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// An entry is no address or network, or has bits set behind its mask.
    #[error("\"{text}\" is no address and no network (ADDRESS/BITS with the other bits zero)")]
    Cidr {
        /// The entry, escaped.
        text: String,
    },
    /// A pattern is empty or has blanks.
    #[error("\"{text}\" has an empty pattern or blanks in it")]
    Pattern {
        /// The list, escaped.
        text: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_addresses() {
        let table: &[(&str, &str, bool)] = &[
            ("127.0.0.0/8", "127.9.9.9", true),
            ("10.9.0.0/16", "127.0.0.1", false),
            ("10.9.0.0/16,127.0.0.1", "127.0.0.1", true),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "::1", true),
            ("::/0", "1.2.3.4", false),
            ("2001:db8::/33", "2001:db8:7fff::1", true),
            ("2001:db8::/33", "2001:db8:8000::1", false),
            ("127.0.0.1/32", "::ffff:127.0.0.1", true),
        ];
        for &(list, address, expected) in table {
            let list_parsed = SourceAddresses::parse(list).unwrap();
            assert_eq!(list_parsed.contains(address.parse().unwrap()), expected, "{list} {address}");
        }
    }

    #[test]
    fn bad_source_addresses() {
        for list in [
            "",
            ",",
            "127.0.0.1,",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "*",
            "!10.0.0.1",
            "h",
            "::1/129",
            " 10.0.0.1",
        ] {
            assert!(SourceAddresses::parse(list).is_err(), "{list}");
        }
    }

    #[test]
    fn from_lists() {
        let table: &[(&str, &str, Option<&str>, bool)] = &[
            ("127.0.0.1", "127.0.0.1", None, true),
            ("127.0.0.1", "127.0.0.2", None, false),
            ("127.0.*", "127.0.0.2", None, true),
            ("*,!127.0.0.1", "127.0.0.1", None, false),
            ("!127.0.0.1,*", "127.0.0.2", None, true),
            ("!127.0.0.0/8", "10.0.0.1", None, false),
            ("10.0.0.0/8,!10.1.0.0/16", "10.1.2.3", None, false),
            ("10.0.0.0/8,!10.1.0.0/16", "10.2.2.3", None, true),
            ("*.example.org", "10.0.0.1", Some("Host.Example.ORG"), true),
            ("*.Example.org", "10.0.0.1", Some("host.example.org"), true),
            ("*.example.org", "10.0.0.1", None, false),
            ("10.0.0.1,!bad.example.org", "10.0.0.1", Some("bad.example.org"), false),
            ("::1", "::1", None, true),
        ];
        for &(list, address, host, expected) in table {
            let parsed = PatternList::parse(list).unwrap();
            assert_eq!(
                parsed.admits_client(Some(address.parse().unwrap()), host),
                expected,
                "{list} {address}"
            );
        }
        assert!(!PatternList::parse("*").unwrap().admits_client(None, None));
        for list in ["", "a,,b", "a b", "!", "10.0.0.1/8"] {
            assert!(PatternList::parse(list).is_err(), "{list}");
        }
    }
}
