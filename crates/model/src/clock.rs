//! The clock as a value that tests can move.

use crate::WallTime;
use std::fmt;

/// Where wall time comes from. The system clock lives in the server, a movable one in the test kit.
pub trait WallClock: fmt::Debug + Send + Sync + 'static {
    /// Now, in UTC.
    fn now(&self) -> WallTime;
}
