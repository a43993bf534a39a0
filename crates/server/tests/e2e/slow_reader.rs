//! Readers that stop reading.

use crate::cameras;
use crate::server::Server;
use crate::site::{acc, create_channel, wait_for_records, wait_for_status};
use crate::tools::{assert_consecutive, stamps_of};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An RTSP client that plays and then never reads again, and an HTTP client that asks for a clip and
/// never takes it: ingest, recording and the other readers must not notice.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_stops_reading_slows_nobody() {
    let server = Server::start().await;
    let camera = cameras::h264_fat().await;
    let channel = create_channel(&server, "gate", &camera).await;
    wait_for_status(&server, &channel, "active").await;
    let first = wait_for_records(&server, &channel, 1).await;
    let api = acc(&server, &channel);
    let urls = api.get("/api/v4/live/watch/").await.expect(200);
    let rtsp = urls["rtsp"].as_str().expect("a URL");

    let mut stuck = Vec::new();
    for _ in 0..5 {
        stuck.push(play_and_stall(rtsp, server.rtsp()).await);
    }
    let record = first[0]["url"].as_str().expect("a URL");
    let mut http = TcpStream::connect(server.base().trim_start_matches("http://"))
        .await
        .expect("connected");
    let path = record.strip_prefix(&server.base()).expect("an own URL");
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n",
        server.base().trim_start_matches("http://")
    );
    http.write_all(request.as_bytes()).await.expect("sent");

    let stamps = stamps_of(rtsp, &[("-rtsp_transport", "tcp")], 60).await;
    assert_consecutive(&stamps);
    wait_for_records(&server, &channel, 4).await;
    let start = first[0]["start"].as_str().expect("a time");
    let records = api
        .get(&format!(
            "/api/v4/storage/records/?start={start}&limit=1000"
        ))
        .await
        .expect(200);
    let mut recorded = Vec::new();
    for record in records["objects"].as_array().expect("a list") {
        let answer = server
            .api("")
            .get(record["url"].as_str().expect("a URL"))
            .await;
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), &answer.body).expect("written");
        recorded.extend(stamps_of(file.path().to_str().expect("UTF-8"), &[], 100_000).await);
    }
    assert_consecutive(&recorded);
    drop(stuck);
}

/// Plays over raw RTSP, reads the answers, then stops reading.
async fn play_and_stall(url: &str, address: std::net::SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    let session = ask(&mut stream, &format!("SETUP {url} RTSP/1.0\r\nCSeq: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n")).await;
    let session = session
        .lines()
        .find_map(|line| line.strip_prefix("Session: "))
        .unwrap_or_else(|| panic!("no session in {session}"))
        .split(';')
        .next()
        .expect("a session id")
        .to_owned();
    let play = format!("PLAY {url} RTSP/1.0\r\nCSeq: 2\r\nSession: {session}\r\n\r\n");
    let answer = ask(&mut stream, &play).await;
    assert!(answer.starts_with("RTSP/1.0 200"), "{answer}");
    stream
}

async fn ask(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
        let byte = stream.read_u8().await.expect("an answer");
        answer.push(byte);
    }
    String::from_utf8_lossy(&answer).into_owned()
}
