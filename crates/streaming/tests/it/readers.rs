//! What readers get when streams change and when readers are slow.

use crate::client::{Client, Packet};
use crate::support::{Server, encode, run_id, spec};
use bytes::Bytes;
use framewell_access::sessions::EndReason as SessionEnd;
use framewell_live::EndReason;
use framewell_media::{AccessUnit, AudioCodec, TrackKind};
use framewell_streaming::rtsp::RtspConfig;
use framewell_testkit::encode::{ClipSpec, EncodedClip};
use framewell_testkit::stamp::VideoInput;
use std::sync::Arc;
use std::time::Duration;

fn video(clip: &EncodedClip) -> Vec<AccessUnit> {
    clip.video().cloned().collect()
}

/// A unit of `bytes` bytes of noise, which no reader needs to decode.
fn noise(unit: &AccessUnit, bytes: usize) -> AccessUnit {
    let mut data = Vec::with_capacity(bytes + 5);
    data.extend_from_slice(&u32::try_from(bytes + 1).unwrap().to_be_bytes());
    data.push(if unit.is_key { 0x65 } else { 0x41 });
    data.extend((0..bytes).map(|i| (i % 251) as u8));
    AccessUnit {
        data: Bytes::from(data),
        ..unit.clone()
    }
}

/// Type of the NAL unit that an H.264 packet carries or is a part of.
fn nal_type(packet: &Packet) -> u8 {
    match packet.payload()[0] & 0x1f {
        28 => packet.payload()[1] & 0x1f,
        kind => kind,
    }
}

const SPS: u8 = 7;

#[tokio::test(flavor = "multi_thread")]
async fn play_begins_with_the_newest_key_frame_at_once() {
    let clip = encode(spec()).await;
    let units = video(&clip);
    let server = Server::start(RtspConfig::default()).await;
    let track = server.track(7, &clip.parameters);
    // Two GOPs of 25, and a part of the third; then the camera is silent.
    for unit in &units[..60] {
        track.push(unit.clone());
    }
    let mut client = Client::connect(server.addr).await;
    client.play(&server.url(7)).await;
    let mut first = None;
    for number in 50..60 {
        let packets = client.access_unit().await.unwrap();
        let first = *first.get_or_insert(packets[0].timestamp());
        let ticks = u32::try_from(units[number].pts.ticks - units[50].pts.ticks).unwrap();
        assert_eq!(packets[0].timestamp().wrapping_sub(first), ticks);
        assert_eq!(nal_type(&packets[0]) == SPS, number == 50);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_stops_reading_slows_nobody_and_is_disconnected() {
    let clip = encode(spec()).await;
    let units = video(&clip);
    // Room for the two readers only.
    let config = RtspConfig {
        write_timeout: Duration::from_millis(300),
        max_connections: 2,
        ..RtspConfig::default()
    };
    let server = Server::start(config).await;
    let track = server.track(7, &clip.parameters);
    track.push(noise(&units[0], 1_000));
    let mut stalled = Client::connect_narrow(server.addr).await;
    stalled.play(&server.url(7)).await;
    let mut reader = Client::connect(server.addr).await;
    reader.play(&server.url(7)).await;

    // 20 MB, more than the sockets of the stalled reader hold.
    let mut sequence = None;
    for (number, unit) in units[..200].iter().enumerate() {
        if number > 0 {
            assert!(track.push(noise(unit, 100_000)));
        }
        for packet in reader.access_unit().await.unwrap() {
            let next = sequence.get_or_insert(packet.sequence());
            assert_eq!(packet.sequence(), *next, "unit {number}");
            *next = next.wrapping_add(1);
        }
    }
    // Its place becomes free although it has not read a byte.
    Client::connect_when_there_is_room(server.addr).await;
    let mut units_got = 0;
    while stalled.access_unit().await.is_some() {
        units_got += 1;
    }
    assert!(
        units_got < 199,
        "the stalled reader was cut off, after {units_got} units"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_stops_reading_holds_up_no_end() {
    let clip = encode(spec()).await;
    let units = video(&clip);
    let mut server = Server::start(RtspConfig {
        write_timeout: Duration::from_secs(600),
        ..RtspConfig::default()
    })
    .await;
    let track = server.track(7, &clip.parameters);
    track.push(noise(&units[0], 1_000));
    let mut stalled = Vec::new();
    for _ in 0..2 {
        let mut client = Client::connect_narrow(server.addr).await;
        client.play(&server.url(7)).await;
        client.access_unit().await.unwrap();
        stalled.push(client);
    }
    // More than any socket takes: who has got a part of it is waited for.
    track.push(noise(&units[1], 12 << 20));
    for client in &mut stalled {
        client.rtp(0).await.unwrap();
    }
    let ended = async {
        let first = server.sessions.list(|_| true)[0].id;
        server.sessions.end(first, SessionEnd::Ended);
        while server.sessions.list(|_| true).len() > 1 {
            tokio::task::yield_now().await;
        }
        server.stop.cancel();
        server.tasks.join_next().await.unwrap().unwrap();
    };
    let ended = tokio::time::timeout(Duration::from_secs(10), ended).await;
    assert!(ended.is_ok(), "still waited for");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_lags_goes_on_at_a_key_frame() {
    let clip = encode(spec()).await;
    let units = video(&clip);
    let server = Server::start(RtspConfig::default()).await;
    let track = server.track(7, &clip.parameters);
    track.push(noise(&units[0], 1_000));
    let mut slow = Client::connect_narrow(server.addr).await;
    slow.play(&server.url(7)).await;
    let mut reader = Client::connect(server.addr).await;
    reader.play(&server.url(7)).await;
    reader.access_unit().await.unwrap();
    for unit in &units[1..230] {
        track.push(noise(unit, 100_000));
        reader.access_unit().await.unwrap();
    }
    // Now it reads, and gets what its sockets held; then, after a hole, a key frame and all the rest.
    let mut last: Option<Packet> = None;
    let mut holes = Vec::new();
    let end = u32::try_from(units[229].pts.ticks - units[0].pts.ticks).unwrap();
    let mut first = None;
    loop {
        let packet = slow.rtp(0).await.unwrap();
        let first = *first.get_or_insert(packet.timestamp());
        if let Some(last) = &last
            && packet.sequence() != last.sequence().wrapping_add(1)
        {
            holes.push(nal_type(&packet));
        }
        let is_end = packet.timestamp().wrapping_sub(first) == end && packet.is_marked();
        last = Some(packet);
        if is_end {
            break;
        }
    }
    assert_eq!(holes, [SPS], "one hole, and a key frame behind it");
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_may_change_in_mid_stream() {
    let first_spec = ClipSpec {
        frames: 50,
        ..spec()
    };
    let second_spec = ClipSpec {
        width: 640,
        height: 480,
        frames: 50,
        ..spec()
    };
    let (first, second) = (
        encode(first_spec.clone()).await,
        encode(second_spec.clone()).await,
    );
    let shift = first.duration.ticks;
    let server = Server::start(RtspConfig::default()).await;
    let track = server.track(7, &first.parameters);
    let (first_units, second_units) = (video(&first), video(&second));
    track.push(first_units[0].clone());

    let input = VideoInput::new(server.url(7))
        .option("-rtsp_transport", "tcp")
        .max_frames(90);
    let mut playing = tokio::task::JoinSet::new();
    playing.spawn_blocking(move || input.read_stamps());
    let mut watcher = Client::connect(server.addr).await;
    watcher.play(&server.url(7)).await;
    let mut feeding = tokio::task::JoinSet::new();
    feeding.spawn(async move {
        crate::support::pace(&track, &first_units[1..]).await;
        track.set_parameters(Arc::new(second.parameters.clone()));
        let mut units = second_units;
        for unit in &mut units {
            unit.pts.ticks += shift;
            unit.dts.ticks += shift;
            unit.wall = unit.wall.plus_micros(2_000_000);
        }
        crate::support::pace(&track, &units).await;
    });

    let mut times = Vec::new();
    let mut next = None;
    while times.len() < 100 {
        let packets = watcher.access_unit().await.unwrap();
        for packet in &packets {
            assert_eq!(packet.sequence(), *next.get_or_insert(packet.sequence()));
            next = Some(packet.sequence().wrapping_add(1));
        }
        times.push(packets[0].timestamp());
    }
    assert!(
        times
            .windows(2)
            .all(|pair| pair[1].wrapping_sub(pair[0]) == 3_600)
    );
    let stamps = playing.join_next().await.unwrap().unwrap().unwrap();
    let frames: Vec<_> = stamps.iter().map(|stamp| stamp.frame).collect();
    let expected: Vec<_> = (0..50).chain(0..40).collect();
    assert_eq!(frames, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn times_and_numbers_go_on_when_the_camera_comes_back() {
    let clip = encode(spec()).await;
    let units = video(&clip);
    let server = Server::start(RtspConfig::default()).await;
    let track = server.track(7, &clip.parameters);
    let mut client = Client::connect(server.addr).await;
    track.push(units[0].clone());
    client.play(&server.url(7)).await;
    track.push(units[1].clone());
    let before: Vec<_> = [
        client.access_unit().await.unwrap(),
        client.access_unit().await.unwrap(),
    ]
    .concat();
    track.end_run(EndReason::CameraLost);
    track.begin_run(run_id(2), Arc::new(clip.parameters.clone()));
    // Media time begins anew; three seconds have passed since the second picture.
    let mut key = units[0].clone();
    key.wall = units[1].wall.plus_micros(3_000_000);
    track.push(key);
    let after = client.access_unit().await.unwrap();
    let last = before.last().unwrap();
    assert_eq!(after[0].sequence(), last.sequence().wrapping_add(1));
    assert_eq!(after[0].timestamp().wrapping_sub(last.timestamp()), 270_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_is_sent_away_when_tracks_come_or_go() {
    let audio = Some(AudioCodec::Pcma);
    let clip = encode(ClipSpec { audio, ..spec() }).await;
    let silent = encode(spec()).await;
    let server = Server::start(RtspConfig::default()).await;
    let track = server.track(7, &clip.parameters);
    track.push(video(&clip)[0].clone());
    let mut client = Client::connect(server.addr).await;
    client.play(&server.url(7)).await;
    client.access_unit().await.unwrap();
    track.begin_run(run_id(2), Arc::new(silent.parameters.clone()));
    track.push(video(&silent)[0].clone());
    assert!(client.access_unit().await.is_none(), "the connection ends");
    let mut again = Client::connect(server.addr).await;
    again.play(&server.url(7)).await;
    assert!(again.access_unit().await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn audio_alone_reaches_a_reader() {
    let audio = Some(AudioCodec::Pcma);
    let clip = encode(ClipSpec { audio, ..spec() }).await;
    let server = Server::start(RtspConfig::default()).await;
    let track = server.track(7, &clip.parameters);
    track.push(video(&clip)[0].clone());
    let mut client = Client::connect(server.addr).await;
    client.play(&server.url(7)).await;
    let only_audio = server.url(7).replace('?', "/track1?");
    let mut listener = Client::connect(server.addr).await;
    let transport = ["Transport: RTP/AVP/TCP;unicast;interleaved=0-1"];
    assert_eq!(
        listener
            .request("SETUP", &only_audio, &transport)
            .await
            .status,
        200
    );
    assert_eq!(
        listener.request("PLAY", &server.url(7), &[]).await.status,
        200
    );
    let sound: Vec<_> = clip
        .units
        .iter()
        .filter(|u| u.track == TrackKind::Audio)
        .take(20)
        .collect();
    for unit in &sound {
        track.push((*unit).clone());
    }
    // A video frame takes along whatever audio still waits.
    track.push(video(&clip)[1].clone());
    for unit in sound {
        let packet = listener.rtp(0).await.unwrap();
        assert_eq!(packet.payload(), &unit.data[..]);
        assert_eq!(packet.data[1] & 0x7f, 8);
    }
}
