//! A form that cannot be made is trouble of the one who asked for it.

use crate::common::within;
use crate::live_feeds::{clip, next, number, request};
use crate::rig::{self, Rig};
use framewell_decode::{Crop, Rectangle};
use framewell_imaging::{Error, LiveRequest, Output};
use framewell_media::AccessUnit;
use framewell_model::{ErrorKind, HasKind};
use std::time::Duration;

/// Next to the picture.
fn outside() -> Output {
    Output {
        crop: Some(Crop::Pixels(Rectangle {
            x: 9_000,
            y: 0,
            width: 16,
            height: 16,
        })),
        ..Output::jpeg(85)
    }
}

fn check(error: &Error) {
    let text = format!("{error:?}");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{text}");
    assert!(text.contains("outside the picture of 320x240"), "{text}");
}

#[tokio::test]
async fn a_bad_form_ends_its_own_push_and_nothing_else() {
    let (spec, clip) = clip(0);
    let units: Vec<&AccessUnit> = clip.video().collect();
    let rig = Rig::new(spec.start + Duration::from_secs(1)).await;
    rig.stream(1, &clip, units[..30].iter().copied());
    let mut good = rig.imaging.live(request()).unwrap();
    assert_eq!(number(&spec, &next(&mut good).await), 29);
    for from in [None, Some(spec.stamp(3).capture)] {
        let wish = LiveRequest {
            output: outside(),
            from,
            ..request()
        };
        let mut bad = rig.imaging.live(wish).unwrap();
        check(&within(bad.next()).await.unwrap().unwrap_err());
        assert!(within(bad.next()).await.is_none(), "{from:?}");
    }
    let mut now = rig::request(None);
    now.output = outside();
    // The next key frame is the 50th.
    for unit in &units[30..55] {
        rig.clock.set(unit.wall);
        rig.push([*unit]);
        check(&within(rig.imaging.image(&now)).await.unwrap_err());
        let image = next(&mut good).await;
        assert_eq!((image.image.captured, image.dropped), (unit.wall, 0));
    }
    let stats = rig.imaging.hub_stats();
    assert_eq!(stats.decoders, 1);
    // From the 25th on each once, and some of the past; no decoder began again.
    assert!(stats.samples < 60, "{}", stats.samples);
}
