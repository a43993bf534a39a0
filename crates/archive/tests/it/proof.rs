//! What is proved, and what each kind of change looks like.

use crate::rig::{EVER, Rig, SEGMENT_S, key_of};
use framewell_archive::Verdict;
use framewell_catalog::SegmentRow;
use framewell_model::{ChannelId, RunId, Seal, SealSource, SegmentDigest, TimeRange, WallTime};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// Two runs of three and two segments.
async fn recorded() -> (Rig, ChannelId, Vec<SegmentRow>) {
    let mut rig = Rig::new().await;
    let gate = rig.channel(7).await;
    rig.record(gate, 0, 3).await;
    rig.record(gate, 60, 2).await;
    let rows = rig.rows(gate).await;
    (rig, gate, rows)
}

/// The first break of the whole channel: which segment by number, and what is said.
async fn first_break(rig: &Rig, gate: ChannelId, rows: &[SegmentRow]) -> (usize, String) {
    let report = rig.verify(gate).await;
    assert_eq!(report.verdict, Verdict::Broken);
    let first = &report.breaks[0];
    let number = rows.iter().position(|row| row.segment.id == first.segment);
    (number.unwrap(), first.what.clone())
}

#[tokio::test]
async fn untouched_footage_is_proved_over_runs() {
    let (rig, gate, rows) = recorded().await;
    let report = rig.verify(gate).await;
    assert_eq!(report.verdict, Verdict::Intact, "{:?}", report.breaks);
    assert_eq!(
        (report.segments, report.sealed.written, report.vouched),
        (5, 5, 4)
    );
    assert_eq!(report.last_digest, Some(rows[4].seal.unwrap().digest));
    let bytes: i64 = rows.iter().map(|row| row.segment.size_bytes).sum();
    assert_eq!(i64::try_from(report.bytes), Ok(bytes));
    assert_eq!(report.gone_before, None);
}

#[tokio::test]
async fn a_part_is_proved_with_the_help_of_the_segments_around_it() {
    let (rig, gate, rows) = recorded().await;
    let second = rows[1].segment.range;
    let inside = TimeRange::new(second.start.plus_micros(1), second.end.plus_micros(-1)).unwrap();
    let report = rig.archive.verify(gate, inside, |_| {}).await.unwrap();
    assert_eq!(report.verdict, Verdict::Intact);
    assert_eq!((report.segments, report.vouched), (1, 1));
}

#[tokio::test]
async fn every_altered_byte_shows() {
    let (rig, gate, rows) = recorded().await;
    let key = key_of(&rows[1]);
    let good = rig.read(&key).await;
    for at in [0, 100, good.len() / 2, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        rig.overwrite(&key, bad).await;
        let (number, what) = first_break(&rig, gate, &rows).await;
        assert_eq!(number, 1, "byte {at}");
        assert!(what.contains("not those that were recorded"), "{what}");
    }
    rig.overwrite(&key, good).await;
    assert_eq!(rig.verify(gate).await.verdict, Verdict::Intact);
}

#[tokio::test]
async fn a_truncated_and_a_longer_object_show() {
    let (rig, gate, rows) = recorded().await;
    let key = key_of(&rows[2]);
    let good = rig.read(&key).await;
    for bad in [
        good[..good.len() - 10].to_vec(),
        [&good[..], b"more"].concat(),
    ] {
        let len = bad.len().to_string();
        rig.overwrite(&key, bad).await;
        let (number, what) = first_break(&rig, gate, &rows).await;
        assert_eq!(number, 2);
        assert!(what.contains(&len), "{what}");
    }
}

#[tokio::test]
async fn a_change_of_bytes_and_row_together_shows_in_the_next_segment() {
    for victim in [1, 2] {
        let (rig, gate, rows) = recorded().await;
        let row = &rows[victim];
        let mut bad = rig.read(&key_of(row)).await;
        let at = bad.len() - 1;
        bad[at] ^= 1;
        let forged = Seal {
            digest: SegmentDigest::new(Sha256::digest(&bad).into()),
            source: SealSource::Written,
        };
        rig.overwrite(&key_of(row), bad).await;
        exchange_row(&rig, row, forged).await;
        let (number, what) = first_break(&rig, gate, &rows).await;
        assert_eq!(number, victim, "also where the next one is of another run");
        assert!(what.contains("recorded after it"), "{what}");
        // A range that ends with the segment is found out by the segment behind it.
        let part = TimeRange::new(EVER.start, row.segment.range.end).unwrap();
        let report = rig.archive.verify(gate, part, |_| {}).await.unwrap();
        assert_eq!(report.breaks[0].segment, row.segment.id);
    }
}

#[tokio::test]
async fn a_missing_object_and_a_segment_that_is_missing_without_a_trace_show() {
    let (rig, gate, rows) = recorded().await;
    rig.archive.blobs.delete(&key_of(&rows[1])).await.unwrap();
    let (number, what) = first_break(&rig, gate, &rows).await;
    assert_eq!(number, 1);
    assert!(what.contains("object is missing"), "{what}");
    // Its row too; and the last one of a run, which the next run names.
    for victim in [1, 2] {
        remove_row(&rig, &rows[victim]).await;
        let (number, what) = first_break(&rig, gate, &rows).await;
        assert_eq!(number, victim);
        assert!(what.contains("this segment is missing"), "{what}");
    }
}

#[tokio::test]
async fn what_was_deleted_is_said_with_when_and_why_and_is_no_break() {
    let (mut rig, gate, rows) = recorded().await;
    delete(&rig, &rows[1]).await;
    delete(&rig, &rows[2]).await;
    let report = rig.verify(gate).await;
    assert_eq!(report.verdict, Verdict::Intact, "{:?}", report.breaks);
    assert_eq!((report.segments, report.vouched), (3, 1));
    let [deleted] = &report.deleted[..] else {
        panic!("{:?}", report.deleted);
    };
    assert_eq!(
        deleted.segment, rows[2].segment.id,
        "which the next run names"
    );
    assert_eq!((deleted.at, deleted.reason), (rig.clip_start(), "request"));
    assert_eq!(
        (deleted.start, deleted.end),
        (rows[1].segment.range.start, rows[2].segment.range.end)
    );
    // What is missing elsewhere is not excused by it.
    let run = rig.record(gate, 200, 3).await;
    let late: Vec<_> = rig.rows(gate).await;
    let late: Vec<_> = late.iter().filter(|row| row.segment.run == run).collect();
    rig.archive.blobs.delete(&key_of(late[1])).await.unwrap();
    let record = late[1].segment.record;
    let catalog = &rig.archive.catalog;
    catalog
        .give_up_segment(record, rig.clip_start())
        .await
        .unwrap();
    let report = rig.verify(gate).await;
    assert_eq!(report.verdict, Verdict::Broken);
    assert_eq!(report.breaks.len(), 1);
    assert_eq!(report.breaks[0].segment, late[1].segment.id);
}

#[tokio::test]
async fn exchanged_segments_show() {
    let (rig, gate, rows) = recorded().await;
    let (a, b) = (key_of(&rows[1]), key_of(&rows[2]));
    let (first, second) = (rig.read(&a).await, rig.read(&b).await);
    rig.overwrite(&a, second).await;
    rig.overwrite(&b, first).await;
    let (number, _) = first_break(&rig, gate, &rows).await;
    assert_eq!(number, 1);
}

#[tokio::test]
async fn what_retention_took_before_the_first_segment_is_said_and_is_no_break() {
    let (rig, gate, rows) = recorded().await;
    for row in &rows[..2] {
        rig.archive.blobs.delete(&key_of(row)).await.unwrap();
        remove_row(&rig, row).await;
    }
    let report = rig.verify(gate).await;
    assert_eq!(report.verdict, Verdict::Intact, "{:?}", report.breaks);
    assert_eq!(report.gone_before, Some(rows[1].segment.id));
}

#[tokio::test]
async fn footage_without_digests_is_not_proved_and_says_so() {
    let (mut rig, gate, rows) = recorded().await;
    let run = RunId::from_uuid(Uuid::now_v7());
    let old = rig.segment(gate, run, 0, 200);
    rig.put(&old).await;
    let catalog = &rig.archive.catalog;
    let record = catalog
        .stage_segment(&old.row, rig.clip_start())
        .await
        .unwrap();
    catalog
        .publish_segment(record, rig.clip_start())
        .await
        .unwrap();
    let report = rig.verify(gate).await;
    assert_eq!(report.verdict, Verdict::Unproven);
    assert_eq!(
        (report.segments, report.sealed.never),
        (rows.len() as u64 + 1, 1)
    );

    let before = TimeRange::new(EVER.start, rows[0].segment.range.start).unwrap();
    let empty = rig.archive.verify(gate, before, |_| {}).await.unwrap();
    assert_eq!((empty.verdict, empty.segments), (Verdict::Unproven, 0));
}

#[tokio::test]
async fn recovered_and_imported_segments_are_counted_as_such() {
    let mut rig = Rig::new().await;
    let gate = rig.channel(7).await;
    let run = RunId::from_uuid(Uuid::now_v7());
    let sources = [
        SealSource::Written,
        SealSource::Recovered,
        SealSource::Imported,
    ];
    for (number, source) in (0..).zip(sources) {
        let mut segment = rig.segment(gate, run, number, number * SEGMENT_S);
        segment.seal.source = source;
        rig.publish(&segment).await;
    }
    let report = rig.verify(gate).await;
    let sealed = report.sealed;
    assert_eq!(
        (sealed.written, sealed.recovered, sealed.imported),
        (1, 1, 1)
    );
    assert_eq!(report.verdict, Verdict::Intact);
}

/// Deletes a segment as a user does.
async fn delete(rig: &Rig, row: &SegmentRow) {
    let catalog = &rig.archive.catalog;
    let record = row.segment.record;
    catalog
        .doom_segment(record, rig.clip_start())
        .await
        .unwrap();
    rig.archive.blobs.delete(&key_of(row)).await.unwrap();
    catalog.delete_doomed_segment(record).await.unwrap();
}

/// Takes a row out of the database and leaves no trace, as somebody with access to it could.
async fn remove_row(rig: &Rig, row: &SegmentRow) {
    let catalog = &rig.archive.catalog;
    let record = row.segment.record;
    catalog
        .doom_segment(record, rig.clip_start())
        .await
        .unwrap();
    catalog.delete_doomed_segment(record).await.unwrap();
    let ever = WallTime::from_micros(i64::MAX);
    catalog.forget_deletions(ever).await.unwrap();
}

/// The row with another digest.
async fn exchange_row(rig: &Rig, row: &SegmentRow, seal: Seal) {
    remove_row(rig, row).await;
    let segment = &row.segment;
    let new = framewell_catalog::NewSegment {
        id: segment.id,
        channel: segment.channel,
        run: segment.run,
        sequence: segment.sequence,
        range: segment.range,
        clock: segment.clock,
        size_bytes: segment.size_bytes,
        codecs: segment.codecs.clone(),
        index: segment.index.clone(),
    };
    let catalog = &rig.archive.catalog;
    let record = catalog
        .stage_sealed_segment(&new, Some(&seal), rig.clip_start())
        .await
        .unwrap();
    catalog
        .publish_segment(record, rig.clip_start())
        .await
        .unwrap();
}
