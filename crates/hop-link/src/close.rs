//! How a WebSocket ends: a code and a reason (RFC 6455 section 7.4).

use crate::frame::{FrameError, MOST_CONTROL};

/// The longest reason, in bytes of UTF-8: a control frame less the code.
const MOST_REASON: usize = MOST_CONTROL - 2;

/// What a close frame says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    /// The code.
    pub code: CloseCode,
    /// For people; often empty. Escape it before showing it.
    pub reason: String,
}

/// Why a WebSocket ends (section 7.4.1, and IANA's list of the rest).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseCode {
    /// 1000: all was said.
    Normal,
    /// 1001: the server stops, or the page was left.
    GoingAway,
    /// 1002: the other end broke the protocol.
    Protocol,
    /// 1003: data of a kind that is not taken.
    Unsupported,
    /// 1005, never sent: a close frame without a code.
    NoStatus,
    /// 1008: a rule of the server.
    Policy,
    /// 1009: a message that is too large.
    TooBig,
    /// 1011: a fault of the server.
    Internal,
    /// 1012: the server restarts.
    Restart,
    /// 1013: try again later.
    TryAgainLater,
    /// 1014: what stands behind the server does not answer.
    BadGateway,
    /// Any other.
    Other(u16),
}

impl CloseCode {
    /// The code for a number.
    pub fn from_number(number: u16) -> Self {
        match number {
            1000 => Self::Normal,
            1001 => Self::GoingAway,
            1002 => Self::Protocol,
            1003 => Self::Unsupported,
            1005 => Self::NoStatus,
            1008 => Self::Policy,
            1009 => Self::TooBig,
            1011 => Self::Internal,
            1012 => Self::Restart,
            1013 => Self::TryAgainLater,
            1014 => Self::BadGateway,
            other => Self::Other(other),
        }
    }

    /// The number of a code.
    pub fn number(self) -> u16 {
        match self {
            Self::Normal => 1000,
            Self::GoingAway => 1001,
            Self::Protocol => 1002,
            Self::Unsupported => 1003,
            Self::NoStatus => 1005,
            Self::Policy => 1008,
            Self::TooBig => 1009,
            Self::Internal => 1011,
            Self::Restart => 1012,
            Self::TryAgainLater => 1013,
            Self::BadGateway => 1014,
            Self::Other(number) => number,
        }
    }
}

impl Close {
    /// The ordinary end.
    pub fn normal() -> Self {
        Self { code: CloseCode::Normal, reason: String::new() }
    }

    /// An end with a reason, cut to what fits into a frame.
    pub fn new(code: CloseCode, reason: &str) -> Self {
        let end = reason.floor_char_boundary(MOST_REASON);
        Self { code, reason: reason.get(..end).unwrap_or_default().to_owned() }
    }

    /// Reads the payload of a close frame.
    pub(crate) fn parse(payload: &[u8]) -> Result<Self, FrameError> {
        match payload {
            [] => Ok(Self { code: CloseCode::NoStatus, reason: String::new() }),
            [_] => Err(FrameError::Close),
            [high, low, reason @ ..] => {
                let number = u16::from_be_bytes([*high, *low]);
                // 1005, 1006 and 1015 stand for things that no frame says; below 1000 nothing is defined.
                if !(1000..=4999).contains(&number) || [1005, 1006, 1015].contains(&number) {
                    return Err(FrameError::Close);
                }
                let reason = String::from_utf8(reason.to_vec()).map_err(|_| FrameError::Close)?;
                Ok(Self { code: CloseCode::from_number(number), reason })
            }
        }
    }

    /// The payload of its frame.
    pub(crate) fn payload(&self) -> Vec<u8> {
        if self.code == CloseCode::NoStatus {
            return Vec::new();
        }
        let mut payload = self.code.number().to_be_bytes().to_vec();
        let end = self.reason.floor_char_boundary(MOST_REASON);
        payload.extend_from_slice(self.reason.as_bytes().get(..end).unwrap_or_default());
        payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn frames_that_cannot_be_read() {
        for bad in [&[3][..], &[0, 0], &[3, 237], &[3, 238], &[0x13, 0x88], &[3, 232, 0xff]] {
            assert_eq!(Close::parse(bad), Err(FrameError::Close), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn round_trip_and_never_too_long(number in prop_oneof![Just(1000u16), 1007..1015u16, 3000..5000u16], reason: String) {
            let close = Close::new(CloseCode::from_number(number), &reason);
            prop_assert!(reason.starts_with(&close.reason) && close.payload().len() <= MOST_CONTROL);
            prop_assert_eq!(Close::parse(&close.payload()), Ok(close));
        }

        #[test]
        fn parsing_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..130)) {
            let _ = Close::parse(&bytes);
        }
    }
}
