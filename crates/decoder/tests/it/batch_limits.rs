//! Batches that are refused, and how many may run.

use crate::batch_rig::{
    Footage3, Told, all, at, behind, clip, cursor, range, refused, request, rest, tell,
};
use crate::rig::Rig;
use framewell_imaging::batch::{EndReason, Entry, Rule};
use framewell_imaging::{Error, ImagesConfig, Match, Output};
use framewell_media::VideoCodec;
use framewell_model::{ErrorKind, HasKind};
use framewell_testkit::encode::ClipSpec;

#[tokio::test]
async fn absurd_requests_are_refused_with_the_limit() {
    let rig = Rig::new(at(60_000)).await;
    let why = async |request| {
        let error = refused(&rig, request).await;
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        error.to_string()
    };
    let ask = |from, to, rule| request(range(from, to), rule, Match::Exact);
    assert!(why(ask(0, 1_000, Rule::Rate(0.0))).await.contains("1000"));
    assert!(why(ask(0, 1_000, Rule::Every(-1))).await.contains("1 ms"));
    let future = refused(&rig, ask(61_000, 62_000, Rule::All)).await;
    assert!(matches!(future, Error::Future { .. }), "{future:?}");
    assert!(why(ask(0, 1_000_000, Rule::All)).await.contains("600 s"));
    let days = ask(-172_800_000, 0, Rule::Rate(100.0));
    let text = why(days).await;
    assert!(
        text.contains("17280000") && text.contains("1000000"),
        "{text}"
    );
    let small = Output {
        width: Some(3),
        ..Output::jpeg(80)
    };
    let mut tiny = ask(0, 1_000, Rule::All);
    tiny.output = Some(small);
    assert!(why(tiny).await.contains("width 3"));
}

#[tokio::test]
async fn a_cursor_of_another_channel_is_refused() {
    let footage = Footage3::new().await;
    let entries = all(
        &footage.rig,
        request(range(0, 2_000), Rule::Keyframes, Match::Exact),
    )
    .await;
    let mut foreign = behind(cursor(&entries[0]).unwrap());
    foreign.channel = "8".parse().unwrap();
    let error = refused(&footage.rig, foreign).await;
    assert!(error.to_string().contains("another channel"), "{error}");
}

#[tokio::test]
async fn a_cursor_made_by_hand_waits_for_no_future_either() {
    // Of a channel whose camera delivers: a batch that ends ahead of now waits for it.
    let (clip, rig) = (clip(VideoCodec::H264, 320, 0, 0), Rig::new(at(2_000)).await);
    rig.stream(1, &clip, clip.video());
    let resumed = |from_ms: i64, to_ms: i64| {
        let [from, to] = [from_ms, to_ms].map(|ms| at(ms).micros());
        let text = format!("b1_7_{from}_{to}_k_x_{}_", from - 1);
        behind(text.parse().unwrap())
    };
    let future = refused(&rig, resumed(3_000, 4_000)).await;
    assert!(matches!(future, Error::Future { .. }), "{future:?}");
    let long = refused(&rig, resumed(0, 603_000)).await;
    assert!(long.to_string().contains("600 s"), "{long}");
    assert_eq!(long.kind(), ErrorKind::InvalidArgument);
    assert!(rig.imaging.batch(resumed(0, 601_000)).await.is_ok());
}

#[tokio::test]
async fn a_batch_that_is_dropped_leaves_nothing_running() {
    let footage = Footage3::new().await;
    for _ in 0..80 {
        let whole = request(range(0, 9_000), Rule::All, Match::Exact);
        let mut batch = footage.rig.imaging.batch(whole).await.unwrap();
        assert!(matches!(batch.next().await, Some(Entry::Picture(_))));
    }
    let whole = request(range(0, 9_000), Rule::Keyframes, Match::Exact);
    let batch = footage.rig.imaging.batch(whole).await.unwrap();
    assert_eq!(
        tell(&rest(batch).await).last(),
        Some(&Told::End(EndReason::Complete))
    );
}

#[tokio::test]
async fn more_batches_than_may_run_are_refused() {
    let rig = Rig::new(at(60_000)).await;
    let mut running = Vec::new();
    loop {
        let asked = request(range(0, 1_000), Rule::All, Match::Exact);
        match rig.imaging.batch(asked).await {
            Ok(batch) => running.push(batch),
            Err(error) => {
                assert!(matches!(error, Error::TooManyBatches(64)), "{error:?}");
                assert_eq!(error.kind(), ErrorKind::ResourceExhausted);
                break;
            }
        }
    }
    assert_eq!(running.len(), 64);
    running.pop();
    let again = request(range(0, 1_000), Rule::All, Match::Exact);
    assert!(rig.imaging.batch(again).await.is_ok());
}

#[tokio::test]
async fn pictures_far_behind_their_key_frame_are_told_with_the_number_they_take() {
    let mut rig = Rig::new(at(60_000)).await;
    rig.imaging = rig.imaging.with_images(ImagesConfig {
        max_decode_frames: 10,
        ..ImagesConfig::default()
    });
    let spec = ClipSpec {
        width: 320,
        height: 240,
        gop: 48,
        frames: 96,
        ..ClipSpec::default()
    };
    crate::archive::record(&rig, &spec.encode().unwrap(), 1, 48);
    // Two pictures of each GOP take 26 and 28 decoded ones.
    let sparse = request(range(0, 3_840), Rule::Every(1_000_000), Match::Exact);
    let entries = all(&rig, sparse).await;
    let expected = [
        Told::Failed(0, 1_920, 2),
        Told::Failed(2_000, 3_840, 2),
        Told::End(EndReason::Complete),
    ];
    assert_eq!(tell(&entries), expected);
    let Entry::Failed(first) = &entries[0] else {
        panic!("{entries:?}");
    };
    assert_eq!(first.kind, ErrorKind::InvalidArgument);
    assert!(
        first.message.contains("26") && first.message.contains("20"),
        "{first:?}"
    );
    // Ten for each are enough where they lie closer together.
    let dense = request(range(0, 3_840), Rule::Every(400_000), Match::Exact);
    let told = tell(&all(&rig, dense).await);
    let expected: Vec<Told> = (0..10).map(|n| Told::Picture(n * 400, n * 400)).collect();
    assert_eq!(told[..10], expected);
}
