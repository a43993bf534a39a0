//! Pushes of a camera that sends hardly any key frame.

use crate::common::{until, within};
use crate::live_feeds::{clip, next, number, request, sized};
use crate::rig::{Rig, stamp};
use framewell_imaging::LiveRequest;
use framewell_media::AccessUnit;
use framewell_testkit::encode::EncodedClip;
use std::time::Duration;

/// The same picture with so many bytes of filler behind it (ITU-T H.264 section 7.3.2.7).
fn filled(unit: &AccessUnit, len: u32) -> AccessUnit {
    let mut data = unit.data.to_vec();
    data.extend_from_slice(&(len + 2).to_be_bytes());
    data.push(12);
    data.resize(data.len() + len as usize, 0xff);
    data.push(0x80);
    AccessUnit {
        data: data.into(),
        ..unit.clone()
    }
}

/// Two GOPs, after which the decoder knows their length, and half a megabyte for each picture of the
/// second one: it passes the bound in the middle.
fn endless(clip: &EncodedClip) -> Vec<AccessUnit> {
    let units = clip.video().take(50).enumerate();
    units
        .map(|(index, unit)| filled(unit, if index > 25 { 512 << 10 } else { 1 }))
        .collect()
}

#[tokio::test]
async fn a_gop_without_end_is_decoded_before_it_fills_the_memory() {
    let (spec, clip) = clip(0);
    let units = endless(&clip);
    let rig = Rig::new(spec.start + Duration::from_secs(1)).await;
    rig.stream(1, &clip, &units[..1]);
    let mut feed = rig.imaging.live(sized(320, Some(0.0001))).unwrap();
    assert_eq!(number(&spec, &next(&mut feed).await), 0);
    rig.push(&units[1..26]);
    // How long the first GOP would be was not known; the second one is held, as nobody wants any of it.
    until(|| rig.imaging.hub_stats().samples == 25).await;
    rig.push(&units[26..]);
    until(|| rig.imaging.hub_stats().samples >= 25 + 16).await;
}

#[tokio::test]
async fn a_gop_without_end_is_forgotten_when_key_frames_alone_are_wanted() {
    let (spec, clip) = clip(0);
    let units = endless(&clip);
    let rig = Rig::new(spec.start + Duration::from_secs(1)).await;
    rig.stream(1, &clip, &units[..1]);
    let wish = LiveRequest {
        is_keys_only: true,
        ..request()
    };
    let mut keys = rig.imaging.live(wish).unwrap();
    assert_eq!(number(&spec, &next(&mut keys).await), 0);
    rig.push(&units[1..26]);
    assert_eq!(number(&spec, &next(&mut keys).await), 25);
    for unit in &units[26..49] {
        rig.push([unit]);
        // The decoder reads its ring once for each of them.
        tokio::task::yield_now().await;
    }
    assert_eq!(rig.imaging.hub_stats().samples, 2);
    // Whoever comes now gets the newest picture, and the next ones, all the same.
    let now = within(rig.image(None)).await.unwrap();
    assert_eq!(stamp(&now), spec.stamp(48));
    rig.push(&units[49..]);
    let now = within(rig.image(None)).await.unwrap();
    assert_eq!(stamp(&now), spec.stamp(49));
    assert_eq!(rig.imaging.hub_stats().samples, 2 + 25);
    let later: Vec<&AccessUnit> = clip.video().skip(50).collect();
    rig.push(later[..26].iter().copied());
    assert_eq!(number(&spec, &next(&mut keys).await), 50);
}
