//! Motion that the server finds itself (contract section 12.3).

use super::{assert_vxg_error, nowhere, objects, on_both_databases, text};
use crate::server::{Server, wait_for};
use crate::site::{ChannelKeys, acc, create_channel, create_channel_from, wait_for_status};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use framewell_model::CellMap;
use framewell_testkit::camera::{Camera, CameraConfig, Source};
use framewell_testkit::clock::wall_now;
use framewell_testkit::encode::EncodedClip;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

/// A gray yard with some noise. From the sixth second of twelve on a white box moves through the upper
/// half.
const YARD: &str = "color=c=gray:s=480x270:r=10:d=12,noise=alls=6:allf=t[yard];\
    color=c=white:s=80x80:r=10:d=12[box];\
    [yard][box]overlay=x='if(lt(t,6),-100,60*(t-6))':y=20";

async fn yard(folder: &Path) -> Camera {
    let file = folder.join("yard.mp4");
    let made = Command::new("ffmpeg")
        .args([
            "-hide_banner",
            "-loglevel",
            "error",
            "-filter_complex",
            YARD,
        ])
        .args([
            "-c:v", "libx264", "-pix_fmt", "yuv420p", "-g", "5", "-bf", "0",
        ])
        .arg(&file)
        .status();
    assert!(made.expect("ffmpeg").success());
    let clip = EncodedClip::from_file(&file, wall_now()).expect("a clip");
    let config = CameraConfig::new(Source::Clip(Arc::new(clip)));
    Camera::start(config).await.expect("a camera")
}

fn path_of(channel: &ChannelKeys) -> String {
    format!("/api/v2/cameras/{}/motion_detection/", channel.id)
}

/// PackBits: 27 bytes of one half, 27 of the other.
fn half(upper: bool) -> String {
    let (first, second) = if upper { (0xff, 0) } else { (0, 0xff) };
    STANDARD.encode([230, first, 230, second])
}

on_both_databases! {
    async fn motion_is_found_in_the_regions_that_are_on_and_in_no_other(database: &str) {
        let server = Server::start_with(database).await;
        let folder = tempfile::tempdir().expect("a folder");
        let camera = yard(folder.path()).await;
        let watched = create_channel(&server, "watched", &camera).await;
        let unwatched = create_channel(&server, "unwatched", &camera).await;
        for channel in [&watched, &unwatched] {
            wait_for_status(&server, channel, "active").await;
        }
        let api = acc(&server, &watched);
        let regions = format!("{}regions/", path_of(&watched));
        let put = json!({"objects": [
            {"name": "sky", "map": half(true), "enabled": true},
            {"name": "floor", "map": half(false), "enabled": true, "sensitivity": 90},
            {"name": "everything", "enabled": false, "sensitivity": 100},
        ]});
        let answer = api.put(&regions, &put).await.expect(200);
        let listed = api.get(&regions).await.expect(200);
        assert_eq!(answer["objects"], listed["objects"]);
        assert_eq!(objects(&listed)[1], json!({
            "id": 2, "enabled": true, "name": "floor", "sensitivity": 90, "map": half(false),
        }));
        let events = "/api/v2/storage/events/?events=motion&include_meta=true";
        let found = wait_for("motion", 60, async || {
            let page = api.get(events).await.expect(200);
            (!objects(&page).is_empty()).then(|| objects(&page).to_vec())
        })
        .await;
        for event in &found {
            assert_eq!(text(&event["meta"]["regions"]), "sky", "{event}");
            assert_ne!(text(&event["meta"]["cells"]), "0");
        }
        let nothing = acc(&server, &unwatched).get(events).await.expect(200);
        assert_eq!(objects(&nothing), &[] as &[Value], "off unless asked for");
    }

    async fn regions_are_kept_checked_and_taken_back(database: &str) {
        let server = Server::start_with(database).await;
        let channel = create_channel_from(&server, "a", &nowhere()).await;
        let api = acc(&server, &channel);
        let caps = api.get(&path_of(&channel)).await.expect(200);
        assert_eq!((&caps["caps"]["columns"], &caps["caps"]["rows"]), (&json!(24), &json!(18)));
        let regions = format!("{}regions/", path_of(&channel));
        assert_eq!(objects(&api.get(&regions).await.expect(200)).len(), 0);
        // What the vendor's script sends: no name, no sensitivity.
        let script = json!({"objects": [{"enabled": true, "map": half(true)}]});
        api.put(&regions, &script).await.expect(200);
        let kept = json!({"objects": [{"sensitivity": 7}]});
        let answer = api.put(&regions, &kept).await.expect(200);
        let region = &answer["objects"][0];
        assert_eq!(
            (&region["map"], &region["enabled"], &region["sensitivity"]),
            (&json!(half(true)), &json!(true), &json!(7))
        );
        let whole = CellMap::ALL.to_string().len();
        let bad = [
            json!({}),
            json!({"objects": {}}),
            json!({"objects": [1]}),
            json!({"objects": [{"map": "////"}]}),
            json!({"objects": [{"map": "x".repeat(whole)}]}),
            json!({"objects": [{"sensitivity": 101}]}),
            json!({"objects": [{"sensitivity": 0.5}]}),
            json!({"objects": [{"name": "n".repeat(65)}]}),
            json!({"objects": vec![json!({}); 9]}),
        ];
        for body in bad {
            assert_vxg_error(&api.put(&regions, &body).await, 400);
        }
        assert_eq!(api.get(&regions).await.expect(200)["objects"], answer["objects"], "nothing changed");
        api.put(&regions, &json!({"objects": []})).await.expect(200);
        assert_eq!(objects(&api.get(&regions).await.expect(200)).len(), 0);
    }
}
