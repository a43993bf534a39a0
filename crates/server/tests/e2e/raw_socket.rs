//! Who gets a place at the socket of raw pictures.

use crate::server::Server;
use crate::site::create_channel_from;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

/// Sends what it has to say, and reads the first line of the answer. The descriptor that comes with a ring
/// is dropped: the pictures are looked at by the tests of the Python client.
async fn ask(socket: &Path, request: &Value) -> (BufReader<UnixStream>, Value) {
    let mut stream = UnixStream::connect(socket).await.expect("connected");
    let line = format!("{request}\n");
    stream.write_all(line.as_bytes()).await.expect("sent");
    answer(BufReader::new(stream)).await
}

async fn answer(mut stream: BufReader<UnixStream>) -> (BufReader<UnixStream>, Value) {
    let mut line = String::new();
    let reading = tokio::time::timeout(Duration::from_secs(20), stream.read_line(&mut line));
    reading.await.expect("in time").expect("a line");
    let answer = serde_json::from_str(&line).expect("JSON");
    (stream, answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_say_nothing_keep_no_reader_out() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let socket = folder.path().join("raw.sock");
    let server = Server::start_with(&format!("[raw]\nsocket = {socket:?}\nmax_readers = 1")).await;
    // A camera that never comes: a ring is made before the first picture.
    let source = json!({"url": "rtsp://127.0.0.1:9/none"});
    let channel = create_channel_from(&server, "gate", &source).await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(UnixStream::connect(&socket).await.expect("connected"));
    }
    let request = json!({"token": channel.watch, "channels": [channel.id], "format": "nv12", "width": 64, "height": 36});
    let (reader, ring) = ask(&socket, &request).await;
    assert_eq!(ring["ring"]["layout"]["width"], 64, "{ring}");
    // The oldest of the silent ones was told to go.
    let (_, gone) = answer(BufReader::new(silent.remove(0))).await;
    assert_eq!(gone["error"]["code"], "resource_exhausted", "{gone}");
    // Places are for readers: the second one is told that there is one place, and a stranger gets none.
    let (_, full) = ask(&socket, &request).await;
    assert_eq!(full["error"]["message"], "all 1 readers are in use");
    let (_, stranger) = ask(&socket, &json!({"token": "x", "format": "nv12"})).await;
    assert_eq!(stranger["error"]["code"], "unauthenticated", "{stranger}");
    drop(reader);
    let again = async {
        while ask(&socket, &request).await.1["ring"].is_null() {
            tokio::task::yield_now().await;
        }
    };
    let limit = Duration::from_secs(20);
    tokio::time::timeout(limit, again).await.expect("a place");
}
