//! Streams that say how they are turned.

use crate::common::{gops, in_form, job, pool, stamp};
use bytes::Bytes;
use framewell_decode::{Crop, Output, Rectangle};
use framewell_media::{AccessUnit, VideoCodec};
use framewell_model::WallTime;
use framewell_testkit::encode::{ClipSpec, EncodedClip};
use std::path::Path;
use std::process::Command;

/// A display orientation: mirrored first, then turned anticlockwise by quarter turns.
#[derive(Debug, Clone, Copy)]
struct Turn {
    flips: (bool, bool),
    quarters: u8,
    /// FFmpeg's filter that undoes it.
    undo: &'static str,
}

const fn turn(flips: (bool, bool), quarters: u8, undo: &'static str) -> Turn {
    Turn {
        flips,
        quarters,
        undo,
    }
}

const TURNS: [Turn; 7] = [
    turn((false, false), 1, "transpose=clock"),
    turn((false, false), 2, "hflip,vflip"),
    turn((false, false), 3, "transpose=cclock"),
    turn((true, false), 0, "hflip"),
    turn((false, true), 0, "vflip"),
    turn((true, false), 1, "transpose=clock,hflip"),
    turn((false, true), 3, "transpose=cclock,vflip"),
];

impl Turn {
    /// Display orientation SEI message (ITU-T H.264 section D.1.27, H.265 section D.2.17), with its NAL
    /// unit's length.
    fn sei(self, codec: VideoCodec) -> Vec<u8> {
        let flips = u8::from(self.flips.0) << 6 | u8::from(self.flips.1) << 5;
        let first = flips | self.quarters << 3;
        // After the last three bits of the angle: how long it holds, and where the message ends.
        let (header, last): (&[u8], u8) = match codec {
            VideoCodec::H264 => (&[0x06], 0b0000_1001),
            VideoCodec::H265 => (&[0x4e, 0x01], 0b0001_1000),
        };
        // The last byte of the angle may be followed by too many zeros: none of these bytes is.
        let body = [header, &[47, 3, first, 0, last, 0x80]].concat();
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        [&length[..], &body].concat()
    }
}

/// The stamped clip with its pictures turned the other way.
fn turned(codec: VideoCodec, turn: Turn, folder: &Path) -> EncodedClip {
    let spec = ClipSpec {
        width: 320,
        height: 240,
        gop: 4,
        frames: 8,
        ..ClipSpec::default()
    };
    let (upright, path) = (folder.join("upright.h264"), folder.join("turned.mp4"));
    std::fs::write(&upright, spec.encode().unwrap().annex_b()).unwrap();
    let (encoder, quiet) = match codec {
        VideoCodec::H264 => ("libx264", ["-x264-params", "bframes=0:keyint=4"]),
        VideoCodec::H265 => (
            "libx265",
            ["-x265-params", "bframes=0:keyint=4:log-level=none"],
        ),
    };
    let ran = Command::new("ffmpeg")
        .args(["-v", "error", "-y", "-i"])
        .arg(&upright)
        .args(["-vf", turn.undo, "-c:v", encoder])
        .args(quiet)
        .arg(&path)
        .status()
        .unwrap();
    assert!(ran.success());
    EncodedClip::from_file(&path, WallTime::from_secs(0)).unwrap()
}

fn with_sei(unit: &AccessUnit, sei: &[u8]) -> AccessUnit {
    AccessUnit {
        data: Bytes::from([sei, &unit.data[..]].concat()),
        ..unit.clone()
    }
}

#[tokio::test]
async fn pictures_are_turned_upright() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool();
    for codec in [VideoCodec::H264, VideoCodec::H265] {
        for turn in TURNS {
            let clip = turned(codec, turn, folder.path());
            let mut gop = gops(&clip).remove(0);
            // At the key frame only: it holds until the next one.
            gop[0] = with_sei(&gop[0], &turn.sei(codec));
            for (index, frame) in [(0, 0), (3, 3)] {
                let job = job(&clip, &gop, &[gop[index].pts.ticks]);
                let picture = pool.decode(job).await.unwrap().remove(0);
                assert_eq!(
                    (picture.width, picture.height),
                    (320, 240),
                    "{codec:?} {turn:?}"
                );
                assert_eq!(stamp(&picture).frame, frame, "{codec:?} {turn:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_crop_is_of_the_upright_picture() {
    let folder = tempfile::tempdir().unwrap();
    let clip = turned(VideoCodec::H264, TURNS[0], folder.path());
    let mut gop = gops(&clip).remove(0);
    gop[0] = with_sei(&gop[0], &TURNS[0].sei(VideoCodec::H264));
    let whole = job(&clip, &gop, &[gop[0].pts.ticks]);
    let raw = |crop| Output {
        crop,
        ..Output::new(framewell_decode::PictureFormat::Nv12)
    };
    let area = Rectangle {
        x: 280,
        y: 20,
        width: 40,
        height: 60,
    };
    let pool = pool();
    let all = pool
        .decode(in_form(whole.clone(), raw(None)))
        .await
        .unwrap()
        .remove(0);
    let part = pool
        .decode(in_form(whole, raw(Some(Crop::Pixels(area)))))
        .await
        .unwrap()
        .remove(0);
    assert_eq!((part.width, part.height), (40, 60));
    for y in 0..60 {
        assert_eq!(
            part.data[y * 40..][..40],
            all.data[(y + 20) * 320 + 280..][..40],
            "row {y}"
        );
    }
}
