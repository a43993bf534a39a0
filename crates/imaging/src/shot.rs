//! Which picture is meant, and which samples its decoding needs. Pure functions.

use bytes::Bytes;
use framewell_decode::{Job, JobSample, Output};
use framewell_footage::{CompressedGop, GopSample, TICK_US};
use framewell_live::Gop;
use framewell_media::nal::{self, NalKind};
use framewell_media::{AccessUnit, TrackKind, VideoCodec, VideoParameters};
use framewell_model::{ClockSource, RunId, WallTime};
use std::sync::Arc;

/// One picture in compressed form, with what it refers to.
#[derive(Debug, Clone)]
pub(crate) struct Shot {
    /// Capture time.
    pub(crate) captured: WallTime,
    /// Where that time comes from.
    pub(crate) clock: ClockSource,
    /// The run it belongs to.
    pub(crate) run: RunId,
    /// Presentation time, in ticks of its run.
    pub(crate) pts: i64,
    /// Whether it is the key frame.
    pub(crate) is_key: bool,
    video: Arc<VideoParameters>,
    /// From the key frame to the picture, decoding order.
    samples: Vec<JobSample>,
}

impl Shot {
    /// From a GOP of the live ring, and the one after it if that is of the same run and parameters;
    /// `None` if nothing in them was captured at or before `at`.
    ///
    /// The next GOP counts for its leading pictures only: in an open GOP (H.265 section 3.81, RASL)
    /// those are shown before its key frame and refer to the GOP before.
    pub(crate) fn of_live(gop: &Gop, next: Option<&Gop>, at: WallTime) -> Option<Self> {
        let samples: Vec<&AccessUnit> = pictures(gop)
            .chain(next.into_iter().flat_map(up_to_leading))
            .collect();
        let video = &gop.parameters.video;
        let index = on_screen(samples.iter().map(|unit| unit.wall), at)?;
        let needed = needed(video.codec, &samples[..=index], |unit| &unit.data);
        Some(Self {
            captured: samples[index].wall,
            clock: samples[index].clock,
            run: gop.run,
            pts: samples[index].pts.ticks,
            is_key: samples[index].is_key,
            video: Arc::new(video.clone()),
            samples: needed
                .map(|unit| JobSample {
                    pts: unit.pts.ticks,
                    data: unit.data.clone(),
                })
                .collect(),
        })
    }

    /// From recorded footage; `None` if nothing in it was captured at or before `at`.
    pub(crate) fn of_footage(gop: CompressedGop, at: WallTime) -> Option<Self> {
        let index = on_screen(gop.samples.iter().map(|sample| sample.wall), at)?;
        let wanted = &gop.samples[index];
        let samples: Vec<&GopSample> = gop.samples[..=index].iter().collect();
        let needed = needed(gop.video.codec, &samples, |sample| &sample.data);
        Some(Self {
            captured: wanted.wall,
            clock: gop.clock,
            run: gop.run,
            pts: wanted.pts,
            is_key: wanted.is_key,
            samples: needed
                .map(|sample| JobSample {
                    pts: sample.pts,
                    data: sample.data.clone(),
                })
                .collect(),
            video: gop.video,
        })
    }

    /// The decoder's job.
    pub(crate) fn job(&self, output: Output) -> Job {
        Job::single(
            Arc::clone(&self.video),
            self.samples.clone(),
            self.pts,
            output,
        )
    }
}

fn pictures(gop: &Gop) -> impl Iterator<Item = &AccessUnit> {
    gop.units.iter().filter(|u| u.track == TrackKind::Video)
}

/// The key frame and its leading pictures; they come right behind it in decoding order.
fn up_to_leading(gop: &Gop) -> impl Iterator<Item = &AccessUnit> {
    let key = pictures(gop).next().map(|unit| unit.pts.ticks);
    pictures(gop).take_while(move |unit| key.is_some_and(|key| unit.pts.ticks <= key))
}

/// Index of the picture on screen at `at`: of those captured at or before it, the last one. Capture
/// times come in decoding order, so with B pictures they jump. A capture time from live video finds
/// the same picture in the recording, where rounding may have moved it, and the other way round.
fn on_screen(walls: impl Iterator<Item = WallTime>, at: WallTime) -> Option<usize> {
    let until = at.plus_micros(TICK_US);
    let captured = walls.enumerate().filter(|(_, wall)| *wall <= until);
    captured
        .max_by_key(|(_, wall)| *wall)
        .map(|(index, _)| index)
}

/// The samples that the last one's decoding needs: those before it in decoding order, without
/// pictures that nothing refers to.
fn needed<'a, T>(
    codec: VideoCodec,
    samples: &'a [&'a T],
    data: impl Fn(&T) -> &Bytes + 'a,
) -> impl Iterator<Item = &'a T> {
    let last = samples.len().saturating_sub(1);
    let is_needed =
        move |index: usize, sample: &T| index == last || !is_unreferenced(codec, data(sample));
    let all = samples.iter().copied().enumerate();
    all.filter(move |(index, sample)| is_needed(*index, sample))
        .map(|(_, sample)| sample)
}

/// Whether no other picture refers to this one: H.264 `nal_ref_idc` is 0 (ITU-T H.264 section
/// 7.4.1). H.265 marks that per temporal layer only, so its pictures all count as referred to.
pub(crate) fn is_unreferenced(codec: VideoCodec, data: &Bytes) -> bool {
    const REF_IDC: u8 = 0b0110_0000;
    let is_slice = |nal: &Bytes| nal::kind(codec, nal) == NalKind::Slice;
    let slice = nal::split_length_prefixed(data).find(is_slice);
    codec == VideoCodec::H264
        && slice.is_some_and(|nal| nal.first().is_some_and(|header| header & REF_IDC == 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walls(millis: &[i64]) -> impl Iterator<Item = WallTime> {
        millis.iter().map(|ms| WallTime::from_micros(ms * 1000))
    }

    fn at(ms: i64) -> WallTime {
        WallTime::from_micros(ms * 1000)
    }

    #[test]
    fn the_picture_on_screen_is_the_last_one_captured_by_then() {
        let captured = [0, 40, 80];
        assert_eq!(on_screen(walls(&captured), at(-1)), None);
        assert_eq!(on_screen(walls(&captured), at(0)), Some(0));
        assert_eq!(on_screen(walls(&captured), at(39)), Some(0));
        assert_eq!(on_screen(walls(&captured), at(40)), Some(1));
        assert_eq!(on_screen(walls(&captured), at(9999)), Some(2));
    }

    #[test]
    fn a_capture_time_that_was_rounded_down_finds_its_picture() {
        let asked = at(40).plus_micros(-1);
        assert_eq!(on_screen(walls(&[0, 40, 80]), asked), Some(1));
    }

    #[test]
    fn b_pictures_are_found_by_capture_time_not_by_place() {
        // Decoding order I P B B P B B.
        let captured = [0, 120, 40, 80, 240, 160, 200];
        let found = |ms| on_screen(walls(&captured), at(ms));
        assert_eq!(
            [0, 40, 80, 120, 160, 200, 240].map(found),
            [0, 2, 3, 1, 5, 6, 4].map(Some)
        );
        assert_eq!(found(119), Some(3));
    }

    fn sample(header: &[u8]) -> Bytes {
        let length = u32::try_from(header.len()).unwrap().to_be_bytes();
        Bytes::from([&length[..], header].concat())
    }

    #[test]
    fn unreferenced_pictures_before_the_wanted_one_are_left_out() {
        let (idr, p, b) = (sample(&[0x65, 1]), sample(&[0x41, 2]), sample(&[0x01, 3]));
        let sei_then_b = Bytes::from([sample(&[0x06, 9]), b.clone()].concat());
        let gop = [&idr, &p, &b, &sei_then_b, &p, &b];
        let kept = |count: usize| needed(VideoCodec::H264, &gop[..count], |s| s).count();
        assert_eq!([1, 2, 3, 4, 5, 6].map(kept), [1, 2, 3, 3, 3, 4]);
        let all = needed(VideoCodec::H265, &gop, |s| s).count();
        assert_eq!(all, 6);
    }
}
