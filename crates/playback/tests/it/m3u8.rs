//! A reader of media playlists that holds them to RFC 8216.

use framewell_model::WallTime;
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Segment {
    pub(crate) sequence: u64,
    pub(crate) discontinuity: u64,
    pub(crate) starts_discontinuity: bool,
    pub(crate) map: String,
    pub(crate) uri: String,
    pub(crate) start: WallTime,
    pub(crate) duration_us: i64,
}

impl Segment {
    pub(crate) fn end(&self) -> WallTime {
        self.start.plus_micros(self.duration_us)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Playlist {
    pub(crate) target_s: i64,
    pub(crate) segments: Vec<Segment>,
}

/// A quoted or plain attribute of a tag (section 4.2).
pub(crate) fn attribute(line: &str, name: &str) -> Option<String> {
    let (_, rest) = line.split_once(&format!("{name}="))?;
    Some(match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next()?.to_owned(),
        None => rest.split(',').next()?.to_owned(),
    })
}

/// Seconds with six decimals as microseconds, exactly.
fn micros(text: &str) -> i64 {
    let (seconds, fraction) = text.split_once('.').unwrap();
    assert_eq!(fraction.len(), 6);
    seconds.parse::<i64>().unwrap() * 1_000_000 + fraction.parse::<i64>().unwrap()
}

impl Playlist {
    /// Reads and checks one playlist; all URIs must be relative and carry `query`.
    pub(crate) fn parse(text: &str, query: &str) -> Self {
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("#EXTM3U"), "section 4.3.1.1");
        let mut once: BTreeMap<&str, &str> = BTreeMap::new();
        let mut segments: Vec<Segment> = Vec::new();
        let (mut map, mut start, mut duration, mut jumps) = (None, None, None, false);
        for line in lines {
            if let Some(value) = line.strip_prefix("#EXTINF:") {
                duration = Some(micros(value.strip_suffix(',').unwrap()));
            } else if let Some(value) = line.strip_prefix("#EXT-X-PROGRAM-DATE-TIME:") {
                start = Some(value.parse().unwrap());
            } else if line.starts_with("#EXT-X-MAP:") {
                map = Some(checked_uri(&attribute(line, "URI").unwrap(), query));
            } else if line == "#EXT-X-DISCONTINUITY" {
                jumps = true;
            } else if let Some(tag) = line.strip_prefix('#') {
                assert!(
                    segments.is_empty(),
                    "{line} stands before the first segment"
                );
                let (name, value) = tag.split_once(':').unwrap_or((tag, ""));
                assert_eq!(once.insert(name, value), None, "{name} stands once");
            } else {
                let number = |name| once[name].parse::<u64>().unwrap();
                let before = segments.last();
                segments.push(Segment {
                    sequence: before
                        .map_or_else(|| number("EXT-X-MEDIA-SEQUENCE"), |s| s.sequence + 1),
                    discontinuity: before.map_or_else(
                        || number("EXT-X-DISCONTINUITY-SEQUENCE"),
                        |s| s.discontinuity,
                    ) + u64::from(jumps),
                    starts_discontinuity: std::mem::take(&mut jumps),
                    map: map.clone().expect("fMP4 segments need a map (section 3.3)"),
                    uri: checked_uri(line, query),
                    start: start.take().expect("every segment has its time"),
                    duration_us: duration
                        .take()
                        .expect("EXTINF is required (section 4.3.2.1)"),
                });
            }
        }
        assert!(
            once["EXT-X-VERSION"].parse::<u8>().unwrap() >= 6,
            "section 7"
        );
        assert!(once.contains_key("EXT-X-INDEPENDENT-SEGMENTS"));
        let target_s = once["EXT-X-TARGETDURATION"].parse().unwrap();
        let playlist = Self { target_s, segments };
        playlist.check();
        playlist
    }

    fn check(&self) {
        for segment in &self.segments {
            let rounded_s = (segment.duration_us + 500_000) / 1_000_000;
            assert!(rounded_s <= self.target_s, "section 4.3.3.1: {segment:?}");
        }
        for pair in self.segments.windows(2) {
            if !pair[1].starts_discontinuity {
                let off_us = pair[1].start.micros_since(pair[0].end());
                assert!(off_us.abs() <= 20, "times go on: {pair:?}");
                assert_eq!(pair[0].map, pair[1].map);
            }
        }
    }

    /// Checks what may change from one playlist to a later one (section 6.2.2).
    pub(crate) fn check_successor(&self, next: &Self) {
        assert_eq!(
            self.target_s, next.target_s,
            "the target duration must not change"
        );
        assert!(self.segments[0].sequence <= next.segments[0].sequence);
        assert!(self.segments.last().unwrap().sequence <= next.segments.last().unwrap().sequence);
        let removed = self.segments[0].sequence < next.segments[0].sequence;
        let total_us: i64 = next
            .segments
            .iter()
            .map(|segment| segment.duration_us)
            .sum();
        assert!(!removed || total_us >= 3 * next.target_s * 1_000_000);
        for segment in &next.segments {
            let same = self
                .segments
                .iter()
                .find(|old| old.sequence == segment.sequence);
            if let Some(old) = same {
                // The tag in front of the first segment is not shown.
                let starts_discontinuity = old.starts_discontinuity;
                let segment = Segment {
                    starts_discontinuity,
                    ..segment.clone()
                };
                assert_eq!(*old, segment);
            }
        }
    }
}

fn checked_uri(uri: &str, query: &str) -> String {
    let (path, found) = uri.split_once('?').unwrap();
    assert_eq!(found, query);
    assert!(
        !path.contains('/') && !path.contains(':'),
        "{uri} is relative"
    );
    path.to_owned()
}
