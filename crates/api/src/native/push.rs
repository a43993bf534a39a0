//! `/v1/channels/{id}/images` without an end: pictures pushed as they are taken.

use super::push_params;
use super::push_parts;
use super::push_socket;
use crate::AppState;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::params::Params;
use crate::picture;
use axum::extract::ws::WebSocketUpgrade;
use axum::response::Response;
use framewell_access::places::Place;
use framewell_imaging::{Error, LiveFeed, LiveImage};
use framewell_model::{ChannelId, ErrorKind};
use std::time::Duration;
use tokio::time::Instant;

/// How often the gate is asked again whether the token still opens the channel.
const RECHECK: Duration = Duration::from_secs(3);
/// How long a push without a socket waits for its first picture before it says 200.
const FIRST: Duration = Duration::from_secs(10);

/// What a push gives out.
pub(crate) enum Next {
    /// A picture.
    Picture(Box<LiveImage>),
    /// Something went wrong; the push goes on.
    Trouble(Error),
    /// The end that was asked for, or the channel is gone.
    End,
    /// The token does not open the channel any more.
    Shut(ApiError),
}

/// A push in progress.
pub(crate) struct Push {
    pub(crate) state: AppState,
    caller: Caller,
    channel: ChannelId,
    feed: LiveFeed,
    /// When the gate is asked again.
    recheck_at: Instant,
    _place: Place,
}

impl Push {
    fn start(
        state: AppState,
        caller: Caller,
        channel: ChannelId,
        params: &Params,
    ) -> Result<Self, ApiError> {
        let request = push_params::read(params, channel, state.clock.now())?;
        let place = state.config.pushes.take(&caller.grant);
        let place = place.map_err(ApiError::no_place)?;
        let feed = state
            .imaging
            .live(request)
            .map_err(|error| picture::explain_ref(&error))?;
        Ok(Self {
            state,
            caller,
            channel,
            feed,
            recheck_at: Instant::now() + RECHECK,
            _place: place,
        })
    }

    /// What comes next. Cancel-safe: a question to the gate that was dropped half-way is asked again,
    /// and [`Push::shut_if_due`] asks it where nothing drops it.
    pub(crate) async fn next(&mut self) -> Next {
        loop {
            tokio::select! {
                next = self.feed.next() => return match next {
                    Some(Ok(image)) => Next::Picture(Box::new(image)),
                    Some(Err(error)) => Next::Trouble(error),
                    None => Next::End,
                },
                () = tokio::time::sleep_until(self.recheck_at) => {
                    if let Some(error) = self.shut_if_due().await {
                        return Next::Shut(error);
                    }
                }
            }
        }
    }

    /// Asks the gate if it is time to. For whoever drops [`Push::next`] again and again: a client that
    /// never stops talking must not keep its token's end from being seen.
    pub(crate) async fn shut_if_due(&mut self) -> Option<ApiError> {
        if Instant::now() < self.recheck_at {
            return None;
        }
        let shut = self.caller.shut_out(&self.state, self.channel).await;
        self.recheck_at = Instant::now() + RECHECK;
        shut
    }

    /// Asks the gate if nobody calls [`Push::next`] because the client has to speak first.
    pub(crate) async fn shut_while_waiting(&self, is_waiting: bool) -> Option<ApiError> {
        if is_waiting {
            self.caller.shut_out(&self.state, self.channel).await
        } else {
            None
        }
    }
}

/// Pushes pictures as `multipart/x-mixed-replace`, which browsers show in an `<img>`, or over the
/// WebSocket that was asked for.
pub(crate) async fn push_images(
    state: AppState,
    caller: Caller,
    channel: ChannelId,
    params: &Params,
    upgrade: Option<WebSocketUpgrade>,
) -> Result<Response, ApiError> {
    let window = push_params::window(params)?;
    let mut push = Push::start(state, caller, channel, params)?;
    if let Some(upgrade) = upgrade {
        return Ok(upgrade.on_upgrade(move |socket| push_socket::speak(push, socket, window)));
    }
    // What fails before the first picture is an error of the whole.
    let first = match tokio::time::timeout(FIRST, push.next()).await {
        Ok(Next::Picture(image)) => Some(image),
        Ok(Next::Trouble(error)) => return Err(picture::explain_ref(&error)),
        Ok(Next::Shut(error)) => return Err(error),
        Ok(Next::End) => {
            let text = "the end came before the camera gave a picture";
            return Err(ApiError::new(ErrorKind::NotFound, text));
        }
        Err(_) => None,
    };
    Ok(push_parts::respond(push, first))
}
