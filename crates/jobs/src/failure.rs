//! How a handler fails.

use framewell_model::{ErrorKind, HasKind};
use std::error::Error;

/// A handler that could not go on.
#[derive(Debug)]
pub struct Failure {
    /// For the owner of the job: no secrets, no addresses.
    pub(crate) text: String,
    pub(crate) what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// May go better another time.
    Transient,
    /// Never will.
    Final,
    /// The job belongs to somebody else, or is gone.
    Lost,
}

impl Failure {
    /// Something that may go better another time; `text` is for the owner of the job.
    #[must_use]
    pub fn transient(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            what: What::Transient,
        }
    }

    /// Something that will never go better; `text` is for the owner of the job.
    #[must_use]
    pub fn last(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            what: What::Final,
        }
    }

    /// Why the job ends in error; `None` if it will be tried again.
    #[must_use]
    pub fn final_text(&self) -> Option<&str> {
        (self.what == What::Final).then_some(self.text.as_str())
    }

    /// By the kind of an error: what is not there now, busy or too slow may go better another time.
    /// The error's own text (not those of its sources) is shown to the owner of the job.
    pub fn of<E: Error + HasKind + 'static>(error: &E) -> Self {
        tracing::debug!(error = error as &dyn Error, "a job failed");
        let is_transient = matches!(
            error.kind(),
            ErrorKind::Unavailable
                | ErrorKind::ResourceExhausted
                | ErrorKind::Timeout
                | ErrorKind::Cancelled
        );
        let text = error.to_string();
        if is_transient {
            Self::transient(text)
        } else {
            Self::last(text)
        }
    }

    /// From a write that names the holder: no row means that the job is not ours any more.
    pub(crate) fn of_write(error: &framewell_catalog::Error) -> Self {
        match error.kind() {
            ErrorKind::NotFound => Self {
                text: "the lease was lost".to_owned(),
                what: What::Lost,
            },
            _ => Self::of(error),
        }
    }
}

impl<E: Error + HasKind + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::of(&error)
    }
}
