//! Publishers, request by request.

use crate::client::Client;
use crate::support::Server;
use framewell_streaming::rtsp::RtspConfig;

const DESCRIPTION: &str = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n\
    a=rtpmap:96 H264/90000\r\na=control:track0\r\n";

/// Announces, and sets up the video.
async fn announce(server: &Server, url: &str) -> Client {
    let mut client = Client::connect(server.addr).await;
    let length = DESCRIPTION.len();
    let head = format!(
        "ANNOUNCE {url} RTSP/1.0\r\nCSeq: 1\r\nContent-Type: application/sdp\r\nContent-Length: {length}\r\n\r\n"
    );
    client.send(format!("{head}{DESCRIPTION}").as_bytes()).await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    let transport = ["Transport: RTP/AVP/TCP;unicast;interleaved=0-1;mode=record"];
    let track = format!("{url}/track0");
    let answer = client.request("SETUP", &track, &transport).await;
    assert_eq!(answer.status, 200);
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_record_changes_nothing_and_a_refused_one_may_be_asked_again() {
    let server = Server::start(RtspConfig::default()).await;
    let url = server.publish_url(7);
    let mut first = announce(&server, &url).await;
    for _ in 0..2 {
        assert_eq!(first.request("RECORD", &url, &[]).await.status, 200);
    }
    let mut second = announce(&server, &url).await;
    for _ in 0..2 {
        assert_eq!(second.request("RECORD", &url, &[]).await.status, 455);
    }
    assert_eq!(first.request("TEARDOWN", &url, &[]).await.status, 200);
    assert_eq!(second.request("RECORD", &url, &[]).await.status, 200);
    assert_eq!(second.request("TEARDOWN", &url, &[]).await.status, 200);
}
