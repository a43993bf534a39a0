//! WebRTC: its settings, and the engine as the API needs it.

use crate::config::{Http, check_address};
use anyhow::Context;
use framewell_access::places::{Occupation, Places};
use framewell_api::{WebRtc as Port, WebRtcRefusal, WebRtcSession, WebRtcWanted};
use framewell_decode::PoolConfig;
use framewell_model::HasKind;
use framewell_streaming::webrtc::{
    Engine, Error, Opened, Services, Sockets, SoundConfig, Wanted, WebRtcConfig,
};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};

/// WebRTC.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct WebRtc {
    /// Address and port, for UDP and TCP; port 0 takes a free one. Empty: off.
    pub(crate) listen: String,
    /// Addresses that clients use, `IP` or `IP:PORT`, where they differ from the machine's own: behind a
    /// gateway, or in a container.
    pub(crate) addresses: Vec<String>,
    /// Most sessions at once; beyond it 503. `http.token_share_percent` and `http.account_share_percent` say how
    /// many of them one token and account may have.
    pub(crate) max_sessions: usize,
    /// Most decoder processes that make Opus of AAC and G.711 for sessions that ask for it: one for each channel that
    /// is heard live, one for each session that plays recorded footage. Beyond it the sound is left out, as it is
    /// beyond what one token or account may have of them (as of `max_sessions`). 0: none.
    pub(crate) max_sound_transcoders: usize,
}

impl Default for WebRtc {
    fn default() -> Self {
        Self {
            listen: "0.0.0.0:8189".into(),
            addresses: Vec::new(),
            max_sessions: 500,
            max_sound_transcoders: 16,
        }
    }
}

impl WebRtc {
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        if !self.listen.is_empty() {
            check_address("webrtc.listen", &self.listen)?;
        }
        self.candidates().map(drop)
    }

    fn candidates(&self) -> anyhow::Result<Vec<(IpAddr, Option<u16>)>> {
        self.addresses.iter().map(|text| candidate(text)).collect()
    }

    /// Binds the sockets, unless it is off.
    pub(crate) async fn bind(&self) -> anyhow::Result<Option<Sockets>> {
        if self.listen.is_empty() {
            return Ok(None);
        }
        let sockets = Sockets::bind(&self.listen).await;
        let failed = || format!("the WebRTC server cannot listen on {}", self.listen);
        sockets.with_context(failed).map(Some)
    }

    /// The engine of these sockets.
    pub(crate) fn engine(
        &self,
        http: &Http,
        sockets: &Sockets,
        services: Services,
        decoders: &PoolConfig,
    ) -> anyhow::Result<Engine> {
        let (token, account) = (http.token_share_percent, http.account_share_percent);
        let most = self.max_sessions;
        let config = WebRtcConfig {
            places: Places::with_accounts(Occupation::Session, most, token, account),
            addresses: self.candidates()?,
            sound: SoundConfig {
                program: decoders.program.clone(),
                worker: decoders.worker.clone(),
                places: Places::with_accounts(
                    Occupation::Transcoder,
                    self.max_sound_transcoders,
                    token,
                    account,
                ),
            },
        };
        Engine::new(&config, sockets, services).context("starting WebRTC failed")
    }
}

fn candidate(text: &str) -> anyhow::Result<(IpAddr, Option<u16>)> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok((address.ip(), Some(address.port())));
    }
    let ip = text.parse();
    ip.map(|ip| (ip, None)).with_context(|| {
        format!("webrtc.addresses has {text:?}, which is no IP address with or without a port")
    })
}

/// The engine behind the API's port.
#[derive(Debug)]
pub(crate) struct Adapter(pub(crate) Engine);

impl Port for Adapter {
    fn play(
        &self,
        wanted: WebRtcWanted,
        offer: String,
    ) -> BoxFuture<'_, Result<WebRtcSession, WebRtcRefusal>> {
        async move { result(self.0.play(engine_wanted(wanted), &offer).await) }.boxed()
    }

    fn publish(&self, wanted: WebRtcWanted, offer: &str) -> Result<WebRtcSession, WebRtcRefusal> {
        result(self.0.publish(engine_wanted(wanted), offer))
    }

    fn offer(&self, wanted: WebRtcWanted) -> BoxFuture<'_, Result<WebRtcSession, WebRtcRefusal>> {
        async move { result(self.0.offer(engine_wanted(wanted)).await) }.boxed()
    }

    fn accept(&self, id: String, answer: String) -> BoxFuture<'_, Result<(), WebRtcRefusal>> {
        async move { self.0.accept(&id, answer).await.map_err(refusal) }.boxed()
    }

    fn is_open(&self, id: &str) -> bool {
        self.0.is_open(id)
    }

    fn closed(&self, id: String) -> BoxFuture<'_, ()> {
        async move { self.0.closed(&id).await }.boxed()
    }

    fn end(&self, id: String) -> BoxFuture<'_, bool> {
        async move { self.0.end(&id).await }.boxed()
    }
}

fn engine_wanted(wanted: WebRtcWanted) -> Wanted {
    Wanted {
        channel: wanted.channel,
        has_recorded: wanted.has_recorded,
        wants_opus: wanted.wants_opus,
        holder: wanted.holder,
        peer: wanted.peer,
    }
}

fn result(opened: Result<Opened, Error>) -> Result<WebRtcSession, WebRtcRefusal> {
    let opened = opened.map_err(refusal)?;
    Ok(WebRtcSession {
        id: opened.id.to_string(),
        description: opened.description,
        left_out: opened.left_out,
    })
}

fn refusal(error: Error) -> WebRtcRefusal {
    let instead = match &error {
        Error::Unplayable { instead, .. } => instead,
        _ => &[][..],
    };
    WebRtcRefusal {
        kind: error.kind(),
        message: error.to_string(),
        instead,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked_when_the_configuration_is_read() {
        let with = |address: &str| WebRtc {
            addresses: vec![address.into()],
            ..WebRtc::default()
        };
        for good in ["192.0.2.7", "192.0.2.7:40000", "::1", "[::1]:7"] {
            assert!(with(good).check().is_ok(), "{good}");
        }
        for bad in ["", "camera.example.org", "192.0.2.7:"] {
            assert!(with(bad).check().is_err(), "{bad}");
        }
    }
}
