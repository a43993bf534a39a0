//! Reading published pictures.

use crate::channels::only;
use crate::image_rows::{image, is_state, with_columns};
use crate::slice::count;
use crate::{Catalog, Error, Order, Page, Slice};
use framewell_model::{
    ChannelId, ImageId, ImageOrigin, SegmentState as State, StoredImage, WallTime,
};
use sea_query::{Expr, ExprTrait as _, Query};

/// Which pictures a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageFilter {
    /// Of these channels.
    pub channels: Vec<ChannelId>,
    /// Captured at or after.
    pub start: Option<WallTime>,
    /// Captured at or before.
    pub end: Option<WallTime>,
    /// Of one of these origins; `None` for all, an empty list for none.
    pub origins: Option<Vec<ImageOrigin>>,
    /// Made by one of these tasks or events.
    pub origin_ids: Option<Vec<i64>>,
}

impl Catalog {
    /// Published pictures by capture time.
    pub async fn list_images(
        &self,
        filter: &ImageFilter,
        order: Order,
        slice: Slice,
    ) -> Result<Page<StoredImage>, Error> {
        const OPERATION: &str = "list of pictures";
        let channels: Vec<i64> = filter.channels.iter().map(|id| id.get()).collect();
        let is_wanted = |column, wanted| self.dialect().is_one_of(Expr::col(column), wanted);
        let origins = filter.origins.as_ref().map(|origins| {
            let words = origins.iter().map(|origin| origin.as_str());
            Expr::col("origin").is_in(words)
        });
        let origin_ids = filter.origin_ids.as_ref().map(|ids| {
            // The index of tasks holds only rows that have one.
            is_wanted("origin_id", ids).and(Expr::cust("origin_id <> 0"))
        });
        let matching = Query::select()
            .from("image")
            .and_where(is_wanted("channel", &channels))
            .and_where(is_state(State::Published))
            .and_where_option(filter.start.map(|at| Expr::col("time_us").gte(at.micros())))
            .and_where_option(filter.end.map(|at| Expr::col("time_us").lte(at.micros())))
            .and_where_option(origins)
            .and_where_option(origin_ids)
            .take();
        let total = only(&self.read(OPERATION, &count(&matching)).await?)?.get("total")?;
        let order = sea_query::Order::from(order);
        let mut page = with_columns(matching)
            .order_by("time_us", order.clone())
            .order_by("id", order)
            .take();
        slice.apply(&mut page);
        let rows = self.read(OPERATION, &page).await?;
        let items = rows.iter().map(image).collect::<Result<_, _>>()?;
        Ok(Page { items, total })
    }

    /// A published picture of any channel.
    pub async fn load_image(&self, id: ImageId) -> Result<StoredImage, Error> {
        let select = with_columns(Query::select().from("image").take())
            .and_where(Expr::col("id").eq(id.get()))
            .and_where(is_state(State::Published))
            .take();
        let rows = self.read("load of a picture", &select).await?;
        let missing = || Error::not_found(format!("picture {id}"));
        image(rows.first().ok_or_else(missing)?)
    }

    /// Capture time of the newest published picture of a channel and origin: where a follower goes on.
    pub async fn newest_image_time(
        &self,
        channel: ChannelId,
        origin: ImageOrigin,
    ) -> Result<Option<WallTime>, Error> {
        let newest = Query::select()
            .expr_as(Expr::col("time_us").max(), "newest_us")
            .from("image")
            .and_where(Expr::col("channel").eq(channel.get()))
            .and_where(Expr::col("origin").eq(origin.as_str()))
            .and_where(is_state(State::Published))
            .take();
        let rows = self.read("search for the newest picture", &newest).await?;
        let newest: Option<i64> = only(&rows)?.get("newest_us")?;
        Ok(newest.map(WallTime::from_micros))
    }

    /// Start of the oldest published footage of a channel.
    pub async fn oldest_footage(&self, channel: ChannelId) -> Result<Option<WallTime>, Error> {
        let oldest = Query::select()
            .expr_as(Expr::col("start_us").min(), "oldest_us")
            .from("segment")
            .and_where(Expr::col("channel").eq(channel.get()))
            .and_where(is_state(State::Published))
            .take();
        let rows = self.read("search for the oldest footage", &oldest).await?;
        let oldest: Option<i64> = only(&rows)?.get("oldest_us")?;
        Ok(oldest.map(WallTime::from_micros))
    }
}
