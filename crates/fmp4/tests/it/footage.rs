//! Streams of real cameras and encoders, if the folder with the footage is there.

use crate::clip::write_clip;
use crate::ffmpeg::{self, digests};
use crate::stream::{Recording, START, Stream, live};
use framewell_fmp4::ClipPlan;
use framewell_media::VideoCodec;
use framewell_model::{TimeRange, Timescale};
use std::path::{Path, PathBuf};

/// Files of `shared/media` beside any folder above this one.
fn stored() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|above| above.join("shared/media"))
        .find(|folder| folder.is_dir());
    let Some(folder) = folder else {
        eprintln!("no real footage: there is no folder shared/media beside the repository");
        return Vec::new();
    };
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "mp4"))
        .collect()
}

fn codec_of(file: &Path) -> VideoCodec {
    let name = ffmpeg::run(
        "ffprobe",
        &[
            "-select_streams",
            "v:0",
            "-show_entries",
            "stream=codec_name",
            "-of",
            "csv=p=0",
            ffmpeg::arg(file),
        ],
    );
    match name.trim() {
        "hevc" => VideoCodec::H265,
        "h264" => VideoCodec::H264,
        other => panic!("{} is {other}", file.display()),
    }
}

/// Clips of a recording, from one picture to another, show just these.
fn clips_are_exact(stream: &Stream, recording: &Recording) {
    let sources = recording.sources(0);
    let mut times: Vec<i64> = stream.pictures().map(|unit| unit.pts.ticks).collect();
    times.sort_unstable();
    let wall = |n: usize| START.plus_micros(Timescale::HZ_90K.to_micros(times[n]));
    let count = times.len();
    for (first, last) in [
        (0, count - 1),
        (count / 3 + 1, count / 2),
        (count / 5, count / 5),
    ] {
        let wanted = TimeRange::new(
            wall(first).plus_micros(3),
            wall(last).plus_micros(1).max(wall(first).plus_micros(4)),
        );
        let plan =
            ClipPlan::build(wanted.unwrap(), &sources, framewell_fmp4::Holes::Collapse).unwrap();
        let file = write_clip(stream, &plan, &recording.segments, 1 << 20);
        let shown = ffmpeg::frames(&file);
        assert_eq!(digests(&shown), digests(&stream.reference[first..=last]));
        for (frame, n) in shown.iter().zip(first..) {
            let at = (times[n] - times[first]) as f64 / 90_000.0;
            assert!(
                (frame.at - at).abs() < 1e-4,
                "frame {n} at {} instead of {at}",
                frame.at
            );
        }
    }
}

#[test]
fn real_footage_records_and_gives_exact_clips() {
    for path in stored() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let stream = Stream::import(codec_of(&path), &path);
        let size = format!(
            "{}x{}",
            stream.parameters.video.width, stream.parameters.video.height
        );
        assert!(
            name.contains(&size) || name.contains("1080p"),
            "{name} is {size}"
        );
        let recording = Recording::new(&stream, 1);
        let file = stream.path("live.mp4");
        std::fs::write(&file, live(&stream)).unwrap();
        assert_eq!(
            digests(&ffmpeg::frames(&file)),
            digests(&stream.reference),
            "{name}"
        );
        clips_are_exact(&stream, &recording);
    }
}
