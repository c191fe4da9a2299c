//! A set of certificate serials: ranges, and bitmaps as they came.

use std::collections::BTreeMap;

/// Serials, without 0, which means "no serial".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Serials {
    /// First to last of each range; ranges neither overlap nor touch.
    ranges: BTreeMap<u64, u64>,
    /// Kept unexpanded, so that a list takes no more memory than its file.
    bitmaps: Vec<Bitmap>,
}

/// Bit 0 is the last bit of the last byte and stands for `offset`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bitmap {
    pub(super) offset: u64,
    pub(super) bits: Box<[u8]>,
}

impl Bitmap {
    fn contains(&self, serial: u64) -> bool {
        let Some(bit) = serial.checked_sub(self.offset) else { return false };
        let Ok(from_end) = usize::try_from(bit / 8) else { return false };
        self.bits.iter().rev().nth(from_end).is_some_and(|byte| (byte >> (bit % 8)) & 1 == 1)
    }
}

impl Serials {
    pub(super) fn insert(&mut self, first: u64, last: u64) {
        let (mut first, mut last) = (first.max(1), last);
        if first > last {
            return;
        }
        // Swallow every range that overlaps or touches.
        while let Some((&low, &high)) = self.ranges.range(..=last.saturating_add(1)).next_back() {
            if high.saturating_add(1) < first {
                break;
            }
            self.ranges.remove(&low);
            first = first.min(low);
            last = last.max(high);
        }
        self.ranges.insert(first, last);
    }

    pub(super) fn push_bitmap(&mut self, bitmap: Bitmap) {
        self.bitmaps.push(bitmap);
    }

    pub(super) fn contains(&self, serial: u64) -> bool {
        if serial == 0 {
            return false;
        }
        let in_range = self.ranges.range(..=serial).next_back().is_some_and(|(_, last)| serial <= *last);
        in_range || self.bitmaps.iter().any(|bitmap| bitmap.contains(serial))
    }

    pub(super) fn ranges(&self) -> impl Iterator<Item = (u64, u64)> {
        self.ranges.iter().map(|(first, last)| (*first, *last))
    }

    pub(super) fn bitmaps(&self) -> &[Bitmap] {
        &self.bitmaps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_merge_when_they_overlap_or_touch() {
        type Ranges = &'static [(u64, u64)];
        let table: &[(Ranges, Ranges)] = &[
            (&[(5, 5), (7, 7)], &[(5, 5), (7, 7)]),
            (&[(5, 5), (6, 6)], &[(5, 6)]),
            (&[(6, 6), (5, 5)], &[(5, 6)]),
            (&[(1, 10), (3, 4)], &[(1, 10)]),
            (&[(3, 4), (8, 9), (1, 20)], &[(1, 20)]),
            (&[(3, 4), (8, 9), (5, 7)], &[(3, 9)]),
            (&[(0, 2)], &[(1, 2)]),
            (&[(0, 0)], &[]),
            (&[(9, 8)], &[]),
            (&[(u64::MAX, u64::MAX), (1, u64::MAX - 1)], &[(1, u64::MAX)]),
        ];
        for (inserted, expected) in table {
            let mut serials = Serials::default();
            for (first, last) in *inserted {
                serials.insert(*first, *last);
            }
            assert_eq!(serials.ranges().collect::<Vec<_>>(), *expected, "{inserted:?}");
        }
    }

    #[test]
    fn bitmaps_count_from_the_end() {
        let mut serials = Serials::default();
        serials.push_bitmap(Bitmap { offset: 100, bits: Box::new([0b1, 0b1000_0001]) });
        let found: Vec<u64> = (90..130).filter(|serial| serials.contains(*serial)).collect();
        assert_eq!(found, [100, 107, 108]);
        assert!(!serials.contains(u64::MAX));
        serials.push_bitmap(Bitmap { offset: 0, bits: Box::new([0b11]) });
        assert!(serials.contains(1) && !serials.contains(0), "0 means no serial");
    }
}
