//! Files of others: what is in them comes out, and nothing that is in them can hurt.

use super::*;
use crate::sample_data::{any_gop, fragments, gop, parameters, segment};
use crate::{ClipPlan, ClipSource, PieceData, parse_fragment, scan_segment};
use framewell_media::DtsEstimator;
use framewell_model::{TimeRange, WallTime};
use proptest::prelude::*;
use std::sync::Arc;

/// `moov` and the `moof` boxes of a file, with their places.
type Boxes = (Vec<u8>, Vec<(u64, Vec<u8>)>);

/// Walks the top level as a caller does.
fn boxes(file: &[u8]) -> Result<Boxes, Error> {
    let (mut moov, mut moofs, mut at) = (Vec::new(), Vec::new(), 0);
    while at < file.len() {
        let head = top_box(&file[at..file.len().min(at + 16)])?;
        let len = head.len.map_or(file.len() - at, |len| {
            usize::try_from(len).unwrap_or(usize::MAX)
        });
        let end = at.saturating_add(len).min(file.len());
        match &head.name {
            b"moov" => moov = file[at..end].to_vec(),
            b"moof" => moofs.push((at as u64, file[at..end].to_vec())),
            _ => {}
        }
        at = end;
    }
    Ok((moov, moofs))
}

fn read(file: &[u8]) -> Result<Movie, Error> {
    let (moov, moofs) = boxes(file)?;
    Movie::read(&moov, moofs.iter().map(|(at, moof)| (*at, moof.as_slice())))
}

/// Two GOPs as a file of fragments.
fn fragmented() -> Vec<u8> {
    let parameters = parameters(None);
    let mut dts = DtsEstimator::new(2);
    let gops = [gop(0, 25, 2, &mut dts), gop(25 * 3_600, 25, 2, &mut dts)];
    segment(&parameters, &fragments(&parameters, &gops))
}

/// The same as a progressive file.
fn progressive() -> Vec<u8> {
    let file = fragmented();
    let scanned = scan_segment(&file).unwrap();
    let parameters = Arc::new(scanned.parameters);
    let source = |entry: &crate::FragmentEntry| {
        let at = usize::try_from(entry.offset).unwrap();
        let header = &file[at..at + entry.header_len as usize];
        ClipSource {
            segment: 0,
            entry: *entry,
            samples: parse_fragment(header).unwrap().into(),
            parameters: Arc::clone(&parameters),
        }
    };
    let sources: Vec<_> = scanned.index.fragments.iter().map(source).collect();
    let all = TimeRange::new(
        WallTime::from_micros(0),
        WallTime::from_micros(i64::MAX / 2),
    );
    let plan = ClipPlan::build(all.unwrap(), &sources, crate::Holes::Collapse).unwrap();
    let mut out = Vec::new();
    for piece in plan.pieces {
        match piece.data {
            PieceData::Memory(bytes) => out.extend_from_slice(&bytes),
            PieceData::Sizes { .. } => panic!("all samples are listed"),
            PieceData::Segment { range, .. } => {
                let (start, end) = (range.start, range.end);
                out.extend_from_slice(
                    &file[usize::try_from(start).unwrap()..usize::try_from(end).unwrap()],
                );
            }
        }
    }
    out
}

#[test]
fn a_progressive_file_says_the_same_as_its_fragments() {
    let (files, mut movies) = ([fragmented(), progressive()], Vec::new());
    for file in &files {
        movies.push(read(file).unwrap());
    }
    assert_eq!(movies[0].parameters, movies[1].parameters);
    let payload = |number: usize| {
        let data = |sample: &MovieSample| {
            let at = usize::try_from(sample.offset).unwrap();
            files[number][at..at + sample.size as usize].to_vec()
        };
        movies[number].video.iter().map(data).collect::<Vec<_>>()
    };
    assert!(payload(0) == payload(1));
    let shape = |movie: &Movie| {
        let first = movie.video[0];
        let of = |s: &MovieSample| (s.dts - first.dts, s.pts - first.pts, s.is_key);
        movie.video.iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(shape(&movies[0]), shape(&movies[1]));
    // The presentation of the progressive file begins with its first picture.
    assert_eq!(movies[1].video[0].pts, 0);
    assert_eq!(
        movies[1]
            .video
            .iter()
            .filter(|sample| sample.is_key)
            .count(),
        2
    );
}

#[test]
fn a_box_may_go_on_to_the_end_of_the_file() {
    let head = top_box(b"\0\0\0\0mdat").unwrap();
    assert_eq!((&head.name, head.len), (b"mdat", None));
    let head = top_box(b"\0\0\0\x01mdat\0\0\0\x01\0\0\0\0").unwrap();
    assert_eq!(head.len, Some(1 << 32));
    assert!(top_box(b"\0\0\0\x07mdat").is_err());
    assert!(top_box(b"\0\0\0").is_err());
}

#[test]
fn an_unknown_coding_is_named() {
    let mut file = progressive();
    let at = file.windows(4).position(|w| w == b"avc1").unwrap();
    file[at..at + 4].copy_from_slice(b"vp09");
    let error = read(&file).unwrap_err().to_string();
    assert!(error.contains("vp09 is not supported"), "{error}");
}

#[test]
fn times_at_the_end_of_numbers_are_refused() {
    let dts_at = |time: u64| {
        let mut file = fragmented();
        let mut from = 0;
        while let Some(at) = file[from..].windows(4).position(|w| w == b"tfdt") {
            let time_at = from + at + 8;
            assert_eq!(file[time_at - 4], 1, "version 1 has 64 bits");
            file[time_at..time_at + 8].copy_from_slice(&time.to_be_bytes());
            from = time_at;
        }
        read(&file)
    };
    let end = u64::try_from(i64::MAX).unwrap();
    for time in [end, end - 1, (1 << 55) + 1] {
        let error = dts_at(time).unwrap_err().to_string();
        assert!(error.contains("out of range"), "{time}: {error}");
    }
    assert!(dts_at(1 << 54).is_ok());
}

proptest! {
    #[test]
    fn fragments_come_back_sample_by_sample((parameters, units) in any_gop()) {
        let clock = crate::FileClock::of_run(&parameters);
        let fragment = crate::build_fragment(&clock, 1, &parameters, &units, None);
        let file = segment(&parameters, std::slice::from_ref(&fragment));
        let movie = read(&file).unwrap();
        let count = units.iter().filter(|unit| unit.track == TrackKind::Video).count();
        prop_assert_eq!(movie.video.len(), count);
        for (sample, unit) in movie.video.iter().zip(&fragment.payload) {
            let at = usize::try_from(sample.offset).unwrap();
            prop_assert_eq!(&file[at..at + sample.size as usize], &unit[..]);
            prop_assert!(sample.dts <= sample.pts);
        }
        prop_assert!(movie.video.is_sorted_by(|a, b| a.dts < b.dts));
        prop_assert!(movie.audio.is_sorted_by(|a, b| a.dts < b.dts));
    }

    #[test]
    fn damaged_files_are_errors_and_nothing_worse(
        is_progressive in any::<bool>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut file = if is_progressive { progressive() } else { fragmented() };
        for (at, byte) in damage {
            let at = at.index(file.len());
            file[at] = byte;
        }
        file.truncate(cut.index(file.len()) + 1);
        if let Ok(movie) = read(&file) {
            prop_assert!(movie.video.is_sorted_by(|a, b| a.dts < b.dts));
        }
    }
}
