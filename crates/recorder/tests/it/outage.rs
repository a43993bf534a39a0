//! Database, store or spool away: recording goes on, and nothing that was written is lost.

use crate::rig::{Camera, EVER, Rig, small_clip, until};
use framewell_live::EndReason;
use framewell_model::GapReason;
use sqlx::{Connection, SqliteConnection};

/// Takes the table of segments away, so that every statement on it fails, or gives it back.
async fn rename_table(rig: &Rig, from: &str, to: &str) {
    let url = format!("sqlite:{}", rig.dir.path().join("db").display());
    let mut database = SqliteConnection::connect(&url).await.unwrap();
    let statement = format!("ALTER TABLE {from} RENAME TO {to}");
    sqlx::query(sqlx::AssertSqlSafe(statement))
        .execute(&mut database)
        .await
        .unwrap();
    database.close().await.unwrap();
}

#[tokio::test]
async fn segments_recorded_while_the_database_is_away_are_published_later() {
    let mut rig = Rig::new().await;
    rig.record().await;
    let clip = small_clip().encode().unwrap();
    let mut camera = Camera::connect(&rig, &clip, small_clip().start);
    rename_table(&rig, "segment", "away").await;
    camera.play();
    camera.play();
    let (spool, id) = (rig.node.spool.clone(), rig.channel);
    until("segments that readers see meanwhile", async || {
        (spool.pieces(id, EVER).len() == 4).then_some(())
    })
    .await;
    camera.end_run(EndReason::CameraLost);
    rename_table(&rig, "away", "segment").await;
    rig.until_published(4).await;
    rig.stop().await;
    rig.assert_recorded(&camera.video()).await;
    assert!(rig.files("spool").is_empty());
}

#[tokio::test]
async fn gap_rows_wait_for_the_database_too() {
    let mut rig = Rig::new().await;
    rig.record().await;
    let clip = small_clip().encode().unwrap();
    let mut camera = Camera::connect(&rig, &clip, small_clip().start);
    rename_table(&rig, "gap", "away").await;
    camera.play();
    camera.end_run(EndReason::CameraLost);
    rig.until_published(2).await;
    let back = camera.end().plus_micros(9_000_000);
    let mut again = Camera::connect(&rig, &clip, back);
    again.play();
    rig.until_published(3).await;
    rename_table(&rig, "away", "gap").await;
    let gaps = rig
        .until_gaps("a closed gap", |gaps| {
            gaps.first().is_some_and(|gap| gap.1.is_some())
        })
        .await;
    assert_eq!(gaps, [(camera.end(), Some(back), GapReason::CameraOffline)]);
    rig.stop().await;
}

#[tokio::test]
async fn segments_recorded_while_the_store_is_away_are_published_later() {
    let mut rig = Rig::new().await;
    let (objects, away) = (rig.dir.path().join("objects"), rig.dir.path().join("away"));
    std::fs::rename(&objects, &away).unwrap();
    std::fs::write(&objects, b"in the way").unwrap();
    rig.record().await;
    let clip = small_clip().encode().unwrap();
    let mut camera = Camera::connect(&rig, &clip, small_clip().start);
    camera.play();
    camera.end_run(EndReason::CameraLost);
    until("staged rows", async || {
        let staged = rig.catalog.list_staged_segments(10).await.unwrap();
        (staged.len() == 2).then_some(())
    })
    .await;
    std::fs::remove_file(&objects).unwrap();
    std::fs::rename(&away, &objects).unwrap();
    rig.until_published(2).await;
    rig.assert_recorded(&camera.video()).await;
    rig.stop().await;
}

#[tokio::test]
async fn a_spool_that_cannot_be_written_is_a_gap_until_it_can() {
    let mut rig = Rig::new().await;
    rig.record().await;
    let clip = small_clip().encode().unwrap();
    let mut camera = Camera::connect(&rig, &clip, small_clip().start);
    camera.play();
    rig.until_recorded(30).await;
    // Segments are cut every 2 s: the next file cannot be made.
    let folder = rig.dir.path().join("spool").join(rig.channel.to_string());
    let away = rig.dir.path().join("away");
    std::fs::rename(&folder, &away).unwrap();
    std::fs::write(&folder, b"in the way").unwrap();
    camera.play();
    let gaps = rig.until_gaps("an open gap", |gaps| gaps.len() == 1).await;
    assert_eq!(gaps[0].2, GapReason::StorageFailed);
    assert_eq!(gaps[0].1, None);
    std::fs::remove_file(&folder).unwrap();
    std::fs::rename(&away, &folder).unwrap();
    let gaps = until("a closed gap", async || {
        camera.play();
        let gaps = rig.gaps().await;
        gaps[0].1.is_some().then_some(gaps)
    })
    .await;
    rig.stop().await;
    let (start, end) = (gaps[0].0, gaps[0].1.unwrap());
    let samples = rig.samples().await;
    assert!(samples.iter().all(|s| s.wall < start || s.wall >= end));
    assert!(samples.iter().any(|s| s.wall == end && s.is_key));
}
