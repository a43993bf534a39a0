//! How long the parts of a channel are.

use framewell_live::Gop;
use framewell_media::TrackKind;

/// What parts should last, in ticks of 90 kHz: a third of a second. Shorter ones bring a picture to the
/// viewer sooner and cost every viewer more requests.
const AIM_TICKS: i64 = 30_000;
/// By how much a part may be longer than it should, in percent: cameras do not keep exact time. The limit
/// that a playlist states is above what parts last by this much, and parts must reach 85 percent of it.
const LENIENCE_PERCENT: i64 = 5;

/// The longest part, in ticks: whole pictures, about [`AIM_TICKS`], and as even as the segments that they
/// have to fill allow. `gops` are the newest ones of a run; segments are made of GOPs and have
/// `segment_ticks` at least.
pub(super) fn longest_part(gops: &[Gop], segment_ticks: i64) -> i64 {
    let lengths = gops.windows(2).rev().find_map(|pair| {
        let length = first_dts(&pair[1])? - first_dts(&pair[0])?;
        let pictures = pictures(&pair[0]).count();
        (length > 0 && pictures > 0).then_some((length, pictures))
    });
    match lengths {
        Some((gop_ticks, pictures)) => {
            let picture_ticks = (gop_ticks / count(pictures)).max(1);
            let gops = segment_ticks.div_euclid(gop_ticks)
                + i64::from(segment_ticks.rem_euclid(gop_ticks) > 0);
            let in_segment = gops.max(1) * count(pictures);
            let parts = rounded(in_segment * picture_ticks, AIM_TICKS).max(1);
            lenient((in_segment + parts - 1) / parts * picture_ticks)
        }
        None => lenient(of_open_gop(gops.last()).unwrap_or(AIM_TICKS)),
    }
}

/// As many pictures as fit, by the pictures of one GOP that still grows.
fn of_open_gop(gop: Option<&Gop>) -> Option<i64> {
    let mut dts = pictures(gop?);
    let first = dts.next()?;
    let rest: Vec<i64> = dts.collect();
    let picture_ticks = (rest.last()? - first) / count(rest.len());
    let fitting = AIM_TICKS.checked_div(picture_ticks)?;
    Some(fitting.max(1) * picture_ticks)
}

const fn lenient(ticks: i64) -> i64 {
    ticks + ticks * LENIENCE_PERCENT / 100
}

const fn rounded(number: i64, by: i64) -> i64 {
    (number + by / 2) / by
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn first_dts(gop: &Gop) -> Option<i64> {
    pictures(gop).next()
}

/// Decode times of the pictures.
fn pictures(gop: &Gop) -> impl Iterator<Item = i64> {
    let videos = gop.units.iter().filter(|u| u.track == TrackKind::Video);
    videos.map(|unit| unit.dts.ticks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use framewell_media::{AccessUnit, StreamParameters, VideoCodec, VideoParameters};
    use framewell_model::{ClockSource, MediaTime, RunId, Timescale, WallTime};
    use uuid::Uuid;

    fn gop(id: u64, first: i64, pictures: i64, picture_ticks: i64) -> Gop {
        let video = VideoParameters {
            codec: VideoCodec::H264,
            width: 640,
            height: 360,
            config: Bytes::new(),
            reorder_depth: 0,
            rfc6381: String::new(),
        };
        let unit = |n: i64| AccessUnit {
            track: TrackKind::Video,
            pts: MediaTime::new((first + n) * picture_ticks, Timescale::HZ_90K),
            dts: MediaTime::new((first + n) * picture_ticks, Timescale::HZ_90K),
            wall: WallTime::from_secs(0),
            clock: ClockSource::ServerArrival,
            is_key: n == 0,
            data: Bytes::new(),
        };
        Gop {
            id,
            run: RunId::from_uuid(Uuid::from_u128(1)),
            parameters: StreamParameters { video, audio: None }.into_shared(),
            units: (0..pictures).map(unit).collect(),
            is_closed: true,
            bytes: 0,
        }
    }

    /// Milliseconds, of whole GOPs in segments of a second.
    fn of_gops(pictures: i64, fps: i64) -> i64 {
        let picture_ticks = 90_000 / fps;
        let gops = [
            gop(1, 0, pictures, picture_ticks),
            gop(2, pictures, 1, picture_ticks),
        ];
        longest_part(&gops, 90_000) / 90
    }

    #[test]
    fn parts_are_even_and_about_a_third_of_a_second() {
        assert_eq!(of_gops(25, 25), 378, "9, 9 and 7 pictures");
        assert_eq!(of_gops(50, 25), 378, "5 times 9 and 5");
        assert_eq!(of_gops(30, 30), 350, "3 times 10");
        assert_eq!(of_gops(10, 25), 336, "8, 8, 8 and 6 of three short GOPs");
        assert_eq!(of_gops(1, 25), 378, "key frames only");
        assert_eq!(of_gops(10, 10), 420, "4, 4 and 2");
        assert_eq!(of_gops(10, 1), 1_050, "a picture each");
    }

    #[test]
    fn a_gop_that_grows_tells_the_length_of_a_picture() {
        let open = |pictures| longest_part(&[gop(1, 0, pictures, 3_600)], 90_000) / 90;
        assert_eq!(open(3), 336);
        assert_eq!(open(1), 350);
        assert_eq!(longest_part(&[], 90_000) / 90, 350);
    }
}
