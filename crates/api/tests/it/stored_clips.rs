//! Stored clips whose footage is lost, before they are made or while they are: stamped footage, real jobs.

use crate::clip_files::{lose, numbers, recorded, segments, spec};
use crate::site::{Answer, Site, TestChannel, start_of_test, text};
use crate::vanishing::{self, Victims};
use framewell_api::ApiConfig;
use framewell_blob::ObjectKey;
use framewell_catalog::CLIP_JOB;
use framewell_clips::{ClipHandler, Clips, ClipsConfig};
use framewell_decode::{Pool, PoolConfig};
use framewell_footage::{Footage, Spool};
use framewell_imaging::Imaging;
use framewell_jobs::{Jobs, JobsConfig};
use framewell_model::{ClipId, JobState, Segment, WallTime};
use framewell_testkit::encode::ClipSpec;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Capture time of the first picture.
fn begin() -> WallTime {
    start_of_test().plus_micros(-60_000_000)
}

fn at(seconds: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "a few seconds")]
    begin().plus_micros((seconds * 1e6) as i64).to_rfc3339()
}

fn gap(from: f64, to: f64) -> Value {
    json!({"start": at(from), "end": at(to), "reason": "data_loss"})
}

/// A channel with 35 s of footage in segments of ten seconds, and a node that makes clips. Its decoders end
/// as soon as they begin.
struct Rig {
    site: Site,
    channel: TestChannel,
    /// Of the channel, ascending.
    segments: Vec<Segment>,
    victims: Victims,
    _tasks: JoinSet<()>,
}

impl Rig {
    async fn new() -> Self {
        let (blobs, victims) = vanishing::store();
        let site = Site::with_store(ApiConfig::default(), blobs).await;
        let spec = ClipSpec {
            frames: 875,
            start: begin(),
            ..spec()
        };
        let channel = recorded(&site, "gate", &spec).await;
        let mut tasks = JoinSet::new();
        tasks.spawn(jobs(&site).run(CancellationToken::new()));
        Self {
            segments: segments(&site, channel.id).await,
            site,
            channel,
            victims,
            _tasks: tasks,
        }
    }

    /// Segments that vanish when a clip reads what lies behind their beginning.
    fn will_vanish(&self, numbers: &[usize]) {
        let name = |number: &usize| self.segments[*number].id.to_string();
        *self.victims.lock() = numbers.iter().map(name).collect();
    }

    /// Overwrites the media of a segment; its beginning and its length stay.
    async fn overwrite(&self, number: usize) {
        let segment = &self.segments[number];
        let key = ObjectKey::Segment {
            channel: segment.channel,
            start: segment.range.start,
            id: segment.id,
        };
        let blobs = &self.site.blobs;
        let size = blobs.size(&key).await.unwrap();
        let mut bytes = blobs.get_range(&key, 0..size).await.unwrap().to_vec();
        let moof = bytes.windows(4).position(|name| name == b"prft").unwrap();
        bytes[moof - 4..].fill(0x55);
        blobs.put_bytes(&key, bytes.into()).await.unwrap();
    }

    fn bearer(&self) -> String {
        self.channel.all.replace("Acc ", "Bearer ")
    }

    async fn create(&self, from: f64, to: f64, more: Value) -> Answer {
        let mut body = json!({"start": at(from), "end": at(to)});
        let more = more.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(more);
        self.site.post(&self.bearer(), "/v1/clips", &body).await
    }

    /// The clip when its job is over. While the job waits for a moment, the clock goes on.
    async fn made(&self, from: f64, to: f64, more: Value) -> Value {
        let new = self.create(from, to, more).await.expect(201);
        let id = ClipId::new(new["id"].as_i64().unwrap()).unwrap();
        let (path, catalog) = (format!("/v1/clips/{id}"), &self.site.state.catalog);
        let job = catalog.load_clip(id, begin()).await.unwrap().job.unwrap();
        let end = async {
            loop {
                let clip = self.site.get(&self.bearer(), &path).await.expect(200);
                if clip["state"] != "pending" {
                    return clip;
                }
                let job = catalog.load_job(job).await.unwrap();
                if job.state == JobState::Pending {
                    self.site.clock.advance(Duration::from_secs(1));
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let ended = tokio::time::timeout(Duration::from_secs(60), end).await;
        ended.expect("the clip ends")
    }

    async fn file(&self, clip: &Value) -> Answer {
        let (_, path) = text(&clip["file"]["url"]).split_once(":8080").unwrap();
        self.site.get("", path).await
    }

    async fn info(&self, clip: &Value) -> Value {
        let path = format!("/v1/clips/{}/clip.json", clip["id"]);
        self.site.get(&self.channel.watch, &path).await.expect(200)
    }
}

fn jobs(site: &Site) -> Jobs {
    let state = &site.state;
    let pool = Pool::start(PoolConfig {
        workers: 1,
        deadline: Duration::from_millis(50),
        queue: 1,
        ..PoolConfig::new("/bin/false".into())
    });
    let footage = Footage::new(state.catalog.clone(), site.blobs.clone(), Spool::new());
    let (registry, clock) = (state.registry.clone(), Arc::clone(&state.clock));
    let clips = Clips::new(
        state.catalog.clone(),
        site.blobs.clone(),
        state.playback.clone(),
        Imaging::new(registry, footage, pool.unwrap(), Arc::clone(&clock)),
        ClipsConfig::default(),
        None,
        Arc::clone(&clock),
    );
    let config = JobsConfig {
        poll: Duration::from_millis(10),
        ..JobsConfig::default()
    };
    let jobs = Jobs::new(state.catalog.clone(), config, clock);
    jobs.register(CLIP_JOB, 1, Arc::new(ClipHandler::new(clips)))
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_that_vanish_while_a_clip_is_copied_are_gaps_and_the_clip_goes_on() {
    let rig = Rig::new().await;
    rig.will_vanish(&[1, 3]);
    let clip = rig.made(1.01, 34.0, json!({})).await;
    assert_eq!(
        (&clip["state"], &clip["error"]),
        (&json!("done"), &Value::Null)
    );
    let file = &clip["file"];
    assert_eq!(
        (&file["gaps"], &file["gap_count"]),
        (&json!([gap(10.0, 20.0), gap(30.0, 34.0)]), &json!(2))
    );
    assert!(
        (file["duration"].as_f64().unwrap() - 19.0).abs() < 1e-3,
        "{file}"
    );
    let whole = rig.file(&clip).await;
    let shown: Vec<u32> = (25..250).chain(500..750).collect();
    assert_eq!(numbers(&whole.body).await, shown);
    assert_eq!(json!(whole.body.len()), file["size"]);
    let told = whole.header("framewell-gaps").to_owned();
    assert!(
        told.starts_with(&format!("{}/{};data_loss,", at(10.0), at(20.0))),
        "{told}"
    );

    let info = rig.info(&clip).await;
    let lost = |number: usize| rig.segments[number].id.to_string();
    assert_eq!(info["gaps"][0]["segments"], json!([lost(1)]));
    assert_eq!(info["gaps"][1]["segments"], json!([lost(3)]));
    let parts = info["segments"].as_array().unwrap();
    assert_eq!(
        parts
            .iter()
            .map(|part| text(&part["segment"]))
            .collect::<Vec<_>>(),
        [lost(0), lost(2)]
    );
    assert!(
        (parts[1]["at_s"].as_f64().unwrap() - 9.0).abs() < 1e-3,
        "{info}"
    );
    assert_eq!(
        (&info["start"], &info["presented_end"]),
        (&json!(at(1.01)), &json!(at(30.0)))
    );

    // The compatible face tells it too, in its own form of times.
    let path = format!("/api/v4/clips/{}/", clip["id"]);
    let same = rig.site.get(&rig.channel.watch, &path).await.expect(200);
    assert_eq!(same["gaps"][0]["reason"], "data_loss");
    assert_eq!(
        same["gaps"][0]["start"],
        text(&json!(at(10.0))).trim_end_matches('Z')
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_clip_fails_and_names_what_is_lost_whenever_that_happens() {
    let rig = Rig::new().await;
    rig.will_vanish(&[1]);
    for _ in 0..2 {
        // The first one finds it out on the way, the second one at once.
        let clip = rig.made(5.0, 25.0, json!({"strict": true})).await;
        assert_eq!(
            (&clip["state"], &clip["file"]),
            (&json!("error"), &Value::Null)
        );
        let error = text(&clip["error"]);
        let segment = &rig.segments[1];
        assert!(error.contains(&segment.id.to_string()), "{error}");
        assert!(error.contains(&segment.range.start.to_string()), "{error}");
    }
    let whole = rig.made(21.0, 25.0, json!({"strict": true})).await;
    assert_eq!(
        (&whole["state"], &whole["file"]["gaps"]),
        (&json!("done"), &json!([]))
    );
    let whole = rig.file(&whole).await;
    assert_eq!(numbers(&whole.body).await, (525..625).collect::<Vec<_>>());
    assert_eq!(whole.header("framewell-gaps"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_footage_takes_its_time_in_a_stored_clip_where_that_is_asked_for() {
    let rig = Rig::new().await;
    rig.overwrite(1).await;
    let clip = rig.made(8.0, 22.0, json!({"gaps": "keep"})).await;
    let file = &clip["file"];
    assert_eq!(file["gaps"], json!([gap(10.0, 20.0)]), "{clip}");
    assert!(
        (file["duration"].as_f64().unwrap() - 14.0).abs() < 1e-3,
        "{file}"
    );
    let info = rig.info(&clip).await;
    assert_eq!(info["gaps_mode"], "keep");
    assert!(
        (info["segments"][1]["at_s"].as_f64().unwrap() - 12.0).abs() < 1e-3,
        "{info}"
    );
    let whole = rig.file(&clip).await;
    let shown: Vec<u32> = (200..250).chain(500..550).collect();
    assert_eq!(numbers(&whole.body).await, shown);
    for (more, part) in [
        (json!({"gaps": "close"}), "collapse nor keep"),
        (json!({"strict": "yes"}), "strict"),
        (json!({"gaps": "keep", "speed": 2}), "gaps=keep"),
        (json!({"stream": "third"}), "main nor sub"),
    ] {
        let refused = rig.create(8.0, 22.0, more).await.expect(400);
        let message = text(&refused["error"]["message"]);
        assert!(message.contains(part), "{message}");
    }
    rig.create(8.0, 22.0, json!({"stream": "sub"}))
        .await
        .expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_whose_pictures_cannot_be_decoded_has_no_thumbnail_and_says_why() {
    let rig = Rig::new().await;
    // Decoders that end at once are waited for a while.
    let clip = rig.made(21.0, 25.0, json!({})).await;
    let file = &clip["file"];
    assert_eq!(
        (&file["thumb_url"], &file["thumb_time"]),
        (&Value::Null, &Value::Null)
    );
    assert!(!text(&file["thumb_error"]).is_empty(), "{clip}");
    assert_eq!(
        numbers(&rig.file(&clip).await.body).await,
        (525..625).collect::<Vec<_>>()
    );
    let (video, ticket) = text(&file["url"]).split_once('?').unwrap();
    let (_, video) = video.split_once(":8080").unwrap();
    let thumb = format!("{}?{ticket}", video.replace(".mp4", ".jpg"));
    let refused = rig.site.get("", &thumb).await;
    assert!(refused.status.is_client_error(), "{}", refused.status);
    let path = format!("/api/v4/clips/{}/", clip["id"]);
    let same = rig.site.get(&rig.channel.watch, &path).await.expect(200);
    assert_eq!(
        (&same["status"], &same["thumb"]),
        (&json!("done"), &Value::Null)
    );

    // All pictures that a thumbnail is made of lie in footage that is lost.
    lose(&rig.site, &rig.segments[0]).await;
    let clip = rig.made(2.0, 11.0, json!({})).await;
    assert_eq!(clip["file"]["gaps"], json!([gap(2.0, 10.0)]), "{clip}");
    assert_eq!(
        numbers(&rig.file(&clip).await.body).await,
        (250..275).collect::<Vec<_>>()
    );
}
