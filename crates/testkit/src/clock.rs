//! Clocks for tests.

use framewell_model::{WallClock, WallTime};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The machine's clock.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the camera stands outside the system under test and has a clock of its own"
)]
pub fn wall_now() -> WallTime {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    WallTime::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// A clock that stands still until it is told to move.
#[derive(Debug)]
pub struct MovableClock {
    micros: AtomicI64,
}

impl MovableClock {
    /// Stands at `now`.
    #[must_use]
    pub const fn new(now: WallTime) -> Self {
        Self {
            micros: AtomicI64::new(now.micros()),
        }
    }

    /// Moves forward.
    pub fn advance(&self, by: Duration) {
        self.set(self.now() + by);
    }

    /// Moves to any time, also back.
    pub fn set(&self, now: WallTime) {
        self.micros.store(now.micros(), Ordering::SeqCst);
    }
}

impl WallClock for MovableClock {
    fn now(&self) -> WallTime {
        WallTime::from_micros(self.micros.load(Ordering::SeqCst))
    }
}
