//! Webhooks and their failures as clients see them.

use crate::AppState;
use crate::error::ApiError;
use framewell_catalog::{Webhook, WebhookFailure};
use framewell_model::Secret;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// All webhooks that the token may see.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WebhookList {
    /// Ascending by id.
    pub(crate) webhooks: Vec<WebhookView>,
}

/// A webhook.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WebhookView {
    /// Key.
    #[schema(example = 3)]
    pub(crate) id: i64,
    /// Where deliveries are posted.
    #[schema(example = "https://engine.example/hooks/1")]
    pub(crate) url: String,
    /// Which events are told; null for none.
    #[schema(value_type = Option<Object>)]
    pub(crate) events: Option<Value>,
    /// Which documents are told; null for none.
    #[schema(value_type = Option<Object>)]
    pub(crate) documents: Option<Value>,
    /// Of which channels; null for all that its owner has, also those that come later.
    pub(crate) channels: Option<Value>,
    /// Whether anything is sent.
    pub(crate) active: bool,
    /// `ok`; `retrying`: the delivery that is next has failed; `failing`: deliveries were given up and none
    /// has succeeded since; `off`.
    #[schema(example = "ok")]
    pub(crate) state: &'static str,
    /// Entries of all channels, wanted or not, that are newer than what was told.
    pub(crate) behind: i64,
    /// Failed attempts at the delivery that is next.
    pub(crate) attempts: i64,
    /// Deliveries given up since the last one that succeeded.
    pub(crate) given_up: i64,
    /// When it is tried again; null if nothing has failed.
    pub(crate) next_attempt: Option<String>,
    /// Why the last attempt failed; null if it did not.
    pub(crate) last_error: Option<String>,
    /// HTTP status of that answer; null if there was none.
    pub(crate) last_status: Option<u16>,
    /// When a delivery succeeded last.
    pub(crate) last_success: Option<String>,
    /// When it was made.
    pub(crate) created: String,
    /// Key of the signatures; only in the answer to the request that set or generated it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) secret: Option<String>,
}

/// Deliveries that were given up.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FailureList {
    /// Newest first.
    pub(crate) failures: Vec<FailureView>,
    /// How many there are; the newest 1,000 are kept.
    pub(crate) total: i64,
}

/// A delivery that was given up.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FailureView {
    /// Key.
    #[schema(example = 12)]
    pub(crate) id: i64,
    /// When it was given up.
    pub(crate) created: String,
    /// How many events or documents it is about.
    pub(crate) entries: i64,
    /// How often it was tried, replays included.
    pub(crate) attempts: i64,
    /// Why the last attempt failed.
    pub(crate) error: String,
    /// HTTP status of that answer; null if there was none.
    pub(crate) status: Option<u16>,
    /// Whether it is being sent again.
    pub(crate) replaying: bool,
}

/// What was asked to be sent again.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReplayView {
    /// Failures that are sent again from now on.
    pub(crate) replaying: usize,
}

/// Whether a kind of entries is told.
pub(crate) fn is_wanted(subscription: &Map<String, Value>, name: &str) -> bool {
    !matches!(
        subscription.get(name),
        None | Some(Value::Null | Value::Bool(false))
    )
}

/// The secret only in the answer to whoever set it.
pub(crate) async fn show(
    state: &AppState,
    hook: Webhook,
    secret: Option<Secret<String>>,
) -> Result<WebhookView, ApiError> {
    let wanted = |name| Some(hook.subscription.get(name)?.clone()).filter(|value| !value.is_null());
    let has = |name: &str| {
        hook.subscription
            .as_object()
            .is_some_and(|it| is_wanted(it, name))
    };
    let mut behind = 0;
    if has("events") {
        behind += state.catalog.newest_event_revision().await? - hook.cursors.event;
    }
    if has("documents") {
        behind += state.catalog.newest_document_revision().await? - hook.cursors.document;
    }
    Ok(WebhookView {
        id: hook.id.get(),
        events: wanted("events"),
        documents: wanted("documents"),
        channels: wanted("channels"),
        active: hook.is_active,
        state: word(&hook),
        behind,
        attempts: hook.attempts,
        given_up: hook.given_up,
        next_attempt: hook.next.map(|at| at.to_rfc3339()),
        last_error: hook.trouble.as_ref().map(|trouble| trouble.error.clone()),
        last_status: hook.trouble.as_ref().and_then(|trouble| trouble.status),
        last_success: hook.success.map(|at| at.to_rfc3339()),
        created: hook.created.to_rfc3339(),
        secret: secret.map(|secret| secret.expose().clone()),
        url: hook.url,
    })
}

const fn word(hook: &Webhook) -> &'static str {
    if !hook.is_active {
        "off"
    } else if hook.given_up > 0 {
        "failing"
    } else if hook.attempts > 0 {
        "retrying"
    } else {
        "ok"
    }
}

pub(crate) fn show_failure(failure: WebhookFailure, replaying: bool) -> FailureView {
    FailureView {
        id: failure.id.get(),
        created: failure.created.to_rfc3339(),
        entries: failure.entries,
        attempts: failure.attempts,
        error: failure.trouble.error,
        status: failure.trouble.status,
        replaying,
    }
}
