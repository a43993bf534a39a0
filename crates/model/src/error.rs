//! The closed list of error kinds. HTTP status, retry decision, log level and metric label are
//! functions of the kind, each written once.

use std::fmt;

/// What sort of failure it is, whatever layer it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The thing asked for does not exist, or the caller may not know that it does.
    NotFound,
    /// It exists already.
    AlreadyExists,
    /// The caller's input is wrong; the same call fails again.
    InvalidArgument,
    /// No credential, or one that is not valid.
    Unauthenticated,
    /// A valid credential without the right.
    PermissionDenied,
    /// The system is not in the state that the call needs.
    FailedPrecondition,
    /// A limit or quota is reached; later may work.
    ResourceExhausted,
    /// A part is not reachable now; later may work.
    Unavailable,
    /// It took longer than allowed.
    Timeout,
    /// The caller went away or the server is stopping.
    Cancelled,
    /// Stored data is missing or damaged.
    DataLoss,
    /// A fault of ours.
    Internal,
}

impl ErrorKind {
    /// HTTP status code, the same on both faces.
    #[must_use]
    pub const fn http_status(self) -> u16 {
        match self {
            Self::NotFound => 404,
            Self::AlreadyExists => 409,
            Self::InvalidArgument => 400,
            Self::Unauthenticated => 401,
            Self::PermissionDenied => 403,
            Self::FailedPrecondition => 409,
            Self::ResourceExhausted => 429,
            Self::Unavailable | Self::Cancelled => 503,
            Self::Timeout => 504,
            Self::DataLoss | Self::Internal => 500,
        }
    }

    /// Stable name: metric label and native error code.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::AlreadyExists => "already_exists",
            Self::InvalidArgument => "invalid_argument",
            Self::Unauthenticated => "unauthenticated",
            Self::PermissionDenied => "permission_denied",
            Self::FailedPrecondition => "failed_precondition",
            Self::ResourceExhausted => "resource_exhausted",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::DataLoss => "data_loss",
            Self::Internal => "internal",
        }
    }

    /// Whether the same call may succeed later without a change by the caller.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::ResourceExhausted | Self::Unavailable | Self::Timeout
        )
    }

    /// Whether the failure is ours and belongs into the log as an error.
    #[must_use]
    pub const fn is_fault(self) -> bool {
        matches!(self, Self::DataLoss | Self::Internal)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// Every error of a Framewell crate knows its kind.
pub trait HasKind: std::error::Error {
    /// The kind of this error.
    fn kind(&self) -> ErrorKind;
}
