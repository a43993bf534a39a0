//! Live play.

use super::{Feed, Play, Refusal, Reply, Session};
use crate::fanout::Reader;
use crate::rtp::{Layout, Packed, Packetizer};
use crate::rtsp::sdp;
use framewell_live::{Start, Track, Wake};
use framewell_media::StreamParameters;
use framewell_model::{ChannelId, ChannelStatus};
use rtsp_types::{StatusCode, headers};
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// How long a client of a camera that just connected waits for the first key frame.
const MAX_START_WAIT: Duration = Duration::from_secs(5);

impl Session {
    pub(super) async fn describe_live(
        &self,
        url: &Url,
        channel: ChannelId,
    ) -> Result<Vec<u8>, Refusal> {
        let parameters = self.live(channel).await?;
        Ok(sdp::describe(url, &parameters, &["npt=now-".to_owned()]))
    }

    pub(super) fn live_layout(&self, channel: ChannelId) -> Result<Layout, Refusal> {
        let track = self.track(channel)?;
        let parameters = streaming(&track).ok_or(StatusCode::ServiceUnavailable)?;
        Ok(Layout::of(&parameters))
    }

    pub(super) fn play_live(&mut self) -> Result<Reply, Refusal> {
        let Some(play) = self.play.as_ref().filter(|_| !self.is_playing) else {
            return Ok(Reply::ok());
        };
        let reader = self.open_reader(play)?;
        let mut reply = Reply::ok().with(headers::RANGE, "npt=now-");
        if let Some(starts) = reader.first().and_then(|key| key.starts) {
            reply = reply.with(headers::RTP_INFO, &play.rtp_info(starts));
        }
        self.feed = Some(Feed::Live(reader));
        self.is_playing = true;
        Ok(reply)
    }

    fn track(&self, channel: ChannelId) -> Result<Track, Refusal> {
        let registry = self.service.fanouts.registry();
        Ok(registry.get(channel).ok_or(StatusCode::NotFound)?)
    }

    /// What the track sends now; waits a little for a camera that just connected.
    async fn live(&self, channel: ChannelId) -> Result<Arc<StreamParameters>, Refusal> {
        let track = self.track(channel)?;
        let mut news = track.subscribe(Start::NextKey);
        if let Some(parameters) = streaming(&track) {
            return Ok(parameters);
        }
        let status = track.source_state().borrow().status;
        if status == ChannelStatus::Active {
            let wait = tokio::time::timeout(MAX_START_WAIT, news.next(Wake::EveryUnit));
            if let Ok(batch) = wait.await {
                return Ok(batch.parameters);
            }
        }
        Err(StatusCode::ServiceUnavailable.into())
    }

    fn open_reader(&self, play: &Play) -> Result<Reader<Packed>, Refusal> {
        let channel = play.target.channel;
        let track = self.track(channel)?;
        if streaming(&track).is_none() {
            return Err(StatusCode::ServiceUnavailable.into());
        }
        // A layout that changed since SETUP needs another DESCRIBE.
        let reader = self.service.fanouts.open(channel, &track, |first| {
            Packetizer::new(Layout::of(&first.parameters))
        });
        let reader = reader.filter(|reader| *reader.stream() == play.layout);
        Ok(reader.ok_or(StatusCode::ServiceUnavailable)?)
    }
}

/// Parameters of a track that delivers now: its newest GOP is still open.
fn streaming(track: &Track) -> Option<Arc<StreamParameters>> {
    track
        .newest_gop()
        .filter(|gop| !gop.is_closed)
        .map(|gop| gop.parameters)
}
