//! Channel objects as the compatible face shows them.

use crate::AppState;
use crate::error::ApiError;
use crate::live_stats::live_size;
use crate::origin::{Links, Origin};
use crate::vxg::source::show_source;
use framewell_catalog::ChannelFilter;
use framewell_model::{Access, AccountId, Channel, ChannelId, ChannelStatus};
use framewell_token::ChannelEnvelope;
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// What a channel is doing at this moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    pub(crate) status: ChannelStatus,
    pub(crate) is_recording: bool,
}

impl Now {
    pub(crate) fn of(state: &AppState, channel: ChannelId) -> Self {
        let track = state.registry.get(channel);
        Self {
            status: track.as_ref().map_or(ChannelStatus::Inactive, |t| {
                t.source_state().borrow().status
            }),
            is_recording: track.is_some_and(|track| *track.recording().borrow()),
        }
    }

    pub(crate) const fn is_streaming(self) -> bool {
        matches!(self.status, ChannelStatus::Active)
    }
}

/// Outer channel tokens of some channels of one account.
#[derive(Debug)]
pub(crate) struct ChannelTokens(HashMap<(ChannelId, Access), String>);

impl ChannelTokens {
    pub(crate) async fn load(
        state: &AppState,
        origin: &Origin,
        account: AccountId,
        channels: &[ChannelId],
    ) -> Result<Self, ApiError> {
        if channels.is_empty() {
            return Ok(Self(HashMap::new()));
        }
        let inner = state.access.channel_tokens(account, channels).await?;
        let encode = |((channel, access), token): ((ChannelId, Access), _)| {
            let token: framewell_model::Secret<String> = token;
            let envelope = ChannelEnvelope {
                token: token.expose().clone(),
                channel,
                access,
                endpoint: origin.endpoint(),
            };
            ((channel, access), envelope.encode())
        };
        Ok(Self(inner.into_iter().map(encode).collect()))
    }

    pub(crate) fn get(&self, channel: ChannelId, access: Access) -> &str {
        self.0.get(&(channel, access)).map_or("", String::as_str)
    }
}

/// What a channel object of v3 shows besides the usual.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Shown {
    /// The camera's password, for the owner who asked with `detail=detail`.
    pub(crate) has_password: bool,
    /// The tags.
    pub(crate) has_meta: bool,
    /// `status` and `recording`; answers to writes leave them out, since old clients take a
    /// `status` there for an error (contract section 2.4).
    pub(crate) has_status: bool,
}

/// The channel object of v3 (contract section 4.1).
pub(crate) fn channel_v3(
    channel: &Channel,
    now: Now,
    tokens: &ChannelTokens,
    shown: Shown,
) -> Value {
    let mut object = json!({
        "id": channel.id,
        "name": channel.name,
        "created": channel.created.to_naive_text(),
        "rec_mode": channel.rec_mode.as_str(),
        "streaming": now.is_streaming(),
        "timezone": channel.timezone,
        "access_tokens": {
            "all": tokens.get(channel.id, Access::All),
            "watch": tokens.get(channel.id, Access::Watch),
        },
        "source": show_source(channel.source.as_ref(), shown.has_password),
    });
    if shown.has_status {
        object["status"] = now.status.as_str().into();
        object["recording"] = now.is_recording.into();
    }
    if shown.has_meta {
        object["meta"] = json!(channel.meta);
    }
    object
}

/// The picture of a channel as it is when the URL is fetched.
pub(crate) fn preview(state: &AppState, links: &Links<'_>, channel: ChannelId) -> Option<Value> {
    let track = state.registry.get(channel)?;
    let (width, height) = live_size(&track)?;
    Some(json!({
        "url": links.live_image(channel),
        "time": track.newest_gop()?.newest()?.to_naive_text(),
        "width": width,
        "height": height,
        "expire": links.expire.to_naive_text(),
    }))
}

/// Which channels a list of v3 or v5 shows.
pub(crate) fn channel_filter(params: &crate::params::Params) -> ChannelFilter {
    ChannelFilter {
        ids: None,
        name_contains: params
            .get("name__icontains")
            .or(params.get("name"))
            .map(str::to_owned)
            .filter(|name| !name.is_empty()),
        with_tags: params.words("meta"),
        without_tags: params.words("meta_not"),
    }
}

/// Adds a member unless it is `None`: old clients crash on `null`.
pub(crate) fn set_some(object: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        object.insert(name.to_owned(), value);
    }
}
