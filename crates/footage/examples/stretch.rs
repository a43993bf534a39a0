//! Makes a long recording out of a short one, for `cargo xtask bench image`: the channel's segments again and again,
//! further and further back in time, each copy a run of its own and a second link to the same object.
//!
//! `stretch DATA_FOLDER CHANNEL HOURS`, with the catalog and the objects in their usual places in the folder. The
//! server may be running. Prints the time of the first picture.

use anyhow::Context;
use framewell_blob::ObjectKey;
use framewell_catalog::{Catalog, CatalogConfig, NewSegment, SegmentFacts};
use framewell_fmp4::SegmentIndex;
use framewell_model::{
    ChannelId, RecordId, RunId, Secret, Segment, SegmentId, TimeRange, WallTime,
};
use std::path::{Path, PathBuf};
use uuid::Uuid;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, channel, hours] = arguments.as_slice() else {
        anyhow::bail!("usage: stretch DATA_FOLDER CHANNEL HOURS");
    };
    let (folder, channel) = (PathBuf::from(folder), channel.parse::<ChannelId>()?);
    let wanted_us = hours.parse::<i64>()? * 3_600_000_000;
    let catalog = open(&folder).await?;
    let everything = TimeRange {
        start: WallTime::from_secs(0),
        end: WallTime::from_secs(1 << 34),
    };
    let segments = catalog.segments_in(channel, everything, 10_000).await?;
    let (first, last) = (segments.first(), segments.last());
    let (first, last) = first.zip(last).context("the channel has no footage")?;
    let length_us = last.range.end.micros_since(first.range.start);
    let mut start = first.range.start;
    let mut back_us = 0;
    while back_us < wanted_us {
        back_us += length_us + 1_000;
        let run = RunId::from_uuid(Uuid::now_v7());
        for segment in &segments {
            copy(&catalog, &folder.join("objects"), segment, run, back_us).await?;
        }
        start = first.range.start.plus_micros(-back_us);
    }
    #[expect(clippy::print_stdout, reason = "the benchmark reads it")]
    {
        println!("{}", start.to_rfc3339());
    }
    catalog.close().await;
    Ok(())
}

async fn open(folder: &Path) -> anyhow::Result<Catalog> {
    let url = format!("sqlite:{}", folder.join("framewell.db").display());
    let config = CatalogConfig {
        url: Secret::new(url),
        max_connections: 2,
    };
    Ok(Catalog::open(&config).await?)
}

/// The same segment, `back_us` earlier.
async fn copy(
    catalog: &Catalog,
    objects: &Path,
    segment: &Segment,
    run: RunId,
    back_us: i64,
) -> anyhow::Result<()> {
    let mut index = SegmentIndex::decode(&segment.index)?;
    for fragment in &mut index.fragments {
        fragment.wall = fragment.wall.plus_micros(-back_us);
    }
    let id = SegmentId::from_uuid(Uuid::now_v7());
    let range = TimeRange {
        start: segment.range.start.plus_micros(-back_us),
        end: segment.range.end.plus_micros(-back_us),
    };
    let key = |start, id| {
        let key = ObjectKey::Segment {
            channel: segment.channel,
            start,
            id,
        };
        objects.join(key.path())
    };
    let (from, to) = (key(segment.range.start, segment.id), key(range.start, id));
    std::fs::create_dir_all(to.parent().context("an object has a folder")?)?;
    std::fs::hard_link(&from, &to).with_context(|| from.display().to_string())?;
    let row = NewSegment {
        id,
        channel: segment.channel,
        run,
        sequence: segment.sequence,
        range,
        clock: segment.clock,
        size_bytes: segment.size_bytes,
        codecs: segment.codecs.clone(),
        index: index.encode(),
    };
    let first = |rows: Vec<(RecordId, Vec<u8>)>| {
        rows.into_iter()
            .next()
            .map_or_else(Vec::new, |(_, bytes)| bytes)
    };
    let runs = catalog.segment_sample_runs(&[segment.record]).await?;
    let sizes = catalog.segment_sample_sizes(&[segment.record]).await?;
    let facts = SegmentFacts {
        sample_runs: &first(runs),
        sample_sizes: &first(sizes),
        ..SegmentFacts::default()
    };
    let record = catalog.stage_known_segment(&row, facts, range.end).await?;
    catalog.publish_segment(record, range.end).await?;
    Ok(())
}
