//! Clips that are encoded anew: exact to the frame without an edit list, with the time and boxes drawn on
//! them, at another speed and size; and when the server is killed meanwhile.

use crate::cameras::{self, FPS, ROUNDING_US};
use crate::client::Api;
use crate::main_job::naive_time;
use crate::server::{Server, files_below, wait_for};
use crate::site::{create_channel, wait_for_records};
use crate::tools::{assert_consecutive, ffprobe, stamps_of};
use framewell_model::WallTime;
use framewell_testkit::stamp::{GrayImage, Stamp, VideoInput, read_stamp};
use serde_json::{Value, json};

const FRAME_US: i64 = 1_000_000 / FPS;
/// Pixels of a dot of a character on a picture of 720 rows.
const DOT: usize = 2;
/// The box of the document, as parts of the picture of 1280 by 720.
const BOX: [f64; 4] = [0.25, 0.7, 0.5, 0.2];

async fn done(api: &Api, clip: &Value) -> Value {
    let path = format!("/v1/clips/{}", clip["id"]);
    let clip = wait_for("the clip to end", 120, async || {
        let clip = api.get(&path).await.expect(200);
        (clip["state"] != "pending").then_some(clip)
    })
    .await;
    assert_eq!(clip["state"], "done", "{clip}");
    clip
}

fn url(clip: &Value) -> &str {
    clip["file"]["url"].as_str().expect("a URL")
}

async fn images(clip: &Value) -> Vec<GrayImage> {
    let url = url(clip).to_owned();
    let read = move || VideoInput::new(url).read_images().expect("pictures");
    tokio::task::spawn_blocking(read).await.expect("joined")
}

/// The digits of the text in the upper left corner: at each place of one, the digit whose shape is most like
/// what is there.
fn digits(image: &GrayImage) -> String {
    const SHAPES: [[u8; 7]; 10] = [
        [14, 17, 19, 21, 25, 17, 14],
        [4, 12, 4, 4, 4, 4, 14],
        [14, 17, 1, 2, 4, 8, 31],
        [30, 1, 1, 14, 1, 1, 30],
        [2, 6, 10, 18, 31, 2, 2],
        [31, 16, 30, 1, 1, 17, 14],
        [6, 8, 16, 30, 17, 17, 14],
        [31, 1, 2, 4, 8, 8, 8],
        [14, 17, 17, 14, 17, 17, 14],
        [14, 17, 17, 15, 1, 2, 12],
    ];
    let dot = |x: usize, y: usize| -> i32 {
        let pixels = (0..DOT * DOT).map(|n| (y + n / DOT) * image.width + x + n % DOT);
        pixels.map(|at| i32::from(image.data[at]) - 128).sum()
    };
    let likeness = |place: usize, shape: &[u8; 7]| -> i32 {
        let dots = (0..7).flat_map(|row| (0..5).map(move |column| (row, column)));
        dots.map(|(row, column)| {
            let x = 2 * DOT + (place * 6 + column) * DOT;
            let light = dot(x, DOT + (row + 1) * DOT);
            if shape[row] >> (4 - column) & 1 == 1 {
                light
            } else {
                -light
            }
        })
        .sum()
    };
    let digit = |place: usize| {
        let by_likeness = (0..10).max_by_key(|digit| likeness(place, &SHAPES[*digit]));
        by_likeness.expect("ten digits").to_string()
    };
    let places = "0000-00-00 00:00:00.000".char_indices();
    places
        .filter(|(_, character)| *character == '0')
        .map(|(place, _)| digit(place))
        .collect()
}

/// The time that is written on a picture.
fn written(image: &GrayImage) -> WallTime {
    let text = digits(image);
    assert_eq!(text.len(), 17, "{text}");
    let part = |from: usize, to: usize| text.get(from..to).expect("digits");
    let time = format!(
        "{}-{}-{}T{}:{}:{}.{}Z",
        part(0, 4),
        part(4, 6),
        part(6, 8),
        part(8, 10),
        part(10, 12),
        part(12, 14),
        part(14, 17)
    );
    time.parse().expect("a time")
}

fn luma(image: &GrayImage, x: f64, y: f64) -> u8 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a pixel"
    )]
    let [x, y] = [x * 1280.0, y * 720.0].map(|at| at as usize);
    image.data[y * image.width + x]
}

/// Whether the upper side of the box is drawn.
fn has_box(image: &GrayImage) -> bool {
    let [left, top, width, _] = BOX;
    let line = (1..10).map(|n| luma(image, left + width * f64::from(n) / 10.0, top + 0.001));
    line.into_iter().all(|luma| (140..200).contains(&luma))
}

/// Each picture says when it was taken, and has the box for half a second.
fn check_burned(burned: &[GrayImage], stamps: &[Stamp], seen: WallTime) {
    let mut boxes = Vec::new();
    for (image, stamp) in burned.iter().zip(stamps) {
        let shown = read_stamp(image).expect("a stamp");
        assert_eq!(shown, *stamp);
        let off_us = written(image).micros_since(stamp.capture);
        assert!(
            off_us.abs() <= 1_000 + ROUNDING_US,
            "{stamp:?} says {off_us} us"
        );
        let age_us = stamp.capture.micros_since(seen);
        if age_us.abs() > ROUNDING_US && (age_us - 500_000).abs() > ROUNDING_US {
            assert_eq!(
                has_box(image),
                (0..500_000).contains(&age_us),
                "{age_us} us"
            );
            boxes.push(has_box(image));
        }
    }
    assert!(boxes.contains(&true) && boxes.contains(&false));
}

/// Twice as fast, smaller, and without sound.
async fn check_fast(fast: &Value) {
    let probed = ffprobe(url(fast), &[]);
    let streams = probed["streams"].as_array().expect("streams");
    assert_eq!(
        (streams.len(), &streams[0]["width"]),
        (1, &json!(640)),
        "no sound"
    );
    let seconds = fast["file"]["duration"].as_f64().expect("seconds");
    assert!((1.1..1.35).contains(&seconds), "{seconds}");
    assert_consecutive(&stamps_of(url(fast), &[], 1_000).await);
}

/// What makes no sense.
fn nonsense() -> [Value; 5] {
    [
        json!({"speed": 0}),
        json!({"speed": "fast"}),
        json!({"width": 7}),
        json!({"burn": ["names"]}),
        json!({"precise": "very"}),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rendered_clip_shows_the_right_pictures_with_what_was_asked_for() {
    let server = Server::start().await;
    let camera = cameras::h264_fat().await;
    let channel = create_channel(&server, "gate", &camera).await;
    let records = wait_for_records(&server, &channel, 3).await;
    let api = server.api(&format!("Bearer {}", channel.all));
    let start = naive_time(&records[0]["start"]).plus_micros(337_000);
    let end = start.plus_micros(2_500_000);
    let seen = start.plus_micros(1_000_000);
    let [x, y, width, height] = BOX;
    let document = json!([{"timestamp": seen.to_string(), "objects": [
        {"label": "car", "score": 0.9, "box": {"x": x, "y": y, "width": width, "height": height}}]}]);
    let posted = api.post("/v1/metadata", &document).await;
    assert!(posted.status.is_success(), "{:?}", posted.body);
    let create = async |more: Value| {
        let mut body = json!({"start": start.to_string(), "end": end.to_string()});
        let members = body.as_object_mut().expect("an object");
        members.extend(more.as_object().expect("an object").clone());
        api.post("/v1/clips", &body).await
    };
    for bad in nonsense() {
        create(bad).await.expect(400);
    }

    // Players that ignore edit lists begin with the right picture too.
    let exact = create(json!({"precise": "reencode"})).await.expect(201);
    let exact = done(&api, &exact).await;
    let stamps = stamps_of(url(&exact), &[("-ignore_editlist", "1")], 1_000).await;
    assert_consecutive(&stamps);
    let near = |at: WallTime, picture: WallTime| {
        let late_us = at.micros_since(picture);
        assert!(
            (-ROUNDING_US..=FRAME_US + ROUNDING_US).contains(&late_us),
            "{at} {picture}"
        );
    };
    near(start, stamps[0].capture);
    near(end, stamps[stamps.len() - 1].capture);
    let probed = ffprobe(url(&exact), &[]);
    assert_eq!(probed["streams"][0]["codec_name"], "h264");

    let burned = create(json!({"burn": ["time", "boxes"]})).await.expect(201);
    let burned = images(&done(&api, &burned).await).await;
    assert_eq!(burned.len(), stamps.len());
    check_burned(&burned, &stamps, seen);
    assert!(!images(&exact).await.iter().any(has_box));

    let fast = create(json!({"speed": 2, "width": 640})).await.expect(201);
    let fast = done(&api, &fast).await;
    check_fast(&fast).await;
    let left = files_below(&server.data_dir().join("render"));
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rendering_is_cancelled_and_survives_a_kill() {
    let mut server = Server::start().await;
    let camera = cameras::h264_fat().await;
    let channel = create_channel(&server, "gate", &camera).await;
    let records = wait_for_records(&server, &channel, 3).await;
    let api = server.api(&format!("Bearer {}", channel.all));
    let start = naive_time(&records[0]["start"]).plus_micros(337_000);
    let end = start.plus_micros(4_000_000);
    let body = json!({"start": start.to_string(), "end": end.to_string(), "precise": "reencode"});
    let is_working = |server: &Server| !files_below(&server.data_dir().join("render")).is_empty();
    let cancelled = api.post("/v1/clips", &body).await.expect(201);
    wait_for("the rendering", 30, async || {
        is_working(&server).then_some(())
    })
    .await;
    let path = format!("/v1/clips/{}", cancelled["id"]);
    assert_eq!(api.delete(&path).await.status.as_u16(), 204);
    wait_for("the end of it", 30, async || {
        (!is_working(&server)).then_some(())
    })
    .await;
    api.get(&path).await.expect(404);

    let clip = api.post("/v1/clips", &body).await.expect(201);
    wait_for("the rendering", 30, async || {
        is_working(&server).then_some(())
    })
    .await;
    server.kill_9();
    server.restart().await;
    let api = server.api(&format!("Bearer {}", channel.all));
    let stamps = stamps_of(url(&done(&api, &clip).await), &[], 1_000).await;
    assert_consecutive(&stamps);
    assert!(stamps.len() >= 40, "{}", stamps.len());
    let left = files_below(&server.data_dir().join("render"));
    assert!(left.is_empty(), "{left:?}");
}
