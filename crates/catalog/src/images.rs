//! Rows of stored pictures: staged, published, doomed, gone; as segments.

use crate::channel_rows::require;
use crate::channels::only;
use crate::image_rows::{self, insert, is_state};
use crate::{Catalog, Error};
use framewell_model::{
    ChannelId, ClockSource, FrameId, ImageId, ImageObjectId, ImageOrigin, SegmentState as State,
    WallTime,
};
use sea_query::{Expr, ExprTrait as _, LockType, Order, Query, SelectStatement, UpdateStatement};

/// A picture about to become an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewImage {
    /// Name of the object, unless one is there already.
    pub object: ImageObjectId,
    /// Whose picture.
    pub channel: ChannelId,
    /// Capture time.
    pub time: WallTime,
    /// Where it comes from.
    pub clock: ClockSource,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Bytes of the file.
    pub size_bytes: i64,
    /// Hash of the file, lower-case hexadecimal.
    pub hash: String,
    /// Why it is stored.
    pub origin: ImageOrigin,
    /// Number of what made it, at least 1.
    pub origin_id: Option<i64>,
    /// Which picture of the channel.
    pub frame: FrameId,
}

/// The row of a picture that is being stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StagedImage {
    /// Row number.
    pub id: ImageId,
    /// Name of its object: of the first attempt, if there was one before.
    pub object: ImageObjectId,
    /// It is there already: nothing is to be put.
    pub is_published: bool,
}

/// A row whose object is to be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DoomedImage {
    /// Row number.
    pub id: ImageId,
    /// Name of the object.
    pub object: ImageObjectId,
    /// Whose picture.
    pub channel: ChannelId,
    /// Capture time, which is part of the object key.
    pub time: WallTime,
}

impl Catalog {
    /// First step of storing: the row exists, readers do not see it. The same picture (channel, origin,
    /// origin number, frame) has one row, however often it is staged; one that is still staged takes
    /// the new size and hash and keeps its object name.
    ///
    /// [`Error::NotFound`] if the channel is gone.
    pub async fn stage_image(&self, image: &NewImage, now: WallTime) -> Result<StagedImage, Error> {
        let mut tx = self.begin("staging of a picture").await?;
        require(&mut tx, image.channel, None, LockType::KeyShare).await?;
        tx.execute(&insert(image, now)).await?;
        let select = Query::select()
            .columns(["id", "object", "state"])
            .from("image")
            .and_where(image_rows::is_same(image))
            .take();
        let rows = tx.fetch(&select).await?;
        let row = only(&rows)?;
        let staged = StagedImage {
            id: row.id("id", ImageId::new)?,
            object: ImageObjectId::from_uuid(row.get("object")?),
            is_published: row.get::<String>("state")? == State::Published.as_str(),
        };
        tx.commit().await?;
        Ok(staged)
    }

    /// Second step, after the object is complete: readers see it. Repeating it does nothing.
    /// [`Error::NotFound`] if the row is gone or doomed, for example with its channel.
    pub async fn publish_image(&self, id: ImageId, now: WallTime) -> Result<(), Error> {
        let publish = change_state(State::Published, now)
            .and_where(Expr::col("id").eq(id.get()))
            .and_where(is_state(State::Staged).or(is_state(State::Published)))
            .take();
        found(self.execute("publishing of a picture", &publish).await?, id)
    }

    /// Dooms one picture, for a `DELETE` by a user. Repeating it does nothing.
    pub async fn doom_image(&self, id: ImageId, now: WallTime) -> Result<(), Error> {
        let doom = change_state(State::Doomed, now)
            .and_where(Expr::col("id").eq(id.get()))
            .take();
        found(self.execute("dooming of a picture", &doom).await?, id)
    }

    /// Dooms pictures of a channel captured before `before`, oldest first, at most `limit`; how many.
    /// All origins, or one.
    pub async fn doom_images_before(
        &self,
        channel: ChannelId,
        origin: Option<ImageOrigin>,
        before: WallTime,
        limit: u64,
        now: WallTime,
    ) -> Result<u64, Error> {
        let oldest = Query::select()
            .column("id")
            .from("image")
            .and_where(Expr::col("channel").eq(channel.get()))
            .and_where(is_state(State::Published))
            .and_where(Expr::col("time_us").lt(before.micros()))
            .and_where_option(origin.map(|origin| Expr::col("origin").eq(origin.as_str())))
            .order_by("time_us", Order::Asc)
            .limit(limit)
            .take();
        self.doom("dooming of old pictures", oldest, State::Published, now)
            .await
    }

    /// Dooms rows that were staged before `before` and never published: what a crash left.
    pub async fn doom_abandoned_images(
        &self,
        before: WallTime,
        limit: u64,
        now: WallTime,
    ) -> Result<u64, Error> {
        let abandoned = Query::select()
            .column("id")
            .from("image")
            .and_where(is_state(State::Staged))
            .and_where(Expr::col("updated_us").lt(before.micros()))
            .limit(limit)
            .take();
        self.doom(
            "dooming of abandoned pictures",
            abandoned,
            State::Staged,
            now,
        )
        .await
    }

    async fn doom(
        &self,
        operation: &'static str,
        which: SelectStatement,
        state: State,
        now: WallTime,
    ) -> Result<u64, Error> {
        let doom = change_state(State::Doomed, now)
            .and_where(Expr::col("id").in_subquery(which))
            .and_where(is_state(state))
            .take();
        self.execute(operation, &doom).await
    }

    /// Bytes of all published pictures. Reads an index entry of each.
    pub async fn published_image_bytes(&self) -> Result<i64, Error> {
        let sum = Query::select()
            .expr_as(
                Expr::cust("CAST(COALESCE(SUM(size_bytes), 0) AS BIGINT)"),
                "total",
            )
            .from("image")
            .and_where(is_state(State::Published))
            .take();
        only(&self.read("sum of picture sizes", &sum).await?)?.get("total")
    }

    /// Dooms the published pictures that were stored first, of all channels, until they make up `bytes`,
    /// at most `limit` of them; how many bytes they are.
    pub async fn doom_oldest_images(
        &self,
        bytes: i64,
        limit: u64,
        now: WallTime,
    ) -> Result<i64, Error> {
        const OPERATION: &str = "dooming of the oldest pictures";
        let oldest = Query::select()
            .columns(["id", "size_bytes"])
            .from("image")
            .and_where(is_state(State::Published))
            .order_by("id", Order::Asc)
            .limit(limit)
            .take();
        let mut last: Option<i64> = None;
        let mut doomed_bytes = 0;
        for row in self.read(OPERATION, &oldest).await? {
            if doomed_bytes >= bytes {
                break;
            }
            last = Some(row.get("id")?);
            doomed_bytes += row.get::<i64>("size_bytes")?;
        }
        let Some(last) = last else {
            return Ok(0);
        };
        let doom = change_state(State::Doomed, now)
            .and_where(is_state(State::Published))
            .and_where(Expr::col("id").lte(last))
            .take();
        self.execute(OPERATION, &doom).await?;
        Ok(doomed_bytes)
    }

    /// Doomed rows whose objects may be deleted, behind a row, ascending.
    pub async fn list_doomed_images(
        &self,
        after: Option<ImageId>,
        limit: u64,
    ) -> Result<Vec<DoomedImage>, Error> {
        let select = Query::select()
            .columns(["id", "object", "channel", "time_us"])
            .from("image")
            .and_where(is_state(State::Doomed))
            .and_where_option(after.map(|after| Expr::col("id").gt(after.get())))
            .order_by("id", Order::Asc)
            .limit(limit)
            .take();
        let rows = self.read("list of doomed pictures", &select).await?;
        rows.iter().map(image_rows::doomed).collect()
    }

    /// Last step: the objects are gone, the rows go. Rows that are not doomed stay.
    pub async fn delete_doomed_images(&self, ids: &[ImageId]) -> Result<(), Error> {
        let ids: Vec<i64> = ids.iter().map(|id| id.get()).collect();
        let delete = Query::delete()
            .from_table("image")
            .and_where(self.dialect().is_one_of(Expr::col("id"), &ids))
            .and_where(is_state(State::Doomed))
            .take();
        self.execute("deletion of picture rows", &delete)
            .await
            .map(drop)
    }
}

fn change_state(state: State, now: WallTime) -> UpdateStatement {
    Query::update()
        .table("image")
        .value("state", state.as_str())
        .value("updated_us", now.micros())
        .take()
}

/// Dooms all pictures of a channel that is being deleted.
pub(crate) fn doom_images_of(channel: ChannelId, now: WallTime) -> UpdateStatement {
    change_state(State::Doomed, now)
        .and_where(Expr::col("channel").eq(channel.get()))
        .and_where(Expr::col("state").ne(State::Doomed.as_str()))
        .take()
}

fn found(count: u64, id: ImageId) -> Result<(), Error> {
    if count == 0 {
        return Err(Error::not_found(format!("picture {id}")));
    }
    Ok(())
}
