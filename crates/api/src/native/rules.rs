//! `/v1/rules`: what the server itself makes of documents.

use super::types::{ErrorBody, PageMeta};
use crate::AppState;
use crate::auth::Caller;
use crate::body::JsonObject;
use crate::error::ApiError;
use crate::params::Params;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use framewell_catalog::RuleOwner;
use framewell_insight::rules::{Definition, Maker, Rule};
use framewell_model::{ChannelId, Principal, RuleId, TokenSerial, WallTime};
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use utoipa::ToSchema;

const DEFAULT_LIMIT: u64 = 100;
const MAX_LIMIT: u64 = 1_000;

/// A rule.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RuleView {
    /// Key, at least 1.
    #[schema(example = 3)]
    id: i64,
    /// When it was made.
    created: String,
    /// Why it looks at nothing although it is enabled: the token that made it has ended. Absent if it
    /// looks. Putting a rule in its place makes it look again, with the token that puts it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "token revoked")]
    disabled: Option<String>,
    #[serde(flatten)]
    #[schema(inline)]
    rule: RuleBody,
}

/// What a rule says.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RuleBody {
    /// For people.
    #[schema(example = "somebody stays at the gate")]
    name: String,
    /// Whether it looks at anything; true if absent.
    enabled: bool,
    /// Channels; absent: all that the token opens, also those that come later.
    #[serde(skip_serializing_if = "Option::is_none")]
    channels: Option<Vec<i64>>,
    /// Which documents it looks at, as a filter; absent: all. Documents without objects say that nothing is
    /// there, so where several engines write about a channel, name the one that is meant.
    #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    among: Option<Value>,
    /// Objects that have to be there: `label`, `min_score` (0 to 1), `region` (corners `[x, y]` of a polygon,
    /// 0 to 1 from the left and from above), `anchor` (`center` or `bottom` of the box has to lie in it),
    /// `min_count` (1), `max_count`, `per_track` (each object track is timed by itself). This or `filter`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, example = json!({"label": "Person", "min_score": 0.6, "region": [[0, 0.5], [1, 0.5], [1, 1], [0, 1]], "anchor": "bottom"}))]
    objects: Option<Value>,
    /// A filter that documents have to match, for example `{"field":"long.Person","gte":2}`. This or
    /// `objects`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    filter: Option<Value>,
    /// How long it has to last, by the times of the documents, in seconds: 0 to 86400; 0 if absent.
    #[schema(example = 5.0)]
    for_seconds: f64,
    /// Documents further apart than this many seconds do not show that it lasted; 10 if absent.
    max_gap_s: f64,
    /// No second event of a cause within so many seconds; 0 if absent.
    cooldown_s: f64,
    /// How many seconds documents that come late or out of order are waited for: 0 to 60; 1 if absent.
    /// Those that come later still are left out.
    tolerance_s: f64,
    /// Name of the event.
    #[schema(example = "loitering")]
    event: String,
    /// Tags of the event, besides `rule`, `since`, `document`, and of objects `label`, `count`, `track`.
    tags: BTreeMap<String, String>,
}

/// Rules.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RulePage {
    rules: Vec<RuleView>,
    meta: PageMeta,
}

fn show(rule: &Rule, now: WallTime) -> RuleView {
    let definition = &rule.definition;
    let channels = definition.channels.as_ref();
    let objects = definition.objects.as_ref();
    RuleView {
        id: rule.id.get(),
        created: rule.created.to_rfc3339(),
        disabled: rule.disabled(now).map(str::to_owned),
        rule: RuleBody {
            name: definition.name.clone(),
            enabled: definition.enabled,
            channels: channels.map(|channels| channels.iter().map(|id| id.get()).collect()),
            among: definition.among.clone(),
            objects: objects.and_then(|objects| serde_json::to_value(objects).ok()),
            filter: definition.filter.clone(),
            for_seconds: definition.for_seconds,
            max_gap_s: definition.max_gap_s,
            cooldown_s: definition.cooldown_s,
            tolerance_s: definition.tolerance_s,
            event: definition.event.clone(),
            tags: definition.tags.clone(),
        },
    }
}

/// Rules belong to the token that made them; the license key sees all of its account.
fn owner(caller: &Caller) -> RuleOwner {
    match caller.grant.principal {
        Principal::Account(_) => RuleOwner::Account,
        Principal::Channel(channel) => RuleOwner::Channel(channel),
        Principal::Group(group) => RuleOwner::Group(group),
    }
}

/// The token that a rule ends with. The license key stands for the account, whose rules outlive a new key.
fn token(caller: &Caller) -> Option<TokenSerial> {
    caller.grant.serial.filter(|_| !caller.is_account())
}

async fn load(state: &AppState, caller: &Caller, id: &str) -> Result<Rule, ApiError> {
    let missing = || ApiError::not_found(format_args!("rule {id}"));
    let id: RuleId = id.parse().map_err(|_| missing())?;
    let rule = state.insight.load_rule(id).await?;
    let is_own = rule.account == caller.grant.account
        && (caller.is_account() || rule.owner == owner(caller));
    is_own.then_some(rule).ok_or_else(missing)
}

async fn read(
    state: &AppState,
    caller: &Caller,
    body: Map<String, Value>,
) -> Result<Definition, ApiError> {
    let definition = Definition::read(&Value::Object(body))?;
    let channels: Vec<ChannelId> = definition.channels.iter().flatten().copied().collect();
    for channel in channels {
        caller.check(state, channel).await?;
    }
    Ok(definition)
}

/// List the rules of the token
#[utoipa::path(
    get,
    path = "/v1/rules",
    tag = "rules",
    params(
        ("limit" = Option<u32>, Query, description = "Most rules in one answer, 1 to 1000; 100 if absent"),
        ("cursor" = Option<String>, Query, description = "`meta.next` of the page before"),
    ),
    responses(
        (status = 200, description = "A page, ascending by id", body = RulePage),
        (status = 401, description = "No valid token", body = ErrorBody),
    ),
)]
pub(crate) async fn list_rules(
    State(state): State<AppState>,
    caller: Caller,
    params: Params,
) -> Result<Json<RulePage>, ApiError> {
    let limit = params.number::<i64>("limit")?;
    let limit = limit.map(|limit| u64::try_from(limit).unwrap_or(0));
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    let limit = limit.clamp(1, MAX_LIMIT);
    let after = params.number::<i64>("cursor")?.unwrap_or(0);
    let of = (!caller.is_account()).then(|| owner(&caller));
    let page = state
        .insight
        .list_rules(caller.grant.account, of, after, limit)
        .await?;
    let now = state.clock.now();
    let is_cut = page.total > i64::try_from(page.items.len()).unwrap_or(i64::MAX);
    let last = page.items.last().map(|rule| rule.id.to_string());
    Ok(Json(RulePage {
        rules: page.items.iter().map(|rule| show(rule, now)).collect(),
        meta: PageMeta {
            next: last.filter(|_| is_cut),
        },
    }))
}

/// Make a rule
///
/// It looks at documents that are written from now on, over either face, and raises an event on their
/// channel: once for as long as it lasts.
#[utoipa::path(
    post,
    path = "/v1/rules",
    tag = "rules",
    request_body(content = RuleBody, content_type = "application/json"),
    responses(
        (status = 201, description = "Made", body = RuleView),
        (status = 400, description = "Not understood; the message names the member", body = ErrorBody),
        (status = 401, description = "No valid token", body = ErrorBody),
        (status = 403, description = "The token may not make events", body = ErrorBody),
        (status = 404, description = "A channel that the token does not open", body = ErrorBody),
    ),
)]
pub(crate) async fn create_rule(
    State(state): State<AppState>,
    caller: Caller,
    JsonObject(body): JsonObject,
) -> Result<(StatusCode, Json<RuleView>), ApiError> {
    let definition = read(&state, &caller, body).await?;
    let now = state.clock.now();
    let maker = Maker {
        account: caller.grant.account,
        owner: owner(&caller),
        token: token(&caller),
    };
    let rule = state.insight.create_rule(maker, definition, now).await?;
    Ok((StatusCode::CREATED, Json(show(&rule, now))))
}

/// Show a rule
#[utoipa::path(
    get,
    path = "/v1/rules/{id}",
    tag = "rules",
    params(("id" = i64, Path, description = "Rule")),
    responses(
        (status = 200, description = "The rule", body = RuleView),
        (status = 401, description = "No valid token", body = ErrorBody),
        (status = 404, description = "No such rule of this token", body = ErrorBody),
    ),
)]
pub(crate) async fn show_rule(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<RuleView>, ApiError> {
    let rule = load(&state, &caller, &id).await?;
    Ok(Json(show(&rule, state.clock.now())))
}

/// Put another rule in the place of this one
///
/// It forgets what it has seen, and ends with the token that puts it.
#[utoipa::path(
    put,
    path = "/v1/rules/{id}",
    tag = "rules",
    params(("id" = i64, Path, description = "Rule")),
    request_body(content = RuleBody, content_type = "application/json"),
    responses(
        (status = 200, description = "The rule now", body = RuleView),
        (status = 400, description = "Not understood; the message names the member", body = ErrorBody),
        (status = 401, description = "No valid token", body = ErrorBody),
        (status = 404, description = "No such rule of this token, or no such channel", body = ErrorBody),
    ),
)]
pub(crate) async fn update_rule(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    JsonObject(body): JsonObject,
) -> Result<Json<RuleView>, ApiError> {
    let rule = load(&state, &caller, &id).await?;
    let definition = read(&state, &caller, body).await?;
    let token = token(&caller);
    let rule = state
        .insight
        .update_rule(rule.id, token, definition)
        .await?;
    Ok(Json(show(&rule, state.clock.now())))
}

/// Delete a rule
///
/// The events that it raised stay.
#[utoipa::path(
    delete,
    path = "/v1/rules/{id}",
    tag = "rules",
    params(("id" = i64, Path, description = "Rule")),
    responses(
        (status = 204, description = "Gone"),
        (status = 401, description = "No valid token", body = ErrorBody),
        (status = 404, description = "No such rule of this token", body = ErrorBody),
    ),
)]
pub(crate) async fn delete_rule(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let rule = load(&state, &caller, &id).await?;
    state.insight.delete_rule(rule.id).await?;
    Ok(StatusCode::NO_CONTENT)
}
