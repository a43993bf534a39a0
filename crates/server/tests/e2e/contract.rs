//! The conformance checklist of the compatible API, line by line, over real HTTP.
//!
//! Numbers are those of the checklist in the design's contract document (section 17).

use crate::cameras;
use crate::client::{Answer, decode_token, encode_token};
use crate::server::Server;
use crate::site::{acc, create_channel, create_channel_from, create_group, wait_for_records};
use serde_json::{Value, json};

/// A source that is never reached: these channels need no video.
fn nowhere() -> Value {
    json!({"url": "rtsp://127.0.0.1:9/none"})
}

/// No text below this value looks like a time with a zone.
fn assert_no_zones(value: &Value) {
    match value {
        Value::String(text) => {
            let is_time =
                text.len() >= 19 && text.as_bytes()[4] == b'-' && text.as_bytes()[10] == b'T';
            let has_zone =
                text.ends_with('Z') || text.get(19..).is_some_and(|rest| rest.contains(['+', '-']));
            assert!(!(is_time && has_zone), "{text} has a zone");
        }
        Value::Array(items) => items.iter().for_each(assert_no_zones),
        Value::Object(members) => members.values().for_each(assert_no_zones),
        _ => {}
    }
}

fn assert_vxg_error(answer: &Answer, status: u16) {
    let error = answer.expect(status);
    assert_eq!(error["status"], status, "{error}");
    assert!(
        error["errorType"].is_string() && error["errorDetail"].is_string(),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_1_to_6_common_rules() {
    let server = Server::start().await;
    let channel = create_channel_from(&server, "a", &nowhere()).await;
    // 1: any run of white space after the scheme, any case.
    for scheme in ["Acc  ", "acc ", "ACC   "] {
        server
            .api(&format!("{scheme}{}", channel.all))
            .get("/api/v4/channel/")
            .await
            .expect(200);
    }
    let inner = decode_token(&channel.all)["token"]
        .as_str()
        .expect("a token")
        .to_owned();
    server
        .api("")
        .get(&format!("/api/v4/channel/?token={inner}"))
        .await
        .expect(200);
    // 2: with and without the slash, and doubled slashes, without a redirect.
    for path in [
        "/api/v3/channels",
        "/api/v3/channels/",
        "//api/v3//channels/",
    ] {
        let list = server.admin().get(path).await.expect(200);
        assert_eq!(list["meta"]["total_count"], 1, "{path}");
    }
    // 3: preflight on any path without credentials.
    for path in [
        "/api/v4/meta/",
        "/api/v5/channels",
        "/v1/channels",
        "/api/v2/storage/data/",
    ] {
        let headers = [
            ("Origin", "https://engine.example"),
            ("Access-Control-Request-Method", "POST"),
            (
                "Access-Control-Request-Headers",
                "authorization,content-type",
            ),
        ];
        let answer = server.api("").send("OPTIONS", path, &headers, None).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.status);
        assert_eq!(
            answer.header("access-control-allow-origin"),
            "https://engine.example"
        );
        assert_eq!(answer.header("access-control-allow-credentials"), "true");
        let allowed = answer.header("access-control-allow-headers").to_lowercase();
        assert!(
            ["authorization", "content-type", "accept", "range"]
                .iter()
                .all(|h| allowed.contains(h)),
            "{allowed}"
        );
    }
    let from_disk = server
        .api("")
        .send("GET", "/api/v2/server/time/", &[("Origin", "null")], None)
        .await;
    assert_eq!(from_disk.header("access-control-allow-origin"), "null");
    // 4: every error is JSON.
    assert_vxg_error(&server.admin().get("/api/v9/nothing/").await, 404);
    assert_vxg_error(
        &server
            .admin()
            .send("PATCH", "/api/v3/channels/", &[], None)
            .await,
        405,
    );
    assert_vxg_error(&server.api("").get("/api/v3/channels/").await, 401);
    assert_vxg_error(
        &server.api("LKey wrong").get("/api/v3/channels/").await,
        401,
    );
    assert_vxg_error(
        &server
            .api(&format!("Acc {}", channel.all))
            .get("/api/v3/channels/")
            .await,
        403,
    );
    let broken = server
        .admin()
        .send("POST", "/api/v3/channels/", &[], Some("{\"name\":".into()))
        .await;
    assert_vxg_error(&broken, 400);
    let huge = format!("{{\"name\":\"{}\"}}", "x".repeat(3 << 20));
    assert_vxg_error(
        &server
            .admin()
            .send("POST", "/api/v3/channels/", &[], Some(huge))
            .await,
        413,
    );
    // 5: the body counts, not its label.
    for label in [&[("Content-Type", "text/plain;charset=UTF-8")][..], &[]] {
        let body = Some(json!({"name": "b"}).to_string());
        server
            .admin()
            .send("POST", "/api/v3/channels/", label, body)
            .await
            .expect(201);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn line_6_times_have_no_zone_and_every_form_parses() {
    let server = Server::start().await;
    let camera = cameras::h264().await;
    let channel = create_channel(&server, "a", &camera).await;
    let records = wait_for_records(&server, &channel, 1).await;
    let api = acc(&server, &channel);
    for path in [
        "/api/v4/channel/",
        "/api/v4/live/watch/",
        "/api/v4/live/image/",
        "/api/v4/storage/records/",
        "/api/v2/server/time/",
    ] {
        assert_no_zones(&api.get(path).await.expect(200));
    }
    assert_no_zones(
        &server
            .admin()
            .get("/api/v3/channels/?detail=detail")
            .await
            .expect(200),
    );
    let start = records[0]["start"].as_str().expect("a time");
    let forms = [
        start.to_owned(),
        start[..19].to_owned(),
        start[..23].to_owned(),
        start[..16].to_owned(),
        start.replace('T', "+").replace(':', "%3A"),
        format!("{start}Z"),
        start[..10].to_owned(),
    ];
    for form in forms {
        let list = api
            .get(&format!("/api/v4/storage/records/?start={form}"))
            .await
            .expect(200);
        assert!(
            list["meta"]["total_count"].as_i64() >= Some(1),
            "{form}: {list}"
        );
    }
    for form in ["NaN-aN-aNTaN:aN:aN", "tomorrow", "2024-13-01T00:00:00"] {
        assert_vxg_error(
            &api.get(&format!("/api/v4/storage/records/?start={form}"))
                .await,
            400,
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_7_to_10_and_14_channels_groups_and_their_tokens() {
    let server = Server::start().await;
    let admin = server.admin();
    // 7
    let channel = admin
        .post("/api/v3/channels/", &json!({"name": "x"}))
        .await
        .expect(201);
    assert!(channel["id"].as_i64() >= Some(1));
    for level in ["all", "watch"] {
        let token = decode_token(channel["access_tokens"][level].as_str().expect("a token"));
        assert_eq!(
            (&token["camid"], &token["access"]),
            (&channel["id"], &json!(level))
        );
        assert!(
            token["token"]
                .as_str()
                .is_some_and(|inner| inner.starts_with("share.")),
            "{token}"
        );
    }
    // 8
    let group = admin
        .post("/api/v3/channel_groups/", &json!({"name": "g"}))
        .await
        .expect(201);
    assert!(group.get("status").is_none() && group["name"] == "g");
    let path = format!("/api/v3/channel_groups/{}/", group["id"]);
    assert_eq!(admin.get(&path).await.expect(200)["channels"], json!([]));
    let token = group["token"].as_str().expect("a token");
    // 9, an empty group first
    let engine = server.api(&format!("SI {token}"));
    assert_eq!(
        engine.get("/api/v5/channels/").await.expect(200)["meta"]["total_count"],
        0
    );
    let put = admin
        .put(&path, &json!({"channels": [channel["id"]]}))
        .await
        .expect(200);
    assert_eq!(put["token"], token);
    assert!(decode_token(token).get("camid").is_none());
    let list = engine.get("/api/v5/channels").await.expect(200);
    let object = &list["objects"][0];
    for key in ["id", "name", "recording", "status", "token"] {
        assert!(!object[key].is_null(), "{key} is missing in {object}");
    }
    // 10
    let acc = server.api(&format!(
        "Acc {}",
        object["token"].as_str().expect("a token")
    ));
    assert!(acc.get("/api/v4/live/watch/").await.expect(200)["rtmp"].is_string());
    // 14: members in another order and more of them; the claims of the client count for nothing.
    let watch = decode_token(channel["access_tokens"]["watch"].as_str().expect("a token"));
    let repacked =
        json!({"zz": 1, "token": watch["token"], "camid": watch["camid"], "access": "all"});
    let agent = server.api(&format!("Acc {}", encode_token(&repacked)));
    agent.get("/api/v4/channel/").await.expect(200);
    assert_vxg_error(&agent.post("/api/v4/meta/", &json!([])).await, 403);
    // Removing the channel from the group closes it for the engine at once.
    admin.put(&path, &json!({"channels": []})).await.expect(200);
    assert_eq!(
        engine.get("/api/v5/channels/").await.expect(200)["meta"]["total_count"],
        0
    );
    let id = &channel["id"];
    server
        .api(&format!("Bearer {token}"))
        .get(&format!("/v1/channels/{id}"))
        .await
        .expect(404);
    assert_eq!(
        admin
            .delete(&format!("/api/v3/channels/{id}/"))
            .await
            .status
            .as_u16(),
        204
    );
    assert_vxg_error(&acc.get("/api/v4/channel/").await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_11_to_13_metadata_documents() {
    let server = Server::start().await;
    let channel = create_channel_from(&server, "a", &nowhere()).await;
    let api = acc(&server, &channel);
    let documents = json!([
        {"timestamp": "2024-05-01T10:00:00", "long": {"Person": 2, "Vehicle": 0}, "string": {"type": "note"}, "float": {}},
        {"timestamp": "2024-05-01T10:01", "long": {"Person": 0, "Vehicle": 3}, "string": {"type": "a clip of Anna"}},
        {"timestamp": "2024-05-01T10:02:00.5", "float": {"lux": 0.25}, "raw_data": "free"},
        {"timestamp": "never"},
    ]);
    // 11
    let posted = api.post("/api/v4/meta/", &documents).await.expect(200);
    let statuses: Vec<&Value> = posted["objects"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|o| &o["status"])
        .collect();
    assert_eq!(statuses, [201, 201, 201, 400]);
    assert_eq!(
        (
            &posted["meta"]["errors_count"],
            &posted["meta"]["total_count"]
        ),
        (&json!(1), &json!(4))
    );
    let id = posted["objects"][0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    // 12
    let count = async |filter: Value| {
        let found = api
            .post(
                "/api/v4/meta/filter/",
                &json!({"filter": filter, "limit": 10}),
            )
            .await
            .expect(200);
        for object in found["objects"].as_array().expect("a list") {
            assert!(
                object["long"].is_object() && object["string"].is_object(),
                "{object}"
            );
            assert_no_zones(object);
        }
        found["meta"]["total_count"].as_i64().expect("a count")
    };
    assert_eq!(count(json!({})).await, 3);
    let nested = json!({"and": [
        {"or": [{"field": "long.Person", "gt": 1}, {"field": "long.Vehicle", "eq": 3}]},
        {"field": "timestamp", "gte": "2024-05-01T10:00", "lte": "2024-05-01T10:01:00"}]});
    assert_eq!(count(nested).await, 2);
    assert_eq!(
        count(json!({"field": "long.Person", "lt": 1})).await,
        1,
        "a document without the field does not match"
    );
    assert_eq!(
        count(json!({"field": "string.type", "words_in": "NOTE"})).await,
        1
    );
    assert_eq!(
        count(json!({"field": "string.type", "words_in": "clip anna"})).await,
        1
    );
    assert_eq!(
        count(json!({"not": {"field": "long.Person", "exists": true}})).await,
        1
    );
    let sorted = json!({"sort": ["-timestamp"], "limit": 1, "offset": 1});
    let page = api.post("/api/v4/meta/filter/", &sorted).await.expect(200);
    assert_eq!(
        (
            page["objects"].as_array().map(Vec::len),
            &page["meta"]["total_count"]
        ),
        (Some(1), &json!(3))
    );
    assert_eq!(page["objects"][0]["string"]["type"], "a clip of Anna");
    assert_vxg_error(
        &api.post(
            "/api/v4/meta/filter/",
            &json!({"filter": {"field": "timestamp", "gt": ""}}),
        )
        .await,
        400,
    );
    // 13
    let put = json!([{"id": id, "string": {"description": "seen"}}]);
    assert_eq!(
        api.put("/api/v4/meta/", &put).await.expect(200)["objects"][0]["status"],
        200
    );
    let merged = api
        .post(
            "/api/v4/meta/filter/",
            &json!({"filter": {"field": "id", "eq": id}}),
        )
        .await
        .expect(200);
    assert_eq!(
        merged["objects"][0]["string"],
        json!({"type": "note", "description": "seen"})
    );
    assert_eq!(merged["objects"][0]["long"]["Person"], 2);
    api.send(
        "DELETE",
        "/api/v4/meta/",
        &[],
        Some(json!([{"id": id}]).to_string()),
    )
    .await
    .expect(200);
    assert_eq!(count(json!({})).await, 2);
    assert_vxg_error(
        &api.send("DELETE", "/api/v4/meta/filter/", &[], Some("{}".into()))
            .await,
        400,
    );
    let by_filter = json!({"filter": {"field": "float.lux", "gt": 0.1}}).to_string();
    api.send("DELETE", "/api/v4/meta/filter/", &[], Some(by_filter))
        .await
        .expect(200);
    assert_eq!(count(json!({})).await, 1);
    // Over a group, with SI (row 35).
    let other = create_channel_from(&server, "b", &nowhere()).await;
    acc(&server, &other)
        .post(
            "/api/v4/meta/",
            &json!([{"timestamp": "2024-05-01T10:00:00"}]),
        )
        .await
        .expect(200);
    let group = create_group(&server, &[&channel, &other]).await;
    let found = server
        .api(&format!("SI {group}"))
        .post("/api/v2/storage/meta/filter/", &json!({}))
        .await
        .expect(200);
    assert_eq!(found["meta"]["total_count"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_18_19_and_25_records_timeline_and_paging() {
    let server = Server::start().await;
    let camera = cameras::h264().await;
    let channel = create_channel(&server, "a", &camera).await;
    let records = wait_for_records(&server, &channel, 3).await;
    let api = acc(&server, &channel);
    // 18: closed intervals: a record that ends at t and one that starts at t are both there.
    let (first, second) = (&records[0], &records[1]);
    let boundary = second["start"].as_str().expect("a time");
    let ending = api
        .get(&format!(
            "/api/v4/storage/records/?end={boundary}&limit=1&order_by=-time"
        ))
        .await
        .expect(200);
    let starting = api
        .get(&format!(
            "/api/v4/storage/records/?start={boundary}&limit=100"
        ))
        .await
        .expect(200);
    assert_eq!(
        ending["objects"][0]["start"], second["start"],
        "the very same text"
    );
    assert!(
        starting["objects"]
            .as_array()
            .expect("a list")
            .iter()
            .any(|r| r["start"] == second["start"])
    );
    let inside = first["end"].as_str().expect("a time");
    let data = server
        .admin()
        .get(&format!(
            "/api/v2/storage/data/?camid={}&start={inside}&end={inside}",
            channel.id
        ))
        .await
        .expect(200);
    assert_eq!(data["objects"][0]["start"], first["start"]);
    let names: std::collections::BTreeSet<&str> = records
        .iter()
        .map(|r| r["url"].as_str().expect("a URL"))
        .map(|url| {
            url.split('?')
                .next()
                .expect("a path")
                .rsplit('/')
                .next()
                .expect("a name")
        })
        .collect();
    assert_eq!(names.len(), records.len());
    assert!(names.iter().all(|name| name.ends_with(".mp4")), "{names:?}");
    let url = first["url"].as_str().expect("a URL");
    assert!(!url.contains([' ', '"', '\'', '<', '>', '`']), "{url}");
    let open = server.api("");
    let part = open
        .send("GET", url, &[("Range", "bytes=0-99")], None)
        .await;
    assert_eq!((part.status.as_u16(), part.body.len()), (206, 100));
    assert_eq!(
        part.header("content-range"),
        format!("bytes 0-99/{}", first["size"])
    );
    let busted = open.get(&format!("{url}&1700000000000")).await;
    assert_eq!(
        (busted.status.as_u16(), busted.header("content-type")),
        (200, "video/mp4")
    );
    let other = open
        .get(&url.replace(&format!("/{}/", channel.id), "/999/"))
        .await;
    assert!(
        matches!(other.status.as_u16(), 401 | 403 | 404),
        "a ticket opens one record only: {}",
        other.status
    );
    // 19
    let timeline = api
        .get(&format!(
            "/api/v2/storage/timeline/{}/?slices=3&limit=1000&start={}",
            channel.id,
            first["start"].as_str().expect("a time")
        ))
        .await
        .expect(200);
    let periods = timeline["objects"][0]["3"].as_array().expect("a list");
    assert_eq!(
        periods.len(),
        1,
        "records that touch are one period: {timeline}"
    );
    assert!(periods[0][1].as_i64() >= Some(4), "{timeline}");
    let empty = api.get(&format!("/api/v2/storage/timeline/{}/?slices=4&start=2001-01-01T00:00:00&end=2001-01-02T00:00:00", channel.id)).await.expect(200);
    assert_eq!(empty["objects"][0], json!({"4": []}));
    // 25: pages follow `next`, which keeps every parameter and the token, and ends with null.
    let inner = decode_token(&channel.all)["token"]
        .as_str()
        .expect("a token")
        .to_owned();
    let mut next = Some(format!(
        "/api/v4/storage/records/?limit=1&order_by=time&end={}&token={inner}",
        records[2]["start"].as_str().expect("a time")
    ));
    let mut seen = Vec::new();
    while let Some(path) = next {
        assert!(path.starts_with("/api/") && path.contains('?'), "{path}");
        let page = open.get(&path).await.expect(200);
        seen.extend(
            page["objects"]
                .as_array()
                .expect("a list")
                .iter()
                .map(|r| r["start"].clone()),
        );
        next = page["meta"]["next"].as_str().map(str::to_owned);
    }
    let expected: Vec<Value> = records[..3].iter().map(|r| r["start"].clone()).collect();
    assert_eq!(seen, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_23_24_and_26_tags_player_calls_and_watch_tokens() {
    let server = Server::start().await;
    let camera = cameras::h264().await;
    let channel = create_channel(&server, "a", &camera).await;
    wait_for_records(&server, &channel, 1).await;
    let admin = server.admin();
    // 23
    let tags = format!("/api/v3/channels/{}/meta/", channel.id);
    admin
        .post(&tags, &json!({"tag": "site", "data": "berlin"}))
        .await
        .expect(201);
    assert_vxg_error(
        &admin
            .post(&tags, &json!({"tag": "site", "data": "x"}))
            .await,
        400,
    );
    admin
        .put(&format!("{tags}site/"), &json!({"data": "bonn"}))
        .await
        .expect(200);
    assert_eq!(
        admin.get(&tags).await.expect(200)["objects"],
        json!([{"tag": "site", "data": "bonn"}])
    );
    // 24: the calls of the vendor's player, with the inner token in the query and no header.
    let inner = decode_token(&channel.watch)["token"]
        .as_str()
        .expect("a token")
        .to_owned();
    let open = server.api("");
    let id = channel.id;
    let time = open.get("/api/v2/server/time/").await.expect(200);
    assert!(time["utc"].is_string());
    let camera = open
        .get(&format!(
            "/api/v2/cameras/{id}/?detail=detail&token={inner}"
        ))
        .await
        .expect(200);
    assert_eq!(
        (&camera["id"], &camera["status"]),
        (&json!(id), &json!("active"))
    );
    assert!(camera["access"].is_array() || camera["access"].is_string());
    let streams = open
        .get(&format!(
            "/api/v2/cameras/{id}/media_streams/?token={inner}"
        ))
        .await
        .expect(200);
    let recorded = streams["rec_ms_id"].as_str().expect("an id");
    assert!(streams["live_ms_id"].is_string());
    let stream = streams["mstreams_supported"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|s| s["id"] == recorded)
        .expect("the stream");
    let video = open
        .get(&format!(
            "/api/v2/cameras/{id}/video/streams/{}/?token={inner}",
            stream["vs_id"].as_str().expect("an id")
        ))
        .await
        .expect(200);
    assert_eq!(video["format"], "H264");
    let watch = open
        .get(&format!(
            "/api/v4/live/watch/?token={inner}&stream_id={recorded}"
        ))
        .await
        .expect(200);
    let playlist = open.get(watch["hls"].as_str().expect("a URL")).await;
    assert!(playlist.body.starts_with(b"#EXTM3U"), "{playlist:?}");
    // 26
    let watcher = server.api(&format!("Acc {}", channel.watch));
    for path in [
        "/api/v4/channel/",
        "/api/v4/live/image/",
        "/api/v4/storage/records/",
    ] {
        watcher.get(path).await.expect(200);
    }
    for (method, path) in [
        ("POST", "/api/v4/meta/"),
        ("PUT", "/api/v4/channel/"),
        ("POST", "/api/v4/meta/filter/"),
        ("PUT", "/api/v4/live/source/"),
    ] {
        let answer = watcher.send(method, path, &[], Some("{}".into())).await;
        assert_vxg_error(&answer, 403);
        assert_eq!(answer.json()["errorType"], "access_deny", "{method} {path}");
    }
}
