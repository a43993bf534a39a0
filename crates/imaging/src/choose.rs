//! Which picture of a GOP is meant. Pure functions over samples in decoding order; with B pictures the
//! capture times jump.

use framewell_footage::{CompressedGop, TICK_US};
use framewell_model::WallTime;

/// Pictures that count as the GOP's: its own but for leading ones, which refer to the GOP before, then
/// the leading ones of the next GOP, which refer to this one.
fn pictures(gop: &CompressedGop) -> impl Iterator<Item = (usize, WallTime)> {
    let key = gop.samples.first().map(|sample| sample.pts);
    let next = gop.samples.get(gop.own).map(|sample| sample.pts);
    let counts = move |(index, pts): (usize, i64)| {
        if index < gop.own {
            key.is_some_and(|key| pts >= key)
        } else {
            next.is_some_and(|next| pts < next)
        }
    };
    let all = gop.samples.iter().enumerate();
    all.filter(move |(index, sample)| counts((*index, sample.pts)))
        .map(|(index, sample)| (index, sample.wall))
}

/// The picture on screen at `at`: of those captured at or before it, the last one. A capture time from
/// live video finds the same picture in the recording, where rounding may have moved it, and the other
/// way round.
pub(crate) fn last_by(gop: &CompressedGop, at: WallTime) -> Option<usize> {
    let until = at.plus_micros(TICK_US);
    let captured = pictures(gop).filter(|(_, wall)| *wall <= until);
    captured
        .max_by_key(|(_, wall)| *wall)
        .map(|(index, _)| index)
}

/// The first picture captured at or after `at`, with the same tolerance.
pub(crate) fn first_from(gop: &CompressedGop, at: WallTime) -> Option<usize> {
    let from = at.plus_micros(-TICK_US);
    let captured = pictures(gop).filter(|(_, wall)| *wall >= from);
    captured
        .min_by_key(|(_, wall)| *wall)
        .map(|(index, _)| index)
}

/// Capture time of the picture shown after that of `index`, if the samples have one.
pub(crate) fn following(gop: &CompressedGop, index: usize) -> Option<WallTime> {
    let shown = gop.samples.get(index)?.wall;
    let later = gop.samples.iter().map(|sample| sample.wall);
    later.filter(|wall| *wall > shown).min()
}

/// Of a picture before an instant and one after it, whether the one before is the nearest; it is if
/// they are equally near.
pub(crate) fn is_before_nearer(before: WallTime, at: WallTime, after: WallTime) -> bool {
    at.micros_since(before).abs() <= after.micros_since(at).abs()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use bytes::Bytes;
    use framewell_footage::GopSample;
    use framewell_media::{VideoCodec, VideoParameters};
    use framewell_model::ClockSource;
    use std::sync::Arc;

    /// A GOP with pictures captured at these ms, decoding order; the first is the key frame. `own` of
    /// them are its own. `header` gives the NAL header of each.
    pub(crate) fn gop(millis: &[i64], own: usize, header: impl Fn(usize) -> u8) -> CompressedGop {
        let sample = |(index, ms): (usize, &i64)| GopSample {
            pts: ms * 90,
            wall: WallTime::from_micros(ms * 1_000),
            is_key: index == 0 || index == own,
            data: Bytes::from(vec![0, 0, 0, 2, header(index), 1]),
        };
        CompressedGop {
            run: "01900000-0000-7000-8000-000000000001".parse().unwrap(),
            video: Arc::new(VideoParameters {
                codec: VideoCodec::H264,
                width: 320,
                height: 240,
                config: Bytes::new(),
                reorder_depth: 0,
                rfc6381: String::new(),
            }),
            samples: millis.iter().enumerate().map(sample).collect(),
            own,
            clock: ClockSource::CameraRtcp,
        }
    }

    fn at(ms: i64) -> WallTime {
        WallTime::from_micros(ms * 1_000)
    }

    fn plain(millis: &[i64]) -> CompressedGop {
        gop(millis, millis.len(), |_| 0x65)
    }

    #[test]
    fn the_picture_on_screen_is_the_last_one_captured_by_then() {
        let gop = plain(&[0, 40, 80]);
        let found = |ms| last_by(&gop, at(ms));
        assert_eq!(
            [-1, 0, 39, 40, 9_999].map(found),
            [None, Some(0), Some(0), Some(1), Some(2)]
        );
        let from = |ms| first_from(&gop, at(ms));
        assert_eq!(
            [-9, 0, 1, 80, 81].map(from),
            [Some(0), Some(0), Some(1), Some(2), None]
        );
    }

    #[test]
    fn a_capture_time_that_was_rounded_finds_its_picture() {
        let gop = plain(&[0, 40, 80]);
        assert_eq!(last_by(&gop, at(40).plus_micros(-1)), Some(1));
        assert_eq!(first_from(&gop, at(40).plus_micros(1)), Some(1));
    }

    #[test]
    fn b_pictures_are_found_by_capture_time_not_by_place() {
        // Decoding order I P B B P B B.
        let gop = plain(&[0, 120, 40, 80, 240, 160, 200]);
        let on_screen = |ms| last_by(&gop, at(ms));
        assert_eq!(
            [0, 40, 80, 120, 160, 200, 240].map(on_screen),
            [0, 2, 3, 1, 5, 6, 4].map(Some)
        );
        assert_eq!(on_screen(119), Some(3));
        assert_eq!(first_from(&gop, at(41)), Some(3));
        assert_eq!(following(&gop, 3), Some(at(120)));
        assert_eq!(following(&gop, 4), None);
    }

    #[test]
    fn leading_pictures_count_for_the_gop_before_them() {
        // Own leading picture at -40; next GOP: key at 120 with leading pictures 80 and 100.
        let gop = gop(&[0, -40, 40, 120, 80, 100], 3, |_| 0x65);
        assert_eq!(first_from(&gop, at(-100)), Some(0));
        assert_eq!(last_by(&gop, at(90)), Some(4));
        assert_eq!(
            last_by(&gop, at(500)),
            Some(5),
            "the next key frame is another GOP's"
        );
        assert_eq!(first_from(&gop, at(101)), None);
    }

    #[test]
    fn of_two_equally_near_the_earlier_one_is_nearest() {
        assert!(is_before_nearer(at(0), at(20), at(40)));
        assert!(!is_before_nearer(at(0), at(21), at(40)));
    }
}
