//! Playlist texts (RFC 8216bis section 4).

use super::packager::Packager;
use super::segment::{Draft, Part, Segment};
use framewell_media::StreamParameters;
use framewell_model::WallTime;
use std::fmt::Write;

/// Delta updates need version 9 (RFC 8216bis section 8); it includes all that the rest needs.
const VERSION: u8 = 9;
/// A player stays this many longest parts behind the end (`PART-HOLD-BACK`): three, so that one that is
/// late leaves two to play.
const HOLD_BACK_PARTS: i64 = 3;
/// Delta updates leave out what lies this many target durations before the end; it must not be less
/// (section 4.4.3.8).
const SKIP_TARGETS: i64 = 6;
/// Parts are listed for this many target durations before the end (section 4.4.4.9).
const PARTS_TARGETS: i64 = 3;
/// Stands in a text where the query of its reader goes. No text has it otherwise.
const QUERY_MARK: char = '\u{1}';

/// Playlists of one state of a packager, without the queries of those who ask.
#[derive(Debug, Default)]
pub(super) struct Texts {
    full: Option<String>,
    delta: Option<String>,
}

/// Multivariant playlist with one rendition; `None` before the first segment.
pub(super) fn multivariant(packager: &Packager, query: &str) -> Option<String> {
    let parameters = packager.parameters()?;
    let rates = Rates::of(packager);
    let StreamParameters { video, .. } = parameters;
    Some(format!(
        "#EXTM3U\n\
         #EXT-X-VERSION:{VERSION}\n\
         #EXT-X-INDEPENDENT-SEGMENTS\n\
         #EXT-X-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={},CODECS=\"{}\",RESOLUTION={}x{},FRAME-RATE={:.3}\n\
         media.m3u8{}\n",
        rates.peak_bits_s,
        rates.mean_bits_s,
        parameters.codecs(),
        video.width,
        video.height,
        rates.pictures_s,
        suffix(query),
    ))
}

/// Media playlist of the window; a delta update if asked for and if there is something to leave out.
pub(super) fn media(packager: &mut Packager, query: &str, is_delta: bool) -> String {
    let mut texts = std::mem::take(&mut packager.texts);
    let slot = if is_delta {
        &mut texts.delta
    } else {
        &mut texts.full
    };
    let text = slot.get_or_insert_with(|| render(packager, is_delta));
    let with_query = text.replace(QUERY_MARK, &suffix(query));
    packager.texts = texts;
    with_query
}

fn render(packager: &Packager, is_delta: bool) -> String {
    let mut text = String::with_capacity(8_192);
    let draft = packager.draft();
    let listed_us: i64 = packager.listed().map(|segment| segment.duration_us).sum();
    let end_us = listed_us + draft.map_or(0, Draft::parts_us);
    let target_us = packager.target_s() * 1_000_000;
    head(&mut text, packager, target_us);
    let skip_before_us = end_us - SKIP_TARGETS * target_us;
    let parts_from_us = end_us - PARTS_TARGETS * target_us;
    let mut at_us = 0;
    let mut skipped = 0;
    let mut before: Option<&Segment> = None;
    for segment in packager.listed() {
        at_us += segment.duration_us;
        if is_delta && at_us <= skip_before_us {
            skipped += 1;
        } else {
            if skipped > 0 {
                push(
                    &mut text,
                    format_args!("#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}"),
                );
                skipped = 0;
            }
            push_jump(
                &mut text,
                before,
                segment.epoch,
                segment.is_discontinuity,
                segment.start,
            );
            if at_us > parts_from_us {
                push_parts(&mut text, segment.sequence, &segment.parts);
            }
            push_segment(&mut text, segment);
        }
        before = Some(segment);
    }
    let sequence = packager.next_sequence();
    let parts = draft.map_or(&[][..], |draft| &draft.parts[..]);
    if let Some(draft) = draft.filter(|draft| !draft.parts.is_empty()) {
        push_jump(
            &mut text,
            before,
            draft.epoch,
            draft.is_discontinuity,
            draft.start,
        );
        push_parts(&mut text, sequence, parts);
    }
    push(
        &mut text,
        format_args!(
            "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"part-{sequence}-{}.m4s{QUERY_MARK}\"",
            parts.len()
        ),
    );
    text
}

fn head(text: &mut String, packager: &Packager, target_us: i64) {
    let longest_us = packager.part_us().max(longest_listed(packager));
    let first = packager.listed().next();
    let (sequence, discontinuity) =
        first.map_or((0, 0), |first| (first.sequence, first.discontinuity));
    push(text, format_args!("#EXTM3U"));
    push(text, format_args!("#EXT-X-VERSION:{VERSION}"));
    push(
        text,
        format_args!("#EXT-X-TARGETDURATION:{}", packager.target_s()),
    );
    push(
        text,
        format_args!(
            "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={},CAN-SKIP-UNTIL={}",
            Seconds(HOLD_BACK_PARTS * longest_us),
            Seconds(SKIP_TARGETS * target_us),
        ),
    );
    push(
        text,
        format_args!("#EXT-X-PART-INF:PART-TARGET={}", Seconds(longest_us)),
    );
    push(text, format_args!("#EXT-X-MEDIA-SEQUENCE:{sequence}"));
    // The tag before the first segment counts as removed.
    push(
        text,
        format_args!("#EXT-X-DISCONTINUITY-SEQUENCE:{discontinuity}"),
    );
    push(text, format_args!("#EXT-X-INDEPENDENT-SEGMENTS"));
}

/// A camera that paused makes a part that is longer than parts should be, and the playlist has to say
/// so while it lists that part.
fn longest_listed(packager: &Packager) -> i64 {
    let draft = packager.draft().map_or(&[][..], |draft| &draft.parts[..]);
    let listed = packager.listed().flat_map(|segment| &segment.parts);
    let lengths = listed.chain(draft).map(|part| part.duration_us);
    lengths.max().unwrap_or(0)
}

/// What changes between two segments, and when the second one was captured.
fn push_jump(
    text: &mut String,
    before: Option<&Segment>,
    epoch: u64,
    is_discontinuity: bool,
    start: WallTime,
) {
    if before.is_some() && is_discontinuity {
        push(text, format_args!("#EXT-X-DISCONTINUITY"));
    }
    if before.is_none_or(|before| before.epoch != epoch) {
        push(
            text,
            format_args!("#EXT-X-MAP:URI=\"init-{epoch}.mp4{QUERY_MARK}\""),
        );
    }
    push(text, format_args!("#EXT-X-PROGRAM-DATE-TIME:{start}"));
}

fn push_parts(text: &mut String, sequence: u64, parts: &[Part]) {
    for (number, part) in parts.iter().enumerate() {
        let independent = if part.is_independent {
            ",INDEPENDENT=YES"
        } else {
            ""
        };
        push(
            text,
            format_args!(
                "#EXT-X-PART:DURATION={},URI=\"part-{sequence}-{number}.m4s{QUERY_MARK}\"{independent}",
                Seconds(part.duration_us)
            ),
        );
    }
}

fn push_segment(text: &mut String, segment: &Segment) {
    push(
        text,
        format_args!("#EXTINF:{},", Seconds(segment.duration_us)),
    );
    push(
        text,
        format_args!("seg-{}.m4s{QUERY_MARK}", segment.sequence),
    );
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("writing into a string does not fail");
}

/// Microseconds as decimal seconds.
pub(super) struct Seconds(pub(super) i64);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// `?query`, without anything that would end a line or a quoted string.
pub(super) fn suffix(query: &str) -> String {
    if query.is_empty() {
        return String::new();
    }
    let safe = query
        .chars()
        .filter(|char| char.is_ascii_graphic() && *char != '"');
    std::iter::once('?').chain(safe).collect()
}

/// What the window measures.
struct Rates {
    peak_bits_s: u64,
    mean_bits_s: u64,
    pictures_s: f64,
}

impl Rates {
    fn of(packager: &Packager) -> Self {
        let (mut bytes, mut pictures, mut total_us, mut peak_bits_s) = (0, 0, 0, 1);
        for segment in packager.listed() {
            bytes += segment.body.len();
            pictures += segment.pictures;
            total_us += segment.duration_us;
            peak_bits_s = peak_bits_s.max(bits_per_second(segment.body.len(), segment.duration_us));
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "counts and durations of a minute of video"
        )]
        let pictures_s = pictures as f64 * 1e6 / total_us.max(1) as f64;
        Self {
            peak_bits_s,
            mean_bits_s: bits_per_second(bytes, total_us),
            pictures_s,
        }
    }
}

fn bits_per_second(bytes: usize, duration_us: i64) -> u64 {
    let duration_us = u64::try_from(duration_us).unwrap_or(0).max(1);
    (bytes as u64 * 8).saturating_mul(1_000_000) / duration_us
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_cannot_break_out_of_its_line() {
        assert_eq!(suffix(""), "");
        assert_eq!(suffix("ticket=media.a_b-c"), "?ticket=media.a_b-c");
        assert_eq!(suffix("a=\"\n#EXT-X-ENDLIST"), "?a=#EXT-X-ENDLIST");
    }

    #[test]
    fn seconds_keep_every_microsecond() {
        assert_eq!(Seconds(1_000_042).to_string(), "1.000042");
        assert_eq!(Seconds(0).to_string(), "0.000000");
    }
}
