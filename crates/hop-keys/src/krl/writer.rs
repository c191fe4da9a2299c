//! Writes revocation lists in the binary form (PROTOCOL.krl).

use super::{
    FORMAT_VERSION, KEY_ID, MAGIC, RevocationList, SECTION_CERTIFICATES, SECTION_EXPLICIT_KEY, SECTION_SHA1,
    SECTION_SHA256, SERIAL_BITMAP, SERIAL_LIST, SERIAL_RANGE, Scope,
};
use crate::wire::{Put as _, without_leading_zeros};

/// Serials further apart than this start a new bitmap: 64 empty bits cost as much as one listed serial.
const BITMAP_GAP: u64 = 64;
/// A bitmap has 17 bytes of overhead; from this many serials on it is shorter than a list.
const BITMAP_MIN: usize = 4;

pub(super) fn write(list: &RevocationList, version: u64, generated: u64, comment: &str) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.put_u32(FORMAT_VERSION);
    out.put_u64(version);
    out.put_u64(generated);
    out.put_u64(0);
    out.put_string(b"");
    out.put_string(comment.as_bytes());
    for scope in &list.scopes {
        section(&mut out, SECTION_CERTIFICATES, &write_scope(scope));
    }
    write_strings(&mut out, SECTION_EXPLICIT_KEY, &list.keys);
    write_strings(&mut out, SECTION_SHA1, &list.sha1);
    write_strings(&mut out, SECTION_SHA256, &list.sha256);
    out
}

fn section(out: &mut Vec<u8>, kind: u8, contents: &[u8]) {
    out.push(kind);
    out.put_string(contents);
}

fn write_strings<'a, S: AsRef<[u8]> + 'a>(
    out: &mut Vec<u8>,
    kind: u8,
    strings: impl IntoIterator<Item = &'a S>,
) {
    let mut contents = Vec::new();
    for string in strings {
        contents.put_string(string.as_ref());
    }
    if !contents.is_empty() {
        section(out, kind, &contents);
    }
}

fn write_scope(scope: &Scope) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_string(scope.ca.as_ref().map_or(&[], |ca| ca.blob()));
    out.put_string(b"");
    let mut singles = Vec::new();
    for (first, last) in scope.serials.ranges() {
        if first == last {
            singles.push(first);
        } else {
            let mut range = Vec::new();
            range.put_u64(first);
            range.put_u64(last);
            section(&mut out, SERIAL_RANGE, &range);
        }
    }
    write_singles(&mut out, &singles);
    for bitmap in scope.serials.bitmaps() {
        write_bitmap(&mut out, bitmap.offset, &bitmap.bits);
    }
    write_strings(&mut out, KEY_ID, &scope.key_ids);
    out
}

/// Writes ascending serials: bitmaps where they stand close together, one list for the others.
fn write_singles(out: &mut Vec<u8>, singles: &[u64]) {
    let mut list = Vec::new();
    for cluster in singles.chunk_by(|one, next| next - one <= BITMAP_GAP) {
        let (Some(first), Some(last)) = (cluster.first(), cluster.last()) else { continue };
        let bytes = usize::try_from((last - first) / 8 + 1).unwrap_or(usize::MAX);
        if cluster.len() < BITMAP_MIN || bytes > cluster.len() * 8 {
            for serial in cluster {
                list.put_u64(*serial);
            }
            continue;
        }
        let mut bits = vec![0_u8; bytes];
        for serial in cluster {
            let bit = serial - first;
            let from_end = usize::try_from(bit / 8).unwrap_or(usize::MAX);
            if let Some(byte) = bits.iter_mut().rev().nth(from_end) {
                *byte |= 1 << (bit % 8);
            }
        }
        write_bitmap(out, *first, &bits);
    }
    if !list.is_empty() {
        section(out, SERIAL_LIST, &list);
    }
}

fn write_bitmap(out: &mut Vec<u8>, offset: u64, bits: &[u8]) {
    if without_leading_zeros(bits).is_empty() {
        return;
    }
    let mut contents = Vec::new();
    contents.put_u64(offset);
    contents.put_positive(bits);
    section(out, SERIAL_BITMAP, &contents);
}
