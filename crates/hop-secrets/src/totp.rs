//! One-time codes by time (RFC 6238), from what a site shows as a QR code (`otpauth://totp/…`) or as plain base32.
//!
//! Must stay true: a code that was handed out is not handed out again; servers refuse the second use.

use crate::Secret;
use std::time::Duration;
use totp_rs::Builder;
use zeroize::Zeroizing;

/// The longest text that is looked at, in bytes.
const LONGEST: usize = 2048;
/// The shortest seed, in bytes: what widespread PAM modules make.
const SHORTEST_SEED: usize = 10;
/// Seconds that a code may count.
const STEPS: std::ops::RangeInclusive<u64> = 1..=3600;

/// Why a text is no seed of one-time codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TotpError {
    /// Neither form.
    #[error("this is no otpauth://totp/ link and no base32 text")]
    Form,
    /// Codes that count instead of going by time.
    #[error("this link is for codes that count their uses (HOTP), not for codes that change with time")]
    Counter,
    /// Too short to be one.
    #[error("the seed has only {bytes} bytes, and at least 10 are needed: is a part missing?")]
    Short {
        /// Its length.
        bytes: usize,
    },
    /// A number of digits that no server uses.
    #[error("codes of {digits} digits are not known; they have 6 to 8")]
    Digits {
        /// What the link says.
        digits: u8,
    },
    /// A time that makes no sense.
    #[error("a code cannot count for {seconds} s")]
    Period {
        /// What the link says.
        seconds: u64,
    },
}

/// Makes codes.
#[derive(Clone)]
pub struct Totp {
    inner: totp_rs::Totp,
}

impl std::fmt::Debug for Totp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Totp(…)")
    }
}

/// A code and the step of time that it belongs to.
#[derive(Clone, Debug)]
pub struct Code {
    /// The digits.
    pub digits: Secret,
    /// Its step since 1970: whoever remembers the last one used never sends a code twice.
    pub step: u64,
    /// How long it counts yet.
    pub left: Duration,
}

impl Totp {
    /// Reads either form. Spaces, hyphens and small letters of base32 do not matter.
    pub fn parse(text: &str) -> Result<Self, TotpError> {
        let text = text.trim();
        if text.len() > LONGEST {
            return Err(TotpError::Form);
        }
        let is_link = text.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("otpauth:"));
        let inner = if is_link { Self::from_link(text)? } else { Self::from_base32(text)? };
        let bytes = inner.secret().as_ref().len();
        if bytes < SHORTEST_SEED {
            return Err(TotpError::Short { bytes });
        }
        // The library computes with whatever it is given, and would panic.
        if !(6..=8).contains(&inner.digits()) {
            return Err(TotpError::Digits { digits: inner.digits() });
        }
        if !STEPS.contains(&inner.step()) {
            return Err(TotpError::Period { seconds: inner.step() });
        }
        Ok(Self { inner })
    }

    fn from_link(link: &str) -> Result<totp_rs::Totp, TotpError> {
        if link.get(8..).is_some_and(|rest| rest.to_ascii_lowercase().starts_with("//hotp/")) {
            return Err(TotpError::Counter);
        }
        // Its check of the seed's length refuses what sites really hand out.
        totp_rs::Totp::from_url_unchecked(link).map_err(|_| TotpError::Form)
    }

    fn from_base32(text: &str) -> Result<totp_rs::Totp, TotpError> {
        let kept = text.chars().filter(|c| !c.is_whitespace() && *c != '-' && *c != '=');
        let text = Zeroizing::new(kept.collect::<String>().to_ascii_uppercase());
        let seed = totp_rs::Secret::try_from_base32(text.as_str()).map_err(|_| TotpError::Form)?;
        Ok(Builder::new().with_secret(seed).build_noncompliant())
    }

    /// How long a code counts, in seconds.
    pub fn period(&self) -> u64 {
        self.inner.step()
    }

    /// Tells this seed from others, and tells nothing else of it: seeds are chance, at least 80 bits of it.
    pub fn fingerprint(&self) -> String {
        let mut bytes = Zeroizing::new(b"hop: one-time codes of ".to_vec());
        bytes.extend_from_slice(self.inner.secret().as_ref());
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &bytes);
        digest.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    /// The code at a time since 1970.
    pub fn code(&self, now: Duration) -> Code {
        let (now, length) = (now.as_secs(), self.inner.step());
        let left = Duration::from_secs(length - now % length);
        Code { digits: Secret::new(self.inner.generate(now).to_string()), step: now / length, left }
    }

    /// How many steps of time away from `now` a code belongs that somebody typed, alone or at the end of a line; the nearest
    /// one. `None` when it is none of this seed's within `farthest` steps.
    pub fn steps_away(&self, typed: &str, now: Duration, farthest: u32) -> Option<i64> {
        let typed: Zeroizing<String> = Zeroizing::new(typed.chars().filter(|c| !c.is_whitespace()).collect());
        let nearest_first = (0..=i64::from(farthest)).flat_map(|steps| [steps, -steps]);
        nearest_first.into_iter().find(|steps| {
            let away = Duration::from_secs(self.inner.step().saturating_mul(steps.unsigned_abs()));
            let at = if *steps < 0 { now.checked_sub(away) } else { now.checked_add(away) };
            at.is_some_and(|at| typed.ends_with(self.code(at).digits.expose()))
        })
    }

    /// The code at a time if its step is later than the one used last; else how long to wait for the next.
    pub fn unused_code(&self, now: Duration, used: Option<u64>) -> Result<Code, Duration> {
        let code = self.code(now);
        match used {
            Some(used) if used >= code.step => {
                let steps_to_wait = used - code.step;
                Err(code.left + Duration::from_secs(steps_to_wait.saturating_mul(self.inner.step())))
            }
            _ => Ok(code),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 6238, appendix B; the seeds in base32.
    #[test]
    fn codes_of_the_standard() {
        let sha1 = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
        let sha256 = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZA";
        let cases = [
            (sha1, "SHA1", 59, "94287082"),
            (sha1, "SHA1", 1_111_111_109, "07081804"),
            (sha1, "SHA1", 20_000_000_000, "65353130"),
            (sha256, "SHA256", 59, "46119246"),
            (sha256, "SHA256", 2_000_000_000, "90698825"),
        ];
        for (seed, algorithm, time, digits) in cases {
            let link =
                format!("otpauth://totp/Saga:ada?secret={seed}&algorithm={algorithm}&digits=8&issuer=Saga");
            let totp = Totp::parse(&link).unwrap();
            assert_eq!(totp.code(Duration::from_secs(time)).digits.expose(), digits, "{link}");
        }
    }

    #[test]
    fn seeds_as_people_paste_them() {
        let plain = Totp::parse("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap();
        let digits = |totp: &Totp| totp.code(Duration::from_secs(59)).digits.expose().to_owned();
        assert_eq!(digits(&plain), "287082");
        for text in ["  gezd gnbv gy3t qojq gezd gnbv gy3t qojq\n", "GEZDGNBVGY3TQOJQ-GEZDGNBVGY3TQOJQ===="] {
            assert_eq!(digits(&Totp::parse(text).unwrap()), "287082", "{text}");
        }
        // 80 bits, as google-authenticator's PAM module makes them.
        assert!(Totp::parse("GEZDGNBVGY3TQOJQ").is_ok());
    }

    #[test]
    fn what_is_no_seed_is_said() {
        let seed = "GEZDGNBVGY3TQOJQ";
        let cases = [
            ("", TotpError::Short { bytes: 0 }),
            ("GEZDGNBV", TotpError::Short { bytes: 5 }),
            ("not base 32!", TotpError::Form),
            ("otpauth://totp/x", TotpError::Form),
            (&format!("otpauth://hotp/x?secret={seed}&counter=1"), TotpError::Counter),
            (&format!("otpauth://totp/x?secret={seed}&digits=77"), TotpError::Digits { digits: 77 }),
            (&format!("otpauth://totp/x?secret={seed}&period=0"), TotpError::Period { seconds: 0 }),
            (&format!("https://example.org/?secret={seed}"), TotpError::Form),
        ];
        for (text, error) in cases {
            assert_eq!(Totp::parse(text).unwrap_err(), error, "{text}");
        }
    }

    #[test]
    fn a_code_is_used_once() {
        let totp = Totp::parse("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap();
        let now = Duration::from_secs(65);
        let first = totp.unused_code(now, None).unwrap();
        assert_eq!((first.step, first.left), (2, Duration::from_secs(25)));
        assert_eq!(totp.unused_code(now, Some(first.step)).unwrap_err(), Duration::from_secs(25));
        assert_eq!(totp.unused_code(now + Duration::from_secs(25), Some(first.step)).unwrap().step, 3);
        // A clock that was set back.
        assert_eq!(totp.unused_code(now, Some(4)).unwrap_err(), Duration::from_secs(85));
        assert_eq!(format!("{totp:?} {first:?}"), "Totp(…) Code { digits: Secret(…), step: 2, left: 25s }");
    }

    #[test]
    fn a_code_tells_the_clock_that_it_was_made_by() {
        let totp = Totp::parse("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap();
        let now = Duration::from_secs(1_111_111_109);
        let made = |seconds: u64| totp.code(Duration::from_secs(seconds)).digits.expose().to_owned();
        for (typed, steps) in [
            (made(1_111_111_109), Some(0)),
            (made(1_111_111_109 - 30), Some(-1)),
            (made(1_111_111_109 + 300), Some(10)),
            (made(1_111_111_109 - 301), Some(-10)),
            (made(1_111_111_109 + 3000), None),
            (format!("pass word{}", made(1_111_111_109 + 60)), Some(2)),
            ("08 18 05".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(totp.steps_away(&typed, now, 40), steps, "{typed}");
        }
        let spaced = made(1_111_111_109).chars().flat_map(|c| [c, ' ']).collect::<String>();
        assert_eq!(totp.steps_away(&spaced, now, 40), Some(0));
        assert_eq!(totp.steps_away("1", Duration::ZERO, 40), None);
    }

    proptest! {
        #[test]
        fn no_text_and_no_time_makes_it_panic(text in "(otpauth://totp/)?[ -~]{0,80}", now in any::<u64>()) {
            if let Ok(totp) = Totp::parse(&text) {
                totp.code(Duration::from_secs(now));
                let _ = totp.steps_away(&text, Duration::from_secs(now), 3);
            }
        }

        #[test]
        fn no_link_makes_it_panic(
            digits in any::<u16>(), period in any::<u64>(), now in any::<u64>(), used in any::<u64>(),
        ) {
            let link = format!("otpauth://totp/a?secret=GEZDGNBVGY3TQOJQ&digits={digits}&period={period}");
            if let Ok(totp) = Totp::parse(&link) {
                let _ = totp.unused_code(Duration::from_secs(now), Some(used));
            }
        }
    }
}
