//! Play of recordings: ranges, seeking, speed.
//!
//! A PLAY with a range goes there at once, whether it plays, pauses or has ended; RFC 2326 section 10.5
//! would queue it, which no player wants (ONVIF calls it `Immediate`).

use super::{Carrier, Chosen, Feed, Refusal, Reply, Session, header};
use crate::rtp::Layout;
use crate::rtsp::player::{Manner, Player};
use crate::rtsp::range::{self, RangeHeader, Unit};
use crate::rtsp::sdp;
use crate::rtsp::uri::Kind;
use framewell_model::{ChannelId, ErrorKind, HasKind, WallTime};
use framewell_playback::pace::Speed;
use framewell_playback::replay::{FoundFootage, ReplayError, Selection};
use rtsp_types::{HeaderName, Request, StatusCode, headers};
use std::sync::Arc;
use url::Url;

/// Slowest and fastest that `Scale` gives (RFC 2326 section 12.34).
const SCALES: std::ops::RangeInclusive<f64> = 0.5..=16.0;
/// Above this, key frames alone are sent: no network and no decoder keeps up with all pictures.
const MAX_SCALE_OF_ALL: f64 = 4.0;
/// Where an URL without a start begins to look.
const OLDEST: WallTime = WallTime::from_secs(0);
/// ONVIF Streaming Specification section 6.4: `no` for as fast as the client takes it.
const RATE_CONTROL: &str = "Rate-Control";
/// ONVIF Streaming Specification section 6.4: `intra` for key frames alone.
const FRAMES: &str = "Frames";

/// What an URL of recordings names, as it was when the client asked first: normal play time must not
/// move while old footage is deleted.
#[derive(Debug, Clone)]
pub(super) struct Presentation {
    channel: ChannelId,
    kind: Kind,
    /// Normal play time 0.
    zero: WallTime,
    /// End of the footage so far, or of the range of the URL if that is earlier.
    until: WallTime,
    layout: Layout,
}

/// How a client wants to play.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Style {
    scale: f64,
    is_paced: bool,
    selection: Selection,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            scale: 1.0,
            is_paced: true,
            selection: Selection::All,
        }
    }
}

impl Style {
    /// What the headers say; `None` if they say nothing.
    fn of(request: &Request<Vec<u8>>) -> Option<Self> {
        let scale = header(request, &headers::SCALE);
        let rate_control = header(request, &named(RATE_CONTROL));
        let frames = header(request, &named(FRAMES));
        if scale.is_none() && rate_control.is_none() && frames.is_none() {
            return None;
        }
        let is_paced = !rate_control.is_some_and(|text| text.eq_ignore_ascii_case("no"));
        let scale = scale.map_or(1.0, nearest_scale);
        let wants_keys = frames.is_some_and(|text| {
            let kind = text.split('/').next().unwrap_or_default();
            kind.trim().eq_ignore_ascii_case("intra")
        });
        let is_fast = is_paced && scale > MAX_SCALE_OF_ALL;
        Some(Self {
            scale,
            is_paced,
            selection: if wants_keys || is_fast {
                Selection::Keys
            } else {
                Selection::All
            },
        })
    }

    const fn speed(self) -> Speed {
        if self.is_paced {
            Speed::Times(self.scale)
        } else {
            Speed::Unpaced
        }
    }
}

fn named(name: &'static str) -> HeaderName {
    HeaderName::from_static_str(name).expect("the names are ASCII")
}

/// The nearest scale that is served; backwards is not.
fn nearest_scale(text: &str) -> f64 {
    match text.parse::<f64>() {
        Ok(scale) if scale > 0.0 => scale.clamp(*SCALES.start(), *SCALES.end()),
        _ => 1.0,
    }
}

impl Session {
    pub(super) async fn describe_recorded(
        &mut self,
        url: &Url,
        channel: ChannelId,
        kind: Kind,
    ) -> Result<Vec<u8>, Refusal> {
        let found = self.find(channel, kind, Selection::All).await?;
        let parameters = Arc::clone(found.parameters());
        let presentation = self.present(channel, kind, &found).await?;
        let Presentation { zero, until, .. } = presentation;
        let ranges =
            [Unit::Npt, Unit::Clock].map(|unit| range::format(unit, zero, zero, Some(until)));
        self.presentation = Some(presentation);
        Ok(sdp::describe(url, &parameters, &ranges))
    }

    /// Tracks of the recording, as they were described.
    pub(super) async fn recorded_layout(
        &mut self,
        channel: ChannelId,
        kind: Kind,
    ) -> Result<Layout, Refusal> {
        let is_known = |known: &&Presentation| known.channel == channel && known.kind == kind;
        if let Some(known) = self.presentation.as_ref().filter(is_known) {
            return Ok(known.layout.clone());
        }
        let found = self.find(channel, kind, Selection::All).await?;
        let presentation = self.present(channel, kind, &found).await?;
        let layout = presentation.layout.clone();
        self.presentation = Some(presentation);
        Ok(layout)
    }

    pub(super) async fn play_recorded(
        &mut self,
        request: &Request<Vec<u8>>,
    ) -> Result<Reply, Refusal> {
        let range = match header(request, &headers::RANGE) {
            Some(text) => Some(RangeHeader::parse(text).ok_or_else(|| {
                let reason = "Invalid Range: clock=…Z- or npt=…- in seconds is served";
                Refusal::because(StatusCode::InvalidRange, reason)
            })?),
            None => None,
        };
        let asked = Style::of(request);
        let style = match (asked, range) {
            (Some(style), _) => style,
            (None, None) => self.style,
            (None, Some(_)) => Style::default(),
        };
        let is_udp = |one: &Chosen| matches!(one.carrier, Carrier::Udp(_));
        if !style.is_paced && self.chosen().iter().any(is_udp) {
            let reason = "Unsupported Transport: without rate control over TCP only";
            return Err(Refusal::because(StatusCode::UnsupportedTransport, reason));
        }
        let manner = Manner {
            speed: style.speed(),
            mark: self.is_onvif_replay.then(|| play_number(request)),
        };
        let goes_on = range.is_none() && style.selection == self.style.selection;
        let player = match self.feed.take() {
            Some(Feed::Recorded(mut player)) if goes_on && !player.has_ended() => {
                player.resume(manner);
                player
            }
            feed => match self.open(range, feed, style.selection, manner).await {
                Ok(player) => player,
                Err((feed, refusal)) => {
                    self.feed = feed;
                    return Err(refusal);
                }
            },
        };
        let mut reply = self.answer(&player, range)?;
        if asked.is_some() {
            reply = reply.with(headers::SCALE, &format!("{:?}", style.scale));
        }
        self.style = style;
        self.feed = Some(Feed::Recorded(player));
        self.is_playing = true;
        Ok(reply)
    }

    /// A player that begins where the client wants; gives the feed back if it cannot.
    async fn open(
        &self,
        range: Option<RangeHeader>,
        feed: Option<Feed>,
        selection: Selection,
        manner: Manner,
    ) -> Result<Box<Player>, (Option<Feed>, Refusal)> {
        let present = match &feed {
            Some(Feed::Recorded(player)) if !player.has_ended() => Some(player.position()),
            _ => None,
        };
        let found = match self.find_range(range, present, selection).await {
            Ok(found) => found,
            Err(refusal) => return Err((feed, refusal)),
        };
        let layout = self.play.as_ref().map(|play| play.layout.clone());
        let layout = layout.unwrap_or_else(|| Layout::of(found.parameters()));
        if Layout::of(found.parameters()).video != layout.video {
            let at = found.start();
            let reason = format!(
                "Invalid Range: from {at} on another codec is recorded, DESCRIBE with start={at}"
            );
            return Err((feed, Refusal::because(StatusCode::InvalidRange, reason)));
        }
        let replay = found.replay();
        Ok(match feed {
            Some(Feed::Recorded(player)) => Box::new(player.seek(replay, manner)),
            _ => Box::new(Player::new(replay, layout, manner)),
        })
    }

    async fn find_range(
        &self,
        range: Option<RangeHeader>,
        present: Option<WallTime>,
        selection: Selection,
    ) -> Result<FoundFootage, Refusal> {
        let (Some(presentation), Some(play)) = (&self.presentation, &self.play) else {
            return Err(StatusCode::MethodNotValidInThisState.into());
        };
        let zero = presentation.zero;
        let moment = |moment: Option<range::Moment>| moment.and_then(|moment| moment.wall(zero));
        let start = moment(range.and_then(|range| range.start)).or(present);
        let start = start.unwrap_or(zero).max(zero);
        let last = match play.target.kind {
            Kind::Recorded { end, .. } => end,
            Kind::Live => None,
        };
        let end = moment(range.and_then(|range| range.end));
        let end = match (end, last) {
            (Some(end), Some(last)) => Some(end.min(last)),
            (end, last) => end.or(last),
        };
        self.look_up(play.target.channel, start, end, selection)
            .await
    }

    /// The footage of an URL.
    async fn find(
        &self,
        channel: ChannelId,
        kind: Kind,
        selection: Selection,
    ) -> Result<FoundFootage, Refusal> {
        let Kind::Recorded { start, end } = kind else {
            return Err(StatusCode::NotFound.into());
        };
        self.look_up(channel, start.unwrap_or(OLDEST), end, selection)
            .await
    }

    async fn look_up(
        &self,
        channel: ChannelId,
        start: WallTime,
        end: Option<WallTime>,
        selection: Selection,
    ) -> Result<FoundFootage, Refusal> {
        if end.is_some_and(|end| end <= start) {
            let reason = "Invalid Range: it ends before it begins";
            return Err(Refusal::because(StatusCode::InvalidRange, reason));
        }
        let playback = &self.service.playback;
        let found = playback.find_footage(channel, start, end, selection).await;
        found.map_err(|error| refusal(channel, &error))
    }

    async fn present(
        &self,
        channel: ChannelId,
        kind: Kind,
        found: &FoundFootage,
    ) -> Result<Presentation, Refusal> {
        let Kind::Recorded { end, .. } = kind else {
            return Err(StatusCode::NotFound.into());
        };
        let newest = self.service.playback.newest_footage(channel).await;
        let newest = newest.map_err(|error| refusal(channel, &error))?;
        let zero = found.start();
        let until = newest.unwrap_or(zero).max(zero);
        Ok(Presentation {
            channel,
            kind,
            zero,
            until: end.map_or(until, |end| end.min(until)),
            layout: Layout::of(found.parameters()),
        })
    }

    /// What is played, in the unit that the client counts in. The range begins with the first picture
    /// that is shown; those before it in the stream have RTP times before that of `RTP-Info`.
    fn answer(&self, player: &Player, range: Option<RangeHeader>) -> Result<Reply, Refusal> {
        let (Some(presentation), Some(play)) = (&self.presentation, &self.play) else {
            return Err(StatusCode::MethodNotValidInThisState.into());
        };
        let Presentation { zero, until, .. } = *presentation;
        let unit = range.map_or(Unit::Clock, |range| range.unit);
        let last = match play.target.kind {
            Kind::Recorded { end: Some(_), .. } => Some(until),
            _ => None,
        };
        let asked = range.and_then(|range| range.end);
        let end = asked.and_then(|end| end.wall(zero)).or(last);
        let start = player.position();
        Ok(Reply::ok()
            .with(headers::RANGE, &range::format(unit, zero, start, end))
            .with(headers::RTP_INFO, &play.rtp_info(player.starts())))
    }
}

/// The byte that names a PLAY in the replay extension.
fn play_number(request: &Request<Vec<u8>>) -> u8 {
    let sequence = header(request, &headers::CSEQ).and_then(|text| text.parse::<u32>().ok());
    sequence.unwrap_or(0).to_be_bytes()[3]
}

fn refusal(channel: ChannelId, error: &ReplayError) -> Refusal {
    if let ReplayError::Empty {
        start,
        before,
        after,
        ..
    } = error
    {
        let nearest = match (before, after) {
            (_, Some(after)) => format!("the next begins at {after}"),
            (Some(before), None) => format!("the last ends at {before}"),
            (None, None) => "nothing is recorded".to_owned(),
        };
        let reason = format!("Invalid Range: no footage from {start} on, {nearest}");
        return Refusal::because(StatusCode::InvalidRange, reason);
    }
    tracing::warn!(channel.id = %channel, %error, "footage for an rtsp client cannot be looked up");
    match error.kind() {
        ErrorKind::DataLoss => StatusCode::InternalServerError.into(),
        _ => StatusCode::ServiceUnavailable.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rtsp_types::{Method, Version};

    fn style(name: &'static str, value: &str) -> Style {
        let request = Request::builder(Method::Play, Version::V1_0)
            .header(named(name), value)
            .build(Vec::new());
        Style::of(&request).unwrap()
    }

    #[test]
    fn the_nearest_scale_is_served_and_high_ones_by_key_frames() {
        for (asked, scale, selection) in [
            ("2.0", 2.0, Selection::All),
            ("4", 4.0, Selection::All),
            ("0.1", 0.5, Selection::All),
            ("8.0", 8.0, Selection::Keys),
            ("100", 16.0, Selection::Keys),
            ("-1.0", 1.0, Selection::All),
            ("NaN", 1.0, Selection::All),
            ("fast", 1.0, Selection::All),
        ] {
            let style = style("Scale", asked);
            assert!((style.scale - scale).abs() < f64::EPSILON, "{asked}");
            assert_eq!(style.selection, selection, "{asked}");
        }
    }

    #[test]
    fn rate_control_and_frames_are_those_of_onvif() {
        assert_eq!(style("Rate-Control", "no").speed(), Speed::Unpaced);
        assert_eq!(style("Rate-Control", "yes").speed(), Speed::Times(1.0));
        assert_eq!(style("Frames", "intra/4000").selection, Selection::Keys);
        assert_eq!(style("Frames", "all").selection, Selection::All);
    }
}
