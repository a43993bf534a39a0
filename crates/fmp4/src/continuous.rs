//! Stored fragments as parts of one stream.

use crate::clock::TrackClock;
use crate::fragment::{CLOCK_BOX, EARLY_AUDIO_BOX};
use crate::moov::{AUDIO_TRACK, VIDEO_TRACK};
use crate::read::{BoxRef, Reader};
use crate::{Error, FileClock};
use framewell_media::{StreamParameters, TrackKind};

/// Bytes of a box's length and name.
const BOX_HEAD: usize = 8;

/// Puts the header of a stored fragment (`prft moof` and the `mdat` header) on the clock that
/// [`FileClock::of_run`] gives to a live stream of `parameters`, in place: segments of a run that are
/// read one after the other, each byte where it is stored, are one stream behind [`crate::build_init`]
/// of `parameters`. Without it, each segment's clock starts with the segment.
///
/// Audio from before its segment's clock becomes audio like any other. If `parameters` has no audio, that
/// of the fragment is hidden: players refuse tracks that their init segment does not have.
///
/// # Errors
/// Boxes that are missing, cut off or not as this crate writes them. The header is then unchanged.
pub fn continue_run(header: &mut [u8], parameters: &StreamParameters) -> Result<(), Error> {
    let clock = FileClock::of_run(parameters);
    for edit in edits(header, &clock, parameters.audio.is_some())? {
        let end = edit.at + edit.bytes.len();
        header[edit.at..end].copy_from_slice(&edit.bytes);
    }
    Ok(())
}

/// New bytes for a place in the header.
#[derive(Debug)]
struct Edit {
    at: usize,
    bytes: [u8; 8],
}

impl Edit {
    const fn number(at: usize, number: u64) -> Self {
        let bytes = number.to_be_bytes();
        Self { at, bytes }
    }
}

fn edits(header: &[u8], clock: &FileClock, has_audio: bool) -> Result<Vec<Edit>, Error> {
    let mut edits = Vec::with_capacity(8);
    let mut file = Reader::new(header);
    let mut prft = file.next_box()?;
    if &prft.name != b"prft" || prft.body.version_and_flags()?.0 != 1 {
        return Err(prft.body.bad("prft of version 1 expected"));
    }
    prft.body.take(4 + 8)?;
    let prft_at = prft.body.position();
    let anchor = prft.body.u64()?;
    let moof = file.next_box()?;
    if &moof.name != b"moof" {
        return Err(moof.body.bad("moof expected"));
    }
    let mut children = moof.body;
    while !children.is_empty() {
        let child = children.next_box()?;
        let Some(run) = track_run(&child)? else {
            continue;
        };
        if run.kind == TrackKind::Video {
            let shift = run.origin.saturating_sub(clock.origin(TrackKind::Video));
            edits.push(Edit::number(prft_at, anchor.saturating_add_signed(shift)));
        } else if !has_audio {
            edits.extend((!run.is_early).then(|| hidden(&child, header)));
            continue;
        }
        let dts = i64::try_from(run.start).unwrap_or(i64::MAX);
        let dts = dts.saturating_add(run.origin);
        let moved = TrackClock::new(clock.origin(run.kind), dts);
        edits.push(Edit::number(run.start_at, moved.start.unsigned_abs()));
        let origin = moved.origin.cast_unsigned();
        edits.push(Edit::number(run.origin_at, origin));
        if run.is_early {
            edits.extend(shown(child.start));
        }
    }
    Ok(edits)
}

/// What a `traf`, or a box of early audio, says about time, and where.
#[derive(Debug)]
struct TrackRun {
    kind: TrackKind,
    is_early: bool,
    /// `tfdt`.
    start: u64,
    start_at: usize,
    /// The clock box.
    origin: i64,
    origin_at: usize,
}

/// `None` for another box.
fn track_run(child: &BoxRef<'_>) -> Result<Option<TrackRun>, Error> {
    let mut body = child.body;
    let is_early = match &child.name {
        b"traf" => false,
        b"uuid" if body.array()? == EARLY_AUDIO_BOX => true,
        _ => return Ok(None),
    };
    let mut tfhd = body.find(b"tfhd")?;
    tfhd.version_and_flags()?;
    let kind = match tfhd.u32()? {
        VIDEO_TRACK => TrackKind::Video,
        AUDIO_TRACK => TrackKind::Audio,
        other => return Err(tfhd.bad(format!("unknown track {other}"))),
    };
    let mut tfdt = body.find(b"tfdt")?;
    if tfdt.version_and_flags()?.0 != 1 {
        return Err(tfdt.bad("unknown version"));
    }
    let mut clock = body.find(b"uuid")?;
    if clock.array()? != CLOCK_BOX {
        return Err(clock.bad("the track's clock expected"));
    }
    Ok(Some(TrackRun {
        kind,
        is_early,
        start_at: tfdt.position(),
        start: tfdt.u64()?,
        origin_at: clock.position(),
        origin: clock.i64()?,
    }))
}

/// A `traf` as free space (ISO/IEC 14496-12 section 8.1.2).
fn hidden(traf: &BoxRef<'_>, header: &[u8]) -> Edit {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&header[traf.start..traf.start + BOX_HEAD]);
    bytes[4..].copy_from_slice(b"free");
    Edit {
        at: traf.start,
        bytes,
    }
}

/// The box of early audio at `start` as a `traf`: its user type becomes free space of 16 bytes.
fn shown(start: usize) -> [Edit; 3] {
    let name = start + 4;
    [
        Edit {
            at: name,
            bytes: *b"traf\0\0\0\x10",
        },
        Edit {
            at: name + 8,
            bytes: *b"free\0\0\0\0",
        },
        Edit::number(name + 12, 0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample_data::{any_gop, identity};
    use crate::{build_fragment, build_segment_init, parse_fragment};
    use framewell_media::AccessUnit;
    use proptest::prelude::*;

    fn stored(parameters: &StreamParameters, units: &[AccessUnit]) -> Vec<u8> {
        let (_, clock) = build_segment_init(parameters, &identity(), units);
        build_fragment(&clock, 1, parameters, units, None)
            .header
            .to_vec()
    }

    fn live(parameters: &StreamParameters, units: &[AccessUnit]) -> Vec<u8> {
        let clock = FileClock::of_run(parameters);
        build_fragment(&clock, 1, parameters, units, None)
            .header
            .to_vec()
    }

    proptest! {
        #[test]
        fn a_stored_fragment_becomes_what_a_live_stream_would_have_sent(
            (parameters, units) in any_gop(),
        ) {
            let mut header = stored(&parameters, &units);
            let has_early = header.windows(16).any(|bytes| bytes == EARLY_AUDIO_BOX);
            let samples = parse_fragment(&header).unwrap();
            continue_run(&mut header, &parameters).unwrap();
            prop_assert_eq!(parse_fragment(&header).unwrap(), samples);
            let expected = live(&parameters, &units);
            if has_early {
                prop_assert!(header.windows(16).all(|bytes| bytes != EARLY_AUDIO_BOX));
            } else {
                prop_assert_eq!(header, expected);
            }
        }

        #[test]
        fn audio_that_nobody_may_hear_is_hidden((parameters, units) in any_gop()) {
            let silent = StreamParameters { audio: None, ..parameters.clone() };
            let mut header = stored(&parameters, &units);
            let len = header.len();
            continue_run(&mut header, &silent).unwrap();
            prop_assert_eq!(header.len(), len);
            let trafs = header.windows(4).filter(|name| name == b"traf").count();
            prop_assert!(trafs >= 1);
            let mut file = Reader::new(&header);
            file.next_box().unwrap();
            let moof = file.next_box().unwrap();
            let mut children = moof.body;
            let mut shown = 0;
            while !children.is_empty() {
                shown += i32::from(&children.next_box().unwrap().name == b"traf");
            }
            prop_assert_eq!(shown, 1);
        }

        #[test]
        fn damage_never_panics(
            (parameters, units) in any_gop(),
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        ) {
            let mut header = stored(&parameters, &units);
            for (at, value) in edits {
                let at = at.index(header.len());
                header[at] = value;
            }
            let before = header.clone();
            if continue_run(&mut header, &parameters).is_err() {
                prop_assert_eq!(header, before);
            }
        }
    }
}
