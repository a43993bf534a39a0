//! Rows and objects, day by day.

mod compare;
mod confirm;
mod inspect;

pub(crate) use confirm::Adopted;

use crate::{Archive, Error, Finding, FindingKind, Findings, PAGE_ROWS, Progress, day_from};
use framewell_catalog::SegmentRow;
use framewell_model::{ChannelId, TimeRange, WallTime};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;
use std::collections::BTreeSet;
use std::time::Duration;

/// Objects looked into at once.
const AT_ONCE: usize = 8;

/// How closely objects are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Depth {
    /// That they are there, and their length.
    List,
    /// Also the head of each and the head of its last fragment: two small reads.
    #[default]
    Headers,
    /// Every byte: index and digest.
    Full,
}

/// How to check.
#[derive(Debug, Clone, Copy)]
pub struct CheckOptions {
    /// How closely.
    pub depth: Depth,
    /// Whether to repair what can be repaired without losing anything.
    pub repair: bool,
    /// Only this channel.
    pub channel: Option<ChannelId>,
    /// What changed since less than this may be in the middle of something (default 10 minutes).
    pub fresh: Duration,
}

impl Default for CheckOptions {
    fn default() -> Self {
        Self {
            depth: Depth::default(),
            repair: false,
            channel: None,
            fresh: Duration::from_secs(600),
        }
    }
}

/// What a check saw.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// Channels with rows or objects.
    pub channels: u64,
    /// Rows of segments.
    pub rows: u64,
    /// Objects among the segments.
    pub objects: u64,
    /// Bytes of those objects.
    pub bytes: u64,
    /// Files in the spool folder: being written, or stored at the next occasion.
    pub spool_files: u64,
    /// Bytes of those files.
    pub spool_bytes: u64,
    /// What is wrong.
    pub findings: Findings,
}

impl CheckReport {
    /// Whether nothing is wrong (any more).
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.findings.open == 0
    }
}

impl Archive {
    /// Compares rows and objects, channel by channel and day by day; one day of one channel is in memory at
    /// a time. `watch` is told before each day.
    ///
    /// # Errors
    /// Database or store cannot be read. What a repair cannot do is no error: the finding stays open.
    pub async fn check(
        &self,
        options: &CheckOptions,
        mut watch: impl FnMut(Progress),
    ) -> Result<CheckReport, Error> {
        let mut report = CheckReport::default();
        for file in self.spool_files().await? {
            report.spool_files += 1;
            report.spool_bytes += file.size;
        }
        for channel in self.channels_to_check(options).await? {
            report.channels += 1;
            let mut lost = Vec::new();
            let before = report.rows;
            for day in self.days(channel).await? {
                watch(Progress {
                    channel,
                    at: day,
                    objects: report.objects,
                    bytes: report.bytes,
                });
                self.check_day(options, channel, day, &mut report, &mut lost)
                    .await?;
            }
            // A store that is not mounted, or another one, has lost nothing.
            let is_plausible = (lost.len() as u64) * 2 <= report.rows - before;
            for finding in lost {
                let repair = options.repair && is_plausible;
                let repaired = self.repair_if(repair, finding).await?;
                report.findings.push(repaired);
            }
        }
        Ok(report)
    }

    async fn channels_to_check(&self, options: &CheckOptions) -> Result<Vec<ChannelId>, Error> {
        if let Some(channel) = options.channel {
            return Ok(vec![channel]);
        }
        let mut channels: BTreeSet<_> = self.blobs.segment_channels().await?.into_iter().collect();
        channels.extend(self.catalog.segment_channels().await?);
        Ok(channels.into_iter().collect())
    }

    /// Days on which segments of a channel start, by rows and by objects.
    pub(crate) async fn days(&self, channel: ChannelId) -> Result<BTreeSet<WallTime>, Error> {
        let mut days: BTreeSet<_> = self
            .blobs
            .segment_days(channel)
            .await?
            .into_iter()
            .collect();
        let mut from = WallTime::from_micros(i64::MIN);
        while let Some(start) = self.catalog.next_segment_row(channel, from).await? {
            let into = start.micros().rem_euclid(crate::DAY_US);
            let day = start.plus_micros(-into);
            days.insert(day);
            from = day_from(day).end;
        }
        Ok(days)
    }

    /// All rows of a channel that start within a range.
    pub(crate) async fn rows(
        &self,
        channel: ChannelId,
        range: TimeRange,
    ) -> Result<Vec<SegmentRow>, Error> {
        let mut rows: Vec<SegmentRow> = Vec::new();
        loop {
            let behind = rows
                .last()
                .map(|row| (row.segment.range.start, row.segment.record));
            let page = self
                .catalog
                .segment_rows(channel, range, behind, PAGE_ROWS)
                .await?;
            let is_last = (page.len() as u64) < PAGE_ROWS;
            rows.extend(page);
            if is_last {
                return Ok(rows);
            }
        }
    }

    async fn check_day(
        &self,
        options: &CheckOptions,
        channel: ChannelId,
        day: WallTime,
        report: &mut CheckReport,
        lost: &mut Vec<Finding>,
    ) -> Result<(), Error> {
        // Objects first: one that is put meanwhile has a row, and is looked for again.
        let objects = self.blobs.segments_of_day(channel, day).await?;
        let rows = self.rows(channel, day_from(day)).await?;
        report.rows += rows.len() as u64;
        report.objects += objects.len() as u64;
        report.bytes += objects.iter().map(|object| object.size).sum::<u64>();
        let fresh_since = self.clock.now() - options.fresh;
        let (suspects, sound) = compare::compare(channel, objects, rows, fresh_since);
        for suspect in suspects {
            let Some(finding) = self.confirm(suspect).await? else {
                continue;
            };
            if finding.kind == FindingKind::MissingObject {
                lost.push(finding);
            } else {
                let repaired = self.repair_if(options.repair, finding).await?;
                report.findings.push(repaired);
            }
        }
        if options.depth >= Depth::Headers {
            let inspected = stream::iter(sound)
                .map(|row| self.inspect(row, options.depth))
                .buffered(AT_ONCE);
            let found: Vec<_> = inspected.try_collect().await?;
            for finding in found.into_iter().flatten() {
                report.findings.push(finding);
            }
        }
        Ok(())
    }

    async fn repair_if(&self, repair: bool, mut finding: Finding) -> Result<Finding, Error> {
        if repair {
            finding.repair = self.repair(&finding).await?;
        }
        Ok(finding)
    }
}
