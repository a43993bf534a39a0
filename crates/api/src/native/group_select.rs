//! Which channels and which instant a question about a whole group means.

use super::instant;
use crate::AppState;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::params::Params;
use framewell_imaging::Match;
use framewell_model::{ChannelId, Grant, StreamKind, WallTime};
use std::collections::BTreeSet;

/// Channels in one answer where nobody asks for another number.
const DEFAULT_LIMIT: usize = 50;
/// Most channels in one answer; the rest comes with the cursor.
pub(crate) const MAX_LIMIT: usize = 200;
/// Longest span that can be asked for.
const MAX_SPAN_US: i64 = 3_600_000_000;

/// The channels of one answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Selection {
    /// Ascending by id. The flag says whether the token opens it.
    pub(crate) channels: Vec<(ChannelId, bool)>,
    /// `cursor` that gives the channels behind these at the same instant.
    pub(crate) next: Option<ChannelId>,
}

/// Reads `channels`, `limit` and the channel of `cursor`: those that the token opens, or those that are
/// named, some of which it may not open.
pub(crate) async fn select(
    state: &AppState,
    caller: &Caller,
    params: &Params,
    after: Option<ChannelId>,
) -> Result<Selection, ApiError> {
    let limit = params.number::<usize>("limit")?.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(ApiError::invalid(format!(
            "limit {limit} is not between 1 and {MAX_LIMIT}"
        )));
    }
    let open = state.access.channels(&caller.grant).await?;
    let open: BTreeSet<ChannelId> = open.into_iter().collect();
    let named = named(params)?;
    Ok(page(&open, named, after, limit))
}

fn page(
    open: &BTreeSet<ChannelId>,
    named: Option<BTreeSet<ChannelId>>,
    after: Option<ChannelId>,
    limit: usize,
) -> Selection {
    let wanted = named.unwrap_or_else(|| open.clone());
    let mut channels: Vec<(ChannelId, bool)> = wanted
        .into_iter()
        .filter(|id| after.is_none_or(|after| *id > after))
        .map(|id| (id, open.contains(&id)))
        .collect();
    let has_more = channels.len() > limit;
    channels.truncate(limit);
    let next = channels.last().filter(|_| has_more).map(|(id, _)| *id);
    Selection { channels, next }
}

/// The channels that `channels=1,2,3` names; none if it is absent.
fn named(params: &Params) -> Result<Option<BTreeSet<ChannelId>>, ApiError> {
    if params.get("channels").is_none() {
        return Ok(None);
    }
    let words = params.words("channels");
    let ids = words.iter().map(|word| {
        word.parse::<ChannelId>()
            .map_err(|_| ApiError::invalid(format!("channels: {word:?} is no channel id")))
    });
    ids.collect::<Result<_, _>>().map(Some)
}

/// Whose pictures or entries a connection that stays open is about.
#[derive(Debug)]
pub(crate) struct Members {
    grant: Grant,
    /// The channels that the client named; `None` for all, also those that come later.
    pub(crate) named: Option<BTreeSet<ChannelId>>,
}

impl Members {
    /// Of this caller; reads `channels`.
    pub(crate) fn read(params: &Params, caller: &Caller) -> Result<Self, ApiError> {
        Ok(Self {
            named: named(params)?,
            grant: caller.grant.clone(),
        })
    }

    /// The channels at this moment, ascending; an error if the token no longer stands.
    pub(crate) async fn now(&self, state: &AppState) -> Result<Vec<ChannelId>, ApiError> {
        state.access.recheck(&self.grant).await?;
        let open = state.access.channels(&self.grant).await?;
        let is_wanted = |id: &ChannelId| self.named.as_ref().is_none_or(|ids| ids.contains(id));
        Ok(open.into_iter().filter(is_wanted).collect())
    }
}

/// How far pictures may lie from the instant, in microseconds. Absent: a second, which holds the
/// pictures of cameras down to one picture per second; for key frames 10 s.
pub(crate) fn tolerance_us(params: &Params, matching: Match) -> Result<i64, ApiError> {
    Ok(span_us(params, "tolerance")?.unwrap_or(match matching {
        Match::Keyframe => 10_000_000,
        _ => 1_000_000,
    }))
}

/// A span (`250ms`, `2s`) or a number of milliseconds, up to an hour; in microseconds.
pub(crate) fn span_us(params: &Params, name: &str) -> Result<Option<i64>, ApiError> {
    let Some(text) = params.get(name) else {
        return Ok(None);
    };
    let text = text.trim();
    let span = if text.ends_with(|c: char| c.is_ascii_digit()) {
        format!("-{text}ms")
    } else {
        format!("-{text}")
    };
    let zero = WallTime::from_micros(0);
    let micros = super::read_instant(&span, zero).map(|at| zero.micros_since(at));
    let micros = micros.filter(|us| (0..=MAX_SPAN_US).contains(us));
    micros.map(Some).ok_or_else(|| {
        let shown: String = text.chars().take(40).collect();
        ApiError::invalid(format!(
            "{name} {shown:?} is no span between 0 and 1h such as 250ms or 2s"
        ))
    })
}

/// The instant of all pictures: `at`, or for "now" one that all cameras have reached.
pub(crate) fn common_instant(
    state: &AppState,
    params: &Params,
    stream: StreamKind,
    channels: &[(ChannelId, bool)],
) -> Result<WallTime, ApiError> {
    let now = state.clock.now();
    let is_now = matches!(params.get("at"), None | Some("" | "now"));
    if is_now {
        let open = channels.iter().filter(|(_, is_open)| *is_open);
        let open = open.map(|(id, _)| id.of(stream));
        return Ok(state.imaging.common_instant(open));
    }
    match instant(params, "at", now)? {
        Some(at) if at > now => Err(ApiError::invalid(format!(
            "at {at} lies in the future, now it is {now}"
        ))),
        at => Ok(at.unwrap_or(now)),
    }
}

/// A place in a group at an instant: all pages of an answer show the same instant. Opaque to clients.
pub(crate) fn write_cursor(last: ChannelId, at: WallTime) -> String {
    format!("g{:x}.{:x}", last.get(), at.micros())
}

/// The channel and instant of a cursor.
pub(crate) fn read_cursor(params: &Params) -> Result<Option<(ChannelId, WallTime)>, ApiError> {
    let Some(text) = params.get("cursor").filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let read = || {
        let (channel, at) = text.strip_prefix('g')?.split_once('.')?;
        let channel = ChannelId::new(i64::from_str_radix(channel, 16).ok()?)?;
        let at = i64::from_str_radix(at, 16).ok()?;
        Some((channel, WallTime::from_micros(at)))
    };
    read()
        .map(Some)
        .ok_or_else(|| ApiError::invalid("cursor is not one of ours"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: &[i64]) -> BTreeSet<ChannelId> {
        ids.iter().map(|id| ChannelId::new(*id).unwrap()).collect()
    }

    fn params(query: &str) -> Params {
        Params::parse(Some(query))
    }

    #[test]
    fn channels_come_in_order_and_in_pages() {
        let open = ids(&[3, 1, 2]);
        let numbers = |page: &Selection| -> Vec<i64> {
            page.channels.iter().map(|(id, _)| id.get()).collect()
        };
        let first = page(&open, None, None, 2);
        assert_eq!(numbers(&first), [1, 2]);
        let second = page(&open, None, first.next, 2);
        assert_eq!((numbers(&second), second.next), (vec![3], None));
    }

    #[test]
    fn a_named_channel_that_the_token_does_not_open_is_told_apart() {
        let named = named(&params("channels=9,2")).unwrap();
        let page = page(&ids(&[1, 2]), named, None, 5);
        let flags: Vec<(i64, bool)> = page.channels.iter().map(|(id, o)| (id.get(), *o)).collect();
        assert_eq!(flags, [(2, true), (9, false)]);
        assert!(super::named(&params("channels=2,x")).is_err());
        assert_eq!(super::named(&params("a=1")).unwrap(), None);
    }

    #[test]
    fn tolerances_are_spans_or_milliseconds() {
        let read = |text: &str| tolerance_us(&params(&format!("tolerance={text}")), Match::Exact);
        assert_eq!(read("250ms").unwrap(), 250_000);
        assert_eq!(read("1.5s").unwrap(), 1_500_000);
        assert_eq!(read("40").unwrap(), 40_000);
        assert_eq!(read("0").unwrap(), 0);
        for text in ["", "-1", "-1s", "2h", "soon"] {
            assert!(read(text).is_err(), "{text}");
        }
        let absent = |matching| tolerance_us(&Params::default(), matching).unwrap();
        assert!(absent(Match::Keyframe) > absent(Match::Exact));
    }

    #[test]
    fn a_cursor_keeps_channel_and_instant() {
        let place = (
            ChannelId::new(300).unwrap(),
            WallTime::from_micros(17_000_001),
        );
        let text = write_cursor(place.0, place.1);
        let read = read_cursor(&params(&format!("cursor={text}"))).unwrap();
        assert_eq!(read, Some(place));
        for text in ["c1", "g1", "g0.1", "gx.1", "g1.x"] {
            assert!(
                read_cursor(&params(&format!("cursor={text}"))).is_err(),
                "{text}"
            );
        }
    }
}
