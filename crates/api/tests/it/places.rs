//! Shares: a token that opens too many pushes, batches or streams leaves room for the others.

use crate::site::{Answer, Site, TestChannel, inner};
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use framewell_access::places::{Occupation, Places};
use framewell_api::ApiConfig;
use futures::stream;
use std::convert::Infallible;
use std::time::Duration;
use tokio_tungstenite::tungstenite::Error;

const STREAM: &str = "/v1/events/stream";
const LIMIT: Duration = Duration::from_secs(30);

/// An answer that goes on; its place is held until it is dropped.
async fn open(site: &Site, authorization: &str, uri: &str) -> Response {
    let response = site.open(authorization, uri, &[]).await;
    assert_eq!(response.status().as_u16(), 200, "{response:?}");
    response
}

fn assert_refused(answer: &Answer, status: u16, limit: usize) {
    let error = answer.expect(status)["error"].clone();
    assert_eq!(error["limit"], limit, "{error}");
    let seconds: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..10).contains(&seconds));
}

/// Three places, of which one token may have two.
async fn three_places(site: &Site, kind: &str, [a, b]: [(&str, &str); 2]) {
    let first = open(site, a.0, a.1).await;
    let _second = open(site, a.0, a.1).await;
    assert_refused(&site.get(a.0, a.1).await, 429, 2);
    let _other = open(site, b.0, b.1).await;
    assert_refused(&site.get(b.0, b.1).await, 503, 3);
    let metrics = site.get("", "/metrics").await;
    let text = std::str::from_utf8(&metrics.body).unwrap();
    for line in [
        format!("framewell_places{{kind=\"{kind}\"}} 3"),
        format!("framewell_places_taken{{kind=\"{kind}\"}} 3"),
        format!("framewell_places_refused_total{{kind=\"{kind}\",why=\"full\"}} 1"),
        format!("framewell_places_refused_total{{kind=\"{kind}\",why=\"share\"}} 1"),
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    drop(first);
    drop(open(site, b.0, b.1).await);
    drop(open(site, a.0, a.1).await);
}

#[tokio::test]
async fn streams_of_one_token_leave_room_for_others() {
    let site = Site::with(ApiConfig {
        streams: Places::new(Occupation::Stream, 3, 50),
        ..ApiConfig::default()
    })
    .await;
    let (a, b) = (site.channel("a").await, site.channel("b").await);
    let documents = "/v1/metadata/stream";
    three_places(&site, "stream", [(&a.all, STREAM), (&b.all, documents)]).await;
}

#[tokio::test]
async fn pushes_of_one_token_leave_room_for_others() {
    let site = Site::with(ApiConfig {
        pushes: Places::new(Occupation::Push, 3, 50),
        ..ApiConfig::default()
    })
    .await;
    let (a, b) = (site.channel("a").await, site.channel("b").await);
    let push = "/v1/images/live?fps=1";
    three_places(&site, "push", [(&a.watch, push), (&b.watch, push)]).await;
}

/// A batch of key frames in the ring, by their names: no decoder is asked.
fn batch(site: &Site, channel: &TestChannel) -> String {
    crate::player::stream(site, channel.id);
    let range = "from=2024-05-01T11:59:50Z&to=2024-05-01T11:59:52Z&keyframes=true";
    format!("/v1/channels/{}/images?{range}&as=ndjson", channel.id)
}

#[tokio::test]
async fn batches_of_one_token_leave_room_for_others() {
    let site = Site::with(ApiConfig {
        batches: Places::new(Occupation::Batch, 3, 50),
        ..ApiConfig::default()
    })
    .await;
    let (a, b) = (site.channel("a").await, site.channel("b").await);
    let uris = [batch(&site, &a), batch(&site, &b)];
    let own = [(&*a.watch, &*uris[0]), (&*b.watch, &*uris[1])];
    three_places(&site, "batch", own).await;
}

#[tokio::test]
async fn uploads_of_one_token_leave_room_for_others() {
    let uploads = Places::new(Occupation::Upload, 3, 50);
    let site = Site::with(ApiConfig {
        uploads: uploads.clone(),
        ..ApiConfig::default()
    })
    .await;
    let channel = site.channel("a").await;
    let uri = format!(
        "/v1/channels/{}/recordings?start=2024-05-01T10:00:00Z",
        channel.id
    );
    let headers = [("authorization", channel.all.as_str())];
    let send = |body: Body| site.send("POST", &uri, &headers, body);
    let slow = || {
        send(Body::from_stream(stream::pending::<
            Result<Bytes, Infallible>,
        >()))
    };
    let third = async {
        while uploads.occupancy().taken < 2 {
            tokio::task::yield_now().await;
        }
        send(Body::empty()).await
    };
    tokio::select! {
        answer = slow() => panic!("{answer:?}"),
        answer = slow() => panic!("{answer:?}"),
        answer = third => assert_refused(&answer, 429, 2),
    }
    // Those who broke off hold nothing.
    assert_eq!(uploads.occupancy().taken, 0);
}

#[tokio::test]
async fn a_server_that_runs_as_many_batches_as_it_can_says_503() {
    let site = Site::with(ApiConfig {
        batches: Places::new(Occupation::Batch, 1_000, 100),
        ..ApiConfig::default()
    })
    .await;
    let channel = site.channel("a").await;
    let uri = batch(&site, &channel);
    let mut running = Vec::new();
    for _ in 0..64 {
        running.push(open(&site, &channel.watch, &uri).await);
    }
    assert_refused(&site.get(&channel.watch, &uri).await, 503, 64);
}

#[tokio::test]
async fn a_websocket_has_a_place_until_it_is_closed() {
    let site = Site::with(ApiConfig {
        streams: Places::new(Occupation::Stream, 2, 50),
        ..ApiConfig::default()
    })
    .await;
    let channel = site.channel("a").await;
    let mut tasks = tokio::task::JoinSet::new();
    let address = site.listen(&mut tasks).await;
    let url = format!("ws://{address}{STREAM}?token={}", inner(&channel.watch));
    let (mut socket, _) = tokio_tungstenite::connect_async(&url).await.unwrap();
    match tokio_tungstenite::connect_async(&url).await {
        Err(Error::Http(response)) => assert_eq!(response.status().as_u16(), 429),
        other => panic!("{other:?}"),
    }
    socket.close(None).await.unwrap();
    drop(socket);
    let again = async {
        while tokio_tungstenite::connect_async(&url).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, again).await.unwrap();
}

#[tokio::test]
async fn clips_that_wait_for_footage_have_places_of_their_own() {
    let waiting_clips = Places::new(Occupation::Wait, 3, 50);
    let site = Site::with(ApiConfig {
        waiting_clips: waiting_clips.clone(),
        streams: Places::new(Occupation::Stream, 1, 100),
        ..ApiConfig::default()
    })
    .await;
    let (a, b) = (site.channel("a").await, site.channel("b").await);
    let uri = |channel: &TestChannel| {
        let id = channel.id;
        format!("/v1/channels/{id}/clip.mp4?start=-10s&end=%2B60s&wait_s=120")
    };
    let uris = [uri(&a), uri(&b)];
    let of_a = || site.get(&a.watch, &uris[0]);
    let of_b = || site.get(&b.watch, &uris[1]);
    let taken = async |count: u64| {
        while waiting_clips.occupancy().taken < count {
            tokio::task::yield_now().await;
        }
    };
    let others = async {
        taken(2).await;
        assert_refused(&of_a().await, 429, 2);
        // Streams are not in their way, nor they in that of streams.
        let _stream = open(&site, &a.all, STREAM).await;
        tokio::select! {
            answer = of_b() => panic!("{answer:?}"),
            () = taken(3) => {}
        }
    };
    tokio::select! {
        answer = of_a() => panic!("{answer:?}"),
        answer = of_a() => panic!("{answer:?}"),
        () = others => {}
    }
    assert_eq!(waiting_clips.occupancy().taken, 0);
}
