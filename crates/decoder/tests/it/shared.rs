//! Raw pictures through memory that pool and worker share.

use crate::common::{gops, in_form, job};
use crate::raw::{RawWorker, Way};
use framewell_decode::{Output, PictureFormat};
use framewell_testkit::encode::ClipSpec;

#[test]
fn raw_pictures_come_through_shared_memory_while_there_is_room() {
    let clip = ClipSpec {
        frames: 25,
        ..ClipSpec::default()
    }
    .encode()
    .unwrap();
    let gop = &gops(&clip)[0];
    let wanted: Vec<i64> = gop[..5].iter().map(|unit| unit.pts.ticks).collect();
    for format in [PictureFormat::Nv12, PictureFormat::Rgb24] {
        let raw = in_form(job(&clip, gop, &wanted), Output::new(format));
        let inline = RawWorker::start(&[]).run(&raw, None).unwrap().unwrap();
        let picture_len = inline[0].data.len() as u64;
        let mut worker = RawWorker::with_memory(3 * picture_len + 200);
        for _ in 0..2 {
            let (pictures, ways): (Vec<_>, Vec<_>) = worker
                .run_seeing(&raw, None)
                .unwrap()
                .unwrap()
                .into_iter()
                .unzip();
            assert_eq!(pictures, inline, "{format:?}");
            let shared = ways.iter().filter(|way| **way == Way::Shared).count();
            assert_eq!(
                (shared, ways.len()),
                (3, 5),
                "{format:?}: free again with each job"
            );
        }
    }
}

#[test]
fn files_do_not_travel_through_shared_memory() {
    let clip = ClipSpec {
        frames: 3,
        ..ClipSpec::default()
    }
    .encode()
    .unwrap();
    let gop = &gops(&clip)[0];
    let mut worker = RawWorker::with_memory(1 << 20);
    let found = worker.run_seeing(&job(&clip, gop, &[gop[0].pts.ticks]), None);
    assert_eq!(found.unwrap().unwrap()[0].1, Way::Inline);
}
