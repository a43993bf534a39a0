//! What a stream of fragments is made of.

use super::Cursor;
use bytes::Bytes;
use framewell_fmp4::build_live_init;
use framewell_media::{AudioParameters, StreamParameters, TrackKind};
use framewell_model::{RunId, TimeRange, WallTime};
use std::sync::Arc;

/// User type of the box in front of each fragment that holds its [`Cursor`] as text.
pub const CURSOR_BOX: [u8; 16] = *b"framewell/cursor";
/// User type of the box of an HTTP stream with what a WebSocket says in text messages: a JSON object.
pub const NOTICE_BOX: [u8; 16] = *b"framewell/notice";

/// Which tracks a client wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tracks {
    /// Pictures alone.
    Video,
    /// Sound alone.
    Audio,
    /// All there are.
    Both,
}

impl Tracks {
    /// The kinds of units.
    #[must_use]
    pub const fn kinds(self) -> &'static [TrackKind] {
        match self {
            Self::Video => &[TrackKind::Video],
            Self::Audio => &[TrackKind::Audio],
            Self::Both => &[TrackKind::Video, TrackKind::Audio],
        }
    }

    /// Whether units of this kind are wanted.
    #[must_use]
    pub fn has(self, kind: TrackKind) -> bool {
        self.kinds().contains(&kind)
    }
}

/// What a player needs before the first fragment, and again before one with other parameters.
#[derive(Debug)]
pub struct Init {
    /// `ftyp` and `moov`.
    pub bytes: Bytes,
    /// RFC 6381 codecs of its tracks, comma-separated.
    pub codecs: String,
    /// Picture size in pixels; `None` without video.
    pub size: Option<(u32, u32)>,
    parameters: Arc<StreamParameters>,
}

/// Equal if a player that has the one needs not be given the other.
impl PartialEq for Init {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Init {
    /// `None` if the parameters have none of the wanted tracks.
    pub(super) fn new(parameters: &Arc<StreamParameters>, tracks: Tracks) -> Option<Self> {
        let audio = parameters.audio.as_ref();
        let audio = audio.filter(|_| tracks.has(TrackKind::Audio));
        let video = tracks.has(TrackKind::Video).then_some(&parameters.video);
        let names = [
            video.map(|video| video.rfc6381.clone()),
            audio.map(AudioParameters::rfc6381),
        ];
        let names: Vec<String> = names.into_iter().flatten().collect();
        (!names.is_empty()).then(|| Self {
            bytes: build_live_init(parameters, tracks.kinds()),
            codecs: names.join(","),
            size: video.map(|video| (video.width, video.height)),
            parameters: Arc::clone(parameters),
        })
    }

    /// Whether it serves these parameters too.
    pub(super) fn serves(&self, parameters: &Arc<StreamParameters>) -> bool {
        Arc::ptr_eq(&self.parameters, parameters) || *self.parameters == **parameters
    }
}

/// A fragment with what is known of it. Made once, shared by all who are sent it.
#[derive(Debug)]
pub struct Piece {
    /// Cursor box, `prft`, `moof`, `mdat`.
    pub wire: Bytes,
    /// What has to come before it.
    pub init: Arc<Init>,
    /// The run of its units.
    pub run: RunId,
    /// Where a client is that has it.
    pub cursor: Cursor,
    /// Whether decoding may start here.
    pub is_key: bool,
    /// Capture time of its first unit in decoding order.
    pub wall: WallTime,
    /// Time without footage before it, in a stream that was without a hole until then.
    pub hole: Option<TimeRange>,
    /// Pictures of the stream before it.
    pub pictures_before: u64,
    /// Its pictures.
    pub pictures: u64,
}
