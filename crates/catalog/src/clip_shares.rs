//! Rights to see one stored clip, given away by its owner. No token text here.

use crate::channels::only;
use crate::clip_rows::DOOMED;
use crate::clips::not_found;
use crate::slice::count;
use crate::sql::Row;
use crate::{Catalog, Error};
use framewell_model::{ClipId, ClipShareId, WallTime};
use sea_query::{Expr, ExprTrait as _, Order, Query};

/// Most sharings of one clip.
pub const MOST_CLIP_SHARES: i64 = 100;

/// A sharing's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClipShare {
    /// Serial number, part of the token.
    pub id: ClipShareId,
    /// What it opens.
    pub clip: ClipId,
    /// Whole seconds.
    pub created: WallTime,
    /// Lifetime in seconds from `created`.
    pub lifetime_s: i64,
}

impl ClipShare {
    /// When it ends if nobody ends it before.
    #[must_use]
    pub const fn end(&self) -> WallTime {
        self.created
            .plus_micros(self.lifetime_s.saturating_mul(1_000_000))
    }
}

const COLUMNS: [&str; 4] = ["id", "clip", "created_us", "lifetime_s"];

impl Catalog {
    /// Gives away the right to see a clip. [`Error::Invalid`] if [`MOST_CLIP_SHARES`] are there; those
    /// whose time is over go first.
    pub async fn create_clip_share(
        &self,
        clip: ClipId,
        lifetime_s: i64,
        now: WallTime,
    ) -> Result<ClipShare, Error> {
        let mut tx = self.begin("sharing of a clip").await?;
        let select = Query::select()
            .column("id")
            .from("clip")
            .and_where(Expr::col("id").eq(clip.get()))
            .and_where(Expr::col("state").ne(DOOMED))
            .lock(sea_query::LockType::NoKeyUpdate)
            .take();
        if tx.fetch(&select).await?.is_empty() {
            return Err(not_found(clip));
        }
        let of_clip = Expr::col("clip").eq(clip.get());
        let end_us = Expr::col("created_us").add(Expr::col("lifetime_s").mul(1_000_000_i64));
        let over = Query::delete()
            .from_table("clip_share")
            .and_where(of_clip.clone())
            .and_where(end_us.lte(now.micros()))
            .take();
        tx.execute(&over).await?;
        let all = Query::select().from("clip_share").and_where(of_clip).take();
        let all: i64 = only(&tx.fetch(&count(&all)).await?)?.get("total")?;
        if all >= MOST_CLIP_SHARES {
            let text = format!("clip {clip} is shared {all} times, as often as may be");
            return Err(Error::Invalid(text));
        }
        let insert = Query::insert()
            .into_table("clip_share")
            .columns(["clip", "created_us", "lifetime_s"])
            .values_panic([
                clip.get().into(),
                WallTime::from_secs(now.secs()).micros().into(),
                lifetime_s.into(),
            ])
            .returning(Query::returning().columns(COLUMNS))
            .take();
        let created = share(only(&tx.fetch(&insert).await?)?)?;
        tx.commit().await?;
        Ok(created)
    }

    /// A sharing of any clip.
    pub async fn load_clip_share(&self, id: ClipShareId) -> Result<ClipShare, Error> {
        let select = Query::select()
            .columns(COLUMNS)
            .from("clip_share")
            .and_where(Expr::col("id").eq(id.get()))
            .take();
        let rows = self.read("load of a sharing", &select).await?;
        share(rows.first().ok_or_else(|| missing(id))?)
    }

    /// The sharings of a clip, oldest first.
    pub async fn list_clip_shares(&self, clip: ClipId) -> Result<Vec<ClipShare>, Error> {
        let select = Query::select()
            .columns(COLUMNS)
            .from("clip_share")
            .and_where(Expr::col("clip").eq(clip.get()))
            .order_by("id", Order::Asc)
            .take();
        let rows = self.read("list of sharings", &select).await?;
        rows.iter().map(share).collect()
    }

    /// Ends a sharing.
    pub async fn delete_clip_share(&self, id: ClipShareId) -> Result<(), Error> {
        let delete = Query::delete()
            .from_table("clip_share")
            .and_where(Expr::col("id").eq(id.get()))
            .take();
        match self.execute("end of a sharing", &delete).await? {
            0 => Err(missing(id)),
            _ => Ok(()),
        }
    }
}

fn missing(id: ClipShareId) -> Error {
    Error::not_found(format!("sharing {id}"))
}

fn share(row: &Row) -> Result<ClipShare, Error> {
    Ok(ClipShare {
        id: row.id("id", ClipShareId::new)?,
        clip: row.id("clip", ClipId::new)?,
        created: WallTime::from_micros(row.get("created_us")?),
        lifetime_s: row.get("lifetime_s")?,
    })
}
