//! Real footage goes through recording and clip without a changed picture.

use crate::recording::{Cuts, Recording, collect};
use framewell_model::{TimeRange, WallTime};
use framewell_testkit::encode::EncodedClip;
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// Larger files take a minute to decode twice and bring nothing new.
const MAX_FILE_BYTES: u64 = 3 << 20;

/// Real footage beside the checkout, if there is any.
#[expect(clippy::print_stdout, reason = "no test is skipped silently")]
fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/media");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("no ../shared/media beside the checkout: nothing is compared with real footage");
        return Vec::new();
    };
    entries
        .map(Result::unwrap)
        .filter(|entry| entry.metadata().unwrap().len() <= MAX_FILE_BYTES)
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "mp4"))
        .collect()
}

/// A hash of every decoded picture, in display order.
async fn pictures(path: &Path) -> Vec<String> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(path)
        .args("-map 0:v:0 -vsync passthrough -f framemd5 -".split(' '))
        .output()
        .await
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let hashes = text.lines().filter(|line| !line.starts_with('#'));
    hashes
        .map(|line| line.rsplit(',').next().unwrap().trim().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_of_real_footage_has_every_picture_of_the_original() {
    for path in files() {
        let start = WallTime::from_secs(1_767_225_600);
        let (source, name) = (path.clone(), path.display().to_string());
        let reading = tokio::task::spawn_blocking(move || EncodedClip::from_file(&source, start));
        let original = reading.await.unwrap().unwrap();
        let mut recording = Recording::new().await;
        recording
            .publish(
                &original,
                Cuts {
                    gops: 3,
                    pictures: 25,
                },
            )
            .await;
        let end = start.plus_micros(original.duration.micros() + 1_000_000);
        let wanted = TimeRange::new(start.plus_micros(-1_000_000), end).unwrap();
        let clip = recording
            .playback
            .clip(recording.channel, wanted)
            .await
            .unwrap();
        let copy = recording.dir.path().join("clip.mp4");
        std::fs::write(&copy, collect(clip.stream(0..clip.len)).await).unwrap();
        let (found, expected) = (pictures(&copy).await, pictures(&path).await);
        assert_eq!(found.len(), expected.len(), "pictures of {name}");
        assert_eq!(found, expected, "{name}");
    }
}
