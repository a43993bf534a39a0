//! What carries the packets of each track: channels of the connection, or UDP ports.

use super::{Play, Refusal, Session};
use crate::rtp::{CHANNEL_AUDIO, CHANNEL_VIDEO};
use crate::rtsp::transport::Transport;
use crate::rtsp::udp::Ports;
use framewell_media::TrackKind;
use rtsp_types::StatusCode;
use std::net::SocketAddr;
use url::Url;

/// A track the client has set up.
#[derive(Debug, Clone)]
pub(in crate::rtsp) struct Chosen {
    pub(in crate::rtsp) track: TrackKind,
    pub(in crate::rtsp) carrier: Carrier,
    /// For `RTP-Info`.
    pub(super) url: Url,
}

impl Chosen {
    /// Where its receiver reports come from, if they come over UDP.
    pub(super) const fn reports_from(&self) -> Option<SocketAddr> {
        match self.carrier {
            Carrier::Udp(ports) => Some(ports.rtcp),
            Carrier::Tcp(_) => None,
        }
    }
}

/// What carries the packets of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::rtsp) enum Carrier {
    /// Interleaved channel of RTP; RTCP uses the next one.
    Tcp(u8),
    Udp(Ports),
}

impl Session {
    /// Remembers how a track is carried; the transport header of the answer.
    pub(super) fn carry(
        &mut self,
        track: TrackKind,
        wanted: Transport,
        url: &Url,
    ) -> Result<String, Refusal> {
        let play = self.play.as_mut().ok_or(StatusCode::SessionNotFound)?;
        let (carrier, transport) = match wanted {
            Transport::Interleaved(channel) => {
                let channel = play.free_channel(track, channel)?;
                let next = channel + 1;
                let text = format!("RTP/AVP/TCP;unicast;interleaved={channel}-{next}");
                (Carrier::Tcp(channel), text)
            }
            Transport::Udp { rtp, rtcp } => {
                let udp = self.service.udp.as_ref();
                let udp = udp.ok_or(StatusCode::UnsupportedTransport)?;
                let (own, own_rtcp) = udp.ports().map_err(|_| StatusCode::InternalServerError)?;
                let to = |port| SocketAddr::new(self.peer.ip(), port);
                let ports = Ports {
                    rtp: to(rtp),
                    rtcp: to(rtcp),
                };
                if !udp.expect(ports.rtcp, &self.sign) {
                    return Err(Refusal::because(
                        StatusCode::UnsupportedTransport,
                        "Unsupported Transport: another session has these ports",
                    ));
                }
                let text = format!(
                    "RTP/AVP;unicast;client_port={rtp}-{rtcp};server_port={own}-{own_rtcp}"
                );
                (Carrier::Udp(ports), text)
            }
        };
        let play = self.play.as_mut().ok_or(StatusCode::SessionNotFound)?;
        let replaced = play.chosen.iter().position(|other| other.track == track);
        let replaced = replaced.map(|index| play.chosen.remove(index));
        play.chosen.push(Chosen {
            track,
            carrier,
            url: url.clone(),
        });
        if let Some(replaced) = replaced.and_then(|one| one.reports_from())
            && !self.expects(replaced)
        {
            self.forget(replaced);
        }
        Ok(transport)
    }

    /// Whether a track is set up whose receiver reports come from there.
    fn expects(&self, from: SocketAddr) -> bool {
        let mut chosen = self.chosen().iter();
        chosen.any(|one| one.reports_from() == Some(from))
    }

    pub(super) fn forget(&self, from: SocketAddr) {
        if let Some(udp) = &self.service.udp {
            udp.forget(from, &self.sign);
        }
    }
}

impl Play {
    /// The channel that the client asked for, or the track's own.
    fn free_channel(&self, track: TrackKind, wanted: Option<u8>) -> Result<u8, Refusal> {
        let own = match track {
            TrackKind::Video => CHANNEL_VIDEO,
            TrackKind::Audio => CHANNEL_AUDIO,
        };
        let channel = wanted.unwrap_or(own);
        let is_taken = |other: &Chosen| {
            other.track != track
                && matches!(other.carrier, Carrier::Tcp(taken) if taken.abs_diff(channel) < 2)
        };
        if self.chosen.iter().any(is_taken) {
            return Err(StatusCode::UnsupportedTransport.into());
        }
        Ok(channel)
    }
}
