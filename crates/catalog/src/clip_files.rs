//! Finished files of stored clips: what is known of them, what they lack, and of what they are made.

use crate::clip_rows::{DONE, change, range};
use crate::clips::{found, is_attempt};
use crate::sql::Row;
use crate::{Catalog, Error};
use framewell_model::{ClipId, ClipObjectId, GapReason, TimeRange, WallTime};
use sea_query::{Expr, ExprTrait as _, OnConflict, Query};

/// Most gaps in the row of a clip; of more, it says how many there are.
pub const MOST_CLIP_GAPS: usize = 100;

/// What is known of a finished file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClipFile {
    /// From the first picture shown to the end of the last one.
    pub shown: TimeRange,
    /// Playing time in microseconds.
    pub duration_us: i64,
    /// Bytes.
    pub size_bytes: i64,
    /// Its thumbnail.
    pub thumb: Option<ClipThumb>,
    /// Why it has none.
    pub thumb_error: Option<String>,
    /// What of the range that was asked for is not in it; `None` for clips from before this was written down.
    pub gaps: Option<ClipGaps>,
}

/// The thumbnail of a clip, a JPEG file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClipThumb {
    /// Capture time.
    pub time: WallTime,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Bytes.
    pub size_bytes: i64,
}

/// What a clip lacks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClipGaps {
    /// The first ones, ascending, [`MOST_CLIP_GAPS`] at most.
    pub first: Vec<ClipGap>,
    /// How many there are.
    pub count: u32,
}

/// A stretch that is not in a clip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClipGap {
    /// Cut to the range that was asked for.
    pub range: TimeRange,
    /// Why, if that is known.
    pub reason: Option<GapReason>,
}

impl ClipGaps {
    /// As many of all gaps as a row keeps.
    #[must_use]
    pub fn of(all: &[ClipGap]) -> Self {
        Self {
            first: all.iter().take(MOST_CLIP_GAPS).copied().collect(),
            count: u32::try_from(all.len()).unwrap_or(u32::MAX),
        }
    }
}

impl Catalog {
    /// The objects of an attempt are complete: readers see the clip. `makeup` is what it consists of, in the
    /// caller's own form. [`Error::NotFound`] if the clip is doomed, or another attempt has begun.
    pub async fn publish_clip(
        &self,
        id: ClipId,
        object: ClipObjectId,
        file: &ClipFile,
        makeup: &str,
        now: WallTime,
    ) -> Result<(), Error> {
        let thumb = file.thumb.as_ref();
        let gaps = file.gaps.as_ref();
        let publish = change(id, now)
            .value("state", DONE)
            .value("shown_start_us", file.shown.start.micros())
            .value("shown_end_us", file.shown.end.micros())
            .value("duration_us", file.duration_us)
            .value("size_bytes", file.size_bytes)
            .value("thumb_us", thumb.map(|thumb| thumb.time.micros()))
            .value("thumb_width", thumb.map(|thumb| i64::from(thumb.width)))
            .value("thumb_height", thumb.map(|thumb| i64::from(thumb.height)))
            .value("thumb_bytes", thumb.map_or(0, |thumb| thumb.size_bytes))
            .value("thumb_error", file.thumb_error.clone())
            .value("gaps", gaps.map(|gaps| gaps_text(&gaps.first)))
            .value("gap_count", gaps.map(|gaps| i64::from(gaps.count)))
            .and_where(is_attempt(object))
            .take();
        let replace = OnConflict::column("clip")
            .update_column("makeup")
            .to_owned();
        let note = Query::insert()
            .into_table("clip_makeup")
            .columns(["clip", "makeup"])
            .values_panic([id.get().into(), makeup.into()])
            .on_conflict(replace)
            .take();
        let mut tx = self.begin("publishing of a clip").await?;
        found(tx.execute(&publish).await?, id)?;
        tx.execute(&note).await?;
        tx.commit().await
    }

    /// What a finished clip consists of; `None` for clips from before this was written down.
    pub async fn clip_makeup(&self, id: ClipId) -> Result<Option<String>, Error> {
        let select = Query::select()
            .column("makeup")
            .from("clip_makeup")
            .and_where(Expr::col("clip").eq(id.get()))
            .take();
        let rows = self.read("load of a clip's makeup", &select).await?;
        rows.first().map(|row| row.get("makeup")).transpose()
    }
}

/// A gap as it lies in the row.
type Stored = (i64, i64, Option<GapReason>);

fn gaps_text(gaps: &[ClipGap]) -> String {
    let stored = |gap: &ClipGap| -> Stored {
        (gap.range.start.micros(), gap.range.end.micros(), gap.reason)
    };
    let stored: Vec<Stored> = gaps.iter().map(stored).collect();
    serde_json::to_string(&stored).expect("numbers and words can be written")
}

fn gaps(row: &Row) -> Result<Option<ClipGaps>, Error> {
    let (text, count): (Option<String>, Option<i64>) = (row.get("gaps")?, row.get("gap_count")?);
    let (Some(text), Some(count)) = (text, count) else {
        return Ok(None);
    };
    let corrupt = |error: serde_json::Error| Error::corrupt("gaps", error);
    let stored: Vec<Stored> = serde_json::from_str(&text).map_err(corrupt)?;
    let gap = |(start, end, reason)| {
        let (start, end) = (WallTime::from_micros(start), WallTime::from_micros(end));
        let range = TimeRange::new(start, end)
            .ok_or_else(|| Error::corrupt("gaps", "a gap that ends before it starts"))?;
        Ok(ClipGap { range, reason })
    };
    Ok(Some(ClipGaps {
        first: stored.into_iter().map(gap).collect::<Result<_, Error>>()?,
        count: u32::try_from(count).map_err(|error| Error::corrupt("gap_count", error))?,
    }))
}

/// Reads the columns of a finished file.
pub(crate) fn file(row: &Row) -> Result<ClipFile, Error> {
    Ok(ClipFile {
        shown: range(row, "shown_start_us", "shown_end_us")?,
        duration_us: row.get("duration_us")?,
        size_bytes: row.get("size_bytes")?,
        thumb: thumb(row)?,
        thumb_error: row.get("thumb_error")?,
        gaps: gaps(row)?,
    })
}

fn thumb(row: &Row) -> Result<Option<ClipThumb>, Error> {
    let size_bytes: i64 = row.get("thumb_bytes")?;
    if size_bytes == 0 {
        return Ok(None);
    }
    let side = |column| {
        let pixels: i64 = row.get(column)?;
        u32::try_from(pixels).map_err(|error| Error::corrupt(column, error))
    };
    Ok(Some(ClipThumb {
        time: WallTime::from_micros(row.get("thumb_us")?),
        width: side("thumb_width")?,
        height: side("thumb_height")?,
        size_bytes,
    }))
}
