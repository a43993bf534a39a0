//! A day of rows: the first picture comes before the day has been looked through.

use crate::archive::record;
use crate::batch_rig::{at, clip, range, request};
use crate::rig::{Rig, channel, run};
use framewell_catalog::{Catalog, CatalogConfig, NewSegment};
use framewell_fmp4::{FragmentEntry, SegmentIndex};
use framewell_imaging::Match;
use framewell_imaging::batch::{EndReason, Entry, Rule};
use framewell_media::VideoCodec;
use framewell_model::{ClockSource, NewChannel, RecMode, Secret, SegmentId};
use std::collections::BTreeMap;

/// Segments of a minute, behind each other.
const MINUTES: i64 = 1_440;
/// The row whose index nobody can read: whoever gets there finds out.
const BROKEN: i64 = 700;

fn row(number: i64) -> NewSegment {
    let start_ms = 1_920 + number * 60_000;
    let fragment = FragmentEntry {
        offset: 900,
        header_len: 200,
        len: 5_000,
        wall: at(start_ms),
        anchor_pts: start_ms * 90,
        dts: start_ms * 90,
        min_pts: start_ms * 90,
        end_pts: (start_ms + 60_000) * 90,
        duration: 60_000 * 90,
        is_key: true,
        clock: ClockSource::CameraRtcp,
    };
    let index = SegmentIndex {
        init_len: 900,
        parameters: 0,
        fragments: vec![fragment],
        ..SegmentIndex::default()
    };
    let id: SegmentId = format!("01900000-0000-7000-a000-{number:012}")
        .parse()
        .unwrap();
    NewSegment {
        id,
        channel: channel(),
        run: run(1),
        sequence: number,
        range: range(start_ms, start_ms + 60_000),
        clock: ClockSource::CameraRtcp,
        size_bytes: 5_900,
        codecs: "avc1.64001f".to_owned(),
        index: if number == BROKEN {
            vec![0xff]
        } else {
            index.encode()
        },
    }
}

async fn fill(rig: &Rig) {
    let url = format!("sqlite:{}", rig.folder.path().join("catalog.db").display());
    let config = CatalogConfig {
        url: Secret::new(url),
        max_connections: 1,
    };
    let catalog = Catalog::open(&config).await.unwrap();
    let account = catalog.create_account("test", at(0)).await.unwrap();
    let new = NewChannel {
        name: String::new(),
        rec_mode: RecMode::On,
        timezone: "UTC".to_owned(),
        source: None,
        retention_s: None,
        meta: BTreeMap::new(),
    };
    while catalog
        .create_channel(account.id, &new, at(0))
        .await
        .unwrap()
        .id
        != channel()
    {}
    for number in 0..MINUTES {
        let record = catalog.stage_segment(&row(number), at(0)).await.unwrap();
        catalog.publish_segment(record, at(0)).await.unwrap();
    }
}

#[tokio::test]
async fn the_first_picture_of_a_day_comes_before_the_day_is_looked_through() {
    let rig = Rig::new(at(86_500_000)).await;
    fill(&rig).await;
    record(&rig, &clip(VideoCodec::H264, 320, 0, 0), 1, 12);
    let day = request(range(0, 86_400_000), Rule::Every(1_000_000), Match::Exact);
    let mut batch = rig.imaging.batch(day).await.unwrap();
    for number in 0..2 {
        let entry = batch.next().await.unwrap();
        let Entry::Picture(sample) = entry else {
            panic!("{entry:?}");
        };
        assert_eq!(sample.requested, at(number * 1_000));
    }
    // The objects of the rows are missing; each GOP is told, up to the row that cannot be read.
    let mut lost = 0;
    let end = loop {
        match batch.next().await.unwrap() {
            Entry::Failed(failure) => lost += failure.missing,
            Entry::End(end) => break end,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(end.reason, EndReason::Unavailable);
    // Whole pages before the broken row came through, and nothing behind it was looked at.
    let minutes = lost / 60;
    assert!((256..700).contains(&minutes), "{minutes} minutes");
}
