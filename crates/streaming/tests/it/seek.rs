//! Seeking, pausing and going on in recordings.

use crate::client::Client;
use crate::support::{Server, encode, run_id, spec};
use framewell_streaming::rtsp::RtspConfig;
use framewell_testkit::encode::EncodedClip;
use framewell_testkit::stamp::VideoInput;

async fn recorded() -> (Server, EncodedClip) {
    let clip = encode(spec()).await;
    let server = Server::start(RtspConfig::default()).await;
    server.record(7, run_id(1), &clip);
    (server, clip)
}

/// The payload that begins picture `number` of the clip, behind its parameter sets.
fn first_bytes(clip: &EncodedClip, number: usize) -> Vec<u8> {
    let unit = clip.video().nth(number).unwrap();
    unit.data[5..25].to_vec()
}

/// Reads units until one begins with the bytes of picture `number`; how many came before it.
async fn skip_to(client: &mut Client, clip: &EncodedClip, number: usize) -> usize {
    let wanted = first_bytes(clip, number);
    for before in 0..500 {
        let packets = client.access_unit().await.unwrap();
        let has_it = packets.iter().any(|packet| {
            let payload = packet.payload();
            payload.windows(wanted.len()).take(3).any(|at| at == wanted)
        });
        if has_it {
            return before;
        }
    }
    panic!("picture {number} does not come");
}

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_seeks_to_the_exact_picture() {
    let (server, _clip) = recorded().await;
    let spec = spec();
    // Its parser gives the first picture of a play no time. So it counts from the second one, and asks
    // for a time that is one picture later; and it does not drop the key frame that a seek begins with.
    for (seek, key, number) in [("5.2", 125, 131), ("8.6", 200, 216)] {
        let input = VideoInput::new(server.recorded_url(7, ""))
            .option("-rtsp_transport", "tcp")
            .option("-ss", seek)
            .max_frames(10);
        let playing = tokio::task::spawn_blocking(move || input.read_stamps());
        let stamps = playing.await.unwrap().unwrap();
        let rest = (number..).map(|n| spec.stamp(n));
        let expected: Vec<_> = std::iter::once(spec.stamp(key))
            .chain(rest)
            .take(10)
            .collect();
        assert_eq!(stamps, expected, "from {seek} s on");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn play_goes_elsewhere_at_once_while_it_plays_and_while_it_pauses() {
    let (server, clip) = recorded().await;
    let url = server.recorded_url(7, "");
    let mut client = Client::connect(server.addr).await;
    client.set_up(&url).await;
    client.request("PLAY", &url, &["Range: npt=0-"]).await;
    assert_eq!(skip_to(&mut client, &clip, 0).await, 0);
    // While it plays; 6.4 s is 10 pictures behind a key frame.
    let answer = client
        .request("PLAY", &url, &["Range: clock=20260101T000006.4Z-"])
        .await;
    assert_eq!(answer.headers["range"], "clock=20260101T000006.400000Z-");
    let first = client.rtp(0).await.unwrap();
    let info = &answer.headers["rtp-info"];
    assert!(
        info.contains(&format!("seq={};", first.sequence())),
        "{info}"
    );
    skip_to(&mut client, &clip, 160).await;
    // Back, out of a pause.
    assert_eq!(client.request("PAUSE", &url, &[]).await.status, 200);
    let answer = client.request("PLAY", &url, &["Range: npt=2.0-"]).await;
    assert_eq!(answer.headers["range"], "npt=2.000000-");
    assert_eq!(skip_to(&mut client, &clip, 50).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_loses_and_repeats_nothing() {
    let (server, _clip) = recorded().await;
    let url = server.recorded_url(7, "");
    let mut client = Client::connect(server.addr).await;
    client.set_up(&url).await;
    client.request("PLAY", &url, &["Scale: 2"]).await;
    client.access_unit().await.unwrap();
    // Packets that were on their way are dropped by the client with the answer; numbers tell.
    assert_eq!(client.request("PAUSE", &url, &[]).await.status, 200);
    let answer = client.request("PLAY", &url, &["Scale: 2"]).await;
    let first = client.rtp(0).await.unwrap();
    let info = &answer.headers["rtp-info"];
    assert!(
        info.contains(&format!("seq={};", first.sequence())),
        "{info}"
    );
    let mut last = first;
    for _ in 0..50 {
        let packet = client.rtp(0).await.unwrap();
        assert_eq!(packet.sequence(), last.sequence().wrapping_add(1));
        assert!(packet.timestamp().wrapping_sub(last.timestamp()) <= 1_801);
        last = packet;
    }
}
