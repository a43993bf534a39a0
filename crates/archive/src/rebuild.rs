//! The rows of footage, made again from the segments alone.

use crate::check::Adopted;
use crate::object::MAX_WHOLE_BYTES;
use crate::{Archive, Error, Finding, FindingKind, Findings, PAGE_ROWS, Progress, day_from};
use framewell_blob::{ObjectKey, StoredObject};
use framewell_catalog::{NewGap, SegmentRow};
use framewell_footage::CONTINUITY_US;
use framewell_model::{
    AccountId, ChannelId, ErrorKind, GapReason, HasKind as _, RunId, SegmentId, TimeRange, WallTime,
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

/// Objects read at once, each in memory whole.
const AT_ONCE: usize = 4;
/// Runs whose newest segment is remembered while holes are looked for: those of a channel lie one behind
/// the other, but for what was recorded late.
const MOST_RUNS: usize = 64;

/// What was made of a channel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RebuiltChannel {
    /// Its number, as the segments say.
    pub channel: i64,
    /// Which stream of it: `main` or `sub`.
    pub stream: &'static str,
    /// Whether its row had to be made.
    pub is_new: bool,
    /// Segments that got a row.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Runs (unbroken pieces of recording) among them.
    pub runs: u64,
    /// Start of the first and end of the last.
    pub from: Option<String>,
    /// The end.
    pub to: Option<String>,
    /// Holes inside of runs, where segments are lost: gap rows with the reason `data_loss`.
    pub holes: u64,
    /// Segments that others name as the one before them, and that are nowhere.
    pub lost_segments: u64,
    /// Files of the channel in the spool folder, those that a start kept aside included: stored when the
    /// server starts.
    pub spool_files: u64,
}

/// A channel while it is rebuilt.
struct Work {
    channel: ChannelId,
    /// Gets the channel if it has no row.
    account: AccountId,
    has_row: bool,
    rebuilt: RebuiltChannel,
    /// Segments that others say came before them, and that have not been seen.
    named: Vec<SegmentId>,
}

/// What a rebuild did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RebuildReport {
    /// By number.
    pub channels: Vec<RebuiltChannel>,
    /// What could not be used, or only in part.
    pub findings: Findings,
}

impl RebuildReport {
    /// Segments that got a row.
    #[must_use]
    pub fn segments(&self) -> u64 {
        self.channels.iter().map(|channel| channel.segments).sum()
    }
}

impl Archive {
    /// Gives every object that has none a row, and every channel that is named by an object or a spool file
    /// and has none; those belong to `account` then, have no source and do not record. What has rows is left
    /// as it is, so a rebuild may be repeated. No server may run on the same database.
    ///
    /// A name alone makes no channel: an object or a spool file has to say the same. What cannot be what it says,
    /// or what the database does not take, is a finding and stops nothing.
    ///
    /// # Errors
    /// Database or store cannot be used. Objects that cannot be read are findings.
    pub async fn rebuild(
        &self,
        account: AccountId,
        mut watch: impl FnMut(Progress),
    ) -> Result<RebuildReport, Error> {
        let mut report = RebuildReport::default();
        let mut spooled: BTreeMap<ChannelId, u64> = BTreeMap::new();
        let files = self.spool_files().await?.into_iter();
        for file in files.chain(self.kept_files().await?) {
            if let Some(identity) = file.identity {
                *spooled.entry(identity.channel).or_default() += 1;
            }
        }
        let mut channels: BTreeSet<_> = self.blobs.segment_channels().await?.into_iter().collect();
        channels.extend(spooled.keys());
        let mut channels: Vec<ChannelId> = channels.into_iter().collect();
        // The channel before its sub stream, which would make it.
        channels.sort_by_key(|channel| (channel.main(), channel.stream()));
        for channel in channels {
            let mut work = Work {
                channel,
                account,
                has_row: false,
                rebuilt: RebuiltChannel {
                    channel: channel.main().get(),
                    stream: channel.stream().as_str(),
                    spool_files: spooled.get(&channel).copied().unwrap_or(0),
                    ..RebuiltChannel::default()
                },
                named: Vec::new(),
            };
            self.rebuild_channel(&mut work, &mut report, &mut watch)
                .await?;
            if work.has_row {
                report.channels.push(work.rebuilt);
            }
        }
        Ok(report)
    }

    async fn rebuild_channel(
        &self,
        work: &mut Work,
        report: &mut RebuildReport,
        watch: &mut impl FnMut(Progress),
    ) -> Result<(), Error> {
        let channel = work.channel;
        let ever = WallTime::from_micros(i64::MIN);
        let has_segments = self.catalog.next_segment_row(channel, ever).await?;
        if (has_segments.is_some() || work.rebuilt.spool_files > 0)
            && !self.restore(work, &mut report.findings).await?
        {
            return Ok(());
        }
        let before = report.segments();
        for day in self.blobs.segment_days(channel).await? {
            watch(Progress {
                channel,
                at: day,
                objects: before + work.rebuilt.segments,
                bytes: work.rebuilt.bytes,
            });
            self.rebuild_day(work, day, &mut report.findings).await?;
        }
        if !work.has_row {
            return Ok(());
        }
        for segment in std::mem::take(&mut work.named) {
            if self.catalog.segment_row(segment).await?.is_none() {
                work.rebuilt.lost_segments += 1;
            }
        }
        self.find_holes(channel, &mut work.rebuilt).await
    }

    /// Makes the row of a channel, unless it has one; whether it has one then.
    async fn restore(&self, work: &mut Work, findings: &mut Findings) -> Result<bool, Error> {
        if work.has_row {
            return Ok(true);
        }
        let (channel, now) = (work.channel, self.clock.now());
        let name = format!("channel {}", channel.main());
        let made = self
            .catalog
            .restore_channel(work.account, channel, &name, now)
            .await;
        match made {
            Ok(is_new) => {
                work.rebuilt.is_new = is_new;
                work.has_row = true;
                self.put_back(channel).await?;
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::InvalidArgument => {
                let what = format!("it cannot be made again: {error}");
                findings.push(fault(channel, None, FindingKind::Foreign, what));
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn rebuild_day(
        &self,
        work: &mut Work,
        day: WallTime,
        findings: &mut Findings,
    ) -> Result<(), Error> {
        let channel = work.channel;
        let objects = self.blobs.segments_of_day(channel, day).await?;
        let rows = self.rows(channel, day_from(day)).await?;
        let known: HashSet<SegmentId> = rows.iter().map(|row| row.segment.id).collect();
        let is_new = |object: &StoredObject| match &object.key {
            Some(ObjectKey::Segment { id, .. }) => !known.contains(id),
            _ => true,
        };
        let reads = stream::iter(objects.into_iter().filter(is_new))
            .map(|object| self.read_object(channel, object))
            .buffered(AT_ONCE);
        let mut reads = std::pin::pin!(reads);
        let mut before: Option<SegmentId> = rows.last().map(|row| row.segment.id);
        while let Some(read) = reads.try_next().await? {
            let object = match read {
                Ok(object) => object,
                Err(finding) => {
                    findings.push(finding);
                    continue;
                }
            };
            if !self.restore(work, findings).await? {
                return Ok(());
            }
            if let Some(finding) = self.take_in(&object).await? {
                findings.push(finding);
                continue;
            }
            // Names of objects are sorted by when they were made, so most links lead to the one before.
            if let Some(link) = object.link
                && before != Some(link.segment)
            {
                work.named.push(link.segment);
            }
            before = Some(object.row.id);
            if object.torn_bytes > 0 {
                findings.push(torn(&object));
            }
            work.rebuilt.segments += 1;
            work.rebuilt.bytes += object.row.size_bytes.unsigned_abs();
        }
        Ok(())
    }

    /// Gives an object its row, or says why it gets none.
    async fn take_in(&self, object: &Adopted) -> Result<Option<Finding>, Error> {
        let row = &object.row;
        let fault = |kind, what| Ok(Some(fault(row.channel, Some(row.id), kind, what)));
        let known = self.catalog.segment_row(row.id).await?;
        if let Some(known) = known.filter(|known| known.segment.range.start != row.range.start) {
            let what = format!(
                "a second object of the segment begins at {}: the row is about the one of {}",
                row.range.start, known.segment.range.start
            );
            return fault(FindingKind::Foreign, what);
        }
        match self.insert(object).await {
            Ok(()) => Ok(None),
            Err(Error::Catalog(error)) if !ends_a_rebuild(error.kind()) => fault(
                FindingKind::Damaged,
                format!("the catalog does not take it: {error}"),
            ),
            Err(error) => Err(error),
        }
    }

    /// The object as its bytes tell it, or why it cannot be used.
    async fn read_object(
        &self,
        channel: ChannelId,
        object: StoredObject,
    ) -> Result<Result<Adopted, Finding>, Error> {
        let fault = |segment, kind, what| Ok(Err(fault(channel, segment, kind, what)));
        let Some(key @ ObjectKey::Segment { id, .. }) = &object.key else {
            let what = format!("{} has a name that is none of ours", object.path);
            return fault(None, FindingKind::Foreign, what);
        };
        if object.size > MAX_WHOLE_BYTES {
            let what = format!("{} bytes are too many to be read", object.size);
            return fault(Some(*id), FindingKind::Damaged, what);
        }
        let data = match self.whole(key, object.size).await {
            Ok(data) => data.unwrap_or_default(),
            Err(Error::Blob(error)) if !error.kind().is_retryable() => {
                let what = format!("it cannot be read: {error}");
                return fault(Some(*id), FindingKind::Damaged, what);
            }
            Err(error) => return Err(error),
        };
        match Adopted::read(key, &data) {
            Some(adopted) => Ok(Ok(adopted)),
            None => {
                let what = "it has no complete fragment, or is not what its name says";
                fault(Some(*id), FindingKind::Damaged, what.to_owned())
            }
        }
    }

    /// Holes between segments of one run are lost footage, and get a row. Between runs nobody knows: the
    /// camera may have been away, the server down, recording off.
    async fn find_holes(
        &self,
        channel: ChannelId,
        rebuilt: &mut RebuiltChannel,
    ) -> Result<(), Error> {
        let all = TimeRange {
            start: WallTime::from_micros(i64::MIN),
            end: WallTime::from_micros(i64::MAX),
        };
        let mut runs: VecDeque<(RunId, WallTime)> = VecDeque::new();
        let mut behind = None;
        let mut bounds: Option<TimeRange> = None;
        loop {
            let page = self
                .catalog
                .segment_rows(channel, all, behind, PAGE_ROWS)
                .await?;
            let Some(last) = page.last() else { break };
            behind = Some((last.segment.range.start, last.segment.record));
            for row in &page {
                let range = row.segment.range;
                bounds = Some(bounds.map_or(range, |all| TimeRange {
                    start: all.start,
                    end: all.end.max(range.end),
                }));
                let hole = follow(&mut runs, row, &mut rebuilt.runs);
                if let Some(hole) = hole
                    && self.note_hole(channel, hole).await?
                {
                    rebuilt.holes += 1;
                }
            }
        }
        rebuilt.from = bounds.map(|range| range.start.to_string());
        rebuilt.to = bounds.map(|range| range.end.to_string());
        Ok(())
    }

    /// Whether it was not known and nothing else covers it.
    async fn note_hole(&self, channel: ChannelId, hole: TimeRange) -> Result<bool, Error> {
        let is_known = !self.catalog.gaps_in(channel, hole).await?.is_empty();
        if is_known || !self.catalog.segment_ranges(channel, hole).await?.is_empty() {
            return Ok(false);
        }
        let gap = NewGap {
            channel,
            start: hole.start,
            end: Some(hole.end),
            reason: GapReason::DataLoss,
        };
        self.catalog.insert_past_gap(gap).await?;
        Ok(true)
    }
}

/// Remembers how far the run of a segment reaches; the hole before the segment, if there is one.
fn follow(
    runs: &mut VecDeque<(RunId, WallTime)>,
    row: &SegmentRow,
    count: &mut u64,
) -> Option<TimeRange> {
    let range = row.segment.range;
    let Some((_, end)) = runs.iter_mut().find(|(run, _)| *run == row.segment.run) else {
        *count += 1;
        runs.push_back((row.segment.run, range.end));
        if runs.len() > MOST_RUNS {
            runs.pop_front();
        }
        return None;
    };
    let hole = TimeRange::new(*end, range.start);
    *end = range.end.max(*end);
    hole.filter(|hole| hole.micros() > CONTINUITY_US)
}

/// Whether a refusal of the catalog is about more than the one object.
const fn ends_a_rebuild(kind: ErrorKind) -> bool {
    !matches!(
        kind,
        ErrorKind::InvalidArgument | ErrorKind::NotFound | ErrorKind::AlreadyExists
    )
}

fn fault(
    channel: ChannelId,
    segment: Option<SegmentId>,
    kind: FindingKind,
    what: String,
) -> Finding {
    Finding {
        kind,
        channel,
        segment,
        start: None,
        what,
        repair: None,
    }
}

fn torn(object: &Adopted) -> Finding {
    Finding {
        kind: FindingKind::Damaged,
        channel: object.row.channel,
        segment: Some(object.row.id),
        start: Some(object.row.range.start),
        what: format!(
            "the last {} bytes cannot be read; the row says what comes before",
            object.torn_bytes
        ),
        repair: None,
    }
}
