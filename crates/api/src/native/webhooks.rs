//! `/v1/webhooks`: events and documents that the server posts by itself.

use super::types::ErrorBody;
use super::webhook_input::{Input, secret_or_new};
use super::webhook_view::{
    FailureList, ReplayView, WebhookList, WebhookView, is_wanted, show, show_failure,
};
use crate::AppState;
use crate::auth::Caller;
use crate::body::JsonObject;
use crate::error::ApiError;
use crate::params::Params;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use framewell_catalog::{
    NewJob, NewWebhook, Order, Slice, WEBHOOK_JOB, WEBHOOK_REPLAY_JOB, Webhook, WebhookChange,
    WebhookOwner,
};
use framewell_model::{DeliveryId, Principal, WebhookId};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use utoipa::ToSchema;

/// Most failures of one answer or one replay.
const MAX_FAILURES: i64 = 100;

/// Longest subscription in bytes of JSON: all are read again in every round.
const MAX_SUBSCRIPTION_BYTES: usize = 16 << 10;

/// A webhook to be made or changed, for the description only.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes a body")]
pub(crate) struct WebhookInput {
    /// `http` or `https`, without user name and password. Addresses that are not public are refused unless
    /// the server's configuration allows them.
    url: String,
    /// `true` for all events, or which: `{"names": […], "tags": […], "without_tags": […]}`, as in
    /// `/v1/events/stream`; `false`: none.
    #[schema(value_type = Option<Object>)]
    events: Option<Value>,
    /// `true` for all documents, or which: `{"filter": {…}}`, as in `/v1/metadata/stream`; `false`: none.
    #[schema(value_type = Option<Object>)]
    documents: Option<Value>,
    /// Ids; null for all that the token opens, also those that come later.
    channels: Option<Vec<i64>>,
    /// Key of the signatures, 16 to 256 characters; absent: one is generated.
    secret: Option<String>,
    /// Whether anything is sent; absent: yes.
    active: Option<bool>,
}

/// Have events and documents posted to a URL
///
/// From now on, each delivery is a POST of `{"webhook": 3, "messages": […]}` with up to 100 messages in the
/// form of those of `/v1/events/stream` and `/v1/metadata/stream`, in order. `Framewell-Signature` is `v1=`
/// and HMAC-SHA256 in hexadecimal, with the secret, over the header `Framewell-Timestamp`, a dot and the
/// body. A delivery that is not answered with 2xx is tried again with growing pauses; it may also come
/// twice, with the same cursors. Made with a group or channel token, a webhook is told what that token
/// opens, and ends with it.
#[utoipa::path(
    post,
    path = "/v1/webhooks",
    tag = "webhooks",
    request_body(content = WebhookInput),
    responses(
        (status = 201, description = "Made; the only answer with the secret", body = WebhookView),
        (status = 400, description = "Bad URL, filter or secret", body = ErrorBody),
        (status = 403, description = "The token may not configure", body = ErrorBody),
        (status = 404, description = "A named channel is not behind this token", body = ErrorBody),
    ),
)]
pub(crate) async fn create_webhook(
    State(state): State<AppState>,
    caller: Caller,
    JsonObject(body): JsonObject,
) -> Result<(StatusCode, Json<WebhookView>), ApiError> {
    let input = Input::read(&body, &state.config.outbound)?;
    let Some(url) = input.url else {
        return Err(ApiError::invalid("url is missing"));
    };
    let subscription = input.subscription.over(&Map::new());
    check_subscription(&state, &caller, &subscription).await?;
    let secret = secret_or_new(input.secret);
    let new = NewWebhook {
        owner: owner(&caller),
        url,
        secret: secret.clone(),
        subscription: Value::Object(subscription),
        is_active: input.is_active.unwrap_or(true),
    };
    let now = state.clock.now();
    let hook = state.catalog.create_webhook(&new, now).await?;
    let view = show(&state, hook, Some(secret)).await?;
    Ok((StatusCode::CREATED, Json(view)))
}

/// List webhooks
#[utoipa::path(
    get,
    path = "/v1/webhooks",
    tag = "webhooks",
    responses(
        (status = 200, description = "With a license key all of the account, else those of the group or channel", body = WebhookList),
        (status = 403, description = "The token may not configure", body = ErrorBody),
    ),
)]
pub(crate) async fn list_webhooks(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<WebhookList>, ApiError> {
    let mut webhooks = Vec::new();
    for hook in state.catalog.list_webhooks(caller.grant.principal).await? {
        webhooks.push(show(&state, hook, None).await?);
    }
    Ok(Json(WebhookList { webhooks }))
}

/// Show a webhook and how it goes
#[utoipa::path(
    get,
    path = "/v1/webhooks/{id}",
    tag = "webhooks",
    params(("id" = i64, Path, description = "Webhook")),
    responses(
        (status = 200, description = "The webhook, without its secret", body = WebhookView),
        (status = 404, description = "No such webhook behind this token", body = ErrorBody),
    ),
)]
pub(crate) async fn show_webhook(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<WebhookView>, ApiError> {
    let hook = load(&state, &caller, &id).await?;
    Ok(Json(show(&state, hook, None).await?))
}

/// Change a webhook
///
/// Members that are absent stay as they are. What had failed is tried again at once. What was not wanted
/// before is told from now on.
#[utoipa::path(
    put,
    path = "/v1/webhooks/{id}",
    tag = "webhooks",
    params(("id" = i64, Path, description = "Webhook")),
    request_body(content = WebhookInput),
    responses(
        (status = 200, description = "Changed; with the secret if it was", body = WebhookView),
        (status = 400, description = "Bad URL, filter or secret", body = ErrorBody),
        (status = 404, description = "No such webhook behind this token", body = ErrorBody),
    ),
)]
pub(crate) async fn update_webhook(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    JsonObject(body): JsonObject,
) -> Result<Json<WebhookView>, ApiError> {
    let hook = load(&state, &caller, &id).await?;
    let input = Input::read(&body, &state.config.outbound)?;
    let before = hook.subscription.as_object().cloned().unwrap_or_default();
    let subscription = input.subscription.over(&before);
    check_subscription(&state, &caller, &subscription).await?;
    let is_new = |name: &str| !is_wanted(&before, name) && is_wanted(&subscription, name);
    let change = WebhookChange {
        url: input.url,
        secret: input.secret.clone(),
        restart_events: is_new("events"),
        restart_documents: is_new("documents"),
        subscription: (subscription != before).then(|| Value::Object(subscription.clone())),
        is_active: input.is_active,
    };
    let hook = state.catalog.change_webhook(hook.id, &change).await?;
    let (key, now) = (hook.id.to_string(), state.clock.now());
    state.catalog.hasten_job(WEBHOOK_JOB, &key, now).await?;
    Ok(Json(show(&state, hook, input.secret).await?))
}

/// Delete a webhook and its failures
#[utoipa::path(
    delete,
    path = "/v1/webhooks/{id}",
    tag = "webhooks",
    params(("id" = i64, Path, description = "Webhook")),
    responses(
        (status = 204, description = "Deleted; a delivery on its way may still arrive"),
        (status = 404, description = "No such webhook behind this token", body = ErrorBody),
    ),
)]
pub(crate) async fn delete_webhook(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let hook = load(&state, &caller, &id).await?;
    state.catalog.delete_webhook(hook.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List deliveries that were given up
#[utoipa::path(
    get,
    path = "/v1/webhooks/{id}/failures",
    tag = "webhooks",
    params(
        ("id" = i64, Path, description = "Webhook"),
        ("offset" = Option<i64>, Query, description = "Failures to skip; an answer has 100 at most"),
    ),
    responses(
        (status = 200, description = "Newest first", body = FailureList),
        (status = 404, description = "No such webhook behind this token", body = ErrorBody),
    ),
)]
pub(crate) async fn list_failures(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<FailureList>, ApiError> {
    let hook = load(&state, &caller, &id).await?;
    let slice = Slice {
        limit: MAX_FAILURES,
        offset: params.number("offset")?.unwrap_or(0),
    };
    let page = state
        .catalog
        .list_webhook_failures(hook.id, Order::Descending, slice)
        .await?;
    let open = state.catalog.open_job_keys(WEBHOOK_REPLAY_JOB).await?;
    let open: BTreeSet<String> = open.into_iter().collect();
    let failures = page.items.into_iter().map(|failure| {
        let is_open = open.contains(&failure.id.to_string());
        show_failure(failure, is_open)
    });
    Ok(Json(FailureList {
        failures: failures.collect(),
        total: page.total,
    }))
}

/// Send again what was given up
///
/// The body `{"failures": [12, 13]}` names some; an empty one means the oldest 100. Each is tried as often
/// as a new delivery, beside the webhook's own deliveries, and is forgotten once it succeeds.
#[utoipa::path(
    post,
    path = "/v1/webhooks/{id}/replay",
    tag = "webhooks",
    params(("id" = i64, Path, description = "Webhook")),
    responses(
        (status = 202, description = "They will be sent", body = ReplayView),
        (status = 404, description = "No such webhook behind this token, or no such failure of it", body = ErrorBody),
    ),
)]
pub(crate) async fn replay_failures(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    JsonObject(body): JsonObject,
) -> Result<(StatusCode, Json<ReplayView>), ApiError> {
    let hook = load(&state, &caller, &id).await?;
    let failures = match body.get("failures") {
        None | Some(Value::Null) => oldest_failures(&state, &hook).await?,
        Some(ids) => named_failures(&state, &hook, ids).await?,
    };
    let now = state.clock.now();
    for id in &failures {
        let key = id.to_string();
        let job = NewJob {
            kind: WEBHOOK_REPLAY_JOB,
            account: hook.owner.account,
            channel: None,
            parameters: json!({ "webhook": hook.id, "failure": id }),
            dedup: Some(key.clone()),
            due: now,
        };
        state.catalog.create_job(&job, now).await?;
        // One that waits for its next attempt is not made to wait longer.
        state
            .catalog
            .hasten_job(WEBHOOK_REPLAY_JOB, &key, now)
            .await?;
    }
    let replaying = failures.len();
    Ok((StatusCode::ACCEPTED, Json(ReplayView { replaying })))
}

async fn oldest_failures(state: &AppState, hook: &Webhook) -> Result<Vec<DeliveryId>, ApiError> {
    let slice = Slice {
        limit: MAX_FAILURES,
        offset: 0,
    };
    let page = state
        .catalog
        .list_webhook_failures(hook.id, Order::Ascending, slice)
        .await?;
    Ok(page.items.into_iter().map(|failure| failure.id).collect())
}

async fn named_failures(
    state: &AppState,
    hook: &Webhook,
    ids: &Value,
) -> Result<Vec<DeliveryId>, ApiError> {
    let most = usize::try_from(MAX_FAILURES).unwrap_or(usize::MAX);
    let refused = || ApiError::invalid(format!("failures is no list of {most} ids at most"));
    let ids = ids
        .as_array()
        .filter(|ids| ids.len() <= most)
        .ok_or_else(refused)?;
    let mut named = Vec::new();
    for id in ids {
        let id = id.as_i64().and_then(DeliveryId::new).ok_or_else(refused)?;
        let missing = || ApiError::not_found(format_args!("failure {id}"));
        let (failure, _) = state.catalog.load_webhook_failure(id).await?;
        if failure.webhook != hook.id {
            return Err(missing());
        }
        named.push(id);
    }
    Ok(named)
}

/// Whether the caller may have what it asks for. Channels that are named must be behind the token now; at
/// each delivery it is asked again.
async fn check_subscription(
    state: &AppState,
    caller: &Caller,
    subscription: &Map<String, Value>,
) -> Result<(), ApiError> {
    let bytes = Value::Object(subscription.clone()).to_string().len();
    if bytes > MAX_SUBSCRIPTION_BYTES {
        return Err(ApiError::invalid(format!(
            "events, documents and channels are longer than {MAX_SUBSCRIPTION_BYTES} bytes of JSON"
        )));
    }
    let interest = framewell_insight::feed::Interest::parse(subscription)?;
    for topic in interest.topics() {
        topic.check(&state.catalog)?;
    }
    let open: BTreeSet<_> = state
        .access
        .channels(&caller.grant)
        .await?
        .into_iter()
        .collect();
    let mut named = interest.channels.iter().flatten();
    match named.find(|id| !open.contains(id)) {
        None => Ok(()),
        Some(id) => Err(ApiError::not_found(format_args!("channel {id}"))),
    }
}

/// The license key stands for the account, whose webhooks outlive a new key.
fn owner(caller: &Caller) -> WebhookOwner {
    let grant = &caller.grant;
    let is_token = !matches!(grant.principal, Principal::Account(_));
    WebhookOwner {
        account: grant.account,
        principal: grant.principal,
        token: grant.serial.filter(|_| is_token),
        expire: grant.expire.filter(|_| is_token),
    }
}

/// The same answer for somebody else's webhook as for one that does not exist.
async fn load(state: &AppState, caller: &Caller, id: &str) -> Result<Webhook, ApiError> {
    let missing = || {
        ApiError::not_found(format!(
            "webhook {}",
            id.chars().take(40).collect::<String>()
        ))
    };
    let id: WebhookId = id.parse().map_err(|_| missing())?;
    let hook = state.catalog.load_webhook(id).await?;
    let is_own = match caller.grant.principal {
        Principal::Account(account) => hook.owner.account == account,
        principal => hook.owner.principal == principal,
    };
    if is_own { Ok(hook) } else { Err(missing()) }
}
