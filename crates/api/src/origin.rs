//! Where the client reached us, and the URLs that follow from it.

use crate::AppState;
use crate::media::hls_recorded::playlist_path;
use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use framewell_access::MediaScope;
use framewell_catalog::{ClipShare, StoredClip};
use framewell_model::{
    ChannelId, Event, Grant, Holder, ImageId, ImageOrigin, RecordId, Segment, StoredImage, WallTime,
};
use framewell_playback::hls::recorded::{Kind, Span};
use framewell_token::Endpoint;
use std::convert::Infallible;

/// Scheme, host and port as the client sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    is_https: bool,
    /// Without port; an IPv6 address in brackets.
    host: String,
    http_port: Option<u16>,
    https_port: Option<u16>,
}

impl Origin {
    /// `http://host[:port]` without a slash at the end.
    pub(crate) fn base(&self) -> String {
        let (scheme, port, usual) = if self.is_https {
            ("https", self.https_port, 443)
        } else {
            ("http", self.http_port, 80)
        };
        match port {
            Some(port) if port != usual => format!("{scheme}://{}:{port}", self.host),
            _ => format!("{scheme}://{}", self.host),
        }
    }

    /// What tokens carry.
    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint {
            host: self.host.clone(),
            http_port: self.http_port,
            https_port: self.https_port,
        }
    }

    fn from_headers(headers: &HeaderMap) -> Self {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        // Proxies append, the first entry is what the client used.
        let first = |text: &'static str| header(text)?.split(',').next().map(str::trim);
        let is_https = first("x-forwarded-proto").is_some_and(|p| p.eq_ignore_ascii_case("https"));
        let (host, port) = first("x-forwarded-host")
            .and_then(split_authority)
            .or_else(|| header("host").and_then(split_authority))
            .unwrap_or_else(|| ("localhost".to_owned(), None));
        let port = port.or(Some(if is_https { 443 } else { 80 }));
        Self {
            is_https,
            host,
            http_port: port.filter(|_| !is_https),
            https_port: port.filter(|_| is_https),
        }
    }
}

/// Host and port; `None` if there is anything else in the text.
fn split_authority(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().ok()?)),
        _ => (text, None),
    };
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    let address = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let is_host = match address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.len() <= 253 && host.bytes().all(is_plain),
    };
    is_host.then(|| (host.to_owned(), port))
}

impl FromRequestParts<AppState> for Origin {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Infallible> {
        let seen = Self::from_headers(&parts.headers);
        Ok(match &state.config.public {
            None => seen,
            Some(public) => Self {
                is_https: public.http_port.is_none()
                    || (seen.is_https && public.https_port.is_some()),
                host: public.host.clone(),
                http_port: public.http_port,
                https_port: public.https_port,
            },
        })
    }
}

/// Makes ticketed URLs that all end at the same moment.
#[derive(Debug, Clone)]
pub(crate) struct Links<'a> {
    state: &'a AppState,
    origin: &'a Origin,
    holder: Holder,
    pub(crate) expire: WallTime,
}

impl<'a> Links<'a> {
    /// For somebody who asked with this grant, which its URLs do not outlive.
    pub(crate) fn new(state: &'a AppState, origin: &'a Origin, grant: &Grant) -> Self {
        let longest = state.ticket_expiry();
        Self {
            state,
            origin,
            holder: grant.into(),
            expire: grant.expire.map_or(longest, |end| end.min(longest)),
        }
    }

    /// For somebody with a token of a shared clip, which the URLs do not outlive.
    pub(crate) fn of_share(
        state: &'a AppState,
        origin: &'a Origin,
        clip: &StoredClip,
        share: &ClipShare,
    ) -> Self {
        Self {
            state,
            origin,
            holder: Holder {
                account: clip.account,
                serial: None,
            },
            expire: share.end().min(state.ticket_expiry()),
        }
    }

    /// The same, but for this long and the usual lifetime; still not beyond the grant.
    pub(crate) fn lasting(mut self, micros: i64, grant: &Grant) -> Self {
        let longest = self.state.ticket_expiry().plus_micros(micros);
        let longest = WallTime::from_secs(longest.secs());
        self.expire = grant.expire.map_or(longest, |end| end.min(longest));
        self
    }

    fn ticket(&self, scope: &MediaScope) -> String {
        self.state.access.ticket(self.holder, scope, self.expire)
    }

    /// A stored segment. The last part of the path is unique per record: clients name files by it.
    pub(crate) fn record(&self, segment: &Segment) -> String {
        let ticket = self.ticket(&MediaScope::Record(segment.channel, segment.record));
        let name = record_name(segment.range.start, segment.record);
        let (base, channel) = (self.origin.base(), segment.channel);
        format!("{base}/media/rec/{channel}/{name}?ticket={ticket}")
    }

    /// Where a file goes that begins at `start`.
    pub(crate) fn upload(&self, channel: ChannelId, start: WallTime) -> String {
        let ticket = self.ticket(&MediaScope::Upload(channel, start));
        let (base, micros) = (self.origin.base(), start.micros());
        format!("{base}/upload/{channel}/{micros}.mp4?ticket={ticket}")
    }

    /// The JSON file of an event.
    pub(crate) fn event_file(&self, event: &Event) -> String {
        let ticket = self.ticket(&MediaScope::EventFile(event.channel, event.id));
        let (base, channel, id) = (self.origin.base(), event.channel, event.id);
        format!("{base}/media/event/{channel}/{id}.json?ticket={ticket}")
    }

    /// The picture of one instant.
    pub(crate) fn image(&self, channel: ChannelId, at: WallTime) -> String {
        let ticket = self.ticket(&MediaScope::Image(channel, at));
        let (base, micros) = (self.origin.base(), at.micros());
        format!("{base}/media/img/{channel}/{micros}_snapshot.jpg?ticket={ticket}")
    }

    /// A stored picture. Its name says where it comes from: clients pick by that (contract section 2.8).
    pub(crate) fn stored_image(&self, image: &StoredImage) -> String {
        let ticket = self.ticket(&MediaScope::StoredImage(image.channel, image.id));
        let name = image_name(image.time, image.origin, image.id);
        let (base, channel) = (self.origin.base(), image.channel);
        format!("{base}/media/img/{channel}/{name}?ticket={ticket}")
    }

    /// A stored clip.
    pub(crate) fn clip(&self, clip: &StoredClip) -> String {
        let ticket = self.ticket(&MediaScope::Clip(clip.channel, clip.id));
        let (base, channel, id) = (self.origin.base(), clip.channel, clip.id);
        format!("{base}/media/clip/{channel}/{id}.mp4?ticket={ticket}")
    }

    /// The thumbnail of a stored clip.
    pub(crate) fn clip_thumb(&self, clip: &StoredClip) -> String {
        let ticket = self.ticket(&MediaScope::ClipThumb(clip.channel, clip.id));
        let (base, channel, id) = (self.origin.base(), clip.channel, clip.id);
        format!("{base}/media/clip/{channel}/{id}.jpg?ticket={ticket}")
    }

    /// The newest picture, whenever it is fetched.
    pub(crate) fn live_image(&self, channel: ChannelId) -> String {
        let ticket = self.ticket(&MediaScope::Live(channel));
        format!(
            "{}/media/img/{channel}/live.jpg?ticket={ticket}",
            self.origin.base()
        )
    }

    /// Live HLS.
    pub(crate) fn hls(&self, channel: ChannelId) -> String {
        let ticket = self.ticket(&MediaScope::Live(channel));
        format!(
            "{}/hls/{channel}/index.m3u8?ticket={ticket}",
            self.origin.base()
        )
    }

    /// Recorded HLS.
    pub(crate) fn recorded_hls(&self, channel: ChannelId, span: &Span, kind: Kind) -> String {
        let ticket = self.ticket(&MediaScope::Footage(channel));
        let (base, path) = (self.origin.base(), playlist_path(span, kind));
        format!("{base}/hls/{channel}/rec/{path}?ticket={ticket}")
    }

    /// Live fragmented MP4 over HTTP.
    pub(crate) fn stream_mp4(&self, channel: ChannelId) -> String {
        let ticket = self.ticket(&MediaScope::Live(channel));
        let base = self.origin.base();
        format!("{base}/media/live/{channel}/stream.mp4?ticket={ticket}")
    }

    /// Live fragmented MP4 over a WebSocket.
    pub(crate) fn stream_socket(&self, channel: ChannelId) -> String {
        let ticket = self.ticket(&MediaScope::Live(channel));
        // `http` becomes `ws`, `https` becomes `wss`.
        let base = self.origin.base().replacen("http", "ws", 1);
        format!("{base}/media/live/{channel}/stream?ticket={ticket}")
    }

    /// Live RTSP.
    pub(crate) fn rtsp(&self, channel: ChannelId) -> String {
        let ticket = self.ticket(&MediaScope::Live(channel));
        let (host, port) = (&self.origin.host, self.state.config.rtsp_port);
        format!("rtsp://{host}:{port}/live/{channel}?ticket={ticket}")
    }

    /// Recordings over RTSP; the client adds `start` and `end`.
    pub(crate) fn rtsp_recorded(&self, channel: ChannelId) -> String {
        let ticket = self.ticket(&MediaScope::Footage(channel));
        let (host, port) = (&self.origin.host, self.state.config.rtsp_port);
        format!("rtsp://{host}:{port}/rec/{channel}?ticket={ticket}")
    }

    /// Live WebRTC by WHEP.
    pub(crate) fn whep(&self, channel: ChannelId) -> String {
        let ticket = self.ticket(&MediaScope::Live(channel));
        format!("{}/whep/{channel}?ticket={ticket}", self.origin.base())
    }

    /// Publishing by WHIP.
    pub(crate) fn whip(&self, channel: ChannelId) -> String {
        let ticket = self.ticket(&MediaScope::Publish(channel));
        format!("{}/whip/{channel}?ticket={ticket}", self.origin.base())
    }

    /// Live WebRTC by the vendor's signalling (contract section 14).
    pub(crate) fn signalling(&self, channel: ChannelId) -> String {
        let ticket = self.ticket(&MediaScope::Live(channel));
        let base = self.origin.base();
        let base = base.strip_prefix("http").unwrap_or(&base);
        let uid: String = (0..40)
            .map(|_| format!("{:x}", rand::random_range(0..16)))
            .collect();
        format!("ws{base}/{channel}/watch/{uid}/?ticket={ticket}&stream_id=0")
    }

    /// Live RTMP, in the form that clients of the contract expect (section 6.2).
    pub(crate) fn rtmp(&self, channel: ChannelId) -> String {
        let ticket = self.ticket(&MediaScope::Live(channel));
        let (host, port) = (&self.origin.host, self.state.config.rtmp_port);
        let (main, stream) = (channel.main(), channel.stream());
        format!("rtmp://{host}:{port}/app/{main}_{stream}?ticket={ticket}")
    }

    /// Publishing over RTSP (`ANNOUNCE` and `RECORD`).
    pub(crate) fn publish_rtsp(&self, channel: ChannelId) -> String {
        let ticket = self.ticket(&MediaScope::Publish(channel));
        let (host, port) = (&self.origin.host, self.state.config.rtsp_port);
        format!("rtsp://{host}:{port}/publish/{channel}?ticket={ticket}")
    }

    /// Publishing over RTMP. What follows the last slash is the stream key.
    pub(crate) fn publish_rtmp(&self, channel: ChannelId) -> String {
        let ticket = self.ticket(&MediaScope::Publish(channel));
        let (host, port) = (&self.origin.host, self.state.config.rtmp_port);
        format!("rtmp://{host}:{port}/publish/{channel}?ticket={ticket}")
    }
}

/// `<start, packed>_<record>.mp4`.
fn record_name(start: WallTime, record: RecordId) -> String {
    format!("{}_{record}.mp4", packed(start))
}

/// `<time, packed>_<mark>_<id>.jpg`.
fn image_name(time: WallTime, origin: ImageOrigin, id: ImageId) -> String {
    let mark = match origin {
        ImageOrigin::GeneratedFromRecords => "recig",
        ImageOrigin::GeneratedFromLive => "livig",
        ImageOrigin::RecordingThumbnail => "thumb",
        ImageOrigin::EventSnapshot => "event",
        ImageOrigin::Upload => "upload",
    };
    format!("{}_{mark}_{id}.jpg", packed(time))
}

/// The id of a stored picture out of such a name.
pub(crate) fn image_of_name(name: &str) -> Option<ImageId> {
    let mut parts = name.strip_suffix(".jpg")?.split('_');
    let (time, _mark, id) = (parts.next()?, parts.next()?, parts.next()?);
    let is_ours = time.contains('T') && parts.next().is_none();
    is_ours.then(|| id.parse().ok())?
}

/// `YYYYMMDDThhmmss.ffffff`.
fn packed(time: WallTime) -> String {
    let text = time.to_naive_text();
    text.chars().filter(|c| *c != '-' && *c != ':').collect()
}

/// The record id out of such a name.
pub(crate) fn record_of_name(name: &str) -> Option<RecordId> {
    let (_, id) = name.strip_suffix(".mp4")?.rsplit_once('_')?;
    id.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(headers: &[(&'static str, &str)]) -> Origin {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        Origin::from_headers(&map)
    }

    #[test]
    fn the_base_is_what_the_client_used() {
        assert_eq!(
            origin(&[("host", "vms.local:8080")]).base(),
            "http://vms.local:8080"
        );
        assert_eq!(origin(&[("host", "vms.local")]).base(), "http://vms.local");
        assert_eq!(
            origin(&[("host", "[::1]:8080")]).base(),
            "http://[::1]:8080"
        );
        let proxied = origin(&[
            ("host", "10.0.0.5:8080"),
            ("x-forwarded-host", "vms.example.org"),
            ("x-forwarded-proto", "https"),
        ]);
        assert_eq!(proxied.base(), "https://vms.example.org");
        assert_eq!(proxied.endpoint().https_port, Some(443));
        assert_eq!(proxied.endpoint().http_port, None);
    }

    #[test]
    fn a_hostile_host_header_is_not_repeated() {
        assert_eq!(origin(&[("host", "a<script>")]).base(), "http://localhost");
        assert_eq!(origin(&[("host", "a:b")]).base(), "http://localhost");
        assert_eq!(origin(&[("host", "[x]:80")]).base(), "http://localhost");
    }

    #[test]
    fn record_names_carry_their_id() {
        let start: WallTime = "2024-05-01T10:20:00.04Z".parse().unwrap();
        let name = record_name(start, RecordId::new(1201).unwrap());
        assert_eq!(name, "20240501T102000.040000_1201.mp4");
        assert_eq!(record_of_name(&name), RecordId::new(1201));
        assert_eq!(record_of_name("1201.mp4"), None);
    }

    #[test]
    fn names_of_pictures_carry_their_origin_and_id() {
        let time: WallTime = "2024-05-01T10:20:05Z".parse().unwrap();
        let id = ImageId::new(9901).unwrap();
        let name = |origin| image_name(time, origin, id);
        let recorded = name(ImageOrigin::GeneratedFromRecords);
        assert_eq!(recorded, "20240501T102005.000000_recig_9901.jpg");
        assert!(name(ImageOrigin::GeneratedFromLive).contains("_livig_"));
        for origin in ImageOrigin::ALL {
            assert_eq!(image_of_name(&name(origin)), Some(id));
        }
        for other in [
            "1714558830123456_snapshot.jpg",
            "live.jpg",
            "1_2_3.jpg",
            "aT_recig_x.jpg",
        ] {
            assert_eq!(image_of_name(other), None, "{other}");
        }
    }
}
