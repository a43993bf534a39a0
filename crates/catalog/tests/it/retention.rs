//! Holds, limits of bytes, and the account of what was deleted.

use crate::backend::{
    Backend, at, channel, channel_of, conformance, missing_channel, range, segment,
};
use framewell_catalog::{Catalog, Error, Excess, NewSegment};
use framewell_model::{
    ChannelId, DeletionReason, GapReason, Hold, NewHold, RecordId, RunClock, RunId, WallTime,
};
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::task::JoinSet;
use uuid::Uuid;

/// Segments of 10 s and 100 bytes, one behind the other from 0 on.
async fn recorded(catalog: &Catalog, channel: ChannelId, count: i64) -> Vec<RecordId> {
    let mut records = Vec::new();
    for n in 0..count {
        let new = NewSegment {
            size_bytes: 100,
            ..segment(channel, range(n * 10, n * 10 + 10))
        };
        let record = catalog.stage_segment(&new, at(0)).await.unwrap();
        catalog.publish_segment(record, at(1)).await.unwrap();
        records.push(record);
    }
    records
}

async fn hold(catalog: &Catalog, channel: ChannelId, start: i64, end: i64) -> Hold {
    let new = NewHold {
        channel,
        name: "case 7".into(),
        range: range(start, end),
        expires: None,
    };
    catalog.create_hold(&new, at(0)).await.unwrap()
}

/// What is there, by the seconds at which it starts.
async fn left(catalog: &Catalog, channel: ChannelId) -> Vec<i64> {
    let ranges = catalog
        .segment_ranges(channel, range(-1_000, 10_000))
        .await
        .unwrap();
    ranges
        .iter()
        .map(|range| range.start.secs() - at(0).secs())
        .collect()
}

/// Range in seconds, bytes, segments, reason; newest first.
async fn deletions(
    catalog: &Catalog,
    channel: ChannelId,
) -> Vec<(i64, i64, i64, i64, DeletionReason)> {
    let secs = |time: WallTime| time.secs() - at(0).secs();
    let rows = catalog.list_deletions(channel, None, 100).await.unwrap();
    rows.iter()
        .map(|d| {
            (
                secs(d.range.start),
                secs(d.range.end),
                d.size_bytes,
                d.segments,
                d.reason,
            )
        })
        .collect()
}

const fn excess(channel: Option<ChannelId>, bytes: i64, reason: DeletionReason) -> Excess {
    Excess {
        channel,
        bytes,
        limit: 10,
        reason,
    }
}

conformance! {
    async fn what_a_hold_keeps_goes_neither_by_age_nor_by_bytes_nor_by_request(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        let records = recorded(catalog, channel, 5).await;
        // It touches the second and the third; the first ends where it begins.
        hold(catalog, channel, 10, 21).await;
        let doomed = catalog.doom_segments_before(channel, at(1_000), 1, at(50)).await.unwrap();
        assert_eq!((doomed, left(catalog, channel).await), (1, vec![10, 20, 30, 40]));
        let refused = catalog.doom_segment(records[1], at(50)).await;
        assert!(matches!(refused, Err(Error::Held { name, .. }) if name == "case 7"));
        let bytes = excess(None, 1_000, DeletionReason::Bytes);
        assert_eq!(catalog.doom_oldest_segments(bytes, at(50)).await.unwrap(), 200);
        assert_eq!(left(catalog, channel).await, [10, 20]);
        let pressure = excess(Some(channel), 1_000, DeletionReason::Pressure);
        assert_eq!(catalog.doom_oldest_segments(pressure, at(50)).await.unwrap(), 0);
        assert_eq!(catalog.doom_segments_before(channel, at(1_000), 10, at(50)).await.unwrap(), 0);
    }

    async fn a_channel_is_not_deleted_from_under_a_hold(catalog: &Catalog) {
        let channel = channel(catalog).await;
        recorded(catalog, channel.id, 2).await;
        let kept = hold(catalog, channel.id, 0, 10).await;
        let refused = catalog.delete_channel(channel.account, channel.id, at(60)).await;
        assert!(matches!(refused, Err(Error::Held { .. })));
        assert_eq!(left(catalog, channel.id).await, [0, 10]);
        catalog.delete_hold(channel.id, kept.id).await.unwrap();
        catalog.delete_channel(channel.account, channel.id, at(60)).await.unwrap();
        assert_eq!(deletions(catalog, channel.id).await, [(0, 20, 200, 2, DeletionReason::Channel)]);
    }

    async fn a_hold_counts_until_it_expires_or_is_ended(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        recorded(catalog, channel, 2).await;
        let new = NewHold {
            channel,
            name: "until tomorrow".into(),
            range: range(0, 10),
            expires: Some(at(100)),
        };
        let first = catalog.create_hold(&new, at(2)).await.unwrap();
        let second = hold(catalog, channel, 10, 20).await;
        assert_eq!(catalog.list_holds(channel).await.unwrap(), [first.clone(), second.clone()]);
        let doom = async |now| catalog.doom_segments_before(channel, at(90), 10, at(now)).await;
        assert_eq!(doom(99).await.unwrap(), 0);
        assert_eq!(doom(100).await.unwrap(), 1);
        assert_eq!(catalog.delete_expired_holds(at(99)).await.unwrap(), 0);
        assert_eq!(catalog.delete_expired_holds(at(100)).await.unwrap(), 1);
        let holds = catalog.list_holds(channel).await.unwrap();
        assert_eq!(holds, std::slice::from_ref(&second));
        assert!(matches!(catalog.delete_hold(channel, first.id).await, Err(Error::NotFound { .. })));
        catalog.delete_hold(channel, second.id).await.unwrap();
        assert_eq!(doom(100).await.unwrap(), 1);
        let nameless = NewHold { name: String::new(), ..new.clone() };
        assert!(matches!(catalog.create_hold(&nameless, at(2)).await, Err(Error::Invalid(_))));
        let nowhere = NewHold { channel: missing_channel(), ..new };
        assert!(matches!(catalog.create_hold(&nowhere, at(2)).await, Err(Error::NotFound { .. })));
    }

    async fn what_is_deleted_is_written_down_with_its_reason(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        let records = recorded(catalog, channel, 6).await;
        // One after the other, as the janitor does it: one entry.
        for _ in 0..2 {
            catalog.doom_segments_before(channel, at(1_000), 1, at(50)).await.unwrap();
        }
        catalog.doom_segment(records[4], at(51)).await.unwrap();
        catalog.doom_segment(records[4], at(51)).await.unwrap();
        let bytes = excess(None, 1, DeletionReason::Bytes);
        catalog.doom_oldest_segments(bytes, at(52)).await.unwrap();
        // An hour later a new entry begins.
        let later = at(52 + 3_601);
        catalog.doom_oldest_segments(bytes, later).await.unwrap();
        assert_eq!(
            deletions(catalog, channel).await,
            [
                (30, 40, 100, 1, DeletionReason::Bytes),
                (20, 30, 100, 1, DeletionReason::Bytes),
                (40, 50, 100, 1, DeletionReason::Request),
                (0, 20, 200, 2, DeletionReason::Age),
            ]
        );
        let newest = catalog.list_deletions(channel, None, 1).await.unwrap()[0].number;
        let behind = catalog.list_deletions(channel, Some(newest), 100).await.unwrap();
        assert_eq!(behind.len(), 3);
        assert_eq!(catalog.forget_deletions(at(52)).await.unwrap(), 2);
        assert_eq!(deletions(catalog, channel).await.len(), 2);
    }

    async fn what_goes_under_pressure_is_one_gap_and_an_open_gap_stays_open(catalog: &Catalog) {
        let first = channel(catalog).await;
        let (one, other) = (first.id, channel_of(catalog, first.account, "yard").await.id);
        recorded(catalog, one, 3).await;
        recorded(catalog, other, 1).await;
        let open = framewell_catalog::NewGap {
            channel: one,
            start: at(30),
            end: None,
            reason: GapReason::CameraOffline,
        };
        catalog.insert_gap(open).await.unwrap();
        let pressure = excess(None, 150, DeletionReason::Pressure);
        assert_eq!(catalog.doom_oldest_segments(pressure, at(50)).await.unwrap(), 200);
        assert_eq!(catalog.doom_oldest_segments(pressure, at(51)).await.unwrap(), 200);
        catalog.note_discarded(one, range(30, 34), 40, at(52)).await.unwrap();
        let gaps = async |channel| {
            let gaps = catalog.gaps_in(channel, range(-1_000, 1_000)).await.unwrap();
            gaps.iter().map(|gap| (gap.start, gap.end, gap.reason)).collect::<Vec<_>>()
        };
        assert_eq!(
            gaps(one).await,
            [
                (at(0), Some(at(34)), GapReason::StorageFull),
                (at(30), None, GapReason::CameraOffline)
            ]
        );
        assert_eq!(gaps(other).await, [(at(0), Some(at(10)), GapReason::StorageFull)]);
        assert_eq!(deletions(catalog, one).await, [(0, 34, 340, 4, DeletionReason::Pressure)]);
    }

    async fn the_bytes_of_one_channel_are_counted_and_its_oldest_footage_goes(catalog: &Catalog) {
        let first = channel(catalog).await;
        let (one, other) = (first.id, channel_of(catalog, first.account, "yard").await.id);
        recorded(catalog, other, 2).await;
        recorded(catalog, one, 3).await;
        assert_eq!(catalog.published_bytes_of(one).await.unwrap(), 300);
        let too_much = excess(Some(one), 101, DeletionReason::Bytes);
        assert_eq!(catalog.doom_oldest_segments(too_much, at(50)).await.unwrap(), 200);
        assert_eq!(left(catalog, one).await, [20]);
        assert_eq!(left(catalog, other).await, [0, 10]);
    }

    async fn clocks_of_runs_are_kept_as_last_seen(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        let clock = |n: u128, last| RunClock {
            run: RunId::from_uuid(Uuid::from_u128(n)),
            channel,
            first: at(0),
            last: at(last),
            offset_us: -31_536_000_000_000,
            drift_ppb: None,
            jumps: 0,
            largest_jump_us: 0,
            is_used: false,
        };
        catalog.put_run_clock(&clock(1, 10)).await.unwrap();
        catalog.put_run_clock(&clock(2, 30)).await.unwrap();
        let grown = RunClock { drift_ppb: Some(40_000), jumps: 2, is_used: true, ..clock(1, 20) };
        catalog.put_run_clock(&grown).await.unwrap();
        let list = async |since| catalog.list_run_clocks(channel, at(since), 10).await.unwrap();
        assert_eq!(list(0).await, [clock(2, 30), grown]);
        assert_eq!(list(21).await, [clock(2, 30)]);
        assert_eq!(catalog.forget_run_clocks(at(30)).await.unwrap(), 1);
        assert_eq!(list(0).await.len(), 1);
    }
}

/// A hold that is being made while footage is to go: its transaction has begun, and ends behind the search.
#[tokio::test]
async fn a_hold_that_is_made_meanwhile_keeps_its_footage() {
    let backend = Backend::postgres().await;
    let gate = channel(&backend.catalog).await.id;
    recorded(&backend.catalog, gate, 2).await;
    let mut holder = PgConnection::connect(&backend.url).await.unwrap();
    let (id, start, end) = (gate.get(), at(0).micros(), at(100).micros());
    let begin = format!(
        "BEGIN; SELECT id FROM channel WHERE id = {id} FOR NO KEY UPDATE; \
         INSERT INTO hold (channel, name, start_us, end_us, created_us) \
         VALUES ({id}, 'case 7', {start}, {end}, {start})"
    );
    holder.execute(sqlx::AssertSqlSafe(begin)).await.unwrap();
    let mut going = JoinSet::new();
    let catalog = backend.catalog.clone();
    going.spawn(async move {
        let doomed = catalog.doom_segments_before(gate, at(50), 9, at(60)).await;
        doomed.unwrap() as i64
    });
    let catalog = backend.catalog.clone();
    going.spawn(async move {
        let excess = Excess {
            channel: None,
            bytes: 1_000,
            limit: 9,
            reason: DeletionReason::Pressure,
        };
        catalog.doom_oldest_segments(excess, at(60)).await.unwrap()
    });
    let waiting = "SELECT COUNT(*) FROM pg_stat_activity \
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    loop {
        if let Some(done) = going.try_join_next() {
            assert_eq!(done.unwrap(), 0, "gone before the hold was made");
        }
        let count: i64 = sqlx::query_scalar(waiting)
            .fetch_one(&mut holder)
            .await
            .unwrap();
        if count == 2 {
            break;
        }
    }
    holder.execute("COMMIT").await.unwrap();
    assert_eq!(going.join_all().await, [0, 0]);
    assert_eq!(left(&backend.catalog, gate).await, [0, 10]);
}
