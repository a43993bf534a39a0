//! Puts a sub stream on the clock of its main stream.
//!
//! Both are pictures of one camera, but each comes with a clock of its own: sender reports that may be set
//! differently, or none. What is compared is what both say of the same moments: the newest sender reports
//! where both have some, else how late key frames come, which is the same for both as long as the camera sends
//! what it sees at once. Sans-IO but for the look at the main stream's track.

use framewell_live::{Lateness, SourceClock, Track};
use framewell_model::{ChannelStatus, OffsetBasis, RunId, StreamOffset, WallTime};
use std::collections::VecDeque;

/// So many values are looked at: reports of a minute or so, key frames of half a minute.
const LOOK_BACK: usize = 15;
/// No measurement over a network is better than this.
const LEAST_ERROR_US: i64 = 1_000;
/// A correction is changed when it is wrong by more than this beyond what its error explains: capture times
/// shall not tremble with the network.
const TREMBLE_US: i64 = 5_000;
/// A reading of the main stream that is older says nothing of what its clock is now: somebody may have set it.
/// Cameras report every few seconds.
const FRESH_US: i64 = 60_000_000;

/// The newest values of something.
#[derive(Debug, Clone, Default)]
pub(crate) struct Window(VecDeque<i64>);

impl Window {
    pub(crate) fn push(&mut self, value_us: i64) {
        if self.0.len() == LOOK_BACK {
            self.0.pop_front();
        }
        self.0.push_back(value_us);
    }

    /// `None` without a value.
    pub(crate) fn lateness(&self) -> Option<Lateness> {
        let mut sorted: Vec<i64> = self.0.iter().copied().collect();
        sorted.sort_unstable();
        Some(Lateness {
            median_us: *sorted.get(sorted.len() / 2)?,
            spread_us: sorted.last()?.saturating_sub(*sorted.first()?),
        })
    }
}

/// Sender reports of a stream, as the camera's clock minus ours. The network makes each a little smaller, so the
/// largest is nearest to the truth.
#[derive(Debug, Clone, Default)]
struct Reports {
    newest: Option<(RunId, WallTime)>,
    jumps: i64,
    offsets: Window,
}

impl Reports {
    fn observe(&mut self, clock: &SourceClock) {
        let reading = &clock.reading;
        let now = (clock.run, reading.last);
        if self.newest == Some(now) {
            return;
        }
        let is_other = self.newest.is_some_and(|(run, _)| run != clock.run);
        if is_other || self.jumps != reading.jumps {
            self.offsets = Window::default();
        }
        self.newest = Some(now);
        self.jumps = reading.jumps;
        self.offsets.push(reading.offset_us);
    }

    /// The largest, and how far they lie from each other.
    fn best(&self) -> Option<(i64, i64)> {
        let spread_us = self.offsets.lateness()?.spread_us;
        Some((*self.offsets.0.iter().max()?, spread_us))
    }
}

/// What is to be done to the times of a sub stream, so that they are on the clock of its main stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Correction {
    /// Sender reports count.
    pub(crate) has_reports: bool,
    /// Taken from the time in sender reports.
    pub(crate) report_us: i64,
    /// Taken from times of arrival.
    pub(crate) arrival_us: i64,
}

impl Correction {
    /// As a stream without a main stream has it.
    pub(crate) const NONE: Self = Self {
        has_reports: true,
        report_us: 0,
        arrival_us: 0,
    };
    /// As long as nothing is known of the main stream: our own clock is wrong by what the network takes, that of
    /// a camera by anything.
    const ARRIVAL: Self = Self {
        has_reports: false,
        ..Self::NONE
    };

    /// By how much capture times go ahead of arrival with it.
    fn ahead_us(&self, own: Option<(i64, i64)>) -> i64 {
        match own {
            Some((own_us, _)) if self.has_reports => own_us.saturating_sub(self.report_us),
            _ => self.arrival_us.saturating_neg(),
        }
    }
}

/// What a look at both clocks has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) offset: StreamOffset,
    /// By how much a change of the correction moves capture times now; 0 without one.
    pub(crate) step_us: i64,
}

/// An offset without its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Measured {
    offset_us: i64,
    error_us: i64,
    basis: OffsetBasis,
    correction: Correction,
}

/// Follows both clocks, of one session of a sub stream.
#[derive(Debug)]
pub(crate) struct OneClock {
    main: Track,
    own: Reports,
    of_main: Reports,
    correction: Correction,
    /// The correction comes from a look at both clocks.
    is_measured: bool,
}

impl OneClock {
    pub(crate) fn new(main: Track) -> Self {
        Self {
            main,
            own: Reports::default(),
            of_main: Reports::default(),
            correction: Correction::ARRIVAL,
            is_measured: false,
        }
    }

    /// What to do to the times of this stream now.
    pub(crate) const fn correction(&self) -> Correction {
        self.correction
    }

    /// At each key frame, before it is placed: looks at both clocks. What was found, if the main stream sends
    /// pictures now; else the correction stays as it is.
    pub(crate) fn look(
        &mut self,
        own: Option<SourceClock>,
        late: Option<Lateness>,
        run: RunId,
        now: WallTime,
    ) -> Option<Found> {
        if let Some(own) = &own {
            self.own.observe(own);
        }
        let (main_late, of_main) = self.main_now(now)?;
        if let Some(of_main) = &of_main {
            self.of_main.observe(of_main);
        }
        let is_used = |clock: Option<SourceClock>| clock.is_some_and(|clock| clock.is_used);
        let best = |reports: &Reports, is_used: bool| is_used.then(|| reports.best()).flatten();
        let own = best(&self.own, is_used(own));
        let of_main = best(&self.of_main, is_used(of_main));
        let found = measure(own, of_main, late, main_late);
        let before = self.correction;
        self.settle(&found);
        self.is_measured = true;
        let step_us = self.correction.ahead_us(own) - before.ahead_us(own);
        Some(Found {
            offset: StreamOffset {
                run,
                measured: now,
                offset_us: found.offset_us,
                error_us: found.error_us,
                basis: found.basis,
            },
            step_us: step_us.saturating_abs(),
        })
    }

    /// How late the pictures of the main stream come and what its reports say, if it has any. `None` as long as
    /// that is not known of now: its track keeps what it knew last, and a clock that is set while the main stream
    /// is away shows in the reports of this one alone.
    fn main_now(&mut self, now: WallTime) -> Option<(Lateness, Option<SourceClock>)> {
        let is_fresh = |at: WallTime| now.micros_since(at).saturating_abs() <= FRESH_US;
        let state = self.main.source_state().borrow().clone();
        if state.status == ChannelStatus::Inactive && !self.is_measured {
            // There is none to go by.
            self.correction = Correction::NONE;
        }
        if state.status != ChannelStatus::Active {
            return None;
        }
        let late = self.main.lateness()?;
        let clock = self.main.clock();
        match clock {
            // It is back and has not reported yet, or sends no reports any more.
            Some(clock) if state.run != Some(clock.run) => {
                (!is_fresh(state.since)).then_some((late, None))
            }
            Some(clock) if !is_fresh(clock.reading.last) => None,
            _ => Some((late, clock)),
        }
    }

    fn settle(&mut self, found: &Measured) {
        let (before, wanted) = (self.correction, found.correction);
        let far = |a: i64, b: i64| {
            a.saturating_sub(b).saturating_abs() > found.error_us.saturating_add(TREMBLE_US)
        };
        if before.has_reports != wanted.has_reports
            || far(before.report_us, wanted.report_us)
            || far(before.arrival_us, wanted.arrival_us)
        {
            self.correction = wanted;
        }
    }
}

/// `own` and `of_main`: the best report of each and the spread of its reports, where capture times come from
/// them.
fn measure(
    own: Option<(i64, i64)>,
    of_main: Option<(i64, i64)>,
    late: Option<Lateness>,
    main_late: Lateness,
) -> Measured {
    let spread_us = late.map_or(0, |late| late.spread_us);
    let by_arrival_us = LEAST_ERROR_US + spread_us + main_late.spread_us;
    match (own, of_main) {
        (Some((own_us, own_spread)), Some((main_us, main_spread))) => {
            let offset_us = own_us - main_us;
            let error_us = LEAST_ERROR_US + own_spread + main_spread;
            let is_real = offset_us.abs() > error_us;
            Measured {
                offset_us,
                error_us,
                basis: OffsetBasis::BothReports,
                correction: Correction {
                    report_us: if is_real { offset_us } else { 0 },
                    ..Correction::NONE
                },
            }
        }
        // The main stream goes by arrival: so does this one.
        (Some((own_us, own_spread)), None) => Measured {
            offset_us: own_us,
            error_us: by_arrival_us + own_spread,
            basis: OffsetBasis::OneReport,
            correction: Correction::ARRIVAL,
        },
        // By arrival it would be as late as the pictures of the main stream are.
        (None, Some(_)) => Measured {
            offset_us: main_late.median_us,
            error_us: by_arrival_us,
            basis: OffsetBasis::OneReport,
            correction: Correction {
                arrival_us: main_late.median_us,
                ..Correction::ARRIVAL
            },
        },
        (None, None) => Measured {
            offset_us: 0,
            error_us: by_arrival_us,
            basis: OffsetBasis::Arrival,
            correction: Correction::NONE,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use framewell_live::{RingConfig, SourceState};
    use framewell_media::ClockReading;
    use uuid::Uuid;

    fn clock(run: u128, at: i64, offset_us: i64) -> SourceClock {
        let last = WallTime::from_secs(at);
        SourceClock {
            run: RunId::from_uuid(Uuid::from_u128(run)),
            reading: ClockReading {
                first: last,
                last,
                offset_us,
                drift_ppb: None,
                jumps: 0,
                largest_jump_us: 0,
            },
            is_used: true,
        }
    }

    fn late(median_us: i64) -> Lateness {
        Lateness {
            median_us,
            spread_us: 2_000,
        }
    }

    fn look(one: &mut OneClock, own: Option<SourceClock>) -> Option<StreamOffset> {
        let run = RunId::from_uuid(Uuid::from_u128(9));
        let found = one.look(own, Some(late(0)), run, WallTime::from_secs(1));
        found.map(|found| found.offset)
    }

    fn main() -> Track {
        let track = Track::new(RingConfig::default(), WallTime::from_secs(0));
        set_state(&track, ChannelStatus::Active, Some(2), 0);
        track
    }

    fn set_state(track: &Track, status: ChannelStatus, run: Option<u128>, since: i64) {
        track.set_source_state(SourceState {
            status,
            run: run.map(|run| RunId::from_uuid(Uuid::from_u128(run))),
            ..SourceState::inactive(WallTime::from_secs(since))
        });
    }

    #[test]
    fn without_pictures_of_the_main_stream_it_goes_by_arrival() {
        let track = main();
        set_state(&track, ChannelStatus::Offline, None, 0);
        let mut one = OneClock::new(track.clone());
        assert_eq!(look(&mut one, Some(clock(1, 5, 900))), None);
        assert!(!one.correction().has_reports, "its clock may be wrong");
        track.set_source_state(SourceState::inactive(WallTime::from_secs(0)));
        assert_eq!(look(&mut one, Some(clock(1, 5, 900))), None);
        assert_eq!(
            one.correction(),
            Correction::NONE,
            "nothing is to be waited for"
        );
    }

    #[test]
    fn two_clocks_are_compared_by_the_reports_that_were_delayed_least() {
        let track = main();
        track.set_lateness(late(40_000));
        let mut one = OneClock::new(track.clone());
        for (at, (own_us, main_us)) in
            (0..).zip([(1_250_000, 0), (1_246_000, -7_000), (1_249_000, -2_000)])
        {
            track.set_clock(clock(2, at, main_us));
            look(&mut one, Some(clock(1, at, own_us)));
        }
        let found = look(&mut one, Some(clock(1, 2, 1_249_000))).unwrap();
        assert_eq!(found.offset_us, 1_250_000);
        assert_eq!(found.error_us, 1_000 + 4_000 + 7_000);
        assert_eq!(found.basis, OffsetBasis::BothReports);
        assert_eq!(one.correction().report_us, 1_250_000);
    }

    #[test]
    fn one_clock_in_both_streams_is_left_alone_and_its_measurements_do_not_tremble() {
        let track = main();
        track.set_lateness(late(40_000));
        let mut one = OneClock::new(track.clone());
        for at in 0..20 {
            track.set_clock(clock(2, at, -(at % 3) * 2_000));
            let own = clock(1, at, -(at % 4) * 1_000);
            let found = look(&mut one, Some(own)).unwrap();
            assert!(found.offset_us.abs() <= found.error_us + 3_000, "{found:?}");
            assert_eq!(one.correction(), Correction::NONE);
        }
    }

    #[test]
    fn a_stream_without_reports_is_as_late_as_the_one_that_has_some() {
        let track = main();
        track.set_lateness(late(180_000));
        track.set_clock(clock(2, 1, -3_000));
        let mut one = OneClock::new(track);
        let found = look(&mut one, None).unwrap();
        assert_eq!(
            (found.offset_us, found.basis),
            (180_000, OffsetBasis::OneReport)
        );
        assert_eq!(one.correction().arrival_us, 180_000);
    }

    #[test]
    fn reports_that_the_main_stream_does_not_have_do_not_count() {
        let track = main();
        track.set_lateness(late(0));
        let mut one = OneClock::new(track.clone());
        let found = look(&mut one, Some(clock(1, 1, 700_000))).unwrap();
        assert_eq!(
            (found.offset_us, found.basis),
            (700_000, OffsetBasis::OneReport)
        );
        assert!(!one.correction().has_reports);
        // Nor does a clock that is too far off to be used.
        let off = SourceClock {
            is_used: false,
            ..clock(2, 2, 60_000_000)
        };
        track.set_clock(off);
        let own = SourceClock {
            is_used: false,
            ..clock(1, 2, 60_000_000)
        };
        let found = look(&mut one, Some(own)).unwrap();
        assert_eq!((found.offset_us, found.basis), (0, OffsetBasis::Arrival));
    }

    #[test]
    fn a_clock_that_was_set_is_measured_anew() {
        let track = main();
        track.set_lateness(late(0));
        let mut one = OneClock::new(track.clone());
        track.set_clock(clock(2, 1, 0));
        look(&mut one, Some(clock(1, 1, 2_000_000)));
        let mut set = clock(1, 2, 10_000);
        set.reading.jumps = 1;
        let found = look(&mut one, Some(set)).unwrap();
        assert_eq!(
            (found.offset_us, one.correction().report_us),
            (10_000, 10_000)
        );
    }

    #[test]
    fn a_clock_that_is_set_while_the_main_stream_is_away_is_not_compared_with_what_it_was() {
        let track = main();
        track.set_lateness(late(0));
        let mut one = OneClock::new(track.clone());
        let look = |one: &mut OneClock, at: i64, own: SourceClock| {
            let run = RunId::from_uuid(Uuid::from_u128(9));
            let found = one.look(Some(own), Some(late(0)), run, WallTime::from_secs(at));
            found.map(|found| (found.offset.offset_us, found.offset.basis))
        };
        track.set_clock(clock(2, 1, -40_000_000));
        let both = |offset_us: i64| Some((offset_us, OffsetBasis::BothReports));
        assert_eq!(look(&mut one, 1, clock(1, 1, -39_500_000)), both(500_000));
        let kept = one.correction();
        let mut set = clock(1, 10, 500_000);
        set.reading.jumps = 1;
        for away in [ChannelStatus::Offline, ChannelStatus::Inactive] {
            set_state(&track, away, None, 5);
            assert_eq!(look(&mut one, 10, set), None);
            assert_eq!(one.correction(), kept, "{away:?}");
        }
        // Back, but its reading is of the run before.
        set_state(&track, ChannelStatus::Active, Some(3), 20);
        assert_eq!(look(&mut one, 21, set), None);
        assert_eq!(one.correction(), kept);
        track.set_clock(clock(3, 25, 100_000));
        assert_eq!(look(&mut one, 26, set), both(400_000));
        assert_eq!(one.correction().report_us, 400_000, "measured anew");
        // It stops to report, as far as anybody can tell.
        set.reading.jumps = 2;
        set.reading.last = WallTime::from_secs(90);
        set.reading.offset_us = 40_500_000;
        assert_eq!(look(&mut one, 90, set), None);
        assert_eq!(one.correction().report_us, 400_000);
        // Back in a run that has no reports at all.
        set_state(&track, ChannelStatus::Active, Some(4), 100);
        let by_arrival = Some((40_500_000, OffsetBasis::OneReport));
        assert_eq!(look(&mut one, 170, set), by_arrival);
        assert_eq!(one.correction(), Correction::ARRIVAL);
    }

    #[test]
    fn a_correction_says_by_how_much_it_moves_the_times() {
        let track = main();
        track.set_lateness(late(0));
        track.set_clock(clock(2, 1, -4_000));
        let mut one = OneClock::new(track);
        let run = RunId::from_uuid(Uuid::from_u128(9));
        let own = clock(1, 1, 2_000_000);
        let step = |one: &mut OneClock| {
            let found = one.look(Some(own), None, run, WallTime::from_secs(1));
            found.unwrap().step_us
        };
        assert_eq!(
            step(&mut one),
            4_000,
            "from arrival to the clock of the main stream"
        );
        assert_eq!(step(&mut one), 0);
    }
}
