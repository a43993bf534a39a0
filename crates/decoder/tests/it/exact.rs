//! The picture asked for is the picture given, wherever it lies in the GOP.

use crate::common::{gops, job, pool, stamp};
use framewell_media::VideoCodec;
use framewell_testkit::encode::ClipSpec;

async fn every_position_is_exact(codec: VideoCodec, b_frames: u32) {
    let spec = ClipSpec {
        codec,
        width: 320,
        height: 240,
        gop: 12,
        b_frames,
        frames: 24,
        ..ClipSpec::default()
    };
    let clip = spec.encode().unwrap();
    let pool = pool();
    for gop in gops(&clip) {
        for unit in &gop {
            let job = job(&clip, &gop, &[unit.pts.ticks]);
            let pictures = pool.decode(job).await.unwrap();
            assert_eq!(pictures.len(), 1);
            assert_eq!(pictures[0].pts, unit.pts.ticks);
            assert_eq!(
                stamp(&pictures[0]).capture,
                unit.wall,
                "{codec:?} {b_frames}"
            );
        }
    }
    let worker = pool.workers()[0];
    assert_eq!(worker.jobs, 24, "one worker did it all");
}

#[tokio::test]
async fn h264_without_b_frames() {
    every_position_is_exact(VideoCodec::H264, 0).await;
}

#[tokio::test]
async fn h264_with_b_frames() {
    every_position_is_exact(VideoCodec::H264, 2).await;
}

#[tokio::test]
async fn h265_without_b_frames() {
    every_position_is_exact(VideoCodec::H265, 0).await;
}

#[tokio::test]
async fn h265_with_b_frames() {
    every_position_is_exact(VideoCodec::H265, 2).await;
}

#[tokio::test]
async fn samples_behind_the_wanted_one_in_decoding_order_are_not_needed() {
    for (codec, b_frames) in [(VideoCodec::H264, 2), (VideoCodec::H265, 2)] {
        let spec = ClipSpec {
            codec,
            width: 320,
            height: 240,
            gop: 12,
            b_frames,
            frames: 24,
            ..ClipSpec::default()
        };
        let clip = spec.encode().unwrap();
        let gop = &gops(&clip)[1];
        let pool = pool();
        for (index, unit) in gop.iter().enumerate() {
            let job = job(&clip, &gop[..=index], &[unit.pts.ticks]);
            let pictures = pool.decode(job).await.unwrap();
            assert_eq!(stamp(&pictures[0]).capture, unit.wall, "{codec:?} {index}");
        }
    }
}

#[tokio::test]
async fn many_pictures_of_a_gop_come_with_their_tags() {
    let spec = ClipSpec {
        b_frames: 2,
        frames: 25,
        ..ClipSpec::default()
    };
    let clip = spec.encode().unwrap();
    let gop = &gops(&clip)[0];
    let wanted = [20, 3, 11, 3].map(|index| spec.pts(index).ticks);
    let pictures = pool().decode(job(&clip, gop, &wanted)).await.unwrap();
    let mut frames: Vec<(u64, u32)> = pictures
        .iter()
        .map(|picture| (picture.tag, stamp(picture).frame))
        .collect();
    frames.sort_unstable();
    assert_eq!(frames, [(0, 20), (1, 3), (2, 11), (3, 3)]);
}

#[tokio::test]
async fn streams_that_alternate_on_one_worker_do_not_mix() {
    let specs = [
        (VideoCodec::H264, 2, 320),
        (VideoCodec::H265, 0, 320),
        (VideoCodec::H264, 2, 384),
    ];
    let clips = specs.map(|(codec, b_frames, width)| {
        let spec = ClipSpec {
            codec,
            width,
            height: 240,
            gop: 12,
            b_frames,
            frames: 24,
            ..ClipSpec::default()
        };
        spec.encode().unwrap()
    });
    let pool = pool();
    for round in 0..6 {
        for clip in &clips {
            let gop = &gops(clip)[round % 2];
            let unit = &gop[round];
            let pictures = pool
                .decode(job(clip, gop, &[unit.pts.ticks]))
                .await
                .unwrap();
            assert_eq!(stamp(&pictures[0]).capture, unit.wall);
            assert_eq!(pictures[0].width, clip.parameters.video.width);
        }
    }
}
