//! The parts of `moov` that init segments and clips share (ISO/IEC 14496-12 section 8).

use crate::write::BoxWriter;
use framewell_media::TrackKind;

/// Track id of the video.
pub(crate) const VIDEO_TRACK: u32 = 1;
/// Track id of the audio.
pub(crate) const AUDIO_TRACK: u32 = 2;

/// Ticks per second of `mvhd`, `tkhd` and `elst`: the video's, so that edits are exact.
pub(crate) const MOVIE_TIMESCALE: u32 = 90_000;

/// Rotation and scaling: none.
const UNITY_MATRIX: [u32; 9] = [0x0001_0000, 0, 0, 0, 0x0001_0000, 0, 0, 0, 0x4000_0000];

/// A track's header fields.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TrackHeader {
    pub(crate) kind: TrackKind,
    /// Presented length in [`MOVIE_TIMESCALE`] ticks; 0 in init segments.
    pub(crate) movie_duration: u64,
    pub(crate) timescale: u32,
    /// Length of the samples in `timescale` ticks; 0 in init segments.
    pub(crate) media_duration: u64,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl TrackHeader {
    pub(crate) const fn id(&self) -> u32 {
        track_id(self.kind)
    }
}

pub(crate) const fn track_id(kind: TrackKind) -> u32 {
    match kind {
        TrackKind::Video => VIDEO_TRACK,
        TrackKind::Audio => AUDIO_TRACK,
    }
}

/// Version of a box that has a duration: 1 when it needs 64 bits.
fn version_for(duration: u64) -> u8 {
    u8::from(u32::try_from(duration).is_err())
}

/// A duration in the width of its box version.
fn put_time(w: &mut BoxWriter, version: u8, time: u64) {
    match u32::try_from(time) {
        Ok(short) if version == 0 => w.u32(short),
        _ => w.u64(time),
    }
}

pub(crate) fn write_ftyp(w: &mut BoxWriter, major: &[u8; 4], compatible: &[&[u8; 4]]) {
    w.boxed(b"ftyp", |w| {
        w.raw(major);
        w.u32(0x200);
        for brand in compatible {
            w.raw(*brand);
        }
    });
}

pub(crate) fn write_mvhd(w: &mut BoxWriter, duration: u64, next_track: u32) {
    let version = version_for(duration);
    w.full_box(b"mvhd", version, 0, |w| {
        put_time(w, version, 0);
        put_time(w, version, 0);
        w.u32(MOVIE_TIMESCALE);
        put_time(w, version, duration);
        w.u32(0x0001_0000); // rate 1.0
        w.u16(0x0100); // volume 1.0
        w.zeros(10);
        put_matrix(w);
        w.zeros(24);
        w.u32(next_track);
    });
}

fn put_matrix(w: &mut BoxWriter) {
    for value in UNITY_MATRIX {
        w.u32(value);
    }
}

/// Writes `tkhd`.
pub(crate) fn write_tkhd(w: &mut BoxWriter, track: &TrackHeader) {
    const ENABLED_IN_MOVIE_IN_PREVIEW: u32 = 7;
    let version = version_for(track.movie_duration);
    w.full_box(b"tkhd", version, ENABLED_IN_MOVIE_IN_PREVIEW, |w| {
        put_time(w, version, 0);
        put_time(w, version, 0);
        w.u32(track.id());
        w.zeros(4);
        put_time(w, version, track.movie_duration);
        w.zeros(8);
        w.zeros(4); // layer, alternate_group
        w.u16(match track.kind {
            TrackKind::Video => 0,
            TrackKind::Audio => 0x0100,
        });
        w.zeros(2);
        put_matrix(w);
        w.u32(track.width.min(0xffff) << 16);
        w.u32(track.height.min(0xffff) << 16);
    });
}

/// Writes `mdia`; `fill_stbl` writes the boxes of `stbl`.
pub(crate) fn write_mdia(
    w: &mut BoxWriter,
    track: &TrackHeader,
    fill_stbl: impl FnOnce(&mut BoxWriter),
) {
    w.boxed(b"mdia", |w| {
        write_mdhd(w, track);
        write_hdlr(w, track.kind);
        w.boxed(b"minf", |w| {
            match track.kind {
                TrackKind::Video => w.full_box(b"vmhd", 0, 1, |w| w.zeros(8)),
                TrackKind::Audio => w.full_box(b"smhd", 0, 0, |w| w.zeros(4)),
            }
            w.boxed(b"dinf", |w| {
                w.full_box(b"dref", 0, 0, |w| {
                    w.u32(1);
                    w.full_box(b"url ", 0, 1, |_| {}); // the media is in this file
                });
            });
            w.boxed(b"stbl", fill_stbl);
        });
    });
}

fn write_mdhd(w: &mut BoxWriter, track: &TrackHeader) {
    const UNDETERMINED: u16 = 0x55c4; // "und" in three times five bits
    let version = version_for(track.media_duration);
    w.full_box(b"mdhd", version, 0, |w| {
        put_time(w, version, 0);
        put_time(w, version, 0);
        w.u32(track.timescale);
        put_time(w, version, track.media_duration);
        w.u16(UNDETERMINED);
        w.zeros(2);
    });
}

fn write_hdlr(w: &mut BoxWriter, kind: TrackKind) {
    let (handler, name) = match kind {
        TrackKind::Video => (b"vide", b"video\0"),
        TrackKind::Audio => (b"soun", b"audio\0"),
    };
    w.full_box(b"hdlr", 0, 0, |w| {
        w.zeros(4);
        w.raw(handler);
        w.zeros(12);
        w.raw(name);
    });
}
