//! Chance, from the kernel.

/// Fills a slice with random bytes.
pub(crate) fn fill(bytes: &mut [u8]) {
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        // It fails only before the kernel has chance at all, early at boot; then this waits.
        filled += rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty()).unwrap_or(0);
    }
}
