//! Playlists and segments of a steady stream.

use crate::support::{begin, channel, encode, fetch, pace, push_all, registry, serve, spec};
use framewell_live::SourceState;
use framewell_media::{AudioCodec, VideoCodec};
use framewell_model::{ChannelStatus, WallTime};
use framewell_playback::hls::{Live, Reload};
use framewell_testkit::encode::ClipSpec;
use framewell_testkit::m3u8::{Attributes, Playlist, Segment};
use framewell_testkit::stamp::{Stamp, VideoInput, read_stamps_video_bytes};
use tokio::task::JoinSet;

pub(crate) async fn playlist(live: &Live) -> Playlist {
    reloaded(live, Reload::default()).await
}

pub(crate) async fn reloaded(live: &Live, reload: Reload) -> Playlist {
    let text = live.playlist(channel(7), "ticket=t", reload).await.unwrap();
    Playlist::read(&text, "ticket=t").unwrap()
}

/// Stamps of one segment behind its init segment: it must decode alone.
pub(crate) async fn stamps(live: &Live, segment: &Segment) -> Vec<Stamp> {
    let mut file = fetch(live, channel(7), &segment.map.uri, "").await.unwrap();
    let media = &segment.media.as_ref().unwrap().uri;
    file.extend(fetch(live, channel(7), media, "").await.unwrap());
    tokio::task::spawn_blocking(move || read_stamps_video_bytes(&file))
        .await
        .unwrap()
        .unwrap()
}

async fn steady(spec: ClipSpec) {
    let clip = encode(spec.clone()).await;
    let live_registry = registry();
    let live = Live::new(live_registry.clone());
    let track = begin(&live_registry, &clip.parameters);
    push_all(&track, &clip.units[..clip.units.len() / 2]);
    let mut before = playlist(&live).await;
    let mut seen = before.segments.clone();
    for unit in &clip.units[clip.units.len() / 2..] {
        assert!(track.push(unit.clone()));
        if unit.is_key {
            let next = playlist(&live).await;
            before.check_successor(&next).unwrap();
            let newest = seen.last().unwrap().sequence;
            seen.extend(
                next.segments
                    .iter()
                    .filter(|s| s.sequence > newest)
                    .cloned(),
            );
            before = next;
        }
    }
    let mut frame = 0;
    let last = before.segments.last().unwrap();
    for segment in seen
        .iter()
        .filter(|segment| segment.sequence + 6 > last.sequence)
    {
        let stamps = stamps(&live, segment).await;
        if frame == 0 {
            frame = stamps[0].frame;
        }
        assert_eq!(stamps[0].frame % spec.gop, 0);
        assert_eq!(segment.start, stamps[0].capture);
        for stamp in &stamps {
            assert_eq!(*stamp, spec.stamp(frame));
            frame += 1;
        }
        let off_us = segment.end().micros_since(spec.stamp(frame).capture);
        assert!(
            off_us.abs() <= 20,
            "the segment ends where the next picture begins: {off_us} us"
        );
    }
    assert!(frame > spec.frames / 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_steady_h264_stream_keeps_to_the_rules() {
    steady(spec(500)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b_frames_and_audio_keep_to_the_rules() {
    let audio = Some(AudioCodec::Aac);
    steady(ClipSpec {
        b_frames: 2,
        audio,
        ..spec(500)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h265_keeps_to_the_rules() {
    steady(ClipSpec {
        codec: VideoCodec::H265,
        gop: 50,
        ..spec(500)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn short_gops_are_gathered_into_segments_of_a_second() {
    let clip = encode(ClipSpec {
        gop: 10,
        ..spec(250)
    })
    .await;
    let live_registry = registry();
    let live = Live::new(live_registry.clone());
    push_all(&begin(&live_registry, &clip.parameters), &clip.units);
    let playlist = playlist(&live).await;
    assert!(
        playlist
            .segments
            .iter()
            .all(|segment| segment.duration_us == 1_200_000)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_gop_is_one_segment() {
    let clip = encode(ClipSpec {
        gop: 125,
        ..spec(375)
    })
    .await;
    let live_registry = registry();
    let live = Live::new(live_registry.clone());
    push_all(&begin(&live_registry, &clip.parameters), &clip.units);
    let playlist = playlist(&live).await;
    let durations: Vec<_> = playlist
        .segments
        .iter()
        .map(|segment| segment.duration_us)
        .collect();
    assert_eq!(durations, [5_000_000, 5_000_000]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_multivariant_playlist_says_what_a_player_must_know() {
    let live_registry = registry();
    let live = Live::new(live_registry.clone());
    let audio = Some(AudioCodec::Aac);
    let clip = encode(ClipSpec { audio, ..spec(250) }).await;
    push_all(&begin(&live_registry, &clip.parameters), &clip.units);
    let text = live.multivariant(channel(7), "ticket=t").await.unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "#EXTM3U");
    assert_eq!(lines.last(), Some(&"media.m3u8?ticket=t"));
    let variant = lines[lines.len() - 2].strip_prefix("#EXT-X-STREAM-INF:");
    let variant = Attributes::read(variant.unwrap()).unwrap();
    assert_eq!(variant.plain("RESOLUTION").unwrap(), "320x240");
    assert_eq!(variant.plain("FRAME-RATE").unwrap(), "25.000");
    let codecs = variant.quoted("CODECS").unwrap();
    assert!(
        codecs.starts_with("avc1.") && codecs.ends_with(",mp4a.40.2"),
        "{codecs}"
    );
    let number = |name| variant.plain(name).unwrap().parse::<u64>().unwrap();
    assert!(number("AVERAGE-BANDWIDTH") <= number("BANDWIDTH"));
    // The peak is that of the largest segment listed (section 4.3.4.2).
    let mut peak = 0;
    for segment in playlist(&live).await.segments {
        let bytes = fetch(&live, channel(7), &segment.media.unwrap().uri, "")
            .await
            .unwrap()
            .len() as u64;
        peak = peak.max(bytes * 8_000_000 / u64::try_from(segment.duration_us).unwrap());
    }
    assert_eq!(number("BANDWIDTH"), peak);
}

#[tokio::test(flavor = "multi_thread")]
async fn g711_is_left_out_since_browsers_refuse_it() {
    let live_registry = registry();
    let live = Live::new(live_registry.clone());
    let audio = Some(AudioCodec::Pcmu);
    let clip = encode(ClipSpec { audio, ..spec(100) }).await;
    push_all(&begin(&live_registry, &clip.parameters), &clip.units);
    let text = live.multivariant(channel(7), "").await.unwrap();
    let variant = text.lines().find(|line| line.contains("CODECS")).unwrap();
    let (_, list) = variant.split_once(':').unwrap();
    let codecs = Attributes::read(list).unwrap().quoted("CODECS").unwrap();
    assert!(!codecs.contains(','));
    let playlist = playlist(&live).await;
    assert_eq!(stamps(&live, &playlist.segments[0]).await.len(), 25);
}

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_plays_a_live_stream_in_order() {
    let audio = Some(AudioCodec::Aac);
    let spec = ClipSpec {
        audio,
        b_frames: 2,
        ..spec(250)
    };
    let clip = encode(spec.clone()).await;
    let live_registry = registry();
    let mut tasks = JoinSet::new();
    let addr = serve(Live::new(live_registry.clone()), &mut tasks).await;
    let track = begin(&live_registry, &clip.parameters);
    let half = clip.units.len() * 2 / 5;
    push_all(&track, &clip.units[..half]);
    let rest = clip.units[half..].to_vec();
    tasks.spawn(async move { pace(&track, &rest).await });
    let input = VideoInput::new(format!("http://{addr}/hls/7/index.m3u8?ticket=t"))
        .option("-live_start_index", "0")
        .max_frames(150);
    let playing = tokio::task::spawn_blocking(move || input.read_stamps());
    let stamps = playing.await.unwrap().unwrap();
    let expected: Vec<_> = (0..150).map(|number| spec.stamp(number)).collect();
    assert_eq!(stamps, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_just_started_is_waited_for() {
    let clip = encode(spec(100)).await;
    let live_registry = registry();
    let live = Live::new(live_registry.clone());
    let track = live_registry.track(channel(7));
    track.set_source_state(SourceState {
        status: ChannelStatus::Active,
        ..SourceState::inactive(WallTime::from_secs(0))
    });
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let track = begin(&live_registry, &clip.parameters);
        push_all(&track, &clip.units);
    });
    assert!(playlist(&live).await.segments.len() >= 2);
}
