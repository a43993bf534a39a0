//! What cameras say beside their pictures.

use crate::rig::{LIMIT, Rig, now, playing, source, spec};
use framewell_live::SourceMessage;
use framewell_testkit::camera::Notification;
use std::collections::BTreeMap;
use tokio::sync::broadcast::Receiver;

fn motion(data: &[(&str, &str)]) -> String {
    let notification = Notification {
        topic: "tns1:RuleEngine/CellMotionDetector/Motion",
        at: now(),
        operation: Some("Changed"),
        source: &[("VideoSourceConfigurationToken", "main")],
        data,
    };
    notification.document()
}

async fn next(messages: &mut Receiver<SourceMessage>) -> SourceMessage {
    let message = tokio::time::timeout(LIMIT, messages.recv()).await;
    message.expect("a message in time").unwrap()
}

#[tokio::test]
async fn documents_of_the_camera_arrive_whole_while_its_pictures_go_on() {
    let (camera, _) = playing(&spec()).await;
    let control = camera.control();
    control.offer_metadata(true);
    let (rig, mut viewer) = Rig::with(source(&camera));
    let mut messages = viewer.track.messages();
    let run = viewer.video(5).await[0].run;
    control.wait_for_plays(2, LIMIT).await.unwrap();

    let long = "x".repeat(5_000);
    for document in [motion(&[("IsMotion", "true")]), motion(&[("Name", &long)])] {
        let sent = now();
        control.send_metadata(&document);
        let message = next(&mut messages).await;
        assert_eq!(message.document, document);
        assert!(message.arrival >= sent && message.arrival <= now());
    }
    let after = viewer.video(10).await;
    assert!(after.iter().all(|s| s.run == run));
    rig.stop().await;
}

#[tokio::test]
async fn a_document_without_end_costs_no_picture_and_not_the_next_document() {
    let (camera, _) = playing(&spec()).await;
    let control = camera.control();
    control.offer_metadata(true);
    let (rig, mut viewer) = Rig::with(source(&camera));
    let mut messages = viewer.track.messages();
    let run = viewer.video(5).await[0].run;
    control.wait_for_plays(2, LIMIT).await.unwrap();

    control.send_metadata_without_end(&" ".repeat(300_000));
    control.send_metadata_without_end(&" ".repeat(300_000));
    control.send_metadata("<its end/>");
    let whole = motion(&[("IsMotion", "false")]);
    control.send_metadata(&whole);
    assert_eq!(next(&mut messages).await.document, whole);
    let after = viewer.video(10).await;
    assert!(after.iter().all(|s| s.run == run));
    rig.stop().await;
}

#[tokio::test]
async fn a_camera_with_room_for_one_session_gives_its_pictures() {
    let (camera, _) = playing(&spec()).await;
    let control = camera.control();
    control.offer_metadata(true);
    control.set_serves_one_session(true);
    let (rig, mut viewer) = Rig::with(source(&camera));
    viewer
        .until(|seen| {
            let mut of_run = BTreeMap::new();
            for s in seen {
                *of_run.entry(s.run).or_insert(0) += 1;
            }
            // Three seconds; a run that its metadata ends is far shorter.
            of_run.values().any(|units| *units >= 75)
        })
        .await;
    assert_eq!(control.plays(), 7, "three times both, then pictures only");
    rig.stop().await;
}

#[tokio::test]
async fn metadata_can_be_left_alone() {
    let (camera, _) = playing(&spec()).await;
    let control = camera.control();
    control.offer_metadata(true);
    let config = framewell_ingest::IngestConfig {
        metadata: false,
        ..crate::rig::impatient()
    };
    let rig = Rig::new(config);
    let mut viewer = rig.viewer(1);
    let wanted = BTreeMap::from([(crate::rig::channel(1), source(&camera))]);
    rig.ingest.set_wanted(wanted);
    viewer.video(50).await;
    assert_eq!(control.plays(), 1);
    rig.stop().await;
}
