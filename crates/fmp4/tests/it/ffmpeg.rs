//! The independent player.

use std::path::Path;
use std::process::Command;

/// Runs a command to its end; its standard output.
pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(["-hide_banner", "-v", "error"])
        .args(arguments)
        .output()
        .unwrap_or_else(|e| panic!("{program} does not start (Debian package ffmpeg): {e}"));
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program} {arguments:?} failed: {complaints}"
    );
    assert!(
        complaints.is_empty(),
        "{program} {arguments:?} complains: {complaints}"
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Path as an argument.
pub(crate) fn arg(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A decoded picture.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Frame {
    /// Presentation time in seconds.
    pub(crate) at: f64,
    /// Digest of the pixels.
    pub(crate) digest: String,
}

/// Every picture that a player shows, in order.
pub(crate) fn frames(file: &Path) -> Vec<Frame> {
    let text = run(
        "ffmpeg",
        &[
            "-copyts",
            "-i",
            arg(file),
            "-map",
            "0:v",
            "-vsync",
            "passthrough",
            "-enc_time_base",
            "1:90000",
            "-f",
            "framemd5",
            "-",
        ],
    );
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let fields: Vec<&str> = line.split(',').map(str::trim).collect();
            Frame {
                at: fields[2].parse::<f64>().unwrap() / 90_000.0,
                digest: fields[5].to_owned(),
            }
        })
        .collect()
}

/// Digests of the pictures.
pub(crate) fn digests(frames: &[Frame]) -> Vec<&str> {
    frames.iter().map(|frame| frame.digest.as_str()).collect()
}

/// Seconds of decoded audio (or silence in its place) in a file.
pub(crate) fn audio_seconds(file: &Path) -> f64 {
    let text = run(
        "ffmpeg",
        &[
            "-i",
            arg(file),
            "-map",
            "0:a",
            "-ac",
            "1",
            "-ar",
            "8000",
            "-f",
            "framecrc",
            "-",
        ],
    );
    let samples: u64 = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            line.split(',')
                .nth(3)
                .unwrap()
                .trim()
                .parse::<u64>()
                .unwrap()
        })
        .sum();
    samples as f64 / 8000.0
}

/// Presentation and decode time in ticks of the track, duration, and whether it is a key frame, of every packet.
pub(crate) fn packets(file: &Path, track: &str) -> Vec<(i64, i64, i64, bool)> {
    let text = run(
        "ffprobe",
        &[
            "-select_streams",
            track,
            "-show_entries",
            "packet=pts,dts,duration,flags",
            "-of",
            "csv=p=0",
            arg(file),
        ],
    );
    // MPEG-TS packets have side data, which prints as lines without fields.
    text.lines()
        .filter(|line| line.contains(','))
        .map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            let number = |at: usize| fields[at].parse().unwrap_or(i64::MIN);
            (number(0), number(1), number(2), fields[3].starts_with('K'))
        })
        .collect()
}

/// One field of the container or of a stream.
pub(crate) fn field(file: &Path, entry: &str) -> String {
    run(
        "ffprobe",
        &["-show_entries", entry, "-of", "csv=p=0", arg(file)],
    )
    .trim()
    .trim_end_matches(',')
    .to_owned()
}
