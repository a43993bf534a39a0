//! `/api/v2/storage/timeline/{camid}/` (contract section 7.3).

use crate::AppState;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::params::Params;
use crate::vxg::ids::path_id;
use crate::vxg::list::MAX_LONG_LIMIT;
use crate::vxg::time::query_time;
use axum::Json;
use axum::extract::{Path, State};
use framewell_catalog::{Order, Slice};
use framewell_model::{ChannelId, TimeRange, WallTime};
use serde_json::{Map, Value, json};

/// Pauses up to this long do not split a period: the player takes 2 s and more for a hole.
const MERGE_US: i64 = 2_000_000;
/// How much is read at once.
const WINDOW_US: i64 = 86_400_000_000;
/// Default number of periods in one answer.
const DEFAULT_PERIODS: usize = 1_000;

pub(crate) async fn show_timeline(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let channel: ChannelId = path_id(&id, "camera")?;
    caller.check(&state, channel).await?;
    let slices = slices(&params)?;
    let limit = params.number::<usize>("limit")?.unwrap_or(DEFAULT_PERIODS);
    let limit = limit.min(usize::try_from(MAX_LONG_LIMIT).unwrap_or(DEFAULT_PERIODS));
    let offset = params.number::<usize>("offset")?.unwrap_or(0);
    let periods = match range(&state, channel, &params).await? {
        Some(range) => load(&state, channel, range, offset.saturating_add(limit)).await?,
        None => Vec::new(),
    };
    let pairs: Vec<Value> = periods
        .iter()
        .skip(offset)
        .take(limit)
        .map(|period| json!([period.start.to_naive_text(), whole_seconds(period)]))
        .collect();
    // The object is there even if it is empty: the player reads it unguarded.
    let object = Map::from_iter([(slices, Value::from(pairs))]);
    Ok(Json(json!({
        "meta": { "limit": limit, "offset": offset, "total_count": 1, "next": null, "previous": null },
        "objects": [object],
    })))
}

/// Rounded down, so that a player never looks for pictures behind the end.
fn whole_seconds(period: &TimeRange) -> i64 {
    period.micros() / 1_000_000
}

/// The key of the answer: clients read exactly the number that they asked for.
fn slices(params: &Params) -> Result<String, ApiError> {
    match params.number::<u8>("slices")? {
        None => Ok("1".to_owned()),
        Some(number) => Ok(number.to_string()),
    }
}

/// The first `enough` periods of a range. Read day by day: an archive of years has millions of
/// segments, and nobody looks at all of them at once.
async fn load(
    state: &AppState,
    channel: ChannelId,
    range: TimeRange,
    enough: usize,
) -> Result<Vec<TimeRange>, ApiError> {
    let mut periods: Vec<TimeRange> = Vec::new();
    let mut start = range.start;
    while start < range.end && periods.len() <= enough {
        let end = start.plus_micros(WINDOW_US).min(range.end);
        let window = TimeRange { start, end };
        let timeline = state.playback.timeline(channel, window, MERGE_US).await?;
        for period in timeline.periods {
            append(&mut periods, period);
        }
        start = end;
    }
    Ok(periods)
}

/// Adds the next period, or lengthens the last one if the pause between them is short.
fn append(periods: &mut Vec<TimeRange>, next: TimeRange) {
    match periods.last_mut() {
        Some(last) if next.start.micros_since(last.end) <= MERGE_US => {
            last.end = last.end.max(next.end);
        }
        _ => periods.push(next),
    }
}

/// The asked range, cut to the archive, open ends filled in; `None` if nothing can lie in it.
async fn range(
    state: &AppState,
    channel: ChannelId,
    params: &Params,
) -> Result<Option<TimeRange>, ApiError> {
    let (start, end) = (query_time(params, "start")?, query_time(params, "end")?);
    // Video of a camera whose clock is ahead of ours is not cut off.
    let horizon = state.clock.now().plus_micros(WINDOW_US);
    let end = end.unwrap_or(horizon).min(horizon);
    // What is recorded but not published yet is younger than a day.
    let oldest = oldest(state, channel).await?;
    let oldest = oldest.unwrap_or(state.clock.now().plus_micros(-WINDOW_US));
    let start = start.unwrap_or(oldest).max(oldest);
    Ok(TimeRange::new(start, end))
}

async fn oldest(state: &AppState, channel: ChannelId) -> Result<Option<WallTime>, ApiError> {
    let first = Slice {
        limit: 1,
        offset: 0,
    };
    let page = state
        .catalog
        .list_segments(channel, None, None, Order::Ascending, first)
        .await?;
    Ok(page.items.first().map(|segment| segment.range.start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_on_both_sides_of_a_window_edge_are_one() {
        let at = WallTime::from_secs;
        let mut periods = Vec::new();
        for (start, end) in [(0, 10), (10, 20), (22, 30), (33, 40)] {
            let period = TimeRange::new(at(start), at(end));
            append(&mut periods, period.unwrap());
        }
        let lengths: Vec<i64> = periods.iter().map(whole_seconds).collect();
        assert_eq!(lengths, [30, 7]);
    }
}
