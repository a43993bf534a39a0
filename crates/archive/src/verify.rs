//! Proof that a range of footage is what was recorded, or the first place where it is not.
//!
//! Three things have to agree: the bytes of an object, the digest in its row, and what the segment that was
//! closed after it says (see [`ChainLink`]). Somebody who changes footage would have to change all that was
//! recorded since, and the database; a digest that was noted elsewhere, or a signed manifest, shows even that.

use crate::object::difference;
use crate::report::as_text;
use crate::{Archive, Error, PAGE_ROWS, Progress, key_of};
use bytes::Bytes;
use framewell_catalog::SegmentRow;
use framewell_fmp4::{parse_init, parse_link};
use framewell_footage::CONTINUITY_US;
use framewell_model::{
    ChainLink, ChannelId, Deletion, SealSource, SegmentDigest, SegmentId, SegmentState, TimeRange,
    WallTime,
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;
use std::collections::{HashMap, VecDeque};

/// Objects read at once, of which 4 MiB are in memory.
const AT_ONCE: usize = 2;
/// Breaks that a report lists.
const MOST_BREAKS: usize = 100;
/// Digests remembered for the segments that come after; others are looked up in the catalog.
const MOST_KNOWN: usize = 10_000;

/// What is proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every segment is what was recorded, and none is missing between them, but for those of which the
    /// catalog says that they were deleted.
    Intact,
    /// At least one is not.
    Broken,
    /// Nothing speaks against it, but some segments have no digest, or there are none.
    #[default]
    Unproven,
}

/// Where the chain does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Break {
    /// Which segment is not what it was, or is missing.
    #[serde(serialize_with = "text")]
    pub segment: SegmentId,
    /// Its start; of a segment that is missing, the start of the one that names it.
    #[serde(serialize_with = "text")]
    pub start: WallTime,
    /// The sentence.
    pub what: String,
}

/// Footage of which the catalog says that it was deleted, where a segment is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Deleted {
    /// The last of the missing segments, which the one behind it names.
    #[serde(serialize_with = "text")]
    pub segment: SegmentId,
    /// Start of the footage that was deleted together.
    #[serde(serialize_with = "text")]
    pub start: WallTime,
    /// Its end.
    #[serde(serialize_with = "text")]
    pub end: WallTime,
    /// When it was deleted; the rest of it followed within the hour.
    #[serde(serialize_with = "text")]
    pub at: WallTime,
    /// Why: `age`, `bytes`, `pressure`, `request` or `channel`.
    pub reason: &'static str,
}

/// How many segments were sealed how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Sealed {
    /// While they were written.
    pub written: u64,
    /// After a crash, from the spool file.
    pub recovered: u64,
    /// While they were taken in from a file that somebody sent.
    pub imported: u64,
    /// When the catalog was rebuilt: their own digest says nothing, what comes behind them does.
    pub rebuilt: u64,
    /// Not at all: footage from before there were digests.
    pub never: u64,
}

/// The result of a proof.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// The sentence in one word.
    pub verdict: Verdict,
    /// Segments read.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When their digests were taken.
    pub sealed: Sealed,
    /// Segments that the one recorded after them vouches for.
    pub vouched: u64,
    /// Start of the first segment.
    #[serde(serialize_with = "as_text")]
    pub from: Option<WallTime>,
    /// End of the last.
    #[serde(serialize_with = "as_text")]
    pub to: Option<WallTime>,
    /// Digest of the last segment of the range: it stands for all that the chain holds. Note it elsewhere,
    /// and a later proof shows whether anything before it was exchanged together with the database.
    #[serde(serialize_with = "as_text")]
    pub last_digest: Option<SegmentDigest>,
    /// The first breaks, in the order of time; the first one is the answer to where the chain does not hold.
    pub breaks: Vec<Break>,
    /// Where segments are missing that were deleted, the first of them in the order of time. That is what the
    /// catalog says: who can write the database can say so.
    pub deleted: Vec<Deleted>,
    /// What the first segment says came before it, if that is no longer there (retention).
    #[serde(serialize_with = "as_text")]
    pub gone_before: Option<SegmentId>,
    /// Holes in the footage inside the range, with their reasons: a hole is no break.
    pub gaps: Vec<Hole>,
}

/// Where nothing is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hole {
    /// Where it begins.
    #[serde(serialize_with = "text")]
    pub start: WallTime,
    /// Where it ends; `None` while it lasts.
    #[serde(serialize_with = "as_text")]
    pub end: Option<WallTime>,
    /// Why.
    pub reason: &'static str,
}

fn text<T: std::fmt::Display, S: serde::Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// A segment as it is read.
struct Read {
    row: SegmentRow,
    /// Digest, length and head; `None` without an object.
    object: Option<(SegmentDigest, u64, Bytes)>,
}

/// The state of a proof.
#[derive(Default)]
struct Proof {
    report: VerifyReport,
    /// What the segments read are, the newest last.
    known: HashMap<SegmentId, (SegmentDigest, WallTime)>,
    order: VecDeque<SegmentId>,
}

impl Archive {
    /// Reads every published segment of a channel that overlaps a range, and the head of the one behind it.
    ///
    /// # Errors
    /// Database or store cannot be read. What is wrong with footage is in the report.
    pub async fn verify(
        &self,
        channel: ChannelId,
        range: TimeRange,
        mut watch: impl FnMut(Progress),
    ) -> Result<VerifyReport, Error> {
        let mut proof = Proof::default();
        // A segment that reaches into the range starts at most this long before it.
        let mut from = TimeRange {
            start: range.start.plus_micros(-framewell_catalog::MAX_SEGMENT_US),
            end: range.end,
        };
        from.end = from.end.max(from.start);
        let mut behind = None;
        loop {
            let page = self
                .catalog
                .segment_rows(channel, from, behind, PAGE_ROWS)
                .await?;
            let Some(last) = page.last() else { break };
            behind = Some((last.segment.range.start, last.segment.record));
            let wanted = page.into_iter().filter(|row| {
                row.state == SegmentState::Published && row.segment.range.end > range.start
            });
            let reads = stream::iter(wanted)
                .map(|row| self.read_for_proof(row))
                .buffered(AT_ONCE);
            let mut reads = std::pin::pin!(reads);
            while let Some(read) = reads.try_next().await? {
                watch(Progress {
                    channel,
                    at: read.row.segment.range.start,
                    objects: proof.report.segments,
                    bytes: proof.report.bytes,
                });
                let before = proof.report.to;
                let link = proof.take(&read);
                self.follow_link(&mut proof, &read.row, before, link)
                    .await?;
            }
        }
        self.ask_successor(&mut proof, channel, range.end).await?;
        proof.report.gaps = self.holes(channel, range).await?;
        Ok(proof.finish())
    }

    async fn read_for_proof(&self, row: SegmentRow) -> Result<Read, Error> {
        let object = self.digest(&key_of(&row.segment)).await?;
        Ok(Read { row, object })
    }

    /// Compares what a segment says of the one before it; footage before it ends at `before`.
    async fn follow_link(
        &self,
        proof: &mut Proof,
        row: &SegmentRow,
        before: Option<WallTime>,
        link: Option<ChainLink>,
    ) -> Result<(), Error> {
        let Some(link) = link else { return Ok(()) };
        if proof.vouch(&link) {
            return Ok(());
        }
        let named = self.catalog.segment_row(link.segment).await?;
        let named = named.filter(|row| row.state == SegmentState::Published);
        match named {
            Some(named) => {
                let is_same = named.seal.is_none_or(|seal| seal.digest == link.digest);
                if !is_same {
                    let what = format!(
                        "segment {} says that this segment had another digest when it was closed",
                        row.segment.id
                    );
                    proof.broken(named.segment.id, named.segment.range.start, what);
                }
            }
            None if proof.report.segments <= 1 => {
                proof.report.gone_before = Some(link.segment);
            }
            None => {
                let deletions = self.deletions_before(row, before).await?;
                proof.missing(row, link.segment, &deletions);
            }
        }
        Ok(())
    }

    /// What the account says of deletions between the footage before a segment and that segment.
    async fn deletions_before(
        &self,
        row: &SegmentRow,
        before: Option<WallTime>,
    ) -> Result<Vec<Deletion>, Error> {
        // What touches the hole only lies beside it.
        let end = row.segment.range.start.plus_micros(-CONTINUITY_US);
        let start = before.map(|before| before.plus_micros(CONTINUITY_US));
        let Some(hole) = start.and_then(|start| TimeRange::new(start, end)) else {
            return Ok(Vec::new());
        };
        let limit = MOST_BREAKS as u64;
        let channel = row.segment.channel;
        Ok(self.catalog.deletions_in(channel, hole, limit).await?)
    }

    /// The first segment behind the range vouches for the last one inside.
    async fn ask_successor(
        &self,
        proof: &mut Proof,
        channel: ChannelId,
        end: WallTime,
    ) -> Result<(), Error> {
        let after = self.catalog.segment_starting_from(channel, end).await?;
        let Some(after) = after else { return Ok(()) };
        let head = self
            .head(&key_of(&after), crate::object::HEAD_BYTES)
            .await?;
        let link = head.and_then(|head| parse_link(&head).ok().flatten());
        if let Some(link) = link {
            proof.vouch(&link);
        }
        Ok(())
    }

    async fn holes(&self, channel: ChannelId, range: TimeRange) -> Result<Vec<Hole>, Error> {
        let gaps = self.catalog.gaps_in(channel, range).await?;
        let hole = |gap: framewell_model::Gap| Hole {
            start: gap.start,
            end: gap.end,
            reason: gap.reason.as_str(),
        };
        Ok(gaps.into_iter().map(hole).collect())
    }
}

impl Proof {
    /// Compares a segment with its row; what it says came before it.
    fn take(&mut self, read: &Read) -> Option<ChainLink> {
        let segment = &read.row.segment;
        let (id, start) = (segment.id, segment.range.start);
        let report = &mut self.report;
        report.segments += 1;
        report.from = Some(report.from.map_or(start, |from| from.min(start)));
        let end = segment.range.end;
        report.to = Some(report.to.map_or(end, |to| to.max(end)));
        match read.row.seal.map(|seal| seal.source) {
            Some(SealSource::Written) => report.sealed.written += 1,
            Some(SealSource::Recovered) => report.sealed.recovered += 1,
            Some(SealSource::Imported) => report.sealed.imported += 1,
            Some(SealSource::Rebuilt) => report.sealed.rebuilt += 1,
            None => report.sealed.never += 1,
        }
        let Some((digest, size, head)) = &read.object else {
            self.broken(id, start, "its object is missing".to_owned());
            return None;
        };
        self.report.bytes += size;
        self.report.last_digest = Some(*digest);
        self.remember(id, *digest, start);
        if let Some(seal) = read.row.seal
            && seal.digest != *digest
        {
            let what = match i64::try_from(*size) {
                Ok(size) if size != segment.size_bytes => format!(
                    "its bytes are not those that were recorded: {size} instead of {}",
                    segment.size_bytes
                ),
                _ => "its bytes are not those that were recorded".to_owned(),
            };
            self.broken(id, start, what);
            return parse_link(head).ok().flatten();
        }
        match parse_init(head) {
            Err(error) => self.broken(id, start, format!("it cannot be read: {error}")),
            Ok((_, None)) => self.broken(id, start, "it does not say who it is".to_owned()),
            Ok((_, Some(identity))) => {
                if let Some(what) = difference(&identity, segment) {
                    self.broken(id, start, what);
                }
            }
        }
        parse_link(head).ok().flatten()
    }

    /// Whether the segment of a link was read; what the link says of it is compared.
    fn vouch(&mut self, link: &ChainLink) -> bool {
        let Some((digest, start)) = self.known.get(&link.segment).copied() else {
            return false;
        };
        if digest == link.digest {
            self.report.vouched += 1;
        } else {
            let what = "the segment recorded after it says that it had another digest".to_owned();
            self.broken(link.segment, start, what);
        }
        true
    }

    fn remember(&mut self, id: SegmentId, digest: SegmentDigest, start: WallTime) {
        self.known.insert(id, (digest, start));
        self.order.push_back(id);
        if self.order.len() > MOST_KNOWN
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// A segment is missing that `row` names.
    fn missing(&mut self, row: &SegmentRow, segment: SegmentId, deletions: &[Deletion]) {
        if deletions.is_empty() {
            let what = format!(
                "this segment is missing: segment {} says that it came before",
                row.segment.id
            );
            return self.broken(segment, row.segment.range.start, what);
        }
        let room = MOST_BREAKS.saturating_sub(self.report.deleted.len());
        let told = deletions.iter().take(room).map(|deletion| Deleted {
            segment,
            start: deletion.range.start,
            end: deletion.range.end,
            at: deletion.at,
            reason: deletion.reason.as_str(),
        });
        self.report.deleted.extend(told);
    }

    fn broken(&mut self, segment: SegmentId, start: WallTime, what: String) {
        let breaks = &mut self.report.breaks;
        // One segment is one break, however many ways it shows in.
        if breaks.len() < MOST_BREAKS && breaks.iter().all(|known| known.segment != segment) {
            breaks.push(Break {
                segment,
                start,
                what,
            });
        }
    }

    fn finish(mut self) -> VerifyReport {
        let report = &mut self.report;
        report.breaks.sort_by_key(|known| known.start);
        report.verdict = if !report.breaks.is_empty() {
            Verdict::Broken
        } else if report.segments == 0 || report.sealed.never > 0 {
            Verdict::Unproven
        } else {
            Verdict::Intact
        };
        self.report
    }
}
