//! The numbers of an RSA private key, out of PKCS #1 and PKCS #8 DER (RFC 8017 appendix A.1.2, RFC 5208).

use aws_lc_rs::rsa::{KeyPairComponents, PublicKeyComponents};
use aws_lc_rs::signature::RsaKeyPair;
use zeroize::Zeroizing;

use crate::private_key::PrivateKeyError;
use crate::wire::without_leading_zeros;

/// An RSA private key as OpenSSH stores it. All numbers are big-endian without leading zeros.
pub(crate) struct RsaNumbers {
    pub(crate) exponent: Vec<u8>,
    pub(crate) modulus: Vec<u8>,
    pub(crate) private_exponent: Zeroizing<Vec<u8>>,
    pub(crate) prime1: Zeroizing<Vec<u8>>,
    pub(crate) prime2: Zeroizing<Vec<u8>>,
    /// `prime2⁻¹ mod prime1`.
    pub(crate) coefficient: Zeroizing<Vec<u8>>,
}

impl RsaNumbers {
    pub(crate) fn from_pkcs1(der: &[u8]) -> Result<Self, PrivateKeyError> {
        Self::read_pkcs1(der).ok_or(PrivateKeyError::Form { reason: "its PKCS #1 structure is broken" })
    }

    pub(crate) fn from_pkcs8(der: &[u8]) -> Result<Self, PrivateKeyError> {
        Self::read_pkcs8(der).ok_or(PrivateKeyError::Form { reason: "it is not RSA in PKCS #8" })
    }

    fn read_pkcs8(der: &[u8]) -> Option<Self> {
        /// `rsaEncryption`, 1.2.840.113549.1.1.1.
        const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
        let mut info = whole(der)?;
        (take(&mut info, INTEGER)? == [0]).then_some(())?;
        let mut algorithm = take(&mut info, SEQUENCE)?;
        (take(&mut algorithm, OBJECT_IDENTIFIER)? == RSA).then_some(())?;
        Self::read_pkcs1(take(&mut info, OCTET_STRING)?)
    }

    fn read_pkcs1(der: &[u8]) -> Option<Self> {
        let mut key = whole(der)?;
        // Version 0; 1 would mean more than two primes.
        (take(&mut key, INTEGER)? == [0]).then_some(())?;
        let mut number = || take(&mut key, INTEGER).map(|bytes| without_leading_zeros(bytes).to_vec());
        let modulus = number()?;
        let exponent = number()?;
        let private_exponent = Zeroizing::new(number()?);
        let prime1 = Zeroizing::new(number()?);
        let prime2 = Zeroizing::new(number()?);
        // d mod (p-1) and d mod (q-1) are computed again.
        drop([Zeroizing::new(number()?), Zeroizing::new(number()?)]);
        let coefficient = Zeroizing::new(number()?);
        Some(Self { exponent, modulus, private_exponent, prime1, prime2, coefficient })
    }

    /// The key in the form that signs; `None` when the numbers contradict one another.
    pub(crate) fn key_pair(&self) -> Option<RsaKeyPair> {
        let d = self.private_exponent.as_slice();
        let exponent1 = remainder(d, &minus_one(&self.prime1)?);
        let exponent2 = remainder(d, &minus_one(&self.prime2)?);
        RsaKeyPair::from_components(&KeyPairComponents {
            public_key: PublicKeyComponents { n: self.modulus.as_slice(), e: self.exponent.as_slice() },
            d,
            p: self.prime1.as_slice(),
            q: self.prime2.as_slice(),
            dP: exponent1.as_slice(),
            dQ: exponent2.as_slice(),
            qInv: self.coefficient.as_slice(),
        })
        .ok()
    }
}

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;

/// The contents of a sequence that fills all of `der`.
fn whole(mut der: &[u8]) -> Option<&[u8]> {
    let contents = take(&mut der, SEQUENCE)?;
    der.is_empty().then_some(contents)
}

/// Takes one DER value with this tag off the front.
fn take<'a>(der: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let [found, length, rest @ ..] = *der else { return None };
    let (length, rest) = match length {
        0..=0x7f => (usize::from(*length), rest),
        // Two length bytes hold any key that we accept.
        0x81 => (usize::from(*rest.first()?), rest.get(1..)?),
        0x82 => (usize::from(u16::from_be_bytes(*rest.first_chunk()?)), rest.get(2..)?),
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(length)?;
    *der = rest;
    (*found == tag).then_some(value)
}

/// An odd number less one, which touches only its last byte.
fn minus_one(odd: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut number = Zeroizing::new(odd.to_vec());
    let low = number.last_mut()?;
    (*low & 1 == 1).then_some(())?;
    *low -= 1;
    (number.iter().any(|byte| *byte != 0)).then_some(number)
}

/// `value mod modulus`, bit by bit, with the same steps whatever the secret bits are.
fn remainder(value: &[u8], modulus: &[u8]) -> Zeroizing<Vec<u8>> {
    // One byte more than the modulus, so that doubling cannot overflow; all little-endian.
    let width = modulus.len() + 1;
    let mut rest = Zeroizing::new(vec![0_u8; width]);
    let mut less = Zeroizing::new(vec![0_u8; width]);
    for bit in value.iter().flat_map(|byte| (0..8).rev().map(move |shift| (byte >> shift) & 1)) {
        let mut carry = bit;
        for byte in rest.iter_mut() {
            let next = *byte >> 7;
            *byte = (*byte << 1) | carry;
            carry = next;
        }
        let mut borrow = 0_i16;
        let subtrahend = modulus.iter().rev().copied().chain([0]);
        for ((out, have), take) in less.iter_mut().zip(rest.iter()).zip(subtrahend) {
            let difference = i16::from(*have) - i16::from(take) - borrow;
            borrow = (difference >> 8) & 1;
            *out = difference.to_le_bytes()[0];
        }
        // All ones when the subtraction did not go below zero.
        let mask = u8::from(borrow == 0).wrapping_neg();
        for (byte, smaller) in rest.iter_mut().zip(less.iter()) {
            *byte = (*byte & !mask) | (*smaller & mask);
        }
    }
    rest.reverse();
    Zeroizing::new(without_leading_zeros(&rest).to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remainders_agree_with_machine_arithmetic() {
        let table: &[(u64, u64)] = &[
            (0, 7),
            (6, 7),
            (7, 7),
            (8, 7),
            (u64::MAX, 255),
            (u64::MAX, 65_536),
            (123_456_789, 1),
            (5, u64::MAX),
        ];
        for &(value, modulus) in table {
            let modulus_bytes = modulus.to_be_bytes();
            let got = remainder(&value.to_be_bytes(), without_leading_zeros(&modulus_bytes));
            let mut number = [0; 8];
            number[8 - got.len()..].copy_from_slice(&got);
            assert_eq!(u64::from_be_bytes(number), value % modulus, "{value} mod {modulus}");
        }
    }

    #[test]
    fn broken_der_is_refused() {
        for der in
            [&b""[..], b"\x30", b"\x30\x82", b"\x30\x03\x02\x01\x00", b"\x30\x84\0\0\0\0", b"\x30\x00x"]
        {
            assert!(RsaNumbers::from_pkcs1(der).is_err());
            assert!(RsaNumbers::from_pkcs8(der).is_err());
        }
    }
}
