//! Pushes of a stream that is reordered, while somebody asks for its newest picture as well.

use crate::common::within;
use crate::live_feeds::{clip, frames_until, meant, request, sized};
use crate::rig::Rig;
use framewell_imaging::HubConfig;
use framewell_media::{AccessUnit, VideoCodec};
use framewell_testkit::encode::ClipSpec;
use std::time::Duration;

#[tokio::test]
async fn a_push_gets_every_picture_while_now_is_hot_too() {
    for codec in [VideoCodec::H264, VideoCodec::H265] {
        let spec = ClipSpec {
            codec,
            width: 320,
            height: 240,
            gop: 12,
            b_frames: 3,
            frames: 48,
            ..ClipSpec::default()
        };
        let clip = spec.encode().unwrap();
        let units: Vec<&AccessUnit> = clip.video().collect();
        let rig = Rig::new(spec.start + Duration::from_secs(1)).await;
        rig.stream(1, &clip, units[..1].iter().copied());
        let mut feed = rig.imaging.live(request()).unwrap();
        let mut slow = rig.imaging.live(sized(320, Some(5.0))).unwrap();
        rig.push(units[1..6].iter().copied());
        for unit in &units[6..36] {
            within(rig.image(None)).await.unwrap();
            rig.push([*unit]);
        }
        // Nobody asks any more, though the lease still runs; then the run ends.
        rig.push(units[36..].iter().copied());
        rig.track.end_run(framewell_live::EndReason::Stopped);
        let frames = frames_until(&mut feed, &spec, 47).await;
        assert_eq!(frames, (0..48).collect::<Vec<u32>>(), "{codec:?}");
        let expected = meant(&spec, 0, 5.0);
        let last = *expected.last().unwrap();
        assert_eq!(frames_until(&mut slow, &spec, last).await, expected);
        assert_eq!(rig.imaging.hub_stats().starts, 1);
    }
}

#[tokio::test]
async fn pushes_go_on_as_before_when_nobody_asks_for_now_any_more() {
    let (spec, clip) = clip(2);
    let units: Vec<&AccessUnit> = clip.video().collect();
    let rig = Rig::new(spec.start + Duration::from_secs(1)).await;
    let imaging = rig.imaging.clone().with_hub(HubConfig {
        lease: Duration::ZERO,
        ..HubConfig::default()
    });
    rig.stream(1, &clip, units[..1].iter().copied());
    let mut feed = imaging.live(request()).unwrap();
    rig.push(units[1..6].iter().copied());
    let mut frames = Vec::new();
    // Each request makes the decoder hurry for a moment, at every place of the pattern of pictures.
    for (asked, units) in units[6..].chunks(7).enumerate() {
        let now = crate::rig::request(None);
        within(imaging.image(&now)).await.unwrap();
        rig.push(units.iter().copied());
        if asked == 3 {
            frames = frames_until(&mut feed, &spec, 20).await;
        }
    }
    rig.track.end_run(framewell_live::EndReason::Stopped);
    frames.extend(frames_until(&mut feed, &spec, 99).await);
    assert_eq!(frames, (0..100).collect::<Vec<u32>>());
    assert_eq!(imaging.hub_stats().starts, 1);
}
