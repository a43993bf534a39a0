//! Stream URLs: `rtsp://host[:port]/live/<channel>[/track<n>]?ticket=…`.

use framewell_media::TrackKind;
use framewell_model::ChannelId;
use url::Url;

/// What a request URL names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) channel: ChannelId,
    pub(crate) track: Option<TrackKind>,
    pub(crate) ticket: Option<String>,
}

/// Last path segment of a track's control URL.
pub(crate) const fn track_name(track: TrackKind) -> &'static str {
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
    /// `None` if the URL is none of ours.
    pub(crate) fn parse(url: &Url) -> Option<Self> {
        let mut segments = url.path_segments()?.filter(|segment| !segment.is_empty());
        if segments.next()? != "live" {
            return None;
        }
        let channel = segments.next()?.parse().ok()?;
        let track = match segments.next() {
            Some(name) => Some(track_of(name)?),
            None => None,
        };
        if segments.next().is_some() {
            return None;
        }
        let ticket = url
            .query_pairs()
            .find(|(name, _)| name == "ticket")
            .map(|(_, value)| value.into_owned());
        Some(Self {
            channel,
            track,
            ticket,
        })
    }

    /// The control URL of a track, absolute: joining a relative one to a base with a query is done
    /// differently by every client (RFC 2326 appendix C.1.1 leaves it to RFC 1808).
    pub(crate) fn control_url(base: &Url, track: TrackKind) -> Url {
        let mut url = base.clone();
        let path = base.path().trim_end_matches('/');
        url.set_path(&format!("{path}/{}", track_name(track)));
        url
    }
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
