//! A form that cannot be made of one channel of a group.

use crate::common::within;
use crate::live_feeds::clip;
use crate::rig::{Rig, channel, run};
use framewell_decode::{Crop, Rectangle};
use framewell_imaging::{Delivery, Grid, GroupFeed, GroupRequest, ImageSet, Output};
use framewell_live::{SourceState, Track};
use framewell_media::AccessUnit;
use framewell_model::{ChannelId, ChannelStatus, ErrorKind, HasKind, WallTime};
use framewell_testkit::encode::{ClipSpec, EncodedClip};
use std::time::Duration;

/// Inside pictures of 640x480, outside of those of 320x240.
fn request() -> GroupRequest {
    let crop = Rectangle {
        x: 400,
        y: 300,
        width: 64,
        height: 64,
    };
    GroupRequest {
        from: None,
        until: None,
        grid: Grid::new(25.0).unwrap(),
        fps: 25.0,
        tolerance_us: 1_000_000,
        patience: Duration::from_millis(100),
        output: Output {
            crop: Some(Crop::Pixels(crop)),
            ..Output::jpeg(85)
        },
        delivery: Delivery::Bounded(1_000),
    }
}

/// The larger channel, whose camera delivers these pictures and goes on delivering.
fn begin(track: &Track, clip: &EncodedClip, units: &[&AccessUnit]) {
    track.set_source_state(SourceState {
        status: ChannelStatus::Active,
        since: WallTime::from_secs(0),
        detail: None,
        run: None,
    });
    track.begin_run(run(2), clip.parameters.clone().into_shared());
    for unit in units {
        assert!(track.push((*unit).clone()));
    }
}

/// The next set, in which the small channel has to say that its form cannot be made.
async fn next(feed: &mut GroupFeed) -> ImageSet {
    loop {
        let set = within(feed.next()).await.unwrap();
        let (id, small) = &set.entries[0];
        assert_eq!(*id, channel());
        let error = small.as_ref().unwrap_err();
        // Until its first picture has been looked at, it is only late.
        if error.kind() != ErrorKind::Timeout {
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error:?}");
            assert!(format!("{error:?}").contains("outside the picture of 320x240"));
            return set;
        }
    }
}

#[tokio::test]
async fn a_channel_that_cannot_give_the_form_says_so_and_is_not_tried_again() {
    let (spec, small) = clip(0);
    let large = ClipSpec {
        width: 640,
        height: 480,
        ..spec.clone()
    };
    let large = large.encode().unwrap();
    let small_units: Vec<&AccessUnit> = small.video().collect();
    let large_units: Vec<&AccessUnit> = large.video().collect();
    let rig = Rig::new(spec.start + Duration::from_secs(1)).await;
    rig.stream(1, &small, small_units[..30].iter().copied());
    let other: ChannelId = "8".parse().unwrap();
    let track = rig.registry.track(other);
    begin(&track, &large, &large_units[..30]);
    let mut feed = rig.imaging.live_group([channel(), other], request());
    let mut pushed = 30;
    // The other channel gives its pictures as if nothing were the matter.
    let mut pictures = 0;
    let mut set = None;
    while pictures < 3 {
        let (small, large) = (small_units[pushed], large_units[pushed]);
        rig.clock.set(large.wall);
        rig.push([small]);
        assert!(track.push(large.clone()));
        pushed += 1;
        let told = next(&mut feed).await;
        pictures += usize::from(told.entries[1].1.is_ok());
        set = Some(told);
    }
    assert!(set.is_some_and(|set| set.entries.len() == 2));
    // In silence a set comes every two seconds, and so often a channel that fails is tried again.
    let starts = rig.imaging.hub_stats().starts;
    for _ in 0..3 {
        rig.clock.advance(Duration::from_secs(2));
        next(&mut feed).await;
    }
    assert_eq!(rig.imaging.hub_stats().starts, starts);
}
