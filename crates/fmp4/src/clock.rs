//! The clock of a file.

use framewell_media::{AccessUnit, AudioParameters, StreamParameters, TrackKind};
use framewell_model::{MediaTime, Timescale};

/// How long before its run the clock of a live stream starts.
const LIVE_LEAD_S: i64 = 10;

/// When the clock of a file starts, on the clock of the run.
///
/// `tfdt` and `prft` (ISO/IEC 14496-12 sections 8.8.12 and 8.16.5) hold unsigned ticks since then.
/// Players take them for the position and the length of the file, so a stored segment counts from its
/// own beginning. A box in every `traf` says where its track's clock starts on the run's: readers are
/// given the run's time whatever the file counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileClock {
    /// Media time 0 of the video, 90 kHz ticks of the run.
    video_origin: i64,
    /// Media time 0 of the audio, in its ticks of the run. Players are not shown older audio.
    audio_origin: i64,
}

impl FileClock {
    /// The clock of a live stream: all its fragments follow one init segment. It starts 10 s before
    /// the run, because decode times before a run's first picture are negative.
    #[must_use]
    pub fn of_run(parameters: &StreamParameters) -> Self {
        let start = MediaTime::new(-LIVE_LEAD_S * 90_000, Timescale::HZ_90K);
        Self {
            video_origin: start.ticks,
            audio_origin: start.rescale(audio_scale(parameters)).ticks,
        }
    }

    /// A clock that starts at these ticks of the run: 90 kHz for the video, its own for the audio. They
    /// may lie far before the run.
    #[must_use]
    pub const fn at(video_origin: i64, audio_origin: i64) -> Self {
        Self {
            video_origin,
            audio_origin,
        }
    }

    /// The clock of a stored segment whose first unit of video is `picture`. The video starts with
    /// its DTS, the audio when it is shown: the video's edit list makes that the same moment.
    pub(crate) fn of_segment(parameters: &StreamParameters, picture: &AccessUnit) -> Self {
        Self {
            video_origin: picture.dts.ticks,
            audio_origin: picture.pts.rescale(audio_scale(parameters)).ticks,
        }
    }

    /// Ticks of the run at which the clock of a track starts.
    pub(crate) const fn origin(&self, kind: TrackKind) -> i64 {
        match kind {
            TrackKind::Video => self.video_origin,
            TrackKind::Audio => self.audio_origin,
        }
    }
}

/// Timescale of the audio; any if there is none.
fn audio_scale(parameters: &StreamParameters) -> Timescale {
    let audio = parameters.audio.as_ref();
    audio.map_or(Timescale::HZ_90K, AudioParameters::timescale)
}

/// Where the first sample of a track run stands on the clock of its track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TrackClock {
    /// Ticks of the run at which the clock starts.
    pub(crate) origin: i64,
    /// Ticks since then, not negative.
    pub(crate) start: i64,
}

impl TrackClock {
    /// For a first sample that is decoded at `dts` of the run. Should that be before the clock of the
    /// file, the clock of this run of samples starts with it: readers are given the right time.
    pub(crate) fn new(origin: i64, dts: i64) -> Self {
        let start = dts.saturating_sub(origin).max(0);
        Self {
            origin: dts.saturating_sub(start),
            start,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_before_the_clock_of_its_file_keeps_its_time_of_the_run() {
        let clock = TrackClock::new(1_000, 400);
        assert_eq!((clock.origin, clock.start), (400, 0));
        let clock = TrackClock::new(-1_000, 400);
        assert_eq!((clock.origin, clock.start), (-1_000, 1_400));
    }
}
