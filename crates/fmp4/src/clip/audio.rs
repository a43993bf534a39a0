//! Which audio frames accompany the pictures of a clip.

use super::select::{Selection, Span};
use super::tables::Edit;
use super::{ClipSource, distinct};
use framewell_media::{AudioParameters, TrackKind};
use framewell_model::{MediaTime, Timescale};
use std::ops::Range;

/// An audio frame of the clip.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    /// Index of its [`ClipSource`].
    pub(super) source: usize,
    /// First byte in the fragment.
    pub(super) offset: u32,
    pub(super) size: u32,
    /// When it starts, in the clip's audio ticks from its video's decode time 0.
    pub(super) start: i64,
    /// In the clip's audio ticks.
    pub(super) duration: u32,
}

/// The audio track.
#[derive(Debug)]
pub(super) struct Sound<'a> {
    /// In order, at least one.
    pub(super) samples: Vec<Frame>,
    /// Ticks of the track: the rate of its first frame.
    pub(super) scale: Timescale,
    pub(super) entries: Vec<&'a AudioParameters>,
    /// Number of the sample entry of each source, from 0.
    pub(super) entry_of_source: Vec<u32>,
}

/// Chooses the frames that sound while pictures are shown, and one before them that starts the
/// decoder; `None` without any.
pub(super) fn select<'a>(selection: &Selection, sources: &'a [ClipSource]) -> Option<Sound<'a>> {
    let scale = selection
        .spans
        .iter()
        .flat_map(|span| &sources[span.sources.clone()])
        .find_map(|source| source.parameters.audio.as_ref())?
        .timescale();
    let mut samples: Vec<Frame> = Vec::new();
    let mut lead = None;
    for span in &selection.spans {
        for at in span.sources.clone() {
            add_source(&sources[at], at, span, scale, &mut samples, &mut lead);
        }
    }
    if let Some(lead) = lead.filter(|lead: &Frame| {
        samples
            .first()
            .is_some_and(|first| lead.start < first.start)
    }) {
        samples.insert(0, lead);
    }
    // Sources without audio get the number of an entry that nothing refers to them by.
    let placeholder = sources
        .iter()
        .find_map(|source| source.parameters.audio.as_ref())?;
    let of_source =
        |source: &'a ClipSource| source.parameters.audio.as_ref().unwrap_or(placeholder);
    let (entries, entry_of_source) = distinct(sources.iter().map(of_source));
    (!samples.is_empty()).then_some(Sound {
        samples,
        scale,
        entries,
        entry_of_source,
    })
}

/// Adds the frames of a source that sound within the shown part of its span.
fn add_source(
    source: &ClipSource,
    at: usize,
    span: &Span,
    scale: Timescale,
    samples: &mut Vec<Frame>,
    lead: &mut Option<Frame>,
) {
    let Some(own_scale) = source
        .parameters
        .audio
        .as_ref()
        .map(AudioParameters::timescale)
    else {
        return;
    };
    let rescale =
        |ticks: i64, from: Timescale, to: Timescale| MediaTime::new(ticks, from).rescale(to).ticks;
    let shift = rescale(span.shift, Timescale::HZ_90K, scale);
    for sample in source
        .samples
        .iter()
        .filter(|s| s.track == TrackKind::Audio)
    {
        let end = sample.pts.saturating_add(i64::from(sample.duration));
        let start_ticks = rescale(sample.pts, own_scale, Timescale::HZ_90K);
        let end_ticks = rescale(end, own_scale, Timescale::HZ_90K);
        let start = rescale(sample.pts, own_scale, scale).saturating_add(shift);
        let duration = rescale(i64::from(sample.duration), own_scale, scale);
        let frame = Frame {
            source: at,
            offset: sample.offset,
            size: sample.size,
            start,
            duration: u32::try_from(duration).unwrap_or(u32::MAX),
        };
        if start_ticks >= span.shown.end {
            continue;
        }
        if end_ticks <= span.shown.start {
            if samples.is_empty() {
                *lead = Some(frame);
            }
        } else if samples.last().is_none_or(|before| before.start < start) {
            samples.push(frame);
        }
    }
}

impl Sound<'_> {
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
        let (first, last) = (&self.samples[0], &self.samples[self.samples.len() - 1]);
        let sounds_until = to_movie(last.start.saturating_add(i64::from(last.duration)));
        let end = sounds_until.min(shown.end);
        let begin = to_movie(first.start).clamp(shown.start, end.max(shown.start));
        Edit {
            empty_ticks: begin.abs_diff(shown.start),
            media_time: to_audio(begin).saturating_sub(first.start).max(0),
            ticks: end.max(begin).abs_diff(begin),
        }
    }
}
