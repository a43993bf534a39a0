//! `fakecam`: RTSP cameras on this machine, for the demo, the benchmarks and people.
//!
//! Says where they are in one line of JSON, `{"urls":["rtsp://…"]}`, once all of them give pictures,
//! and serves them until SIGINT or SIGTERM. They listen on the loopback interface only.

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};
use framewell_media::{AudioCodec, VideoCodec};
use framewell_testkit::camera::{AuthScheme, CameraConfig, Source, start_cameras};
use framewell_testkit::clock::wall_now;
use framewell_testkit::encode::{ClipSpec, EncodedClip};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Starts RTSP cameras that show a synthetic scene, or a file over and over.
#[derive(Debug, Parser)]
struct Args {
    /// Plays this file (H.264 or H.265) in a loop instead of a synthetic scene.
    #[arg(long = "loop", value_name = "FILE")]
    file: Option<PathBuf>,
    /// Coding of the synthetic scene.
    #[arg(long, value_enum, default_value = "h264")]
    codec: Codec,
    /// B-frames between two other pictures.
    #[arg(long, default_value_t = 0)]
    b_frames: u32,
    /// Width of the synthetic scene in pixels.
    #[arg(long, default_value_t = 640)]
    width: usize,
    /// Height of the synthetic scene in pixels.
    #[arg(long, default_value_t = 360)]
    height: usize,
    /// Pictures per second of the synthetic scene.
    #[arg(long, default_value_t = 25)]
    fps: u32,
    /// Pictures from one key frame to the next.
    #[arg(long, default_value_t = 50)]
    gop: u32,
    /// How many cameras show the same. Those that play a file begin at different key frames.
    #[arg(long, default_value_t = 1)]
    count: usize,
    /// Port on the loopback interface; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Adds a clock to every picture of a file: an SEI message with the time at which it is sent.
    #[arg(long, requires = "file")]
    clock: bool,
    /// How many seconds the cameras' own clocks are ahead; what they show is in time.
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    clock_ahead_s: i64,
    /// User name; with it, the cameras ask for Digest credentials.
    #[arg(long, requires = "password")]
    login: Option<String>,
    /// Password that belongs to the user name.
    #[arg(long, requires = "login")]
    password: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Codec {
    H264,
    H265,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let args = Args::parse();
    ensure!(args.count > 0, "--count must be at least 1");
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    // A file is read and cut into packets first, which may take a moment.
    let starting = async {
        let configs = configs(&args).await?;
        start_cameras(args.port, configs).await
    };
    let cameras = tokio::select! {
        cameras = starting => cameras?,
        _ = interrupt.recv() => return Ok(()),
        _ = terminate.recv() => return Ok(()),
    };
    for camera in &cameras {
        camera.control().skew_ntp_time(args.clock_ahead_s);
    }
    let urls: Vec<String> = cameras
        .iter()
        .map(|camera| format!("{:?}", camera.url()))
        .collect();
    // A URL has no character that Rust and JSON would quote differently.
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{{\"urls\":[{}]}}", urls.join(",")).context("standard output")?;
    stdout.flush().context("standard output")?;
    drop(stdout);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

async fn configs(args: &Args) -> Result<Vec<CameraConfig>> {
    let source = match &args.file {
        Some(file) => {
            let file = file.clone();
            let reading = move || EncodedClip::from_file(&file, wall_now());
            let clip = tokio::task::spawn_blocking(reading).await??;
            let clip = if args.clock { clip.with_clock() } else { clip };
            Source::Clip(Arc::new(clip))
        }
        None => Source::Live(scene(args)),
    };
    let name = |index: usize| {
        if args.count == 1 {
            "cam".to_owned()
        } else {
            format!("cam{index}")
        }
    };
    Ok((0..args.count)
        .map(|index| {
            let mut config = CameraConfig::new(source.clone()).named(&name(index));
            if let (Some(login), Some(password)) = (&args.login, &args.password) {
                config = config.with_login(AuthScheme::Digest, login, password);
            }
            config.first_key = index;
            config.delay = phase(index);
            config
        })
        .collect())
}

/// Cameras that all send at the same instant would be no picture of a real site: spread them over
/// the length of a frame.
fn phase(index: usize) -> Duration {
    Duration::from_millis(u64::try_from(index * 7 % 40).unwrap_or(0))
}

fn scene(args: &Args) -> ClipSpec {
    ClipSpec {
        codec: match args.codec {
            Codec::H264 => VideoCodec::H264,
            Codec::H265 => VideoCodec::H265,
        },
        width: args.width,
        height: args.height,
        fps: args.fps,
        gop: args.gop,
        b_frames: args.b_frames,
        audio: None::<AudioCodec>,
        ..ClipSpec::default()
    }
}
