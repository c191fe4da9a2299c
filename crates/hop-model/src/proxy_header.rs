//! The header of the PROXY protocol, versions 1 and 2: a load balancer in front of a listener says whose connection this
//! is. Sans-IO: whoever reads gives what has come so far, and hears what it says or how much more belongs to it.
//!
//! What must stay true: no byte behind the header is asked for (the SSH connection begins there); a header is bounded;
//! one that is not understood is an error, never "no header". Whether a peer may say such a thing is its reader's decision.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What version 2 begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// What version 1 begins with.
const WORD: &[u8; 6] = b"PROXY ";
/// Signature, command, family, length.
const FIXED: usize = 16;
/// The shortest line of version 1, `PROXY UNKNOWN` and its end; version 2 is longer.
const SHORTEST: usize = 15;
/// The longest line of version 1, its end included, as the protocol has it.
const LONGEST_LINE: usize = 107;
/// The longest header of version 2 that is taken: addresses take 36 bytes, the rest are remarks that nobody here reads.
const LONGEST: usize = 4096;

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyHeader {
    /// Somebody's connection.
    Proxied {
        /// Who connected.
        client: SocketAddr,
        /// Where to.
        server: SocketAddr,
    },
    /// The sender's own (a health check), or one whose ends it does not know.
    Own,
}

/// How far a header has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyProgress {
    /// At least so many bytes are missing, and all of them belong to the header.
    Wants(usize),
    /// It is whole.
    Whole(ProxyHeader),
}

/// Why something is not a header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProxyHeaderError {
    /// It begins otherwise.
    #[error("what came is no header of the PROXY protocol")]
    Absent,
    /// A line of version 1.
    #[error("a PROXY line is malformed: {0}")]
    Line(&'static str),
    /// A header of version 2.
    #[error("a PROXY header is malformed: {0}")]
    Binary(&'static str),
}

impl ProxyHeader {
    /// Reads what has come so far; with [`ProxyProgress::Wants`] bytes more each time, the end is not overrun.
    ///
    /// # Errors
    /// As soon as it cannot become a header any more.
    pub fn read(bytes: &[u8]) -> Result<ProxyProgress, ProxyHeaderError> {
        let begins = |with: &[u8]| bytes.iter().zip(with).all(|(one, other)| one == other);
        if begins(WORD) && !bytes.is_empty() {
            return line(bytes);
        }
        if !begins(SIGNATURE) {
            return Err(ProxyHeaderError::Absent);
        }
        // Nothing yet may become either; then the shorter of both is wanted.
        if bytes.is_empty() { Ok(ProxyProgress::Wants(SHORTEST)) } else { binary(bytes) }
    }
}

fn line(bytes: &[u8]) -> Result<ProxyProgress, ProxyHeaderError> {
    let end = bytes.iter().position(|byte| *byte == b'\n');
    let Some(end) = end else {
        if bytes.len() >= LONGEST_LINE {
            return Err(ProxyHeaderError::Line("it has no end"));
        }
        // The end is two bytes.
        let least = if bytes.ends_with(b"\r") { 1 } else { 2 };
        return Ok(ProxyProgress::Wants(least.max(SHORTEST.saturating_sub(bytes.len()))));
    };
    let text = bytes.get(..end).and_then(|line| line.strip_suffix(b"\r"));
    let text = text.and_then(|text| std::str::from_utf8(text).ok());
    let text = text.ok_or(ProxyHeaderError::Line("its end or its letters are odd"))?;
    if end.saturating_add(1) != bytes.len() {
        return Err(ProxyHeaderError::Line("something comes behind it"));
    }
    let mut words = text.split(' ').skip(1);
    let is_six = match words.next() {
        Some("TCP4") => false,
        Some("TCP6") => true,
        // Whatever follows is to be ignored.
        Some("UNKNOWN") => return Ok(ProxyProgress::Whole(ProxyHeader::Own)),
        _ => return Err(ProxyHeaderError::Line("its protocol is none of TCP4, TCP6, UNKNOWN")),
    };
    let fields: [Option<&str>; 5] = std::array::from_fn(|_| words.next());
    let [Some(source), Some(target), Some(from), Some(to), None] = fields else {
        return Err(ProxyHeaderError::Line("it wants two addresses and two ports"));
    };
    let address = |text: &str| {
        let read = text.parse::<IpAddr>().ok().filter(|address| address.is_ipv6() == is_six);
        read.ok_or(ProxyHeaderError::Line("an address is none of its protocol's"))
    };
    let port = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let plain = digits && (text == "0" || !text.starts_with('0'));
        text.parse().ok().filter(|_| plain).ok_or(ProxyHeaderError::Line("a port is no number"))
    };
    let client = SocketAddr::new(address(source)?, port(from)?);
    let server = SocketAddr::new(address(target)?, port(to)?);
    Ok(ProxyProgress::Whole(ProxyHeader::Proxied { client, server }))
}

fn binary(bytes: &[u8]) -> Result<ProxyProgress, ProxyHeaderError> {
    let malformed = ProxyHeaderError::Binary;
    let Some(([_, _, _, _, _, _, _, _, _, _, _, _, command, family, high, low], rest)) =
        bytes.split_first_chunk::<FIXED>()
    else {
        return Ok(ProxyProgress::Wants(FIXED.saturating_sub(bytes.len())));
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if FIXED + length > LONGEST {
        return Err(malformed("it is too long"));
    }
    if command >> 4 != 2 {
        return Err(malformed("its version is not 2"));
    }
    match length.cmp(&rest.len()) {
        std::cmp::Ordering::Greater => return Ok(ProxyProgress::Wants(length.saturating_sub(rest.len()))),
        std::cmp::Ordering::Less => return Err(malformed("something comes behind it")),
        std::cmp::Ordering::Equal => {}
    }
    let header = match (command & 0x0f, family) {
        (0, _) | (1, 0x00) => ProxyHeader::Own,
        (1, 0x11) => {
            let (source, rest) = rest.split_first_chunk::<4>().ok_or(malformed("its addresses are short"))?;
            let (target, ports) =
                rest.split_first_chunk::<4>().ok_or(malformed("its addresses are short"))?;
            proxied(Ipv4Addr::from(*source).into(), Ipv4Addr::from(*target).into(), ports)?
        }
        (1, 0x21) => {
            let (source, rest) =
                rest.split_first_chunk::<16>().ok_or(malformed("its addresses are short"))?;
            let (target, ports) =
                rest.split_first_chunk::<16>().ok_or(malformed("its addresses are short"))?;
            proxied(Ipv6Addr::from(*source).into(), Ipv6Addr::from(*target).into(), ports)?
        }
        // UDP and Unix sockets: nobody comes to a TCP listener that way.
        (1, _) => return Err(malformed("its family is neither TCP over IPv4 nor over IPv6")),
        _ => return Err(malformed("its command is neither LOCAL nor PROXY")),
    };
    Ok(ProxyProgress::Whole(header))
}

fn proxied(source: IpAddr, target: IpAddr, ports: &[u8]) -> Result<ProxyHeader, ProxyHeaderError> {
    let Some(([a, b, c, d], _)) = ports.split_first_chunk::<4>() else {
        return Err(ProxyHeaderError::Binary("its ports are short"));
    };
    Ok(ProxyHeader::Proxied {
        client: SocketAddr::new(source, u16::from_be_bytes([*a, *b])),
        server: SocketAddr::new(target, u16::from_be_bytes([*c, *d])),
    })
}

#[cfg(test)]
mod tests;
