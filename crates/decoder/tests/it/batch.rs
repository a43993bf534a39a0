//! Many pictures of recorded footage.

use crate::batch_rig::{Footage3, Told, all, at, behind, clip, cursor, ms, range, request, tell};
use crate::rig::Rig;
use framewell_imaging::Match;
use framewell_imaging::batch::{BatchRequest, Budget, EndReason, Entry, Rule};
use framewell_media::VideoCodec;
use framewell_model::ErrorKind;
use framewell_testkit::encode::ClipSpec;

#[tokio::test]
async fn an_instant_of_a_grid_means_the_picture_on_screen_and_holes_are_told() {
    let footage = Footage3::new().await;
    for (rule, period_us) in [
        (Rule::Every(230_000), 230_000.0),
        (Rule::Rate(3.0), 1e6 / 3.0),
        (Rule::Rate(40.0), 25_000.0),
    ] {
        let entries = all(
            &footage.rig,
            request(range(100, 12_000), rule, Match::Exact),
        )
        .await;
        let mut expected = Vec::new();
        let mut last = None;
        for number in 0..((11_900_000.0 / period_us) as i64 + 1) {
            let instant = at(100).plus_micros((number as f64 * period_us).round() as i64);
            let Some(shown) = footage.on_screen(instant).filter(|_| instant < at(12_000)) else {
                continue;
            };
            if last.replace(shown) != Some(shown) {
                expected.push((ms(instant), ms(shown)));
            }
        }
        let told = tell(&entries);
        let pictures: Vec<(i64, i64)> = told
            .iter()
            .filter_map(|told| match told {
                Told::Picture(requested, captured) => Some((*requested, *captured)),
                _ => None,
            })
            .collect();
        assert_eq!(pictures, expected, "{rule:?}");
        let others: Vec<&Told> = told
            .iter()
            .filter(|told| !matches!(told, Told::Picture(..)))
            .collect();
        let missing = |from: i64, to: i64| {
            let before = |ms: i64| (((ms - 100) as f64 * 1e3 / period_us).ceil()) as u64;
            before(to) - before(from)
        };
        assert_eq!(
            others,
            [
                &Told::Gap(3_840, 8_000, missing(3_840, 8_000)),
                &Told::Gap(9_920, 12_000, missing(9_920, 12_000)),
                &Told::End(EndReason::Complete)
            ],
            "{rule:?}"
        );
    }
}

#[tokio::test]
async fn a_count_holds_the_first_and_the_last_picture_of_the_footage() {
    let footage = Footage3::new().await;
    let entries = all(
        &footage.rig,
        request(range(-5_000, 20_000), Rule::Count(11), Match::Exact),
    )
    .await;
    let told = tell(&entries);
    let pictures: Vec<(i64, i64)> = told
        .iter()
        .filter_map(|told| match told {
            Told::Picture(requested, captured) => Some((*requested, *captured)),
            _ => None,
        })
        .collect();
    assert_eq!(pictures.first(), Some(&(0, 0)));
    assert_eq!(pictures.last(), Some(&(9_920, 9_880)));
    assert_eq!(told[0], Told::Gap(-5_000, 0, 0));
    // Four of the eleven fall into the hole.
    assert!(told.contains(&Told::Gap(3_840, 8_000, 5)), "{told:?}");
    assert_eq!(pictures.len(), 6);

    let inside = request(range(1_000, 1_500), Rule::Count(3), Match::Exact);
    let told = tell(&all(&footage.rig, inside).await);
    assert_eq!(told.len(), 4, "{told:?}");
    assert_eq!(told[0], Told::Picture(1_000, 1_000));
    let Told::Picture(_, last) = told[2] else {
        panic!("{told:?}");
    };
    assert_eq!(at(last), footage.on_screen(at(1_499)).unwrap());
}

#[tokio::test]
async fn key_frames_come_alone_for_their_rule_and_their_matching() {
    let footage = Footage3::new().await;
    let keys: Vec<i64> = [0, 1_920, 8_000]
        .into_iter()
        .flat_map(|run| (0..4).map(move |gop| run + gop * 480))
        .collect();
    let of = async |rule, matching| {
        let entries = all(&footage.rig, request(range(0, 12_000), rule, matching)).await;
        let keys: Vec<i64> = entries
            .iter()
            .filter_map(|entry| match entry {
                Entry::Picture(sample) => {
                    assert!(sample.is_key);
                    Some(ms(sample.captured))
                }
                _ => None,
            })
            .collect();
        tell(&entries);
        keys
    };
    assert_eq!(of(Rule::Keyframes, Match::Exact).await, keys);
    // A rate above that of the key frames gives each of them once.
    assert_eq!(of(Rule::Rate(10.0), Match::Keyframe).await, keys);
    let slow = of(Rule::Every(1_000_000), Match::Keyframe).await;
    assert_eq!(slow, [0, 960, 1_920, 2_880, 8_000, 8_960]);
}

#[tokio::test]
async fn every_picture_captured_in_the_range_comes_at_the_native_rate() {
    let footage = Footage3::new().await;
    let whole = request(range(300, 9_000), Rule::All, Match::Exact);
    let told = tell(&all(&footage.rig, whole).await);
    let expected: Vec<i64> = footage
        .captured
        .iter()
        .map(|wall| ms(*wall))
        .filter(|ms| (300..9_000).contains(ms))
        .collect();
    let pictures: Vec<i64> = told
        .iter()
        .filter_map(|told| match told {
            Told::Picture(_, captured) => Some(*captured),
            _ => None,
        })
        .collect();
    assert_eq!(pictures, expected);
    assert!(told.contains(&Told::Gap(3_840, 8_000, 0)));
}

#[tokio::test]
async fn other_matching_reaches_over_holes() {
    let footage = Footage3::new().await;
    let of = async |from: i64, to: i64, matching| {
        let request = request(range(from, to), Rule::Every(1_000_000), matching);
        tell(&all(&footage.rig, request).await)
    };
    let end = || Told::End(EndReason::Complete);
    // From one run over the hole into the next.
    assert_eq!(
        of(3_000, 9_000, Match::Before).await,
        [
            Told::Picture(3_000, 3_000),
            Told::Picture(4_000, 3_800),
            Told::Gap(3_840, 8_000, 0),
            Told::Picture(8_000, 8_000),
            end()
        ]
    );
    assert_eq!(
        of(3_010, 9_000, Match::After).await,
        [
            Told::Picture(3_010, 3_040),
            Told::Picture(4_010, 8_000),
            Told::Gap(3_840, 8_000, 0),
            Told::Picture(8_010, 8_040),
            end()
        ]
    );
    assert_eq!(
        of(3_030, 9_000, Match::Nearest).await,
        [
            Told::Picture(3_030, 3_040),
            Told::Picture(4_030, 3_800),
            Told::Picture(6_030, 8_000),
            Told::Gap(3_840, 8_000, 0),
            Told::Picture(8_030, 8_040),
            end()
        ]
    );
    // A range that begins, and ends, in a hole.
    assert_eq!(
        of(5_000, 7_000, Match::Before).await,
        [
            Told::Picture(5_000, 3_800),
            Told::Gap(5_000, 7_000, 0),
            end()
        ]
    );
    assert_eq!(
        of(5_000, 7_000, Match::Nearest).await,
        [
            Told::Picture(5_000, 3_800),
            Told::Picture(6_000, 8_000),
            Told::Gap(5_000, 7_000, 0),
            end()
        ]
    );
    assert_eq!(
        of(5_000, 7_000, Match::Exact).await,
        [Told::Gap(5_000, 7_000, 2), end()]
    );
}

#[tokio::test]
async fn a_batch_goes_on_behind_any_entry_and_gives_the_same_rest() {
    let footage = Footage3::new().await;
    for (rule, matching) in [
        (Rule::Every(700_000), Match::Exact),
        (Rule::Rate(4.0), Match::Nearest),
        (Rule::Every(900_000), Match::Before),
        (Rule::Every(900_000), Match::After),
        (Rule::Count(7), Match::Exact),
        (Rule::Keyframes, Match::Exact),
    ] {
        let whole = all(&footage.rig, request(range(-1_000, 11_000), rule, matching)).await;
        let told = tell(&whole);
        for (index, entry) in whole.iter().enumerate() {
            let Some(cursor) = cursor(entry) else {
                continue;
            };
            let rest = all(&footage.rig, behind(cursor)).await;
            assert_eq!(
                tell(&rest),
                told[index + 1..],
                "{rule:?} {matching:?} behind {index}: {cursor}"
            );
        }
    }
}

#[tokio::test]
async fn a_batch_of_all_pictures_goes_on_behind_any_of_them() {
    let footage = Footage3::new().await;
    let whole = request(range(1_500, 2_500), Rule::All, Match::Exact);
    let whole = all(&footage.rig, whole).await;
    let told = tell(&whole);
    assert!(told.len() > 20);
    for (index, entry) in whole.iter().enumerate() {
        if let Some(cursor) = cursor(entry) {
            let rest = all(&footage.rig, behind(cursor)).await;
            assert_eq!(tell(&rest), told[index + 1..], "behind {index}");
        }
    }
}

#[tokio::test]
async fn a_budget_ends_a_batch_and_its_cursor_goes_on() {
    let footage = Footage3::new().await;
    let whole = request(range(0, 3_840), Rule::Every(250_000), Match::Exact);
    let entries = all(&footage.rig, whole.clone()).await;
    let told = tell(&entries);
    let Some(Entry::End(end)) = entries.last() else {
        panic!("no end");
    };
    assert_eq!((end.images, end.next), (16, None));
    let area = 320 * 240;
    for (budget, reason, count) in [
        (
            Budget {
                images: Some(5),
                ..Budget::default()
            },
            EndReason::MaxImages,
            5,
        ),
        (
            Budget {
                pixels: Some(3 * area + 1),
                ..Budget::default()
            },
            EndReason::MaxPixels,
            3,
        ),
        (
            Budget {
                bytes: Some(1),
                ..Budget::default()
            },
            EndReason::MaxBytes,
            1,
        ),
    ] {
        let limited = BatchRequest {
            budget,
            ..whole.clone()
        };
        let entries = all(&footage.rig, limited).await;
        assert_eq!(tell(&entries)[..count], told[..count]);
        let Some(Entry::End(end)) = entries.last() else {
            panic!("no end");
        };
        assert_eq!((end.reason, end.images), (reason, count as u64));
        let rest = all(&footage.rig, behind(end.next.unwrap())).await;
        assert_eq!(tell(&rest), told[count..]);
    }
    let exactly = BatchRequest {
        budget: Budget {
            images: Some(16),
            ..Budget::default()
        },
        ..whole
    };
    assert_eq!(tell(&all(&footage.rig, exactly).await), told);
}

#[tokio::test]
async fn damaged_footage_is_an_entry_and_the_batch_goes_on() {
    let footage = Footage3::new().await;
    let path = footage.rig.folder.path().join("2.mp4");
    let mut file = std::fs::read(&path).unwrap();
    let length = file.len();
    // The second half of the second run: its last two GOPs.
    file[length / 2..].fill(0xa5);
    std::fs::write(&path, file).unwrap();
    let whole = request(range(0, 9_000), Rule::Every(500_000), Match::Exact);
    let entries = all(&footage.rig, whole).await;
    let told = tell(&entries);
    let failed: Vec<&Told> = told
        .iter()
        .filter(|told| matches!(told, Told::Failed(..)))
        .collect();
    assert!(!failed.is_empty(), "{told:?}");
    let missing: u64 = told
        .iter()
        .map(|told| match told {
            Told::Failed(_, _, missing) => *missing,
            _ => 0,
        })
        .sum();
    let pictures = told
        .iter()
        .filter(|told| matches!(told, Told::Picture(..)))
        .count() as u64;
    assert_eq!(pictures + missing, 10, "{told:?}");
    assert!(told.contains(&Told::Picture(8_500, 8_480)), "{told:?}");
    let failure = entries.iter().find_map(|entry| match entry {
        Entry::Failed(failure) => Some(failure.clone()),
        _ => None,
    });
    let failure = failure.unwrap();
    assert_eq!(failure.kind, ErrorKind::DataLoss);
    for (index, entry) in entries.iter().enumerate() {
        if let Some(cursor) = cursor(entry) {
            let rest = all(&footage.rig, behind(cursor)).await;
            assert_eq!(tell(&rest), told[index + 1..], "behind {index}");
        }
    }
    std::fs::remove_file(&path).unwrap();
    let whole = request(range(0, 9_000), Rule::Every(500_000), Match::Exact);
    let told = tell(&all(&footage.rig, whole).await);
    let missing = told.iter().map(|told| match told {
        Told::Failed(_, _, missing) => *missing,
        _ => 0,
    });
    assert_eq!(missing.sum::<u64>(), 4, "{told:?}");
}

#[tokio::test]
async fn pictures_may_be_named_without_being_made() {
    let footage = Footage3::new().await;
    let mut named = request(range(0, 12_000), Rule::Every(300_000), Match::Nearest);
    let made = all(&footage.rig, named.clone()).await;
    named.output = None;
    let named = all(&footage.rig, named).await;
    assert_eq!(tell(&named), tell(&made));
    for (named, made) in named.iter().zip(&made) {
        if let (Entry::Picture(named), Entry::Picture(made)) = (named, made) {
            assert!(named.pixels.is_none() && made.pixels.is_some());
            assert_eq!(named.frame, made.frame);
        }
    }
}

#[tokio::test]
async fn leading_pictures_are_shown_with_the_gop_before() {
    // One GOP a fragment, in the order of decoding; all pictures come, in the order of showing.
    let rig = Rig::new(at(60_000)).await;
    let clip = clip(VideoCodec::H265, 320, 2, 0);
    crate::archive::record(&rig, &clip, 1, 12);
    let whole = request(range(0, 1_920), Rule::Rate(25.0), Match::Exact);
    let told = tell(&all(&rig, whole).await);
    let expected: Vec<Told> = (0..48).map(|n| Told::Picture(n * 40, n * 40)).collect();
    assert_eq!(told[..48], expected);
}

#[tokio::test]
async fn long_gops_are_decoded_in_pieces_that_keep_their_place() {
    // 48 pictures in one GOP: three pieces of sixteen; with B pictures they come out in another order.
    for (codec, b_frames) in [
        (VideoCodec::H264, 2),
        (VideoCodec::H265, 2),
        (VideoCodec::H264, 0),
    ] {
        let rig = Rig::new(at(60_000)).await;
        let spec = ClipSpec {
            codec,
            width: 320,
            height: 240,
            gop: 48,
            b_frames,
            frames: 96,
            ..ClipSpec::default()
        };
        crate::archive::record(&rig, &spec.encode().unwrap(), 1, 48);
        let whole = request(range(0, 3_840), Rule::All, Match::Exact);
        let told = tell(&all(&rig, whole).await);
        let mut expected: Vec<Told> = (0..96).map(|n| Told::Picture(n * 40, n * 40)).collect();
        expected.push(Told::End(EndReason::Complete));
        assert_eq!(told, expected, "{codec:?} {b_frames}");
    }
}
