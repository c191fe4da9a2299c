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
