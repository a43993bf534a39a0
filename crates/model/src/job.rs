//! Durable jobs: work that outlives the request that asked for it.

use serde::{Deserialize, Serialize};

/// Life of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Waits for its turn, or for another attempt.
    Pending,
    /// Somebody works on it and holds its lease.
    Running,
    /// Finished.
    Done,
    /// Given up.
    Error,
    /// Stopped by its owner.
    Cancelled,
}

impl JobState {
    /// Every state, for parsing.
    pub const ALL: [Self; 5] = [
        Self::Pending,
        Self::Running,
        Self::Done,
        Self::Error,
        Self::Cancelled,
    ];

    /// The word stored in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Done => "done",
            Self::Error => "error",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether there is still something to be done.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::Running)
    }
}
