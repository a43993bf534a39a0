//! Recorded periods and holes.

use framewell_footage::{CONTINUITY_US, Error, Footage};
use framewell_model::{ChannelId, Gap, TimeRange};

/// What a channel recorded in a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeline {
    /// Recorded periods, ascending, cut to the range; pauses up to the merge limit do not split.
    pub periods: Vec<TimeRange>,
    /// Gap rows that overlap the range.
    pub gaps: Vec<Gap>,
}

/// Loads a timeline, footage that is not published yet included. Pauses of up to `merge_us`
/// microseconds do not split a period, nor do those that are rounding and not missing video
/// ([`CONTINUITY_US`]).
pub async fn load_timeline(
    footage: &Footage,
    channel: ChannelId,
    range: TimeRange,
    merge_us: i64,
) -> Result<Timeline, Error> {
    // The spool first: a segment leaves it only after its row is published.
    let spooled = footage.spool().pieces(channel, range);
    let catalog = footage.catalog();
    let catalog_error = |source| Error::Catalog { channel, source };
    let published = catalog.segment_ranges(channel, range).await;
    let mut recorded = published.map_err(catalog_error)?;
    recorded.extend(spooled.iter().map(|piece| piece.range));
    let gaps = catalog
        .gaps_in(channel, range)
        .await
        .map_err(catalog_error)?;
    Ok(Timeline {
        periods: merge(recorded, range, merge_us.max(CONTINUITY_US)),
        gaps,
    })
}

fn merge(mut recorded: Vec<TimeRange>, range: TimeRange, merge_us: i64) -> Vec<TimeRange> {
    recorded.sort_by_key(|period| (period.start, period.end));
    let mut periods: Vec<TimeRange> = Vec::new();
    for next in recorded {
        let cut = TimeRange::new(next.start.max(range.start), next.end.min(range.end));
        let Some(next) = cut.filter(|cut| cut.start < cut.end) else {
            continue;
        };
        match periods.last_mut() {
            Some(last) if next.start.micros_since(last.end) <= merge_us => {
                last.end = last.end.max(next.end);
            }
            _ => periods.push(next),
        }
    }
    periods
}

#[cfg(test)]
mod tests {
    use super::*;
    use framewell_model::WallTime;

    fn period(start_ms: i64, end_ms: i64) -> TimeRange {
        let at = |ms: i64| WallTime::from_micros(ms * 1_000);
        TimeRange::new(at(start_ms), at(end_ms)).unwrap()
    }

    #[test]
    fn periods_are_merged_over_short_pauses_and_cut() {
        let recorded = vec![
            period(20_050, 30_000),
            period(0, 10_000),
            period(10_000, 20_000),
            period(33_000, 40_000),
            period(36_000, 38_000),
        ];
        let range = period(5_000, 39_000);
        assert_eq!(
            merge(recorded.clone(), range, 100_000),
            [period(5_000, 30_000), period(33_000, 39_000)]
        );
        assert_eq!(merge(recorded, range, 3_000_000), [range]);
    }

    #[test]
    fn a_segment_that_only_touches_the_range_is_no_period() {
        assert_eq!(merge(vec![period(0, 10)], period(10, 20), 0), []);
    }
}
