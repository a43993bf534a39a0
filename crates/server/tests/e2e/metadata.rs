//! From a picture to a document and back: a frame id says the time, links lead to the very pixels.

use crate::cameras;
use crate::client::{Answer, Api};
use crate::server::Server;
use crate::site::{create_channel, create_group, wait_for_records};
use framewell_testkit::stamp::read_stamp_jpeg;
use serde_json::{Value, json};

/// Writes one document; its result.
async fn write(api: &Api, document: Value) -> Value {
    let written = api
        .post("/v1/metadata", &json!([document]))
        .await
        .expect(200);
    written["results"][0].clone()
}

async fn follow(api: &Api, link: &Value) -> Answer {
    let answer = api.get(link.as_str().expect("a link")).await;
    answer.expect_ok();
    answer
}

/// The picture that a document is about is the one whose frame id it was written with.
async fn leads_back(api: &Api, document: &Value, picture: &Answer) {
    let again = follow(api, &document["links"]["image"]).await;
    assert_eq!(
        again.header("framewell-frame"),
        picture.header("framewell-frame")
    );
    assert_eq!(again.body, picture.body);
    let cut = follow(api, &document["objects"][0]["links"]["image"]).await;
    assert_eq!(
        cut.header("framewell-frame"),
        picture.header("framewell-frame")
    );
    assert_eq!(
        (
            cut.header("framewell-width"),
            cut.header("framewell-height")
        ),
        ("240", "135")
    );
    let live = follow(api, &document["links"]["live"]).await.expect(200);
    assert!(live["hls"].is_string(), "{live}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_written_with_a_frame_leads_back_to_its_picture() {
    let mut server = Server::start().await;
    let camera = cameras::h264().await;
    let channel = create_channel(&server, "gate", &camera).await;
    let other = create_channel(&server, "yard", &camera).await;
    let group = create_group(&server, &[&channel, &other]).await;
    wait_for_records(&server, &channel, 1).await;
    let api = server.api(&format!("Bearer {group}"));
    let path = format!("/v1/channels/{}/image?at=-1s", channel.id);
    let picture = api.get(&path).await;
    picture.expect_ok();
    let frame = picture.header("framewell-frame").to_owned();
    let captured = picture.time("framewell-capture-time");
    let seen = json!([{"label": "gate", "score": 0.5, "box": {"x": 0.25, "y": 0.25, "width": 0.5, "height": 0.5}}]);
    let document = |id: &str, channel: i64| json!({"id": id, "channel": channel, "frame": frame, "objects": seen});

    // While the picture is in the live ring.
    let written = write(&api, document("live", channel.id)).await;
    assert_eq!(written["status"], 201, "{written}");
    let foreign = write(&api, document("live", other.id)).await;
    assert!(
        foreign["error"]
            .as_str()
            .expect("a refusal")
            .contains("none of channel"),
        "{foreign}"
    );
    let mut late = document("late", channel.id);
    late["timestamp"] = captured.plus_micros(1_500_000).to_string().into();
    let late = write(&api, late).await;
    assert!(
        late["error"]
            .as_str()
            .expect("a refusal")
            .contains("more than 1 s"),
        "{late}"
    );
    let search = json!({"filter": {"field": "objects.label", "eq": "gate"}});
    let found = api.post("/v1/metadata/search", &search).await.expect(200);
    let live = found["documents"][0].clone();
    assert_eq!(live["timestamp"], captured.to_rfc3339());
    leads_back(&api, &live, &picture).await;

    // When only the recording is left.
    let recorded = wait_for_records(&server, &channel, 4).await;
    assert!(recorded.len() >= 4);
    drop(camera);
    server.stop().await;
    server.restart().await;
    let api = server.api(&format!("Bearer {group}"));
    let written = write(&api, document("recorded", channel.id)).await;
    assert_eq!(written["status"], 201, "{written}");
    let found = api.post("/v1/metadata/search", &search).await.expect(200);
    let documents = found["documents"].as_array().expect("a list");
    assert_eq!(documents.len(), 2);
    for document in documents {
        assert_eq!(document["timestamp"], captured.to_rfc3339());
        leads_back(&api, document, &picture).await;
        let clip = follow(&api, &document["links"]["clip"]).await;
        assert_eq!(clip.header("content-type"), "video/mp4");
    }
    let stamp = read_stamp_jpeg(&picture.body).expect("a stamp");
    assert!(stamp.capture.micros_since(captured).abs() <= cameras::ROUNDING_US);
}
