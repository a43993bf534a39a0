//! What is seen in which order, what that makes of it, and what it costs.

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

fn with_tracks(tracks: impl Iterator<Item = usize>) -> Sight {
    Sight {
        holds: true,
        count: 1,
        tracks: tracks.map(|n| format!("{n:0>100}")).collect(),
    }
}

#[test]
fn a_flood_of_events_is_cut_off_and_ends_with_its_minute() {
    let rule = tracks_rule(0.0);
    let mut watch = Watch::default();
    let mut run = |n: i64, clock: i64| {
        let from = usize::try_from(n).unwrap() * 1_000;
        watch.take(
            at(n),
            &format!("d{n}"),
            with_tracks(from..from + 100),
            at(clock),
        );
        let found = watch.look(&rule, at(clock)).len();
        let text = serde_json::to_string(&watch).unwrap();
        assert_eq!(serde_json::from_str::<Watch>(&text).unwrap(), watch);
        (found, watch.in_minute(at(clock)))
    };
    assert_eq!(run(0, 0), (100, 100));
    assert_eq!(run(1, 1), (20, 200));
    assert_eq!(run(2, 599), (0, 300));
    assert_eq!(run(3, 600), (100, 100));
}

#[test]
fn what_waits_is_bounded_in_bytes() {
    let rule = Definition::read(&json!({"event": "e", "objects": {"per_track": true},
        "for_seconds": 1_000, "tolerance_s": 60}));
    let rule = rule.unwrap();
    let mut watch = Watch::default();
    watch.take(at(0), "d", with_tracks(0..10_000), at(0));
    assert_eq!(watch.bytes, 1 + 100 * MOST_STREAKS);
    watch.take(at(0), "d", with_tracks(0..1), at(0));
    assert_eq!(watch.bytes, 101, "in place of it");
    let take = |watch: &mut Watch, n: i64| {
        let at = WallTime::from_micros(1_000_000_000 + n);
        watch.take(at, &format!("d{n}"), with_tracks(0..256), at)
    };
    let taken: Vec<Taken> = (1..200).map(|n| take(&mut watch, n)).collect();
    assert!(taken.contains(&Taken::Waits) && taken.contains(&Taken::Crowded));
    assert!(watch.bytes < 2 * MOST_TAKEN_BYTES);
    watch.look(&rule, at(0));
    assert!(!watch.waiting.is_empty() && watch.bytes <= MOST_WAITING_BYTES);
    let sum: usize = watch.waiting.iter().map(Waiting::bytes).sum();
    assert_eq!(watch.bytes, sum);
}

#[test]
fn documents_of_one_instant_do_not_fill_memory() {
    let rule = rule(json!({"tolerance_s": 0}));
    let mut watch = Watch::default();
    for n in 0..1_000 {
        watch.take(at(0), &format!("d{n}"), sight(true), at(0));
        watch.look(&rule, at(0));
    }
    assert_eq!(watch.at_mark.len(), MOST_AT_MARK);
    assert_eq!(watch.take(at(1), "later", sight(true), at(1)), Taken::Waits);
}
