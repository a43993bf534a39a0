//! Readers that stop reading.

use crate::cameras;
use crate::server::Server;
use crate::site::{acc, create_channel, wait_for_records, wait_for_status};
use crate::tools::{assert_consecutive, stamps_of};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// RTSP clients that play and then never read again, and HTTP clients that ask for more live HLS
/// segments and records than any buffer holds and take none: ingest, recording and the other readers
/// must not notice.
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
    let segment = live_segment(&server, urls["hls"].as_str().expect("a URL")).await;
    stuck.push(ask_and_stall(&server, record).await);
    stuck.push(ask_and_stall(&server, &segment).await);

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

/// The oldest segment in a live playlist.
async fn live_segment(server: &Server, multivariant: &str) -> String {
    let media = multivariant.replace("index.m3u8", "media.m3u8");
    let playlist = server.api("").get(&media).await;
    let playlist = String::from_utf8_lossy(&playlist.body).into_owned();
    let segment = playlist.lines().find(|line| line.starts_with("seg-"));
    let (folder, _) = media.rsplit_once("media.m3u8").expect("the playlist's URL");
    format!(
        "{folder}{}",
        segment.unwrap_or_else(|| panic!("no segment in {playlist}"))
    )
}

/// Asks for `url` again and again on one connection (RFC 9112 section 9.3.2) and reads nothing, so
/// that the server cannot write any more.
async fn ask_and_stall(server: &Server, url: &str) -> TcpStream {
    let (base, host) = (server.base(), server.base().replace("http://", ""));
    let path = url.strip_prefix(&base).expect("an own URL");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let mut stream = TcpStream::connect(&host).await.expect("connected");
    // 100 answers of some 100 KB are more than both sockets' buffers.
    stream
        .write_all(request.repeat(100).as_bytes())
        .await
        .expect("sent");
    stream
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
