//! Segments and whole recordings play: every frame, at its time.

use crate::ffmpeg::{self, digests};
use crate::stream::{H264, H264_B, H265, H265_OPEN, RATE, Recipe, Recording, Stream, live};
use framewell_media::AudioCodec;
use framewell_model::Timescale;

/// The clock of a live stream starts this many seconds before that of its run.
const ORIGIN_S: i64 = 10;

/// Plays `recipe` as live HLS does; the stream, for more questions.
fn every_frame_plays_at_its_time(recipe: &Recipe) -> Stream {
    let stream = Stream::encode(recipe);
    let file = stream.path("live.mp4");
    std::fs::write(&file, live(&stream)).unwrap();

    let packets = ffmpeg::packets(&file, "v:0");
    let origin = ORIGIN_S * 90_000;
    let written: Vec<_> = stream
        .pictures()
        .map(|unit| {
            (
                unit.pts.ticks + origin,
                unit.dts.ticks + origin,
                unit.is_key,
            )
        })
        .collect();
    let read: Vec<_> = packets
        .iter()
        .map(|(pts, dts, _, is_key)| (*pts, *dts, *is_key))
        .collect();
    assert_eq!(read, written);
    let frame_ticks = 90_000 / RATE;
    assert!(packets.iter().all(|packet| packet.2 == frame_ticks));

    let frames = ffmpeg::frames(&file);
    assert_eq!(digests(&frames), digests(&stream.reference));
    for (n, frame) in frames.iter().enumerate() {
        let at = ORIGIN_S as f64 + n as f64 / RATE as f64;
        assert!((frame.at - at).abs() < 1e-4, "frame {n} at {}", frame.at);
    }
    if let Some(audio) = &stream.parameters.audio {
        let heard = ffmpeg::packets(&file, "a:0");
        let count = stream.units.len() - stream.pictures().count();
        assert_eq!(heard.len(), count);
        let scale: Timescale = audio.timescale();
        assert_eq!(heard[0].0, ORIGIN_S * i64::from(scale.hz()));
        let name = ffmpeg::field(&file, "stream=codec_tag_string");
        let name = name.lines().nth(1).map(str::to_ascii_lowercase);
        assert_eq!(name.as_deref(), audio.rfc6381().get(..4));
    }
    stream
}

#[test]
fn opus_plays_beside_h264() {
    every_frame_plays_at_its_time(&Recipe {
        audio: Some(AudioCodec::Opus),
        seconds: 2,
        ..H264
    });
}

#[test]
fn h264_without_reordering_plays() {
    let stream = every_frame_plays_at_its_time(&H264);
    assert_eq!(stream.parameters.video.reorder_depth, 0);
}

#[test]
fn h264_with_b_frames_and_aac_plays() {
    let stream = every_frame_plays_at_its_time(&H264_B);
    assert_eq!(stream.parameters.video.reorder_depth, 2);
}

#[test]
fn h265_with_mu_law_plays() {
    let stream = every_frame_plays_at_its_time(&H265);
    assert_eq!(stream.parameters.video.reorder_depth, 0);
}

#[test]
fn h265_with_open_gops_and_a_law_plays() {
    let stream = every_frame_plays_at_its_time(&H265_OPEN);
    let pictures: Vec<_> = stream.pictures().collect();
    let leads = pictures
        .windows(2)
        .filter(|pair| pair[0].is_key && pair[1].pts.ticks < pair[0].pts.ticks);
    assert!(leads.count() >= 3, "the GOPs are open");
}

#[test]
fn every_segment_plays_on_its_own() {
    let stream = Stream::encode(&H264_B);
    let recording = Recording::new(&stream, 1);
    let mut shown = Vec::new();
    for (n, segment) in recording.segments.iter().enumerate() {
        let file = stream.path(&format!("segment-{n}.mp4"));
        std::fs::write(&file, segment).unwrap();
        shown.extend(ffmpeg::frames(&file));
    }
    assert_eq!(digests(&shown), digests(&stream.reference));
}

/// Every segment of `recipe` is, to a player, a file of its own that begins at 0 and is as long as its
/// pictures, however late in the run it was recorded.
fn segments_begin_at_0_and_say_how_long_they_are(recipe: &Recipe) {
    let mut stream = Stream::encode(recipe);
    let frame_s = 1.0 / RATE as f64;
    for late_s in [0, 3_600, 30 * 86_400 - 3_600] {
        stream.delay(late_s);
        let recording = Recording::new(&stream, 1);
        assert!(recording.segments.len() >= 2);
        for segment in &recording.segments {
            let file = stream.path("segment.mp4");
            std::fs::write(&file, segment).unwrap();
            let number = |entry| ffmpeg::field(&file, entry).parse::<f64>().unwrap();
            let index = framewell_fmp4::scan_segment(segment).unwrap().index;
            let ticks: i64 = index.fragments.iter().map(|f| f.duration).sum();
            let length = ticks as f64 / 90_000.0;
            let (start, duration) = (number("format=start_time"), number("format=duration"));
            assert!(start.abs() < frame_s, "starts at {start} s");
            assert!(
                (duration - length).abs() < frame_s,
                "{duration} s instead of {length} s"
            );
        }
    }
}

#[test]
fn h264_segments_late_in_a_run_are_short_files() {
    segments_begin_at_0_and_say_how_long_they_are(&H264);
}

#[test]
fn segments_with_b_frames_and_aac_late_in_a_run_are_short_files() {
    segments_begin_at_0_and_say_how_long_they_are(&H264_B);
}

#[test]
fn h265_segments_late_in_a_run_are_short_files() {
    segments_begin_at_0_and_say_how_long_they_are(&H265);
}

#[test]
fn a_recording_cut_off_in_mid_write_plays_up_to_the_last_fragment() {
    let stream = Stream::encode(&H264);
    let recording = Recording::new(&stream, 1);
    let segment = &recording.segments[0];
    let torn = &segment[..segment.len() - 100];
    let scanned = framewell_fmp4::scan_segment(torn).unwrap();
    assert_eq!(scanned.index.fragments.len(), 1);
    let file = stream.path("torn.mp4");
    std::fs::write(&file, &torn[..scanned.index.len_bytes() as usize]).unwrap();
    assert_eq!(
        digests(&ffmpeg::frames(&file)),
        digests(&stream.reference[..25])
    );
}
