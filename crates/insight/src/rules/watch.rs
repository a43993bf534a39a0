//! What a rule has seen of a channel, and when that makes an event. Sans-IO: the time is that of the
//! documents; the clock only says when no more of them are waited for.
//!
//! Documents wait until they are older than the newest one by the tolerance, and are then looked at in the
//! order of their times: late ones and ones out of order count as if they had come in time, and one that
//! was changed or sent again meanwhile counts once. What comes later than that is left out.

use super::definition::{Definition, Sight, micros};
use framewell_model::WallTime;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Documents that wait for older ones; with more, the oldest do not wait.
const MOST_WAITING: usize = 1_000;
/// What waits for longer than one look, in bytes of ids and tracks; with more, the oldest does not wait.
const MOST_WAITING_BYTES: usize = 256 << 10;
/// What waits for a look; documents beyond that are left out.
const MOST_TAKEN_BYTES: usize = 1 << 20;
/// Ids that are remembered at one instant; of more, none is taken there.
const MOST_AT_MARK: usize = 256;
/// Most events of one rule on one channel in a minute; as many as a camera may raise.
pub(super) const MAX_A_MINUTE: u32 = 120;
const MINUTE_US: i64 = 60_000_000;
/// Object tracks that are timed at once; of more, the one not seen for longest is forgotten.
const MOST_STREAKS: usize = 256;
/// Documents that lie so far ahead are left out: one of next year would make all others late.
const MOST_AHEAD_US: i64 = 60_000_000;

/// A document that waits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Waiting {
    at: i64,
    id: String,
    holds: bool,
    count: u32,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    tracks: BTreeSet<String>,
}

impl Waiting {
    fn bytes(&self) -> usize {
        let tracks: usize = self.tracks.iter().map(String::len).sum();
        self.id.len().saturating_add(tracks)
    }
}

/// Something that lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Streak {
    since: i64,
    last: i64,
    is_told: bool,
}

/// Something has lasted for long enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Time of the document that shows it.
    pub(super) at: WallTime,
    /// Since when it lasts.
    pub(super) since: WallTime,
    /// The document that shows it.
    pub(super) document: String,
    /// How many objects it shows.
    pub(super) count: u32,
    /// The object track, of a rule that times each by itself.
    pub(super) track: Option<String>,
}

/// What became of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    Waits,
    /// It is older than what was looked at already.
    Late,
    /// It lies in the future.
    Ahead,
    /// Too much waits already.
    Crowded,
}

/// The memory of one rule on one channel; bounded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Watch {
    /// By time.
    waiting: BTreeSet<Waiting>,
    /// Everything up to here was looked at.
    mark: Option<i64>,
    /// Time of the newest document.
    newest: i64,
    /// When it came.
    arrived: i64,
    /// Ids of the documents at `mark`, which may come again.
    at_mark: BTreeSet<String>,
    /// By object track; one without a name for rules that do not time each by itself.
    streaks: BTreeMap<String, Streak>,
    /// When each cause was last told.
    told: BTreeMap<String, i64>,
    /// Of `waiting`.
    #[serde(default)]
    bytes: usize,
    /// When the minute began in which events are counted, by the clock.
    #[serde(default)]
    minute: i64,
    #[serde(default)]
    in_minute: u32,
}

impl Watch {
    /// Takes a document. Call [`Watch::look`] behind the last one.
    pub(super) fn take(&mut self, at: WallTime, id: &str, sight: Sight, now: WallTime) -> Taken {
        if at.micros_since(now) > MOST_AHEAD_US {
            return Taken::Ahead;
        }
        let at = at.micros();
        let is_full = self.at_mark.len() >= MOST_AT_MARK;
        let is_late = (self.mark).is_some_and(|mark| at < mark || at == mark && is_full);
        let is_again = self.mark == Some(at) && self.at_mark.contains(id);
        if is_late || is_again {
            return Taken::Late;
        }
        if self.bytes > MOST_TAKEN_BYTES {
            return Taken::Crowded;
        }
        self.waiting.retain(|waiting| {
            let stays = waiting.id != id;
            if !stays {
                self.bytes = self.bytes.saturating_sub(waiting.bytes());
            }
            stays
        });
        let waiting = Waiting {
            at,
            id: id.to_owned(),
            holds: sight.holds,
            count: sight.count,
            // More are not timed either.
            tracks: sight.tracks.into_iter().take(MOST_STREAKS).collect(),
        };
        self.bytes = self.bytes.saturating_add(waiting.bytes());
        self.waiting.insert(waiting);
        self.newest = if self.mark.is_none() && self.waiting.len() == 1 {
            at
        } else {
            self.newest.max(at)
        };
        self.arrived = now.micros();
        Taken::Waits
    }

    /// Looks at what has waited for long enough. Of what it finds, no more than [`MAX_A_MINUTE`] in a minute
    /// are told, see [`Watch::in_minute`].
    pub(super) fn look(&mut self, rule: &Definition, now: WallTime) -> Vec<Found> {
        let tolerance = micros(rule.tolerance_s);
        let is_quiet = now.micros().saturating_sub(self.arrived) >= tolerance;
        let ripe = if is_quiet {
            self.newest
        } else {
            self.newest.saturating_sub(tolerance)
        };
        let _before = self.in_minute(now);
        let mut found = Vec::new();
        while let Some(oldest) = self.waiting.first() {
            let is_crowded = self.waiting.len() > MOST_WAITING || self.bytes > MOST_WAITING_BYTES;
            if oldest.at > ripe && !is_crowded {
                break;
            }
            if let Some(waiting) = self.waiting.pop_first() {
                self.bytes = self.bytes.saturating_sub(waiting.bytes());
                self.pass(waiting.at);
                self.at_mark.insert(waiting.id.clone());
                self.see(rule, &waiting, &mut found);
            }
        }
        if !self.at_mark.is_empty() || !self.waiting.is_empty() {
            self.pass(ripe);
        }
        found
    }

    /// How many events there were in this minute, with those that were not told.
    pub(super) fn in_minute(&mut self, now: WallTime) -> u32 {
        if now.micros().saturating_sub(self.minute).saturating_abs() >= MINUTE_US {
            (self.minute, self.in_minute) = (now.micros(), 0);
        }
        self.in_minute
    }

    /// When to look again though nothing comes; `None` if nothing waits.
    pub(super) fn next_look(&self, rule: &Definition) -> Option<WallTime> {
        let due = self.arrived.saturating_add(micros(rule.tolerance_s));
        (!self.waiting.is_empty()).then(|| WallTime::from_micros(due))
    }

    fn pass(&mut self, at: i64) {
        if self.mark.is_none_or(|mark| mark < at) {
            self.mark = Some(at);
            self.at_mark.clear();
        }
    }

    fn see(&mut self, rule: &Definition, seen: &Waiting, found: &mut Vec<Found>) {
        let max_gap = micros(rule.max_gap_s);
        self.streaks
            .retain(|_, streak| seen.at.saturating_sub(streak.last) <= max_gap);
        let is_per_track = rule
            .objects
            .as_ref()
            .is_some_and(|objects| objects.per_track);
        if is_per_track {
            for track in &seen.tracks {
                self.lasts(rule, seen, track, found);
            }
        } else if seen.holds {
            self.lasts(rule, seen, "", found);
        } else {
            self.streaks.clear();
        }
    }

    /// It is there in this document.
    fn lasts(&mut self, rule: &Definition, seen: &Waiting, key: &str, found: &mut Vec<Found>) {
        let streak = self.streaks.entry(key.to_owned()).or_insert(Streak {
            since: seen.at,
            last: seen.at,
            is_told: false,
        });
        streak.last = seen.at;
        let since = streak.since;
        let is_long = seen.at.saturating_sub(since) >= micros(rule.for_seconds);
        let cooldown = micros(rule.cooldown_s);
        let is_cool = self
            .told
            .get(key)
            .is_none_or(|told| seen.at.saturating_sub(*told) >= cooldown);
        if is_long && is_cool && !streak.is_told {
            streak.is_told = true;
            self.in_minute = self.in_minute.saturating_add(1);
            if self.in_minute <= MAX_A_MINUTE {
                found.push(Found {
                    at: WallTime::from_micros(seen.at),
                    since: WallTime::from_micros(since),
                    document: seen.id.clone(),
                    count: seen.count,
                    track: (!key.is_empty()).then(|| key.to_owned()),
                });
            }
            self.told
                .retain(|_, told| seen.at.saturating_sub(*told) < cooldown);
            self.told.insert(key.to_owned(), seen.at);
        }
        bound(&mut self.streaks, |streak| streak.last);
        bound(&mut self.told, |told| *told);
    }
}

/// Forgets the oldest.
fn bound<T>(known: &mut BTreeMap<String, T>, age: impl Fn(&T) -> i64) {
    while known.len() > MOST_STREAKS {
        let oldest = known.iter().min_by_key(|(_, value)| age(value));
        let Some(key) = oldest.map(|(key, _)| key.clone()) else {
            return;
        };
        known.remove(&key);
    }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
