//! Real footage through a real session, where there is some.

use crate::rig::{Rig, Seen, source};
use framewell_testkit::camera::{Camera, CameraConfig, Source};
use framewell_testkit::clock::wall_now;
use framewell_testkit::encode::EncodedClip;
use framewell_testkit::footage;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Enough for B-frames and for a GOP or more of most files.
const FRAMES: usize = 40;

#[tokio::test]
async fn real_footage_arrives_unit_by_unit() {
    let files = footage::files();
    if files.is_empty() {
        println!("not run: there is no folder of real footage");
    }
    // At once: some have a key frame only every ten seconds.
    let mut tasks = JoinSet::new();
    for file in files {
        tasks.spawn(async move { arrives(&file).await });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
}

async fn arrives(file: &Path) {
    let clip = Arc::new(EncodedClip::from_file(file, wall_now()).unwrap());
    let config = CameraConfig {
        // The first key frame comes when the session is there; the next may be ten seconds later.
        delay: Duration::from_secs(1),
        ..CameraConfig::new(Source::Clip(Arc::clone(&clip)))
    };
    let camera = Camera::start(config).await.unwrap();
    let (rig, mut viewer) = Rig::with(source(&camera));
    let seen = viewer.video(FRAMES).await;

    let name = file.display();
    let parameters = viewer.track.parameters().unwrap();
    assert_eq!(parameters.video, clip.parameters.video, "{name}");
    assert_eq!(parameters.audio, clip.parameters.audio, "{name}");
    let sent: Vec<_> = clip.video().collect();
    let first = sent.iter().position(|u| u.data == seen[0].unit.data);
    let first = first.expect("the first picture is one of the file's");
    for (s, sent) in seen.iter().zip(sent.iter().cycle().skip(first)) {
        assert_eq!(s.unit.data, sent.data, "{name}");
        assert_eq!(s.unit.is_key, sent.is_key, "{name}");
        assert!(s.unit.dts.ticks <= s.unit.pts.ticks, "{name}");
    }
    let by_arrival = |w: &[Seen]| w[0].unit.dts.ticks < w[1].unit.dts.ticks;
    assert!(seen.windows(2).all(by_arrival), "{name}");
    for s in &seen {
        let (_, capture) = camera
            .truth()
            .frame_at(s.unit.wall.plus_micros(1_000))
            .unwrap();
        let error_us = s.unit.wall.micros_since(capture);
        assert!(error_us.abs() <= 1_000, "{name}: {error_us}");
    }
    rig.stop().await;
}
