//! How a stored picture lies in its row.

use crate::Error;
use crate::images::{DoomedImage, NewImage};
use crate::segment_rows::clock_from_word;
use crate::sql::Row;
use framewell_model::{
    ChannelId, ImageId, ImageObjectId, ImageOrigin, SegmentState as State, StoredImage, WallTime,
};
use sea_query::{Expr, ExprTrait as _, InsertStatement, OnConflict, Query, SelectStatement};

const KEY: [&str; 4] = ["channel", "origin", "origin_id", "frame"];

/// What a repeated staging may change.
const CHANGEABLE: [&str; 5] = ["width", "height", "size_bytes", "hash", "updated_us"];

/// Inserts a staged row, or changes its twin if that is still staged.
pub(crate) fn insert(image: &NewImage, now: WallTime) -> InsertStatement {
    let twin = OnConflict::columns(KEY)
        .target_and_where(is_not_doomed())
        .update_columns(CHANGEABLE)
        .action_and_where(Expr::col(("image", "state")).eq(State::Staged.as_str()))
        .to_owned();
    Query::insert()
        .into_table("image")
        .columns(
            KEY.into_iter()
                .chain(CHANGEABLE)
                .chain(["object", "time_us", "clock", "state"]),
        )
        .values_panic([
            image.channel.get().into(),
            image.origin.as_str().into(),
            image.origin_id.unwrap_or(0).into(),
            image.frame.to_string().into(),
            i64::from(image.width).into(),
            i64::from(image.height).into(),
            image.size_bytes.into(),
            image.hash.as_str().into(),
            now.micros().into(),
            image.object.uuid().into(),
            image.time.micros().into(),
            image.clock.as_str().into(),
            State::Staged.as_str().into(),
        ])
        .on_conflict(twin)
        .take()
}

/// Written out, not bound: a partial index serves only conditions that the planner can compare with
/// its own.
fn is_not_doomed() -> Expr {
    Expr::cust("state <> 'doomed'")
}

/// The row of the same picture, staged or published.
pub(crate) fn is_same(image: &NewImage) -> Expr {
    Expr::col("channel")
        .eq(image.channel.get())
        .and(Expr::col("origin").eq(image.origin.as_str()))
        .and(Expr::col("origin_id").eq(image.origin_id.unwrap_or(0)))
        .and(Expr::col("frame").eq(image.frame.to_string()))
        .and(is_not_doomed())
}

pub(crate) fn is_state(state: State) -> Expr {
    Expr::col("state").eq(state.as_str())
}

/// Adds the columns that [`image`] reads.
pub(crate) fn with_columns(mut select: SelectStatement) -> SelectStatement {
    select
        .columns([
            "id",
            "object",
            "channel",
            "time_us",
            "clock",
            "width",
            "height",
            "size_bytes",
            "hash",
            "origin",
            "origin_id",
            "frame",
        ])
        .take()
}

pub(crate) fn image(row: &Row) -> Result<StoredImage, Error> {
    let side = |column| {
        let pixels: i64 = row.get(column)?;
        u32::try_from(pixels).map_err(|error| Error::corrupt(column, error))
    };
    let origin_id: i64 = row.get("origin_id")?;
    Ok(StoredImage {
        id: row.id("id", ImageId::new)?,
        object: ImageObjectId::from_uuid(row.get("object")?),
        channel: row.id("channel", ChannelId::stored)?,
        time: WallTime::from_micros(row.get("time_us")?),
        clock: row.word("clock", clock_from_word)?,
        width: side("width")?,
        height: side("height")?,
        size_bytes: row.get("size_bytes")?,
        hash: row.get("hash")?,
        origin: row.word("origin", ImageOrigin::from_word)?,
        origin_id: Some(origin_id).filter(|id| *id > 0),
        frame: row.word("frame", |text| text.parse().ok())?,
    })
}

pub(crate) fn doomed(row: &Row) -> Result<DoomedImage, Error> {
    Ok(DoomedImage {
        id: row.id("id", ImageId::new)?,
        object: ImageObjectId::from_uuid(row.get("object")?),
        channel: row.id("channel", ChannelId::stored)?,
        time: WallTime::from_micros(row.get("time_us")?),
    })
}
