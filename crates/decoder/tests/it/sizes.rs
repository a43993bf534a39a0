//! Sizes as asked, stamps still readable.

use crate::common::{gops, in_form, job, pool, stamp};
use framewell_decode::{Fit, Output};
use framewell_testkit::encode::ClipSpec;

#[tokio::test]
async fn pictures_have_the_size_asked_for() {
    let spec = ClipSpec {
        frames: 25,
        ..ClipSpec::default()
    };
    let clip = spec.encode().unwrap();
    let gop = &gops(&clip)[0];
    let pool = pool();
    let cases = [
        (None, None, (640, 360)),
        (Some(320), None, (320, 180)),
        (Some(333), None, (333, 187)),
        (None, Some(181), (322, 181)),
        (Some(321), Some(321), (321, 321)),
        (Some(1280), None, (1280, 720)),
        (Some(641), Some(361), (641, 361)),
    ];
    for (index, (width, height, size)) in cases.into_iter().enumerate() {
        let unit = &gop[index * 3];
        let job = job(&clip, gop, &[unit.pts.ticks]);
        let job = in_form(
            job,
            Output {
                width,
                height,
                fit: Fit::Fill,
                ..Output::jpeg(80)
            },
        );
        let picture = pool.decode(job).await.unwrap().remove(0);
        assert_eq!((picture.width, picture.height), size);
        assert_eq!(stamp(&picture).capture, unit.wall, "{size:?}");
    }
}

#[tokio::test]
async fn quality_decides_the_bytes() {
    let spec = ClipSpec {
        frames: 25,
        ..ClipSpec::default()
    };
    let clip = spec.encode().unwrap();
    let gop = &gops(&clip)[0];
    let pool = pool();
    let mut sizes = Vec::new();
    for quality in [10, 60, 95] {
        let job = job(&clip, gop, &[gop[3].pts.ticks]);
        let job = in_form(job, Output::jpeg(quality));
        sizes.push(pool.decode(job).await.unwrap()[0].data.len());
    }
    assert!(sizes[0] < sizes[1] && sizes[1] < sizes[2], "{sizes:?}");
}
