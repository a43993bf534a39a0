//! Records and timelines.

use crate::recording::{Cuts, Recording, collect, cut, stamps_of};
use crate::support::{channel, encode, spec};
use framewell_model::{ErrorKind, GapReason, HasKind, TimeRange};
use framewell_testkit::encode::ClipSpec;

const CUTS: Cuts = Cuts {
    gops: 2,
    pictures: 25,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_a_file_that_plays() {
    let spec = ClipSpec {
        b_frames: 2,
        ..spec(100)
    };
    let mut recording = Recording::new().await;
    recording.publish(&encode(spec.clone()).await, CUTS).await;
    let mut tags = Vec::new();
    for (number, record) in recording.records.iter().enumerate() {
        let file = recording
            .playback
            .record(recording.channel, *record)
            .await
            .unwrap();
        let whole = collect(file.stream(0..file.len)).await;
        assert_eq!(whole.len() as u64, file.len);
        assert_eq!(file.len, u64::try_from(file.segment.size_bytes).unwrap());
        for part in [0..1, 100..5_000, 3_000..file.len, file.len..file.len] {
            assert_eq!(collect(file.stream(part.clone())).await, cut(&whole, &part));
        }
        let first = u32::try_from(number).unwrap() * 50;
        let expected: Vec<_> = (first..first + 50).map(|frame| spec.stamp(frame)).collect();
        assert_eq!(stamps_of(whole).await, expected);
        tags.push(file.etag);
    }
    assert_eq!(tags.len(), 2);
    assert_ne!(tags[0], tags[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_another_channel_does_not_exist() {
    let mut recording = Recording::new().await;
    recording.publish(&encode(spec(100)).await, CUTS).await;
    let other = channel(recording.channel.get() + 1);
    let error = recording
        .playback
        .record(other, recording.records[0])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_timeline_joins_store_and_spool_and_says_why_something_is_missing() {
    let spec = spec(100);
    let clip = encode(spec.clone()).await;
    let at = |seconds: i64| spec.start.plus_micros(seconds * 1_000_000);
    let mut recording = Recording::new().await;
    recording.publish(&clip, CUTS).await;
    recording.publish(&clip.starting_at(at(10)), CUTS).await;
    recording.spool(&clip.starting_at(at(14)), CUTS);
    recording.insert_gap(at(4), at(10)).await;
    let range = |start, end| TimeRange::new(at(start), at(end)).unwrap();
    let load = |wanted, merge_us| {
        recording
            .playback
            .timeline(recording.channel, wanted, merge_us)
    };

    let all = load(range(-100, 100), 0).await.unwrap();
    assert_eq!(all.periods, [range(0, 4), range(10, 18)]);
    assert_eq!(all.gaps.len(), 1);
    assert_eq!((all.gaps[0].start, all.gaps[0].end), (at(4), Some(at(10))));
    assert_eq!(all.gaps[0].reason, GapReason::CameraOffline);

    assert_eq!(
        load(range(-100, 100), 6_000_000).await.unwrap().periods,
        [range(0, 18)]
    );
    assert_eq!(
        load(range(2, 11), 0).await.unwrap().periods,
        [range(2, 4), range(10, 11)]
    );
    let none = load(range(100, 200), 0).await.unwrap();
    assert!(none.periods.is_empty() && none.gaps.is_empty());
}
