//! One track of a file.

use super::{MovieSample, tables};
use crate::Error;
use crate::entry::{self, Entry};
use crate::read::Reader;
use framewell_media::TrackKind;
use framewell_model::Timescale;

/// A sample on the clock of its track.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawSample {
    pub(super) offset: u64,
    pub(super) size: u32,
    pub(super) dts: i64,
    /// From decoding to presentation.
    pub(super) shift: i64,
    pub(super) duration: u32,
    pub(super) is_key: bool,
}

/// What fragments leave out (`trex`, ISO/IEC 14496-12 section 8.8.3).
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Defaults {
    pub(super) duration: u32,
    pub(super) size: u32,
    pub(super) flags: u32,
}

/// A track with its samples so far.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) id: u32,
    pub(super) entry: Entry,
    timescale: u32,
    /// Media time that is shown at the beginning of the presentation, in ticks of the track.
    media_start: i64,
    /// When the presentation of the track begins, in microseconds.
    delay_us: i64,
    /// Whether an edit list said the two above.
    pub(super) has_edits: bool,
    pub(super) samples: Vec<RawSample>,
    pub(super) defaults: Defaults,
}

/// Which kind of track a `trak` is; `None` for those that we do not read.
pub(super) fn kind_of(trak: Reader<'_>) -> Result<Option<TrackKind>, Error> {
    let mut hdlr = trak.find(b"mdia")?.find(b"hdlr")?;
    hdlr.take(8)?;
    Ok(match &hdlr.array()? {
        b"vide" => Some(TrackKind::Video),
        b"soun" => Some(TrackKind::Audio),
        _ => None,
    })
}

impl Track {
    /// Reads a `trak`; at most `room` samples.
    pub(super) fn read(trak: Reader<'_>, movie_scale: u32, room: usize) -> Result<Self, Error> {
        let mut tkhd = trak.find(b"tkhd")?;
        let (version, _) = tkhd.version_and_flags()?;
        tkhd.take(if version == 0 { 8 } else { 16 })?;
        let id = tkhd.u32()?;
        let mdia = trak.find(b"mdia")?;
        let mut mdhd = mdia.find(b"mdhd")?;
        let (version, _) = mdhd.version_and_flags()?;
        mdhd.take(if version == 0 { 8 } else { 16 })?;
        let timescale = mdhd.u32()?;
        if timescale == 0 {
            return Err(mdhd.bad("no timescale"));
        }
        let stbl = mdia.find(b"minf")?.find(b"stbl")?;
        let edits = match trak.find_opt(b"edts")? {
            Some(edts) => read_edits(edts, movie_scale)?,
            None => None,
        };
        let (media_start, delay_us) = edits.unwrap_or((0, 0));
        Ok(Self {
            id,
            entry: entry::read(stbl.find(b"stsd")?, timescale)?,
            timescale,
            media_start,
            delay_us,
            has_edits: edits.is_some(),
            samples: tables::read(stbl, room)?,
            defaults: Defaults::default(),
        })
    }

    pub(super) const fn kind(&self) -> TrackKind {
        match self.entry {
            Entry::Video(_) => TrackKind::Video,
            Entry::Audio(_) => TrackKind::Audio,
        }
    }

    /// Decode time behind the last sample.
    pub(super) fn end(&self) -> i64 {
        self.samples
            .last()
            .map_or(0, |last| last.dts.saturating_add(i64::from(last.duration)))
    }

    /// The samples on the clock of the presentation.
    pub(super) fn present(self, scale: Timescale) -> Vec<MovieSample> {
        let delay = scale.from_micros(self.delay_us);
        let place = |ticks: i64| {
            let ticks = i128::from(ticks.saturating_sub(self.media_start));
            let scaled = (ticks * i128::from(scale.hz())).div_euclid(i128::from(self.timescale));
            let most = if scaled < 0 { i64::MIN } else { i64::MAX };
            i64::try_from(scaled).unwrap_or(most).saturating_add(delay)
        };
        // Version 1 of `ctts` has pictures that are shown before they are decoded, by the file's clock.
        let early = self.samples.iter().map(|sample| sample.shift).min();
        let early = early.unwrap_or(0).min(0);
        let mut samples: Vec<MovieSample> = Vec::with_capacity(self.samples.len());
        for raw in &self.samples {
            let pts = place(raw.dts.saturating_add(raw.shift));
            let dts = place(raw.dts.saturating_add(early));
            let dts = samples
                .last()
                .map_or(dts, |last| dts.max(last.dts.saturating_add(1)));
            let end = place(
                raw.dts
                    .saturating_add(early)
                    .saturating_add(i64::from(raw.duration)),
            );
            samples.push(MovieSample {
                offset: raw.offset,
                size: raw.size,
                dts,
                pts: pts.max(dts),
                duration: u32::try_from(end.saturating_sub(dts)).unwrap_or(0),
                is_key: raw.is_key,
            });
        }
        samples
    }
}

/// Media time at the beginning of the presentation, and the pause before it in microseconds (`elst`,
/// section 8.6.6); `None` without an edit. What later edits say is passed over: cameras do not write them.
fn read_edits(edts: Reader<'_>, movie_scale: u32) -> Result<Option<(i64, i64)>, Error> {
    let Some(mut elst) = edts.find_opt(b"elst")? else {
        return Ok(None);
    };
    let (version, _) = elst.version_and_flags()?;
    let count = elst.u32()?;
    let mut delay: i128 = 0;
    for _ in 0..count {
        let (length, media_time) = if version == 0 {
            let length = u64::from(elst.u32()?);
            (length, i64::from(i32::from_be_bytes(elst.array()?)))
        } else {
            (elst.u64()?, elst.i64()?)
        };
        elst.take(4)?;
        if media_time >= 0 {
            let delay_us = delay * 1_000_000 / i128::from(movie_scale);
            let delay_us = i64::try_from(delay_us).unwrap_or(0);
            return Ok(Some((media_time, delay_us)));
        }
        delay += i128::from(length);
    }
    Ok(None)
}
