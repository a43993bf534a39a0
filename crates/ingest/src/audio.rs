//! Puts the audio track on the video track's time.

use framewell_model::{MediaTime, Timescale, WallTime};

/// Sender reports that move the audio by less than this are jitter.
const RESYNC_US: i64 = 50_000;

/// One instant on a track's RTP clock (unwrapped ticks) and on the camera's wall clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Report {
    pub(crate) ntp: WallTime,
    pub(crate) ticks: i64,
    pub(crate) arrival: WallTime,
}

/// The audio clock of one run: audio ticks minus `origin` count from the start of the run, as the
/// video's do.
#[derive(Debug)]
pub(crate) struct AudioClock {
    scale: Timescale,
    origin: Option<i64>,
    last_pts: Option<i64>,
}

impl AudioClock {
    pub(crate) const fn new(scale: Timescale) -> Self {
        Self {
            scale,
            origin: None,
            last_pts: None,
        }
    }

    /// Both tracks' reports relate the clocks: `video_us` is the media time of the video's report.
    pub(crate) fn align(&mut self, video: Report, video_us: i64, audio: Report) {
        let media_us = video_us.saturating_add(audio.ntp.micros_since(video.ntp));
        let origin = audio.ticks - self.scale.from_micros(media_us);
        let tolerated = self.scale.from_micros(RESYNC_US);
        if self
            .origin
            .is_none_or(|before| (before - origin).abs() > tolerated)
        {
            self.origin = Some(origin);
        }
    }

    /// Presentation time of a frame. Without reports the RTSP session's own relation holds: `npt` is
    /// the frame's time since the start of play, and `run_start_us` that of the run.
    ///
    /// `None` for a frame that is not after the one before it: the clocks were aligned anew.
    pub(crate) fn place(
        &mut self,
        ticks: i64,
        npt_ticks: i64,
        run_start_us: i64,
    ) -> Option<MediaTime> {
        let by_play = ticks - npt_ticks + self.scale.from_micros(run_start_us);
        let origin = *self.origin.get_or_insert(by_play);
        let pts = ticks - origin;
        if pts < 0 || self.last_pts.is_some_and(|last| pts <= last) {
            return None;
        }
        self.last_pts = Some(pts);
        Some(MediaTime::new(pts, self.scale))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock() -> AudioClock {
        AudioClock::new(Timescale::new(8_000).unwrap())
    }

    #[test]
    fn without_reports_the_start_of_play_relates_the_tracks() {
        let mut clock = clock();
        // The run began half a second into play; this frame lies at one second.
        let pts = clock.place(1_008_000, 8_000, 500_000).unwrap();
        assert_eq!(pts.micros(), 500_000);
        assert_eq!(clock.place(1_008_160, 8_160, 500_000).unwrap().ticks, 4_160);
    }

    #[test]
    fn reports_of_both_tracks_win() {
        let mut clock = clock();
        let at = |us: i64, ticks| Report {
            ntp: WallTime::from_micros(us),
            ticks,
            arrival: WallTime::from_micros(us),
        };
        // The video's report says: media time 2 s is wall time 10 s. Audio tick 80,000 is 10.5 s.
        clock.align(at(10_000_000, 0), 2_000_000, at(10_500_000, 80_000));
        assert_eq!(clock.place(80_000, 0, 0).unwrap().micros(), 2_500_000);
        // A few milliseconds of jitter move nothing.
        clock.align(at(10_000_000, 0), 2_000_000, at(10_504_000, 80_000));
        assert_eq!(clock.place(80_160, 0, 0).unwrap().micros(), 2_520_000);
    }

    #[test]
    fn frames_before_the_run_or_out_of_order_are_left_out() {
        let mut clock = clock();
        assert_eq!(clock.place(1_000, 0, 500_000), None);
        assert!(clock.place(9_000, 8_000, 500_000).is_some());
        assert_eq!(clock.place(9_000, 8_000, 500_000), None);
    }
}
