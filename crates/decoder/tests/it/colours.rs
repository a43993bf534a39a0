//! Colours against FFmpeg's own conversion to RGB.

use crate::common::{gops, in_form, job, pool};
use framewell_decode::{Fit, Output, Picture, PictureFormat};
use framewell_model::WallTime;
use framewell_testkit::encode::EncodedClip;
use std::path::Path;
use std::process::{Command, Output as Ran};

/// A colour encoding as `libx264` or `libx265` is told and writes it down.
#[derive(Debug)]
struct Case {
    codec: &'static str,
    pixels: &'static str,
    range: &'static str,
    matrix: &'static str,
}

const CASES: [Case; 7] = [
    case("libx264", "yuv420p", "tv", "bt709"),
    case("libx264", "yuv420p", "tv", "smpte170m"),
    case("libx264", "yuv420p", "pc", "bt709"),
    case("libx264", "yuv420p", "pc", "bt470bg"),
    case("libx264", "yuv422p", "tv", "bt709"),
    case("libx265", "yuv420p10le", "tv", "bt2020nc"),
    case("libx265", "yuv420p", "pc", "smpte170m"),
];

const FORMATS: [PictureFormat; 5] = [
    PictureFormat::Jpeg { quality: 100 },
    PictureFormat::WebP { quality: 100 },
    PictureFormat::Png,
    PictureFormat::Nv12,
    PictureFormat::Rgb24,
];

const fn case(
    codec: &'static str,
    pixels: &'static str,
    range: &'static str,
    matrix: &'static str,
) -> Case {
    Case {
        codec,
        pixels,
        range,
        matrix,
    }
}

const WIDTH: usize = 320;
const HEIGHT: usize = 240;

fn ffmpeg(args: &[&str]) -> Ran {
    let ran = Command::new("ffmpeg")
        .args(["-hide_banner", "-loglevel", "error", "-y"])
        .args(args)
        .output()
        .unwrap();
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    ran
}

/// Colour bars, nearly lossless.
fn encode(case: &Case, path: &Path) {
    let convert = format!(
        "scale=out_color_matrix={}:out_range={},format={}",
        case.matrix, case.range, case.pixels
    );
    let params = format!(
        "colormatrix={}:range={}:log-level=none",
        case.matrix,
        if case.range == "pc" {
            "full"
        } else {
            "limited"
        }
    );
    let params = match case.codec {
        "libx264" => ["-x264-params", "threads=1"],
        _ => ["-x265-params", params.as_str()],
    };
    ffmpeg(&[
        "-f",
        "lavfi",
        "-i",
        "smptehdbars=size=320x240:rate=5:duration=1,format=rgb24",
        "-vf",
        &convert,
        "-c:v",
        case.codec,
        params[0],
        params[1],
        "-crf",
        "4",
        "-colorspace",
        case.matrix,
        "-color_range",
        case.range,
        &path.to_string_lossy(),
    ]);
}

/// The first picture as RGB, by FFmpeg from the video.
fn reference(path: &Path, (width, height): (usize, usize)) -> Vec<u8> {
    let scale =
        format!("scale={width}:{height}:flags=area+accurate_rnd+full_chroma_int+full_chroma_inp");
    let args = [
        "-i",
        &path.to_string_lossy(),
        "-vf",
        &scale,
        "-frames:v",
        "1",
    ];
    ffmpeg(&[&args[..], &["-pix_fmt", "rgb24", "-f", "rawvideo", "-"]].concat()).stdout
}

/// A finished picture as RGB; raw YCbCr by FFmpeg, which is told what the samples mean.
fn rgb(picture: &Picture, case: &Case, folder: &Path) -> Vec<u8> {
    let (width, height) = (picture.width as usize, picture.height as usize);
    match picture.format {
        PictureFormat::Rgb24 => picture.data.to_vec(),
        PictureFormat::Jpeg { .. } => {
            let image = turbojpeg::decompress(&picture.data, turbojpeg::PixelFormat::RGB).unwrap();
            assert_eq!((image.width, image.height), (width, height));
            let rows = image.pixels.chunks(image.pitch);
            rows.flat_map(|row| &row[..width * 3]).copied().collect()
        }
        PictureFormat::Png => {
            let decoder = png::Decoder::new(std::io::Cursor::new(&picture.data));
            let mut reader = decoder.read_info().unwrap();
            let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
            let info = reader.next_frame(&mut pixels).unwrap();
            assert_eq!((info.width, info.height), (picture.width, picture.height));
            pixels
        }
        PictureFormat::WebP { .. } => {
            let path = folder.join("picture.webp");
            std::fs::write(&path, &picture.data).unwrap();
            by_ffmpeg(&["-i", &path.to_string_lossy()], "scale=in_range=tv")
        }
        PictureFormat::Nv12 => {
            let path = folder.join("picture.nv12");
            std::fs::write(&path, &picture.data).unwrap();
            let size = format!("{width}x{height}");
            let input = ["-f", "rawvideo", "-pix_fmt", "nv12", "-s", &size, "-i"];
            let meaning = format!(
                "scale=in_color_matrix={}:in_range={}",
                if case.matrix == "bt2020nc" {
                    "bt2020"
                } else {
                    case.matrix
                },
                case.range
            );
            by_ffmpeg(&[&input[..], &[&path.to_string_lossy()]].concat(), &meaning)
        }
    }
}

fn by_ffmpeg(input: &[&str], scale: &str) -> Vec<u8> {
    let filter = format!("{scale}:flags=area+accurate_rnd+full_chroma_int+full_chroma_inp");
    let output = ["-vf", &filter, "-pix_fmt", "rgb24", "-f", "rawvideo", "-"];
    ffmpeg(&[input, &output].concat()).stdout
}

/// Largest and mean difference where the reference is flat: chroma is drawn in differently at edges.
fn difference(got: &[u8], want: &[u8], (width, height): (usize, usize)) -> (u8, f64, usize) {
    assert_eq!(
        (got.len(), want.len()),
        (width * height * 3, width * height * 3)
    );
    let at = |x: usize, y: usize| &want[(y * width + x) * 3..][..3];
    let (mut largest, mut sum, mut count) = (0, 0.0, 0);
    for y in 4..height - 4 {
        for x in 4..width - 4 {
            let here = at(x, y);
            let neighbours = [at(x - 4, y), at(x + 4, y), at(x, y - 4), at(x, y + 4)];
            let is_near = |other: &[u8]| here.iter().zip(other).all(|(a, b)| a.abs_diff(*b) <= 1);
            if !neighbours.into_iter().all(is_near) {
                continue;
            }
            for (got, want) in got[(y * width + x) * 3..][..3].iter().zip(here) {
                largest = largest.max(got.abs_diff(*want));
                sum += f64::from(got.abs_diff(*want));
                count += 1;
            }
        }
    }
    (largest, sum / count as f64, count)
}

/// Each format, in the size of the video and in an odd one.
#[tokio::test]
async fn colours_are_those_that_ffmpeg_shows() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool();
    for case in &CASES {
        let path = folder.path().join("bars.mp4");
        encode(case, &path);
        let clip = EncodedClip::from_file(&path, WallTime::from_secs(0)).unwrap();
        let units = &gops(&clip)[0];
        for size in [(WIDTH, HEIGHT), (241, 181)] {
            let want = reference(&path, size);
            for format in FORMATS {
                let output = Output {
                    width: u32::try_from(size.0).ok(),
                    height: u32::try_from(size.1).ok(),
                    fit: Fit::Fill,
                    ..Output::new(format)
                };
                let job = in_form(job(&clip, units, &[units[0].pts.ticks]), output);
                let picture = pool.decode(job).await.unwrap().remove(0);
                let got = rgb(&picture, case, folder.path());
                let (largest, mean, count) = difference(&got, &want, size);
                let name = format!("{case:?} {format:?} {size:?}");
                assert!(count > size.0 * size.1, "{name}: only {count} flat samples");
                // Scaling of chroma reaches further than four pixels.
                let bound = if size == (WIDTH, HEIGHT) { 5 } else { 16 };
                assert!(
                    largest <= bound && mean < 1.2,
                    "{name}: largest {largest}, mean {mean}"
                );
            }
        }
    }
}

#[tokio::test]
async fn scaled_pictures_have_the_same_colours() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bars.mp4");
    let source =
        "smptehdbars=size=1280x960:rate=5:duration=1,scale=out_color_matrix=bt709,format=yuv420p";
    let output = path.to_string_lossy();
    let args = [
        "-f",
        "lavfi",
        "-i",
        source,
        "-c:v",
        "libx264",
        "-crf",
        "4",
        "-colorspace",
        "bt709",
    ];
    ffmpeg(&[&args[..], &["-color_range", "tv", &output]].concat());
    let clip = EncodedClip::from_file(&path, WallTime::from_secs(0)).unwrap();
    let units = &gops(&clip)[0];
    let small = Output {
        width: Some(320),
        ..Output::jpeg(100)
    };
    let job = in_form(job(&clip, units, &[units[2].pts.ticks]), small);
    let picture = pool().decode(job).await.unwrap().remove(0);
    let want = reference(&path, (WIDTH, HEIGHT));
    let (largest, mean, count) = difference(
        &rgb(&picture, &CASES[0], folder.path()),
        &want,
        (WIDTH, HEIGHT),
    );

    assert!(count > WIDTH * HEIGHT, "only {count} flat samples");
    assert!(largest <= 5 && mean < 1.2, "largest {largest}, mean {mean}");
}
