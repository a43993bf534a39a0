//! A database that is lost is made again from the recordings, and what was recorded is proved.

use crate::cameras;
use crate::client::{Answer, Api};
use crate::main_job::naive_time;
use crate::server::{Server, files_below, wait_for};
use crate::site::{ChannelKeys, create_channel, wait_for_records};
use crate::tools::stamps_of;
use framewell_model::WallTime;
use framewell_testkit::postgres::TestDatabase;
use framewell_testkit::s3::TestBucket;
use framewell_testkit::stamp::read_stamp_jpeg;
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;

/// What clients see of a stretch of footage.
#[derive(PartialEq)]
struct Seen {
    picture: Vec<u8>,
    clip: Vec<u8>,
    timeline: Value,
}

async fn see(api: &Api, channel: i64, start: WallTime, end: WallTime) -> Seen {
    let get = async |path: String| -> Answer {
        let answer = api.get(&format!("/v1/channels/{channel}/{path}")).await;
        answer.expect_ok();
        answer
    };
    let at = start.plus_micros(1_300_000);
    Seen {
        picture: get(format!("image?at={at}")).await.body.to_vec(),
        clip: get(format!("clip.mp4?start={start}&end={end}"))
            .await
            .body
            .to_vec(),
        timeline: get(format!("timeline?start={start}&end={end}"))
            .await
            .json(),
    }
}

/// A stretch from inside the first record to inside the third.
fn stretch(records: &[Value]) -> (WallTime, WallTime) {
    let start = naive_time(&records[0]["start"]).plus_micros(300_000);
    let end = naive_time(&records[2]["start"]).plus_micros(700_000);
    (start, end)
}

/// Everything that was recorded comes back after `lose`, and nothing is said to be wrong with it.
async fn lose_and_rebuild(server: &mut Server, channel: &ChannelKeys, lose: impl AsyncFnOnce()) {
    let records = wait_for_records(server, channel, 4).await;
    let (start, end) = stretch(&records);
    let before = see(&server.admin(), channel.id, start, end).await;
    let stamp = read_stamp_jpeg(&before.picture).expect("a stamp");
    assert!(stamp.capture <= start.plus_micros(1_300_000));
    // While it records, nothing is wrong.
    let (code, text) = server.framewell(&["check", "--depth", "full"]);
    assert_eq!(code, Some(0), "{text}");
    wait_for("an unfinished file in the spool", 10, async || {
        let files = files_below(&server.data_dir().join("spool"));
        let has_footage = |path: &PathBuf| path.metadata().is_ok_and(|file| file.len() > 5_000);
        files.iter().any(has_footage).then_some(())
    })
    .await;
    server.kill_9();
    lose().await;

    let (code, text) = server.framewell(&["check", "--rebuild", "--account", "rescued"]);
    assert_eq!(code, Some(0), "{text}");
    for said in [
        "made in account \"rescued\"",
        "files in the spool",
        "tokens",
        "new numbers",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    server.restart().await;
    let license = server.account(&["new-key", "rescued"]);
    let api = server.api(&format!("LKey {license}"));
    let after = see(&api, channel.id, start, end).await;
    assert!(
        before == after,
        "{} and {}",
        before.timeline,
        after.timeline
    );
    // The old key opens nothing, although the account has the number of the old one.
    let old = server.admin().get("/v1/channels").await;
    assert_eq!(old.status, 401);

    unfinished_file_is_footage(
        server,
        &api,
        channel,
        start,
        naive_time(&records[3]["start"]),
    )
    .await;
    assert_eq!(server.framewell(&["check", "--depth", "full"]).0, Some(0));
    let id = channel.id.to_string();
    let (code, text) = server.framewell(&["verify", "--channel", &id]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("INTACT") && !text.contains("after a crash: 0"),
        "{text}"
    );
}

/// What lay in the spool when the server was killed goes on from the last record without a missing picture.
async fn unfinished_file_is_footage(
    server: &Server,
    api: &Api,
    channel: &ChannelKeys,
    start: WallTime,
    last: WallTime,
) {
    wait_for("the spool to be empty", 20, async || {
        files_below(&server.data_dir().join("spool"))
            .is_empty()
            .then_some(())
    })
    .await;
    let path = format!("/v1/channels/{}/clip.mp4?start={start}", channel.id);
    let clip = api.get(&path).await;
    clip.expect_ok();
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), &clip.body).expect("written");
    let stamps = stamps_of(file.path().to_str().expect("UTF-8"), &[], 100_000).await;
    crate::tools::assert_consecutive(&stamps);
    assert!(stamps.last().expect("pictures").capture > last);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_database_comes_back_from_the_folder_and_a_spool_with_an_unfinished_file() {
    let mut server = Server::start().await;
    let camera = cameras::h264().await;
    let channel = create_channel(&server, "gate", &camera).await;
    let data = server.data_dir();
    lose_and_rebuild(&mut server, &channel, async || {
        for file in std::fs::read_dir(data).expect("listed") {
            let path = file.expect("an entry").path();
            let name = path.file_name().and_then(|name| name.to_str());
            if name.is_some_and(|name| name.starts_with("framewell.db")) {
                std::fs::remove_file(&path).expect("removed");
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_postgresql_database_comes_back_from_a_bucket() {
    let bucket = TestBucket::create().expect("a bucket");
    let database = TestDatabase::create().expect("a database");
    let url = database.url().to_owned();
    let mut server = Server::start_with(&format!(
        "database_url = {url:?}\ns3 = {{ bucket = {:?}, endpoint = {:?}, access_key = \"me\", secret_key = \"hunter2\" }}",
        bucket.name, bucket.endpoint
    ))
    .await;
    let camera = cameras::h264().await;
    let channel = create_channel(&server, "gate", &camera).await;
    lose_and_rebuild(&mut server, &channel, async || {
        let drop = "DROP SCHEMA public CASCADE; CREATE SCHEMA public";
        let mut psql = Command::new("psql");
        let status = psql.args([&url, "-q", "-c", drop]).status();
        assert!(status.expect("psql runs").success());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_byte_is_named_while_the_server_runs() {
    let server = Server::start().await;
    let camera = cameras::h264().await;
    let channel = create_channel(&server, "gate", &camera).await;
    let records = wait_for_records(&server, &channel, 4).await;
    let id = channel.id.to_string();
    let (code, text) = server.framewell(&["verify", "--channel", &id]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("INTACT"), "{text}");

    let mut objects = files_below(&server.data_dir().join("objects").join("seg"));
    objects.sort();
    let mut bytes = std::fs::read(&objects[1]).expect("read");
    let last = bytes.len() - 1;
    bytes[last] ^= 4;
    std::fs::write(&objects[1], bytes).expect("written");
    let (code, text) = server.framewell(&["verify", "--channel", &id, "--json"]);
    assert_eq!(code, Some(1), "{text}");
    let report: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(report["verdict"], "broken");
    let name = objects[1].file_stem().and_then(|stem| stem.to_str());
    assert_eq!(report["breaks"][0]["segment"].as_str(), name);
    // A range without it is as good as before.
    let start = naive_time(&records[2]["start"]).plus_micros(200_000);
    let end = naive_time(&records[2]["end"]).plus_micros(-200_000);
    let range = [start.to_rfc3339(), end.to_rfc3339()];
    let arguments = [
        "verify",
        "--channel",
        &id,
        "--start",
        &range[0],
        "--end",
        &range[1],
    ];
    let (code, text) = server.framewell(&arguments);
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = server.framewell(&["check", "--depth", "full"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("not those that were written"), "{text}");
    assert_eq!(
        server.framewell(&["check"]).0,
        Some(0),
        "its heads are sound"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manifest_of_a_clip_is_checked_without_the_server() {
    let mut server = Server::start().await;
    let camera = cameras::h264().await;
    let channel = create_channel(&server, "gate", &camera).await;
    let records = wait_for_records(&server, &channel, 4).await;
    let (start, end) = stretch(&records);
    let api = server.admin();
    let path = |name: &str| format!("/v1/channels/{}/{name}?start={start}&end={end}", channel.id);
    let clip = api.get(&path("clip.mp4")).await;
    clip.expect_ok();
    let signed = api.get(&path("clip.manifest.json")).await.json();
    let key = server.api("").get("/v1/server/signing-key").await.json();
    let key = key["public_key"].as_str().expect("a key").to_owned();
    assert_eq!(server.framewell(&["signing-key"]).1.trim(), key);
    let used = signed["manifest"]["segments"].as_array().expect("segments");
    assert!(used.len() >= 3, "{signed}");
    assert!(
        used.iter().all(|segment| segment["sealed"] == "written"),
        "{signed}"
    );
    assert_digests(&server, used);
    assert!(server.stop().await.success());

    let folder = tempfile::tempdir().expect("a folder");
    let (file, manifest) = (folder.path().join("clip.mp4"), folder.path().join("m.json"));
    std::fs::write(&file, &clip.body).expect("written");
    std::fs::write(&manifest, signed.to_string()).expect("written");
    let file_text = file.to_string_lossy().into_owned();
    let manifest_text = manifest.to_string_lossy().into_owned();
    let check = [
        "verify",
        "--manifest",
        &manifest_text,
        "--file",
        &file_text,
        "--key",
        &key,
    ];
    let (code, text) = server.framewell(&check);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("VERIFIED"), "{text}");
    // Anybody can sign: without the key, nothing is vouched for, and the answer says whose it is.
    let (code, text) = server.framewell(&check[..5]);
    assert_eq!(code, Some(3), "{text}");
    assert!(
        text.contains("SIGNER NOT CHECKED") && text.contains(&key),
        "{text}"
    );

    let mut bytes = clip.body.to_vec();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&file, &bytes).expect("written");
    let (code, text) = server.framewell(&check);
    assert_eq!(code, Some(1), "{text}");
    let newest = used[used.len() - 1]["id"].as_str().expect("an id");
    assert!(text.contains("CHANGED") && text.contains(newest), "{text}");
    let forged = signed.to_string().replace("\"channel\":1", "\"channel\":2");
    std::fs::write(&manifest, forged).expect("written");
    let (code, text) = server.framewell(&check);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("NOT VERIFIED"), "{text}");
}

/// Each digest is that of the stored file.
fn assert_digests(server: &Server, used: &[Value]) {
    let objects = files_below(&server.data_dir().join("objects").join("seg"));
    for segment in used {
        let name = segment["id"].as_str().expect("an id");
        let object = objects
            .iter()
            .find(|path| path.to_string_lossy().contains(name));
        let sum = Command::new("sha256sum")
            .arg(object.expect("stored"))
            .output();
        let sum = String::from_utf8(sum.expect("sha256sum runs").stdout).expect("hexadecimal");
        assert_eq!(segment["sha256"].as_str(), sum.split_whitespace().next());
    }
}
