//! Pictures and files that clients bring to events.

use crate::events::{EVENTS, create};
use crate::site::{Answer, Site, text};
use axum::body::Body;
use framewell_api::ApiConfig;
use serde_json::{Value, json};

/// The smallest file that is a JPEG by its headers.
fn jpeg(width: u16, height: u16) -> Vec<u8> {
    let mut file = vec![0xff, 0xd8, 0xff, 0xc0, 0, 11, 8];
    file.extend(height.to_be_bytes());
    file.extend(width.to_be_bytes());
    file.extend([1, 1, 0x11, 0, 0xff, 0xd9]);
    file
}

async fn attach(site: &Site, authorization: &str, event: i64, parts: &[(&str, &[u8])]) -> Answer {
    let mut body = Vec::new();
    for (name, data) in parts {
        let head = format!(
            "--B0\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"x\"\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(data);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--B0--\r\n");
    let headers = [
        ("authorization", authorization),
        ("content-type", "multipart/form-data; boundary=B0"),
    ];
    let uri = format!("/v1/events/{event}/attachments");
    site.send("POST", &uri, &headers, Body::from(body)).await
}

/// Without the ticket, which names the token that asked.
fn path(url: &Value) -> &str {
    text(url).split('?').next().unwrap()
}

#[tokio::test]
async fn a_client_brings_the_picture_and_the_file_of_an_event() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let event = create(
        &site,
        &channel,
        &json!({"name": "object_and_scene_detection", "time": "2024-05-01T10:00:00"}),
    )
    .await;
    let labels = r#"{"Labels":[{"Name":"Person"}]}"#;
    let small = jpeg(320, 180);
    let parts: [(&str, &[u8]); 2] = [("picture", &small), ("file", labels.as_bytes())];
    let attached = attach(&site, &channel.all, event, &parts).await.expect(200);
    let shown = site
        .get(
            &channel.watch,
            &format!("{EVENTS}?include_filemeta_download=true"),
        )
        .await
        .expect(200);
    let object = &shown["objects"][0];
    assert_eq!(
        (&object["thumb"]["width"], &object["thumb"]["height"]),
        (&json!(320), &json!(180))
    );
    assert_eq!(object["thumb"]["time"], "2024-05-01T10:00:00.000000");
    assert_eq!(object["thumb"]["size"], small.len());
    assert_eq!(path(&object["thumb"]["url"]), path(&attached["picture"]));
    assert_eq!(
        path(&object["filemeta"]["download"]["url"]),
        path(&attached["file"])
    );
    let fetch = async |url: &Value| {
        let path = text(url)
            .strip_prefix("http://vms.test:8080")
            .unwrap()
            .to_owned();
        site.get("", &path).await
    };
    let picture = fetch(&attached["picture"]).await;
    assert_eq!(
        (picture.status.as_u16(), picture.body.as_ref()),
        (200, small.as_slice())
    );
    let file = fetch(&attached["file"]).await;
    assert_eq!(
        (file.expect(200), file.header("content-type")),
        (serde_json::from_str(labels).unwrap(), "application/json")
    );
    let bare = json!(path(&attached["file"]));
    assert_eq!(fetch(&bare).await.status.as_u16(), 401);
    // Brought again, each takes the place of the one before.
    let large = jpeg(640, 360);
    let again = attach(&site, &channel.all, event, &[("picture", &large)])
        .await
        .expect(200);
    assert_ne!(again["picture"], attached["picture"]);
    let shown = site.get(&channel.watch, EVENTS).await.expect(200);
    assert_eq!(shown["objects"][0]["thumb"]["width"], 640);
    assert_eq!(fetch(&attached["picture"]).await.status.as_u16(), 404);
}

#[tokio::test]
async fn forms_that_are_not_right_are_refused_and_leave_nothing() {
    let site = Site::with(ApiConfig::default()).await;
    let channel = site.channel("a").await;
    let event = create(
        &site,
        &channel,
        &json!({"name": "x", "time": "2024-05-01T10:00:00"}),
    )
    .await;
    let good = jpeg(8, 8);
    let long = vec![b' '; (1 << 20) + 1];
    let forms: [&[(&str, &[u8])]; 6] = [
        &[],
        &[("other", b"{}")],
        &[("picture", b"no picture")],
        &[("picture", &good), ("file", b"{no json}")],
        &[("picture", &good), ("file", b"\"\xff\"")],
        &[("file", &long)],
    ];
    for parts in forms {
        let answer = attach(&site, &channel.all, event, parts).await;
        assert_eq!(answer.status.as_u16(), 400, "{:?}", answer.body);
        assert!(answer.json()["error"]["message"].is_string());
    }
    let huge = vec![0; (10 << 20) + 1];
    let answer = attach(&site, &channel.all, event, &[("picture", &huge)]).await;
    assert_eq!(answer.status.as_u16(), 413);
    let shown = site
        .get(
            &channel.watch,
            &format!("{EVENTS}?include_filemeta_download=true"),
        )
        .await
        .expect(200);
    assert_eq!(
        (
            shown["objects"][0].get("thumb"),
            shown["objects"][0].get("filemeta")
        ),
        (None, None)
    );
    assert_eq!(
        attach(&site, &channel.watch, event, &[("picture", &good)])
            .await
            .status
            .as_u16(),
        403
    );
    let other = site.channel("b").await;
    assert_eq!(
        attach(&site, &other.all, event, &[("picture", &good)])
            .await
            .status
            .as_u16(),
        404
    );
}
