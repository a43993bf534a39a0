//! Playlist texts (RFC 8216 section 4).

use super::packager::Packager;
use super::segment::Segment;
use framewell_media::StreamParameters;
use std::fmt::Write;

/// fMP4 segments with `EXT-X-MAP` outside I-frame playlists need version 6, independent segments
/// none; 7 is what players expect with fMP4 (RFC 8216 section 7).
const VERSION: u8 = 7;

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

/// Media playlist of the window.
pub(super) fn media(packager: &Packager, query: &str) -> String {
    let suffix = suffix(query);
    let mut text = String::with_capacity(2_048);
    let mut segments = packager.listed().peekable();
    let (sequence, discontinuity) = segments
        .peek()
        .map_or((0, 0), |first| (first.sequence, first.discontinuity));
    push(&mut text, format_args!("#EXTM3U"));
    push(&mut text, format_args!("#EXT-X-VERSION:{VERSION}"));
    push(
        &mut text,
        format_args!("#EXT-X-TARGETDURATION:{}", packager.target_s()),
    );
    push(&mut text, format_args!("#EXT-X-MEDIA-SEQUENCE:{sequence}"));
    // The tag before the first segment counts as removed.
    push(
        &mut text,
        format_args!("#EXT-X-DISCONTINUITY-SEQUENCE:{discontinuity}"),
    );
    push(&mut text, format_args!("#EXT-X-INDEPENDENT-SEGMENTS"));
    let mut before: Option<&Segment> = None;
    for segment in segments {
        if before.is_some() && segment.is_discontinuity {
            push(&mut text, format_args!("#EXT-X-DISCONTINUITY"));
        }
        if before.is_none_or(|before| before.epoch != segment.epoch) {
            push(
                &mut text,
                format_args!("#EXT-X-MAP:URI=\"init-{}.mp4{suffix}\"", segment.epoch),
            );
        }
        push_segment(&mut text, segment, &suffix);
        before = Some(segment);
    }
    text
}

fn push_segment(text: &mut String, segment: &Segment, suffix: &str) {
    let (seconds, micros) = (
        segment.duration_us / 1_000_000,
        segment.duration_us % 1_000_000,
    );
    push(
        text,
        format_args!("#EXT-X-PROGRAM-DATE-TIME:{}", segment.start),
    );
    push(text, format_args!("#EXTINF:{seconds}.{micros:06},"));
    push(text, format_args!("seg-{}.m4s{suffix}", segment.sequence));
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("writing into a string does not fail");
}

/// `?query`, without anything that would end a line or a quoted string.
fn suffix(query: &str) -> String {
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
            bytes += segment.bytes;
            pictures += segment.pictures;
            total_us += segment.duration_us;
            peak_bits_s = peak_bits_s.max(bits_per_second(segment.bytes, segment.duration_us));
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
}
