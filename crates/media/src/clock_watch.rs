//! What a camera's clock does beside ours: offset, drift, steps.

use framewell_model::WallTime;

/// A change of the offset from one report to the next that is larger than this is a clock that was set;
/// the network delays a report by less.
const STEP_US: i64 = 500_000;
/// Reports are looked at in stretches this long, of which the one that was delayed least counts.
const STRETCH_US: i64 = 60_000_000;
/// Drift is told when this much lies between two such reports: delays that differ by 10 ms are 33 parts per
/// million then.
const WATCHED_US: i64 = 300_000_000;

/// What was seen of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockReading {
    /// When the first report came, by our clock.
    pub first: WallTime,
    /// When the newest one came.
    pub last: WallTime,
    /// The camera's clock minus ours by the newest report, in microseconds; the delay of the network makes it
    /// smaller.
    pub offset_us: i64,
    /// How much faster than ours it runs, in parts per billion, since it was last set; `None` until it has
    /// been watched for five minutes.
    pub drift_ppb: Option<i64>,
    /// How often it was set.
    pub jumps: i64,
    /// The largest of these steps, in microseconds, either way; 0 without one.
    pub largest_jump_us: i64,
}

/// Follows the clock of a camera through its sender reports (RFC 3550 section 6.4.1). Sans-IO, a few words of
/// memory.
#[derive(Debug, Clone, Copy, Default)]
pub struct ClockWatch {
    reading: Option<ClockReading>,
    /// The report that was delayed least in the first stretch since the clock was set.
    base: Option<Report>,
    /// The same of the present stretch.
    best: Option<Report>,
    stretch_start: Option<WallTime>,
}

#[derive(Debug, Clone, Copy)]
struct Report {
    arrival: WallTime,
    offset_us: i64,
}

impl ClockWatch {
    /// A report with the camera's time `ntp` came at `arrival`.
    pub fn observe(&mut self, ntp: WallTime, arrival: WallTime) {
        let report = Report {
            arrival,
            offset_us: ntp.micros_since(arrival),
        };
        let Some(mut reading) = self.reading else {
            self.reading = Some(ClockReading {
                first: arrival,
                last: arrival,
                offset_us: report.offset_us,
                drift_ppb: None,
                jumps: 0,
                largest_jump_us: 0,
            });
            return self.restart(report);
        };
        let step_us = report.offset_us.saturating_sub(reading.offset_us);
        reading.last = arrival;
        reading.offset_us = report.offset_us;
        if step_us.saturating_abs() > STEP_US {
            reading.jumps += 1;
            if step_us.saturating_abs() > reading.largest_jump_us.saturating_abs() {
                reading.largest_jump_us = step_us;
            }
            reading.drift_ppb = None;
            self.restart(report);
        } else if let Some(drift_ppb) = self.follow(report) {
            reading.drift_ppb = Some(drift_ppb);
        }
        self.reading = Some(reading);
    }

    /// `None` before the first report.
    #[must_use]
    pub const fn reading(&self) -> Option<ClockReading> {
        self.reading
    }

    fn restart(&mut self, report: Report) {
        self.base = None;
        self.best = Some(report);
        self.stretch_start = Some(report.arrival);
    }

    /// Drift, when a stretch is over that lies far enough behind the first.
    fn follow(&mut self, report: Report) -> Option<i64> {
        let start = self.stretch_start?;
        if report.arrival.micros_since(start) < STRETCH_US {
            let best = self.best.filter(|best| best.offset_us >= report.offset_us);
            self.best = best.or(Some(report));
            return None;
        }
        let done = self.best.replace(report)?;
        self.stretch_start = Some(report.arrival);
        let Some(base) = self.base else {
            self.base = Some(done);
            return None;
        };
        let watched_us = done.arrival.micros_since(base.arrival);
        if watched_us < WATCHED_US {
            return None;
        }
        let gained_us = i128::from(done.offset_us) - i128::from(base.offset_us);
        i64::try_from(gained_us * 1_000_000_000 / i128::from(watched_us)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: WallTime = WallTime::from_secs(1_700_000_000);

    /// Reports every 5 s from `from_s` to `to_s`, delayed by 1 to 40 ms, of a clock that is `ahead_us` ahead at
    /// the start and gains `ppm`.
    fn reports(watch: &mut ClockWatch, from_s: i64, to_s: i64, ahead_us: i64, ppm: i64) {
        for n in from_s / 5..to_s / 5 {
            let true_us = n * 5_000_000;
            let delay_us = 1_000 + (n * 7_919) % 39_000;
            let sent = START.plus_micros(true_us);
            let ntp = sent.plus_micros(ahead_us + true_us * ppm / 1_000_000);
            watch.observe(ntp, sent.plus_micros(delay_us));
        }
    }

    #[test]
    fn drift_is_measured_through_the_jitter_of_the_network() {
        for ppm in [-120, 0, 15, 80] {
            let mut watch = ClockWatch::default();
            assert_eq!(watch.reading(), None);
            reports(&mut watch, 0, 300, 2_000_000, ppm);
            assert_eq!(
                watch.reading().unwrap().drift_ppb,
                None,
                "too early to tell"
            );
            reports(&mut watch, 300, 3_600, 2_000_000, ppm);
            let reading = watch.reading().unwrap();
            let drift_ppm = reading.drift_ppb.unwrap() as f64 / 1_000.0;
            assert!(
                (drift_ppm - ppm as f64).abs() < 3.0,
                "{drift_ppm} for {ppm}"
            );
            assert_eq!((reading.jumps, reading.largest_jump_us), (0, 0));
            let ahead_us = 2_000_000 + 3_600 * ppm;
            assert!((reading.offset_us - ahead_us).abs() < 50_000, "{reading:?}");
        }
    }

    #[test]
    fn a_clock_that_is_set_jumps_and_is_watched_anew() {
        let year_us = 365 * 86_400_000_000;
        let mut watch = ClockWatch::default();
        reports(&mut watch, 0, 1_200, -year_us, 50);
        assert!(watch.reading().unwrap().drift_ppb.is_some());
        // Somebody sets it right; then a leap second is taken back.
        reports(&mut watch, 1_200, 1_230, 0, 0);
        reports(&mut watch, 1_230, 1_400, -1_000_000, 0);
        let reading = watch.reading().unwrap();
        assert_eq!((reading.jumps, reading.drift_ppb), (2, None));
        assert!(
            (reading.largest_jump_us - year_us).abs() < 200_000,
            "{reading:?}"
        );
        assert!((reading.offset_us + 1_000_000).abs() < 50_000);
        assert_eq!(reading.first, START.plus_micros(1_000));
    }
}
