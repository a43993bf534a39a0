//! How a segment lies in its row.

use crate::sql::Row;
use crate::{Error, NewSegment, SegmentFacts, StagedSegment};
use framewell_model::{
    ChannelId, ClockSource, RecordId, RunId, Seal, SealSource, Segment, SegmentDigest, SegmentId,
    SegmentState, TimeRange, WallTime,
};
use sea_query::{Expr, ExprTrait as _, InsertStatement, OnConflict, Query, SelectStatement};

/// Everything that a repeated staging may change.
const CHANGEABLE: [&str; 14] = [
    "channel",
    "run",
    "sequence",
    "start_us",
    "end_us",
    "clock",
    "size_bytes",
    "codecs",
    "fragment_index",
    "digest",
    "digest_source",
    "sample_runs",
    "sample_sizes",
    "updated_us",
];

/// Inserts a staged row, or changes the one with this id if it is still staged.
pub(crate) fn insert(
    segment: &NewSegment,
    facts: SegmentFacts<'_>,
    now: WallTime,
) -> InsertStatement {
    let seal = facts.seal;
    let known = |bytes: &[u8]| (!bytes.is_empty()).then(|| bytes.to_vec());
    let conflict = OnConflict::column("id")
        .update_columns(CHANGEABLE)
        .action_and_where(Expr::col(("segment", "state")).eq(SegmentState::Staged.as_str()))
        .to_owned();
    Query::insert()
        .into_table("segment")
        .columns(CHANGEABLE.into_iter().chain(["id", "state"]))
        .values_panic([
            segment.channel.get().into(),
            segment.run.uuid().into(),
            segment.sequence.into(),
            segment.range.start.micros().into(),
            segment.range.end.micros().into(),
            segment.clock.as_str().into(),
            segment.size_bytes.into(),
            segment.codecs.as_str().into(),
            segment.index.as_slice().into(),
            seal.map(|seal| seal.digest.bytes().to_vec()).into(),
            seal.map(|seal| seal.source.as_str()).into(),
            known(facts.sample_runs).into(),
            known(facts.sample_sizes).into(),
            now.micros().into(),
            segment.id.uuid().into(),
            SegmentState::Staged.as_str().into(),
        ])
        .on_conflict(conflict)
        .take()
}

pub(crate) fn is_state(state: SegmentState) -> Expr {
    Expr::col("state").eq(state.as_str())
}

/// Adds the columns that [`segment`] reads.
pub(crate) fn with_columns(mut select: SelectStatement) -> SelectStatement {
    select
        .columns([
            "record",
            "id",
            "channel",
            "run",
            "sequence",
            "start_us",
            "end_us",
            "clock",
            "size_bytes",
            "codecs",
            "fragment_index",
        ])
        .take()
}

pub(crate) fn segment(row: &Row) -> Result<Segment, Error> {
    Ok(Segment {
        record: row.id("record", RecordId::new)?,
        id: SegmentId::from_uuid(row.get("id")?),
        channel: row.id("channel", ChannelId::stored)?,
        run: RunId::from_uuid(row.get("run")?),
        sequence: row.get("sequence")?,
        range: range(row)?,
        clock: row.word("clock", clock_from_word)?,
        size_bytes: row.get("size_bytes")?,
        codecs: row.get("codecs")?,
        index: row.get("fragment_index")?,
    })
}

/// Reads `digest` and `digest_source`.
pub(crate) fn seal(row: &Row) -> Result<Option<Seal>, Error> {
    let Some(digest) = row.get::<Option<Vec<u8>>>("digest")? else {
        return Ok(None);
    };
    let digest = digest
        .try_into()
        .map_err(|_| Error::corrupt("digest", "a digest has 32 bytes"))?;
    Ok(Some(Seal {
        digest: SegmentDigest::new(digest),
        source: row.word("digest_source", SealSource::from_word)?,
    }))
}

pub(crate) fn staged(row: &Row) -> Result<StagedSegment, Error> {
    Ok(StagedSegment {
        record: row.id("record", RecordId::new)?,
        id: SegmentId::from_uuid(row.get("id")?),
        channel: row.id("channel", ChannelId::stored)?,
        start: WallTime::from_micros(row.get("start_us")?),
    })
}

/// Reads `start_us` and `end_us`.
pub(crate) fn range(row: &Row) -> Result<TimeRange, Error> {
    let time = |column| Ok::<_, Error>(WallTime::from_micros(row.get(column)?));
    TimeRange::new(time("start_us")?, time("end_us")?)
        .ok_or_else(|| Error::corrupt("end_us", "the segment ends before it starts"))
}

pub(crate) fn clock_from_word(word: &str) -> Option<ClockSource> {
    [ClockSource::CameraRtcp, ClockSource::ServerArrival]
        .into_iter()
        .find(|clock| clock.as_str() == word)
}
