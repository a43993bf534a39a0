//! Line 6: times without a zone in answers, every form of them in requests.

use super::footage::Footage;
use super::{assert_no_zones, assert_vxg_error, list, nowhere, objects, text, time};
use crate::cameras;
use crate::server::Server;
use crate::site::{acc, create_channel_from, create_group};
use crate::text::first;
use framewell_model::WallTime;
use serde_json::json;

/// What HTML pages with empty fields, people and bugs send.
const NO_TIMES: [&str; 6] = [
    "NaN-aN-aNTaN:aN:aN",
    "tomorrow",
    "2024-13-01T00:00:00",
    "2024-02-30T00:00:00",
    "2024-05-01T25:00:00",
    "",
];

pub(super) async fn line_6_answers_have_no_zone(footage: &Footage) {
    let api = footage.acc();
    let id = footage.channel.id;
    for path in [
        "/api/v4/channel/",
        "/api/v4/live/watch/",
        "/api/v4/live/image/",
        "/api/v4/storage/records/",
        "/api/v2/server/time/",
        "/api/v2/storage/data/",
        &format!("/api/v2/cameras/{id}/?detail=detail&preview=true"),
        &format!("/api/v2/storage/timeline/{id}/"),
    ] {
        assert_no_zones(&api.get(path).await.expect(200));
    }
    let admin = footage.server.admin();
    for path in ["/api/v3/channels/?detail=detail", "/api/v3/channel_groups/"] {
        assert_no_zones(&admin.get(path).await.expect(200));
    }
    let group = create_group(&footage.server, &[&footage.channel]).await;
    let view = footage.server.api(&format!("SI {group}"));
    let view = view
        .get("/api/v5/channels/?preview=true&include_meta=true")
        .await;
    let view = view.expect(200);
    assert!(objects(&view)[0]["preview"]["time"].is_string(), "{view}");
    assert_no_zones(&view);
    // URLs that are handed out end in the future.
    let urls = api.get("/api/v4/live/watch/").await.expect(200);
    let records = api.get("/api/v4/storage/records/").await.expect(200);
    for expire in [
        &urls["expire"],
        &urls["expire_hls"],
        &records["meta"]["expire"],
    ] {
        assert!(time(expire) > cameras::now(), "{expire}");
    }
}

pub(super) async fn line_6_ranges_take_every_form(footage: &Footage) {
    let api = footage.acc();
    let start = text(&footage.records[0]["start"]);
    let forms = [
        start.to_owned(),
        first(start, 19).to_owned(),
        first(start, 23).to_owned(),
        first(start, 16).to_owned(),
        start.replace('T', "+").replace(':', "%3A"),
        format!("{start}Z"),
        first(start, 10).to_owned(),
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
}

#[tokio::test(flavor = "multi_thread")]
async fn line_6_what_is_no_time_is_refused() {
    let server = Server::start().await;
    let channel = create_channel_from(&server, "a", &nowhere()).await;
    let api = acc(&server, &channel);
    let id = channel.id;
    for form in NO_TIMES {
        for path in [
            format!("/api/v4/storage/records/?start={form}"),
            format!("/api/v4/storage/records/?end={form}"),
            format!("/api/v2/storage/data/?camid={id}&start={form}"),
            format!("/api/v2/storage/timeline/{id}/?slices=3&start={form}"),
            format!("/api/v2/storage/timeline/{id}/?slices=3&end={form}"),
        ] {
            assert_vxg_error(&api.get(&path).await, 400);
        }
        let filter = json!({"filter": {"field": "timestamp", "gte": form}});
        assert_vxg_error(&api.post("/api/v4/meta/filter/", &filter).await, 400);
        let posted = api
            .post("/api/v4/meta/", &json!([{"timestamp": form}]))
            .await;
        let posted = posted.expect(200);
        assert_eq!(posted["objects"][0]["status"], 400, "{form}");
        let group = json!({"name": "g", "expire": form});
        let answer = server.admin().post("/api/v3/channel_groups/", &group).await;
        assert_vxg_error(&answer, 400);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn line_6_every_form_means_the_moment_it_says() {
    let server = Server::start().await;
    let channel = create_channel_from(&server, "a", &nowhere()).await;
    let api = acc(&server, &channel);
    let forms = [
        ("2024-05-01T10:20:30", "2024-05-01T10:20:30Z"),
        ("2024-05-01T10:20:30.123", "2024-05-01T10:20:30.123Z"),
        ("2024-05-01T10:20:30.123456", "2024-05-01T10:20:30.123456Z"),
        ("2024-05-01 10:20:30.123456", "2024-05-01T10:20:30.123456Z"),
        ("2024-05-01T10:20", "2024-05-01T10:20:00Z"),
        ("2024-05-01T10:20:30.5Z", "2024-05-01T10:20:30.5Z"),
        ("2024-05-01T12:20:30+02:00", "2024-05-01T10:20:30Z"),
        ("2024-05-01", "2024-05-01T00:00:00Z"),
        ("2024-05-1", "2024-05-01T00:00:00Z"),
    ];
    for (form, moment) in forms {
        let posted = api
            .post("/api/v4/meta/", &json!([{"timestamp": form}]))
            .await;
        let posted = posted.expect(200);
        assert_eq!(posted["objects"][0]["status"], 201, "{form}: {posted}");
        let id = &posted["objects"][0]["id"];
        let same = json!({"filter": {"and": [
            {"field": "id", "eq": id}, {"field": "timestamp", "eq": form}]}});
        let found = api.post("/api/v4/meta/filter/", &same).await.expect(200);
        assert_eq!(found["meta"]["total_count"], 1, "{form}");
        assert_no_zones(&found);
        let moment: WallTime = moment.parse().expect("a time");
        assert_eq!(time(&list(&found["objects"])[0]["timestamp"]), moment);
    }
}
