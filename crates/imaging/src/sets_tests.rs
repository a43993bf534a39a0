//! Sets from scripted arrivals.

use super::*;
use bytes::Bytes;
use framewell_decode::PictureFormat;
use framewell_model::{ClockSource, FrameId};

const EPOCH_US: i64 = 1_714_557_600_000_000;

fn id(number: i64) -> ChannelId {
    ChannelId::new(number).unwrap()
}

fn wall(ms: i64) -> WallTime {
    WallTime::from_micros(EPOCH_US + ms * 1_000)
}

fn image(captured_ms: i64) -> Image {
    Image {
        data: Bytes::from_static(b"x"),
        format: PictureFormat::Png,
        width: 1,
        height: 1,
        requested: wall(captured_ms),
        captured: wall(captured_ms),
        clock: ClockSource::CameraRtcp,
        frame: FrameId {
            run: "01900000-0000-7000-8000-000000000007".parse().unwrap(),
            ticks: captured_ms * 90,
        },
        is_key: false,
        is_live: true,
    }
}

/// Channels 1 to `count` at 2 sets a second, and a clock in ms.
struct Stage {
    assembler: Assembler,
    begin: Instant,
}

impl Stage {
    fn new(count: i64) -> Self {
        let mut assembler = Assembler::new(Rule {
            grid: Grid::new(2.0).unwrap(),
            tolerance_us: 100_000,
            patience: Duration::from_millis(300),
            first: None,
            end: None,
        });
        (1..=count).for_each(|channel| assembler.join(id(channel)));
        let mut stage = Self {
            assembler,
            begin: Instant::now(),
        };
        // Every feed begins with a picture that lies anywhere.
        (1..=count).for_each(|channel| stage.picture(channel, -9_900, 0));
        assert_eq!(stage.take(0), None);
        stage
    }

    fn now(&self, ms: i64) -> (Instant, WallTime) {
        let passed = Duration::from_millis(ms.try_into().unwrap());
        (self.begin + passed, wall(ms))
    }

    fn picture(&mut self, channel: i64, captured_ms: i64, now_ms: i64) {
        let now = self.now(now_ms);
        self.assembler.picture(id(channel), image(captured_ms), now);
    }

    /// Instant in ms, and per channel the capture time in ms or the kind of absence.
    fn take(&mut self, now_ms: i64) -> Option<(i64, Vec<String>)> {
        let set = self.assembler.take(self.now(now_ms).0)?;
        let ms = |time: WallTime| time.micros_since(wall(0)) / 1_000;
        let entries = set.entries.iter().map(|(_, entry)| match entry {
            Ok(image) => {
                assert_eq!(image.requested, set.at);
                ms(image.captured).to_string()
            }
            Err(Absence::Failed(_)) => "failed".to_owned(),
            Err(Absence::Late { .. }) => "late".to_owned(),
            Err(Absence::Far { nearest, .. }) => format!("far {}", ms(*nearest)),
        });
        let entries = entries.collect();
        Some((ms(set.at), entries))
    }
}

fn set(at_ms: i64, entries: &[&str]) -> Option<(i64, Vec<String>)> {
    Some((
        at_ms,
        entries.iter().map(|text| (*text).to_owned()).collect(),
    ))
}

#[test]
fn a_set_is_out_as_soon_as_all_channels_gave_theirs() {
    let mut stage = Stage::new(2);
    stage.picture(1, 510, 520);
    assert_eq!(stage.take(530), None);
    stage.picture(2, 490, 540);
    assert_eq!(stage.take(540), set(500, &["510", "490"]));
    assert_eq!(stage.take(9_000), None);
    stage.picture(2, 1_010, 1_015);
    stage.picture(1, 1_020, 1_025);
    assert_eq!(stage.take(1_030), set(1_000, &["1020", "1010"]));
}

#[test]
fn pictures_of_different_instants_are_never_in_one_set() {
    let mut stage = Stage::new(2);
    stage.picture(1, 500, 500);
    stage.picture(1, 1_000, 1_000);
    stage.picture(2, 1_000, 1_000);
    // Channel 2 has passed the first instant without a picture near it.
    assert_eq!(stage.take(1_000), set(500, &["500", "far 1000"]));
    assert_eq!(stage.take(1_000), set(1_000, &["1000", "1000"]));
}

#[test]
fn a_late_channel_is_missing_after_the_patience_and_back_in_the_next_set() {
    let mut stage = Stage::new(2);
    stage.picture(1, 500, 500);
    assert_eq!(stage.take(799), None);
    assert_eq!(stage.assembler.deadline(), Some(stage.now(800).0));
    assert_eq!(stage.take(800), set(500, &["500", "late"]));
    stage.picture(2, 500, 900);
    assert_eq!(stage.take(900), None, "no set comes twice");
    stage.picture(1, 1_000, 1_000);
    stage.picture(2, 1_000, 1_000);
    assert_eq!(stage.take(1_000), set(1_000, &["1000", "1000"]));
}

#[test]
fn nobody_waits_for_a_channel_that_fails() {
    let mut stage = Stage::new(2);
    let offline = || Error::NotLive {
        channel: id(2),
        newest: None,
    };
    stage.assembler.failed(id(2), offline());
    stage.picture(1, 500, 500);
    assert_eq!(stage.take(500), set(500, &["500", "failed"]));
    stage.picture(2, 900, 900);
    stage.picture(1, 1_000, 1_000);
    assert_eq!(stage.take(1_000), set(1_000, &["1000", "900"]));
}

#[test]
fn a_channel_slower_than_the_rate_repeats_its_picture_within_the_tolerance() {
    let mut stage = Stage::new(2);
    stage.assembler.rule.grid = Grid::new(20.0).unwrap();
    for at in [500, 550, 600] {
        stage.picture(1, at, at);
    }
    stage.picture(2, 500, 500);
    assert_eq!(stage.take(600), set(500, &["500", "500"]));
    assert_eq!(stage.take(600), None);
    stage.picture(2, 600, 600);
    assert_eq!(stage.take(600), set(550, &["550", "500"]));
    assert_eq!(stage.take(600), set(600, &["600", "600"]));
}

#[test]
fn a_picture_from_the_future_blocks_nothing() {
    let mut stage = Stage::new(2);
    stage.picture(2, 3_600_000, 400);
    stage.picture(1, 500, 500);
    assert_eq!(stage.take(800), set(500, &["500", "late"]));
    stage.picture(1, 1_000, 1_000);
    assert_eq!(stage.take(1_300), set(1_000, &["1000", "late"]));
}

#[test]
fn a_channel_that_leaves_takes_its_pictures_along() {
    let mut stage = Stage::new(3);
    stage.picture(1, 500, 500);
    stage.picture(3, 500, 500);
    stage.assembler.leave(id(3));
    stage.picture(3, 500, 500);
    stage.picture(2, 500, 500);
    assert_eq!(stage.take(500), set(500, &["500", "500"]));
    stage.assembler.join(id(3));
    stage.picture(1, 1_000, 1_000);
    assert_eq!(stage.take(1_300), set(1_000, &["1000", "late", "late"]));
}

#[test]
fn the_first_picture_of_a_feed_opens_no_set_unless_the_next_is_far() {
    let mut stage = Stage::new(1);
    stage.assembler.join(id(2));
    stage.picture(2, 480, 490);
    assert_eq!(stage.take(9_000), None);
    stage.picture(1, 500, 500);
    stage.picture(2, 980, 990);
    assert_eq!(stage.take(500), set(500, &["500", "480"]));

    let mut slow = Stage::new(0);
    slow.assembler.rule.grid = Grid::new(0.1).unwrap();
    slow.assembler.join(id(1));
    slow.picture(1, 30, 40);
    assert_eq!(slow.take(40), set(0, &["30"]));
}

#[test]
fn a_range_has_the_sets_of_its_instants_only() {
    let mut stage = Stage::new(1);
    let number = |ms| Grid::new(2.0).unwrap().nearest(wall(ms));
    stage.assembler.rule.first = Some(number(1_000));
    stage.assembler.rule.end = Some(number(2_000));
    stage.assembler.join(id(2));
    for at in [500, 1_000, 1_500, 2_000] {
        stage.picture(1, at, at);
        stage.picture(2, at, at);
    }
    assert_eq!(stage.take(2_000), set(1_000, &["1000", "1000"]));
    assert_eq!(stage.take(2_000), set(1_500, &["1500", "1500"]));
    assert_eq!(stage.take(9_000), None);
}

#[test]
fn silence_is_told() {
    let mut stage = Stage::new(1);
    stage.assembler.tick(stage.now(2_000));
    stage.assembler.tick(stage.now(2_000));
    assert_eq!(stage.take(2_100), None);
    assert_eq!(stage.take(2_300), set(2_000, &["late"]));
    assert_eq!(stage.take(9_000), None);
}

#[test]
fn a_channel_that_runs_ahead_waits_for_the_others() {
    let mut stage = Stage::new(2);
    for index in 1..=15 {
        stage.picture(1, index * 500, 9_000);
        assert!(!stage.assembler.is_ahead(id(1)));
    }
    stage.picture(1, 8_000, 9_000);
    stage.picture(1, 8_500, 9_000);
    assert!(stage.assembler.is_ahead(id(1)) && !stage.assembler.is_ahead(id(2)));
}

#[test]
fn at_the_end_what_is_open_comes_out() {
    let mut stage = Stage::new(2);
    stage.picture(1, 500, 500);
    stage.picture(1, 1_000, 1_000);
    stage.picture(2, 500, 1_000);
    stage.assembler.over(id(1));
    stage.assembler.over(id(2));
    assert!(!stage.assembler.is_over());
    assert_eq!(stage.take(1_000), set(500, &["500", "500"]));
    assert_eq!(stage.take(1_000), set(1_000, &["1000", "far 500"]));
    assert!(stage.assembler.is_over());
}
