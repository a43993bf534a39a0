//! Streams of fragments: recorded, live, and from the one to the other.

use crate::recording::{Cuts, Recording, stamps_of};
use crate::support::{encode, run_id, spec};
use framewell_live::Track;
use framewell_media::{AudioCodec, TrackKind};
use framewell_model::{ErrorKind, HasKind, TimeRange, WallTime};
use framewell_playback::fragments::{Cursor, Feed, Notice, Part, Piece, Request, Tracks};
use framewell_playback::pace::Speed;
use framewell_playback::{Beginning, CatchUpItem, Role};
use framewell_testkit::encode::{ClipSpec, EncodedClip};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

const CUTS: Cuts = Cuts {
    gops: 2,
    pictures: 10,
};

fn request(from: WallTime, to: Option<WallTime>) -> Request {
    Request {
        tracks: Tracks::Both,
        from: Some(Beginning::Time(from)),
        to,
        speed: Speed::Unpaced,
    }
}

/// What a stream gave.
#[derive(Debug, Default)]
struct Taken {
    file: Vec<u8>,
    inits: usize,
    pieces: Vec<Arc<Piece>>,
    notices: Vec<Notice>,
}

impl Taken {
    fn take(&mut self, part: Part) {
        match part {
            Part::Init(init) => {
                self.inits += 1;
                self.file.extend_from_slice(&init.bytes);
            }
            Part::Fragment(piece) => {
                self.file.extend_from_slice(&piece.wire);
                self.pieces.push(piece);
            }
            Part::Notice(notice) => self.notices.push(notice),
        }
    }

    fn pictures(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.pictures).sum()
    }
}

async fn next(feed: &mut Feed) -> Option<Part> {
    let next = tokio::time::timeout(Duration::from_secs(20), feed.next());
    next.await.expect("in time").unwrap()
}

async fn take_all(feed: &mut Feed) -> Taken {
    let mut taken = Taken::default();
    while let Some(part) = next(feed).await {
        taken.take(part);
    }
    taken
}

async fn take_pictures(feed: &mut Feed, count: u64) -> Taken {
    let mut taken = Taken::default();
    while taken.pictures() < count {
        taken.take(next(feed).await.expect("not ended"));
    }
    taken
}

/// Presentation times of the video packets as `ffprobe` reads them, in microseconds.
async fn packet_times(file: &[u8]) -> Vec<i64> {
    let mut ffprobe = tokio::process::Command::new("ffprobe")
        .args(
            "-v error -select_streams v -show_entries packet=pts_time -of csv=p=0 -i -".split(' '),
        )
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = ffprobe.stdin.take().unwrap();
    let (written, output) = tokio::join!(
        async move { stdin.write_all(file).await },
        ffprobe.wait_with_output()
    );
    written.unwrap();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    let words = text.lines().map(|line| line.trim_end_matches(',').trim());
    let seconds = words.filter(|word| !word.is_empty());
    let mut times: Vec<i64> = seconds
        .map(|word| {
            let (whole, part) = word.split_once('.').unwrap();
            whole.parse::<i64>().unwrap() * 1_000_000 + part.parse::<i64>().unwrap()
        })
        .collect();
    times.sort_unstable();
    times
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_range_is_a_file_that_says_when_each_picture_was_taken() {
    let clip = encode(ClipSpec {
        b_frames: 2,
        audio: Some(AudioCodec::Aac),
        ..spec(100)
    })
    .await;
    let mut recording = Recording::new().await;
    recording.publish(&clip, CUTS).await;
    let start = spec(100).start;
    let end = start.plus_micros(10_000_000);
    let mut feed = recording
        .playback
        .fragments(recording.channel, request(start, Some(end)))
        .await
        .unwrap();
    let taken = take_all(&mut feed).await;
    assert_eq!((taken.inits, taken.notices), (1, vec![Notice::End]));
    let stamps = stamps_of(taken.file.clone()).await;
    let frames: Vec<u32> = stamps.iter().map(|stamp| stamp.frame).collect();
    assert_eq!(frames, (0..100).collect::<Vec<_>>());
    let times = packet_times(&taken.file).await;
    assert_eq!(times.len(), 100);
    for (time, stamp) in times.iter().zip(&stamps) {
        let off_us = stamp.capture.micros() - time;
        assert!(off_us.abs() <= 12, "{off_us} us at picture {}", stamp.frame);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_begins_at_the_key_frame_it_needs_and_ends_where_it_was_asked_to() {
    let clip = encode(spec(100)).await;
    let mut recording = Recording::new().await;
    recording.publish(&clip, CUTS).await;
    let start = spec(100).start;
    let wanted = request(
        start.plus_micros(1_500_000),
        Some(start.plus_micros(2_600_000)),
    );
    let feed = recording.playback.fragments(recording.channel, wanted);
    let taken = take_all(&mut feed.await.unwrap()).await;
    let stamps = stamps_of(taken.file).await;
    let frames: Vec<u32> = stamps.iter().map(|stamp| stamp.frame).collect();
    assert_eq!(frames, (25..65).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hole_is_told_and_where_nothing_is_that_is_an_error() {
    let clip = encode(spec(50)).await;
    let mut recording = Recording::new().await;
    recording.publish(&clip, CUTS).await;
    let start = spec(50).start;
    let later = clip.starting_at(start.plus_micros(60_000_000));
    recording.publish(&later, CUTS).await;
    let end = start.plus_micros(100_000_000);
    let feed = recording
        .playback
        .fragments(recording.channel, request(start, Some(end)));
    let taken = take_all(&mut feed.await.unwrap()).await;
    assert_eq!(taken.pictures(), 100);
    let hole = TimeRange::new(start.plus_micros(2_000_000), start.plus_micros(60_000_000));
    assert_eq!(taken.notices, [Notice::Gap(hole.unwrap()), Notice::End]);
    assert_eq!(taken.inits, 1);
    let times = packet_times(&taken.file).await;
    assert!((times[50] - times[49] - 58_040_000).abs() <= 12);

    let nothing = request(end, Some(end.plus_micros(1_000_000)));
    let error = recording.playback.fragments(recording.channel, nothing);
    assert_eq!(error.await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_speed_is_kept() {
    let clip = encode(spec(100)).await;
    let mut recording = Recording::new().await;
    recording.publish(&clip, CUTS).await;
    let start = spec(100).start;
    let wanted = Request {
        speed: Speed::Times(4.0),
        ..request(start, Some(start.plus_micros(10_000_000)))
    };
    let mut feed = recording
        .playback
        .fragments(recording.channel, wanted)
        .await
        .unwrap();
    let begin = tokio::time::Instant::now();
    let taken = take_all(&mut feed).await;
    assert_eq!(taken.pictures(), 100);
    let passed = begin.elapsed();
    assert!(passed >= Duration::from_millis(900), "{passed:?}");
    assert!(passed < Duration::from_secs(5), "{passed:?}");
}

/// A channel whose first pictures are recorded and whose newest ones are in the ring.
struct Site {
    recording: Recording,
    clip: EncodedClip,
    track: Track,
}

/// 200 pictures: the first 150 are recorded, those from 100 on are in the ring up to 175.
async fn site(b_frames: u32) -> Site {
    let clip = encode(ClipSpec {
        b_frames,
        audio: Some(AudioCodec::Aac),
        ..spec(200)
    })
    .await;
    let mut recording = Recording::new().await;
    let recorded = head(&clip, 150);
    recording.publish_run(&recorded, CUTS, run_id(1)).await;
    let track = recording.registry.track(recording.channel);
    track.begin_run(run_id(1), Arc::new(clip.parameters.clone()));
    let (from, to) = (place(&clip, 100), place(&clip, 175));
    for unit in &clip.units[from..to] {
        track.push(unit.clone());
    }
    Site {
        recording,
        clip,
        track,
    }
}

/// Where the `number`-th picture stands among the units.
fn place(clip: &EncodedClip, number: usize) -> usize {
    let video = clip.units.iter().enumerate();
    let mut video = video.filter(|(_, unit)| unit.track == TrackKind::Video);
    video.nth(number).map_or(clip.units.len(), |(at, _)| at)
}

fn head(clip: &EncodedClip, pictures: usize) -> EncodedClip {
    let mut head = clip.clone();
    head.units.truncate(place(clip, pictures));
    head
}

impl Site {
    fn push_rest(&self) {
        for unit in &self.clip.units[place(&self.clip, 175)..] {
            self.track.push(unit.clone());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_back_goes_on_live_without_a_seam() {
    for b_frames in [0, 2] {
        let site = site(b_frames).await;
        let start = spec(200).start.plus_micros(1_200_000);
        let feed = site
            .recording
            .playback
            .fragments(site.recording.channel, request(start, None));
        let mut feed = feed.await.unwrap();
        let mut taken = take_pictures(&mut feed, 150).await;
        site.push_rest();
        let rest = take_pictures(&mut feed, 25).await;
        taken.file.extend_from_slice(&rest.file);
        let notices = [taken.notices, rest.notices].concat();
        assert_eq!(notices, [Notice::Live], "{b_frames} B-frames");
        assert_eq!((taken.inits, rest.inits), (1, 0));
        let stamps = stamps_of(taken.file).await;
        let frames: Vec<u32> = stamps.iter().map(|stamp| stamp.frame).collect();
        assert_eq!(frames, (25..200).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_goes_on_exactly_behind_its_fragment() {
    let site = site(2).await;
    let (playback, channel) = (&site.recording.playback, site.recording.channel);
    let start = spec(200).start;
    let mut feed = playback
        .fragments(channel, request(start, None))
        .await
        .unwrap();
    let mut whole = take_pictures(&mut feed, 175).await;
    site.push_rest();
    let rest = take_pictures(&mut feed, 25).await;
    whole.pieces.extend(rest.pieces);
    // A cut in what is recorded alone, in what both have, and in what is live.
    for cut in [1, 3, 5, whole.pieces.len() - 20, whole.pieces.len() - 3] {
        let head = &whole.pieces[..cut];
        let before: u64 = head.iter().map(|piece| piece.pictures).sum();
        let text = head.last().unwrap().cursor.to_string();
        let cursor: Cursor = text.parse().unwrap();
        let resume = Request {
            from: Some(Beginning::Cursor(cursor)),
            ..request(start, None)
        };
        let mut feed = playback.fragments(channel, resume).await.unwrap();
        assert_eq!(feed.cursor(), Some(cursor));
        let rest = take_pictures(&mut feed, 200 - before).await;
        let gaps = rest.notices.iter().filter(|n| matches!(n, Notice::Gap(_)));
        assert_eq!(gaps.count(), 0, "behind {before} pictures");
        let mut file = whole.pieces[0].init.bytes.to_vec();
        let parts = head.iter().chain(&rest.pieces);
        parts.for_each(|piece| file.extend_from_slice(&piece.wire));
        let frames: Vec<u32> = stamps_of(file).await.iter().map(|s| s.frame).collect();
        assert_eq!(
            frames,
            (0..200).collect::<Vec<_>>(),
            "behind {before} pictures"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn units_of_both_tracks_are_told_once_and_in_order() {
    let site = site(2).await;
    site.push_rest();
    let (playback, channel) = (&site.recording.playback, site.recording.channel);
    let start = Beginning::Time(spec(200).start.plus_micros(500_000));
    let mut units = playback.catch_up(channel, start, None).await.unwrap();
    let mut told = Vec::new();
    let mut leads = 0;
    loop {
        let next = tokio::time::timeout(Duration::from_secs(20), units.next());
        match next.await.unwrap().unwrap().unwrap() {
            CatchUpItem::Live => break,
            // Told again at the seam, for who needs it to go on.
            CatchUpItem::Unit {
                role: Role::Known, ..
            } => {}
            CatchUpItem::Unit { unit, role } => {
                leads += usize::from(role == Role::Lead);
                told.push(unit);
            }
            CatchUpItem::Begin { run, .. } => assert_eq!(run, run_id(1)),
            CatchUpItem::Gap(gap) => panic!("{gap:?}"),
        }
    }
    assert!((10..40).contains(&leads), "{leads} units before the start");
    for kind in [TrackKind::Video, TrackKind::Audio] {
        let of = |units: &[framewell_media::AccessUnit]| {
            let track = units.iter().filter(|unit| unit.track == kind);
            track.map(|unit| unit.dts.ticks).collect::<Vec<_>>()
        };
        assert_eq!(of(&told), of(&site.clip.units), "{kind:?}");
    }
}
