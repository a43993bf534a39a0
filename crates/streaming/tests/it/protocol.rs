//! Requests and answers.

use crate::client::Client;
use crate::support::{Server, channel, encode, spec};
use framewell_live::EndReason;
use framewell_media::AudioCodec;
use framewell_streaming::rtsp::RtspConfig;
use framewell_testkit::encode::ClipSpec;

async fn live_server() -> Server {
    let audio = Some(AudioCodec::Aac);
    let clip = encode(ClipSpec { audio, ..spec() }).await;
    let mut server = Server::start(RtspConfig::default()).await;
    server.feed(7, &clip);
    server
}

const TCP: [&str; 1] = ["Transport: RTP/AVP/TCP;unicast"];

#[tokio::test(flavor = "multi_thread")]
async fn a_url_without_a_good_ticket_is_unauthorized() {
    let server = live_server().await;
    let mut client = Client::connect(server.addr).await;
    let base = format!("rtsp://{}/live/7", server.addr);
    for url in [
        base.clone(),
        format!("{base}?ticket="),
        format!("{base}?ticket=media.bm8.1.x"),
        format!("{base}?ticket={}", server.ticket(8)),
        format!("{base}?ticket={}", server.expired_ticket(7)),
    ] {
        for method in ["DESCRIBE", "SETUP"] {
            let answer = client.request(method, &url, &TCP).await;
            assert_eq!(answer.status, 401, "{method} {url}");
            assert!(answer.headers.contains_key("www-authenticate"));
            assert!(answer.body.is_empty());
        }
    }
    // The connection is as good as before.
    assert_eq!(
        client.request("DESCRIBE", &server.url(7), &[]).await.status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_does_not_exist_is_not_found() {
    let server = live_server().await;
    let mut client = Client::connect(server.addr).await;
    assert_eq!(
        client.request("DESCRIBE", &server.url(9), &[]).await.status,
        404
    );
    let other = format!("rtsp://{}/vod/7?ticket={}", server.addr, server.ticket(7));
    assert_eq!(client.request("DESCRIBE", &other, &[]).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_does_not_stream_is_unavailable() {
    let clip = encode(spec()).await;
    let server = Server::start(RtspConfig::default()).await;
    let mut client = Client::connect(server.addr).await;
    // Never streamed.
    let track = server.registry.track(channel(7));
    assert_eq!(
        client.request("DESCRIBE", &server.url(7), &[]).await.status,
        503
    );
    // Streamed once.
    server.track(7, &clip.parameters);
    track.push(clip.units[0].clone());
    assert_eq!(
        client.request("DESCRIBE", &server.url(7), &[]).await.status,
        200
    );
    track.end_run(EndReason::CameraLost);
    assert_eq!(
        client.request("DESCRIBE", &server.url(7), &[]).await.status,
        503
    );
    assert_eq!(
        client.request("SETUP", &server.url(7), &TCP).await.status,
        503
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_names_codecs_parameter_sets_and_absolute_controls() {
    let server = live_server().await;
    let mut client = Client::connect(server.addr).await;
    let answer = client
        .request("DESCRIBE", &server.url(7), &["Accept: application/sdp"])
        .await;
    assert_eq!(answer.headers["content-type"], "application/sdp");
    assert_eq!(answer.headers["content-base"], server.url(7));
    let ticket = server.ticket(7);
    for line in [
        "a=rtpmap:96 H264/90000",
        "packetization-mode=1;profile-level-id=",
        "sprop-parameter-sets=",
        "a=rtpmap:97 MPEG4-GENERIC/48000/",
        "mode=AAC-hbr",
        &format!(
            "a=control:rtsp://{}/live/7/track0?ticket={ticket}",
            server.addr
        ),
        &format!(
            "a=control:rtsp://{}/live/7/track1?ticket={ticket}",
            server.addr
        ),
    ] {
        assert!(answer.body.contains(line), "{line} in {}", answer.body);
    }
    let html = client
        .request("DESCRIBE", &server.url(7), &["Accept: text/html"])
        .await;
    assert_eq!(html.status, 406);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_goes_from_options_to_teardown() {
    let server = live_server().await;
    let (url, mut client) = (server.url(7), Client::connect(server.addr).await);
    let options = client.request("OPTIONS", "*", &[]).await;
    assert!(options.headers["public"].contains("GET_PARAMETER"));
    assert_eq!(client.request("PLAY", &url, &[]).await.status, 455);
    let udp = ["Transport: RTP/AVP;multicast;port=5000-5001"];
    let track = |n: u8| url.replace('?', &format!("/track{n}?"));
    assert_eq!(client.request("SETUP", &track(0), &udp).await.status, 461);
    let video = client
        .request(
            "SETUP",
            &track(0),
            &["Transport: RTP/AVP/TCP;unicast;interleaved=4-5"],
        )
        .await;
    assert_eq!(
        video.headers["transport"],
        "RTP/AVP/TCP;unicast;interleaved=4-5"
    );
    let taken = ["Transport: RTP/AVP/TCP;unicast;interleaved=5-6"];
    assert_eq!(client.request("SETUP", &track(1), &taken).await.status, 461);
    let audio = client
        .request(
            "SETUP",
            &track(1),
            &["Transport: RTP/AVP/TCP;unicast;interleaved=0-1"],
        )
        .await;
    assert_eq!(audio.status, 200);

    let play = client.request("PLAY", &url, &[]).await;
    assert_eq!(play.headers["range"], "npt=now-");
    let info = &play.headers["rtp-info"];
    let first = client.rtp(4).await.unwrap();
    let expected = format!(
        "url={};seq={};rtptime={}",
        track(0),
        first.sequence(),
        first.timestamp()
    );
    assert!(info.starts_with(&expected), "{info} begins with {expected}");
    let sound = client.rtp(0).await.unwrap();
    assert!(
        info.contains(&format!("seq={};", sound.sequence())),
        "{info} {}",
        sound.sequence()
    );

    assert_eq!(client.request("GET_PARAMETER", &url, &[]).await.status, 200);
    assert_eq!(client.request("SETUP", &track(0), &TCP).await.status, 455);
    assert_eq!(client.request("PAUSE", &url, &[]).await.status, 200);
    assert_eq!(client.request("PLAY", &url, &[]).await.status, 200);
    assert!(client.rtp(4).await.is_some());
    assert_eq!(client.request("TEARDOWN", &url, &[]).await.status, 200);
    assert_eq!(client.request("PLAY", &url, &[]).await.status, 454);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_served_has_its_own_status() {
    let server = live_server().await;
    let (url, mut client) = (server.url(7), Client::connect(server.addr).await);
    for (method, headers, status) in [
        ("FETCH", vec![], 501),
        ("OPTIONS", vec!["Require: org.example.backchannel"], 551),
        ("SETUP", vec!["Transport: garbage;mode=\"", "X: y"], 461),
        (
            "SETUP",
            vec!["Transport: RTP/AVP/TCP;dest_addr=\"\\\""],
            200,
        ),
    ] {
        let answer = client.request(method, &url, &headers).await;
        assert_eq!(answer.status, status, "{method} {headers:?}");
    }
    client.send(b"OPTIONS * RTSP/1.0\r\n\r\n").await;
    assert_eq!(client.answer().await.unwrap().status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_another_connection_is_not_found() {
    let server = live_server().await;
    let (mut one, mut other) = (
        Client::connect(server.addr).await,
        Client::connect(server.addr).await,
    );
    let session = one.request("SETUP", &server.url(7), &TCP).await.headers["session"].clone();
    let header = format!("Session: {session}");
    assert_eq!(
        other
            .request("PLAY", &server.url(7), &[&header])
            .await
            .status,
        454
    );
    assert_eq!(
        other
            .request("TEARDOWN", &server.url(7), &[&header])
            .await
            .status,
        454
    );
    assert_eq!(one.request("PLAY", &server.url(7), &[]).await.status, 200);
}
