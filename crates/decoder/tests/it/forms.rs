//! Fit, crop, size limits and formats of finished pictures.

use crate::common::{gops, gray, in_form, job, pool, stamp};
use bytes::Bytes;
use framewell_decode::{
    Crop, Error, Fit, Job, Output, Pick, Picture, PictureFormat, Pool, Rectangle, Want,
};
use framewell_testkit::encode::{ClipSpec, EncodedClip};

fn clip() -> EncodedClip {
    let spec = ClipSpec {
        frames: 25,
        ..ClipSpec::default()
    };
    spec.encode().unwrap()
}

/// The tenth picture, 640 by 360.
fn tenth(clip: &EncodedClip) -> Job {
    let gop = &gops(clip)[0];
    job(clip, gop, &[gop[9].pts.ticks])
}

async fn picture(pool: &Pool, clip: &EncodedClip, output: Output) -> Picture {
    let job = in_form(tenth(clip), output);
    pool.decode(job).await.unwrap().remove(0)
}

fn boxed(width: u32, height: u32, fit: Fit) -> Output {
    Output {
        width: Some(width),
        height: Some(height),
        fit,
        ..Output::jpeg(90)
    }
}

fn area(x: u32, y: u32, width: u32, height: u32) -> Rectangle {
    Rectangle {
        x,
        y,
        width,
        height,
    }
}

#[tokio::test]
async fn each_fit_keeps_its_promise() {
    let (pool, clip) = (pool(), clip());
    let contained = picture(&pool, &clip, boxed(480, 480, Fit::Contain)).await;
    assert_eq!((contained.width, contained.height), (480, 270));
    assert_eq!(stamp(&contained).frame, 9);
    let padded = picture(&pool, &clip, boxed(480, 480, Fit::Pad)).await;
    assert_eq!((padded.width, padded.height), (480, 480));
    let (inner, outer) = (gray(&contained), gray(&padded));
    assert!(
        outer.data[..480 * 100].iter().all(|luma| *luma <= 2),
        "black above"
    );
    assert!(
        outer.data[480 * 380..].iter().all(|luma| *luma <= 2),
        "black below"
    );
    let top = 104;
    let middle = &outer.data[480 * top..][..480 * 270];
    let apart = middle
        .iter()
        .zip(&inner.data)
        .map(|(a, b)| u64::from(a.abs_diff(*b)));
    assert!(
        apart.sum::<u64>() < 480 * 270 * 2,
        "the same picture inside"
    );
    let covered = picture(&pool, &clip, boxed(360, 360, Fit::Cover)).await;
    assert_eq!((covered.width, covered.height), (360, 360));
    let whole = gray(&picture(&pool, &clip, Output::jpeg(90)).await);
    let cut = gray(&covered);
    for y in [0, 100, 359] {
        let (want, got) = (
            &whole.data[y * 640 + 140..][..360],
            &cut.data[y * 360..][..360],
        );
        let apart = want.iter().zip(got).map(|(a, b)| u64::from(a.abs_diff(*b)));
        assert!(apart.sum::<u64>() < 360 * 4, "row {y} of the middle");
    }
}

#[tokio::test]
async fn a_crop_has_exactly_its_pixels() {
    let (pool, clip) = (pool(), clip());
    let raw = |crop| Output {
        crop,
        ..Output::new(PictureFormat::Nv12)
    };
    let whole = picture(&pool, &clip, raw(None)).await.data;
    assert_eq!(whole.len(), 640 * 360 * 3 / 2);
    let crops = [
        (Crop::Pixels(area(100, 50, 200, 80)), area(100, 50, 200, 80)),
        (Crop::Pixels(area(101, 51, 33, 17)), area(101, 51, 33, 17)),
        (
            Crop::Fractions(area(500_000, 250_000, 500_000, 750_000)),
            area(320, 90, 320, 270),
        ),
    ];
    for (crop, at) in crops {
        let part = picture(&pool, &clip, raw(Some(crop))).await;
        assert_eq!((part.width, part.height), (at.width, at.height));
        let [x, y, width, height] = [at.x, at.y, at.width, at.height].map(|v| v as usize);
        for row in 0..height {
            let want = &whole[(y + row) * 640 + x..][..width];
            assert_eq!(
                &part.data[row * width..][..width],
                want,
                "{crop:?} row {row}"
            );
        }
        assert_eq!(
            part.data.len(),
            width * height + width.div_ceil(2) * height.div_ceil(2) * 2
        );
    }
    let outside = in_form(tenth(&clip), raw(Some(Crop::Pixels(area(600, 0, 41, 40)))));
    let refused = pool.decode(outside).await;
    assert!(
        matches!(&refused, Err(Error::Invalid(why)) if why.contains("640x360")),
        "{:?}",
        refused.err()
    );
}

#[tokio::test]
async fn a_limit_of_bytes_costs_quality_first_then_size() {
    let (pool, clip) = (pool(), clip());
    for format in [
        PictureFormat::Jpeg { quality: 95 },
        PictureFormat::WebP { quality: 95 },
        PictureFormat::Png,
    ] {
        let limited = |max_bytes| Output {
            max_bytes,
            ..Output::new(format)
        };
        let free = picture(&pool, &clip, limited(None)).await;
        let len = u32::try_from(free.data.len()).unwrap();
        let same = picture(&pool, &clip, limited(Some(len))).await;
        assert_eq!((&same.data, same.format), (&free.data, format));
        let less = picture(&pool, &clip, limited(Some(len - len / 4))).await;
        assert!(less.data.len() <= (len - len / 4) as usize);
        if format == PictureFormat::Png {
            assert!(less.width < 640);
        } else {
            assert_eq!(less.width, 640, "{format:?}");
            assert_ne!(less.format, format, "a lower quality is told");
        }
        let small = picture(&pool, &clip, limited(Some(3_000))).await;
        assert!(small.data.len() <= 3_000 && small.width < 640, "{format:?}");
        assert!(small.data.len() > 1_000, "{format:?} {}", small.data.len());
    }
}

#[tokio::test]
async fn one_picture_in_many_forms_has_each_as_if_alone() {
    let (pool, clip) = (pool(), clip());
    let small = |format| Output {
        width: Some(333),
        ..Output::new(format)
    };
    let forms = [
        Output::jpeg(80),
        small(PictureFormat::Rgb24),
        boxed(200, 200, Fit::Cover),
        small(PictureFormat::Nv12),
        small(PictureFormat::WebP { quality: 70 }),
        small(PictureFormat::Png),
        boxed(200, 200, Fit::Pad),
        Output::jpeg(80),
    ];
    let mut job = tenth(&clip);
    let pick: Pick = job.wanted[0].pick;
    job.wanted = (0..)
        .zip(forms)
        .map(|(tag, output)| Want { tag, pick, output })
        .collect();
    let mut together = pool.decode(job).await.unwrap();
    together.sort_by_key(|picture| picture.tag);
    for (picture_of_many, output) in together.iter().zip(forms) {
        let alone = picture(&pool, &clip, output).await;
        assert_eq!(
            (picture_of_many.width, picture_of_many.height),
            (alone.width, alone.height)
        );
        assert_eq!(
            Bytes::clone(&picture_of_many.data),
            alone.data,
            "{output:?}"
        );
    }
    assert_eq!(together.len(), forms.len());
}

#[tokio::test]
async fn a_picture_is_not_scaled_up_without_bound() {
    let (pool, clip) = (pool(), clip());
    let output = Output {
        width: Some(8_192),
        ..Output::jpeg(50)
    };
    let error = pool.decode(in_form(tenth(&clip), output)).await;
    let Err(Error::Invalid(why)) = error else {
        panic!("{error:?}");
    };
    assert!(why.contains("640x360 scaled up to 8192x4608"), "{why}");
}
