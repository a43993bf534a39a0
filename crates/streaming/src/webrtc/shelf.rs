//! The pictures of a channel in the form that packetizers take, made once for all viewers.

use bytes::Bytes;
use framewell_media::{AccessUnit, VideoParameters, nal};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;

/// Pictures kept: what viewers that are a moment apart ask for. Who needs more, after a loss, makes it.
const PICTURES: usize = 8;

/// The newest pictures with start codes (ITU-T H.264 Annex B), shared by all viewers of a channel.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    pictures: Mutex<VecDeque<(Bytes, Arc<[u8]>)>>,
}

impl Shelf {
    /// A picture in Annex B form, with parameter sets before a key frame.
    pub(super) fn annex_b(&self, unit: &AccessUnit, video: &VideoParameters) -> Arc<[u8]> {
        // The payload is kept with what was made of it, so its address names it.
        let is_this = |kept: &&(Bytes, Arc<[u8]>)| {
            kept.0.as_ptr() == unit.data.as_ptr() && kept.0.len() == unit.data.len()
        };
        let mut pictures = self.pictures.lock();
        if let Some((_, made)) = pictures.iter().rev().find(is_this) {
            return Arc::clone(made);
        }
        let made = to_annex_b(unit, video);
        if pictures.len() == PICTURES {
            pictures.pop_front();
        }
        pictures.push_back((unit.data.clone(), Arc::clone(&made)));
        made
    }
}

fn to_annex_b(unit: &AccessUnit, video: &VideoParameters) -> Arc<[u8]> {
    const START_CODE: [u8; 4] = [0, 0, 0, 1];
    let sets = if unit.is_key {
        video.parameter_sets()
    } else {
        Vec::new()
    };
    let room: usize = sets.iter().map(|set| set.len() + START_CODE.len()).sum();
    // A start code is as long as the length that it replaces.
    let mut out = Vec::with_capacity(room + unit.data.len());
    for nal in sets
        .into_iter()
        .chain(nal::split_length_prefixed(&unit.data))
    {
        out.extend_from_slice(&START_CODE);
        out.extend_from_slice(&nal);
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use framewell_media::{TrackKind, VideoCodec};
    use framewell_model::{ClockSource, MediaTime, Timescale, WallTime};

    fn unit(data: &'static [u8], is_key: bool) -> AccessUnit {
        let time = MediaTime::new(0, Timescale::HZ_90K);
        AccessUnit {
            track: TrackKind::Video,
            pts: time,
            dts: time,
            wall: WallTime::from_secs(0),
            clock: ClockSource::CameraRtcp,
            is_key,
            data: Bytes::from_static(data),
        }
    }

    fn video() -> VideoParameters {
        let config = [
            1, 0x42, 0xe0, 0x1f, 0xff, 0xe1, 0, 4, 0x67, 0x42, 0xe0, 0x1f, 1, 0, 2, 0x68, 0xce,
        ];
        VideoParameters {
            codec: VideoCodec::H264,
            width: 640,
            height: 360,
            config: Bytes::copy_from_slice(&config),
            reorder_depth: 0,
            rfc6381: String::new(),
        }
    }

    #[test]
    fn a_key_frame_comes_with_its_parameter_sets_and_only_once() {
        let shelf = Shelf::default();
        let key = unit(&[0, 0, 0, 2, 0x65, 7], true);
        let made = shelf.annex_b(&key, &video());
        assert_eq!(
            made[..],
            [
                0, 0, 0, 1, 0x67, 0x42, 0xe0, 0x1f, 0, 0, 0, 1, 0x68, 0xce, 0, 0, 0, 1, 0x65, 7
            ]
        );
        assert!(Arc::ptr_eq(&made, &shelf.annex_b(&key, &video())));
    }

    #[test]
    fn another_picture_is_another_one() {
        let shelf = Shelf::default();
        let first = shelf.annex_b(&unit(&[0, 0, 0, 1, 0x41], false), &video());
        let second = shelf.annex_b(&unit(&[0, 0, 0, 1, 0x61], false), &video());
        assert_eq!(first[..], [0, 0, 0, 1, 0x41]);
        assert_eq!(second[..], [0, 0, 0, 1, 0x61]);
    }
}
