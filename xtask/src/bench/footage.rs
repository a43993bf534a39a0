//! What the fake cameras of a benchmark play: 1080p, 25 frames a second, 4 Mbit/s, a key frame every two seconds.

use std::path::PathBuf;

use crate::{run, term, workspace};

/// A real scene with that shape, if it lies beside the checkout.
const REAL: &str = "quad-1920x1080-h264-gop2s.mp4";

/// The file, and what to call it in the table's caption.
pub(super) fn find_or_make() -> anyhow::Result<(PathBuf, &'static str)> {
    let real = workspace::shared_media()
        .map(|folder| folder.join(REAL))
        .filter(|file| file.exists());
    if let Some(file) = real {
        return Ok((
            file,
            "four real scenes in one picture (`quad-1920x1080-h264-gop2s.mp4`)",
        ));
    }
    let file = workspace::target_dir()?.join("bench-1080p25-4mbit.mp4");
    if !file.exists() {
        term::step("Encoding the footage of the fake cameras");
        let unfinished = file.with_extension("part.mp4");
        let mut command = run::program("ffmpeg");
        command.args(["-hide_banner", "-loglevel", "error", "-y", "-f", "lavfi"]);
        // Noise like a sensor's: without it the encoder would not need the bit rate.
        command.args([
            "-i",
            "testsrc2=size=1920x1080:rate=25,noise=alls=12:allf=t",
            "-t",
            "40",
            "-c:v",
            "libx264",
        ]);
        command.args([
            "-preset", "veryfast", "-b:v", "4M", "-maxrate", "4M", "-bufsize", "4M", "-bf", "0",
        ]);
        command.args([
            "-g",
            "50",
            "-keyint_min",
            "50",
            "-sc_threshold",
            "0",
            "-pix_fmt",
            "yuv420p",
        ]);
        run::expect_success(command.arg(&unfinished))?;
        std::fs::rename(&unfinished, &file)?;
    }
    Ok((file, "a moving test picture with noise, encoded by x264"))
}
