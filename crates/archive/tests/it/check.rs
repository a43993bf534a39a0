//! Each kind of disagreement between rows and objects.

use crate::rig::{EVER, Recorded, Rig, key_of, kinds};
use framewell_archive::{CheckOptions, CheckReport, Depth, FindingKind};
use framewell_catalog::SegmentRow;
use framewell_model::{ChannelId, GapReason, NewHold, RunId, SegmentState, TimeRange, WallTime};
use uuid::Uuid;

fn full() -> CheckOptions {
    CheckOptions {
        depth: Depth::Full,
        ..CheckOptions::default()
    }
}

fn repairing() -> CheckOptions {
    CheckOptions {
        repair: true,
        ..full()
    }
}

async fn clean(mut rig: Rig) {
    let (gate, yard) = (rig.channel(7).await, rig.channel(12).await);
    rig.record(gate, 0, 3).await;
    // Across midnight (UTC).
    rig.record(yard, 40_000, 2).await;
    for depth in [Depth::List, Depth::Headers, Depth::Full] {
        let mut days = 0;
        let options = CheckOptions {
            depth,
            ..CheckOptions::default()
        };
        let report = rig.archive.check(&options, |_| days += 1).await.unwrap();
        assert_eq!(report.findings.listed, []);
        assert!(report.is_clean());
        assert_eq!((report.channels, report.rows, report.objects), (2, 5, 5));
        assert_eq!(days, 2);
    }
}

#[tokio::test]
async fn a_folder_that_is_in_order_has_no_findings() {
    clean(Rig::new().await).await;
}

#[tokio::test]
async fn a_bucket_that_is_in_order_has_no_findings() {
    clean(Rig::on_a_bucket().await).await;
}

/// What a test has put out of order.
struct Disorder {
    rows: Vec<SegmentRow>,
    lost: Recorded,
    staged: Recorded,
    nothing: Recorded,
}

async fn disorder(rig: &mut Rig, gate: ChannelId) -> Disorder {
    let run = rig.record(gate, 0, 8).await;
    let rows = rig.rows(gate).await;
    let catalog = rig.archive.catalog.clone();
    let now = rig.clip_start();
    // 0: without an object.
    rig.archive.blobs.delete(&key_of(&rows[0])).await.unwrap();
    // 1: cut off.
    let bytes = rig.read(&key_of(&rows[1])).await;
    rig.overwrite(&key_of(&rows[1]), bytes[..1_000].to_vec())
        .await;
    // 2: doomed, never deleted.
    let doomed = rows[2].segment.record;
    catalog.doom_segment(doomed, now).await.unwrap();
    // 3: a bit of a picture is another.
    let mut bytes = rig.read(&key_of(&rows[3])).await;
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    rig.overwrite(&key_of(&rows[3]), bytes).await;
    // 4: no segment any more, of the same length.
    let mut bytes = rig.read(&key_of(&rows[4])).await;
    bytes[40..500].fill(0);
    rig.overwrite(&key_of(&rows[4]), bytes).await;
    // An object that no row knows, and rows that were never published: with and without an object.
    let lost = rig.segment(gate, run, 8, 100);
    rig.put(&lost).await;
    let staged = rig.segment(gate, run, 9, 110);
    rig.put(&staged).await;
    let staging = catalog.stage_sealed_segment(&staged.row, Some(&staged.seal), now);
    staging.await.unwrap();
    let nothing = rig.segment(gate, run, 10, 120);
    catalog.stage_segment(&nothing.row, now).await.unwrap();
    Disorder {
        rows,
        lost,
        staged,
        nothing,
    }
}

fn sorted(report: &CheckReport) -> Vec<FindingKind> {
    let mut found = kinds(report);
    found.sort_by_key(|kind| format!("{kind:?}"));
    found
}

async fn disordered(mut rig: Rig) {
    use FindingKind::{Damaged, Digest, Doomed, MissingObject, MissingRow, Size, Staged};
    let gate = rig.channel(7).await;
    let made = disorder(&mut rig, gate).await;
    let all = [
        Damaged,
        Digest,
        Doomed,
        MissingObject,
        MissingRow,
        Size,
        Staged,
        Staged,
    ];
    let report = rig.check(full()).await;
    assert_eq!(sorted(&report), all);
    assert_eq!(report.findings.open, 8);
    assert!(!report.is_clean());
    assert_eq!(
        sorted(&rig.check(full()).await),
        all,
        "a check changes nothing"
    );

    let report = rig.check(repairing()).await;
    assert_eq!(report.findings.open, 3, "{:#?}", report.findings.listed);
    let report = rig.check(full()).await;
    assert_eq!(
        sorted(&report),
        [Damaged, Digest, Size],
        "what is damaged stays as it is"
    );
    let rows_now = rig.rows(gate).await;
    assert!(
        rows_now
            .iter()
            .all(|row| row.state == SegmentState::Published)
    );
    let ids: Vec<_> = rows_now.iter().map(|row| row.segment.id).collect();
    assert!(ids.contains(&made.lost.row.id) && ids.contains(&made.staged.row.id));
    let rows = &made.rows;
    assert!(!ids.contains(&rows[0].segment.id) && !ids.contains(&rows[2].segment.id));
    let gaps = rig.archive.catalog.gaps_in(gate, EVER).await.unwrap();
    let gaps: Vec<_> = gaps.iter().map(|gap| (gap.start, gap.reason)).collect();
    let lost = [rows[0].segment.range.start, made.nothing.row.range.start];
    assert_eq!(gaps, lost.map(|start| (start, GapReason::DataLoss)));
}

#[tokio::test]
async fn what_is_wrong_in_a_folder_is_found_and_what_can_be_is_repaired() {
    disordered(Rig::new().await).await;
}

#[tokio::test]
async fn what_is_wrong_in_a_bucket_is_found_and_what_can_be_is_repaired() {
    disordered(Rig::on_a_bucket().await).await;
}

#[tokio::test]
async fn what_a_running_server_is_in_the_middle_of_is_no_finding() {
    let mut rig = Rig::new().await;
    let gate = rig.channel(7).await;
    let run = rig.record(gate, 0, 2).await;
    let rows = rig.rows(gate).await;
    let catalog = rig.archive.catalog.clone();
    let now = WallTime::from_secs(3_900_000_000);
    // Being published, being deleted, and waiting in the spool for a store that is away for hours.
    let staged = rig.segment(gate, run, 2, 8);
    catalog.stage_segment(&staged.row, now).await.unwrap();
    catalog
        .doom_segment(rows[0].segment.record, now)
        .await
        .unwrap();
    let waiting = rig.segment(gate, run, 3, 12);
    catalog
        .stage_segment(&waiting.row, rig.clip_start())
        .await
        .unwrap();
    let folder = rig.archive.spool_dir.join(gate.to_string());
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join(format!("{}.mp4", waiting.row.id));
    std::fs::write(&file, &waiting.bytes).unwrap();
    let report = rig.check(full()).await;
    assert_eq!(report.findings.listed, []);
    assert_eq!(
        (report.spool_files, report.spool_bytes),
        (1, waiting.bytes.len() as u64)
    );

    // An object that was put this moment may get its row in the next.
    let fresh = rig.segment(gate, RunId::from_uuid(Uuid::now_v7()), 0, 300);
    rig.put(&fresh).await;
    rig.set_clock(WallTime::from_micros(0));
    assert_eq!(rig.check(full()).await.findings.listed, []);

    // Much later, all of them are leftovers, but for the file that waits.
    rig.set_clock(WallTime::from_secs(3_990_000_000));
    use FindingKind::{Doomed, MissingRow, Staged};
    let report = rig.check(full()).await;
    assert_eq!(sorted(&report), [Doomed, MissingRow, Staged]);
}

#[tokio::test]
async fn a_store_that_is_not_there_loses_no_rows() {
    let mut rig = Rig::new().await;
    let gate = rig.channel(7).await;
    rig.record(gate, 0, 4).await;
    let rows = rig.rows(gate).await;
    for row in &rows[..3] {
        rig.archive.blobs.delete(&key_of(row)).await.unwrap();
    }
    let report = rig.check(repairing()).await;
    assert_eq!(report.findings.open, 3);
    assert_eq!(rig.rows(gate).await.len(), 4);
}

#[tokio::test]
async fn a_row_that_a_hold_keeps_stays_though_its_object_is_gone() {
    let mut rig = Rig::new().await;
    let gate = rig.channel(7).await;
    let run = rig.record(gate, 0, 4).await;
    let staged = rig.segment(gate, run, 4, 16);
    let catalog = rig.archive.catalog.clone();
    catalog
        .stage_segment(&staged.row, rig.clip_start())
        .await
        .unwrap();
    let row = rig.rows(gate).await.remove(0);
    rig.archive.blobs.delete(&key_of(&row)).await.unwrap();
    let hold = NewHold {
        channel: gate,
        name: "evidence".to_owned(),
        range: EVER,
        expires: None,
    };
    let hold = catalog.create_hold(&hold, rig.clip_start()).await.unwrap();
    let held = [FindingKind::Staged, FindingKind::MissingObject];
    let report = rig.check(repairing()).await;
    assert_eq!(kinds(&report), held);
    assert_eq!(report.findings.open, 2, "{:?}", report.findings.listed);
    assert_eq!(rig.rows(gate).await.len(), 5);
    assert_eq!(catalog.gaps_in(gate, EVER).await.unwrap(), []);
    // Without the hold, both go, and each leaves a gap.
    catalog.delete_hold(gate, hold.id).await.unwrap();
    assert_eq!(rig.check(repairing()).await.findings.open, 0);
    assert_eq!(rig.rows(gate).await.len(), 3);
    let gaps = catalog.gaps_in(gate, EVER).await.unwrap();
    let gaps: Vec<_> = gaps
        .iter()
        .map(|gap| (gap.start, gap.end, gap.reason))
        .collect();
    let gap = |range: TimeRange| (range.start, Some(range.end), GapReason::DataLoss);
    assert_eq!(gaps, [gap(row.segment.range), gap(staged.row.range)]);
    let deletions = catalog.list_deletions(gate, None, 9).await.unwrap();
    assert_eq!(deletions, [], "nobody deleted it");
}

#[tokio::test]
async fn a_file_with_a_foreign_name_is_reported_and_left_alone() {
    let mut rig = Rig::new().await;
    let gate = rig.channel(7).await;
    rig.record(gate, 0, 1).await;
    let row = rig.rows(gate).await.remove(0);
    let object = rig.dir.path().join("objects").join(key_of(&row).path());
    let foreign = object.with_file_name("holiday.mp4");
    std::fs::write(&foreign, b"not ours").unwrap();
    let report = rig.check(repairing()).await;
    assert_eq!(kinds(&report), [FindingKind::Foreign]);
    assert!(report.findings.listed[0].what.contains("holiday.mp4"));
    assert!(foreign.exists());
}
