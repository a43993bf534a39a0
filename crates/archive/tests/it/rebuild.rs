//! The catalog, made again from the objects.

use crate::rig::{EVER, Rig, facts, key_of, kinds};
use framewell_archive::{CheckOptions, Depth, FindingKind, Verdict};
use framewell_model::{ChannelId, GapReason, RecMode, RunId, SegmentId};
use uuid::Uuid;

async fn lost_and_rebuilt(mut rig: Rig) {
    let (gate, yard) = (rig.channel(7).await, rig.channel(12).await);
    rig.record(gate, 0, 3).await;
    rig.record(gate, 60, 2).await;
    // Over midnight.
    rig.record(yard, 86_390, 4).await;
    let mut before = rig.rows(gate).await;
    before.extend(rig.rows(yard).await);
    rig.lose_the_database().await;

    let report = rig.archive.rebuild(rig.account, |_| {}).await.unwrap();
    assert_eq!(report.findings.listed, []);
    let told: Vec<_> = report
        .channels
        .iter()
        .map(|c| {
            (
                c.channel,
                c.is_new,
                c.segments,
                c.runs,
                c.holes,
                c.lost_segments,
            )
        })
        .collect();
    assert_eq!(told, [(7, true, 5, 2, 0, 0), (12, true, 4, 1, 0, 0)]);
    let mut after = rig.rows(gate).await;
    after.extend(rig.rows(yard).await);
    assert!(before.iter().map(facts).eq(after.iter().map(facts)));
    let channel = rig.archive.catalog.load_channel(gate).await.unwrap();
    assert_eq!(
        (channel.rec_mode, channel.account),
        (RecMode::Off, rig.account)
    );
    assert_eq!(rig.archive.catalog.gaps_in(gate, EVER).await.unwrap(), []);

    let full = CheckOptions {
        depth: Depth::Full,
        ..CheckOptions::default()
    };
    assert!(rig.check(full).await.is_clean());
    let proof = rig.verify(gate).await;
    assert_eq!(proof.verdict, Verdict::Intact);
    assert_eq!((proof.sealed.rebuilt, proof.vouched), (5, 4));
    // Once more finds nothing to do.
    let again = rig.archive.rebuild(rig.account, |_| {}).await.unwrap();
    assert_eq!((again.segments(), again.channels[0].is_new), (0, false));
    assert_eq!(rig.rows(gate).await.len(), 5);
}

#[tokio::test]
async fn a_folder_gives_all_rows_back() {
    lost_and_rebuilt(Rig::new().await).await;
}

#[tokio::test]
async fn a_bucket_gives_all_rows_back() {
    lost_and_rebuilt(Rig::on_a_bucket().await).await;
}

#[tokio::test]
async fn lost_and_damaged_segments_are_said() {
    let mut rig = Rig::new().await;
    let gate = rig.channel(7).await;
    rig.record(gate, 0, 5).await;
    rig.record(gate, 100, 2).await;
    let rows = rig.rows(gate).await;
    // One inside a run, and the last one of it.
    for lost in [1, 4] {
        rig.archive
            .blobs
            .delete(&key_of(&rows[lost]))
            .await
            .unwrap();
    }
    let torn = rig.read(&key_of(&rows[3])).await;
    rig.overwrite(&key_of(&rows[3]), torn[..torn.len() - 7].to_vec())
        .await;
    rig.overwrite(&key_of(&rows[6]), b"no video at all".to_vec())
        .await;
    rig.lose_the_database().await;
    let report = rig.archive.rebuild(rig.account, |_| {}).await.unwrap();
    let channel = &report.channels[0];
    assert_eq!(
        (channel.segments, channel.holes, channel.lost_segments),
        (4, 1, 2)
    );
    let found: Vec<_> = report
        .findings
        .listed
        .iter()
        .map(|f| (f.kind, f.segment))
        .collect();
    assert_eq!(
        found,
        [
            (FindingKind::Damaged, Some(rows[3].segment.id)),
            (FindingKind::Damaged, Some(rows[6].segment.id)),
        ]
    );
    let gaps = rig.archive.catalog.gaps_in(gate, EVER).await.unwrap();
    let gaps: Vec<_> = gaps
        .iter()
        .map(|gap| (gap.start, gap.end, gap.reason))
        .collect();
    let hole = (
        rows[0].segment.range.end,
        Some(rows[2].segment.range.start),
        GapReason::DataLoss,
    );
    assert_eq!(gaps, [hole], "between the runs nobody knows");
    let proof = rig.verify(gate).await;
    assert_eq!(proof.verdict, Verdict::Broken);
    assert_eq!(proof.breaks[0].segment, rows[1].segment.id);
    let after = rig.check(CheckOptions::default()).await;
    assert_eq!(kinds(&after), [FindingKind::Size, FindingKind::MissingRow]);
}

#[tokio::test]
async fn a_channel_that_only_the_spool_knows_gets_its_row_before_a_server_throws_its_files_away() {
    let mut rig = Rig::new().await;
    let gate = ChannelId::new(3).unwrap();
    let unfinished = rig.segment(gate, RunId::from_uuid(Uuid::now_v7()), 0, 0);
    let folder = rig.archive.spool_dir.join("3");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join(format!("{}.mp4", unfinished.row.id));
    std::fs::write(&file, &unfinished.bytes[..unfinished.bytes.len() - 5]).unwrap();
    let report = rig.archive.rebuild(rig.account, |_| {}).await.unwrap();
    let channel = &report.channels[0];
    assert_eq!(
        (channel.channel, channel.is_new, channel.spool_files),
        (3, true, 1)
    );
    assert!(rig.archive.catalog.load_channel(gate).await.is_ok());
    assert!(file.exists());
}

#[tokio::test]
async fn what_a_start_kept_aside_is_put_back() {
    let mut rig = Rig::new().await;
    let gate = ChannelId::new(3).unwrap();
    let kept = rig.segment(gate, RunId::from_uuid(Uuid::now_v7()), 0, 0);
    let name = format!("{}.mp4", kept.row.id);
    let aside = rig.archive.spool_dir.join("unknown").join("3");
    std::fs::create_dir_all(&aside).unwrap();
    std::fs::write(aside.join(&name), &kept.bytes).unwrap();
    let report = rig.archive.rebuild(rig.account, |_| {}).await.unwrap();
    assert_eq!(report.channels[0].spool_files, 1);
    let back = rig.archive.spool_dir.join("3").join(&name);
    assert!(std::fs::read(back).unwrap() == kept.bytes);
    assert!(!aside.exists());
}

#[tokio::test]
async fn hostile_names_and_objects_are_findings_and_stop_nothing() {
    let mut rig = Rig::new().await;
    let gate = rig.channel(7).await;
    rig.record(gate, 0, 2).await;
    let objects = rig.dir.path().join("objects").join("seg");
    // A folder of a number that no channel can have, and one of another without a segment in it.
    let most = ChannelId::new(i64::MAX).unwrap();
    let run = RunId::from_uuid(Uuid::now_v7());
    let hostile = rig.segment(most, run, 0, 0);
    rig.put(&hostile).await;
    let folder = objects.join("99").join("2026-01-01").join("00");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("nothing.mp4"), b"nothing").unwrap();
    // One that goes on for hours, and one that claims the id of another.
    let rows = rig.rows(gate).await;
    let stolen = rig.odd_segment(gate, (run, 0), rows[0].segment.id, [4_000, 0]);
    rig.put(&stolen).await;
    let own = SegmentId::from_uuid(Uuid::now_v7());
    let long = rig.odd_segment(gate, (run, 1), own, [8_000, 20_000]);
    rig.put(&long).await;
    rig.lose_the_database().await;
    let report = rig.archive.rebuild(rig.account, |_| {}).await.unwrap();
    let made = report.channels.iter().map(|c| (c.channel, c.segments));
    assert_eq!(made.collect::<Vec<_>>(), [(7, 2)]);
    let found = report.findings.listed.iter();
    let found: Vec<_> = found
        .map(|f| (f.channel.get(), f.kind, f.segment))
        .collect();
    let expected = [
        (7, FindingKind::Foreign, Some(rows[0].segment.id)),
        (7, FindingKind::Damaged, Some(own)),
        (99, FindingKind::Foreign, None),
        (i64::MAX, FindingKind::Foreign, None),
    ];
    assert_eq!(found, expected, "{:#?}", report.findings.listed);
    let after = rig.rows(gate).await;
    assert!(rows.iter().map(facts).eq(after.iter().map(facts)));
    // The next channel has a number.
    assert!(rig.channel(100).await.get() == 100);
}
