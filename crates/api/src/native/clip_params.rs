//! What a client may ask of a clip, and waiting for footage that is yet to come.

use super::time_range;
use crate::AppState;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::params::Params;
use framewell_model::{ChannelId, TimeRange, WallTime};
use framewell_playback::{ClipError, ClipOptions, Holes};
use std::time::Duration;
use tokio::time::Instant;

/// Longest range that is even looked at; playback has the tighter limit on a file.
const MAX_RANGE_US: i64 = 7 * 86_400_000_000;
/// Parameters of all clips.
const OPTIONS: [&str; 4] = ["gaps", "strict", "wait", "wait_s"];
/// How long `wait=true` waits, in seconds.
const DEFAULT_WAIT_S: u32 = 60;
/// Longest wait that can be asked for, in seconds.
const MAX_WAIT_S: u32 = 300;
/// How often a waiting clip looks whether its footage is there, in case that nobody says so: a camera sends a file,
/// or the time for it is over.
const POLL: Duration = Duration::from_secs(1);
/// Footage is written GOP by GOP; what is not there so long after its time will not come.
const SETTLED: Duration = Duration::from_secs(15);

/// Which clip is wanted.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) range: TimeRange,
    pub(super) options: ClipOptions,
    /// How long to wait for the end of the range.
    wait: Option<Duration>,
}

impl Wanted {
    /// `start` and `end`, and the options; `further` parameters are allowed besides.
    pub(super) fn read(params: &Params, now: WallTime, further: &[&str]) -> Result<Self, ApiError> {
        let known = [&["start", "end"], further].concat();
        let wanted = Self::with_range(params, &known, || time_range(params, now, MAX_RANGE_US))?;
        wanted.check_future(now)?;
        Ok(wanted)
    }

    /// The options, with the range that `range` gives.
    pub(super) fn with_range(
        params: &Params,
        known: &[&str],
        range: impl FnOnce() -> Result<TimeRange, ApiError>,
    ) -> Result<Self, ApiError> {
        params.only_known(&[known, &OPTIONS].concat())?;
        Ok(Self {
            range: range()?,
            options: ClipOptions {
                holes: holes_named(params.get("gaps"))?,
                is_strict: params.flag("strict")?,
            },
            wait: read_wait(params)?,
        })
    }

    /// Whether it is worth waiting for.
    pub(super) const fn waits(&self) -> bool {
        self.wait.is_some()
    }

    /// What has not happened yet is an error, unless it is worth waiting for.
    pub(super) fn check_future(&self, now: WallTime) -> Result<(), ApiError> {
        let end = self.range.end;
        let ahead_us = end.micros_since(now);
        let wait_us = self
            .wait
            .map(|wait| i64::try_from(wait.as_micros()).unwrap_or(i64::MAX));
        match wait_us {
            _ if ahead_us <= 0 => Ok(()),
            None => Err(ApiError::invalid(format!(
                "end {end} lies in the future, now it is {now}; wait=true waits until it is recorded"
            ))),
            Some(wait_us) if ahead_us > wait_us => Err(ApiError::invalid(format!(
                "end {end} lies further in the future than the {} s to wait, now it is {now}; wait_s is {MAX_WAIT_S} at most",
                wait_us / 1_000_000
            ))
            .with_detail("limit", MAX_WAIT_S)),
            Some(_) => Ok(()),
        }
    }

    /// Waits until the end of the range is recorded, if that is asked for: not longer than is asked for, nor
    /// for footage that will not come.
    pub(super) async fn settle(
        &self,
        state: &AppState,
        caller: &Caller,
        channel: ChannelId,
    ) -> Result<(), ApiError> {
        let Some(wait) = self.wait else {
            return Ok(());
        };
        let place = state.config.waiting_clips.take(&caller.grant);
        let _place = place.map_err(ApiError::no_place)?;
        let deadline = Instant::now() + wait;
        loop {
            // Before the look, so that nothing comes between the two unnoticed.
            let recorded = state.playback.recorded(channel, self.range.end);
            let newest = state.playback.newest_footage(channel).await;
            let newest = newest.map_err(ApiError::from)?;
            let is_there = newest.is_some_and(|newest| newest >= self.range.end);
            let will_not_come = state.clock.now() > self.range.end + SETTLED;
            if is_there || will_not_come || Instant::now() >= deadline {
                return Ok(());
            }
            let next_look = deadline.min(Instant::now() + POLL);
            tokio::select! {
                () = recorded => {}
                () = tokio::time::sleep_until(next_look) => {}
            }
        }
    }
}

/// What a word says that becomes of holes.
pub(super) fn holes_named(word: Option<&str>) -> Result<Holes, ApiError> {
    match word {
        None | Some("" | "collapse") => Ok(Holes::Collapse),
        Some("keep") => Ok(Holes::Keep),
        Some(_) => Err(ApiError::invalid("gaps is neither collapse nor keep")),
    }
}

/// The word for what becomes of holes.
pub(super) const fn word_of(holes: Holes) -> &'static str {
    match holes {
        Holes::Collapse => "collapse",
        Holes::Keep => "keep",
    }
}

fn read_wait(params: &Params) -> Result<Option<Duration>, ApiError> {
    let seconds = match params.number::<u32>("wait_s")? {
        Some(seconds) if seconds > MAX_WAIT_S => {
            let text = format!("wait_s {seconds} is more than {MAX_WAIT_S}");
            return Err(ApiError::invalid(text).with_detail("limit", MAX_WAIT_S));
        }
        Some(seconds) => seconds,
        None if params.flag("wait")? => DEFAULT_WAIT_S,
        None => 0,
    };
    Ok((seconds > 0).then(|| Duration::from_secs(seconds.into())))
}

/// A clip that cannot be made, with what is nearest, what is damaged, or which number was the limit.
pub(super) fn explain(error: &ClipError) -> ApiError {
    let api = ApiError::of(error);
    match error {
        ClipError::Empty { before, after, .. } => api.with_nearest(*before, *after),
        ClipError::TooLong { limit_s, .. } => api.with_detail("limit", *limit_s),
        ClipError::TooManySamples { limit } => api.with_detail("limit", *limit),
        ClipError::Footage(footage) => match footage.place() {
            Some(place) => api
                .with_detail("segment", place.segment.to_string())
                .with_detail("segment_start", place.range.start.to_rfc3339())
                .with_detail("segment_end", place.range.end.to_rfc3339()),
            None => api,
        },
        _ => api,
    }
}

/// A span such as `pre=10s`, up to an hour.
pub(super) fn read_roll(
    params: &Params,
    name: &str,
    default: Duration,
) -> Result<Duration, ApiError> {
    let span = super::group_select::span_us(params, name)?;
    let micros = span.and_then(|us| u64::try_from(us).ok());
    Ok(micros.map_or(default, Duration::from_micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Wanted, ApiError> {
        let now = WallTime::from_secs(1_000_000);
        Wanted::read(&Params::parse(Some(query)), now, &[])
    }

    #[test]
    fn what_has_not_happened_is_waited_for_or_refused() {
        assert!(read("start=-10s&end=now").is_ok());
        let error = read("start=-10s&end=%2B5s").unwrap_err();
        assert!(
            error
                .message
                .contains("now it is 1970-01-12T13:46:40.000000Z"),
            "{}",
            error.message
        );
        assert!(read("start=-10s&end=%2B5s&wait=true").is_ok());
        assert!(read("start=%2B2s&end=%2B5s&wait_s=5").is_ok());
        assert!(read("start=-10s&end=%2B5s&wait_s=4").is_err());
        assert!(read("start=-10s&end=%2B400s&wait_s=300").is_err());
        assert_eq!(
            read("start=-10s&wait_s=301").unwrap_err().details["limit"],
            300
        );
    }

    #[test]
    fn options_are_read_and_mistakes_are_named() {
        assert_eq!(read("start=-10s").unwrap().options, ClipOptions::default());
        let options = read("start=-10s&gaps=keep&strict=true").unwrap().options;
        assert_eq!((options.holes, options.is_strict), (Holes::Keep, true));
        for query in [
            "start=-10s&gaps=close",
            "start=-10s&strct=true",
            "start=-10s&strict=perhaps",
        ] {
            assert!(read(query).is_err(), "{query}");
        }
    }
}
