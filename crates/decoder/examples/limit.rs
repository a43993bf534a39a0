//! The bare limit of pictures from a file, for `cargo xtask bench image`: decode, encode JPEG, in one loop in one
//! process, with the libraries of the worker and nothing else around them.
//!
//! `limit FILE all PERIOD_S SECONDS` decodes every picture and keeps one each period; `limit FILE key SECONDS` decodes
//! key frames only and keeps them all. Prints the number of pictures; time and CPU are measured from outside.

use anyhow::Context;
use ffmpeg_next::codec::{self, threading};
use ffmpeg_next::format::{self, Pixel};
use ffmpeg_next::frame::Video;
use ffmpeg_next::media;
use ffmpeg_next::software::scaling::{Context as Scaler, Flags};
use turbojpeg::{Compressor, Subsamp, YuvPlanesImage};

/// JPEG quality, as in the whole benchmark.
const QUALITY: i32 = 80;

struct Wanted {
    is_key_only: bool,
    period_s: f64,
    seconds: f64,
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize| -> anyhow::Result<f64> {
        let text = arguments.get(index).context("a number is missing")?;
        text.parse().with_context(|| text.clone())
    };
    let wanted = match arguments.get(1).map(String::as_str) {
        Some("all") => Wanted {
            is_key_only: false,
            period_s: number(2)?,
            seconds: number(3)?,
        },
        Some("key") => Wanted {
            is_key_only: true,
            period_s: 0.0,
            seconds: number(2)?,
        },
        _ => anyhow::bail!("usage: limit FILE (all PERIOD_S SECONDS | key SECONDS)"),
    };
    let pictures = run(&arguments[0], &wanted)?;
    #[expect(clippy::print_stdout, reason = "the benchmark reads it")]
    {
        println!("{pictures}");
    }
    Ok(())
}

fn run(file: &str, wanted: &Wanted) -> anyhow::Result<usize> {
    let mut input = format::input(file)?;
    let stream = input
        .streams()
        .best(media::Type::Video)
        .context("no video")?;
    let (index, base) = (stream.index(), f64::from(stream.time_base()));
    let mut context = codec::Context::from_parameters(stream.parameters())?;
    context.set_threading(threading::Config {
        count: 1,
        ..threading::Config::default()
    });
    let mut decoder = context.decoder().video()?;
    let mut encoder = Encoder::new()?;
    let (mut pictures, mut next_s) = (0, 0.0);
    let mut picture = Video::empty();
    for (stream, packet) in input.packets() {
        if stream.index() != index || (wanted.is_key_only && !packet.is_key()) {
            continue;
        }
        decoder.send_packet(&packet)?;
        while decoder.receive_frame(&mut picture).is_ok() {
            #[expect(clippy::cast_precision_loss, reason = "ticks of minutes")]
            let at = picture.pts().unwrap_or_default() as f64 * base;
            if at >= wanted.seconds {
                return Ok(pictures);
            }
            if at + 1e-3 >= next_s {
                encoder.encode(&mut picture)?;
                pictures += 1;
                next_s += wanted.period_s;
            }
        }
    }
    Ok(pictures)
}

/// From the camera's colours to JPEG's by swscale, then libjpeg-turbo from the planes.
struct Encoder {
    compressor: Compressor,
    scaler: Option<Scaler>,
}

impl Encoder {
    fn new() -> anyhow::Result<Self> {
        let mut compressor = Compressor::new()?;
        compressor.set_quality(QUALITY)?;
        Ok(Self {
            compressor,
            scaler: None,
        })
    }

    fn encode(&mut self, picture: &mut Video) -> anyhow::Result<usize> {
        let (width, height) = (picture.width(), picture.height());
        let scaler = match &mut self.scaler {
            Some(scaler) => scaler,
            none => none.insert(Scaler::get(
                picture.format(),
                width,
                height,
                Pixel::YUVJ420P,
                width,
                height,
                Flags::POINT,
            )?),
        };
        let mut full = Video::empty();
        scaler.run(picture, &mut full)?;
        let image = YuvPlanesImage {
            y_plane: full.data(0),
            u_plane: full.data(1),
            v_plane: full.data(2),
            width: usize::try_from(width)?,
            height: usize::try_from(height)?,
            y_stride: full.stride(0),
            u_stride: full.stride(1),
            v_stride: full.stride(2),
            subsamp: Subsamp::Sub2x2,
        };
        Ok(self.compressor.compress_yuv_planes_to_vec(&image)?.len())
    }
}
