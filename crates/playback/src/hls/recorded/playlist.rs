//! The text of a recorded playlist (RFC 8216bis section 4).

use super::super::playlist::{Seconds, suffix};
use super::groups::Group;
use framewell_model::WallTime;
use std::fmt::Write as _;

/// `EXT-X-MAP` with fMP4 needs 6, byte ranges 4; 7 is what players expect with fMP4 (section 8).
const VERSION: u8 = 7;
/// Least target duration in seconds of a playlist that grows: it must not change then, and segments end
/// at the first key frame past their aim.
const LEAST_EVENT_TARGET_S: i64 = 15;
/// How far past their aim the first key frame may be.
const EVENT_SLACK_US: i64 = 5_000_000;

/// `EXT-X-PLAYLIST-TYPE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Complete.
    Vod,
    /// Grows at its end.
    Event,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Vod => "VOD",
            Self::Event => "EVENT",
        }
    }
}

/// Writes segments as they come; the head needs to know all of them.
#[derive(Debug)]
pub(super) struct Writer {
    kind: Kind,
    suffix: String,
    segments: String,
    first: Option<WallTime>,
    target_s: i64,
    total_us: i64,
}

impl Writer {
    pub(super) fn new(kind: Kind, query: &str, aim_us: i64) -> Self {
        let target_s = match kind {
            Kind::Vod => 1,
            Kind::Event => LEAST_EVENT_TARGET_S.max((aim_us + EVENT_SLACK_US) / 1_000_000),
        };
        Self {
            kind,
            suffix: suffix(query),
            segments: String::new(),
            first: None,
            target_s,
            total_us: 0,
        }
    }

    pub(super) fn push(&mut self, group: &Group) {
        let is_first = self.first.is_none();
        self.first.get_or_insert(group.start);
        self.target_s = self.target_s.max((group.duration_us + 500_000) / 1_000_000);
        self.total_us += group.duration_us;
        let text = &mut self.segments;
        let (segment, suffix) = (group.segment, &self.suffix);
        if group.is_discontinuity && !is_first {
            text.push_str("#EXT-X-DISCONTINUITY\n");
        }
        if is_first || !group.has_same_parameters {
            push(
                text,
                format_args!("#EXT-X-MAP:URI=\"init-{segment}.mp4{suffix}\""),
            );
        }
        let (length, offset) = (group.bytes.end - group.bytes.start, group.bytes.start);
        push(
            text,
            format_args!(
                "#EXT-X-PROGRAM-DATE-TIME:{}\n#EXTINF:{},\n#EXT-X-BYTERANGE:{length}@{offset}\n{segment}.mp4{suffix}",
                group.start,
                Seconds(group.duration_us),
            ),
        );
    }

    /// The whole text; `None` without a segment. `start` is where players are to begin.
    pub(super) fn finish(self, start: WallTime, is_ended: bool) -> Option<String> {
        let before_us = start.micros_since(self.first?).clamp(0, self.total_us);
        let mut text = String::with_capacity(self.segments.len() + 256);
        push(
            &mut text,
            format_args!(
                "#EXTM3U\n#EXT-X-VERSION:{VERSION}\n#EXT-X-TARGETDURATION:{}\n#EXT-X-PLAYLIST-TYPE:{}\n\
                 #EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-INDEPENDENT-SEGMENTS\n\
                 #EXT-X-START:TIME-OFFSET={},PRECISE=YES",
                self.target_s,
                self.kind.word(),
                Seconds(before_us),
            ),
        );
        text.push_str(&self.segments);
        if is_ended {
            text.push_str("#EXT-X-ENDLIST\n");
        }
        Some(text)
    }
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("writing into a string does not fail");
}
