//! One group of pictures, and the jobs that it makes.

use super::cut::Piece;
use framewell_decode::{JobSample, RenderFrame};
use framewell_jobs::Failure;
use framewell_media::{AccessUnit, StreamParameters};
use framewell_model::WallTime;
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

/// Most bytes of a group of pictures that is held, its sound with it.
const MOST_BYTES: usize = 64 << 20;
/// Most pictures of a group: each of its jobs decodes from the key frame on, so the work grows with the square.
const MOST_PICTURES: usize = 4_096;

/// One group of pictures.
#[derive(Debug, Default)]
pub(super) struct Gop {
    pub(super) pictures: Vec<AccessUnit>,
    pub(super) sound: Vec<AccessUnit>,
    pub(super) starts_run: bool,
    /// What is held, each unit with its own size: millions of units may be a few bytes each.
    bytes: usize,
}

impl Gop {
    /// Adds a picture of this group. What is longer than any real group is left out up to the next key frame.
    pub(super) fn add_picture(&mut self, unit: AccessUnit) -> Result<(), Failure> {
        if self.pictures.len() >= MOST_PICTURES {
            return Err(Failure::last(format!(
                "the footage has more than {MOST_PICTURES} pictures from one key frame to the next"
            )));
        }
        let has_begun = !self.pictures.is_empty();
        if unit.is_key || (has_begun && self.bytes < MOST_BYTES) {
            self.bytes += held_bytes(&unit);
            self.pictures.push(unit);
        }
        Ok(())
    }

    /// Adds sound that came with these pictures.
    pub(super) fn add_sound(&mut self, unit: AccessUnit) {
        if self.bytes < MOST_BYTES {
            self.bytes += held_bytes(&unit);
            self.sound.push(unit);
        }
    }
}

fn held_bytes(unit: &AccessUnit) -> usize {
    size_of::<AccessUnit>() + unit.data.len()
}

/// A group that is cut into jobs, one at a time: each has all samples from the key frame on.
#[derive(Debug)]
pub(super) struct Cutting {
    pub(super) gop: Gop,
    pub(super) parameters: Arc<StreamParameters>,
    /// What is shown and is in no job yet.
    pub(super) wanted: VecDeque<(RenderFrame, WallTime)>,
    pub(super) sound_at: Option<i64>,
    pub(super) per_job: usize,
}

impl Cutting {
    /// The next job; `None` at the end.
    pub(super) fn next(&mut self) -> Option<Piece> {
        let count = self.wanted.len().min(self.per_job);
        if count == 0 {
            return None;
        }
        let (frames, captured): (Vec<RenderFrame>, _) = self.wanted.drain(..count).unzip();
        let shown: HashSet<i64> = frames.iter().map(|frame| frame.pts).collect();
        let pictures = &self.gop.pictures;
        let last = pictures
            .iter()
            .rposition(|unit| shown.contains(&unit.pts.ticks));
        let samples = pictures.iter().take(last.map_or(0, |last| last + 1));
        Some(Piece {
            parameters: Arc::clone(&self.parameters),
            samples: samples.map(sample).collect(),
            frames,
            captured,
            sound: std::mem::take(&mut self.gop.sound),
            sound_at: self.sound_at.take(),
            starts_run: std::mem::take(&mut self.gop.starts_run),
        })
    }
}

fn sample(unit: &AccessUnit) -> JobSample {
    JobSample {
        pts: unit.pts.ticks,
        data: unit.data.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use framewell_media::{TrackKind, VideoCodec, VideoParameters};
    use framewell_model::{ClockSource, MediaTime, Timescale};

    fn unit(ticks: i64, len: usize) -> AccessUnit {
        let pts = MediaTime::new(ticks, Timescale::HZ_90K);
        AccessUnit {
            track: TrackKind::Video,
            pts,
            dts: pts,
            wall: WallTime::from_micros(ticks),
            clock: ClockSource::ServerArrival,
            is_key: ticks == 0,
            data: vec![0; len].into(),
        }
    }

    #[test]
    fn a_group_of_very_many_pictures_is_an_error_that_lasts() {
        let mut gop = Gop::default();
        for ticks in 0..4_096 {
            gop.add_picture(unit(ticks, 5)).unwrap();
        }
        let error = gop.add_picture(unit(4_096, 5)).unwrap_err();
        assert!(error.final_text().unwrap().contains("4096 pictures"));
    }

    #[test]
    fn a_group_holds_so_many_bytes_with_its_sound() {
        let mut gop = Gop::default();
        gop.add_picture(unit(0, 40 << 20)).unwrap();
        gop.add_sound(unit(1, 24 << 20));
        gop.add_sound(unit(2, 1));
        gop.add_picture(unit(3, 1)).unwrap();
        assert_eq!((gop.pictures.len(), gop.sound.len()), (1, 1));
    }

    #[test]
    fn jobs_are_made_one_by_one_and_have_what_they_need() {
        let mut gop = Gop::default();
        for ticks in 0..10 {
            gop.add_picture(unit(ticks, 5)).unwrap();
        }
        gop.add_sound(unit(0, 5));
        let video = VideoParameters {
            codec: VideoCodec::H264,
            width: 640,
            height: 360,
            config: bytes::Bytes::new(),
            reorder_depth: 0,
            rfc6381: String::new(),
        };
        let shown = 2..10;
        let wanted = shown.map(|at| (RenderFrame::plain(at, at), WallTime::from_micros(at)));
        let mut cutting = Cutting {
            gop,
            parameters: StreamParameters { video, audio: None }.into_shared(),
            wanted: wanted.collect(),
            sound_at: Some(0),
            per_job: 3,
        };
        let pieces = std::iter::from_fn(|| cutting.next());
        let sizes: Vec<_> = pieces
            .map(|piece| (piece.samples.len(), piece.frames.len(), piece.sound.len()))
            .collect();
        assert_eq!(sizes, [(5, 3, 1), (8, 3, 0), (10, 2, 0)]);
    }
}
