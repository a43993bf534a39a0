//! Pictures chosen by how much they changed.

use crate::common::{gops, job, pool};
use framewell_decode::{CHANGED, Changes, Error, Output, Picture, Pool};
use framewell_media::AccessUnit;
use framewell_model::WallTime;
use framewell_testkit::encode::EncodedClip;
use std::process::Command;

/// At five pictures a second: two seconds black, two seconds grey, two seconds white with a small
/// black square that moves.
fn clip() -> EncodedClip {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("changes.mp4");
    let graph = "color=black:s=320x240:r=5:d=2[a];color=gray:s=320x240:r=5:d=2[b];\
                 color=white:s=320x240:r=5:d=2[w];color=black:s=16x16:r=5:d=2[s];\
                 [w][s]overlay=x=t*100:y=50[c];[a][b][c]concat=n=3,format=yuv420p";
    let ran = Command::new("ffmpeg")
        .args(["-v", "error", "-filter_complex", graph, "-c:v", "libx264"])
        .args([
            "-x264-params",
            "bframes=2:keyint=30:scenecut=0",
            "-crf",
            "10",
        ])
        .arg(&path)
        .status()
        .unwrap();
    assert!(ran.success());
    EncodedClip::from_file(&path, WallTime::from_secs(0)).unwrap()
}

async fn chosen(
    pool: &Pool,
    clip: &EncodedClip,
    units: &[AccessUnit],
    changes: Changes,
) -> Result<Vec<Picture>, Error> {
    let mut job = job(clip, units, &[]);
    job.changes = Some(changes);
    pool.decode(job).await
}

fn above(threshold: f32) -> Changes {
    Changes {
        threshold,
        output: Output::jpeg(80),
        reference: None,
        from_pts: i64::MIN,
    }
}

/// Presentation times, in order.
fn times(units: &[AccessUnit]) -> Vec<i64> {
    let mut times: Vec<i64> = units.iter().map(|unit| unit.pts.ticks).collect();
    times.sort_unstable();
    times
}

#[tokio::test]
async fn pictures_that_changed_enough_are_chosen() {
    let (pool, clip) = (pool(), clip());
    let gop = gops(&clip).remove(0);
    let times = times(&gop);
    assert_eq!(times.len(), 30);
    let found = chosen(&pool, &clip, &gop, above(0.1)).await.unwrap();
    let seen: Vec<i64> = found.iter().map(|picture| picture.pts).collect();
    assert_eq!(seen, [times[0], times[10], times[20]]);
    let amounts: Vec<f32> = found
        .iter()
        .map(|p| p.change.as_ref().unwrap().amount)
        .collect();
    assert_eq!(amounts[0], 1.0);
    assert!((amounts[1] - 0.5).abs() < 0.03, "{amounts:?}");
    assert!(found.iter().all(|picture| picture.tag == CHANGED));
    let moving = chosen(&pool, &clip, &gop, above(0.001)).await.unwrap();
    assert!(moving.len() > 8, "the square too: {}", moving.len());
}

#[tokio::test]
async fn a_reference_and_a_start_go_on_where_another_job_ended() {
    let (pool, clip) = (pool(), clip());
    let gop = gops(&clip).remove(0);
    let times = times(&gop);
    let first = chosen(&pool, &clip, &gop, above(0.1)).await.unwrap();
    let grey = first[1].change.clone().unwrap().signature;
    let from_grey = Changes {
        reference: Some(grey),
        from_pts: times[11],
        ..above(0.1)
    };
    let found = chosen(&pool, &clip, &gop, from_grey).await.unwrap();
    let seen: Vec<i64> = found.iter().map(|picture| picture.pts).collect();
    assert_eq!(seen, [times[20]]);
    let late = Changes {
        from_pts: times[25],
        ..above(1.0)
    };
    let found = chosen(&pool, &clip, &gop, late).await.unwrap();
    assert_eq!(
        found[0].pts, times[25],
        "the first one looked at counts as changed"
    );
    assert_eq!(found.len(), 1);
}

#[tokio::test]
async fn damage_before_a_look_is_an_error() {
    let (pool, clip) = (pool(), clip());
    let mut gop = gops(&clip).remove(0);
    let mut data = gop[4].data.to_vec();
    let len = data.len();
    data[5..len].fill(0xa5);
    gop[4].data = data.into();
    let result = chosen(&pool, &clip, &gop, above(0.1)).await;
    assert!(
        matches!(result, Err(Error::Bitstream(_))),
        "{:?}",
        result.is_ok()
    );
}
