//! Stream URLs: `rtsp://host[:port]/live/<channel>[/track<n>]?ticket=…`, and recordings:
//! `rtsp://host[:port]/rec/<channel>[/track<n>]?start=…&end=…&ticket=…`. A channel may be `7-sub`, as our own
//! URLs have it, or have `stream=sub` in the query.

use super::range::parse_clock;
use framewell_media::TrackKind;
use framewell_model::{ChannelId, StreamKind, WallTime};
use url::Url;

/// What a request URL names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Whose pictures.
    pub channel: ChannelId,
    /// Which of them.
    pub kind: Kind,
    /// `None`: all tracks.
    pub track: Option<TrackKind>,
    /// What shall open it.
    pub ticket: Option<String>,
}

/// What of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What the camera sees now.
    Live,
    /// Recorded from `start` or the oldest footage on, up to `end` or as far as it reaches.
    Recorded {
        /// `None`: the oldest footage.
        start: Option<WallTime>,
        /// `None`: as far as it reaches.
        end: Option<WallTime>,
    },
}

/// Last path segment of a track's control URL.
pub const fn track_name(track: TrackKind) -> &'static str {
    match track {
        TrackKind::Video => "track0",
        TrackKind::Audio => "track1",
    }
}

fn track_of(name: &str) -> Option<TrackKind> {
    [TrackKind::Video, TrackKind::Audio]
        .into_iter()
        .find(|track| track_name(*track) == name)
}

impl Target {
    /// `None` if the URL is none of ours, or has a time that is none.
    pub fn parse(url: &Url) -> Option<Self> {
        let mut segments = url.path_segments()?.filter(|segment| !segment.is_empty());
        let face = segments.next()?;
        let channel = ChannelId::parse_stored(segments.next()?)?;
        let track = match segments.next() {
            Some(name) => Some(track_of(name)?),
            None => None,
        };
        if segments.next().is_some() {
            return None;
        }
        let value = |name: &str| {
            let mut pairs = url.query_pairs();
            pairs
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.into_owned())
        };
        let time = |name: &str| match value(name) {
            Some(text) if !text.is_empty() => parse_time(&text).map(Some),
            _ => Some(None),
        };
        let channel = match value("stream") {
            Some(word) if !word.is_empty() => channel.of(StreamKind::from_word(&word)?),
            _ => channel,
        };
        let kind = match face {
            "live" => Kind::Live,
            "rec" => Kind::Recorded {
                start: time("start")?,
                end: time("end")?,
            },
            _ => return None,
        };
        Some(Self {
            channel,
            kind,
            track,
            ticket: value("ticket"),
        })
    }

    /// The control URL of a track, absolute: joining a relative one to a base with a query is done
    /// differently by every client (RFC 2326 appendix C.1.1 leaves it to RFC 1808).
    pub fn control_url(base: &Url, track: TrackKind) -> Url {
        let mut url = base.clone();
        let path = base.path().trim_end_matches('/');
        url.set_path(&format!("{path}/{}", track_name(track)));
        url
    }
}

/// RFC 3339, the contract's form (UTC without a zone), or that of the `Range` header.
fn parse_time(text: &str) -> Option<WallTime> {
    // A plus that was not written as %2B has become a blank.
    let text = text.replace(' ', "+");
    let with_zone = || format!("{text}Z").parse().ok();
    text.parse()
        .ok()
        .or_else(with_zone)
        .or_else(|| parse_clock(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<Target> {
        Target::parse(&Url::parse(text).unwrap())
    }

    #[test]
    fn a_control_url_leads_back_to_channel_track_and_ticket() {
        let base = Url::parse("rtsp://cam.example:8554/live/7/?ticket=media.abc").unwrap();
        let url = Target::control_url(&base, TrackKind::Audio);
        assert_eq!(
            url.as_str(),
            "rtsp://cam.example:8554/live/7/track1?ticket=media.abc"
        );
        let target = Target::parse(&url).unwrap();
        assert_eq!(target.channel.get(), 7);
        assert_eq!(target.track, Some(TrackKind::Audio));
        assert_eq!(target.ticket.as_deref(), Some("media.abc"));
    }

    #[test]
    fn recordings_are_named_with_times_of_every_form() {
        let noon: WallTime = "2026-01-01T12:00:00.5Z".parse().unwrap();
        for text in [
            "2026-01-01T12:00:00.5Z",
            "2026-01-01T12:00:00.500",
            "20260101T120000.5Z",
            "2026-01-01T14:00:00.5+02:00",
            "2026-01-01T14%3A00%3A00.5%2B02%3A00",
        ] {
            let target = parse(&format!("rtsp://h/rec/7?ticket=t&start={text}")).unwrap();
            let (start, end) = (Some(noon), None);
            assert_eq!(target.kind, Kind::Recorded { start, end }, "{text}");
        }
        let all = parse("rtsp://h/rec/7/track0?start=").unwrap();
        let (start, end) = (None, None);
        assert_eq!(all.kind, Kind::Recorded { start, end });
        assert_eq!(parse("rtsp://h/rec/7?end=yesterday"), None);
    }

    #[test]
    fn other_urls_are_not_ours() {
        for text in [
            "rtsp://h/",
            "rtsp://h/7",
            "rtsp://h/live",
            "rtsp://h/live/zero",
            "rtsp://h/live/0",
            "rtsp://h/live/7/track9",
            "rtsp://h/live/7/track0/more",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
