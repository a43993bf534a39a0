//! What is read for a byte range, and how long segments are.

use super::media::{Read, reads};
use super::{MAX_SEGMENTS, Span};
use framewell_fmp4::FragmentEntry;
use framewell_model::{ClockSource, WallTime};
use std::ops::Range;

/// A fragment with a header of 100 bytes.
fn fragment(offset: u64, len: u32) -> FragmentEntry {
    FragmentEntry {
        offset,
        header_len: 100,
        len,
        wall: WallTime::from_secs(0),
        anchor_pts: 0,
        dts: 0,
        min_pts: 0,
        end_pts: 90_000,
        duration: 90_000,
        is_key: true,
        clock: ClockSource::CameraRtcp,
    }
}

/// An init part of 50 bytes, two short fragments, a long one.
fn entries() -> Vec<FragmentEntry> {
    vec![
        fragment(50, 1_000),
        fragment(1_050, 1_000),
        fragment(2_050, 1_000_000),
    ]
}

fn read(bytes: Range<u64>, headers: Range<usize>, wanted: Range<u64>) -> Read {
    Read {
        bytes,
        headers,
        wanted,
    }
}

#[test]
fn short_fragments_are_read_together_and_long_ones_in_parts() {
    let all = reads(&entries(), 0..1_002_050);
    let half = 512 << 10;
    let third = 2_050 + half;
    assert_eq!(
        all,
        [
            read(0..50, 0..0, 0..50),
            read(50..2_050, 0..2, 50..2_050),
            read(2_050..third, 2..3, 2_050..third),
            read(third..1_002_050, 0..0, third..1_002_050),
        ]
    );
}

#[test]
fn a_header_is_read_whole_however_little_of_it_is_wanted() {
    assert_eq!(
        reads(&entries(), 1_100..1_120),
        [read(1_050..1_150, 1..2, 1_100..1_120)]
    );
    assert_eq!(
        reads(&entries(), 900..1_060),
        [
            read(900..1_050, 0..0, 900..1_050),
            read(1_050..1_150, 1..2, 1_050..1_060)
        ]
    );
    assert_eq!(reads(&entries(), 10..10), []);
}

#[test]
fn every_range_is_given_whole_and_in_order() {
    let entries = entries();
    for start in (0..2_300).step_by(37) {
        for length in [1, 40, 99, 101, 1_000, 700_000] {
            let mut at = start;
            for read in reads(&entries, start..start + length) {
                assert_eq!(read.wanted.start, at);
                assert!(read.bytes.start <= read.wanted.start);
                assert!(read.bytes.end >= read.wanted.end);
                for n in read.headers {
                    let header = entries[n].offset..entries[n].offset + 100;
                    assert!(read.bytes.start <= header.start && read.bytes.end >= header.end);
                }
                at = read.wanted.end;
            }
            assert_eq!(at, start + length);
        }
    }
}

#[test]
fn segments_of_long_playlists_are_longer_and_an_open_one_does_not_become_too_long() {
    const HOUR_S: i64 = 3_600;
    let start = WallTime::from_secs(1_000_000);
    let aim_s = |length_s: Option<i64>, now_s: i64| {
        let at = |seconds: i64| start.plus_micros(seconds * 1_000_000);
        let end = length_s.map(at);
        let aim_us = Span { start, end }.aim_us(at(now_s))?;
        Some(aim_us / 1_000_000)
    };
    assert_eq!(aim_s(Some(5 * HOUR_S), 0), Some(5));
    assert_eq!(aim_s(Some(6 * HOUR_S), 0), Some(10));
    let week_s = 168 * HOUR_S;
    for now_s in [0, week_s] {
        let aim_s = aim_s(Some(week_s), now_s).unwrap();
        assert!(
            week_s / aim_s <= MAX_SEGMENTS + MAX_SEGMENTS / 50,
            "{aim_s}"
        );
    }
    assert_eq!(aim_s(Some(week_s + 1), 0), None);
    assert_eq!(aim_s(None, 32 * HOUR_S), Some(5));
    assert_eq!(aim_s(None, 32 * HOUR_S + 1), None);
}
