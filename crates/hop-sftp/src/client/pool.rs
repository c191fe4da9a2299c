//! Memory of long packets, used again.
//!
//! An allocator gives memory of this size back to the system at once and takes it anew: for each chunk some
//! sixty page faults, a third of the time of a transfer over a fast line.

use std::sync::Mutex;

/// Buffers kept: some 4 MiB with chunks of 255 KiB.
const KEPT: usize = 16;

/// Shorter packets are not worth it, in bytes.
const LONG: usize = 16 * 1024;

/// Spare buffers of one client.
#[derive(Debug, Default)]
pub(super) struct Pool {
    spare: Mutex<Vec<Vec<u8>>>,
}

impl Pool {
    /// An empty buffer for this many bytes; it may hold more.
    pub(super) fn take(&self, length: usize) -> Vec<u8> {
        let spare = match length {
            0..LONG => None,
            _ => self.spare.lock().ok().and_then(|mut spare| spare.pop()),
        };
        let mut buffer = spare.unwrap_or_default();
        buffer.reserve_exact(length);
        buffer
    }

    /// Keeps a buffer that is used no more.
    pub(super) fn give(&self, mut buffer: Vec<u8>) {
        if buffer.capacity() < LONG {
            return;
        }
        buffer.clear();
        // Without the lock, poisoned by a panic elsewhere, the buffer is simply freed.
        if let Ok(mut spare) = self.spare.lock()
            && spare.len() < KEPT
        {
            spare.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{KEPT, LONG, Pool};

    #[test]
    fn long_buffers_come_back_empty_and_only_so_many() {
        let pool = Pool::default();
        pool.give(vec![1; LONG]);
        assert_eq!(pool.take(10).capacity(), 10);
        let again = pool.take(LONG);
        assert!(again.is_empty() && again.capacity() >= LONG);
        let grown = pool.take(3 * LONG);
        assert!(grown.capacity() >= 3 * LONG);
        for _ in 0..2 * KEPT {
            pool.give(Vec::with_capacity(LONG));
        }
        pool.give(vec![1; 10]);
        assert_eq!(pool.spare.lock().expect("not poisoned").len(), KEPT);
    }
}
