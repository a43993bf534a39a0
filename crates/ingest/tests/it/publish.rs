//! Publishers: one writer of a channel, and what it writes.

use crate::rig::{LIMIT, Rig, channel, frame_number, impatient, now, playing, source, spec};
use framewell_ingest::IngestConfig;
use framewell_ingest::publish::{
    Ended, Picture, Protocol, PublishError, Publisher, Publishers, SenderReport, Sound,
};
use framewell_media::{AccessUnit, AudioCodec, TrackKind, nal};
use framewell_model::{ChannelStatus, ClockSource, HasKind};
use framewell_testkit::encode::{ClipSpec, EncodedClip};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Silent publishers are found soon.
fn hasty() -> IngestConfig {
    IngestConfig {
        silence: Duration::from_millis(400),
        connect: Duration::from_millis(400),
        takeover: Duration::from_millis(100),
        ..impatient()
    }
}

fn open(publishers: &Publishers) -> Result<Publisher, PublishError> {
    publishers.open(channel(1), Protocol::Rtmp, HERE)
}

/// Hands units over, `offset` ticks of 90 kHz after their own time.
fn send(
    publisher: &Publisher,
    clip: &EncodedClip,
    units: &[AccessUnit],
    offset: i64,
) -> Result<(), Ended> {
    for unit in units {
        match unit.track {
            TrackKind::Video => publisher.picture(Picture {
                codec: clip.parameters.video.codec,
                pts_ticks: unit.pts.ticks + offset,
                dts_ticks: Some(unit.dts.ticks + offset),
                elapsed_ticks: unit.pts.ticks + offset,
                data: unit.data.clone(),
            })?,
            TrackKind::Audio => {
                let ticks = unit.pts.ticks + unit.pts.scale.from_micros(offset * 100 / 9);
                publisher.sound(Sound {
                    ticks,
                    elapsed_ticks: ticks,
                    data: unit.data.clone(),
                })?;
            }
        }
    }
    Ok(())
}

fn begin(publisher: &Publisher, clip: &EncodedClip) {
    publisher.set_video(clip.parameters.video.clone()).unwrap();
    publisher.set_audio(clip.parameters.audio.clone()).unwrap();
}

#[tokio::test]
async fn what_is_published_is_in_the_track_as_it_came() {
    let spec = ClipSpec {
        audio: Some(AudioCodec::Aac),
        b_frames: 2,
        ..spec()
    };
    let clip = spec.encode().unwrap();
    let rig = Rig::new(impatient());
    let mut viewer = rig.viewer(1);
    let publisher = open(&rig.ingest.publishers()).unwrap();
    begin(&publisher, &clip);
    let before = now();
    send(&publisher, &clip, &clip.units, 900_000).unwrap();
    let video = clip.video().count();
    let seen = viewer
        .until(|seen| {
            seen.iter()
                .filter(|s| s.unit.track == TrackKind::Video)
                .count()
                == video
        })
        .await;
    let pictures: Vec<_> = seen
        .iter()
        .filter(|s| s.unit.track == TrackKind::Video)
        .collect();
    for (came, sent) in pictures.iter().zip(clip.video()) {
        assert_eq!((came.unit.pts, &came.unit.data), (sent.pts, &sent.data));
        assert_eq!(came.unit.clock, ClockSource::ServerArrival);
        assert!(came.unit.dts.ticks <= came.unit.pts.ticks && came.unit.is_key == sent.is_key);
    }
    assert!(
        pictures
            .windows(2)
            .all(|pair| pair[0].unit.dts.ticks < pair[1].unit.dts.ticks)
    );
    assert!(pictures[0].unit.wall.micros_since(before).abs() < 5_000_000);
    // Sound keeps its distance from the pictures.
    let is_sound = |unit: &&AccessUnit| unit.track == TrackKind::Audio;
    let came = seen.iter().map(|s| &s.unit).find(is_sound).unwrap();
    let sent = clip.units.iter().find(is_sound).unwrap();
    assert!(
        (came.pts.micros() - sent.pts.micros()).abs() < 1_000,
        "{came:?}"
    );
    assert_eq!(viewer.state(ChannelStatus::Active).await.detail, None);
    assert_eq!(
        viewer.track.parameters().unwrap().audio,
        clip.parameters.audio
    );

    publisher.end(Ended::Finished);
    let state = viewer.state(ChannelStatus::Offline).await;
    assert_eq!(
        state.detail.as_deref(),
        Some("the publisher ended its stream")
    );
    assert!(viewer.track.newest_gop().unwrap().is_closed);
    rig.stop().await;
}

#[tokio::test]
async fn parameter_sets_among_the_pictures_are_taken_up() {
    let clip = spec().encode().unwrap();
    let rig = Rig::new(impatient());
    let mut viewer = rig.viewer(1);
    let publisher = open(&rig.ingest.publishers()).unwrap();
    let sets = clip.parameters.video.parameter_sets();
    for unit in clip.video().take(12) {
        let mut nals = if unit.is_key {
            sets.clone()
        } else {
            Vec::new()
        };
        nals.extend(nal::split_length_prefixed(&unit.data));
        publisher
            .picture(Picture {
                codec: clip.parameters.video.codec,
                pts_ticks: unit.pts.ticks,
                dts_ticks: None,
                elapsed_ticks: unit.pts.ticks,
                data: nal::join_length_prefixed(&nals),
            })
            .unwrap();
    }
    let seen = viewer.video(12).await;
    for (index, seen) in seen.iter().enumerate() {
        assert_eq!(frame_number(&clip, &seen.unit) as usize, index);
    }
    let parameters = viewer.track.parameters().unwrap();
    assert_eq!(parameters.video, clip.parameters.video);
    rig.stop().await;
}

#[tokio::test]
async fn a_sender_report_gives_the_publishers_own_time() {
    let clip = spec().encode().unwrap();
    let rig = Rig::new(impatient());
    let mut viewer = rig.viewer(1);
    let publisher = open(&rig.ingest.publishers()).unwrap();
    begin(&publisher, &clip);
    // The first picture was captured two seconds ago.
    let wall = now().plus_micros(-2_000_000);
    publisher
        .report(TrackKind::Video, SenderReport { wall, ticks: 500 })
        .unwrap();
    send(&publisher, &clip, &clip.units[..5], 500).unwrap();
    let seen = viewer.video(5).await;
    assert_eq!(seen[0].unit.clock, ClockSource::CameraRtcp);
    assert!(seen[0].unit.wall.micros_since(wall).abs() <= 20);
    rig.stop().await;
}

#[tokio::test]
async fn the_first_of_two_publishers_keeps_the_channel_while_it_delivers() {
    let clip = spec().encode().unwrap();
    let rig = Rig::new(hasty());
    let publishers = rig.ingest.publishers();
    let mut viewer = rig.viewer(1);
    let first = open(&publishers).unwrap();
    begin(&first, &clip);
    let keys: Vec<usize> = (0..clip.units.len())
        .filter(|at| clip.units[*at].is_key)
        .collect();
    send(&first, &clip, &clip.units[..keys[1]], 0).unwrap();
    let refused = open(&publishers).unwrap_err();
    assert!(matches!(refused, PublishError::Taken { .. }), "{refused}");
    assert_eq!(refused.kind().http_status(), 409);
    assert!(
        refused.to_string().contains("over rtmp since 20"),
        "{refused}"
    );
    // Elsewhere there is room.
    publishers.open(channel(2), Protocol::Whip, HERE).unwrap();

    let run = viewer.video(1).await[0].run;
    let second = loop {
        // Silent for long enough at some time: the first one is replaced.
        tokio::time::sleep(Duration::from_millis(20)).await;
        if let Ok(second) = open(&publishers) {
            break second;
        }
    };
    assert_eq!(first.ended().await, Ended::Replaced(Protocol::Rtmp));
    begin(&second, &clip);
    send(&second, &clip, &clip.units[..keys[1]], 0).unwrap();
    let late = send(&first, &clip, &clip.units[..1], 0);
    assert_eq!(late, Err(Ended::Replaced(Protocol::Rtmp)));
    drop(first);
    let of_second = |seen: &[crate::rig::Seen]| seen.iter().filter(|s| s.run != run).count();
    let seen = viewer.until(|seen| of_second(seen) == keys[1]).await;
    let first_of_second = seen.iter().find(|s| s.run != run).unwrap();
    assert_eq!(frame_number(&clip, &first_of_second.unit), 0);
    assert_eq!(publishers.channels(), [channel(1)]);
    viewer.state(ChannelStatus::Active).await;
    rig.stop().await;
}

#[tokio::test]
async fn a_silent_publisher_is_ended() {
    let clip = spec().encode().unwrap();
    let rig = Rig::new(hasty());
    let publishers = rig.ingest.publishers();
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(publishers.clone().run(stop.clone()));
    let viewer = rig.viewer(1);

    let mute = open(&publishers).unwrap();
    let ended = tokio::time::timeout(LIMIT, mute.ended()).await.unwrap();
    assert_eq!(ended, Ended::Silent(Duration::from_millis(400)));
    // Its place is free before it has noticed.
    let publisher = open(&publishers).unwrap();
    begin(&publisher, &clip);
    send(&publisher, &clip, &clip.units[..5], 0).unwrap();
    let ended = tokio::time::timeout(LIMIT, publisher.ended())
        .await
        .unwrap();
    assert_eq!(ended, Ended::Silent(Duration::from_millis(400)));
    let state = viewer.state(ChannelStatus::Offline).await;
    assert_eq!(
        state.detail.as_deref(),
        Some("the publisher sent no picture for 0.4 s")
    );

    let last = open(&publishers).unwrap();
    stop.cancel();
    tasks.join_next().await.unwrap().unwrap();
    assert_eq!(last.ended().await, Ended::ServerStops);
    assert_eq!(open(&publishers).unwrap_err(), PublishError::Stopping);
    rig.stop().await;
}

#[tokio::test]
async fn a_channel_with_a_camera_takes_no_publisher() {
    let (camera, clip) = playing(&spec()).await;
    let rig = Rig::new(impatient());
    let publishers = rig.ingest.publishers();
    let mut viewer = rig.viewer(1);
    let publisher = open(&publishers).unwrap();
    begin(&publisher, &clip);
    send(&publisher, &clip, &clip.units[..3], 0).unwrap();
    let run = viewer.video(3).await[0].run;
    // A source that is set ends the publisher.
    rig.ingest
        .set_wanted(BTreeMap::from([(channel(1), source(&camera))]));
    let ended = tokio::time::timeout(LIMIT, publisher.ended())
        .await
        .unwrap();
    assert_eq!(ended, Ended::PulledFromCamera);
    drop(publisher);
    let seen = viewer.video(3).await;
    assert!(seen.iter().all(|s| s.run != run));
    let refused = open(&publishers).unwrap_err();
    assert_eq!(refused, PublishError::HasCamera(channel(1)));
    // And one that is removed makes room again.
    rig.ingest.set_wanted(BTreeMap::new());
    viewer.state(ChannelStatus::Inactive).await;
    let wait = async {
        while open(&publishers).is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, wait).await.unwrap();
    rig.stop().await;
}

#[tokio::test]
async fn what_cannot_be_used_costs_the_publisher_only() {
    let clip = spec().encode().unwrap();
    let rig = Rig::new(impatient());
    let publishers = rig.ingest.publishers();
    let mut viewer = rig.viewer(1);
    let publisher = open(&publishers).unwrap();
    begin(&publisher, &clip);
    let picture = |data: &[u8]| Picture {
        codec: clip.parameters.video.codec,
        pts_ticks: 0,
        dts_ticks: None,
        elapsed_ticks: 0,
        data: data.to_vec().into(),
    };
    publisher.picture(picture(&[0, 0, 9, 9, 0x65])).unwrap();
    assert_eq!(viewer.track.stats().lost_packets, 1);
    send(&publisher, &clip, &clip.units[..3], 0).unwrap();
    viewer.video(3).await;
    let broken = publisher.picture(picture(&[0, 0, 0, 2, 0x67, 0xff]));
    assert!(matches!(broken, Err(Ended::Parameters(_))), "{broken:?}");
    viewer.state(ChannelStatus::Offline).await;
    let publisher = open(&publishers).unwrap();
    let huge = publisher.picture(picture(&vec![0; (16 << 20) + 1]));
    assert!(matches!(huge, Err(Ended::Unusable(_))), "{huge:?}");
    rig.stop().await;
}

#[tokio::test]
async fn a_publisher_whose_time_jumps_with_every_picture_is_ended() {
    let clip = spec().encode().unwrap();
    let rig = Rig::new(impatient());
    let publisher = open(&rig.ingest.publishers()).unwrap();
    begin(&publisher, &clip);
    let key = &clip.units[..1];
    let mut jumps = (0..).map(|jump| send(&publisher, &clip, key, jump * 900_000));
    let ended = jumps.by_ref().take(20).find_map(Result::err).unwrap();
    assert!(matches!(ended, Ended::Unusable(_)), "{ended}");
    assert!(ended.to_string().contains("jump"), "{ended}");
}
