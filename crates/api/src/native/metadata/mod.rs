//! `/v1/metadata`: what engines saw, written, searched and counted.

mod answer;
pub(crate) mod buckets;
mod frames;
mod near;
pub(crate) mod one;
mod request;
pub(crate) mod search;
pub(crate) mod write;

use crate::AppState;
use crate::auth::Caller;
use crate::error::ApiError;
use framewell_model::{ChannelId, WallTime};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Times of the native face.
fn read_time(text: &str) -> Option<WallTime> {
    text.parse().ok()
}

/// Refuses members that mean nothing here, so that a typing mistake is noticed.
fn only_known(body: &Map<String, Value>, known: &[&str]) -> Result<(), ApiError> {
    match body.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => {
            let shown: String = name.chars().take(40).collect();
            Err(ApiError::invalid(format!(
                "{shown:?} is no member here; there are {}",
                known.join(", ")
            )))
        }
    }
}

/// A member that is there and not null.
fn member<'a>(body: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    body.get(name).filter(|value| !value.is_null())
}

fn time(body: &Map<String, Value>, name: &str) -> Result<Option<WallTime>, ApiError> {
    let Some(value) = member(body, name) else {
        return Ok(None);
    };
    value.as_str().and_then(read_time).map(Some).ok_or_else(|| {
        ApiError::invalid(format!("{name} is not a time such as 2024-05-01T10:20:30Z"))
    })
}

/// A number within bounds.
fn count(body: &Map<String, Value>, name: &str, default: u64, most: u64) -> Result<u64, ApiError> {
    let Some(value) = member(body, name) else {
        return Ok(default);
    };
    let number = value.as_u64().filter(|number| (1..=most).contains(number));
    number.ok_or_else(|| ApiError::invalid(format!("{name} is not between 1 and {most}")))
}

/// A channel id, as number or as text.
fn channel_id(value: &Value) -> Option<ChannelId> {
    match value {
        Value::Number(number) => ChannelId::new(number.as_i64()?),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// The channels of a search: those of the member `channels`, or all that the token opens, ascending.
async fn channels(
    state: &AppState,
    caller: &Caller,
    body: &Map<String, Value>,
) -> Result<Vec<ChannelId>, ApiError> {
    let open = state.access.channels(&caller.grant).await?;
    let open: BTreeSet<ChannelId> = open.into_iter().collect();
    let Some(named) = member(body, "channels") else {
        return Ok(open.into_iter().collect());
    };
    let Some(named) = named.as_array() else {
        return Err(ApiError::invalid("channels is not an array of channel ids"));
    };
    let read = |value| {
        channel_id(value)
            .ok_or_else(|| ApiError::invalid("channels is not an array of channel ids"))
    };
    let named: BTreeSet<ChannelId> = named.iter().map(read).collect::<Result<_, _>>()?;
    match named.difference(&open).next() {
        Some(id) => Err(ApiError::not_found(format_args!("channel {id}"))),
        None => Ok(named.into_iter().collect()),
    }
}
