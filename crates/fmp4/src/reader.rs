//! Reading fragments and recovering segments.

use crate::fragment::{Anchor, CLOCK_BOX, EARLY_AUDIO_BOX, entry_of};
use crate::init::{fingerprint, read_init};
use crate::moov::{AUDIO_TRACK, VIDEO_TRACK};
use crate::read::Reader;
use crate::time::clock_from_flags;
use crate::{Error, FragmentEntry, SegmentIdentity, SegmentIndex};
use framewell_media::{StreamParameters, TrackKind};
use framewell_model::{ChainLink, WallTime};

/// One sample of a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Which track.
    pub track: TrackKind,
    /// Position of its data, counted from the first byte of the fragment.
    pub offset: u32,
    /// Bytes.
    pub size: u32,
    /// Ticks of the run on the track's timescale.
    pub dts: i64,
    /// Ticks of the run on the track's timescale.
    pub pts: i64,
    /// Ticks.
    pub duration: u32,
    /// Random access point.
    pub is_key: bool,
}

/// Reads the samples of a fragment from its header bytes (`prft moof` and the `mdat` header; the
/// payload may follow or be absent), video first, in decoding order per track.
///
/// # Errors
/// Boxes that are missing or cut off, and sample tables that contradict their box's length.
pub fn parse_fragment(header: &[u8]) -> Result<Vec<Sample>, Error> {
    read_fragment(header).map(|fragment| fragment.samples)
}

/// A fragment as its header tells it.
#[derive(Debug)]
struct FragmentHeader {
    anchor: Anchor,
    samples: Vec<Sample>,
    /// Bytes of `prft`, `moof` and the header of `mdat`.
    header_len: usize,
    /// Bytes of the whole fragment; the payload need not be there.
    len: u64,
}

fn read_fragment(data: &[u8]) -> Result<FragmentHeader, Error> {
    let mut file = Reader::new(data);
    let mut prft = file.next_box()?;
    if &prft.name != b"prft" {
        return Err(prft.body.bad("prft expected"));
    }
    let anchor = read_prft(&mut prft.body)?;
    let moof = file.next_box()?;
    if &moof.name != b"moof" {
        return Err(moof.body.bad("moof expected"));
    }
    let (name, mdat_head, mdat_len) = file.peek_header()?;
    if &name != b"mdat" {
        return Err(file.bad("mdat expected"));
    }
    let samples = read_moof(moof.body, moof.start)?;
    let len = mdat_len
        .checked_add(moof.end() as u64)
        .ok_or_else(|| file.bad("mdat is too long"))?;
    let header_len = moof.end() + mdat_head;
    let is_inside = |sample: &Sample| {
        let start = u64::from(sample.offset);
        start >= header_len as u64 && start + u64::from(sample.size) <= len
    };
    if !samples.iter().all(is_inside) {
        return Err(moof.body.bad("samples outside mdat"));
    }
    Ok(FragmentHeader {
        anchor,
        samples,
        header_len,
        len,
    })
}

fn read_prft(body: &mut Reader<'_>) -> Result<Anchor, Error> {
    let (version, flags) = body.version_and_flags()?;
    if version != 1 {
        return Err(body.bad("unknown version"));
    }
    body.u32()?;
    Ok(Anchor {
        wall: WallTime::from_ntp(body.u64()?),
        clock: clock_from_flags(flags),
    })
}

/// The samples of all runs; `moof_at` is the place of the box in the fragment.
fn read_moof(moof: Reader<'_>, moof_at: usize) -> Result<Vec<Sample>, Error> {
    let mut samples = Vec::new();
    let mut children = moof;
    while !children.is_empty() {
        let mut child = children.next_box()?;
        let is_run = match &child.name {
            b"traf" => true,
            b"uuid" => child.body.array()? == EARLY_AUDIO_BOX,
            _ => false,
        };
        if is_run {
            read_traf(child.body, moof_at, &mut samples)?;
        }
    }
    match samples.first() {
        Some(first) if first.track == TrackKind::Video => Ok(samples),
        _ => Err(moof.bad("does not begin with video")),
    }
}

fn read_traf(traf: Reader<'_>, moof_at: usize, samples: &mut Vec<Sample>) -> Result<(), Error> {
    const DEFAULT_BASE_IS_MOOF: u32 = 0x02_0000;
    let mut tfhd = traf.find(b"tfhd")?;
    if tfhd.version_and_flags()? != (0, DEFAULT_BASE_IS_MOOF) {
        return Err(tfhd.bad("unknown flags"));
    }
    let track = match tfhd.u32()? {
        VIDEO_TRACK => TrackKind::Video,
        AUDIO_TRACK => TrackKind::Audio,
        other => return Err(tfhd.bad(format!("unknown track {other}"))),
    };
    let mut tfdt = traf.find(b"tfdt")?;
    if tfdt.version_and_flags()?.0 != 1 {
        return Err(tfdt.bad("unknown version"));
    }
    let dts = i64::try_from(tfdt.u64()?)
        .ok()
        .zip(Some(read_origin(traf)?))
        .and_then(|(start, origin)| start.checked_add(origin))
        .ok_or_else(|| tfdt.bad("time out of range"))?;
    let run = Run {
        track,
        moof_at,
        dts,
    };
    run.read(traf.find(b"trun")?, samples)
}

/// Ticks of the run at which the clock of the track starts.
fn read_origin(traf: Reader<'_>) -> Result<i64, Error> {
    let mut body = traf.find(b"uuid")?;
    if body.array()? != CLOCK_BOX {
        return Err(body.bad("the track's clock expected"));
    }
    body.i64()
}

/// Where a `trun` stands.
#[derive(Debug, Clone, Copy)]
struct Run {
    track: TrackKind,
    moof_at: usize,
    dts: i64,
}

impl Run {
    fn read(self, mut trun: Reader<'_>, samples: &mut Vec<Sample>) -> Result<(), Error> {
        const DATA_OFFSET: u32 = 0x001;
        const DURATION_AND_SIZE: u32 = 0x300;
        const FLAGS_AND_SHIFT: u32 = 0xc00;
        const IS_NON_SYNC: u32 = 0x0001_0000;
        let (version, flags) = trun.version_and_flags()?;
        let has_shift = flags & FLAGS_AND_SHIFT == FLAGS_AND_SHIFT;
        if version != 1 || flags & !FLAGS_AND_SHIFT != DATA_OFFSET | DURATION_AND_SIZE {
            return Err(trun.bad("unknown layout"));
        }
        let count = trun.u32()? as usize;
        let mut offset = trun
            .u32()?
            .checked_add(u32::try_from(self.moof_at).unwrap_or(u32::MAX))
            .ok_or_else(|| trun.bad("data offset out of range"))?;
        let sample_len = if has_shift { 16 } else { 8 };
        if trun.rest().len() / sample_len < count {
            return Err(trun.bad("more samples than bytes"));
        }
        samples.reserve(count);
        let mut dts = self.dts;
        for _ in 0..count {
            let (duration, size) = (trun.u32()?, trun.u32()?);
            let (flags, shift) = if has_shift {
                (trun.u32()?, i32::from_be_bytes(trun.array()?))
            } else {
                (0, 0)
            };
            let out_of_range = || trun.bad("times or sizes out of range");
            let pts = dts.checked_add(i64::from(shift)).ok_or_else(out_of_range)?;
            samples.push(Sample {
                track: self.track,
                offset,
                size,
                dts,
                pts,
                duration,
                is_key: flags & IS_NON_SYNC == 0,
            });
            offset = offset.checked_add(size).ok_or_else(out_of_range)?;
            dts = dts
                .checked_add(i64::from(duration))
                .ok_or_else(out_of_range)?;
        }
        Ok(())
    }
}

/// What a walk over a segment's bytes found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScannedSegment {
    /// Tracks.
    pub parameters: StreamParameters,
    /// Who it is.
    pub identity: Option<SegmentIdentity>,
    /// What came before it; `None` if it does not say.
    pub link: Option<ChainLink>,
    /// Complete fragments; `index.len_bytes()` is where the good bytes end.
    pub index: SegmentIndex,
}

/// Walks a segment from its first byte up to the last complete fragment; a torn tail is not an error.
/// Used after a crash and by a rebuild of the catalog. `data` may be a memory map.
///
/// # Errors
/// An init segment that is not whole. Damage after it only ends the walk.
pub fn scan_segment(data: &[u8]) -> Result<ScannedSegment, Error> {
    let init = read_init(data)?;
    let (parameters, init_len) = (init.parameters, init.len);
    let mut index = SegmentIndex {
        init_len: u32::try_from(init_len)
            .map_err(|_| Reader::new(data).bad("init segment of more than 4 GiB"))?,
        parameters: fingerprint(&parameters),
        ..SegmentIndex::default()
    };
    let mut at = init_len;
    while let Some((entry, samples)) = data.get(at..).and_then(|rest| scan_fragment(rest, at)) {
        at += entry.len as usize;
        index.push(entry, &samples);
    }
    Ok(ScannedSegment {
        parameters,
        identity: init.identity,
        link: init.link,
        index,
    })
}

/// The entry and the samples of the fragment at the start of `rest`; `None` if it is not complete and sound.
fn scan_fragment(rest: &[u8], at: usize) -> Option<(FragmentEntry, Vec<Sample>)> {
    let fragment = read_fragment(rest).ok()?;
    if fragment.len > rest.len() as u64 {
        return None;
    }
    let is_video = |sample: &&Sample| sample.track == TrackKind::Video;
    let video_count = fragment.samples.iter().take_while(is_video).count();
    let entry = FragmentEntry {
        offset: at as u64,
        header_len: u32::try_from(fragment.header_len).ok()?,
        len: u32::try_from(fragment.len).ok()?,
        ..entry_of(&fragment.anchor, &fragment.samples[..video_count])
    };
    Some((entry, fragment.samples))
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
