//! `/api/v2/storage/activity/`: the days with footage (contract section 7.4).

use crate::AppState;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::params::Params;
use axum::Json;
use axum::extract::State;
use framewell_model::{ChannelId, ErrorKind, TimeRange, WallTime};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde_json::{Value, json};

/// Most days of an answer: ten years. Each costs a search in an index.
const MAX_DAYS: usize = 3_660;
/// Days that are looked at together.
const DAYS_AT_ONCE: usize = 100;

pub(crate) async fn list_days(
    State(state): State<AppState>,
    caller: Caller,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let id = caller.own_channel(&state, &params).await?;
    let timezone = if params.get("daysincamtz").is_some() {
        let channel = state.catalog.load_channel(id).await?;
        TimeZone::get(&channel.timezone).unwrap_or(TimeZone::UTC)
    } else {
        TimeZone::UTC
    };
    let days = days(&state, id, &timezone).await?;
    let days: Vec<String> = days.iter().map(Date::to_string).collect();
    Ok(Json(json!({
        "meta": { "limit": MAX_DAYS, "offset": 0, "total_count": days.len(), "next": null, "previous": null },
        "objects": days,
    })))
}

/// From one hundred of days to the next, without a look at what else lies within a day: an archive of years
/// has millions of segments. What lies between two stretches of footage is not walked.
async fn days(
    state: &AppState,
    channel: ChannelId,
    timezone: &TimeZone,
) -> Result<Vec<Date>, ApiError> {
    let mut days = Vec::new();
    let mut from = WallTime::from_micros(0);
    while days.len() < MAX_DAYS {
        let Some(footage) = state.catalog.footage_from(channel, from).await? else {
            break;
        };
        let mut at = footage.start.max(from);
        let (mut dates, mut ranges) = (Vec::new(), Vec::new());
        while let Some((date, next)) = day_of(at, timezone).filter(|_| dates.len() < DAYS_AT_ONCE) {
            dates.push(date);
            ranges.push(TimeRange {
                start: at,
                end: next,
            });
            at = next;
        }
        if dates.is_empty() {
            let text = "a time of the archive is in no calendar";
            return Err(ApiError::new(ErrorKind::Internal, text));
        }
        let found = state.catalog.ranges_with_footage(channel, &ranges).await?;
        days.extend(found.into_iter().map(|number| dates[number]));
        from = at;
    }
    days.truncate(MAX_DAYS);
    Ok(days)
}

/// The day of an instant, and when the next one begins.
fn day_of(at: WallTime, timezone: &TimeZone) -> Option<(Date, WallTime)> {
    let local: Zoned = Timestamp::from_microsecond(at.micros())
        .ok()?
        .to_zoned(timezone.clone());
    let next = local.tomorrow().ok()?.start_of_day().ok()?;
    let next = WallTime::from_micros(next.timestamp().as_microsecond());
    Some((local.date(), next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_ends_at_midnight_of_its_time_zone() {
        let day = |at: &str, timezone: &str| {
            let timezone = TimeZone::get(timezone).unwrap();
            let (day, next) = day_of(at.parse().unwrap(), &timezone).unwrap();
            (day.to_string(), next.to_rfc3339())
        };
        let at = "2024-05-01T22:30:00Z";
        let told = |day: &str, next: &str| (day.to_owned(), next.to_owned());
        assert_eq!(
            day(at, "UTC"),
            told("2024-05-01", "2024-05-02T00:00:00.000000Z")
        );
        assert_eq!(
            day(at, "Europe/Berlin"),
            told("2024-05-02", "2024-05-02T22:00:00.000000Z")
        );
        // The day on which clocks go forward has 23 hours.
        let short = day("2024-03-30T23:30:00Z", "Europe/Berlin");
        assert_eq!(short, told("2024-03-31", "2024-03-31T22:00:00.000000Z"));
    }
}
