//! Init segments: `ftyp` and `moov` without samples.

use crate::chain::{self, CHAIN_BOX};
use crate::clip::Edit;
use crate::entry::{self, Entry};
use crate::identity::IDENTITY_BOX;
use crate::moov::{self, AUDIO_TRACK, TrackHeader, track_id};
use crate::read::Reader;
use crate::write::BoxWriter;
use crate::{Error, FileClock, SegmentIdentity};
use bytes::Bytes;
use framewell_media::{AccessUnit, StreamParameters, TrackKind};
use framewell_model::{ChainLink, Timescale};

/// Writes `ftyp` and `moov` (with `mvex`) for the tracks of `parameters`, with the identity box if given.
#[must_use]
pub fn build_init(parameters: &StreamParameters, identity: Option<&SegmentIdentity>) -> Bytes {
    build(
        parameters,
        &BOTH,
        &Origin {
            identity,
            link: None,
        },
        None,
    )
}

/// A number that is the same for segments whose tracks are the same, and for others as good as never; not 0.
#[must_use]
pub fn fingerprint(parameters: &StreamParameters) -> u64 {
    // FNV-1a of 64 bits: it goes into the index of stored segments, so it must not change.
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let init = build_init(parameters, None);
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(PRIME);
    init.iter().fold(BASIS, mix).max(1)
}

/// [`build_init`] for a live stream of some of the tracks. A track that the parameters do not have is
/// left out.
#[must_use]
pub fn build_live_init(parameters: &StreamParameters, tracks: &[TrackKind]) -> Bytes {
    build(parameters, tracks, &Origin::default(), None)
}

const BOTH: [TrackKind; 2] = [TrackKind::Video, TrackKind::Audio];

/// [`build_init`] for a stored segment whose first fragment has the units `first`, and the clock for
/// its fragments. The moment that its first unit of video is shown is the time 0 of players: clients
/// add a player's time to the start of the record. Where pictures are reordered, an edit list (ISO/IEC
/// 14496-12 section 8.6.6) takes back the composition offset.
///
/// # Panics
/// Without a video unit.
#[must_use]
pub fn build_segment_init(
    parameters: &StreamParameters,
    identity: &SegmentIdentity,
    first: &[AccessUnit],
) -> (Bytes, FileClock) {
    build_linked_init(parameters, identity, None, first)
}

/// [`build_segment_init`] with a link to the segment that was closed before.
///
/// # Panics
/// Without a video unit.
#[must_use]
pub fn build_linked_init(
    parameters: &StreamParameters,
    identity: &SegmentIdentity,
    link: Option<&ChainLink>,
    first: &[AccessUnit],
) -> (Bytes, FileClock) {
    let picture = first
        .iter()
        .find(|unit| unit.track == TrackKind::Video)
        .expect("callers give at least one video unit");
    let edit = Edit {
        empty_ticks: 0,
        media_time: picture.pts.ticks.saturating_sub(picture.dts.ticks).max(0),
        ticks: 0,
    };
    let origin = Origin {
        identity: Some(identity),
        link,
    };
    let init = build(parameters, &BOTH, &origin, Some(edit));
    (init, FileClock::of_segment(parameters, picture))
}

/// Who a segment is and what came before it.
#[derive(Debug, Clone, Copy, Default)]
struct Origin<'a> {
    identity: Option<&'a SegmentIdentity>,
    link: Option<&'a ChainLink>,
}

fn build(
    parameters: &StreamParameters,
    tracks: &[TrackKind],
    origin: &Origin<'_>,
    video_edit: Option<Edit>,
) -> Bytes {
    let has_video = tracks.contains(&TrackKind::Video);
    let audio = parameters.audio.as_ref();
    let audio = audio.filter(|_| tracks.contains(&TrackKind::Audio));
    let mut w = BoxWriter::with_capacity(2048);
    moov::write_ftyp(&mut w, b"iso6", &[b"iso6", b"iso5", b"isom", b"mp41"]);
    w.boxed(b"moov", |w| {
        moov::write_mvhd(w, 0, AUDIO_TRACK + 1);
        if has_video {
            write_track(w, &video_header(parameters), video_edit, |w| {
                entry::write_video(w, &parameters.video);
            });
        }
        if let Some(audio) = audio {
            write_track(w, &audio_header(audio.timescale()), None, |w| {
                entry::write_audio(w, audio);
            });
        }
        w.boxed(b"mvex", |w| {
            if has_video {
                write_trex(w, TrackKind::Video);
            }
            if audio.is_some() {
                write_trex(w, TrackKind::Audio);
            }
        });
        if let Some(identity) = origin.identity {
            identity.write(w);
        }
        if let Some(link) = origin.link {
            chain::write(w, link);
        }
    });
    w.into_bytes()
}

fn audio_header(timescale: Timescale) -> TrackHeader {
    TrackHeader {
        kind: TrackKind::Audio,
        movie_duration: 0,
        timescale: timescale.hz(),
        media_duration: 0,
        width: 0,
        height: 0,
    }
}

fn video_header(parameters: &StreamParameters) -> TrackHeader {
    TrackHeader {
        kind: TrackKind::Video,
        movie_duration: 0,
        timescale: Timescale::HZ_90K.hz(),
        media_duration: 0,
        width: parameters.video.width,
        height: parameters.video.height,
    }
}

/// A track without samples.
fn write_track(
    w: &mut BoxWriter,
    track: &TrackHeader,
    edit: Option<Edit>,
    entry: impl FnOnce(&mut BoxWriter),
) {
    w.boxed(b"trak", |w| {
        moov::write_tkhd(w, track);
        if let Some(edit) = edit {
            edit.write(w);
        }
        moov::write_mdia(w, track, |w| {
            w.full_box(b"stsd", 0, 0, |w| {
                w.u32(1);
                entry(w);
            });
            for name in [b"stts", b"stsc", b"stco"] {
                w.full_box(name, 0, 0, |w| w.u32(0));
            }
            w.full_box(b"stsz", 0, 0, |w| w.zeros(8));
        });
    });
}

fn write_trex(w: &mut BoxWriter, kind: TrackKind) {
    w.full_box(b"trex", 0, 0, |w| {
        w.u32(track_id(kind));
        w.u32(1); // default_sample_description_index
        w.zeros(8);
        w.u32(crate::fragment::SYNC_SAMPLE);
    });
}

/// Reads what [`build_init`] wrote from the head of a segment.
///
/// # Errors
/// Boxes that are missing, cut off or contradict each other, and parameter sets that cannot be read.
pub fn parse_init(head: &[u8]) -> Result<(StreamParameters, Option<SegmentIdentity>), Error> {
    let init = read_init(head)?;
    Ok((init.parameters, init.identity))
}

/// The link that [`build_linked_init`] wrote; `None` in segments without one.
///
/// # Errors
/// As [`parse_init`].
pub fn parse_link(head: &[u8]) -> Result<Option<ChainLink>, Error> {
    Ok(read_init(head)?.link)
}

/// What the head of a segment says.
pub(crate) struct Init {
    pub(crate) parameters: StreamParameters,
    pub(crate) identity: Option<SegmentIdentity>,
    pub(crate) link: Option<ChainLink>,
    /// Where `moov` ends.
    pub(crate) len: usize,
}

pub(crate) fn read_init(head: &[u8]) -> Result<Init, Error> {
    let mut file = Reader::new(head);
    let ftyp = file.next_box()?;
    if &ftyp.name != b"ftyp" {
        return Err(ftyp.body.bad("ftyp expected"));
    }
    let moov = file.next_box()?;
    if &moov.name != b"moov" {
        return Err(moov.body.bad("moov expected"));
    }
    let (mut video, mut audio, mut identity, mut link) = (None, None, None, None);
    let mut children = moov.body;
    while !children.is_empty() {
        let mut child = children.next_box()?;
        match &child.name {
            b"trak" => match read_track(child.body)? {
                Entry::Video(parameters) => video = Some(parameters),
                Entry::Audio(parameters) => audio = Some(parameters),
            },
            b"uuid" => match child.body.array::<16>()? {
                IDENTITY_BOX => identity = Some(SegmentIdentity::read(child.body)?),
                CHAIN_BOX => link = Some(chain::read(child.body)?),
                _ => {}
            },
            _ => {}
        }
    }
    let video = video.ok_or_else(|| moov.body.bad("no video track"))?;
    Ok(Init {
        parameters: StreamParameters { video, audio },
        identity,
        link,
        len: moov.end(),
    })
}

fn read_track(trak: Reader<'_>) -> Result<Entry, Error> {
    let mdia = trak.find(b"mdia")?;
    let mut mdhd = mdia.find(b"mdhd")?;
    let (version, _) = mdhd.version_and_flags()?;
    mdhd.take(if version == 0 { 8 } else { 16 })?;
    let timescale = mdhd.u32()?;
    let stbl = mdia.find(b"minf")?.find(b"stbl")?;
    entry::read(stbl.find(b"stsd")?, timescale)
}

#[cfg(test)]
#[path = "init_tests.rs"]
mod tests;
