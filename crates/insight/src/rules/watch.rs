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
}

impl Watch {
    /// Takes a document. Call [`Watch::look`] behind the last one.
    pub(super) fn take(&mut self, at: WallTime, id: &str, sight: Sight, now: WallTime) -> Taken {
        if at.micros_since(now) > MOST_AHEAD_US {
            return Taken::Ahead;
        }
        let at = at.micros();
        let is_late = self.mark.is_some_and(|mark| at < mark);
        let is_again = self.mark == Some(at) && self.at_mark.contains(id);
        if is_late || is_again {
            return Taken::Late;
        }
        self.waiting.retain(|waiting| waiting.id != id);
        self.waiting.insert(Waiting {
            at,
            id: id.to_owned(),
            holds: sight.holds,
            count: sight.count,
            tracks: sight.tracks,
        });
        self.newest = if self.mark.is_none() && self.waiting.len() == 1 {
            at
        } else {
            self.newest.max(at)
        };
        self.arrived = now.micros();
        Taken::Waits
    }

    /// Looks at what has waited for long enough.
    pub(super) fn look(&mut self, rule: &Definition, now: WallTime) -> Vec<Found> {
        let tolerance = micros(rule.tolerance_s);
        let is_quiet = now.micros().saturating_sub(self.arrived) >= tolerance;
        let ripe = if is_quiet {
            self.newest
        } else {
            self.newest.saturating_sub(tolerance)
        };
        let mut found = Vec::new();
        while let Some(oldest) = self.waiting.first() {
            let is_crowded = self.waiting.len() > MOST_WAITING;
            if oldest.at > ripe && !is_crowded {
                break;
            }
            if let Some(waiting) = self.waiting.pop_first() {
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
            found.push(Found {
                at: WallTime::from_micros(seen.at),
                since: WallTime::from_micros(since),
                document: seen.id.clone(),
                count: seen.count,
                track: (!key.is_empty()).then(|| key.to_owned()),
            });
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
mod tests {
    use super::*;
    use serde_json::json;

    fn rule(more: serde_json::Value) -> Definition {
        let mut rule = json!({"event": "e", "filter": {"field": "long.n", "gte": 1}});
        for (name, value) in more.as_object().unwrap() {
            rule[name] = value.clone();
        }
        Definition::read(&rule).unwrap()
    }

    fn tracks_rule(for_seconds: f64) -> Definition {
        let rule = json!({"event": "e", "objects": {"per_track": true},
            "for_seconds": for_seconds, "tolerance_s": 0});
        Definition::read(&rule).unwrap()
    }

    fn at(tenths: i64) -> WallTime {
        WallTime::from_micros(1_000_000_000 + tenths * 100_000)
    }

    fn sight(holds: bool) -> Sight {
        Sight {
            holds,
            count: u32::from(holds),
            tracks: BTreeSet::new(),
        }
    }

    /// Documents as (time in tenths, whether it is there), in the order of arrival, each at its own time
    /// or later; then quiet. When each event is, and since when.
    fn run(rule: &Definition, documents: &[(i64, bool)]) -> Vec<(i64, i64)> {
        let mut watch = Watch::default();
        let mut clock = i64::MIN;
        let mut found = Vec::new();
        for (tenths, holds) in documents {
            clock = clock.max(*tenths);
            let id = format!("d{tenths}");
            watch.take(at(*tenths), &id, sight(*holds), at(clock));
            found.extend(watch.look(rule, at(clock)));
            let text = serde_json::to_string(&watch).unwrap();
            assert_eq!(serde_json::from_str::<Watch>(&text).unwrap(), watch);
        }
        found.extend(watch.look(rule, at(clock + 1_000)));
        let tenths = |at: WallTime| (at.micros() - 1_000_000_000) / 100_000;
        found
            .iter()
            .map(|found| (tenths(found.at), tenths(found.since)))
            .collect()
    }

    fn steady(from: i64, to: i64) -> Vec<(i64, bool)> {
        (from..to).map(|tenths| (tenths, true)).collect()
    }

    #[test]
    fn it_is_told_once_when_it_has_lasted() {
        let rule = rule(json!({"for_seconds": 2}));
        assert_eq!(run(&rule, &steady(0, 60)), [(20, 0)]);
        assert_eq!(run(&rule, &steady(0, 20)), []);
        let mut broken = steady(0, 15);
        broken.push((15, false));
        broken.extend(steady(16, 40));
        assert_eq!(run(&rule, &broken), [(36, 16)]);
    }

    #[test]
    fn a_pause_of_the_documents_is_no_proof() {
        let rule = rule(json!({"for_seconds": 2, "max_gap_s": 1}));
        assert_eq!(run(&rule, &[(0, true), (10, true), (20, true)]), [(20, 0)]);
        assert_eq!(run(&rule, &[(0, true), (10, true), (21, true)]), []);
    }

    #[test]
    fn documents_out_of_order_count_in_the_order_of_their_times() {
        let rule = rule(json!({"for_seconds": 2, "tolerance_s": 1}));
        let mut late = steady(0, 60);
        late.sort_by_key(|(tenths, _)| (tenths / 7, -tenths));
        assert_eq!(run(&rule, &late), [(20, 0)]);
        // One that says no, a second late, breaks it; later than the tolerance, it does not.
        let order = |late: i64| {
            let mut all = steady(0, 60);
            all[10].1 = false;
            let place = all.remove(10);
            all.insert(usize::try_from(10 + late).unwrap(), place);
            all
        };
        assert_eq!(run(&rule, &order(9)), [(31, 11)]);
        assert_eq!(run(&rule, &order(13)), [(20, 0)]);
    }

    #[test]
    fn the_order_within_the_tolerance_changes_nothing() {
        let rule = rule(json!({"for_seconds": 1, "tolerance_s": 2, "cooldown_s": 1.5}));
        let pattern: Vec<(i64, bool)> = (0..200)
            .map(|n| (n, (n / 13) % 3 != 1 && n % 37 != 0))
            .collect();
        let expected = run(&rule, &pattern);
        assert!(expected.len() > 3, "{expected:?}");
        for seed in 1..20_i64 {
            let mut shuffled = pattern.clone();
            shuffled.sort_by_key(|(n, _)| n * 10 + (n * seed * 7_919) % 190);
            assert_eq!(run(&rule, &shuffled), expected, "seed {seed}");
        }
    }

    #[test]
    fn a_document_that_comes_again_counts_once() {
        let rule = rule(json!({"tolerance_s": 0}));
        let mut watch = Watch::default();
        for round in 0..3 {
            watch.take(at(5), "a", sight(true), at(5));
            let found = watch.look(&rule, at(5));
            // Even if it could be told again.
            watch.streaks.clear();
            assert_eq!(found.len(), usize::from(round == 0));
        }
        assert_eq!(watch.take(at(5), "a", sight(true), at(6)), Taken::Late);
        assert_eq!(watch.take(at(5), "b", sight(true), at(6)), Taken::Waits);
        assert_eq!(watch.take(at(4), "c", sight(true), at(6)), Taken::Late);
        // Changed before it was looked at: the new form counts.
        let patient = self::rule(json!({"tolerance_s": 5}));
        let mut watch = Watch::default();
        watch.take(at(5), "a", sight(true), at(5));
        assert!(watch.look(&patient, at(5)).is_empty());
        watch.take(at(5), "a", sight(false), at(6));
        assert!(watch.look(&patient, at(1_000)).is_empty());
    }

    #[test]
    fn no_second_event_within_the_cooldown() {
        let rule = rule(json!({"cooldown_s": 3, "tolerance_s": 0}));
        let flicker: Vec<(i64, bool)> = (0..80).map(|n| (n, n % 2 == 0)).collect();
        assert_eq!(run(&rule, &flicker), [(0, 0), (30, 30), (60, 60)]);
        // One that lasts beyond it is told when it is over.
        let mut long = vec![(0, true), (1, false)];
        long.extend(steady(2, 80));
        assert_eq!(run(&rule, &long), [(0, 0), (30, 2)]);
    }

    #[test]
    fn each_object_track_is_timed_by_itself() {
        let rule = tracks_rule(1.0);
        let mut watch = Watch::default();
        let mut found = Vec::new();
        for n in 0..30 {
            let tracks = [("a", 0..8), ("b", 5..30), ("c", 12..23)];
            let seen = tracks.iter().filter(|(_, when)| when.contains(&n));
            let tracks: BTreeSet<String> = seen.map(|(name, _)| (*name).to_owned()).collect();
            let sight = Sight {
                holds: !tracks.is_empty(),
                count: 0,
                tracks,
            };
            watch.take(at(n), &format!("d{n}"), sight, at(n));
            found.extend(watch.look(&rule, at(n)));
        }
        let told: Vec<_> = found
            .iter()
            .map(|found| (found.track.as_deref().unwrap(), found.document.as_str()))
            .collect();
        assert_eq!(told, [("b", "d15"), ("c", "d22")]);
    }

    #[test]
    fn memory_is_bounded_and_the_future_is_left_out() {
        let rule = rule(json!({"tolerance_s": 60}));
        let mut watch = Watch::default();
        let ahead = watch.take(at(100_000), "x", sight(true), at(0));
        assert_eq!(ahead, Taken::Ahead);
        for n in 0..5_000 {
            let at = WallTime::from_micros(1_000_000_000 + n);
            watch.take(at, &format!("d{n}"), sight(true), at);
            watch.look(&rule, at);
            assert!(watch.waiting.len() <= MOST_WAITING);
        }
        let tracks_rule = tracks_rule(1.0);
        let mut watch = Watch::default();
        for n in 0..1_000 {
            let sight = Sight {
                holds: true,
                count: 1,
                tracks: BTreeSet::from([format!("t{n}")]),
            };
            watch.take(at(n), "d", sight, at(n));
            watch.look(&tracks_rule, at(n));
            assert!(watch.streaks.len() <= MOST_STREAKS);
        }
    }
}
