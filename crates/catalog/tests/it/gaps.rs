//! Gap rows.

use crate::backend::{at, channel, conformance, missing_channel, range, segment};
use framewell_catalog::{Catalog, Error, NewGap};
use framewell_model::{ChannelId, Gap, GapReason, TimeRange};

async fn insert(
    catalog: &Catalog,
    channel: ChannelId,
    start: i64,
    end: Option<i64>,
    reason: GapReason,
) {
    let gap = NewGap {
        channel,
        start: at(start),
        end: end.map(at),
        reason,
    };
    catalog.insert_gap(gap).await.unwrap();
}

/// Starts and ends in seconds.
async fn all(catalog: &Catalog, channel: ChannelId) -> Vec<(i64, Option<i64>)> {
    let seconds = |time: framewell_model::WallTime| time.secs() - at(0).secs();
    let gaps = catalog
        .gaps_in(channel, range(-1_000, 1_000))
        .await
        .unwrap();
    gaps.iter()
        .map(|gap| (seconds(gap.start), gap.end.map(seconds)))
        .collect()
}

conformance! {
    async fn every_reason_comes_back_as_it_went_in(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        for (start, reason) in (0..).zip(GapReason::ALL) {
            insert(catalog, channel, start, Some(start + 1), reason).await;
        }
        let gaps = catalog.gaps_in(channel, range(0, 100)).await.unwrap();
        let reasons: Vec<_> = gaps.iter().map(|gap| gap.reason).collect();
        assert_eq!(reasons, GapReason::ALL);
    }

    async fn a_new_gap_closes_the_open_one_at_its_start(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        insert(catalog, channel, 0, None, GapReason::CameraOffline).await;
        insert(catalog, channel, 10, None, GapReason::Unauthorized).await;
        assert_eq!(all(catalog, channel).await, [(0, Some(10)), (10, None)]);
        insert(catalog, channel, 10, Some(20), GapReason::ServerDown).await;
        assert_eq!(all(catalog, channel).await, [(0, Some(10)), (10, Some(20))]);
    }

    async fn closing_ends_the_open_gap_and_drops_one_without_length(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        catalog.close_gap(channel, at(5)).await.unwrap();
        insert(catalog, channel, 0, None, GapReason::CameraOffline).await;
        catalog.close_gap(channel, at(5)).await.unwrap();
        insert(catalog, channel, 8, None, GapReason::PacketLoss).await;
        catalog.close_gap(channel, at(8)).await.unwrap();
        catalog.close_gap(channel, at(50)).await.unwrap();
        assert_eq!(all(catalog, channel).await, [(0, Some(5))]);
    }

    async fn a_gap_without_length_leaves_no_row_and_a_backward_one_is_refused(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        insert(catalog, channel, 3, Some(3), GapReason::DataLoss).await;
        assert!(all(catalog, channel).await.is_empty());
        let reason = GapReason::DataLoss;
        let gap = NewGap { channel, start: at(3), end: Some(at(2)), reason };
        assert!(matches!(catalog.insert_gap(gap).await, Err(Error::Invalid(_))));
        let nowhere = NewGap { channel: missing_channel(), end: None, ..gap };
        assert!(matches!(catalog.insert_gap(nowhere).await, Err(Error::NotFound { .. })));
    }

    async fn searches_find_what_overlaps_a_half_open_range(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        insert(catalog, channel, 0, Some(10), GapReason::ServerDown).await;
        insert(catalog, channel, 20, None, GapReason::CameraOffline).await;
        let found = async |start, end| {
            catalog.gaps_in(channel, range(start, end)).await.unwrap().len()
        };
        assert_eq!(found(9, 20).await, 1);
        assert_eq!(found(10, 20).await, 0);
        assert_eq!(found(5, 21).await, 2);
        assert_eq!(found(500, 501).await, 1, "an open gap lasts");
    }

    async fn the_tail_is_the_end_of_footage_and_the_open_gap(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        assert_eq!(catalog.recording_tail(channel).await.unwrap(), (None, None));
        for (start, end) in [(10, 20), (0, 10)] {
            let new = segment(channel, range(start, end));
            let record = catalog.stage_segment(&new, at(0)).await.unwrap();
            catalog.publish_segment(record, at(0)).await.unwrap();
        }
        catalog.stage_segment(&segment(channel, range(20, 30)), at(0)).await.unwrap();
        insert(catalog, channel, 20, None, GapReason::StorageFailed).await;
        let open = Gap { channel, start: at(20), end: None, reason: GapReason::StorageFailed };
        let tail = catalog.recording_tail(channel).await.unwrap();
        assert_eq!(tail, (Some(at(20)), Some(open)));
    }

    async fn what_is_missing_is_known_up_to_the_newest_row(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        let until = async || catalog.told_until(channel).await.unwrap();
        assert_eq!(until().await, None);
        insert(catalog, channel, 10, Some(20), GapReason::CameraOffline).await;
        insert(catalog, channel, 0, Some(5), GapReason::CameraOffline).await;
        assert_eq!(until().await, Some(at(20)));
        insert(catalog, channel, 30, None, GapReason::ServerDown).await;
        assert_eq!(until().await, Some(at(30)));
        catalog.note_discarded(channel, range(35, 40), 10, at(0)).await.unwrap();
        assert_eq!(until().await, Some(at(40)));
    }

    async fn footage_that_came_later_is_cut_out_of_the_gaps(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        insert(catalog, channel, 0, Some(10), GapReason::CameraOffline).await;
        insert(catalog, channel, 20, None, GapReason::ServerDown).await;
        let cut = async |start, end| catalog.cut_gaps(channel, range(start, end), 100_000).await.unwrap();
        cut(4, 6).await;
        assert_eq!(all(catalog, channel).await, [(0, Some(4)), (6, Some(10)), (20, None)]);
        for _again in 0..2 {
            cut(8, 25).await;
            assert_eq!(all(catalog, channel).await, [(0, Some(4)), (6, Some(8)), (25, None)]);
        }
        cut(-5, 8).await;
        assert_eq!(all(catalog, channel).await, [(25, None)]);
        let left = catalog.gaps_in(channel, range(0, 100)).await.unwrap();
        assert_eq!(left[0].reason, GapReason::ServerDown);
        // Rounding leaves no row.
        insert(catalog, channel, 30, Some(40), GapReason::DataLoss).await;
        let nearly = TimeRange::new(at(30).plus_micros(90_000), at(40).plus_micros(-90_000)).unwrap();
        catalog.cut_gaps(channel, nearly, 100_000).await.unwrap();
        assert_eq!(all(catalog, channel).await, [(25, Some(30))]);
    }

    async fn two_writers_at_once_leave_one_open_gap(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        let write = async |start: i64| {
            for step in 0..10 {
                insert(catalog, channel, start + step, None, GapReason::CameraOffline).await;
            }
        };
        tokio::join!(write(0), write(100));
        let open = all(catalog, channel).await.into_iter().filter(|gap| gap.1.is_none()).count();
        assert_eq!(open, 1);
    }
}
