//! The one seam to the cryptographic library: everything here wraps aws-lc-rs, nothing outside this
//! folder (and `hop-keys`, for signatures) knows it.

pub(crate) mod agreement;
pub(crate) mod cipher;
pub(crate) mod hash;

use crate::error::Error;

/// Fills `bytes` from the system's random number generator.
pub(crate) fn random(bytes: &mut [u8]) -> Result<(), Error> {
    aws_lc_rs::rand::fill(bytes).map_err(|_| Error::Crypto { what: "random numbers" })
}

/// Draws the first random number of this thread. Before the first of a process the cryptographic library collects noise
/// for its generator, which takes it 26 ms: better while nobody waits. Where it fails, so will the first login, and
/// say so.
pub fn warm_up() {
    let _told_later = random(&mut [0]);
}
