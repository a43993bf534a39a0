//! Segments from staging to the end of their rows.

use crate::backend::{ALL, at, channel, channel_of, conformance, missing_channel, range, segment};
use framewell_catalog::{
    Catalog, Error, Excess, MAX_SEGMENT_US, NewSegment, Order, SegmentFacts, Slice,
};
use framewell_model::{ChannelId, DeletionReason, RecordId, Segment, TimeRange, WallTime};

fn is_missing<T: std::fmt::Debug>(result: Result<T, Error>) -> bool {
    matches!(result, Err(Error::NotFound { .. }))
}

async fn publish(catalog: &Catalog, new: &NewSegment) -> RecordId {
    let record = catalog.stage_segment(new, at(0)).await.unwrap();
    catalog.publish_segment(record, at(1)).await.unwrap();
    record
}

async fn publish_ranges(
    catalog: &Catalog,
    channel: ChannelId,
    ranges: &[(i64, i64)],
) -> Vec<RecordId> {
    let mut records = Vec::new();
    for (start, end) in ranges {
        records.push(publish(catalog, &segment(channel, range(*start, *end))).await);
    }
    records
}

fn records(segments: &[Segment]) -> Vec<RecordId> {
    segments.iter().map(|segment| segment.record).collect()
}

/// Starts of listed segments, in seconds.
async fn listed(
    catalog: &Catalog,
    channel: ChannelId,
    start: Option<i64>,
    end: Option<i64>,
) -> Vec<i64> {
    let page = catalog
        .list_segments(channel, start.map(at), end.map(at), Order::Ascending, ALL)
        .await
        .unwrap();
    assert_eq!(page.total, i64::try_from(page.items.len()).unwrap());
    page.items
        .iter()
        .map(|segment| segment.range.start.secs() - at(0).secs())
        .collect()
}

conformance! {
    async fn a_segment_comes_back_as_it_was_staged(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        let new = segment(channel, range(0, 10));
        let record = publish(catalog, &new).await;
        let loaded = catalog.load_segment(record).await.unwrap();
        let expected = Segment {
            record,
            id: new.id,
            channel,
            run: new.run,
            sequence: new.sequence,
            range: new.range,
            clock: new.clock,
            size_bytes: new.size_bytes,
            codecs: new.codecs,
            index: new.index,
        };
        assert_eq!(loaded, expected);
    }

    async fn samples_are_told_to_those_who_ask_for_them(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        let facts = |sample_runs, sample_sizes| SegmentFacts { sample_runs, sample_sizes, ..SegmentFacts::default() };
        let (known, plain) = (segment(channel, range(0, 10)), segment(channel, range(10, 20)));
        let before = catalog.stage_known_segment(&known, facts(&[9], &[9, 9]), at(0)).await.unwrap();
        let record = catalog.stage_known_segment(&known, facts(&[1, 2], &[3, 4, 5]), at(0)).await.unwrap();
        assert_eq!(before, record, "staged again");
        let unknown = publish(catalog, &plain).await;
        let asked = [unknown, record];
        let runs = catalog.segment_sample_runs(&asked).await.unwrap();
        assert_eq!(runs, [(record, vec![1, 2])]);
        let sizes = catalog.segment_sample_sizes(&asked).await.unwrap();
        assert_eq!(sizes, [(record, vec![3, 4, 5])]);
        assert_eq!(catalog.segment_sample_sizes(&[unknown]).await.unwrap(), []);
        let many: Vec<_> = std::iter::repeat_n(unknown, 20_000).chain([record]).collect();
        assert_eq!(catalog.segment_sample_runs(&many).await.unwrap().len(), 1);
    }

    async fn readers_see_a_segment_while_it_is_published_only(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        let new = segment(channel, range(0, 10));
        let record = catalog.stage_segment(&new, at(0)).await.unwrap();
        assert!(is_missing(catalog.load_segment(record).await));
        assert!(listed(catalog, channel, None, None).await.is_empty());
        let staged = catalog.list_staged_segments(10).await.unwrap();
        assert_eq!((staged.len(), staged[0].record, staged[0].id), (1, record, new.id));
        assert_eq!((staged[0].channel, staged[0].start), (channel, at(0)));

        catalog.publish_segment(record, at(1)).await.unwrap();
        catalog.publish_segment(record, at(2)).await.unwrap();
        assert!(catalog.list_staged_segments(10).await.unwrap().is_empty());
        assert!(is_missing(catalog.drop_staged_segment(record).await));
        assert_eq!(listed(catalog, channel, None, None).await, [0]);

        catalog.doom_segment(record, at(3)).await.unwrap();
        assert!(is_missing(catalog.load_segment(record).await));
        assert!(is_missing(catalog.publish_segment(record, at(4)).await));
        assert!(catalog.segments_in(channel, range(0, 10), 10).await.unwrap().is_empty());
        assert!(catalog.segment_ranges(channel, range(0, 10)).await.unwrap().is_empty());
        assert_eq!(catalog.list_doomed_segments(10).await.unwrap()[0].record, record);

        catalog.delete_doomed_segment(record).await.unwrap();
        assert!(catalog.list_doomed_segments(10).await.unwrap().is_empty());
        assert!(is_missing(catalog.delete_doomed_segment(record).await));
        assert!(is_missing(catalog.doom_segment(record, at(5)).await));
    }

    async fn staging_again_keeps_the_number_and_takes_the_new_values(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        let new = segment(channel, range(0, 10));
        let record = catalog.stage_segment(&new, at(0)).await.unwrap();
        let shorter = NewSegment { range: range(0, 7), size_bytes: 7, ..new.clone() };
        assert_eq!(catalog.stage_segment(&shorter, at(1)).await.unwrap(), record);
        catalog.publish_segment(record, at(2)).await.unwrap();
        assert_eq!(catalog.load_segment(record).await.unwrap().range, range(0, 7));

        assert_eq!(catalog.stage_segment(&new, at(3)).await.unwrap(), record);
        let loaded = catalog.load_segment(record).await.unwrap();
        assert_eq!((loaded.range, loaded.size_bytes), (range(0, 7), 7), "published rows stay");
    }

    async fn a_staged_segment_can_be_dropped(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        let record = catalog.stage_segment(&segment(channel, range(0, 10)), at(0)).await.unwrap();
        catalog.drop_staged_segment(record).await.unwrap();
        assert!(is_missing(catalog.drop_staged_segment(record).await));
        assert!(is_missing(catalog.publish_segment(record, at(1)).await));
    }

    async fn segments_of_no_channel_or_of_absurd_length_are_refused(catalog: &Catalog) {
        let new = segment(missing_channel(), range(0, 10));
        assert!(is_missing(catalog.stage_segment(&new, at(0)).await));
        let channel = channel(catalog).await.id;
        let longest = TimeRange { start: at(0), end: at(0).plus_micros(MAX_SEGMENT_US) };
        catalog.stage_segment(&segment(channel, longest), at(0)).await.unwrap();
        for range in [
            TimeRange { start: at(0), end: longest.end.plus_micros(1) },
            TimeRange { start: at(1), end: at(0) },
        ] {
            let error = catalog.stage_segment(&segment(channel, range), at(0)).await.unwrap_err();
            assert!(matches!(error, Error::Invalid(_)), "{error}");
        }
    }

    async fn lists_take_both_ends_of_the_interval_in(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        publish_ranges(catalog, channel, &[(20, 30), (0, 10), (10, 20)]).await;
        assert_eq!(listed(catalog, channel, None, None).await, [0, 10, 20]);
        assert_eq!(listed(catalog, channel, Some(10), Some(10)).await, [0, 10]);
        assert_eq!(listed(catalog, channel, Some(11), None).await, [10, 20]);
        assert_eq!(listed(catalog, channel, None, Some(19)).await, [0, 10]);
        assert_eq!(listed(catalog, channel, None, Some(20)).await, [0, 10, 20]);
        assert!(listed(catalog, channel, Some(31), None).await.is_empty());
        assert!(listed(catalog, missing_channel(), None, None).await.is_empty());
    }

    async fn lists_go_both_ways_and_in_pages(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        let made = publish_ranges(catalog, channel, &[(0, 10), (10, 20), (10, 20), (30, 40)]).await;
        let slice = Slice { limit: 3, offset: 1 };
        let page = async |order| catalog.list_segments(channel, None, None, order, slice).await.unwrap();
        let up = page(Order::Ascending).await;
        assert_eq!((up.total, records(&up.items)), (4, vec![made[1], made[2], made[3]]));
        let down = page(Order::Descending).await;
        assert_eq!((down.total, records(&down.items)), (4, vec![made[2], made[1], made[0]]));
    }

    async fn half_open_searches_leave_touching_segments_out(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        let made = publish_ranges(catalog, channel, &[(0, 10), (10, 20), (20, 30)]).await;
        let found = async |start, end, limit| {
            records(&catalog.segments_in(channel, range(start, end), limit).await.unwrap())
        };
        assert_eq!(found(10, 20, 10).await, [made[1]]);
        assert_eq!(found(9, 21, 10).await, made);
        assert_eq!(found(0, 30, 2).await, made[..2]);
        let ranges = catalog.segment_ranges(channel, range(5, 15)).await.unwrap();
        assert_eq!(ranges, [range(0, 10), range(10, 20)]);
    }

    async fn many_ranges_are_looked_at_at_once(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        let ranges: Vec<TimeRange> = (0..250).map(|n| range(n * 10, n * 10 + 10)).collect();
        let found = async |ranges: &[TimeRange]| catalog.ranges_with_footage(channel, ranges).await.unwrap();
        assert!(found(&[]).await.is_empty() && found(&ranges).await.is_empty());
        publish_ranges(catalog, channel, &[(10, 20), (12, 15), (35, 41), (2_490, 2_500)]).await;
        catalog.stage_segment(&segment(channel, range(60, 70)), at(0)).await.unwrap();
        assert_eq!(found(&ranges).await, [1, 3, 4, 249]);
        let from = async |seconds| catalog.footage_from(channel, at(seconds)).await.unwrap();
        assert_eq!(from(-5).await, Some(range(10, 20)));
        assert_eq!(from(40).await, Some(range(35, 41)));
        assert_eq!(from(41).await, Some(range(2_490, 2_500)));
        assert_eq!(from(2_500).await, None);
    }

    async fn the_longest_segment_is_found_at_its_last_moment(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        let longest = TimeRange { start: at(0), end: at(0).plus_micros(MAX_SEGMENT_US) };
        let record = publish(catalog, &segment(channel, longest)).await;
        let last = TimeRange { start: longest.end.plus_micros(-1), end: longest.end };
        assert_eq!(records(&catalog.segments_in(channel, last, 1).await.unwrap()), [record]);
        let page = catalog
            .list_segments(channel, Some(longest.end), None, Order::Ascending, ALL)
            .await
            .unwrap();
        assert_eq!(records(&page.items), [record]);
    }

    async fn the_neighbours_of_a_gap_are_named(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        publish_ranges(catalog, channel, &[(0, 10), (10, 20), (50, 60), (60, 70)]).await;
        let around = async |seconds| catalog.footage_around(channel, at(seconds)).await.unwrap();
        assert_eq!(around(30).await, (Some(range(10, 20)), Some(range(50, 60))));
        assert_eq!(around(20).await, (Some(range(10, 20)), Some(range(50, 60))));
        assert_eq!(around(5).await, (None, Some(range(10, 20))));
        assert_eq!(around(100).await, (Some(range(60, 70)), None));
    }

    async fn the_segments_that_start_nearest_to_an_instant_are_found(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        publish_ranges(catalog, channel, &[(0, 10), (10, 20), (50, 60)]).await;
        catalog.stage_segment(&segment(channel, range(30, 40)), at(0)).await.unwrap();
        let start = |found: Option<Segment>| found.map(|segment| segment.range.start);
        let by = async |seconds| start(catalog.segment_starting_by(channel, at(seconds)).await.unwrap());
        let from = async |seconds| start(catalog.segment_starting_from(channel, at(seconds)).await.unwrap());
        for (asked, before, after) in [
            (-1, None, Some(0)),
            (10, Some(10), Some(10)),
            (35, Some(10), Some(50)),
            (51, Some(50), None),
        ] {
            assert_eq!(by(asked).await, before.map(at), "by {asked}");
            assert_eq!(from(asked).await, after.map(at), "from {asked}");
        }
    }

    async fn retention_dooms_the_oldest_first_and_stops_at_the_limit(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        let made = publish_ranges(catalog, channel, &[(20, 30), (0, 10), (10, 20), (30, 40)]).await;
        let staged = catalog.stage_segment(&segment(channel, range(-10, 0)), at(0)).await.unwrap();
        let doom = async |before, limit| {
            catalog.doom_segments_before(channel, at(before), limit, at(50)).await.unwrap()
        };
        assert_eq!(doom(31, 2).await, 2);
        assert_eq!(listed(catalog, channel, None, None).await, [20, 30]);
        assert_eq!(doom(30, 10).await, 0, "one that ends at the moment stays");
        assert_eq!(doom(31, 10).await, 1);
        assert_eq!(doom(31, 10).await, 0);
        let doomed: Vec<_> = catalog.list_doomed_segments(10).await.unwrap()
            .into_iter().map(|segment| segment.record).collect();
        assert_eq!(doomed, [made[0], made[1], made[2]]);
        assert_eq!(catalog.list_staged_segments(10).await.unwrap()[0].record, staged);
        assert_eq!(catalog.list_doomed_segments(1).await.unwrap().len(), 1);
    }

    async fn record_numbers_never_come_back(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        let first = publish(catalog, &segment(channel, range(0, 10))).await;
        catalog.doom_segment(first, at(1)).await.unwrap();
        catalog.delete_doomed_segment(first).await.unwrap();
        assert!(publish(catalog, &segment(channel, range(0, 10))).await > first);
    }

    async fn times_at_the_edge_of_the_calendar_do_not_overflow(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        publish_ranges(catalog, channel, &[(0, 10)]).await;
        let everything = TimeRange {
            start: WallTime::from_micros(i64::MIN),
            end: WallTime::from_micros(i64::MAX),
        };
        assert_eq!(catalog.segments_in(channel, everything, 10).await.unwrap().len(), 1);
    }

    async fn the_segments_recorded_first_are_doomed_until_enough_bytes_go(catalog: &Catalog) {
        let first = channel(catalog).await;
        let second = channel_of(catalog, first.account, "yard").await;
        let (one, other) = (first.id, second.id);
        assert_eq!(catalog.published_bytes().await.unwrap(), 0);
        let doom = async |bytes, limit| {
            let excess = Excess { channel: None, bytes, limit, reason: DeletionReason::Bytes };
            catalog.doom_oldest_segments(excess, at(9)).await.unwrap()
        };
        assert_eq!(doom(1, 10).await, 0);
        let mut records = Vec::new();
        for (n, channel) in [one, other, one, other, one].into_iter().enumerate() {
            let start = n as i64 * 10;
            let new = NewSegment {
                size_bytes: 100,
                ..segment(channel, range(start, start + 10))
            };
            records.push(publish(catalog, &new).await);
        }
        let staged = segment(one, range(90, 100));
        catalog.stage_segment(&staged, at(0)).await.unwrap();
        assert_eq!(catalog.published_bytes().await.unwrap(), 500);
        // 150 bytes are two segments; a limit of one stops earlier.
        assert_eq!(doom(150, 10).await, 200);
        assert_eq!(doom(150, 1).await, 100);
        assert_eq!(doom(0, 10).await, 0);
        assert_eq!(catalog.published_bytes().await.unwrap(), 200);
        let doomed = catalog.list_doomed_segments(10).await.unwrap();
        let doomed: Vec<_> = doomed.iter().map(|segment| segment.record).collect();
        assert_eq!(doomed, records[..3]);
    }
}
