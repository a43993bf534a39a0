//! Stored clips over HTTP, as far as nothing is recorded: the jobs of this site are never done.

use crate::site::{Site, text};
use framewell_catalog::{CLIP_JOB, ClipFile, ClipThumb, Lease};
use framewell_model::{
    ClipId, ClipObjectId, ErrorKind, HasKind as _, HolderId, TimeRange, WallTime,
};
use serde_json::{Value, json};
use uuid::Uuid;

const V2: &str = "/api/v2/storage/clips/";
const V4: &str = "/api/v4/clips/";

fn body(minute: u32) -> Value {
    json!({
        "title": "at the gate",
        "start": format!("2024-05-01T10:{minute:02}:00"),
        "end": format!("2024-05-01 10:{minute:02}:30.5"),
        "event_time": format!("2024-05-01T10:{minute:02}:05"),
        "group": "case 7",
        "wait_for_data": false,
    })
}

/// As the job of a clip would end.
async fn finish(site: &Site, id: i64) {
    let (id, object) = (
        ClipId::new(id).unwrap(),
        ClipObjectId::from_uuid(Uuid::now_v7()),
    );
    let at: WallTime = "2024-05-01T10:00:00.04Z".parse().unwrap();
    let file = ClipFile {
        shown: TimeRange::new(at, at.plus_micros(30_000_000)).unwrap(),
        duration_us: 29_500_000,
        size_bytes: 1_000,
        thumb: Some(ClipThumb {
            time: at,
            width: 640,
            height: 360,
            size_bytes: 100,
        }),
        thumb_error: None,
        gaps: None,
    };
    let catalog = &site.state.catalog;
    catalog.start_clip(id, None, object, at).await.unwrap();
    let makeup = json!({"gaps": [], "codecs": [], "segments": []}).to_string();
    let published = catalog.publish_clip(id, object, &file, &makeup, at);
    published.await.unwrap();
}

#[tokio::test]
async fn a_clip_has_the_members_of_the_contract() {
    let site = Site::new().await;
    let channel = site.channel("gate").await;
    let new = site.post(&channel.all, V4, &body(0)).await.expect(201);
    assert_eq!(new["status"], "pending");
    assert_eq!(
        (&new["camid"], &new["source_camid"]),
        (&json!(channel.id), &json!(channel.id))
    );
    assert_eq!((&new["url"], &new["thumb"]), (&Value::Null, &Value::Null));
    assert_eq!(new["start"], "2024-05-01T10:00:00.000000");
    assert_eq!(new["end"], "2024-05-01T10:00:30.500000");
    assert_eq!(
        (&new["duration"], &new["delete_at"]),
        (&json!(30.5), &Value::Null)
    );
    let id = new["id"].as_i64().unwrap();
    finish(&site, id).await;
    for path in [format!("{V4}{id}/"), format!("{V2}{id}")] {
        let done = site.get(&channel.watch, &path).await.expect(200);
        assert_eq!(
            (&done["status"], &done["size"]),
            (&json!("done"), &json!(1_000))
        );
        assert_eq!(
            (&done["duration"], &done["group"]),
            (&json!(29.5), &json!("case 7"))
        );
        assert!(
            text(&done["url"]).contains(&format!("/{id}.mp4?ticket=")),
            "{done}"
        );
        let thumb = &done["thumb"];
        assert!(
            text(&thumb["url"]).contains(&format!("/{id}.jpg?ticket=")),
            "{done}"
        );
        assert_eq!(
            (&thumb["width"], &thumb["height"]),
            (&json!(640), &json!(360))
        );
        assert_eq!(thumb["time"], "2024-05-01T10:00:00.040000");
    }
}

#[tokio::test]
async fn lists_filter_as_the_contract_says() {
    let site = Site::new().await;
    let (gate, yard) = (site.channel("gate").await, site.channel("yard").await);
    let mut ids = Vec::new();
    for (channel, minute) in [(&gate, 0), (&gate, 10), (&yard, 20)] {
        let mut body = body(minute);
        body["camid"] = json!(channel.id);
        let new = site.post(site.key(), V2, &body).await.expect(201);
        ids.push(new["id"].as_i64().unwrap());
    }
    let (_, group) = site.group(&[&gate, &yard], "watch").await;
    let list = async |token: &str, path: String| -> Vec<i64> {
        let page = site.get(token, &path).await.expect(200);
        let objects = page["objects"].as_array().unwrap();
        objects
            .iter()
            .map(|clip| clip["id"].as_i64().unwrap())
            .collect()
    };
    assert_eq!(
        list(&gate.watch, format!("{V4}?order_by=-created")).await,
        [ids[1], ids[0]]
    );
    assert_eq!(list(&group, V2.into()).await, ids);
    assert_eq!(
        list(&group, format!("{V2}?camid={}", yard.id)).await,
        [ids[2]]
    );
    let some = format!("{V2}?ids={},{},777", ids[0], ids[2]);
    assert_eq!(list(&group, some).await, [ids[0], ids[2]]);
    assert_eq!(
        list(&group, format!("{V2}?event_time=2024-05-01T10:10:05")).await,
        [ids[1]]
    );
    assert_eq!(
        list(&group, format!("{V2}?event_time__gte=2024-05-01T10:10:05")).await,
        ids[1..]
    );
    let span = format!("{V2}?start=2024-05-01T10:00:30.5&end=2024-05-01T10:10:00&usecamtz=1");
    assert_eq!(list(&group, span).await, ids[..2]);
    assert_eq!(
        list(&group, format!("{V2}?limit=1&offset=1&order_by=-start")).await,
        [ids[1]]
    );
    site.get(&group, &format!("{V2}?order_by=size"))
        .await
        .expect(400);
    site.get(&group, &format!("{V2}?ids=x")).await.expect(400);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let site = Site::new().await;
    let channel = site.channel("gate").await;
    for (name, value) in [
        ("start", Value::Null),
        ("end", json!("2024-05-01T09:00:00")),
        ("end", json!("2024-05-02T10:00:00")),
        ("end", json!("2099-01-01T00:00:00")),
        ("delete_at", json!("2001-01-01T00:00:00")),
        ("title", json!("x".repeat(2_000))),
        ("source_camid", json!("gate")),
    ] {
        let mut body = body(0);
        body[name] = value.clone();
        let refused = site.post(&channel.all, V4, &body).await;
        assert_eq!(refused.status, 400, "{name}: {value}");
    }
    let mut foreign = body(0);
    foreign["camid"] = json!(4_711);
    site.post(&channel.all, V2, &foreign).await.expect(404);
    site.post(&channel.watch, V4, &body(0)).await.expect(403);
    for _ in 0..4 {
        site.post(&channel.all, V4, &body(0)).await.expect(201);
    }
    let full = site.post(&channel.all, V4, &body(0)).await.expect(429);
    assert!(
        text(&full["errorDetail"]).contains("4 clips of this channel"),
        "{full}"
    );
}

#[tokio::test]
async fn people_change_and_delete_a_clip() {
    let site = Site::new().await;
    let channel = site.channel("gate").await;
    let id = site.clip(&channel).await;
    let path = format!("{V4}{id}/");
    let change =
        json!({"title": "yard", "delete_at": "2099-01-01T00:00:00.000", "id": 5, "start": "x"});
    let changed = site.put(&channel.all, &path, &change).await.expect(200);
    assert_eq!(
        (&changed["title"], &changed["id"]),
        (&json!("yard"), &json!(id))
    );
    assert_eq!(changed["delete_at"], "2099-01-01T00:00:00.000000");
    assert_eq!(changed["start"], "2024-05-01T10:00:00.000000");
    site.put(&channel.watch, &path, &change).await.expect(403);
    site.delete(&channel.all, &path).await.expect(204);
    site.get(&channel.all, &path).await.expect(404);
    site.delete(&channel.all, &path).await.expect(404);
}

#[tokio::test]
async fn a_turn_that_makes_a_clip_is_not_cut_off_when_the_clip_is_deleted() {
    let site = Site::new().await;
    let channel = site.channel("gate").await;
    let (catalog, now) = (&site.state.catalog, site.state.clock.now());
    let running = site.clip(&channel).await;
    let lease = Lease {
        holder: HolderId::from_uuid(Uuid::now_v7()),
        until: now.plus_micros(60_000_000),
    };
    let taken = catalog.take_jobs(CLIP_JOB, lease, 9, now).await.unwrap();
    let waiting = site.clip(&channel).await;
    let job = catalog.load_clip(ClipId::new(waiting).unwrap(), now).await;
    let job = job.unwrap().job.unwrap();
    for id in [running, waiting] {
        let path = format!("{V4}{id}/");
        site.delete(&channel.all, &path).await.expect(204);
        site.get(&channel.all, &path).await.expect(404);
    }
    catalog.load_job(taken[0].id).await.unwrap();
    let gone = catalog.load_job(job).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_sharing_opens_one_clip_until_it_ends() {
    let site = Site::new().await;
    let channel = site.channel("gate").await;
    let (id, other) = (site.clip(&channel).await, site.clip(&channel).await);
    finish(&site, id).await;
    let path = format!("{V2}{id}/sharings/");
    let share = site
        .post(
            &channel.all,
            &path,
            &json!({"expire": "2099-01-01T00:00:00"}),
        )
        .await;
    let share = share.expect(400);
    assert!(text(&share["errorDetail"]).contains("ten years"), "{share}");
    let share = site.post(&channel.all, &path, &json!({})).await.expect(201);
    let token = text(&share["token"]);
    assert!(
        token.starts_with("share.") && share["expire"].is_string(),
        "{share}"
    );
    let shown = site
        .get("", &format!("{V2}{id}/?token={token}"))
        .await
        .expect(200);
    assert_eq!(
        (&shown["id"], &shown["status"]),
        (&json!(id), &json!("done"))
    );
    assert!(text(&shown["url"]).contains("ticket="), "{shown}");
    // Nothing else, and nothing but looking.
    site.get("", &format!("{V2}{other}/?token={token}"))
        .await
        .expect(404);
    for path in [
        format!("{V4}{id}/"),
        V2.to_owned(),
        "/api/v4/channel/".into(),
    ] {
        site.get("", &format!("{path}?token={token}"))
            .await
            .expect(401);
    }
    site.delete("", &format!("{V2}{id}/?token={token}"))
        .await
        .expect(401);
    site.post(&channel.watch, &path, &json!({}))
        .await
        .expect(403);
    let list = site.get(&channel.all, &path).await.expect(200);
    assert_eq!(list["objects"], json!([share]));
    let foreign = format!("{V2}{other}/sharings/{}/", share["id"]);
    site.delete(&channel.all, &foreign).await.expect(404);
    let path = format!("{path}{}/", share["id"]);
    site.delete(&channel.all, &path).await.expect(204);
    site.get("", &format!("{V2}{id}/?token={token}"))
        .await
        .expect(401);
}

#[tokio::test]
async fn the_native_face_lists_page_by_page() {
    let site = Site::new().await;
    let channel = site.channel("gate").await;
    let bearer = channel.all.replace("Acc ", "Bearer ");
    let new = json!({"start": "2024-05-01T10:00:00Z", "end": "2024-05-01T10:00:10Z", "title": "a"});
    let mut ids = Vec::new();
    for _ in 0..3 {
        let clip = site.post(&bearer, "/v1/clips", &new).await.expect(201);
        assert_eq!(
            (&clip["state"], &clip["file"]),
            (&json!("pending"), &Value::Null)
        );
        ids.insert(0, clip["id"].as_i64().unwrap());
    }
    let first = site.get(&bearer, "/v1/clips?limit=2").await.expect(200);
    let next = text(&first["meta"]["next"]);
    let second = site
        .get(&bearer, &format!("/v1/clips?limit=2&cursor={next}"))
        .await
        .expect(200);
    assert_eq!(second["meta"]["next"], Value::Null);
    let both = [&first, &second].map(|page| page["clips"].as_array().unwrap().clone());
    let seen: Vec<i64> = both
        .concat()
        .iter()
        .map(|clip| clip["id"].as_i64().unwrap())
        .collect();
    assert_eq!(seen, ids);
    let one = format!("/v1/clips/{}", ids[0]);
    assert_eq!(
        site.get(&bearer, &one).await.expect(200)["start"],
        "2024-05-01T10:00:00.000000Z"
    );
    site.delete(&bearer, &one).await.expect(204);
    site.get(&bearer, &one).await.expect(404);
    for bad in [
        json!({"start": "x"}),
        json!({"titel": "a"}),
        json!({"channel": "gate"}),
    ] {
        let mut body = new.clone();
        body.as_object_mut()
            .unwrap()
            .extend(bad.as_object().unwrap().clone());
        site.post(&bearer, "/v1/clips", &body).await.expect(400);
    }
}
