//! Recordings in an S3-compatible store.

use crate::cameras;
use crate::main_job::naive_time;
use crate::server::{Server, files_below, wait_for};
use crate::site::{create_channel, wait_for_records};
use crate::tools::{assert_consecutive, stamps_of};
use framewell_testkit::s3::TestBucket;
use framewell_testkit::stamp::read_stamp_jpeg;

#[tokio::test(flavor = "multi_thread")]
async fn records_pictures_and_clips_come_from_a_bucket() {
    let bucket = TestBucket::create().expect("a bucket");
    let mut server = Server::start_with(&format!(
        "s3 = {{ bucket = {:?}, endpoint = {:?}, access_key = \"me\", secret_key = \"hunter2\" }}",
        bucket.name, bucket.endpoint
    ))
    .await;
    let camera = cameras::h264().await;
    let channel = create_channel(&server, "gate", &camera).await;
    wait_for_records(&server, &channel, 3).await;
    // After a restart nothing of it is in memory.
    assert!(server.stop().await.success(), "{}", server.log());
    assert!(files_below(&server.data_dir().join("objects")).is_empty());
    assert!(files_below(&server.data_dir().join("spool")).is_empty());
    server.restart().await;

    let record = wait_for_records(&server, &channel, 3).await[1].clone();
    let url = record["url"].as_str().expect("a URL");
    let file = server.api("").get(url).await;
    file.expect_ok();
    assert_eq!(record["size"].as_u64(), Some(file.body.len() as u64));
    let part = server
        .api("")
        .send("GET", url, &[("Range", "bytes=-100")], None)
        .await;
    assert_eq!(part.body.as_ref(), &file.body[file.body.len() - 100..]);
    assert_consecutive(&stamps_of(url, &[], 10_000).await);

    let at = naive_time(&record["start"]).plus_micros(700_000);
    let native = server.api(&format!("Bearer {}", channel.all));
    let picture = native
        .get(&format!("/v1/channels/{}/image?at={at}", channel.id))
        .await;
    picture.expect_ok();
    let stamp = read_stamp_jpeg(&picture.body).expect("a stamp");
    assert!((0..=1_000_000 / cameras::FPS).contains(&at.micros_since(stamp.capture)));
    let end = at.plus_micros(2_000_000);
    let path = format!("/v1/channels/{}/clip.mp4?start={at}&end={end}", channel.id);
    let clip = native.get(&path).await;
    clip.expect_ok();
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), &clip.body).expect("written");
    let stamps = stamps_of(file.path().to_str().expect("UTF-8"), &[], 10_000).await;
    assert_consecutive(&stamps);
    assert!(stamps.len() >= 20, "{} pictures", stamps.len());

    let deleted = format!("/api/v4/storage/records/{}/", record["id"]);
    let acc = server.api(&format!("Acc {}", channel.all));
    assert_eq!(acc.delete(&deleted).await.status, 204);
    wait_for("the record to be gone", 10, async || {
        (acc.get(&deleted).await.status == 404).then_some(())
    })
    .await;
    assert!(!server.log().contains("hunter2"), "no secret in the log");
}
