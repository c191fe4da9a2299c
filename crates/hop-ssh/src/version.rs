//! The identification exchange (RFC 4253 section 4.2).

use crate::buffer::InBuf;
use crate::error::Error;

/// The longest identification line with its line end, in bytes.
const LONGEST: usize = 255;
/// How many bytes of other lines a client reads before it gives up; OpenSSH reads 1024 lines of 8 KiB,
/// a login banner of a few hundred lines fits in this.
const LONGEST_PREAMBLE: usize = 64 * 1024;

/// Our identification, without line end.
pub(crate) fn identification(software: &str) -> Vec<u8> {
    format!("SSH-2.0-{software}").into_bytes()
}

/// Takes the peer's identification line (without line end) once it is there. Only a server may send
/// other lines before it; `skipped` counts their bytes.
pub(crate) fn take(
    input: &mut InBuf,
    from_server: bool,
    skipped: &mut usize,
) -> Result<Option<Vec<u8>>, Error> {
    loop {
        let unread = input.unread();
        let start = unread.get(..4).unwrap_or(unread);
        if !from_server && !b"SSH-".starts_with(start) && !start.starts_with(b"SSH-") {
            return Err(not_ssh(unread));
        }
        let Some(end) = unread.iter().position(|byte| *byte == b'\n') else {
            let limit = if from_server { LONGEST_PREAMBLE } else { LONGEST };
            if unread.len() > limit {
                return Err(not_ssh(unread));
            }
            return Ok(None);
        };
        let line = unread.get(..end).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.starts_with(b"SSH-") {
            // A server that still speaks version 1 as well says 1.99 (RFC 4253 section 5.1).
            let speaks_2 = line.starts_with(b"SSH-2.0-") || (from_server && line.starts_with(b"SSH-1.99-"));
            let printable = line.iter().all(|byte| (0x20..0x7f).contains(byte));
            if !speaks_2 || !printable || end >= LONGEST {
                return Err(not_ssh(line));
            }
            let line = line.to_vec();
            input.consume(end + 1, 0..0);
            return Ok(Some(line));
        }
        *skipped += end + 1;
        if !from_server || *skipped > LONGEST_PREAMBLE {
            return Err(not_ssh(line));
        }
        input.consume(end + 1, 0..0);
    }
}

fn not_ssh(bytes: &[u8]) -> Error {
    let shown = bytes.get(..bytes.len().min(60)).unwrap_or_default();
    Error::NotSsh { line: String::from_utf8_lossy(shown).into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(bytes: &[u8], from_server: bool) -> Result<Option<Vec<u8>>, Error> {
        let mut input = InBuf::default();
        input.preload(bytes);
        take(&mut input, from_server, &mut 0)
    }

    #[test]
    fn lines_that_are_and_are_not_identifications() {
        type Case = (&'static [u8], bool, Option<&'static [u8]>);
        let cases: &[Case] = &[
            (b"SSH-2.0-x y\r\nrest", false, Some(b"SSH-2.0-x y")),
            (b"SSH-2.0-x\n", false, Some(b"SSH-2.0-x")),
            (b"welcome\r\nSSH-2.0-x\r\n", true, Some(b"SSH-2.0-x")),
            (b"SSH-1.99-x\r\n", true, Some(b"SSH-1.99-x")),
            (b"SSH-2.0-par", false, None),
            (b"", false, None),
            (b"SS", false, None),
        ];
        for (bytes, from_server, expected) in cases {
            assert_eq!(taken(bytes, *from_server).unwrap().as_deref(), *expected, "{bytes:?}");
        }
        let long = [b"SSH-2.0-".as_slice(), &[b'a'; 300], b"\r\n"].concat();
        let endless = vec![b'a'; 70_000];
        let bad: &[(&[u8], bool)] = &[
            (b"GET / HTTP/1.1\r\n", false),
            (b"G", false),
            (b"SSH-1.5-x\r\n", true),
            (b"SSH-1.99-x\r\n", false),
            (b"SSH-2.0-\x1b[31m\r\n", true),
            (&long, false),
            (&endless, true),
        ];
        for (bytes, from_server) in bad {
            assert!(taken(bytes, *from_server).is_err(), "{:?}", &bytes[..bytes.len().min(20)]);
        }
    }
}
