//! Recording around events: windows, and what a restart makes of them.

use crate::Recorder;
use crate::config::{Keep, Rolls};
use crate::gaps::Coverage;
use crate::windows::Windows;
use framewell_catalog::{Catalog, Error, EventFilter, NewGap, Order, Slice};
use framewell_footage::CONTINUITY_US;
use framewell_model::{
    Channel, ChannelId, ChannelStatus, Event, EventSource, Gap, GapReason, RecMode, TimeRange,
    WallTime,
};
use std::collections::BTreeSet;

/// Events looked at after a restart: those of a window, of which a thousand say no more than one.
const MOST_EVENTS: i64 = 1_000;

/// What there is of the time before an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The channel does not record around events like this one now.
    NotWanted,
    /// All of it.
    Whole,
    /// It begins later than asked for: the ring holds no more, or the camera was away.
    Partial,
    /// Nothing: the event is older than the ring, and was not recorded when it happened.
    Nothing,
}

impl Recorder {
    /// Keeps the time around an event, as the channel's mode and settings say; what is kept already is not
    /// kept twice. Never waits: the channel's task does the work. The answer is about the time up to the
    /// event.
    pub fn record_around(&self, channel: ChannelId, at: WallTime, source: EventSource) -> Reach {
        let policy = self.shared.wanted.borrow().get(&channel).copied();
        let Some(policy) = policy.filter(|policy| is_heard(policy.mode, source)) else {
            return Reach::NotWanted;
        };
        let rolls = policy.rolls.unwrap_or(self.shared.config.rolls);
        let window = rolls.around(at);
        let memory = self.shared.memory(channel);
        let newest = {
            let mut state = memory.state.lock();
            state.windows.add(window);
            state.coverage.newest()
        };
        memory.bell.notify_one();
        if policy.keep() == Keep::Everything {
            return Reach::NotWanted;
        }
        self.reach(channel, TimeRange { end: at, ..window }, newest)
    }

    /// How much of the time up to an event is in the ring, or in the recording that it joins.
    fn reach(&self, channel: ChannelId, before: TimeRange, recorded: Option<TimeRange>) -> Reach {
        let track = self.shared.registry.track(channel);
        let spans = track.gop_spans();
        let is_away = track.source_state().borrow().status != ChannelStatus::Active;
        let held = spans.first().zip(track.newest_capture());
        // A camera that sends stands behind its own time a little; one that is away sends no more.
        let held = held.and_then(|(oldest, newest)| {
            TimeRange::new(
                oldest.start,
                if is_away {
                    newest
                } else {
                    before.end.max(newest)
                },
            )
        });
        let held = match (held, recorded) {
            (Some(held), Some(recorded)) if recorded.end >= held.start => Some(TimeRange {
                start: held.start.min(recorded.start),
                ..held
            }),
            (None, recorded) => recorded,
            (held, _) => held,
        };
        match held {
            Some(held) if held.end < before.start || held.start > before.end => Reach::Nothing,
            Some(held) if held.start <= before.start && held.end >= before.end => Reach::Whole,
            Some(_) => Reach::Partial,
            None => Reach::Nothing,
        }
    }

    /// What recording by event has to know after a restart: a window that was being recorded has a gap
    /// from the last footage on, and goes on if its end lies ahead. Given are the end of that footage and the
    /// gap that is open.
    pub(crate) async fn recover_by_event(
        &self,
        channel: &Channel,
        mode: RecMode,
        (tail, open): (Option<WallTime>, Option<Gap>),
    ) -> Result<(), Error> {
        let catalog = &self.shared.catalog;
        let now = self.shared.clock.now();
        let rolls = Rolls::of(channel, self.shared.config.rolls);
        let since = tail.map_or(now, |tail| tail.min(now)) - rolls.post;
        let mut windows = Windows::default();
        for event in recorded_events(catalog, channel.id, mode, since).await? {
            windows.add(rolls.around(event.time));
        }
        let running = tail.and_then(|tail| windows.around(tail));
        let (coverage, is_open) = match (tail, running) {
            (Some(tail), Some(window)) => {
                resume(catalog, channel.id, tail, window, open, now).await?
            }
            (tail, _) => {
                // Nothing was wanted when the server went down, or whatever it was is forgotten.
                if let Some(open) = open {
                    catalog.close_gap(channel.id, now.max(open.start)).await?;
                }
                (Coverage::recovered(tail, None), false)
            }
        };
        let memory = self.shared.memory(channel.id);
        let mut state = memory.state.lock();
        state.coverage = coverage;
        if !is_open {
            // Nothing is to be closed: no gap is open.
            let _nothing = state.coverage.idle(now);
        }
        windows.forget_before(now);
        state.windows = windows;
        Ok(())
    }
}

/// A window was being recorded when the server went down.
async fn resume(
    catalog: &Catalog,
    channel: ChannelId,
    tail: WallTime,
    window: TimeRange,
    open: Option<Gap>,
    now: WallTime,
) -> Result<(Coverage, bool), Error> {
    let since = TimeRange {
        start: tail,
        end: window.end,
    };
    let known = catalog.gaps_in(channel, since).await?;
    let told = known.iter().filter_map(|gap| gap.end).max();
    let reason = match (&open, told) {
        (Some(open), _) if open.start >= tail => open.reason,
        // An earlier restart has said it.
        (_, Some(told)) if told >= window.end => {
            return Ok((Coverage::recovered(Some(tail), None), false));
        }
        (_, told) => {
            let start = told.map_or(tail, |told| told.max(tail));
            catalog
                .insert_gap(NewGap {
                    channel,
                    start,
                    end: None,
                    reason: GapReason::ServerDown,
                })
                .await?;
            GapReason::ServerDown
        }
    };
    if window.end <= now {
        catalog.close_gap(channel, window.end).await?;
        return Ok((Coverage::recovered(Some(tail), None), false));
    }
    Ok((Coverage::recovered(Some(tail), Some(reason)), true))
}

/// Events since then around which footage is kept.
async fn recorded_events(
    catalog: &Catalog,
    channel: ChannelId,
    mode: RecMode,
    since: WallTime,
) -> Result<Vec<Event>, Error> {
    // Events are those of the channel, whichever of its streams is recorded.
    let channel = channel.main();
    let processing = catalog.list_event_processing(channel).await?;
    let names: BTreeSet<String> = processing
        .into_iter()
        .filter(|processing| processing.record)
        .map(|processing| processing.name)
        .collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let filter = EventFilter {
        names: Some(names.into_iter().collect()),
        start: Some(since),
        ..EventFilter::default()
    };
    let newest = Slice {
        limit: MOST_EVENTS,
        offset: 0,
    };
    let found = catalog
        .list_events_without_tags(&[channel], &filter, Order::Descending, newest)
        .await?;
    let mut events = found.items;
    events.retain(|event| is_heard(mode, event.source));
    Ok(events)
}

/// Whether a mode keeps footage around events of this source. Channels that record everything take note
/// of them too: the mode may change while an event lasts.
const fn is_heard(mode: RecMode, source: EventSource) -> bool {
    match mode {
        RecMode::Off => false,
        RecMode::On | RecMode::ByEvent => true,
        RecMode::ServerByEvent => !matches!(source, EventSource::Camera),
    }
}

impl Windows {
    /// The window in which footage ended that should have gone on.
    fn around(&self, tail: WallTime) -> Option<TimeRange> {
        self.begun(tail)
            .filter(|window| window.end.micros_since(tail) > CONTINUITY_US)
    }
}
