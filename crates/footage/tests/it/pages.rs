//! GOPs by range and by neighbourhood, found without reading media, and read one by one.

use crate::archive::{Archive, EVER, gops, new_run, small_clip, with_open_gops};
use bytes::Bytes;
use framewell_catalog::{NewGap, NewSegment};
use framewell_fmp4::{FragmentEntry, SegmentIndex};
use framewell_footage::{FootageGap, GopEntry, GopRef};
use framewell_media::AccessUnit;
use framewell_model::{ClockSource, GapReason, SegmentId, TimeRange, WallTime};
use framewell_testkit::encode::EncodedClip;
use uuid::Uuid;

async fn all(archive: &Archive, range: TimeRange) -> (Vec<GopRef>, Vec<FootageGap>) {
    let mut pages = archive.footage.gops(archive.channel, range);
    let (mut gops, mut gaps) = (Vec::new(), Vec::new());
    let mut told_until = range.start;
    while let Some(page) = pages.next_page().await.unwrap() {
        for entry in page {
            match entry {
                GopEntry::Gop(gop) => {
                    assert!(gop.range.start <= told_until, "a hole that no gap tells");
                    told_until = gop.range.end;
                    gops.push(gop);
                }
                GopEntry::Gap(gap) => {
                    assert_eq!(gap.range.start, told_until);
                    told_until = gap.range.end;
                    gaps.push(gap);
                }
            }
        }
    }
    assert!(told_until >= range.end, "told to the end");
    (gops, gaps)
}

fn second(n: i64) -> WallTime {
    small_clip().start.plus_micros(n * 1_000_000)
}

fn seconds(start: i64, end: i64) -> TimeRange {
    TimeRange {
        start: second(start),
        end: second(end),
    }
}

/// GOPs 0 and 1 are published, 2 is missing, 3 is spooled.
async fn with_a_hole() -> (Archive, EncodedClip) {
    let archive = Archive::new().await;
    let clip = small_clip().encode().unwrap();
    let run = new_run();
    let parts = gops(&clip);
    archive
        .publish(&archive.make(run, 0, &clip, &parts[..2]))
        .await;
    archive.spool(&archive.make(run, 1, &clip, &parts[3..]));
    let gap = NewGap {
        channel: archive.channel,
        start: second(2),
        end: Some(second(3)),
        reason: GapReason::PacketLoss,
    };
    archive.catalog.insert_gap(gap).await.unwrap();
    (archive, clip)
}

#[tokio::test]
async fn a_range_is_its_gops_and_its_gaps_with_their_reasons() {
    let (archive, clip) = with_a_hole().await;
    let (found, gaps) = all(&archive, seconds(-1, 6)).await;
    let ranges: Vec<_> = found.iter().map(|gop| gop.range).collect();
    assert_eq!(ranges, [seconds(0, 1), seconds(1, 2), seconds(3, 4)]);
    let open: Vec<_> = found.iter().map(|gop| gop.is_open).collect();
    assert_eq!(open, [false, false, true]);
    let gap = |start, end, reason| FootageGap {
        range: seconds(start, end),
        reason,
    };
    let expected = [
        gap(-1, 0, None),
        gap(2, 3, Some(GapReason::PacketLoss)),
        gap(4, 6, None),
    ];
    assert_eq!(gaps, expected);
    for (gop, units) in found.iter().zip([0, 1, 3].map(|n| gops(&clip)[n])) {
        assert_eq!(gop.key.ticks, units[0].pts.ticks);
        let read = archive.footage.read_gop(gop).await.unwrap();
        assert_eq!(read.own, 10);
        assert!(
            read.samples
                .iter()
                .map(|s| &s.data)
                .eq(units.iter().map(|u| &u.data))
        );
    }
}

#[tokio::test]
async fn a_range_within_a_gop_is_that_gop() {
    let (archive, _) = with_a_hole().await;
    let within = TimeRange {
        start: second(1).plus_micros(200_000),
        end: second(1).plus_micros(300_000),
    };
    let (found, gaps) = all(&archive, within).await;
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].range, gaps.len()), (seconds(1, 2), 0));
    let (found, gaps) = all(&archive, seconds(2, 3)).await;
    assert_eq!((found.len(), gaps.len()), (0, 1));
}

#[tokio::test]
async fn a_long_range_comes_in_pages_and_reads_no_media() {
    let archive = Archive::new().await;
    let run = new_run();
    let count = 1_050i64;
    // There are rows and no objects: whatever reads media fails.
    for n in 0..count {
        let fragment = FragmentEntry {
            offset: 900,
            header_len: 500,
            len: 100_000,
            wall: second(n),
            anchor_pts: n * 90_000,
            dts: n * 90_000,
            min_pts: n * 90_000,
            end_pts: (n + 1) * 90_000,
            duration: 90_000,
            is_key: true,
            clock: ClockSource::CameraRtcp,
        };
        let index = SegmentIndex {
            init_len: 900,
            parameters: 0,
            fragments: vec![fragment],
            ..SegmentIndex::default()
        };
        let row = NewSegment {
            id: SegmentId::from_uuid(Uuid::now_v7()),
            channel: archive.channel,
            run,
            sequence: n,
            range: seconds(n, n + 1),
            clock: ClockSource::CameraRtcp,
            size_bytes: 100_900,
            codecs: String::new(),
            index: index.encode(),
        };
        let record = archive
            .catalog
            .stage_segment(&row, second(n))
            .await
            .unwrap();
        let published = archive.catalog.publish_segment(record, second(n));
        published.await.unwrap();
    }
    let (found, gaps) = all(&archive, seconds(0, count)).await;
    assert!(gaps.is_empty());
    let keys = found.iter().map(|gop| gop.key.ticks / 90_000);
    assert!(keys.eq(0..count), "each once, in order");
    let mut pages = archive.footage.gops(archive.channel, EVER);
    let first = pages.next_page().await.unwrap().unwrap();
    assert!(first.len() < 300, "a page: {}", first.len());
}

#[tokio::test]
async fn the_nearest_gops_are_found_across_gaps_in_spool_and_store() {
    let (archive, _) = with_a_hole().await;
    let before = async |at| {
        let found = archive.footage.gop_before(archive.channel, at).await;
        found.unwrap().map(|gop| gop.range.start)
    };
    let after = async |at| {
        let found = archive.footage.gop_after(archive.channel, at).await;
        found.unwrap().map(|gop| gop.range.start)
    };
    let half = |n| second(n).plus_micros(500_000);
    for (at, previous, next) in [
        (half(-1), None, Some(second(0))),
        (second(0), Some(second(0)), Some(second(0))),
        (half(0), Some(second(0)), Some(second(1))),
        (half(1), Some(second(1)), Some(second(3))),
        (half(2), Some(second(1)), Some(second(3))),
        (second(3), Some(second(3)), Some(second(3))),
        (half(900), Some(second(3)), None),
    ] {
        assert_eq!(before(at).await, previous, "before {at}");
        assert_eq!(after(at).await, next, "after {at}");
    }
}

#[tokio::test]
async fn a_gop_of_many_fragments_is_read_as_far_as_needed() {
    let archive = Archive::new().await;
    let clip = small_clip().encode().unwrap();
    let fragments: Vec<&[AccessUnit]> = gops(&clip).iter().flat_map(|g| g.chunks(3)).collect();
    archive.spool(&archive.make(new_run(), 0, &clip, &fragments));
    let (found, _) = all(&archive, seconds(0, 4)).await;
    assert_eq!(found.len(), 4);
    assert_eq!(found[1].fragment_count(), 4);
    let at = second(1).plus_micros(450_000);
    assert_eq!(found[1].fragments_until(at), 2);
    let read = archive.footage.read_gop_until(&found[1], at).await.unwrap();
    assert_eq!(read.samples.len(), 5);
    let third = archive
        .footage
        .read_fragments(&found[1], 2..3)
        .await
        .unwrap();
    assert!(
        third
            .iter()
            .map(|s| &s.data)
            .eq(clip.units[16..19].iter().map(|u| &u.data))
    );
}

/// The clip with key frames of some size; nothing here decodes them.
fn with_large_keys(clip: &EncodedClip, bytes: usize) -> EncodedClip {
    let mut clip = clip.clone();
    for (n, unit) in clip.units.iter_mut().enumerate() {
        if unit.is_key {
            unit.data = Bytes::from(vec![u8::try_from(n).unwrap(); bytes]);
        }
    }
    clip
}

#[tokio::test]
async fn a_key_frame_is_read_alone_whatever_its_size() {
    for bytes in [1_000, 700_000] {
        let archive = Archive::new().await;
        let clip = with_large_keys(&small_clip().encode().unwrap(), bytes);
        archive
            .publish(&archive.make(new_run(), 0, &clip, &gops(&clip)))
            .await;
        let (found, _) = all(&archive, seconds(0, 4)).await;
        // The first one is read together with the segment's parameters.
        for (gop, units) in found.iter().zip(gops(&clip)) {
            let key = archive.footage.read_key(gop).await.unwrap();
            assert_eq!((key.samples.len(), key.own), (1, 1));
            assert!(key.samples[0].is_key && key.samples[0].data == units[0].data);
            assert_eq!(key.samples[0].pts, units[0].pts.ticks);
            assert_eq!(*key.video, clip.parameters.video);
        }
    }
}

#[tokio::test]
async fn an_open_gop_comes_with_the_leading_pictures_that_refer_to_it() {
    let clip = with_open_gops(&small_clip().encode().unwrap());
    let run = new_run();
    let together = Archive::new().await;
    together.spool(&together.make(run, 0, &clip, &gops(&clip)));
    let apart = Archive::new().await;
    for (n, gop) in gops(&clip).iter().enumerate() {
        apart
            .publish(&apart.make(run, n as i64, &clip, &[gop]))
            .await;
    }
    for archive in [together, apart] {
        let (found, _) = all(&archive, seconds(0, 4)).await;
        let mut shown = Vec::new();
        for (n, gop) in found.iter().enumerate() {
            let read = archive.footage.read_gop(gop).await.unwrap();
            let behind = if n == 3 { 0 } else { 3 };
            assert_eq!(
                read.samples.len() - read.own,
                behind,
                "key frame and two pictures"
            );
            let is_shown = |wall: &WallTime| gop.range.contains(*wall);
            shown.extend(read.samples.iter().map(|s| s.wall).filter(is_shown));
        }
        shown.sort_unstable();
        let expected: Vec<WallTime> = (0..40).map(|n| small_clip().stamp(n).capture).collect();
        assert_eq!(shown, expected, "each picture belongs to one GOP");
    }
}
