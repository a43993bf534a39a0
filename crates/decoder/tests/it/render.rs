//! Video encoded anew by a real worker, judged by FFmpeg's own decoder.

use crate::common::{gops, pool, within};
use framewell_decode::{Coded, Error, JobSample, Render, RenderBox, RenderFrame, RenderJob};
use framewell_media::{AccessUnit, VideoCodec, VideoParameters, nal};
use framewell_testkit::encode::{ClipSpec, EncodedClip};
use framewell_testkit::stamp::{GrayImage, VideoInput, read_stamp};
use std::sync::Arc;

const FRAME_TICKS: i64 = 3_600;

fn spec() -> ClipSpec {
    ClipSpec {
        gop: 12,
        b_frames: 2,
        frames: 24,
        ..ClipSpec::default()
    }
}

/// Units in presentation order.
fn shown(units: &[AccessUnit]) -> Vec<AccessUnit> {
    let mut units = units.to_vec();
    units.sort_by_key(|unit| unit.pts.ticks);
    units
}

fn job(clip: &EncodedClip, units: &[AccessUnit], frames: Vec<RenderFrame>) -> RenderJob {
    RenderJob {
        video: Arc::new(clip.parameters.video.clone()),
        samples: units
            .iter()
            .map(|unit| JobSample {
                pts: unit.pts.ticks,
                data: unit.data.clone(),
            })
            .collect(),
        render: Render {
            width: 640,
            height: 360,
            frames,
        },
    }
}

fn images(coded: &[Coded]) -> Vec<GrayImage> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("clip.h264");
    let bytes: Vec<u8> = coded.iter().flat_map(|one| one.data.to_vec()).collect();
    std::fs::write(&path, bytes).unwrap();
    VideoInput::new(path.as_os_str()).read_images().unwrap()
}

fn parameters(coded: &[Coded]) -> VideoParameters {
    let nals = nal::split_annex_b(&coded[0].data);
    VideoParameters::from_parameter_sets(VideoCodec::H264, &nals).unwrap()
}

#[tokio::test]
async fn exactly_the_wanted_pictures_come_back_from_any_of_a_group_on() {
    let pool = pool();
    assert!(pool.greeting().await.unwrap().has_encoder);
    for codec in [VideoCodec::H264, VideoCodec::H265] {
        let clip = ClipSpec { codec, ..spec() }.encode().unwrap();
        let mut pieces = Vec::new();
        for gop in gops(&clip) {
            let wanted = shown(&gop).split_off(5);
            let frames = (0..).zip(&wanted);
            let frames =
                frames.map(|(n, unit)| RenderFrame::plain(unit.pts.ticks, n * FRAME_TICKS));
            let job = job(&clip, &gop, frames.collect());
            let coded = within(pool.render(job)).await.unwrap();
            let times: Vec<i64> = coded.iter().map(|one| one.pts).collect();
            let expected: Vec<i64> = (0..7).map(|n| n * FRAME_TICKS).collect();
            assert_eq!(times, expected);
            assert!(coded[0].is_key);
            let captured: Vec<_> = images(&coded)
                .iter()
                .map(|image| read_stamp(image).expect("a stamp").capture)
                .collect();
            let expected: Vec<_> = wanted.iter().map(|unit| unit.wall).collect();
            assert_eq!(captured, expected, "{codec:?}");
            pieces.push(parameters(&coded));
        }
        assert_eq!(
            pieces[0], pieces[1],
            "pieces follow each other in one track"
        );
        assert_eq!((pieces[0].width, pieces[0].height), (640, 360));
    }
}

#[tokio::test]
async fn what_is_drawn_is_there_and_the_picture_below_it_is_the_same() {
    let pool = pool();
    let clip = spec().encode().unwrap();
    let gop = gops(&clip).remove(0);
    let first = shown(&gop)[0].clone();
    let plain = RenderFrame::plain(first.pts.ticks, 0);
    let drawn = RenderFrame {
        text: Some("0".into()),
        boxes: vec![RenderBox {
            place: [0.25, 0.7, 0.5, 0.2],
            label: "CAR".into(),
        }],
        ..plain.clone()
    };
    let mut pictures = Vec::new();
    for frame in [plain, drawn] {
        let coded = within(pool.render(job(&clip, &gop, vec![frame])))
            .await
            .unwrap();
        let image = images(&coded).remove(0);
        assert_eq!(read_stamp(&image).expect("a stamp").capture, first.wall);
        pictures.push(image);
    }
    let luma = |image: &GrayImage, x: usize, y: usize| image.data[y * image.width + x];
    // Dots have two pixels: the ring of the 0 and its middle.
    let drawn = &pictures[1];
    assert!(
        luma(drawn, 4 + 5, 5) > 180 && luma(drawn, 5, 5) < 60,
        "the text"
    );
    let sides = |image: &GrayImage| {
        [(320, 252), (320, 322), (161, 290), (478, 290)].map(|(x, y)| luma(image, x, y))
    };
    let is_line = |luma: &u8| (150..195).contains(luma);
    let (before, after) = (sides(&pictures[0]), sides(drawn));
    assert!(
        after.iter().all(is_line) && !before.iter().all(is_line),
        "{before:?} {after:?}"
    );
    let (before, after) = (luma(&pictures[0], 320, 290), luma(drawn, 320, 290));
    assert!(
        before.abs_diff(after) < 12,
        "inside of the box: {before}, {after}"
    );
}

#[tokio::test]
async fn pictures_of_another_shape_get_bars() {
    let pool = pool();
    let clip = spec().encode().unwrap();
    let gop = gops(&clip).remove(0);
    let first = shown(&gop)[0].pts.ticks;
    let mut job = job(&clip, &gop, vec![RenderFrame::plain(first, 0)]);
    (job.render.width, job.render.height) = (320, 320);
    let coded = within(pool.render(job)).await.unwrap();
    let image = images(&coded).remove(0);
    assert_eq!((image.width, image.height), (320, 320));
    assert!(
        image.data[..320 * 60].iter().all(|luma| *luma < 30),
        "a black bar"
    );
}

#[tokio::test]
async fn what_cannot_be_decoded_or_makes_no_sense_is_an_error() {
    let pool = pool();
    let clip = spec().encode().unwrap();
    let gop = gops(&clip).remove(0);
    let nowhere = job(&clip, &gop, vec![RenderFrame::plain(-77, 0)]);
    let result = within(pool.render(nowhere)).await;
    assert!(matches!(result, Err(Error::Bitstream(_))), "{result:?}");
    let result = within(pool.render(job(&clip, &gop, Vec::new()))).await;
    assert!(matches!(result, Err(Error::Invalid(_))), "{result:?}");
    let mut noise = job(&clip, &gop, vec![RenderFrame::plain(gop[0].pts.ticks, 0)]);
    for sample in &mut noise.samples {
        sample.data = vec![0x55; sample.data.len()].into();
    }
    let result = within(pool.render(noise)).await;
    assert!(matches!(result, Err(Error::Bitstream(_))), "{result:?}");
    // The worker is fit for the next one.
    let first = gop[0].pts.ticks;
    let fine = job(&clip, &gop, vec![RenderFrame::plain(first, 0)]);
    assert_eq!(within(pool.render(fine)).await.unwrap().len(), 1);
}
