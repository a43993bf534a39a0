//! Colours against FFmpeg's own conversion to RGB.

use crate::common::{gops, in_form, job, pool};
use framewell_decode::{Output, Picture};
use framewell_model::WallTime;
use framewell_testkit::encode::EncodedClip;
use std::path::Path;
use std::process::{Command, Output as Ran};

/// A colour encoding as `libx264` or `libx265` is told and writes it down.
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
fn reference(path: &Path) -> Vec<u8> {
    let scale = "scale=320:240:flags=area+accurate_rnd+full_chroma_int+full_chroma_inp";
    let args = [
        "-i",
        &path.to_string_lossy(),
        "-vf",
        scale,
        "-frames:v",
        "1",
    ];
    ffmpeg(&[&args[..], &["-pix_fmt", "rgb24", "-f", "rawvideo", "-"]].concat()).stdout
}

fn rgb(picture: &Picture) -> Vec<u8> {
    let image = turbojpeg::decompress(&picture.data, turbojpeg::PixelFormat::RGB).unwrap();
    assert_eq!((image.width, image.height), (WIDTH, HEIGHT));
    image
        .pixels
        .chunks(image.pitch)
        .flat_map(|row| &row[..WIDTH * 3])
        .copied()
        .collect()
}

/// Largest and mean difference where the reference is flat: chroma is drawn in differently at edges.
fn difference(got: &[u8], want: &[u8]) -> (u8, f64, usize) {
    let at = |x: usize, y: usize| &want[(y * WIDTH + x) * 3..][..3];
    let (mut largest, mut sum, mut count) = (0, 0.0, 0);
    for y in 4..HEIGHT - 4 {
        for x in 4..WIDTH - 4 {
            let here = at(x, y);
            let neighbours = [at(x - 4, y), at(x + 4, y), at(x, y - 4), at(x, y + 4)];
            let is_near = |other: &[u8]| here.iter().zip(other).all(|(a, b)| a.abs_diff(*b) <= 1);
            if !neighbours.into_iter().all(is_near) {
                continue;
            }
            for (got, want) in got[(y * WIDTH + x) * 3..][..3].iter().zip(here) {
                largest = largest.max(got.abs_diff(*want));
                sum += f64::from(got.abs_diff(*want));
                count += 1;
            }
        }
    }
    (largest, sum / count as f64, count)
}

#[tokio::test]
async fn colours_are_those_that_ffmpeg_shows() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool();
    for case in &CASES {
        let name = format!(
            "{} {} {} {}",
            case.codec, case.pixels, case.range, case.matrix
        );
        let path = folder.path().join("bars.mp4");
        encode(case, &path);
        let clip = EncodedClip::from_file(&path, WallTime::from_secs(0)).unwrap();
        let units = &gops(&clip)[0];
        let job = job(&clip, units, &[units[0].pts.ticks]);
        let job = in_form(job, Output::jpeg(100));
        let picture = pool.decode(job).await.unwrap().remove(0);
        let (largest, mean, count) = difference(&rgb(&picture), &reference(&path));
        assert!(count > WIDTH * HEIGHT, "{name}: only {count} flat samples");
        assert!(
            largest <= 5 && mean < 1.2,
            "{name}: largest {largest}, mean {mean}"
        );
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
    let (largest, mean, count) = difference(&rgb(&picture), &reference(&path));
    assert!(count > WIDTH * HEIGHT, "only {count} flat samples");
    assert!(largest <= 5 && mean < 1.2, "largest {largest}, mean {mean}");
}
