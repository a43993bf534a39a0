//! A year of rows of many cameras, and how long it takes to find something in them.

use crate::rows::{Bare, Pattern, SEGMENT_US, Spot, clip};
use crate::{Failure, START, channels, open};
use framewell_catalog::Catalog;
use framewell_model::{ChannelId, RecordId, TimeRange, WallTime};
use serde_json::{Value, json};
use std::time::Instant;

/// Of each kind, with another camera and time every time.
const SEARCHES: u64 = 1_000;
/// Those that return thousands of rows.
const LONG_SEARCHES: u64 = 100;
/// Rows of one answer.
const MOST: i64 = 1_000;
const DAY_US: i64 = 86_400_000_000;

pub(crate) async fn measure(
    url: &str,
    cameras: usize,
    days: i64,
    per_day: i64,
) -> Result<Value, Failure> {
    let pattern = Pattern::of(&clip()?)?;
    let catalog = open(url).await?;
    let channels = channels(&catalog, cameras).await?;
    let mut bare = Bare::connect(url).await?;
    let pause_us = DAY_US / per_day.max(1);
    if pause_us < SEGMENT_US {
        return Err("a day has 8,640 segments at most".into());
    }
    let started = Instant::now();
    // As they come: all cameras at once, day after day.
    let spots = (0..days * per_day).flat_map(|number| {
        channels.iter().map(move |channel| Spot {
            channel: *channel,
            number,
            start_us: number * pause_us,
        })
    });
    let rows = bare.fill(&pattern, spots).await?;
    let filled_s = started.elapsed().as_secs_f64();
    bare.settle().await?;
    let size = bare.size().await?;
    let mut place = Place {
        channels,
        days,
        seed: 0,
    };
    let mut searches = serde_json::Map::new();
    let mut times = Vec::new();
    for number in 0..SEARCHES {
        let record = i64::try_from(mix(number) % rows)? + 1;
        let at = Instant::now();
        let found = bare.row(record).await?;
        times.push(at.elapsed());
        if found != 1 {
            return Err(format!("row {record} is not there").into());
        }
    }
    searches.insert("primary key, bare".into(), spread(&mut times, SEARCHES));
    for kind in KINDS {
        let searches_of = if kind.length_us > DAY_US {
            LONG_SEARCHES
        } else {
            SEARCHES
        };
        let mut found = 0;
        let mut times = Vec::new();
        for _ in 0..searches_of {
            let (channel, from) = place.next(kind.length_us);
            let at = Instant::now();
            found += kind
                .search
                .run(&catalog, channel, from, kind.length_us)
                .await?;
            times.push(at.elapsed());
        }
        searches.insert(kind.name.into(), spread(&mut times, found));
    }
    catalog.close().await;
    Ok(json!({"rows": rows, "bytes": size, "filled_s": filled_s, "searches": searches}))
}

/// What is looked for.
#[derive(Debug, Clone, Copy)]
enum Search {
    /// Where there is footage, and where there are gaps: what a timeline is made of.
    Timeline,
    /// Rows with their indexes: what a clip, a playlist or a picture is made of.
    Range,
    /// The record that a client names.
    Record,
}

#[derive(Debug, Clone, Copy)]
struct Kind {
    name: &'static str,
    search: Search,
    length_us: i64,
}

const KINDS: [Kind; 6] = [
    Kind {
        name: "a record by its number",
        search: Search::Record,
        length_us: 0,
    },
    Kind {
        name: "rows of a quarter of an hour",
        search: Search::Range,
        length_us: DAY_US / 96,
    },
    Kind {
        name: "rows of an hour",
        search: Search::Range,
        length_us: DAY_US / 24,
    },
    Kind {
        name: "timeline of an hour",
        search: Search::Timeline,
        length_us: DAY_US / 24,
    },
    Kind {
        name: "timeline of a day",
        search: Search::Timeline,
        length_us: DAY_US,
    },
    Kind {
        name: "timeline of 30 days",
        search: Search::Timeline,
        length_us: 30 * DAY_US,
    },
];

impl Search {
    async fn run(
        self,
        catalog: &Catalog,
        channel: ChannelId,
        start: WallTime,
        length_us: i64,
    ) -> Result<u64, Failure> {
        let range = TimeRange {
            start,
            end: start.plus_micros(length_us),
        };
        Ok(match self {
            Self::Timeline => {
                let ranges = catalog.segment_ranges(channel, range).await?;
                catalog.gaps_in(channel, range).await?;
                ranges.len() as u64
            }
            Self::Range => catalog.segments_in(channel, range, MOST).await?.len() as u64,
            Self::Record => {
                // Records count as they came: any number up to that of the rows of a few days is there.
                let record = RecordId::new(channel.get() * 7).ok_or("a number")?;
                catalog.load_segment(record).await?;
                1
            }
        })
    }
}

/// Cameras and times that look random, the same on every run.
struct Place {
    channels: Vec<ChannelId>,
    days: i64,
    seed: u64,
}

impl Place {
    fn next(&mut self, length_us: i64) -> (ChannelId, WallTime) {
        self.seed += 1;
        let count = self.channels.len() as u64;
        let channel = (mix(self.seed) % count) as usize;
        let span = (self.days * DAY_US - length_us).max(1).unsigned_abs();
        let at = mix(self.seed ^ 0x5555_5555) % span;
        let start = START.plus_micros(i64::try_from(at).unwrap_or(0));
        (self.channels[channel], start)
    }
}

fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn spread(times: &mut [std::time::Duration], found: u64) -> Value {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    json!({"p50_ms": at(50), "p99_ms": at(99), "rows": found / times.len() as u64})
}
