//! `cargo run --example seeds`, in `fuzz/`: writes `fuzz/seeds/`, what real programs send and write.
//!
//! Takes the `ffmpeg` of the distribution. The seeds are in the repository; this is for new ones.

mod files;
mod rtmp;
mod rtsp;
mod texts;

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Longest seed: long inputs are slow, and change in places that matter less.
const MOST: usize = 12 << 10;

fn main() -> io::Result<()> {
    rtsp::capture()?;
    rtmp::capture()?;
    files::make()?;
    texts::make()
}

/// Writes a seed of a target, cut to its longest.
fn save(target: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("seeds")
        .join(target);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(name), &bytes[..bytes.len().min(MOST)])
}

/// Five pictures of 64x64 and sound, then what `output` says.
fn ffmpeg(video: &[&str], audio: &[&str], output: &[&str]) -> io::Result<Child> {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-loglevel", "error", "-y"]);
    command.args([
        "-f",
        "lavfi",
        "-i",
        "testsrc=size=64x64:rate=10:duration=0.5",
    ]);
    command.args(["-f", "lavfi", "-i", "sine=sample_rate=8000:duration=0.5"]);
    command.args(["-shortest", "-pix_fmt", "yuv420p"]);
    command.args(video).args(audio).args(output);
    command.stdin(Stdio::null()).spawn()
}

/// With two B-frames between others.
const H264: &[&str] = &["-c:v", "libx264", "-preset", "fast", "-g", "5", "-bf", "2"];
const H265: &[&str] = &["-c:v", "libx265", "-x265-params", "log-level=none:keyint=5"];
const AAC: &[&str] = &["-c:a", "aac", "-b:a", "16k"];
const MULAW: &[&str] = &["-c:a", "pcm_mulaw", "-ac", "1"];

/// Packets behind their lengths in two bytes.
fn framed<'a>(packets: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for packet in packets {
        let length = u16::try_from(packet.len()).expect("packets are short");
        bytes.extend(length.to_be_bytes());
        bytes.extend_from_slice(packet);
    }
    bytes
}
