//! From text to a playlist.

use super::attributes::{byte_range, micros};
use super::{
    Attributes, Kind, Part, Playlist, Resource, Segment, ServerControl, Violation, ensure,
};
use framewell_model::WallTime;
use std::collections::BTreeSet;
use std::ops::Range;

/// Tags that stand at most once, before the first segment.
const HEAD_TAGS: [&str; 9] = [
    "EXT-X-VERSION",
    "EXT-X-TARGETDURATION",
    "EXT-X-SERVER-CONTROL",
    "EXT-X-PART-INF",
    "EXT-X-MEDIA-SEQUENCE",
    "EXT-X-DISCONTINUITY-SEQUENCE",
    "EXT-X-INDEPENDENT-SEGMENTS",
    "EXT-X-PLAYLIST-TYPE",
    "EXT-X-START",
];

pub(super) fn read(text: &str, query: &str) -> Result<Playlist, Violation> {
    ensure(text.ends_with('\n') && !text.contains('\r'), || {
        "4.1: lines end with a line feed here".to_owned()
    })?;
    let mut lines = text.lines();
    ensure(lines.next() == Some("#EXTM3U"), || {
        "4.4.1.1: EXTM3U is not the first line".to_owned()
    })?;
    let mut reader = Reader::new(query);
    for line in lines {
        reader
            .take(line)
            .map_err(|why| format!("{why}, in {line:?}"))?;
    }
    reader.finish()
}

/// Tags of the segment that comes.
#[derive(Debug, Default)]
struct Pending {
    starts_discontinuity: bool,
    start: Option<WallTime>,
    duration_us: Option<i64>,
    range: Option<Range<u64>>,
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Reader<'a> {
    query: &'a str,
    seen: BTreeSet<String>,
    playlist: Playlist,
    map: Option<Resource>,
    pending: Pending,
    has_independent_segments: bool,
}

impl<'a> Reader<'a> {
    fn new(query: &'a str) -> Self {
        Self {
            query,
            seen: BTreeSet::new(),
            playlist: Playlist {
                version: 1,
                target_s: 0,
                part_target_us: None,
                control: ServerControl::default(),
                kind: None,
                has_end: false,
                start_us: None,
                sequence: 0,
                discontinuity: 0,
                skipped: 0,
                segments: Vec::new(),
                open: None,
                hint: None,
            },
            map: None,
            pending: Pending::default(),
            has_independent_segments: false,
        }
    }

    fn take(&mut self, line: &str) -> Result<(), Violation> {
        let Some(tag) = line.strip_prefix('#') else {
            return self.take_segment(line);
        };
        let (name, value) = tag.split_once(':').unwrap_or((tag, ""));
        if HEAD_TAGS.contains(&name) {
            return self.take_head(name, value);
        }
        match name {
            "EXTINF" => {
                let seconds = value
                    .strip_suffix(',')
                    .ok_or("4.4.4.1: EXTINF ends with a comma")?;
                set(&mut self.pending.duration_us, micros(seconds)?, name)
            }
            "EXT-X-BYTERANGE" => set(&mut self.pending.range, byte_range(value)?, name),
            "EXT-X-PROGRAM-DATE-TIME" => {
                let time = value
                    .parse()
                    .map_err(|_| "4.4.4.6: this is no time".to_owned())?;
                set(&mut self.pending.start, time, name)
            }
            "EXT-X-DISCONTINUITY" => {
                let twice = std::mem::replace(&mut self.pending.starts_discontinuity, true);
                ensure(!twice && self.pending.parts.is_empty(), || {
                    "4.4.4.3: EXT-X-DISCONTINUITY stands in the wrong place".to_owned()
                })
            }
            "EXT-X-MAP" => self.take_map(value),
            "EXT-X-PART" => self.take_part(value),
            "EXT-X-SKIP" => self.take_skip(value),
            "EXT-X-PRELOAD-HINT" => self.take_hint(value),
            "EXT-X-ENDLIST" => {
                let twice = std::mem::replace(&mut self.playlist.has_end, true);
                ensure(!twice, || "4.4.3.4: EXT-X-ENDLIST stands twice".to_owned())
            }
            _ => Err("no rules are known for this tag".to_owned()),
        }
    }

    fn take_head(&mut self, name: &str, value: &str) -> Result<(), Violation> {
        ensure(self.seen.insert(name.to_owned()), || {
            format!("4.4.3: {name} stands twice")
        })?;
        let is_before = self.playlist.segments.is_empty() && self.pending.parts.is_empty();
        ensure(is_before, || {
            format!("4.4.3: {name} stands behind the first segment")
        })?;
        let number = || {
            let parsed = value.parse::<u64>();
            parsed.map_err(|_| format!("4.2: {value:?} is no decimal integer"))
        };
        let playlist = &mut self.playlist;
        match name {
            "EXT-X-VERSION" => playlist.version = u8::try_from(number()?).unwrap_or(u8::MAX),
            "EXT-X-TARGETDURATION" => {
                playlist.target_s = i64::try_from(number()?).unwrap_or(i64::MAX);
            }
            "EXT-X-MEDIA-SEQUENCE" => playlist.sequence = number()?,
            "EXT-X-DISCONTINUITY-SEQUENCE" => playlist.discontinuity = number()?,
            "EXT-X-INDEPENDENT-SEGMENTS" => self.has_independent_segments = true,
            "EXT-X-PLAYLIST-TYPE" => {
                playlist.kind = Some(match value {
                    "EVENT" => Kind::Event,
                    "VOD" => Kind::Vod,
                    _ => return Err("4.4.3.5: neither EVENT nor VOD".to_owned()),
                });
            }
            "EXT-X-START" => {
                let attributes = Attributes::read(value)?;
                attributes.only(&["TIME-OFFSET", "PRECISE"])?;
                ensure(attributes.plain("PRECISE") == Some("YES"), || {
                    "4.4.2.2: starts here are precise".to_owned()
                })?;
                playlist.start_us = attributes.seconds("TIME-OFFSET")?;
                ensure(playlist.start_us.is_some(), || {
                    "4.4.2.2: TIME-OFFSET is required".to_owned()
                })?;
            }
            "EXT-X-PART-INF" => {
                let attributes = Attributes::read(value)?;
                attributes.only(&["PART-TARGET"])?;
                playlist.part_target_us = attributes.seconds("PART-TARGET")?;
            }
            _ => playlist.control = server_control(value)?,
        }
        Ok(())
    }

    fn take_map(&mut self, value: &str) -> Result<(), Violation> {
        let attributes = Attributes::read(value)?;
        attributes.only(&["URI", "BYTERANGE"])?;
        ensure(self.pending.parts.is_empty(), || {
            "4.4.4.5: EXT-X-MAP stands behind parts of its segment".to_owned()
        })?;
        let uri = attributes
            .quoted("URI")
            .ok_or("4.4.4.5: a map needs a URI")?;
        let range = attributes.quoted("BYTERANGE").map(byte_range).transpose()?;
        self.map = Some(Resource {
            uri: self.checked_uri(uri)?,
            range,
        });
        Ok(())
    }

    fn take_part(&mut self, value: &str) -> Result<(), Violation> {
        let attributes = Attributes::read(value)?;
        attributes.only(&["DURATION", "URI", "INDEPENDENT"])?;
        let uri = attributes
            .quoted("URI")
            .ok_or("4.4.4.9: a part needs a URI")?;
        let duration = attributes.seconds("DURATION")?;
        let independent = attributes.plain("INDEPENDENT");
        ensure(matches!(independent, None | Some("YES")), || {
            "4.4.4.9: INDEPENDENT is YES or absent".to_owned()
        })?;
        ensure(self.pending.duration_us.is_none(), || {
            "4.4.4.9: a part stands behind the EXTINF of its segment".to_owned()
        })?;
        self.pending.parts.push(Part {
            uri: self.checked_uri(uri)?,
            duration_us: duration.ok_or("4.4.4.9: a part needs a DURATION")?,
            is_independent: independent.is_some(),
        });
        Ok(())
    }

    fn take_skip(&mut self, value: &str) -> Result<(), Violation> {
        let attributes = Attributes::read(value)?;
        attributes.only(&["SKIPPED-SEGMENTS"])?;
        let count = attributes.plain("SKIPPED-SEGMENTS");
        let count = count
            .and_then(|count| count.parse().ok())
            .filter(|n| *n > 0);
        ensure(
            self.playlist.segments.is_empty() && self.playlist.skipped == 0,
            || "4.4.5.2: EXT-X-SKIP stands once, before all segments".to_owned(),
        )?;
        self.playlist.skipped = count.ok_or("4.4.5.2: SKIPPED-SEGMENTS is missing")?;
        Ok(())
    }

    fn take_hint(&mut self, value: &str) -> Result<(), Violation> {
        let attributes = Attributes::read(value)?;
        attributes.only(&["TYPE", "URI"])?;
        ensure(attributes.plain("TYPE") == Some("PART"), || {
            "4.4.5.3: only parts are hinted at here".to_owned()
        })?;
        let uri = attributes
            .quoted("URI")
            .ok_or("4.4.5.3: a hint needs a URI")?;
        let uri = self.checked_uri(uri)?;
        set(&mut self.playlist.hint, uri, "EXT-X-PRELOAD-HINT")
    }

    fn take_segment(&mut self, line: &str) -> Result<(), Violation> {
        let pending = std::mem::take(&mut self.pending);
        let media = Resource {
            uri: self.checked_uri(line)?,
            range: pending.range.clone(),
        };
        let duration = pending.duration_us;
        let duration = duration.ok_or("4.4.4.1: a segment needs its EXTINF")?;
        let segment = self.segment(pending, Some(media), duration)?;
        self.playlist.segments.push(segment);
        Ok(())
    }

    fn segment(
        &self,
        pending: Pending,
        media: Option<Resource>,
        duration_us: i64,
    ) -> Result<Segment, Violation> {
        let before = self.playlist.segments.last();
        let first = self.playlist.sequence + self.playlist.skipped;
        let discontinuity = before.map_or(self.playlist.discontinuity, |s| s.discontinuity);
        let map = match (&self.map, self.playlist.skipped) {
            (Some(map), _) => map.clone(),
            // It is among the tags that are skipped.
            (None, 1..) => Resource {
                uri: String::new(),
                range: None,
            },
            (None, 0) => return Err("3.1.2: a segment of MP4 needs an EXT-X-MAP".to_owned()),
        };
        Ok(Segment {
            sequence: before.map_or(first, |before| before.sequence + 1),
            discontinuity: discontinuity + u64::from(pending.starts_discontinuity),
            starts_discontinuity: pending.starts_discontinuity,
            map,
            media,
            start: pending.start.ok_or("every segment here has its time")?,
            duration_us,
            parts: pending.parts,
        })
    }

    fn finish(mut self) -> Result<Playlist, Violation> {
        for required in ["EXT-X-VERSION", "EXT-X-TARGETDURATION"] {
            ensure(self.seen.contains(required), || {
                format!("4.4: {required} is missing")
            })?;
        }
        ensure(self.has_independent_segments, || {
            "every segment here begins with a key frame, so EXT-X-INDEPENDENT-SEGMENTS is due"
                .to_owned()
        })?;
        let pending = std::mem::take(&mut self.pending);
        ensure(
            pending.duration_us.is_none() && pending.range.is_none(),
            || "4.4.4: tags of a segment without its URI".to_owned(),
        )?;
        if !pending.parts.is_empty() {
            let so_far = pending.parts.iter().map(|part| part.duration_us).sum();
            self.playlist.open = Some(self.segment(pending, None, so_far)?);
        }
        Ok(self.playlist)
    }

    /// Relative, with the query that opens it; without that query.
    fn checked_uri(&self, uri: &str) -> Result<String, Violation> {
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        ensure(query == self.query, || {
            format!("{uri:?} has another query than {:?}", self.query)
        })?;
        ensure(!path.is_empty() && !path.contains(['/', ':']), || {
            format!("{uri:?} is no relative name")
        })?;
        Ok(path.to_owned())
    }
}

fn server_control(value: &str) -> Result<ServerControl, Violation> {
    let attributes = Attributes::read(value)?;
    attributes.only(&["CAN-BLOCK-RELOAD", "PART-HOLD-BACK", "CAN-SKIP-UNTIL"])?;
    Ok(ServerControl {
        can_block_reload: attributes.plain("CAN-BLOCK-RELOAD") == Some("YES"),
        part_hold_back_us: attributes.seconds("PART-HOLD-BACK")?,
        can_skip_until_us: attributes.seconds("CAN-SKIP-UNTIL")?,
    })
}

/// Sets what stands once.
fn set<T>(slot: &mut Option<T>, value: T, name: &str) -> Result<(), Violation> {
    ensure(slot.replace(value).is_none(), || {
        format!("4.4: {name} stands twice for one segment")
    })
}
