//! Every picture that a camera took is accounted for: stored, or inside a gap with a reason.
//!
//! The comparison at the end of every test that breaks something, and of the soak. It knows pictures by
//! their capture times (stamps), which no two pictures of a camera share.

use framewell_model::WallTime;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// A hole, as the server tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hole {
    /// First moment.
    pub start: WallTime,
    /// First moment after it; `None` while it lasts.
    pub end: Option<WallTime>,
    /// Why.
    pub reason: String,
}

/// What became of the pictures of a camera.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// How many it took.
    pub sent: usize,
    /// How many of them are stored.
    pub kept: usize,
    /// How many lie in holes, by reason.
    pub in_gaps: BTreeMap<String, usize>,
    /// Those for which neither is true, ascending.
    pub unaccounted: Vec<WallTime>,
    /// Stored more than once.
    pub doubled: Vec<WallTime>,
    /// Stored, and never taken.
    pub invented: Vec<WallTime>,
}

impl Account {
    /// Compares. Times of one picture may differ by `rounding`; a picture that lies outside a hole by not
    /// more than `edge` counts as in it.
    #[must_use]
    pub fn of(
        sent: &[WallTime],
        stored: &[WallTime],
        holes: &[Hole],
        rounding: Duration,
        edge: Duration,
    ) -> Self {
        let slack_us = i64::try_from(rounding.as_micros()).unwrap_or(i64::MAX);
        let edge_us = i64::try_from(edge.as_micros()).unwrap_or(i64::MAX);
        let (mut sent, mut stored) = (sent.to_vec(), stored.to_vec());
        sent.sort_unstable();
        stored.sort_unstable();
        let mut account = Self {
            sent: sent.len(),
            ..Self::default()
        };
        let mut next = 0;
        for taken in sent {
            while let Some(found) = stored.get(next)
                && taken.micros_since(*found) > slack_us
            {
                account.invented.push(*found);
                next += 1;
            }
            let mut copies = 0;
            while let Some(found) = stored.get(next)
                && found.micros_since(taken).abs() <= slack_us
            {
                copies += 1;
                next += 1;
                if copies == 2 {
                    account.doubled.push(taken);
                }
            }
            if copies > 0 {
                account.kept += 1;
                continue;
            }
            match holes.iter().find(|hole| hole.holds(taken, edge_us)) {
                Some(hole) => *account.in_gaps.entry(hole.reason.clone()).or_default() += 1,
                None => account.unaccounted.push(taken),
            }
        }
        account.invented.extend(stored.into_iter().skip(next));
        account
    }

    /// Whether nothing is missing without a reason, and nothing is there twice or from nowhere.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.unaccounted.is_empty() && self.doubled.is_empty() && self.invented.is_empty()
    }

    /// Panics with the whole account unless it is settled.
    #[track_caller]
    pub fn assert_settled(&self) {
        assert!(self.is_settled(), "{self}");
    }

    /// How many pictures lie in holes of this reason.
    #[must_use]
    pub fn missing(&self, reason: &str) -> usize {
        self.in_gaps.get(reason).copied().unwrap_or(0)
    }
}

impl Hole {
    /// Whether a moment lies in it, or outside by not more than `edge`.
    #[must_use]
    pub fn holds_within(&self, at: WallTime, edge: Duration) -> bool {
        self.holds(at, i64::try_from(edge.as_micros()).unwrap_or(i64::MAX))
    }

    fn holds(&self, at: WallTime, slack_us: i64) -> bool {
        at.micros_since(self.start) >= -slack_us
            && self.end.is_none_or(|end| end.micros_since(at) > -slack_us)
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} taken, {} stored", self.sent, self.kept)?;
        for (reason, count) in &self.in_gaps {
            write!(f, ", {count} missing by {reason}")?;
        }
        for (what, times) in [
            ("not accounted for", &self.unaccounted),
            ("stored twice", &self.doubled),
            ("stored and never taken", &self.invented),
        ] {
            if let (Some(first), Some(last)) = (times.first(), times.last()) {
                write!(f, ", {} {what} ({first} to {last})", times.len())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUNDING: Duration = Duration::from_millis(1);

    fn at(ms: i64) -> WallTime {
        WallTime::from_micros(ms * 1_000)
    }

    fn hole(start: i64, end: Option<i64>, reason: &str) -> Hole {
        Hole {
            start: at(start),
            end: end.map(at),
            reason: reason.to_owned(),
        }
    }

    #[test]
    fn what_is_neither_stored_nor_in_a_hole_is_found() {
        let sent: Vec<_> = (0..10).map(|n| at(n * 100)).collect();
        let stored = [at(0), at(100), at(100), at(401), at(950)];
        let holes = [
            hole(200, Some(300), "camera_offline"),
            hole(600, None, "server_down"),
        ];
        let account = Account::of(&sent, &stored, &holes, ROUNDING, ROUNDING);
        assert_eq!((account.sent, account.kept), (10, 3));
        // What lies at the end of a hole is counted as in it, within the slack.
        assert_eq!(account.missing("camera_offline"), 2);
        assert_eq!(account.missing("server_down"), 4);
        assert_eq!(account.unaccounted, [at(500)]);
        assert_eq!(account.doubled, [at(100)]);
        assert_eq!(account.invented, [at(950)]);
        assert!(!account.is_settled());
        let text = account.to_string();
        assert!(text.contains("4 missing by server_down"), "{text}");
        assert!(text.contains("1 not accounted for"), "{text}");
    }

    #[test]
    fn all_stored_is_settled() {
        let sent: Vec<_> = (0..10).map(|n| at(n * 100)).collect();
        let account = Account::of(&sent, &sent, &[], ROUNDING, ROUNDING);
        assert!(account.is_settled());
        assert_eq!(account.kept, 10);
    }
}
