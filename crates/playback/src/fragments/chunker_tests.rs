//! Units in, fragments out.

use super::*;
use framewell_fmp4::{Movie, MovieSample, build_live_init};
use framewell_media::AudioCodec;
use framewell_testkit::encode::{ClipSpec, EncodedClip};

fn run(number: u8) -> RunId {
    format!("00000000-0000-7000-8000-0000000000{number:02x}")
        .parse()
        .unwrap()
}

fn clip() -> EncodedClip {
    let spec = ClipSpec {
        width: 320,
        height: 240,
        b_frames: 2,
        audio: Some(AudioCodec::Aac),
        ..ClipSpec::default()
    };
    spec.encode().unwrap()
}

fn cut(chunker: &mut Chunker, run: RunId, clip: &EncodedClip, units: &[AccessUnit]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    chunker.begin(run, &Arc::new(clip.parameters.clone()), &mut pieces);
    for unit in units {
        chunker.push(unit.clone(), &mut pieces);
    }
    pieces
}

fn cut_all(tracks: Tracks, grouping: Grouping, clip: &EncodedClip) -> Vec<Piece> {
    let mut chunker = Chunker::new(tracks, grouping);
    let mut pieces = cut(&mut chunker, run(1), clip, &clip.units);
    chunker.flush(None, &mut pieces);
    pieces
}

/// The samples of all pieces, video first, as a reader of other people's files finds them.
fn samples(clip: &EncodedClip, pieces: &[Piece]) -> Vec<(TrackKind, Vec<u8>)> {
    let (mut file, mut moofs) = (Vec::new(), Vec::new());
    for piece in pieces {
        let length = u32::from_be_bytes(piece.wire[..4].try_into().unwrap()) as usize;
        assert_eq!(piece.wire[4..8], *b"uuid");
        assert_eq!(piece.wire[8..24], CURSOR_BOX);
        assert_eq!(piece.wire[24..length], *piece.cursor.to_string().as_bytes());
        // Behind the time of capture.
        let moof = length + 32;
        let moof_len = u32::from_be_bytes(piece.wire[moof..moof + 4].try_into().unwrap()) as usize;
        let at = (file.len() + moof) as u64;
        moofs.push((at, piece.wire[moof..moof + moof_len].to_vec()));
        file.extend_from_slice(&piece.wire);
    }
    let init = build_live_init(&clip.parameters, Tracks::Both.kinds());
    let ftyp = u32::from_be_bytes(init[..4].try_into().unwrap()) as usize;
    let moofs = moofs.iter().map(|(at, moof)| (*at, moof.as_slice()));
    let movie = Movie::read(&init[ftyp..], moofs).unwrap();
    let data = |sample: &MovieSample| {
        let at = usize::try_from(sample.offset).unwrap();
        file[at..at + sample.size as usize].to_vec()
    };
    let video = movie.video.iter().map(|s| (TrackKind::Video, data(s)));
    let audio = movie.audio.iter().map(|s| (TrackKind::Audio, data(s)));
    video.chain(audio).collect()
}

fn wanted(clip: &EncodedClip) -> Vec<(TrackKind, Vec<u8>)> {
    // Sound from before the first picture has nothing to go with.
    let first = clip
        .units
        .iter()
        .position(|unit| unit.is_key && unit.track == TrackKind::Video);
    let units = &clip.units[first.unwrap()..];
    let of = |kind| units.iter().filter(move |unit| unit.track == kind);
    let all = of(TrackKind::Video).chain(of(TrackKind::Audio));
    all.map(|unit| (unit.track, unit.data.to_vec())).collect()
}

#[test]
fn however_it_is_cut_every_unit_is_there_once() {
    let clip = clip();
    for grouping in [
        Grouping::EachPicture,
        Grouping::Span(200_000),
        Grouping::Span(10_000_000),
    ] {
        let pieces = cut_all(Tracks::Both, grouping, &clip);
        assert!(samples(&clip, &pieces) == wanted(&clip), "{grouping:?}");
        let pictures: u64 = pieces.iter().map(|piece| piece.pictures).sum();
        assert_eq!(pictures, 100);
        let counted = pieces.last().unwrap();
        assert_eq!(counted.pictures_before + counted.pictures, 100);
        assert!(pieces[0].is_key);
        assert!(pieces.iter().all(|piece| piece.hole.is_none()));
    }
    let live = cut_all(Tracks::Both, Grouping::EachPicture, &clip);
    assert!(live.iter().all(|piece| piece.pictures <= 1));
    let gops = cut_all(Tracks::Video, Grouping::Span(10_000_000), &clip);
    assert_eq!(gops.len(), 4);
}

#[test]
fn one_track_can_be_had_alone() {
    let clip = clip();
    let of = |kind| {
        wanted(&clip)
            .into_iter()
            .filter(|(track, ..)| *track == kind)
            .collect::<Vec<_>>()
    };
    let video = cut_all(Tracks::Video, Grouping::EachPicture, &clip);
    assert!(samples(&clip, &video) == of(TrackKind::Video));
    assert_eq!(video[0].init.codecs, clip.parameters.video.rfc6381);
    let audio = cut_all(Tracks::Audio, Grouping::EachPicture, &clip);
    assert!(samples(&clip, &audio) == of(TrackKind::Audio));
    let units: usize = of(TrackKind::Audio).len();
    assert_eq!(audio.iter().map(|piece| piece.pictures).sum::<u64>(), 0);
    assert_eq!(audio[0].init.codecs, "mp4a.40.2");
    assert_eq!(audio[0].init.size, None);
    let count = |piece: &Piece| piece.wire.windows(4).filter(|w| w == b"trun").count();
    assert!(audio.iter().all(|piece| count(piece) == 1 && piece.is_key));
    assert!(
        (units / 8..=units).contains(&audio.len()),
        "{} fragments of {units} units",
        audio.len()
    );
}

/// The bytes with the sequence number of the fragment taken out.
fn unnumbered(piece: &Piece) -> Vec<u8> {
    let mut bytes = piece.wire.to_vec();
    let at = bytes.windows(4).position(|w| w == b"mfhd").unwrap();
    bytes[at + 8..at + 12].fill(0);
    bytes
}

#[test]
fn who_comes_back_is_given_the_very_same_fragments() {
    let clip = clip();
    let all = cut_all(Tracks::Both, Grouping::EachPicture, &clip);
    for at in [0, 1, 24, 25, 26, 60] {
        let cursor: Cursor = all[at].cursor.to_string().parse().unwrap();
        let mut chunker = Chunker::new(Tracks::Both, Grouping::EachPicture);
        let mut pieces = Vec::new();
        chunker.begin(run(1), &Arc::new(clip.parameters.clone()), &mut pieces);
        for unit in &clip.units {
            if cursor.has(unit) {
                chunker.pass(unit);
            } else {
                chunker.push(unit.clone(), &mut pieces);
            }
        }
        let rest: Vec<_> = pieces.iter().map(unnumbered).collect();
        let expected: Vec<_> = all[at + 1..].iter().map(unnumbered).collect();
        assert_eq!(rest.len(), expected.len(), "behind fragment {at}");
        assert!(rest == expected, "behind fragment {at}");
    }
}

#[test]
fn a_hole_is_told_and_new_parameters_need_a_new_init() {
    let clip = clip();
    let mut chunker = Chunker::new(Tracks::Both, Grouping::EachPicture);
    let first = cut(&mut chunker, run(1), &clip, &clip.units);
    // The camera comes back ten seconds later, with a clock that starts anew.
    let later = clip.starting_at(ClipSpec::default().start.plus_micros(14_000_000));
    let second = cut(&mut chunker, run(2), &clip, &later.units);
    let hole = second[0].hole.unwrap();
    let end = first.last().unwrap().wall;
    assert!(
        hole.start.micros_since(end).abs() <= 200_000,
        "{hole:?} behind {end}"
    );
    assert_eq!(hole.end, ClipSpec::default().start.plus_micros(14_000_000));
    assert!(second[1..].iter().all(|piece| piece.hole.is_none()));
    assert!(Arc::ptr_eq(&first[0].init, &second[0].init));

    let spec = ClipSpec {
        width: 480,
        height: 270,
        start: ClipSpec::default().start.plus_micros(18_000_000),
        ..ClipSpec::default()
    };
    let wider = spec.encode().unwrap();
    let third = cut(&mut chunker, run(3), &wider, &wider.units);
    assert!(!Arc::ptr_eq(&second[0].init, &third[0].init));
    assert_eq!(third[0].init.size, Some((480, 270)));
}

#[test]
fn decode_times_rise_where_the_clock_is_corrected() {
    let clip = clip();
    let mut chunker = Chunker::new(Tracks::Both, Grouping::EachPicture);
    // Every GOP is moved back by three quarters of a frame against the one before.
    let mut units = clip.units.clone();
    let mut moved_us = 30_000;
    for unit in &mut units {
        if unit.track == TrackKind::Video && unit.is_key {
            moved_us -= 30_000;
        }
        unit.wall = unit.wall.plus_micros(moved_us);
    }
    let pieces = cut(&mut chunker, run(1), &clip, &units);
    for kind in [b"\0\0\0\x01", b"\0\0\0\x02"] {
        let times: Vec<u64> = pieces
            .iter()
            .filter_map(|piece| tfdt(&piece.wire, kind))
            .collect();
        assert!(times.len() > 50);
        assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
    }
}

/// `baseMediaDecodeTime` of the track with this id.
fn tfdt(wire: &[u8], track: &[u8; 4]) -> Option<u64> {
    let is_head = |at: &usize| wire[*at..*at + 4] == *b"tfhd" && wire[*at + 8..*at + 12] == *track;
    let head = (0..wire.len() - 12).find(is_head)?;
    let at = head + wire[head..].windows(4).position(|w| w == b"tfdt")?;
    Some(u64::from_be_bytes(wire[at + 8..at + 16].try_into().ok()?))
}

#[test]
fn media_time_is_unix_time() {
    let clip = clip();
    let pieces = cut_all(Tracks::Video, Grouping::EachPicture, &clip);
    let start = ClipSpec::default().start.micros();
    // The first key frame is decoded as long before it is shown as pictures are reordered.
    let key = clip.video().next().unwrap();
    let lead = key.pts.ticks - key.dts.ticks;
    let expected = start * 9 / 100 - lead;
    assert_eq!(
        tfdt(&pieces[0].wire, b"\0\0\0\x01"),
        u64::try_from(expected).ok()
    );
}
