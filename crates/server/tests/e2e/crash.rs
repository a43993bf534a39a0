//! `kill -9` in the middle of recording.

use crate::cameras;
use crate::main_job::naive_time;
use crate::server::{Server, files_below, wait_for};
use crate::site::{ChannelKeys, acc, create_channel, wait_for_records, wait_for_status};
use crate::tools::{ffprobe, stamps_of};
use framewell_model::WallTime;
use framewell_testkit::stamp::Stamp;
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn after_kill_9_every_complete_fragment_plays_and_the_hole_is_a_gap_row() {
    let mut server = Server::start().await;
    let camera = cameras::h264().await;
    let channel = create_channel(&server, "gate", &camera).await;
    wait_for_records(&server, &channel, 2).await;
    wait_for("an open segment with a complete fragment", 20, async || {
        spooled_end(&server)
    })
    .await;

    server.kill_9();
    let killed = cameras::now();
    let spooled = spooled_end(&server).expect("the spool outlives the process");
    server.restart().await;
    wait_for_status(&server, &channel, "active").await;
    let restarted = cameras::now();
    wait_for("footage from after the restart", 40, async || {
        let records = records(&server, &channel).await;
        let newest = records.last().expect("records").clone();
        (naive_time(&newest["start"]) > killed).then_some(())
    })
    .await;

    let stamps = play_all(&server, &channel).await;
    let before: Vec<&Stamp> = stamps
        .iter()
        .filter(|stamp| stamp.capture < killed)
        .collect();
    let numbers: Vec<u32> = before.iter().map(|stamp| stamp.frame).collect();
    assert!(
        numbers.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "holes before the crash: {numbers:?}"
    );
    let last = before.last().expect("footage before the crash").capture;
    assert!(
        last >= spooled.plus_micros(-1),
        "the spool had pictures up to {spooled}, recovered up to {last}"
    );

    let first_after = stamps
        .iter()
        .find(|stamp| stamp.capture > killed)
        .expect("footage after")
        .capture;
    let gaps = gaps(&server, &channel, last, restarted.plus_micros(60_000_000)).await;
    let covering = gaps.iter().find(|gap| {
        let (start, end) = (native_time(&gap["start"]), native_time(&gap["end"]));
        start.micros_since(last).abs() <= 1_000_000 / cameras::FPS + 2_000 && end == first_after
    });
    let gap =
        covering.unwrap_or_else(|| panic!("no gap from {last} to {first_after} in {gaps:#?}"));
    assert_eq!(gap["reason"], "server_down");
    // The open segment, and perhaps the one before it on its way to the store.
    let left = files_below(&server.data_dir().join("spool")).len();
    assert!(left <= 2, "{left} files stay in the spool");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_closes_and_publishes_the_open_segment() {
    let mut server = Server::start().await;
    let camera = cameras::h264().await;
    let channel = create_channel(&server, "gate", &camera).await;
    wait_for_records(&server, &channel, 1).await;
    wait_for("an open segment with a complete fragment", 20, async || {
        spooled_end(&server)
    })
    .await;
    let stopping = cameras::now();
    assert!(server.stop().await.success(), "{}", server.log());
    assert_eq!(
        files_below(&server.data_dir().join("spool")).len(),
        0,
        "nothing waits for a recovery"
    );
    server.restart().await;
    let records = records(&server, &channel).await;
    let end = naive_time(&records.last().expect("records")["end"]);
    assert!(
        end >= stopping.plus_micros(-1_000_000),
        "recorded up to {end}, stopped at {stopping}"
    );
}

/// Capture time of the last picture in the complete fragments of the spool.
fn spooled_end(server: &Server) -> Option<WallTime> {
    let files = files_below(&server.data_dir().join("spool"));
    let newest = |path: &std::path::PathBuf| {
        let scanned = framewell_fmp4::scan_segment(&std::fs::read(path).ok()?).ok()?;
        let last = scanned.index.fragments.last()?;
        let frame_ticks = 90_000 / cameras::FPS;
        Some(last.wall_of(last.end_pts - frame_ticks))
    };
    files.iter().filter_map(newest).max()
}

pub(crate) async fn records(server: &Server, channel: &ChannelKeys) -> Vec<Value> {
    let answer = acc(server, channel)
        .get("/api/v4/storage/records/?limit=1000&order_by=time")
        .await;
    answer.expect(200)["objects"]
        .as_array()
        .expect("a list")
        .clone()
}

/// Downloads every record, has ffprobe look at it, and reads the stamps of all pictures in order.
pub(crate) async fn play_all(server: &Server, channel: &ChannelKeys) -> Vec<Stamp> {
    let open = server.api("");
    let mut stamps = Vec::new();
    for record in records(server, channel).await {
        let answer = open.get(record["url"].as_str().expect("a URL")).await;
        answer.expect_ok();
        assert_eq!(
            record["size"].as_u64(),
            Some(answer.body.len() as u64),
            "the size is the real one"
        );
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), &answer.body).expect("written");
        let name = file.path().to_str().expect("UTF-8");
        ffprobe(name, &[]);
        stamps.extend(stamps_of(name, &[], 100_000).await);
    }
    stamps
}

pub(crate) async fn gaps(
    server: &Server,
    channel: &ChannelKeys,
    start: WallTime,
    end: WallTime,
) -> Vec<Value> {
    let start = start.plus_micros(-1_000_000);
    let path = format!(
        "/v1/channels/{}/timeline?start={start}&end={end}",
        channel.id
    );
    let timeline = server
        .api(&format!("Bearer {}", channel.all))
        .get(&path)
        .await
        .expect(200);
    timeline["gaps"].as_array().expect("a list").clone()
}

pub(crate) fn native_time(value: &Value) -> WallTime {
    value
        .as_str()
        .and_then(|text| text.parse().ok())
        .unwrap_or(WallTime::from_micros(i64::MAX))
}
