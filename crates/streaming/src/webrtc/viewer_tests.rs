//! What is taken from recorded footage, and when.

use super::*;
use crate::webrtc::peer::tests::lone_peer;
use crate::webrtc::router::Router;
use bytes::Bytes;
use framewell_access::places::{Occupation, Places};
use framewell_access::sessions::{Activity, NewSession, Protocol, Sessions, SessionsConfig};
use framewell_live::{RingConfig, SystemClock};
use framewell_media::{AccessUnit, VideoParameters};
use framewell_model::{AccountId, ClockSource, Holder, MediaTime as Time, Timescale};
use framewell_playback::replay::ReplayItem;

const UNIT_BYTES: usize = 300_000;

fn session(clock: &Arc<dyn WallClock>, channel: ChannelId) -> Session {
    let limits = SessionsConfig {
        places: Places::new(Occupation::Session, 1, 100),
        max_bits_per_s: None,
        token_max_bits_per_s: None,
    };
    let new = NewSession {
        protocol: Protocol::WebRtc,
        activity: Activity::Live,
        channel,
        holder: Holder {
            account: AccountId::new(1).unwrap(),
            serial: None,
        },
        peer: None,
        expire: None,
        expected_bits_per_s: 0,
    };
    Sessions::new(limits, Arc::clone(clock)).open(new).unwrap()
}

fn parameters() -> Arc<StreamParameters> {
    let video = VideoParameters {
        codec: VideoCodec::H264,
        width: 640,
        height: 360,
        config: Bytes::new(),
        reorder_depth: 0,
        rfc6381: String::new(),
    };
    StreamParameters { video, audio: None }.into_shared()
}

/// A GOP of pictures that are all due at once.
fn footage(pictures: usize) -> Replay {
    let run = "00000000-0000-7000-8000-000000000001".parse().unwrap();
    let parameters = parameters();
    let time = Time::new(0, Timescale::HZ_90K);
    let units = (0..pictures).map(|number| ReplayItem::Unit {
        unit: AccessUnit {
            track: TrackKind::Video,
            pts: time,
            dts: time,
            wall: WallTime::from_secs(1),
            clock: ClockSource::CameraRtcp,
            is_key: number == 0,
            data: vec![0; UNIT_BYTES].into(),
        },
        is_shown: true,
    });
    let begin = ReplayItem::Begin {
        run,
        parameters: Arc::clone(&parameters),
    };
    let items = std::iter::once(begin).chain(units).collect();
    Replay::of_items(items, parameters)
}

async fn viewer(pictures: usize) -> (Viewer, mpsc::Sender<Order>) {
    let clock: Arc<dyn WallClock> = Arc::new(SystemClock);
    let channel = ChannelId::new(1).unwrap();
    let (orders, received) = mpsc::channel(1);
    let seat = Seat {
        channel,
        track: Track::new(RingConfig::default(), clock.now()),
        shelf: Arc::default(),
        playback: None,
        video: VideoCodec::H264,
        audio: None,
        hearing: None,
        session: session(&clock, channel),
        clock,
        pending: None,
        offered: Vec::new(),
        orders: received,
    };
    let peer = lone_peer(&Router::default()).await;
    let mut viewer = Viewer::new(peer, seat, Instant::now());
    viewer.source = Source::Recorded(Box::new(Recorded::new(footage(pictures), 16.0)));
    (viewer, orders)
}

/// Takes all that is to be had; how many pictures that were.
async fn take_all(viewer: &mut Viewer) -> usize {
    let mut taken = 0;
    while viewer.is_fed() {
        let news = next_news(&mut viewer.source, &mut viewer.seeking, true).await;
        if !matches!(news, News::Recorded(Next::Units(_))) {
            break;
        }
        viewer.hear_news(news, Instant::now());
        taken += 1;
    }
    taken
}

#[tokio::test]
async fn footage_that_comes_faster_than_it_leaves_is_not_piled_up() {
    let (mut viewer, _orders) = viewer(30).await;
    assert_eq!(take_all(&mut viewer).await, 7);
    let full = viewer.queue.bytes();
    let news = next_news(&mut viewer.source, &mut viewer.seeking, false);
    assert!(news.now_or_never().is_none());
    // As much is taken as has left.
    assert!(viewer.queue.pop(Instant::now()).is_some());
    assert_eq!(take_all(&mut viewer).await, 1);
    assert_eq!(viewer.queue.bytes(), full);
}

#[tokio::test]
async fn who_loses_footage_again_and_again_has_one_gop_waiting() {
    let (mut viewer, _orders) = viewer(3).await;
    assert_eq!(take_all(&mut viewer).await, 3);
    let now = Instant::now();
    for lost in 1..10 {
        viewer.answer_loss(now + lost * KEY_FRAME_EVERY);
        assert_eq!(viewer.queue.bytes(), 3 * UNIT_BYTES);
    }
    viewer.fulfil(Wish::Pause(true));
    viewer.answer_loss(now + 10 * KEY_FRAME_EVERY);
    assert_eq!(
        viewer.queue.bytes(),
        0,
        "nothing is prepared for who has paused"
    );
    viewer.fulfil(Wish::Pause(false));
    viewer.answer_loss(now + 11 * KEY_FRAME_EVERY);
    assert_eq!(viewer.queue.bytes(), 3 * UNIT_BYTES);
}
