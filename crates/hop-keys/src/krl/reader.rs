//! Reads revocation lists: PROTOCOL.krl, and lines of public keys.

use std::collections::BTreeSet;

use super::serials::{Bitmap, Serials};
use super::{
    CERTIFICATE_EXTENSION, FORMAT_VERSION, KEY_ID, KrlError, MAGIC, RevocationList, SECTION_CERTIFICATES,
    SECTION_EXPLICIT_KEY, SECTION_EXTENSION, SECTION_SHA1, SECTION_SHA256, SECTION_SIGNATURE, SERIAL_BITMAP,
    SERIAL_LIST, SERIAL_RANGE, Scope,
};
use crate::certificate::Certificate;
use crate::lines::{LineProblem, LineReason, lines};
use crate::public_key::{KeyError, PublicKey};
use crate::wire::{Reader, WireError, without_leading_zeros};

pub(super) fn read(bytes: &[u8]) -> Result<RevocationList, KrlError> {
    if bytes.is_empty() {
        return Err(KrlError::Empty);
    }
    match bytes.strip_prefix(MAGIC) {
        Some(body) => read_binary(body),
        None => read_text(bytes),
    }
}

fn read_binary(body: &[u8]) -> Result<RevocationList, KrlError> {
    let mut reader = Reader::new(body);
    let format = reader.u32("format version")?;
    if format != FORMAT_VERSION {
        return Err(KrlError::Format(format));
    }
    let mut list = RevocationList {
        version: reader.u64("list version")?,
        generated: reader.u64("generation time")?,
        ..RevocationList::default()
    };
    reader.u64("flags")?;
    reader.string("reserved field")?;
    list.comment = String::from_utf8_lossy(reader.string("comment")?).into_owned();
    while !reader.is_empty() {
        let kind = reader.u8("section type")?;
        let section = Reader::new(reader.string("section")?);
        match kind {
            SECTION_CERTIFICATES => read_certificates(&mut list, section)?,
            SECTION_EXPLICIT_KEY => {
                each(section, |reader| {
                    list.keys.insert(reader.string("revoked key")?.into());
                    Ok(())
                })?;
            }
            SECTION_SHA1 => {
                each(section, |reader| {
                    list.sha1.insert(hash(reader.string("SHA-1 hash")?, "SHA-1 hash")?);
                    Ok(())
                })?;
            }
            SECTION_SHA256 => {
                each(section, |reader| {
                    list.sha256.insert(hash(reader.string("SHA-256 hash")?, "SHA-256 hash")?);
                    Ok(())
                })?;
            }
            SECTION_EXTENSION => skip_extension(section, kind)?,
            // OpenSSH dropped signed lists in 9.4; a signature that is not checked must not look like one
            // that is.
            SECTION_SIGNATURE => return Err(KrlError::Section { kind }),
            _ => return Err(KrlError::Section { kind }),
        }
    }
    Ok(list)
}

fn read_certificates(list: &mut RevocationList, mut section: Reader<'_>) -> Result<(), KrlError> {
    let ca = match section.string("CA key")? {
        [] => None,
        blob => Some(PublicKey::from_blob(blob)),
    };
    section.string("reserved field")?;
    let ca = match ca {
        None => None,
        Some(Ok(key)) => Some(key),
        // Certificates of a CA that we cannot read are refused anyway.
        Some(Err(KeyError::Algorithm { .. })) => return Ok(()),
        Some(Err(error)) => return Err(KrlError::Ca(error)),
    };
    // A scope of its own even when its CA came before: looking that up would make many CAs cost their square.
    let mut scope = Scope { ca, serials: Serials::default(), key_ids: BTreeSet::new() };
    while !section.is_empty() {
        let kind = section.u8("certificate section type")?;
        let mut part = Reader::new(section.string("certificate section")?);
        match kind {
            SERIAL_LIST => {
                while !part.is_empty() {
                    let serial = part.u64("serial")?;
                    scope.serials.insert(serial, serial);
                }
            }
            SERIAL_RANGE => {
                let (first, last) = (part.u64("first serial")?, part.u64("last serial")?);
                part.finish("serial range")?;
                if first > last {
                    return Err(KrlError::Range);
                }
                scope.serials.insert(first, last);
            }
            SERIAL_BITMAP => {
                let offset = part.u64("serial offset")?;
                let bits = without_leading_zeros(part.string("serial bitmap")?);
                part.finish("serial bitmap")?;
                let width = bits.len() as u64 * 8;
                if width > 0 && offset.checked_add(width - 1).is_none() {
                    return Err(KrlError::Range);
                }
                scope.serials.push_bitmap(Bitmap { offset, bits: bits.into() });
            }
            KEY_ID => {
                while !part.is_empty() {
                    scope.key_ids.insert(part.text("key ID")?.to_owned());
                }
            }
            CERTIFICATE_EXTENSION => skip_extension(part, kind)?,
            _ => return Err(KrlError::Section { kind }),
        }
    }
    list.scopes.push(scope);
    Ok(())
}

/// Skips an extension, unless it says that it must be understood.
fn skip_extension(mut section: Reader<'_>, kind: u8) -> Result<(), KrlError> {
    section.string("extension name")?;
    let critical = section.u8("extension criticality")? != 0;
    section.string("extension contents")?;
    section.finish("extension")?;
    if critical { Err(KrlError::Section { kind }) } else { Ok(()) }
}

fn each(
    mut section: Reader<'_>,
    mut take: impl FnMut(&mut Reader<'_>) -> Result<(), WireError>,
) -> Result<(), WireError> {
    while !section.is_empty() {
        take(&mut section)?;
    }
    Ok(())
}

fn hash<const N: usize>(bytes: &[u8], field: &'static str) -> Result<[u8; N], WireError> {
    bytes.try_into().map_err(|_| WireError::Truncated { field })
}

/// One public key or certificate per line; each revokes the key, alone, certified, and as a CA.
fn read_text(bytes: &[u8]) -> Result<RevocationList, KrlError> {
    let mut list = RevocationList::default();
    for line in lines(bytes) {
        let (line, text) = line.map_err(KrlError::Line)?;
        let key = PublicKey::parse_line(&text).map(|(key, _)| key).or_else(|error| {
            Certificate::parse_line(&text)
                .map(|(certificate, _)| certificate.key().clone())
                .map_err(|_| error)
        });
        match key {
            Ok(key) => list.revoke_key(&key),
            // A key of a kind that nobody can log in with, such as DSA, needs no revoking.
            Err(KeyError::Algorithm { .. }) => {}
            Err(error) => return Err(KrlError::Line(LineProblem { line, reason: LineReason::Key(error) })),
        }
    }
    Ok(list)
}
