//! Line 24: the calls of the vendor's player, with the inner token in the query and no header.

use super::footage::Footage;
use super::{assert_vxg_error, inner_token, list, nowhere, objects, text, time};
use crate::cameras;
use crate::site::create_channel_from;
use serde_json::{Value, json};

/// The player's query: its credential, and nothing in the headers.
fn token(footage: &Footage) -> String {
    format!("token={}", inner_token(&footage.channel.watch))
}

pub(super) async fn line_24_calls_before_playing(footage: &Footage) {
    let (open, token, id) = (footage.open(), token(footage), footage.channel.id);
    let now = open.get("/api/v2/server/time/").await.expect(200);
    assert!(now["utc"].is_string());
    let off_us = cameras::now().micros_since(time(&now["utc"])).abs();
    assert!(off_us < 10_000_000, "{now}");
    let path = format!("/api/v2/cameras/{id}/?detail=detail&{token}");
    let camera = open.get(&path).await.expect(200);
    assert_eq!(
        (&camera["id"], &camera["status"]),
        (&json!(id), &json!("active"))
    );
    assert!(camera["access"].is_array() || camera["access"].is_string());
    assert!(camera["access"].to_string().contains("\"watch\""));
    assert_eq!(camera["memorycard_recording"], false);
    assert_eq!(camera["name"], "a");
    // Errors that the player has a screen for.
    let wrong = open
        .get(&format!("/api/v2/cameras/{id}/?token=share.x"))
        .await;
    assert_vxg_error(&wrong, 401);
    let other = create_channel_from(&footage.server, "b", &nowhere()).await;
    let path = format!("/api/v2/cameras/{}/?{token}", other.id);
    assert_vxg_error(&open.get(&path).await, 404);
}

pub(super) async fn line_24_streams(footage: &Footage) {
    let (open, token, id) = (footage.open(), token(footage), footage.channel.id);
    let path = format!("/api/v2/cameras/{id}/media_streams/?{token}");
    let streams = open.get(&path).await.expect(200);
    let recorded = text(&streams["rec_ms_id"]);
    assert!(streams["live_ms_id"].is_string());
    let stream = list(&streams["mstreams_supported"])
        .iter()
        .find(|s| s["id"] == recorded)
        .expect("the stream");
    let name = text(&stream["vs_id"]);
    assert!(!name.contains("JPEG"), "{name}");
    let path = format!("/api/v2/cameras/{id}/video/streams");
    let video = open.get(&format!("{path}/{name}/?{token}")).await;
    let video = video.expect(200);
    assert_eq!(video["format"], "H264");
    assert_eq!(video["resolution"], json!([480, 270]));
    let all = open.get(&format!("{path}?{token}")).await.expect(200);
    assert_eq!(objects(&all)[0]["id"], video["id"]);
    let none = open.get(&format!("{path}/none/?{token}")).await;
    assert_vxg_error(&none, 404);
    let path = format!("/api/v4/live/watch/?{token}&stream_id={recorded}");
    let watch = open.get(&path).await.expect(200);
    let playlist = open.get(text(&watch["hls"])).await;
    assert!(playlist.body.starts_with(b"#EXTM3U"), "{playlist:?}");
}

/// The URIs of a playlist, made absolute.
fn uris(playlist: &[u8], base: &url::Url) -> Vec<url::Url> {
    let playlist = String::from_utf8_lossy(playlist).into_owned();
    let lines = playlist.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| base.join(line).expect("a URI"))
        .collect()
}

pub(super) async fn line_24_live(footage: &Footage) {
    let open = footage.open();
    let path = format!("/api/v4/live/watch/?{}", token(footage));
    let watch = open.get(&path).await.expect(200);
    let mut url: url::Url = text(&watch["hls"]).parse().expect("a URL");
    // Down to a segment: every URI carries its own ticket, and any page may read it.
    let page = [("Origin", "https://page.example")];
    let mut depth = 0;
    let media = loop {
        let answer = open.send("GET", url.as_str(), &page, None).await;
        answer.expect_ok();
        assert_eq!(
            answer.header("access-control-allow-origin"),
            "https://page.example"
        );
        if !answer.body.starts_with(b"#EXTM3U") {
            break answer;
        }
        depth += 1;
        assert!(depth < 4, "playlists without end");
        url = uris(&answer.body, &url).pop().expect("a URI");
    };
    assert_eq!(media.header("content-type"), "video/mp4");
    assert!(media.body.len() > 500, "{} bytes", media.body.len());
    url.set_query(None);
    let refused = open.get(url.as_str()).await;
    assert!(
        matches!(refused.status.as_u16(), 401 | 403),
        "no ticket: {}",
        refused.status
    );
}

pub(super) async fn line_24_pictures(footage: &Footage) {
    let (open, token, id) = (footage.open(), token(footage), footage.channel.id);
    let image = open.get(&format!("/api/v4/live/image/?{token}")).await;
    let image = image.expect(200);
    let camera = format!("/api/v2/cameras/{id}/?preview=true&{token}");
    let preview = open.get(&camera).await.expect(200)["preview"].clone();
    for picture in [&image, &preview] {
        check_picture(footage, picture).await;
    }
}

/// A picture object whose URL opens without a header, with the player's cache-buster.
async fn check_picture(footage: &Footage, picture: &Value) {
    assert_eq!(
        (&picture["width"], &picture["height"]),
        (&json!(480), &json!(270))
    );
    let age_us = cameras::now().micros_since(time(&picture["time"]));
    assert!((0..30_000_000).contains(&age_us), "{picture}");
    assert!(time(&picture["expire"]) > cameras::now());
    let url = text(&picture["url"]);
    assert!(!url.contains([' ', '"', '\'', '<', '>', '`']), "{url}");
    let page = [("Origin", "https://page.example")];
    let jpeg = footage
        .open()
        .send("GET", &format!("{url}&1700000000000"), &page, None)
        .await;
    jpeg.expect_ok();
    assert_eq!(jpeg.header("content-type"), "image/jpeg");
    assert_eq!(
        jpeg.header("access-control-allow-origin"),
        "https://page.example"
    );
    assert!(jpeg.body.starts_with(&[0xFF, 0xD8, 0xFF]));
}
