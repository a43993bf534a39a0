//! UDP: live and recorded, and who is taken to be gone.

use crate::client::Client;
use crate::support::{Server, encode, run_id, spec};
use framewell_media::AudioCodec;
use framewell_streaming::rtsp::RtspConfig;
use framewell_testkit::encode::ClipSpec;
use framewell_testkit::stamp::VideoInput;
use std::time::Duration;
use tokio::net::UdpSocket;

const UDP: (&str, &str) = ("-rtsp_transport", "udp");

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_plays_live_over_udp() {
    let audio = Some(AudioCodec::Aac);
    let spec = ClipSpec { audio, ..spec() };
    let clip = encode(spec.clone()).await;
    let mut server = Server::start(RtspConfig::default()).await;
    server.feed(7, &clip);
    let input = VideoInput::new(server.url(7))
        .option(UDP.0, UDP.1)
        .max_frames(40);
    let playing = tokio::task::spawn_blocking(move || input.read_stamps());
    let stamps = playing.await.unwrap().unwrap();
    for (stamp, number) in stamps.iter().zip(stamps[0].frame..) {
        assert_eq!(*stamp, spec.stamp(number));
    }
    assert_eq!(stamps.len(), 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_plays_a_recording_over_udp_up_to_its_end() {
    let spec = ClipSpec {
        frames: 75,
        ..spec()
    };
    let server = Server::start(RtspConfig::default()).await;
    server.record(7, run_id(1), &encode(spec.clone()).await);
    let input = VideoInput::new(server.recorded_url(7, "")).option(UDP.0, UDP.1);
    let playing = tokio::task::spawn_blocking(move || input.read_stamps());
    let stamps = playing.await.unwrap().unwrap();
    let expected: Vec<_> = (0..75).map(|number| spec.stamp(number)).collect();
    assert_eq!(stamps, expected);
}

/// An even port with its neighbour, and sockets on them.
async fn port_pair() -> (UdpSocket, UdpSocket, String) {
    loop {
        let rtp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = rtp.local_addr().unwrap().port();
        if let Ok(rtcp) = UdpSocket::bind(("127.0.0.1", port.saturating_add(1))).await {
            let next = port + 1;
            let transport = format!("Transport: RTP/AVP;unicast;client_port={port}-{next}");
            return (rtp, rtcp, transport);
        }
    }
}

async fn receive(socket: &UdpSocket) -> Option<Vec<u8>> {
    let mut packet = vec![0; 2_000];
    let received = tokio::time::timeout(Duration::from_secs(10), socket.recv(&mut packet)).await;
    packet.truncate(received.ok()?.unwrap());
    Some(packet)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_signs_of_life_is_given_up_and_reports_are_signs() {
    let clip = encode(spec()).await;
    let config = RtspConfig {
        session_timeout: Duration::from_secs(1),
        ..RtspConfig::default()
    };
    let mut server = Server::start(config).await;
    server.feed(7, &clip);
    let url = server.url(7);
    for has_reports in [true, false] {
        let (rtp, rtcp, transport) = port_pair().await;
        let mut client = Client::connect(server.addr).await;
        let track = url.replace('?', "/track0?");
        assert_eq!(client.request("DESCRIBE", &url, &[]).await.status, 200);
        let answer = client.request("SETUP", &track, &[&transport]).await;
        let chosen = &answer.headers["transport"];
        let (_, ports) = chosen.split_once("server_port=").unwrap();
        let (data, control) = ports.split_once('-').unwrap();
        let (data, control): (u16, u16) = (data.parse().unwrap(), control.parse().unwrap());
        assert_eq!((data % 2, control), (0, data + 1));
        assert_eq!(client.request("PLAY", &url, &[]).await.status, 200);
        let packet = receive(&rtp).await.unwrap();
        assert_eq!(packet[0], 0x80);
        assert_eq!(receive(&rtcp).await.unwrap()[1], 200);
        if has_reports {
            // Pictures come for longer than the time-out; an empty receiver report with each packet.
            let time_of = |packet: &[u8]| u32::from_be_bytes(packet[4..8].try_into().unwrap());
            let begun = time_of(&packet);
            let mut newest = begun;
            while newest.wrapping_sub(begun) < 5 * 90_000 / 2 {
                let report = [0x80, 201, 0, 1, 0, 0, 0, 7];
                rtcp.send_to(&report, ("127.0.0.1", control)).await.unwrap();
                newest = time_of(&receive(&rtp).await.expect("pictures go on"));
            }
            assert_eq!(client.request("GET_PARAMETER", &url, &[]).await.status, 200);
        } else {
            assert!(client.packet().await.is_none(), "the connection ends");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_go_to_the_address_of_the_requests_whatever_is_asked() {
    let clip = encode(spec()).await;
    let mut server = Server::start(RtspConfig::default()).await;
    server.feed(7, &clip);
    let (url, (rtp, _rtcp, transport)) = (server.url(7), port_pair().await);
    let mut client = Client::connect(server.addr).await;
    let transport = format!("{transport};destination=127.0.0.9");
    let track = url.replace('?', "/track0?");
    let answer = client.request("SETUP", &track, &[&transport]).await;
    assert!(!answer.headers["transport"].contains("destination"));
    assert_eq!(client.request("PLAY", &url, &[]).await.status, 200);
    assert!(receive(&rtp).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_are_one_sessions_until_it_sets_up_others() {
    let clip = encode(spec()).await;
    let mut server = Server::start(RtspConfig::default()).await;
    server.feed(7, &clip);
    let track = server.url(7).replace('?', "/track0?");
    let mut owner = Client::connect(server.addr).await;
    let mut other = Client::connect(server.addr).await;
    // The test's own: nothing is sent before PLAY.
    let ports = |rtp: u16| {
        let rtcp = rtp + 1;
        format!("Transport: RTP/AVP;unicast;client_port={rtp}-{rtcp}")
    };
    let (one, two) = (ports(5_000), ports(5_002));
    for transport in [&one, &two, &two] {
        assert_eq!(
            owner.request("SETUP", &track, &[transport]).await.status,
            200
        );
    }
    assert_eq!(other.request("SETUP", &track, &[&two]).await.status, 461);
    assert_eq!(other.request("SETUP", &track, &[&one]).await.status, 200);
    // What is refused does not undo what was set up.
    assert_eq!(other.request("SETUP", &track, &[&two]).await.status, 461);
    assert_eq!(owner.request("SETUP", &track, &[&one]).await.status, 461);
    assert_eq!(other.request("TEARDOWN", &track, &[]).await.status, 200);
    assert_eq!(owner.request("SETUP", &track, &[&one]).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_is_not_sent_over_udp_without_a_pace() {
    let server = Server::start(RtspConfig::default()).await;
    server.record(7, run_id(1), &encode(spec()).await);
    let url = server.recorded_url(7, "");
    let track = url.replace('?', "/track0?");
    let (rtp, _rtcp, transport) = port_pair().await;
    let mut client = Client::connect(server.addr).await;
    let answer = client.request("SETUP", &track, &[&transport]).await;
    assert_eq!(answer.status, 200);
    let unpaced = ["Rate-Control: no"];
    assert_eq!(client.request("PLAY", &url, &unpaced).await.status, 461);
    assert_eq!(client.request("PLAY", &url, &[]).await.status, 200);
    assert!(receive(&rtp).await.is_some());
    // Nor while it plays.
    assert_eq!(client.request("PLAY", &url, &unpaced).await.status, 461);
    // What a session over the connection was played like is over with it.
    assert_eq!(client.request("TEARDOWN", &url, &[]).await.status, 200);
    let mut client = Client::connect(server.addr).await;
    client.set_up(&url).await;
    assert_eq!(client.request("PLAY", &url, &unpaced).await.status, 200);
    assert_eq!(client.request("TEARDOWN", &url, &[]).await.status, 200);
    client.session = None;
    let (_rtp, _rtcp, transport) = port_pair().await;
    let answer = client.request("SETUP", &track, &[&transport]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(client.request("PLAY", &url, &[]).await.status, 200);
}
