//! What a day of recording adds to the database.

use crate::rows::{Bare, Pattern, SEGMENT_US, clip, identity};
use crate::{Failure, START, channels, open};
use framewell_catalog::{NewGap, NewSegment, SegmentFacts};
use framewell_model::{GapReason, Seal, SealSource, SegmentDigest, TimeRange};
use serde_json::{Value, json};
use std::time::Instant;

/// Segments of ten seconds in a day.
const A_DAY: i64 = 8_640;
/// A camera that is lost every two hours.
const GAPS_A_DAY: i64 = 12;

/// Writes a day of each camera the way the recorder does: a row is staged, then published.
pub(crate) async fn measure(url: &str, cameras: usize) -> Result<Value, Failure> {
    let pattern = Pattern::of(&clip()?)?;
    let catalog = open(url).await?;
    let channels = channels(&catalog, cameras).await?;
    let mut bare = Bare::connect(url).await?;
    bare.settle().await?;
    let before = bare.size().await?;
    let started = Instant::now();
    for number in 0..A_DAY {
        for channel in &channels {
            let start = START.plus_micros(number * SEGMENT_US);
            let identity = identity(*channel, number, number * SEGMENT_US);
            let row = NewSegment {
                id: identity.segment,
                channel: *channel,
                run: identity.run,
                sequence: number,
                range: TimeRange {
                    start,
                    end: start.plus_micros(SEGMENT_US),
                },
                clock: identity.clock,
                size_bytes: pattern.size_bytes,
                codecs: pattern.codecs.clone(),
                index: pattern.index.clone(),
            };
            let seal = Seal {
                digest: SegmentDigest::new([7; 32]),
                source: SealSource::Written,
            };
            let facts = SegmentFacts {
                seal: Some(&seal),
                sample_runs: &pattern.sample_runs,
                sample_sizes: &pattern.sample_sizes,
            };
            let record = catalog.stage_known_segment(&row, facts, start).await?;
            catalog.publish_segment(record, start).await?;
            if number % (A_DAY / GAPS_A_DAY) == 1 {
                let gap = NewGap {
                    channel: *channel,
                    start,
                    end: Some(start.plus_micros(1_000_000)),
                    reason: GapReason::CameraOffline,
                };
                catalog.insert_past_gap(gap).await?;
            }
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    bare.settle().await?;
    let bytes = bare.size().await? - before;
    let days = i64::try_from(cameras)?;
    catalog.close().await;
    Ok(json!({
        "bytes_per_camera_day": bytes / days,
        "bytes_per_segment": bytes / days / A_DAY,
        "index_bytes": pattern.index.len() + pattern.sample_runs.len() + pattern.sample_sizes.len(),
        "ms_per_segment": seconds * 1e3 / (days * A_DAY) as f64,
    }))
}
