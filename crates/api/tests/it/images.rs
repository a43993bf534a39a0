//! Stored pictures and their generation (contract sections 2.8, 7.5 and 8), without a decoder.

use crate::site::{PICTURE, Site, TestChannel, assert_compat_error, assert_no_zone, inner, text};
use axum::http::StatusCode;
use framewell_model::ImageOrigin;
use serde_json::{Value, json};

const TASKS: &str = "/api/v4/images/generation/tasks/";
const LIVE: &str = "/api/v4/images/generation/live/";
const IMAGES: &str = "/api/v4/storage/images/";
const THUMBNAILS: &str = "/api/v2/storage/thumbnails/";

fn task(period: &Value) -> Value {
    json!({"period": period, "start": "2024-05-01T10:00:00", "end": "2024-05-01T11:00:00"})
}

fn ids(answer: &Value) -> Vec<i64> {
    let objects = answer["objects"].as_array().unwrap();
    objects.iter().map(|o| o["id"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn a_task_takes_its_period_as_text_or_number() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    for (period, shown) in [
        (json!("60"), 60.0),
        (json!("0.5"), 0.5),
        (json!(5), 5.0),
        (json!(2.25), 2.25),
    ] {
        let created = site
            .post(&channel.all, TASKS, &task(&period))
            .await
            .expect(201);
        assert!(created["id"].as_i64() >= Some(1), "{created}");
        assert_eq!(
            (&created["status"], &created["period"]),
            (&json!("pending"), &json!(shown))
        );
        assert_no_zone(&created);
        let path = format!("{TASKS}{}/", created["id"]);
        assert_eq!(site.get(&channel.watch, &path).await.expect(200), created);
    }
}

#[tokio::test]
async fn tasks_that_make_no_sense_are_refused_with_their_reason() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    for period in [
        json!(0),
        json!(-1),
        json!("0"),
        json!(""),
        json!("abc"),
        json!("NaN"),
        json!(null),
        json!([5]),
        json!("1e300"),
        json!(0.0001),
        json!(1e9),
    ] {
        let refused = site.post(&channel.all, TASKS, &task(&period)).await;
        assert_compat_error(&refused, 400, "invalid_param");
    }
    let range = |start: &str, end: &str| json!({"period": 1, "start": start, "end": end});
    for (body, reason) in [
        (
            range("2024-05-01T11:00:00", "2024-05-01T10:00:00"),
            "end must lie after start",
        ),
        (
            range("2024-05-01T10:00:00", "2024-05-01T10:00:00"),
            "end must lie after start",
        ),
        (range("NaN-aN-aNTaN:aN:aN", "2024-05-01T10:00:00"), "start"),
        (range("2024-05-01T10:00:00", ""), "end"),
        (
            range("2024-05-02T10:00:00", "2024-05-02T11:00:00"),
            "future",
        ),
        (
            range("2024-01-01T10:00:00", "2024-05-01T11:00:00"),
            "100000 are allowed",
        ),
        (
            json!({"period": 1, "start": "2024-05-01T10:00:00"}),
            "end is missing",
        ),
        (json!({}), "missing"),
    ] {
        let refused = site.post(&channel.all, TASKS, &body).await;
        assert_compat_error(&refused, 400, "invalid_param");
        let detail = text(&refused.json()["errorDetail"]).to_owned();
        assert!(detail.contains(reason), "{detail}");
    }
}

#[tokio::test]
async fn tasks_are_listed_and_forgotten_by_their_channel_only() {
    let site = Site::new().await;
    let (a, b) = (site.channel("a").await, site.channel("b").await);
    let (first, second) = (site.task(&a).await, site.task(&a).await);
    let list = site
        .get(&a.watch, &format!("{TASKS}?order_by=-created&limit=1"))
        .await
        .expect(200);
    assert_eq!(
        (ids(&list), &list["meta"]["total_count"]),
        (vec![second], &json!(2))
    );
    assert!(text(&list["meta"]["next"]).contains("order_by=-created"));
    assert_compat_error(
        &site.get(&a.all, &format!("{TASKS}?order_by=id")).await,
        400,
        "invalid_param",
    );
    let path = format!("{TASKS}{first}/");
    for refused in [
        site.get(&b.all, &path).await,
        site.delete(&b.all, &path).await,
    ] {
        assert_compat_error(&refused, 404, "not_found");
    }
    assert_compat_error(&site.delete(&a.watch, &path).await, 403, "access_deny");
    site.delete(&a.all, &path).await.expect(204);
    assert_compat_error(&site.get(&a.all, &path).await, 404, "not_found");
    assert_compat_error(
        &site.get(&a.all, &format!("{TASKS}none/")).await,
        404,
        "not_found",
    );
    assert_eq!(ids(&site.get(&a.all, TASKS).await.expect(200)), [second]);
}

#[tokio::test]
async fn a_channel_has_a_bounded_number_of_open_tasks() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    for _ in 0..100 {
        site.task(&channel).await;
    }
    let refused = site.post(&channel.all, TASKS, &task(&json!(60))).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(!refused.header("retry-after").is_empty());
    site.task(&site.channel("b").await).await;
}

#[tokio::test]
async fn the_period_of_live_pictures_is_one_setting_with_two_doors() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let get = async || site.get(&channel.watch, LIVE).await.expect(200);
    assert_eq!(get().await, json!({"image_generation_period": null}));
    for (sent, stored) in [
        (json!("1.0"), json!(1.0)),
        (json!(0.5), json!(0.5)),
        (json!(60), json!(60.0)),
        (json!(null), json!(null)),
        (json!("180"), json!(180.0)),
    ] {
        let body = json!({"image_generation_period": sent});
        let answer = site.put(&channel.all, LIVE, &body).await.expect(200);
        assert_eq!(answer["image_generation_period"], stored);
        assert_eq!(get().await["image_generation_period"], stored);
        let shown = site.get(&channel.all, "/api/v4/channel/").await.expect(200);
        assert_eq!(shown["image_generation_period"], stored);
    }
    for bad in [
        json!(0),
        json!(-5),
        json!("x"),
        json!(""),
        json!(0.01),
        json!(1e9),
        json!(true),
    ] {
        let body = json!({"image_generation_period": bad});
        for path in [LIVE, "/api/v4/channel/"] {
            assert_compat_error(
                &site.put(&channel.all, path, &body).await,
                400,
                "invalid_param",
            );
        }
    }
    assert_compat_error(
        &site.put(&channel.all, LIVE, &json!({})).await,
        400,
        "invalid_param",
    );
    assert_eq!(
        get().await["image_generation_period"],
        180.0,
        "what is refused changes nothing"
    );
}

/// Two pictures of a task, one of the live stream, one thumbnail, at :05, :06, :07 and :08.
async fn pictures(site: &Site, channel: &TestChannel) -> [i64; 4] {
    let at = |second| format!("2024-05-01T10:00:0{second}Z");
    [
        site.picture(channel.id, &at(5)).await,
        site.picture(channel.id, &at(6)).await,
        site.picture_of(channel.id, &at(7), ImageOrigin::GeneratedFromLive)
            .await,
        site.picture_of(channel.id, &at(8), ImageOrigin::RecordingThumbnail)
            .await,
    ]
}

#[tokio::test]
async fn pictures_are_filtered_and_ordered() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let all = pictures(&site, &channel).await;
    let list = async |query: &str| {
        let answer = site
            .get(&channel.watch, &format!("{IMAGES}?{query}"))
            .await
            .expect(200);
        assert_no_zone(&answer);
        ids(&answer)
    };
    assert_eq!(list("").await, all);
    let mut newest_first = all;
    newest_first.reverse();
    assert_eq!(list("order_by=-time").await, newest_first);
    assert_eq!(
        list("origin=generated_from_records&origin_ids=55").await,
        all[..2]
    );
    assert_eq!(
        list("origin=generated_from_records&origin_ids=54,56").await,
        [0; 0]
    );
    assert_eq!(list("origin_ids=55").await, all[..2]);
    // The task's first picture was on screen when its range began.
    assert_eq!(
        list("origin_ids=55&start=2024-05-01T10:00:05.900000").await,
        all[..2]
    );
    assert_eq!(list("start=2024-05-01T10:00:05.900000").await, all[1..]);
    assert_eq!(list("origin=generated_from_live").await, all[2..3]);
    assert_eq!(
        list("origin=recording_thumbnail,generated_from_live").await,
        all[2..]
    );
    assert_eq!(list("origin=undefined").await, [0; 0]);
    assert_eq!(list("origin=").await, all);
    assert_eq!(
        list("start=2024-05-01T10:00:06&end=2024-05-01T10:00:07").await,
        all[1..3]
    );
    assert_eq!(
        list("start=2024-05-01%2010:00:06.000000&end=2024-05-01+10:00:07").await,
        all[1..3]
    );
}

#[tokio::test]
async fn wrong_filters_of_pictures_are_refused() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    for bad in [
        "start=",
        "start=NaN-aN-aNTaN:aN:aN",
        "origin_ids=a",
        "order_by=id",
        "limit=-1",
    ] {
        let refused = site.get(&channel.all, &format!("{IMAGES}?{bad}")).await;
        assert_compat_error(&refused, 400, "invalid_param");
    }
}

#[tokio::test]
async fn pages_of_pictures_follow_next_which_keeps_everything() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let all = pictures(&site, &channel).await;
    let token = inner(&channel.watch);
    let mut path = format!("{IMAGES}?limit=3&origin_ids=&order_by=time&token={token}");
    let mut seen = Vec::new();
    loop {
        let page = site.get("", &path).await.expect(200);
        assert_eq!(page["meta"]["total_count"], 4);
        assert!(page["meta"]["expire"].is_string());
        seen.extend(ids(&page));
        match page["meta"]["next"].as_str() {
            Some(next) => path = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen, all);
}

#[tokio::test]
async fn thumbnails_span_what_the_credential_reaches() {
    let site = Site::new().await;
    let (a, b, c) = (
        site.channel("a").await,
        site.channel("b").await,
        site.channel("c").await,
    );
    let (first, second) = (pictures(&site, &a).await, pictures(&site, &b).await);
    let third = pictures(&site, &c).await;
    let (_, group) = site.group(&[&a, &b], "watch").await;
    let list = async |credential: &str, query: &str| {
        let path = format!("{THUMBNAILS}?origin=generated_from_live&{query}");
        site.get(credential, &path).await
    };
    let (live_a, live_b, live_c) = (first[2], second[2], third[2]);
    let found = list(&group, "order_by=-time").await.expect(200);
    assert_eq!(ids(&found), [live_b, live_a], "equal times by id");
    let cameras: Vec<&Value> = found["objects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|o| &o["camid"])
        .collect();
    assert_eq!(cameras, [&json!(b.id), &json!(a.id)]);
    let one = list(&group, &format!("camid={}", a.id)).await.expect(200);
    assert_eq!(ids(&one), [live_a]);
    assert_compat_error(
        &list(&group, &format!("camid={}", c.id)).await,
        404,
        "not_found",
    );
    assert_eq!(ids(&list(&a.watch, "").await.expect(200)), [live_a]);
    let by_token = list("", &format!("token={}", inner(&b.all)))
        .await
        .expect(200);
    assert_eq!(ids(&by_token), [live_b]);
    assert_eq!(
        ids(&list(site.key(), "").await.expect(200)),
        [live_a, live_b, live_c]
    );
    let (_, empty) = site.group(&[], "watch").await;
    assert_eq!(list(&empty, "").await.expect(200)["meta"]["total_count"], 0);
    assert_compat_error(&site.get(&group, IMAGES).await, 403, "access_deny");
}

#[tokio::test]
async fn urls_carry_their_origin() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    pictures(&site, &channel).await;
    let list = site.get(&channel.watch, IMAGES).await.expect(200);
    let objects = list["objects"].as_array().unwrap();
    let urls: Vec<&str> = objects.iter().map(|o| text(&o["url"])).collect();
    assert!(
        urls[0].contains("_recig_") && urls[1].contains("_recig_"),
        "{urls:?}"
    );
    assert!(urls[2].contains("_livig_"), "{urls:?}");
    assert!(
        !urls[3].contains("_recig_") && !urls[3].contains("_livig_"),
        "{urls:?}"
    );
    assert!(!urls[0].contains([' ', '"', '\'', '<', '>', '`']));
    assert_eq!(
        (
            &objects[0]["width"],
            &objects[0]["height"],
            &objects[0]["size"]
        ),
        (&json!(1280), &json!(720), &json!(PICTURE.len()))
    );
    assert_eq!(objects[0]["time"], "2024-05-01T10:00:05.000000");
}

#[tokio::test]
async fn a_url_opens_one_picture_without_headers() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    pictures(&site, &channel).await;
    let list = site.get(&channel.watch, IMAGES).await.expect(200);
    let objects = list["objects"].as_array().unwrap();
    let path = text(&objects[0]["url"])
        .strip_prefix("http://vms.test:8080")
        .unwrap();
    let answer = site.get("", &format!("{path}&1714558830123")).await;
    assert_eq!((answer.status, &answer.body[..]), (StatusCode::OK, PICTURE));
    assert_eq!(answer.header("content-type"), "image/jpeg");
    assert_eq!(answer.header("content-length"), PICTURE.len().to_string());
    let (bare, ticket) = path.split_once('?').unwrap();
    let other = text(&objects[1]["url"])
        .strip_prefix("http://vms.test:8080")
        .unwrap();
    let (other, _) = other.split_once('?').unwrap();
    for wrong in [
        bare.to_owned(),
        format!("{other}?{ticket}"),
        format!("{bare}?ticket=media.x"),
    ] {
        let refused = site.get("", &wrong).await;
        assert!(
            matches!(refused.status.as_u16(), 401 | 403),
            "{wrong}: {}",
            refused.status
        );
    }
    let head = site.send("HEAD", path, &[], "").await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
    assert_eq!(head.header("content-length"), PICTURE.len().to_string());
    let part = site.send("GET", path, &[("range", "bytes=2-4")], "").await;
    assert_eq!(
        (part.status, &part.body[..]),
        (StatusCode::PARTIAL_CONTENT, &PICTURE[2..5])
    );
    let tag = answer.header("etag").to_owned();
    let again = site.send("GET", path, &[("if-none-match", &tag)], "").await;
    assert_eq!(
        (again.status, again.body.len()),
        (StatusCode::NOT_MODIFIED, 0)
    );
}

#[tokio::test]
async fn a_picture_is_shown_by_its_id_and_deleted_by_its_owner() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let all = pictures(&site, &channel).await;
    let list = site.get(&channel.watch, IMAGES).await.expect(200);
    let path = text(&list["objects"][0]["url"])
        .strip_prefix("http://vms.test:8080")
        .unwrap();
    let one = format!("{IMAGES}{}/", all[0]);
    assert_eq!(
        site.get(&channel.watch, &one).await.expect(200)["id"],
        all[0]
    );
    assert_compat_error(&site.delete(&channel.watch, &one).await, 403, "access_deny");
    let stranger = site.channel("b").await;
    assert_compat_error(&site.get(&stranger.all, &one).await, 404, "not_found");
    assert_compat_error(&site.delete(&stranger.all, &one).await, 404, "not_found");
    site.delete(&channel.all, &one).await.expect(204);
    assert_compat_error(&site.get(&channel.all, &one).await, 404, "not_found");
    assert_eq!(site.get("", path).await.status, StatusCode::NOT_FOUND);
    assert_eq!(
        ids(&site.get(&channel.all, IMAGES).await.expect(200)),
        all[1..]
    );
}

#[tokio::test]
async fn a_watch_token_reads_and_makes_nothing() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    for path in [TASKS, LIVE, IMAGES, THUMBNAILS] {
        site.get(&channel.watch, path).await.expect(200);
    }
    let refused = site.post(&channel.watch, TASKS, &task(&json!(60))).await;
    assert_compat_error(&refused, 403, "access_deny");
    let period = json!({"image_generation_period": 1});
    assert_compat_error(
        &site.put(&channel.watch, LIVE, &period).await,
        403,
        "access_deny",
    );
}

#[tokio::test]
async fn a_preview_of_a_camera_that_sends_nothing_does_not_exist() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let path = format!("/api/v2/cameras/{}/preview", channel.id);
    assert_compat_error(&site.get(&channel.watch, &path).await, 404, "not_found");
    let update = format!("{path}/update/");
    assert_compat_error(
        &site.post(&channel.all, &update, &json!({})).await,
        404,
        "not_found",
    );
    assert_compat_error(
        &site.post(&channel.watch, &update, &json!({})).await,
        403,
        "access_deny",
    );
}
