//! When motion begins and ends.

use framewell_model::{CellMap, ChannelId, EventSource, MotionRegion, NewEvent, WallTime};
use std::collections::BTreeMap;

/// Motion is over when nothing has moved for this long; what moves then is news.
const QUIET_US: i64 = 10_000_000;

/// Motion of one channel.
#[derive(Debug, Default)]
pub(crate) struct Episode {
    /// When something moved last.
    last: Option<WallTime>,
}

/// Motion that begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Begun {
    at: WallTime,
    regions: Vec<String>,
    cells: u32,
}

impl Episode {
    /// The beginning, if this is one.
    pub(crate) fn take(
        &mut self,
        moving: &CellMap,
        regions: &[MotionRegion],
        at: WallTime,
    ) -> Option<Begun> {
        let hit = regions.iter().enumerate().filter(|(_, region)| {
            region.enabled && region.map.common(moving) >= region.threshold()
        });
        let names: Vec<String> = hit
            .map(|(index, region)| match region.name.as_str() {
                "" => (index + 1).to_string(),
                name => name.to_owned(),
            })
            .collect();
        if names.is_empty() {
            return None;
        }
        let goes_on = self
            .last
            .is_some_and(|last| at.micros_since(last).abs() < QUIET_US);
        self.last = Some(at);
        (!goes_on).then(|| Begun {
            at,
            regions: names,
            cells: moving.count(),
        })
    }
}

impl Begun {
    pub(crate) fn event(self, channel: ChannelId) -> NewEvent {
        NewEvent {
            channel,
            name: String::from("motion"),
            time: self.at,
            source: EventSource::Server,
            tags: BTreeMap::from([
                (String::from("regions"), self.regions.join(",")),
                (String::from("cells"), self.cells.to_string()),
            ]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(name: &str, cells: std::ops::Range<usize>) -> MotionRegion {
        let mut map = CellMap::EMPTY;
        cells.for_each(|cell| map.insert(cell));
        MotionRegion {
            enabled: true,
            name: name.to_owned(),
            sensitivity: 100,
            map,
        }
    }

    fn at(seconds: i64) -> WallTime {
        WallTime::from_secs(1_714_558_805 + seconds)
    }

    fn cells(cells: &[usize]) -> CellMap {
        let mut map = CellMap::EMPTY;
        cells.iter().for_each(|cell| map.insert(*cell));
        map
    }

    #[test]
    fn motion_is_told_when_it_begins_and_again_after_ten_quiet_seconds() {
        let regions = [region("gate", 0..24), region("", 24..48)];
        let mut episode = Episode::default();
        let begun = episode.take(&cells(&[3, 30]), &regions, at(0)).unwrap();
        assert_eq!(begun.regions, ["gate", "2"]);
        for second in [2, 11, 20] {
            assert_eq!(episode.take(&cells(&[3]), &regions, at(second)), None);
        }
        let event = episode.take(&cells(&[30]), &regions, at(30)).unwrap();
        let event = event.event(ChannelId::new(1).unwrap());
        assert_eq!(event.time, at(30));
        assert_eq!((&*event.tags["regions"], &*event.tags["cells"]), ("2", "1"));
    }

    #[test]
    fn what_moves_outside_or_in_a_region_that_is_off_is_nothing() {
        let off = MotionRegion {
            enabled: false,
            ..region("off", 0..48)
        };
        let regions = [region("gate", 0..24), off];
        let mut episode = Episode::default();
        assert_eq!(episode.take(&cells(&[30, 400]), &regions, at(0)), None);
        let dull = MotionRegion {
            sensitivity: 0,
            ..region("dull", 0..48)
        };
        assert_eq!(episode.take(&cells(&[1, 2]), &[dull], at(0)), None);
    }
}
