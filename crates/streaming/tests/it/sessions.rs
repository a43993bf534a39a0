//! Sessions in the list: counted, limited, ended.

use crate::client::Client;
use crate::support::{MAX_SESSIONS, Server, encode, run_id, spec};
use framewell_access::sessions::{Activity, EndReason, Protocol};
use framewell_streaming::rtsp::RtspConfig;

#[tokio::test(flavor = "multi_thread")]
async fn a_play_is_listed_until_it_is_ended_from_there() {
    let clip = encode(spec()).await;
    let mut server = Server::start(RtspConfig::default()).await;
    server.feed(7, &clip);
    server.record(7, run_id(1), &clip);
    let mut watcher = Client::connect(server.addr).await;
    watcher.play(&server.url(7)).await;
    let mut reviewer = Client::connect(server.addr).await;
    reviewer.play(&server.recorded_url(7, "")).await;
    for client in [&mut watcher, &mut reviewer] {
        client.access_unit().await.unwrap();
        client.access_unit().await.unwrap();
    }
    let listed = server.sessions.list(|_| true);
    let mut activities: Vec<Activity> = listed.iter().map(|one| one.new.activity).collect();
    activities.sort_unstable();
    assert_eq!(activities, [Activity::Live, Activity::Recorded]);
    for one in &listed {
        assert_eq!(one.new.protocol, Protocol::Rtsp);
        assert!(one.bytes > 0, "{one:?}");
        assert!(server.sessions.end(one.id, EndReason::Ended));
    }
    while watcher.packet().await.is_some() {}
    while reviewer.packet().await.is_some() {}
    while !server.sessions.list(|_| true).is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_more_than_there_may_be_is_refused_at_play() {
    let clip = encode(spec()).await;
    let mut server = Server::start(RtspConfig::default()).await;
    server.feed(7, &clip);
    let url = server.url(7);
    let mut clients = Vec::new();
    for _ in 0..MAX_SESSIONS {
        let mut client = Client::connect(server.addr).await;
        client.play(&url).await;
        clients.push(client);
    }
    let mut late = Client::connect(server.addr).await;
    late.set_up(&url).await;
    assert_eq!(late.request("PLAY", &url, &[]).await.status, 503);
    let mut first = clients.remove(0);
    assert_eq!(first.request("TEARDOWN", &url, &[]).await.status, 200);
    assert_eq!(late.request("PLAY", &url, &[]).await.status, 200);
}
