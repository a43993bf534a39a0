//! What ffmpeg writes: MP4 files, elementary streams; and segments as the recorder writes them.

use crate::{AAC, H264, H265, MULAW, ffmpeg, save};
use framewell_fmp4::{
    FileClock, Movie, SegmentIndex, build_fragment, build_init, scan_segment, top_box,
};
use framewell_media::{AccessUnit, TrackKind};
use framewell_model::{ClockSource, MediaTime, Timescale, WallTime};
use std::fs;
use std::io;

const FRAGMENTED: &[&str] = &["-movflags", "frag_keyframe+empty_moov+default_base_moof"];

pub(crate) fn make() -> io::Result<()> {
    for (number, name, video) in [(0, "h264", H264), (1, "h265", H265)] {
        let whole = written(video, AAC, &["-f", "mp4"])?;
        save("movie", &format!("{name}_whole"), &whole)?;
        let fragmented = [FRAGMENTED, &["-f", "mp4"]].concat();
        save(
            "movie",
            &format!("{name}_fragmented"),
            &written(video, AAC, &fragmented)?,
        )?;
        let plain = written(
            video,
            AAC,
            &["-map", "0:v", "-bsf:v", annex_b(name), "-f", name_of(name)],
        )?;
        let record = [&[number], &plain[..]].concat();
        save("parameter_sets", &format!("{name}_stream"), &record)?;
        let movie = movie(&whole);
        let config = &movie.parameters.video.config;
        save(
            "parameter_sets",
            &format!("{name}_record"),
            &[&[number], &config[..]].concat(),
        )?;
        if let Some(audio) = &movie.parameters.audio {
            save("parameter_sets", "aac", &[&[0], &audio.config[..]].concat())?;
        }
        segment(name, &whole, &movie)?;
    }
    save("movie", "mov_mulaw", &written(H264, MULAW, &["-f", "mov"])?)
}

fn annex_b(name: &str) -> &'static str {
    if name == "h264" {
        "h264_mp4toannexb"
    } else {
        "hevc_mp4toannexb"
    }
}

fn name_of(name: &str) -> &'static str {
    if name == "h264" { "h264" } else { "hevc" }
}

/// A file that ffmpeg writes.
fn written(video: &[&str], audio: &[&str], output: &[&str]) -> io::Result<Vec<u8>> {
    let path = std::env::temp_dir().join(format!("framewell-seed-{}", std::process::id()));
    let text = path.to_string_lossy().into_owned();
    let status = ffmpeg(video, audio, &[output, &[&text]].concat())?.wait()?;
    assert!(status.success(), "ffmpeg {output:?}");
    let bytes = fs::read(&path)?;
    fs::remove_file(&path)?;
    Ok(bytes)
}

fn movie(bytes: &[u8]) -> Movie {
    let mut at = 0;
    while at < bytes.len() {
        let head = top_box(&bytes[at..]).expect("ffmpeg writes boxes");
        let len = head
            .len
            .map_or(bytes.len() - at, |len| usize::try_from(len).expect("short"));
        if &head.name == b"moov" {
            let movie = Movie::read(&bytes[at..at + len], std::iter::empty());
            return movie.expect("ffmpeg writes files that we can read");
        }
        at += len;
    }
    panic!("no moov");
}

/// First boxes, a fragment, and the index of both.
fn segment(name: &str, bytes: &[u8], movie: &Movie) -> io::Result<()> {
    let units: Vec<AccessUnit> = movie
        .video
        .iter()
        .map(|sample| {
            let from = usize::try_from(sample.offset).expect("short");
            AccessUnit {
                track: TrackKind::Video,
                pts: MediaTime::new(sample.pts, Timescale::HZ_90K),
                dts: MediaTime::new(sample.dts, Timescale::HZ_90K),
                wall: WallTime::from_secs(1_767_225_600).plus_micros(sample.pts * 100 / 9),
                clock: ClockSource::ServerArrival,
                is_key: sample.is_key,
                data: bytes[from..from + sample.size as usize].to_vec().into(),
            }
        })
        .collect();
    let init = build_init(&movie.parameters, None);
    let clock = FileClock::of_run(&movie.parameters);
    let fragment = build_fragment(&clock, 1, &movie.parameters, &units, None);
    let mut whole = init.to_vec();
    whole.extend_from_slice(&fragment.header);
    fragment
        .payload
        .iter()
        .for_each(|part| whole.extend_from_slice(part));
    save("fragment", &format!("{name}_segment"), &whole)?;
    save(
        "fragment",
        &format!("{name}_fragment"),
        &whole[init.len()..],
    )?;
    let index: SegmentIndex = scan_segment(&whole).map_err(io::Error::other)?.index;
    save("fragment", &format!("{name}_index"), &index.encode())
}
