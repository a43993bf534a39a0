//! A decoder and where it is in its stream.

use crate::decoded::Decoded;
use crate::ffi;
use crate::ffi_hw::HwDevice;
use crate::orientation::Orientation;
use crate::samples::Content;
use ffmpeg_next::codec::decoder;
use framewell_decode::Want;
use framewell_decode::protocol::wire::{Codec, Failure, Request};
use std::collections::VecDeque;

/// Pictures that a decoder holds besides those that wait for their turn: references (streams of
/// cameras have one to four), the one in work, the newest one given out. As many as it reorders over wait
/// inside of it, and as many stay outside.
const HELD_PICTURES: u64 = 8;
/// Size taken for granted until the first picture says otherwise.
const USUAL_PIXELS: u64 = 1920 * 1088;

/// What a decoder is opened with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Parameters {
    codec: Codec,
    config: Vec<u8>,
    reorder_depth: u8,
}

impl Parameters {
    pub(crate) fn new(request: &Request, config: Vec<u8>) -> Self {
        Self {
            codec: request.codec,
            config,
            reorder_depth: request.reorder_depth,
        }
    }
}

/// An open decoder, and what is open between it and those who want pictures.
pub(crate) struct Position {
    parameters: Parameters,
    pub(crate) decoder: decoder::Video,
    /// Wanted pictures that it has not given out yet.
    pub(crate) open: Vec<Want>,
    /// The last pictures that it gave out, at most [`Position::most_shown`], the newest one last.
    pub(crate) shown: VecDeque<Decoded>,
    /// Of the last picture that it gave out.
    pub(crate) orientation: Orientation,
    pub(crate) damage: Damage,
    inside: Inside,
    /// It was told that the stream ends, and takes nothing more until it is reset.
    pub(crate) is_drained: bool,
}

impl Position {
    pub(crate) fn open(parameters: Parameters, device: Option<&HwDevice>) -> Result<Self, Failure> {
        let Parameters {
            codec,
            config,
            reorder_depth,
        } = &parameters;
        let decoder = ffi::open_decoder((*codec).into(), config, *reorder_depth, device)
            .map_err(|error| Failure::Bitstream(format!("decoder does not open: {error}")))?;
        Ok(Self {
            parameters,
            decoder,
            open: Vec::new(),
            shown: VecDeque::new(),
            orientation: Orientation::default(),
            damage: Damage::default(),
            inside: Inside::default(),
            is_drained: false,
        })
    }

    /// Whether it goes on for a job with these parameters.
    pub(crate) fn fits(&self, parameters: &Parameters) -> bool {
        self.parameters == *parameters
    }

    /// Ready for a key frame. Drops all pictures and references, as for a seek: nothing of what was
    /// decoded before reaches what comes.
    pub(crate) fn reset(&mut self) {
        self.decoder.flush();
        self.open.clear();
        self.shown.clear();
        self.orientation = Orientation::default();
        self.damage = Damage::default();
        self.inside = Inside::default();
        self.is_drained = false;
    }

    /// A sample with a picture goes into the decoder.
    pub(crate) fn sample_sent(&mut self, pts: i64, content: Content) {
        if content == Content::KeyPicture {
            self.damage.key_sent(pts);
        }
        if self.parameters.codec == Codec::H265 {
            self.inside.sent(pts);
        }
    }

    /// A picture comes out of the decoder.
    pub(crate) fn picture_out(&mut self, pts: i64, is_damaged: bool) {
        if let Some(lost) = self.inside.out(pts) {
            self.damage.note(|| swallowed(lost));
        }
        if is_damaged {
            let what = || format!("the picture at presentation time {pts} is damaged");
            self.damage.note(what);
        } else {
            self.damage.picture_out(pts);
        }
    }

    /// All pictures that were ready came out.
    pub(crate) fn all_out(&mut self) {
        if !self.decoder.has_b_frames()
            && let Some(lost) = self.inside.take_any()
        {
            self.damage.note(|| swallowed(lost));
        }
    }

    /// How many pictures stay at hand once they are out. A session of a decoder that reorders is told
    /// what is wanted when all pictures shown before it have come in. So many more have come by then as
    /// it reorders over, and at a key frame it may have given all of them out.
    fn most_shown(&self) -> usize {
        1 + usize::from(self.parameters.reorder_depth)
    }

    /// Keeps a picture that came out as the newest one.
    pub(crate) fn keep(&mut self, picture: Decoded) {
        while self.shown.len() >= self.most_shown() {
            self.shown.pop_front();
        }
        self.shown.push_back(picture);
    }

    /// About how much memory it takes, in bytes.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let pixels = match u64::from(self.decoder.width()) * u64::from(self.decoder.height()) {
            0 => USUAL_PIXELS,
            pixels => pixels,
        };
        // One and a half samples a pixel, and the tables that are kept beside them.
        let bytes_per_pixel = if ffi::has_small_samples(self.decoder.format()) {
            2
        } else {
            6
        };
        let references = u64::try_from(self.decoder.references()).unwrap_or(0);
        let reordered = u64::from(self.parameters.reorder_depth);
        (HELD_PICTURES.max(references + 3) + 2 * reordered) * pixels * bytes_per_pixel
    }
}

fn swallowed(pts: i64) -> String {
    format!("the decoder gives no picture for the sample at presentation time {pts}")
}

/// Presentation times of samples whose picture is not out yet, of H.265: that decoder drops what it
/// cannot read without a word, and makes up what later pictures refer to. (The one for H.264 reports
/// errors, and two samples may be fields of one picture there.)
#[derive(Debug, Default)]
struct Inside {
    pending: Vec<i64>,
    /// Of the first key frame. Pictures before it that follow it in decoding order refer to what was
    /// never decoded, and are dropped by rule (ITU-T H.265 section 8.1.3, RASL).
    start: Option<i64>,
}

impl Inside {
    fn sent(&mut self, pts: i64) {
        if pts >= *self.start.get_or_insert(pts) {
            self.pending.push(pts);
        }
    }

    /// Returns a sample that should have come out before this picture and did not.
    fn out(&mut self, pts: i64) -> Option<i64> {
        let mut passed = self.pending.extract_if(.., |pending| *pending <= pts);
        passed.by_ref().filter(|passed| *passed != pts).min()
    }

    fn take_any(&mut self) -> Option<i64> {
        self.pending.drain(..).min()
    }
}

/// Whether what the decoder gives out can be trusted. The first thing that goes wrong makes all later
/// pictures suspect, as they may refer to what is broken, until a key frame follows.
#[derive(Debug, Default)]
pub(crate) struct Damage {
    what: Option<String>,
    /// Presentation time of the first key frame that was sent after it.
    healed_at: Option<i64>,
}

impl Damage {
    /// Something is wrong from here on.
    pub(crate) fn note(&mut self, what: impl FnOnce() -> String) {
        self.what.get_or_insert_with(what);
        self.healed_at = None;
    }

    /// A key frame goes into the decoder.
    pub(crate) fn key_sent(&mut self, pts: i64) {
        if self.what.is_some() {
            self.healed_at.get_or_insert(pts);
        }
    }

    /// A picture without faults comes out.
    pub(crate) fn picture_out(&mut self, pts: i64) {
        if self.healed_at == Some(pts) {
            *self = Self::default();
        }
    }

    /// Whether a picture of this presentation time that is still to come will be right.
    pub(crate) fn spares(&self, pts: i64) -> bool {
        self.what.is_none() || self.healed_at.is_some_and(|healed_at| healed_at <= pts)
    }

    /// `Err` if the picture that came out last cannot be trusted.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        self.what
            .clone()
            .map_or(Ok(()), |what| Err(Failure::Bitstream(what)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_that_are_passed_over_are_named() {
        let mut inside = Inside::default();
        for pts in [10, 8, 40, 20, 30] {
            inside.sent(pts);
        }
        assert_eq!(inside.out(10), None);
        assert_eq!(inside.out(30), Some(20));
        assert_eq!(inside.out(40), None);
        assert_eq!(inside.take_any(), None);
    }

    #[test]
    fn damage_ends_with_the_key_frame_behind_it() {
        let mut damage = Damage::default();
        damage.key_sent(0);
        damage.note(|| "first".into());
        damage.note(|| "second".into());
        damage.picture_out(0);
        assert_eq!(damage.check(), Err(Failure::Bitstream("first".into())));
        assert!(!damage.spares(10));
        damage.key_sent(9);
        damage.picture_out(8);
        assert!(damage.check().is_err());
        assert!(damage.spares(9) && !damage.spares(8));
        damage.picture_out(9);
        assert_eq!(damage.check(), Ok(()));
    }

    #[test]
    fn a_key_frame_before_the_damage_heals_nothing_when_it_comes_out_late() {
        let mut damage = Damage::default();
        damage.note(|| "first".into());
        damage.key_sent(9);
        damage.note(|| "behind the key frame".into());
        damage.picture_out(9);
        assert!(damage.check().is_err());
    }
}
