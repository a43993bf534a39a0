//! Strangers, floods and shutdown.

use crate::client::Client;
use crate::support::{Server, encode, spec};
use framewell_streaming::rtsp::RtspConfig;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

#[tokio::test(flavor = "multi_thread")]
async fn garbage_ends_its_own_connection_only() {
    let clip = encode(spec()).await;
    let mut server = Server::start(RtspConfig::default()).await;
    server.feed(7, &clip);
    let mut reader = Client::connect(server.addr).await;
    reader.play(&server.url(7)).await;
    let endless = [
        b"OPTIONS * RTSP/1.0\r\nX: ".as_slice(),
        &vec![b'x'; 40 << 10],
    ]
    .concat();
    for bytes in [
        b"\xff\xfe\x00 nonsense\r\n\r\n".as_slice(),
        b"GET / HTTP/1.1\r\nHost: example\r\n\r\n",
        b"DESCRIBE :: RTSP/1.0\r\nCSeq: 1\r\n\r\n",
        b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: -5\r\n\r\n",
        b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 18446744073709551615\r\n\r\n",
        &endless,
    ] {
        let mut stranger = Client::connect(server.addr).await;
        stranger.send(bytes).await;
        let answer = stranger.answer().await;
        assert!(answer.is_none_or(|answer| answer.status == 400));
        while stranger.fill().await {}
    }
    for _ in 0..30 {
        assert!(reader.access_unit().await.is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_finishes_a_request_is_closed() {
    let config = RtspConfig {
        idle: Duration::from_millis(300),
        ..RtspConfig::default()
    };
    let server = Server::start(config).await;
    let mut silent = Client::connect(server.addr).await;
    let mut drip = Client::connect(server.addr).await;
    drip.send(b"OPTIONS * RTSP/1.0\r\nCSeq").await;
    assert!(!silent.fill().await);
    assert!(!drip.fill().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_cannot_hold_a_place_by_asking_again_and_again() {
    let config = RtspConfig {
        idle: Duration::from_millis(300),
        ..RtspConfig::default()
    };
    let server = Server::start(config).await;
    let mut stranger = Client::connect(server.addr).await;
    let asking = async {
        let request = b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n";
        while stranger.stream.write_all(request).await.is_ok() {
            if stranger.answer().await.is_none() {
                break;
            }
        }
    };
    let closed = tokio::time::timeout(Duration::from_secs(10), asking).await;
    assert!(closed.is_ok(), "still served");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_too_many_is_told_so() {
    let config = RtspConfig {
        max_connections: 2,
        stranger_share_percent: 100,
        ..RtspConfig::default()
    };
    let server = Server::start(config).await;
    let mut first = Client::connect(server.addr).await;
    let mut second = Client::connect(server.addr).await;
    assert_eq!(first.request("OPTIONS", "*", &[]).await.status, 200);
    assert_eq!(second.request("OPTIONS", "*", &[]).await.status, 200);
    let mut third = Client::connect(server.addr).await;
    assert_eq!(third.answer().await.unwrap().status, 503);
    assert!(!third.fill().await);
    drop(first);
    Client::connect_when_there_is_room(server.addr).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_of_one_address_leave_room_for_others() {
    let clip = encode(spec()).await;
    let config = RtspConfig {
        max_connections: 8,
        stranger_share_percent: 25,
        ..RtspConfig::default()
    };
    let mut server = Server::start(config).await;
    server.feed(7, &clip);
    let mut first = Client::connect(server.addr).await;
    let mut second = Client::connect(server.addr).await;
    assert_eq!(first.request("OPTIONS", "*", &[]).await.status, 200);
    assert_eq!(second.request("OPTIONS", "*", &[]).await.status, 200);
    let mut third = Client::connect(server.addr).await;
    assert_eq!(third.answer().await.unwrap().status, 503);
    // Who has shown a ticket is no stranger.
    first.play(&server.url(7)).await;
    let mut fourth = Client::connect(server.addr).await;
    assert_eq!(fourth.request("OPTIONS", "*", &[]).await.status, 200);
    let mut fifth = Client::connect(server.addr).await;
    assert_eq!(fifth.answer().await.unwrap().status, 503);
    assert!(first.access_unit().await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_ends_with_readers_on_it() {
    let clip = encode(spec()).await;
    let mut server = Server::start(RtspConfig::default()).await;
    let track = server.track(7, &clip.parameters);
    track.push(clip.units[0].clone());
    let mut reader = Client::connect(server.addr).await;
    reader.play(&server.url(7)).await;
    server.stop.cancel();
    server.tasks.join_next().await.unwrap().unwrap();
    while reader.fill().await {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_lasts_as_long_as_its_client_is_told() {
    let clip = encode(spec()).await;
    let config = RtspConfig {
        idle: Duration::from_secs(600),
        session_timeout: Duration::from_secs(1),
        ..RtspConfig::default()
    };
    let mut server = Server::start(config).await;
    server.feed(7, &clip);
    let url = server.url(7);
    for is_paused in [false, true] {
        let mut client = Client::connect(server.addr).await;
        client.set_up(&url).await;
        if is_paused {
            let answer = client.request("PLAY", &url, &[]).await;
            assert!(answer.headers["session"].ends_with(";timeout=1"));
            assert_eq!(client.request("PAUSE", &url, &[]).await.status, 200);
        }
        assert!(client.answer().await.is_none(), "the connection ends");
    }
}
