//! Which audio frames accompany the pictures of a clip.

use super::ClipSource;
use super::samples::ClipSamples;
use super::select::{Selection, Span};
use super::tables::Edit;
use crate::sample_runs::FragmentRuns;
use framewell_media::AudioParameters;
use framewell_model::{MediaTime, Timescale};
use std::ops::Range;

/// An audio frame of the clip.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    /// Index among the samples of its fragment.
    pub(super) index: u32,
    /// When it starts, in the clip's audio ticks from its video's decode time 0.
    pub(super) start: i64,
    /// In the clip's audio ticks.
    pub(super) duration: u32,
}

/// Which frames of a source are in the clip.
#[derive(Debug, Clone)]
pub(super) struct AudioPick {
    /// Index of its [`ClipSource`].
    pub(super) source: usize,
    pub(super) frames: Frames,
}

#[derive(Debug, Clone)]
pub(super) enum Frames {
    /// All, as they lie; when the first one starts.
    All(i64),
    Some(Vec<Frame>),
}

impl AudioPick {
    /// Of the frames among the samples of the fragment; `None`: all.
    pub(super) fn indices(&self) -> Option<Vec<u32>> {
        match &self.frames {
            Frames::All(_) => None,
            Frames::Some(frames) => Some(frames.iter().map(|frame| frame.index).collect()),
        }
    }
}

/// The audio track.
#[derive(Debug)]
pub(super) struct Sound {
    /// In order, at least one.
    pub(super) picks: Vec<AudioPick>,
    /// Ticks of the track: the rate of its first frame.
    pub(super) scale: Timescale,
    /// Start of the first frame, in ticks of the track.
    pub(super) start: i64,
    /// End of the last one.
    end: i64,
}

/// Chooses the frames that sound while pictures are shown, and one before them that starts the
/// decoder; `None` without any.
pub(super) fn select(selection: &Selection, sources: &[ClipSource]) -> Option<Sound> {
    let scale = selection
        .spans
        .iter()
        .flat_map(|span| &sources[span.sources.clone()])
        .find_map(|source| source.parameters.audio.as_ref())?
        .timescale();
    let mut chooser = Chooser {
        scale,
        picks: Vec::new(),
        lead: None,
        start: None,
        last: None,
    };
    for span in &selection.spans {
        for at in span.sources.clone() {
            chooser.add_source(&sources[at], at, span);
        }
    }
    chooser.finish()
}

/// Takes frames as they come.
#[derive(Debug)]
struct Chooser {
    scale: Timescale,
    picks: Vec<AudioPick>,
    /// The last frame before what is shown, and its source.
    lead: Option<(usize, Frame)>,
    /// Of the first frame taken.
    start: Option<i64>,
    /// Start and end of the last one.
    last: Option<(i64, i64)>,
}

const fn rescale(ticks: i64, from: Timescale, to: Timescale) -> i64 {
    MediaTime::new(ticks, from).rescale(to).ticks
}

impl Chooser {
    /// Adds the frames of a source that sound within the shown part of its span.
    fn add_source(&mut self, source: &ClipSource, at: usize, span: &Span) {
        let audio = source.parameters.audio.as_ref();
        let Some(own_scale) = audio.map(AudioParameters::timescale) else {
            return;
        };
        let shift = rescale(span.shift, Timescale::HZ_90K, self.scale);
        if let ClipSamples::Runs { runs, .. } = &source.samples {
            if runs.audio_count == 0 {
                return;
            }
            if own_scale == self.scale && self.add_all(runs, at, span, shift) {
                return;
            }
        }
        source
            .samples
            .for_each_frame(&source.entry, |index, sample| {
                let end = sample.pts.saturating_add(i64::from(sample.duration));
                let duration = rescale(i64::from(sample.duration), own_scale, self.scale);
                let start = rescale(sample.pts, own_scale, self.scale).saturating_add(shift);
                let frame = Frame {
                    index,
                    start,
                    duration: u32::try_from(duration).unwrap_or(u32::MAX),
                };
                if rescale(sample.pts, own_scale, Timescale::HZ_90K) >= span.shown.end {
                    return;
                }
                if rescale(end, own_scale, Timescale::HZ_90K) <= span.shown.start {
                    if self.picks.is_empty() {
                        self.lead = Some((at, frame));
                    }
                } else if self.last.is_none_or(|(before, _)| before < start) {
                    self.add(at, frame);
                }
            });
    }

    fn add(&mut self, source: usize, frame: Frame) {
        match self.picks.last_mut() {
            Some(AudioPick {
                source: last,
                frames: Frames::Some(frames),
            }) if *last == source => frames.push(frame),
            _ => self.picks.push(AudioPick {
                source,
                frames: Frames::Some(vec![frame]),
            }),
        }
        self.start.get_or_insert(frame.start);
        let end = frame.start.saturating_add(i64::from(frame.duration));
        self.last = Some((frame.start, end));
    }

    /// Adds all frames of a fragment if all of them sound within the shown part of the span, or none of them,
    /// which is found without a look at each.
    fn add_all(&mut self, runs: &FragmentRuns, at: usize, span: &Span, shift: i64) -> bool {
        let in_video = |ticks: i64| rescale(ticks, self.scale, Timescale::HZ_90K);
        let end = i64::try_from(runs.audio_ticks).unwrap_or(i64::MAX);
        let (first, end) = (runs.audio_start, runs.audio_start.saturating_add(end));
        let last = end.saturating_sub(i64::from(runs.audio_last));
        if in_video(first) >= span.shown.end {
            return true;
        }
        let start = first.saturating_add(shift);
        let is_inside = in_video(first) > span.shown.start && in_video(last) < span.shown.end;
        let follows = self.last.is_none_or(|(before, _)| before < start);
        if !is_inside || !follows || runs.audio_durations().any(|(_, ticks)| ticks == 0) {
            return false;
        }
        self.picks.push(AudioPick {
            source: at,
            frames: Frames::All(start),
        });
        self.start.get_or_insert(start);
        self.last = Some((last.saturating_add(shift), end.saturating_add(shift)));
        true
    }

    fn finish(mut self) -> Option<Sound> {
        let (mut start, (_, end)) = (self.start?, self.last?);
        if let Some((source, lead)) = self.lead.filter(|(_, lead)| lead.start < start) {
            start = lead.start;
            match self.picks.first_mut() {
                Some(AudioPick {
                    source: first,
                    frames: Frames::Some(frames),
                }) if *first == source => frames.insert(0, lead),
                _ => self.picks.insert(
                    0,
                    AudioPick {
                        source,
                        frames: Frames::Some(vec![lead]),
                    },
                ),
            }
        }
        Some(Sound {
            picks: self.picks,
            scale: self.scale,
            start,
            end,
        })
    }
}

impl Sound {
    /// The edit that lines the track up with the shown part of the video (90 kHz ticks of the file).
    pub(super) fn edit(&self, shown: &Range<i64>) -> Edit {
        let to_audio = |ticks: i64| {
            MediaTime::new(ticks, Timescale::HZ_90K)
                .rescale(self.scale)
                .ticks
        };
        let to_movie = |ticks: i64| {
            MediaTime::new(ticks, self.scale)
                .rescale(Timescale::HZ_90K)
                .ticks
        };
        let end = to_movie(self.end).min(shown.end);
        let begin = to_movie(self.start).clamp(shown.start, end.max(shown.start));
        Edit {
            empty_ticks: begin.abs_diff(shown.start),
            media_time: to_audio(begin).saturating_sub(self.start).max(0),
            ticks: end.max(begin).abs_diff(begin),
        }
    }
}
