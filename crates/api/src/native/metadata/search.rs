//! `POST /v1/metadata/search`: by filter, words and time, page by page.

use super::answer::{Found, SearchMeta, SearchPage};
use super::request::SearchBody;
use super::{channels, count, member, near, only_known, read_time, time};
use crate::AppState;
use crate::auth::Caller;
use crate::body::MetaObject;
use crate::error::ApiError;
use crate::native::types::ErrorBody;
use axum::Json;
use axum::extract::State;
use framewell_catalog::Order;
use framewell_catalog::meta::{DocumentSearch, Filter, Moment, Scope};
use framewell_insight::{parse_native_filter, text_filter};
use framewell_model::{ChannelId, WallTime};
use serde_json::{Map, Value};

/// Documents of a page where nobody asks for another number.
const DEFAULT_LIMIT: u64 = 100;
/// Most documents of a page.
const MAX_LIMIT: u64 = 1_000;

const MEMBERS: [&str; 10] = [
    "channels", "start", "end", "filter", "text", "near", "sort", "limit", "cursor", "total",
];

/// What is looked at.
pub(super) struct Where {
    pub(super) channels: Vec<ChannelId>,
    pub(super) filter: Filter,
    pub(super) start: Option<WallTime>,
    pub(super) end: Option<WallTime>,
}

impl Where {
    /// Reads `channels`, `filter`, `text`, `start` and `end`.
    pub(super) async fn read(
        state: &AppState,
        caller: &Caller,
        body: &Map<String, Value>,
    ) -> Result<Self, ApiError> {
        let mut filter = parse_native_filter(body.get("filter"), read_time)?;
        if let Some(text) = member(body, "text") {
            filter = Filter::And(vec![filter, text_filter(text)?]);
        }
        Ok(Self {
            start: time(body, "start")?,
            end: time(body, "end")?,
            channels: channels(state, caller, body).await?,
            filter,
        })
    }

    pub(super) fn scope(&self) -> Scope<'_> {
        Scope {
            channels: &self.channels,
            filter: &self.filter,
            start: self.start,
            end: self.end,
        }
    }
}

/// Search metadata documents
///
/// By a typed filter, words and time, over all channels of the token. Pages go on behind the last document of the
/// one before: what is written meanwhile shifts nothing. A page ends before `limit` if its documents would have
/// more than 8 MiB together; `meta.next` says whether there are more. Every document has links to its picture, to a clip around
/// it and to the live channel, for the same token. A search that takes longer than 10 s ends with 503.
///
/// `near` finds the documents whose vectors are nearest by the angle, among those that everything else in the
/// search leaves; `meta.exact` says whether all of their vectors were compared.
#[utoipa::path(
    post,
    path = "/v1/metadata/search",
    tag = "metadata",
    request_body(content = SearchBody, description = "What to look for; `{}` finds everything"),
    responses(
        (status = 200, description = "A page", body = SearchPage),
        (status = 400, description = "A member that cannot be; the message names it", body = ErrorBody),
        (status = 403, description = "The token may not use metadata", body = ErrorBody),
        (status = 404, description = "A named channel is not behind this token", body = ErrorBody),
        (status = 503, description = "The search took too long; ask for less", body = ErrorBody),
    ),
)]
pub(crate) async fn search_documents(
    State(state): State<AppState>,
    caller: Caller,
    MetaObject(body, _reserved): MetaObject,
) -> Result<Json<Found>, ApiError> {
    only_known(&body, &MEMBERS)?;
    let within = Where::read(&state, &caller, &body).await?;
    if let Some(near) = member(&body, "near") {
        return near::answer(&state, &within, near, &body).await;
    }
    let order = order(&body)?;
    let limit = count(&body, "limit", DEFAULT_LIMIT, MAX_LIMIT)?;
    let after = cursor(&body, order)?;
    let wants_total = match member(&body, "total") {
        None | Some(Value::Bool(false)) => false,
        Some(Value::Bool(true)) => true,
        Some(_) => return Err(ApiError::invalid("total is neither true nor false")),
    };
    let total = match wants_total {
        true => Some(state.insight.count(within.scope()).await?),
        false => None,
    };
    let query = DocumentSearch {
        scope: within.scope(),
        order,
        after,
        limit,
    };
    let found = state.insight.search(&query).await?;
    let meta = SearchMeta {
        next: found.next.map(|last| write_cursor(last, order)),
        total,
        exact: None,
        compared: None,
        cut: false,
    };
    let documents = found.documents.into_iter();
    Ok(Json(Found {
        documents: documents.map(|(_, document)| (None, document)).collect(),
        meta,
    }))
}

pub(super) fn order(body: &Map<String, Value>) -> Result<Order, ApiError> {
    match member(body, "sort").map(Value::as_str) {
        None | Some(Some("-time")) => Ok(Order::Descending),
        Some(Some("time")) => Ok(Order::Ascending),
        _ => Err(ApiError::invalid(
            "sort is neither time nor -time (nor score, which needs near)",
        )),
    }
}

/// A place in the order of time; opaque to clients.
fn write_cursor(last: Moment, order: Order) -> String {
    let (at, number) = (last.timestamp.micros(), last.number);
    format!("{}{at:x}.{number:x}", letter(order))
}

const fn letter(order: Order) -> char {
    match order {
        Order::Ascending => 'a',
        Order::Descending => 'd',
    }
}

fn cursor(body: &Map<String, Value>, order: Order) -> Result<Option<Moment>, ApiError> {
    let Some(cursor) = member(body, "cursor") else {
        return Ok(None);
    };
    let read = || {
        let (at, number) = cursor
            .as_str()?
            .strip_prefix(letter(order))?
            .split_once('.')?;
        Some(Moment {
            // Negative ones are written as the bits that they have.
            timestamp: WallTime::from_micros(u64::from_str_radix(at, 16).ok()?.cast_signed()),
            number: i64::from_str_radix(number, 16).ok()?,
        })
    };
    read()
        .map(Some)
        .ok_or_else(|| ApiError::invalid("cursor is not one of ours, or of another sort"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_cursor_keeps_its_place_and_its_order() {
        for micros in [0, 17_000_001, -5, i64::MAX, i64::MIN] {
            let place = Moment {
                timestamp: WallTime::from_micros(micros),
                number: 300,
            };
            let text = write_cursor(place, Order::Descending);
            let body = json!({ "cursor": text });
            let body = body.as_object().unwrap();
            assert_eq!(cursor(body, Order::Descending).unwrap(), Some(place));
            assert!(cursor(body, Order::Ascending).is_err());
        }
        for text in ["", "d", "d1", "dx.1", "d1.x", "d1.1.1"] {
            let body = json!({ "cursor": text });
            assert!(
                cursor(body.as_object().unwrap(), Order::Descending).is_err(),
                "{text}"
            );
        }
    }
}
