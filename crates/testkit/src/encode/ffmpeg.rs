//! The encoder: the `ffmpeg` command line, and the cache of what it made.

use super::ClipSpec;
use crate::stamp::Painter;
use anyhow::{Context, Result, bail};
use framewell_media::VideoCodec;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Part of every cached file's name; grows when the pictures or the encoder's options change.
const CACHE_VERSION: u32 = 1;

/// Options of `ffmpeg` that encode raw pictures from standard input into a transport stream on
/// standard output.
pub(crate) fn encoder_options(spec: &ClipSpec) -> Vec<String> {
    let size = format!("{}x{}", spec.width, spec.height);
    let rate = spec.fps.to_string();
    let gop = spec.gop;
    let structure = format!(
        "keyint={gop}:min-keyint={gop}:scenecut=0:open-gop=0:bframes={}:b-adapt=0:rc-lookahead={}",
        spec.b_frames,
        // x265 refuses less than one picture more than it has B-frames.
        if spec.b_frames == 0 {
            0
        } else {
            spec.b_frames + 1
        },
    );
    let colour = "colorprim=bt709:transfer=bt709:colormatrix=bt709";
    // One thread: no frame is held back, and the same input gives the same stream everywhere.
    let encoder = match spec.codec {
        VideoCodec::H264 => ["libx264", "-x264-params", "threads=1:sync-lookahead=0"],
        VideoCodec::H265 => [
            "libx265",
            "-x265-params",
            "log-level=error:pools=1:frame-threads=1",
        ],
    };
    let [name, parameters_option, threads] = encoder;
    let parameters = format!("{structure}:{colour}:{threads}");
    let mut options: Vec<&str> = vec!["-hide_banner", "-loglevel", "error", "-f", "rawvideo"];
    options.extend(["-pix_fmt", "yuv420p", "-s", &size, "-framerate", &rate]);
    options.extend(["-color_range", "tv", "-i", "-", "-c:v", name]);
    options.extend([
        "-preset",
        "ultrafast",
        "-crf",
        "24",
        parameters_option,
        &parameters,
    ]);
    options.extend(TS_OUTPUT);
    options.into_iter().map(str::to_owned).collect()
}

/// Every picture leaves at once, and says how long it is.
const TS_OUTPUT: [&str; 12] = [
    "-f",
    "mpegts",
    "-omit_video_pes_length",
    "0",
    "-muxdelay",
    "0",
    "-muxpreload",
    "0",
    "-flush_packets",
    "1",
    "-y",
    "-",
];

/// The transport stream of a clip's video, from the cache if it is there.
pub(super) fn cached_video(spec: &ClipSpec) -> Result<Vec<u8>> {
    let codec = match spec.codec {
        VideoCodec::H264 => "h264",
        VideoCodec::H265 => "h265",
    };
    let name = format!(
        "v{CACHE_VERSION}-{codec}-{}x{}-{}fps-gop{}-b{}-{}f-{}.ts",
        spec.width,
        spec.height,
        spec.fps,
        spec.gop,
        spec.b_frames,
        spec.frames,
        spec.start.micros(),
    );
    cached(&name, || encode_video(spec))
}

/// The cached file of this name, made now if it is missing.
fn cached(name: &str, make: impl FnOnce() -> Result<Vec<u8>>) -> Result<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/testkit-cache");
    let path = folder.join(name);
    if let Ok(bytes) = fs::read(&path) {
        return Ok(bytes);
    }
    let bytes = make()?;
    write_whole(&folder, &path, &bytes).with_context(|| format!("caching {}", path.display()))?;
    Ok(bytes)
}

/// Other processes see either no file or all of it.
fn write_whole(folder: &Path, path: &PathBuf, bytes: &[u8]) -> Result<()> {
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}

fn encode_video(spec: &ClipSpec) -> Result<Vec<u8>> {
    let mut child = Command::new("ffmpeg")
        .args(encoder_options(spec))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("starting ffmpeg")?;
    let mut stdin = child.stdin.take().context("ffmpeg has no input")?;
    let spec = spec.clone();
    let painter = std::thread::spawn(move || -> std::io::Result<()> {
        let mut painter = Painter::new(spec.width, spec.height, "CLIP");
        for index in 0..spec.frames {
            stdin.write_all(painter.paint(spec.stamp(index)))?;
        }
        Ok(())
    });
    let output = child.wait_with_output()?;
    let painted = painter.join().is_ok_and(|result| result.is_ok());
    if !output.status.success() || !painted {
        bail!("encoding failed: {}", last_words(&output.stderr));
    }
    Ok(output.stdout)
}

/// The transport stream of a media file, packets as they are.
pub(super) fn remux(path: &Path) -> Result<Vec<u8>> {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-loglevel", "error", "-nostdin", "-i"]);
    command.arg(path);
    command.args(["-map", "0:v:0", "-map", "0:a:0?", "-c", "copy"]);
    command.args(TS_OUTPUT);
    run(command, path)
}

/// ADTS with a tone of this length.
pub(super) fn aac_tone(length_us: i64) -> Result<Vec<u8>> {
    cached(&format!("v{CACHE_VERSION}-tone-{length_us}us.adts"), || {
        let mut command = Command::new("ffmpeg");
        command.args([
            "-hide_banner",
            "-loglevel",
            "error",
            "-nostdin",
            "-f",
            "lavfi",
            "-i",
        ]);
        command.arg(format!("sine=f=440:r=48000:d={length_us}us"));
        command.args(["-c:a", "aac", "-b:a", "64k", "-f", "adts", "-"]);
        run(command, Path::new("a tone"))
    })
}

/// A tone as Opus of one channel in Ogg (RFC 7845), 20 ms a packet.
pub(super) fn opus_tone(length_us: i64) -> Result<Vec<u8>> {
    cached(&format!("v{CACHE_VERSION}-tone-{length_us}us.opus"), || {
        let mut command = Command::new("ffmpeg");
        command.args(["-hide_banner", "-loglevel", "error", "-nostdin"]);
        command.args(["-f", "lavfi", "-i"]);
        command.arg(format!("sine=f=440:r=48000:d={length_us}us"));
        command.args(["-c:a", "libopus", "-b:a", "32k", "-f", "ogg", "-"]);
        run(command, Path::new("a tone"))
    })
}

fn run(mut command: Command, what: &Path) -> Result<Vec<u8>> {
    let output = command.output().context("starting ffmpeg")?;
    if !output.status.success() {
        bail!(
            "ffmpeg on {}: {}",
            what.display(),
            last_words(&output.stderr)
        );
    }
    Ok(output.stdout)
}

fn last_words(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    text.lines().last().unwrap_or("no message").to_owned()
}
