//! Large files with contents that no compression, reordering or truncation leaves unnoticed.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;

/// The size of the large transfers: 64 MiB.
pub const LARGE: u64 = 64 << 20;

/// Writes `len` pseudo-random bytes; the same `seed` gives the same bytes.
pub fn write(path: &Path, len: u64, seed: u64) {
    let file = File::create(path).unwrap_or_else(|e| fail(path, &e));
    let mut out = BufWriter::with_capacity(1 << 20, file);
    let mut state = seed;
    let mut left = len;
    while left > 0 {
        let word = next(&mut state).to_le_bytes();
        let take = usize::try_from(left).map_or(word.len(), |l| l.min(word.len()));
        let part = word.get(..take).expect("at most a whole word");
        out.write_all(part).unwrap_or_else(|e| fail(path, &e));
        left -= take as u64;
    }
    out.flush().unwrap_or_else(|e| fail(path, &e));
}

/// Panics unless both files hold the same bytes; says where they differ first.
pub fn assert_same(expected: &Path, found: &Path) {
    let (wanted_len, len) = (size(expected), size(found));
    assert_eq!(wanted_len, len, "{} has another size than {}", found.display(), expected.display());
    let mut left = BufReader::with_capacity(1 << 20, open(expected));
    let mut right = BufReader::with_capacity(1 << 20, open(found));
    let (mut a, mut b) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut offset = 0;
    loop {
        let n = left.read(&mut a).unwrap_or_else(|e| fail(expected, &e));
        if n == 0 {
            return;
        }
        let (a, b) = (&a[..n], &mut b[..n]);
        right.read_exact(b).unwrap_or_else(|e| fail(found, &e));
        if let Some(at) = a.iter().zip(b.iter()).position(|(x, y)| x != y) {
            panic!("{} differs from {} at byte {}", found.display(), expected.display(), offset + at);
        }
        offset += n;
    }
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap_or_else(|e| fail(path, &e)).len()
}

fn open(path: &Path) -> File {
    File::open(path).unwrap_or_else(|e| fail(path, &e))
}

/// `SplitMix64` (Steele, Lea, Flood 2014): eight good bytes from one addition and three multiplications.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
fn fail<T>(path: &Path, error: &std::io::Error) -> T {
    panic!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_repeats_for_its_seed_and_has_its_length() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        write(&a, 100_003, 7);
        write(&b, 100_003, 7);
        assert_eq!(size(&a), 100_003);
        assert_same(&a, &b);
    }

    #[test]
    #[should_panic(expected = "at byte 99999")]
    fn one_changed_byte_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        write(&a, 100_003, 7);
        let mut bytes = std::fs::read(&a).unwrap();
        bytes[99_999] ^= 1;
        std::fs::write(&b, bytes).unwrap();
        assert_same(&a, &b);
    }
}
