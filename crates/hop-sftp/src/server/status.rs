//! System errors as STATUS codes.

use rustix::io::Errno;

use crate::codec::StatusCode;

/// The code for a system error, the same as OpenSSH's server sends: version 3 has few codes and clients
/// have learnt what these mean.
pub(crate) fn status_of(error: Errno) -> StatusCode {
    match error {
        Errno::NOENT | Errno::NOTDIR | Errno::BADF | Errno::LOOP => StatusCode::NoSuchFile,
        Errno::PERM | Errno::ACCESS | Errno::FAULT => StatusCode::PermissionDenied,
        Errno::NAMETOOLONG | Errno::INVAL => StatusCode::BadMessage,
        Errno::NOSYS => StatusCode::OpUnsupported,
        _ => StatusCode::Failure,
    }
}

/// Why a request was not carried out: what the client is told, and for the log what the system said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: StatusCode,
    pub(crate) message: &'static str,
    pub(crate) cause: Option<Errno>,
}

impl Refusal {
    /// OpenSSH's own words for `~nobody-here`.
    pub(crate) const NO_SUCH_USER: Self =
        Self { code: StatusCode::NoSuchFile, message: "no such user", cause: None };
}

impl From<Errno> for Refusal {
    fn from(error: Errno) -> Self {
        Self { cause: Some(error), ..status_of(error).into() }
    }
}

impl From<StatusCode> for Refusal {
    fn from(code: StatusCode) -> Self {
        Self { code, message: code.message(), cause: None }
    }
}
