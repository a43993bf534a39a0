//! Recorded playlists: the rules, the bytes, and the pictures.

use crate::recording::{Cuts, Recording, collect, stamps_of};
use crate::support::{channel, encode, later, spec};
use framewell_catalog::NewSegment;
use framewell_fmp4::{FragmentEntry, SegmentIndex};
use framewell_media::AudioCodec;
use framewell_model::{
    AccountId, ClockSource, ErrorKind, HasKind, Holder, RunId, SegmentId, TimeRange, WallTime,
};
use framewell_playback::hls::recorded::{Error, Kind, Span};
use framewell_testkit::encode::{ClipSpec, EncodedClip};
use framewell_testkit::m3u8::{Playlist, Resource};
use framewell_testkit::stamp::Stamp;
use uuid::Uuid;

/// Segments of four seconds, fragments of 0.6 s at most.
const CUTS: Cuts = Cuts {
    gops: 4,
    pictures: 15,
};

fn at(spec: &ClipSpec, frame: u32) -> WallTime {
    spec.stamp(frame).capture
}

/// The text, long after everything was captured.
async fn read(recording: &Recording, span: Span, kind: Kind) -> Result<Playlist, Error> {
    let now = span.end.unwrap_or(span.start).plus_micros(3_600_000_000);
    read_at(recording, span, kind, now).await
}

async fn read_at(
    recording: &Recording,
    span: Span,
    kind: Kind,
    now: WallTime,
) -> Result<Playlist, Error> {
    let hls = recording.playback.recorded_hls();
    let holder = Holder {
        account: AccountId::new(1).unwrap(),
        serial: None,
    };
    let text = hls.playlist(recording.channel, span, kind, "ticket=t", now, holder);
    Ok(Playlist::read(text.await?.as_str(), "ticket=t").unwrap())
}

fn segment_of(uri: &str) -> framewell_model::SegmentId {
    let name = uri.strip_suffix(".mp4").unwrap();
    name.strip_prefix("init-").unwrap_or(name).parse().unwrap()
}

async fn bytes(recording: &Recording, resource: &Resource) -> Vec<u8> {
    let hls = recording.playback.recorded_hls();
    let segment = segment_of(&resource.uri);
    match &resource.range {
        None => hls.init(recording.channel, segment).await.unwrap().to_vec(),
        Some(range) => {
            let file = hls.media(recording.channel, segment).await.unwrap();
            collect(file.stream(range.clone())).await
        }
    }
}

/// What a player sees that appends everything from one discontinuity to the next.
async fn stamps(recording: &Recording, playlist: &Playlist) -> Vec<Vec<Stamp>> {
    let mut streams: Vec<Vec<u8>> = Vec::new();
    let mut map = None;
    for segment in &playlist.segments {
        if segment.starts_discontinuity || streams.is_empty() {
            streams.push(Vec::new());
            map = None;
        }
        let stream = streams.last_mut().unwrap();
        if map.as_ref() != Some(&segment.map) {
            stream.extend(bytes(recording, &segment.map).await);
            map = Some(segment.map.clone());
        }
        stream.extend(bytes(recording, segment.media.as_ref().unwrap()).await);
    }
    let mut all = Vec::new();
    for stream in streams {
        all.push(stamps_of(stream).await);
    }
    all
}

fn assert_frames(stamps: &[Stamp], spec: &ClipSpec, frames: std::ops::Range<u32>) {
    let expected: Vec<_> = frames.map(|frame| spec.stamp(frame)).collect();
    assert_eq!(stamps, expected);
}

async fn recorded(clip: &EncodedClip) -> Recording {
    let mut recording = Recording::new().await;
    recording.publish(clip, CUTS).await;
    recording
}

async fn plays_as_one_stream(spec: ClipSpec) {
    let clip = encode(spec.clone()).await;
    let recording = recorded(&clip).await;
    let span = Span {
        start: at(&spec, 60),
        end: Some(at(&spec, 400)),
    };
    let playlist = read(&recording, span, Kind::Vod).await.unwrap();
    assert_eq!(
        (playlist.kind, playlist.has_end),
        (Some(framewell_testkit::m3u8::Kind::Vod), true)
    );
    assert!(playlist.segments.iter().all(|s| !s.starts_discontinuity));
    assert!(
        playlist
            .segments
            .iter()
            .all(|s| s.map == playlist.segments[0].map)
    );
    assert_eq!(
        playlist.segments[0].start,
        at(&spec, 50),
        "the key frame before"
    );
    assert_eq!(playlist.start_us, Some(400_000));
    let stamps = stamps(&recording, &playlist).await;
    assert_eq!(stamps.len(), 1);
    let end = stamps[0].last().unwrap().frame + 1;
    assert!((400..=415).contains(&end), "{end}");
    assert_frames(&stamps[0], &spec, 50..end);
    for segment in &playlist.segments {
        let frame = u32::try_from(segment.start.micros_since(at(&spec, 0)) / 40_000).unwrap();
        assert_eq!(segment.start, at(&spec, frame));
        assert_eq!(frame % spec.gop, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_over_many_stored_segments_is_one_stream() {
    plays_as_one_stream(spec(500)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_b_frames_and_sound_it_is_one_stream_too() {
    let audio = Some(AudioCodec::Aac);
    plays_as_one_stream(ClipSpec {
        b_frames: 2,
        audio,
        ..spec(500)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_that_browsers_refuse_is_left_out() {
    let audio = Some(AudioCodec::Pcmu);
    plays_as_one_stream(ClipSpec { audio, ..spec(500) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gaps_and_new_parameters_are_discontinuities() {
    let first_spec = spec(200);
    let first = encode(first_spec.clone()).await;
    let second_spec = ClipSpec {
        width: 640,
        height: 480,
        start: at(&first_spec, 0).plus_micros(30_000_000),
        ..spec(100)
    };
    let second = encode(second_spec.clone()).await;
    let mut recording = recorded(&first).await;
    recording.publish(&second, CUTS).await;
    let span = Span {
        start: at(&first_spec, 0).plus_micros(-60_000_000),
        end: Some(at(&second_spec, 0).plus_micros(60_000_000)),
    };
    let playlist = read(&recording, span, Kind::Vod).await.unwrap();
    let jumps: Vec<_> = playlist
        .segments
        .iter()
        .filter(|s| s.starts_discontinuity)
        .collect();
    assert_eq!(jumps.len(), 1);
    assert_eq!(jumps[0].start, at(&second_spec, 0));
    assert_ne!(jumps[0].map, playlist.segments[0].map);
    assert_eq!(playlist.start_us, Some(0), "nothing is there at the start");
    let stamps = stamps(&recording, &playlist).await;
    assert_frames(&stamps[0], &first_spec, 0..200);
    assert_frames(&stamps[1], &second_spec, 0..100);
}

#[tokio::test(flavor = "multi_thread")]
async fn long_gops_are_not_cut() {
    let spec = ClipSpec {
        gop: 250,
        ..spec(500)
    };
    let clip = encode(spec.clone()).await;
    let recording = recorded(&clip).await;
    let span = Span {
        start: at(&spec, 30),
        end: Some(at(&spec, 499)),
    };
    let playlist = read(&recording, span, Kind::Vod).await.unwrap();
    let lengths: Vec<_> = playlist.segments.iter().map(|s| s.duration_us).collect();
    assert_eq!(lengths, [10_000_000, 10_000_000]);
    assert_eq!(playlist.target_s, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_playlist_grows_and_ends() {
    let spec = spec(350);
    let clip = encode(spec.clone()).await;
    let (old, new) = (clip.units.iter(), clip.units.iter());
    let of = |units: Vec<_>| EncodedClip {
        units,
        ..clip.clone()
    };
    let published = of(old
        .filter(|unit| unit.wall < at(&spec, 200))
        .cloned()
        .collect());
    let written = of(new
        .filter(|unit| unit.wall >= at(&spec, 200))
        .cloned()
        .collect());
    let recording = recorded(&published).await;
    let end = at(&spec, 349);
    let span = Span {
        start: at(&spec, 10),
        end: Some(end),
    };
    assert_eq!(span.kind(end), Kind::Event);
    let first = read_at(&recording, span, Kind::Event, at(&spec, 200))
        .await
        .unwrap();
    assert!(!first.has_end);
    // As a recorder that writes now: the last segment of the playlist may still grow.
    recording.spool(
        &written,
        Cuts {
            gops: 100,
            pictures: 25,
        },
    );
    let second = read_at(&recording, span, Kind::Event, at(&spec, 340))
        .await
        .unwrap();
    first.check_successor(&second).unwrap();
    let last = second.segments.last().unwrap();
    assert_eq!(
        last.end(),
        at(&spec, 325),
        "five seconds, up to a key frame"
    );
    let settled = end.plus_micros(10_000_000);
    assert_eq!(span.kind(settled), Kind::Vod);
    let third = read_at(&recording, span, Kind::Event, settled)
        .await
        .unwrap();
    second.check_successor(&third).unwrap();
    assert!(third.has_end);
    let stamps = stamps(&recording, &third).await;
    let frames: usize = stamps.iter().map(Vec::len).sum();
    assert_eq!(frames, 350);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_byte_range_is_the_same_bytes() {
    let audio = Some(AudioCodec::Aac);
    let clip = encode(ClipSpec { audio, ..spec(200) }).await;
    let recording = recorded(&clip).await;
    let span = Span {
        start: clip.units[0].wall,
        end: None,
    };
    let playlist = read(&recording, span, Kind::Vod).await.unwrap();
    let media = playlist.segments[0].media.as_ref().unwrap();
    let hls = recording.playback.recorded_hls();
    let file = hls
        .media(recording.channel, segment_of(&media.uri))
        .await
        .unwrap();
    let whole = collect(file.stream(0..file.len)).await;
    assert_eq!(whole.len() as u64, file.len);
    for start in (0..file.len).step_by(1_009) {
        let range = start..file.len.min(start + 1_500);
        let part = collect(file.stream(range.clone())).await;
        assert_eq!(part, crate::recording::cut(&whole, &range));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_said_so() {
    let clip = encode(spec(100)).await;
    let mut recording = recorded(&clip).await;
    let later = later(&clip.units, 0)[0].wall.plus_micros(3_600_000_000);
    let nothing = Span {
        start: later,
        end: Some(later.plus_micros(60_000_000)),
    };
    let empty = read(&recording, nothing, Kind::Vod).await.unwrap_err();
    assert!(matches!(empty, Error::Empty { .. }));
    let long = Span {
        start: clip.units[0].wall,
        end: Some(clip.units[0].wall.plus_micros(8 * 86_400_000_000)),
    };
    let too_long = read(&recording, long, Kind::Vod).await.unwrap_err();
    assert_eq!(too_long.kind(), ErrorKind::InvalidArgument);
    let span = Span {
        start: clip.units[0].wall,
        end: None,
    };
    let playlist = read(&recording, span, Kind::Vod).await.unwrap();
    let segment = segment_of(&playlist.segments[0].media.as_ref().unwrap().uri);
    let hls = recording.playback.recorded_hls().clone();
    let other = hls.media(channel(99), segment).await.unwrap_err();
    assert_eq!(other.kind(), ErrorKind::NotFound);
    let record = recording.records.remove(0);
    recording.catalog.doom_segment(record, later).await.unwrap();
    let gone = hls.media(recording.channel, segment).await.unwrap_err();
    assert!(matches!(gone, Error::Gone { .. }), "{gone}");
}

/// Rows of ten seconds each, whose objects do not exist.
async fn rows_without_media(recording: &Recording, start: WallTime, count: i64) {
    let run = RunId::from_uuid(Uuid::from_u128(7));
    for n in 0..count {
        let fragment = |second: i64| FragmentEntry {
            offset: 900 + 500_000 * second.unsigned_abs(),
            header_len: 560,
            len: 500_000,
            wall: start.plus_micros((10 * n + second) * 1_000_000),
            anchor_pts: (10 * n + second) * 90_000,
            dts: (10 * n + second) * 90_000,
            min_pts: (10 * n + second) * 90_000,
            end_pts: (10 * n + second + 1) * 90_000,
            duration: 90_000,
            is_key: true,
            clock: ClockSource::CameraRtcp,
        };
        let index = SegmentIndex {
            init_len: 900,
            parameters: 42,
            fragments: (0..10).map(fragment).collect(),
            ..SegmentIndex::default()
        };
        let row = NewSegment {
            id: SegmentId::from_uuid(Uuid::now_v7()),
            channel: recording.channel,
            run,
            sequence: n,
            range: TimeRange {
                start: start.plus_micros(n * 10_000_000),
                end: start.plus_micros((n + 1) * 10_000_000),
            },
            clock: ClockSource::CameraRtcp,
            size_bytes: i64::try_from(index.len_bytes()).unwrap(),
            codecs: "avc1.64001f".to_owned(),
            index: index.encode(),
        };
        let record = recording.catalog.stage_segment(&row, start).await.unwrap();
        recording
            .catalog
            .publish_segment(record, start)
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_playlist_is_made_of_indexes_alone() {
    const SEGMENTS: i64 = 1_500;
    let recording = Recording::new().await;
    let start = WallTime::from_secs(1_767_225_600);
    rows_without_media(&recording, start, SEGMENTS).await;
    let span = |hours: i64| Span {
        start: start.plus_micros(3_500_000),
        end: Some(start.plus_micros(hours * 3_600_000_000)),
    };
    let four_hours = read(&recording, span(4), Kind::Vod).await.unwrap();
    let lengths: Vec<_> = four_hours.segments.iter().map(|s| s.duration_us).collect();
    assert_eq!(lengths[..3], [5_000_000, 2_000_000, 5_000_000]);
    assert_eq!(lengths.iter().sum::<i64>(), 4 * 3_600_000_000 - 3_000_000);
    assert!(four_hours.segments.iter().all(|s| !s.starts_discontinuity));
    assert!(
        four_hours
            .segments
            .iter()
            .all(|s| s.map == four_hours.segments[0].map)
    );
    // Longer ranges are told in longer segments.
    let day = read(&recording, span(24), Kind::Vod).await.unwrap();
    assert_eq!(i64::try_from(day.segments.len()).unwrap(), SEGMENTS);
    assert_eq!(day.segments[1].duration_us, 10_000_000);
}
