//! Footage that has to stay.

use crate::channel_rows::require;
use crate::channels::only;
use crate::slice::check_key;
use crate::sql::{Row, Tx};
use crate::{Catalog, Error};
use framewell_model::{ChannelId, Hold, HoldId, NewHold, TimeRange, WallTime};
use sea_query::{Expr, ExprTrait as _, Func, LockType, Order, Query, SelectStatement};

/// Most holds of a channel: a search for footage that may go looks at all of them.
pub const MOST_HOLDS: i64 = 1_000;

const COLUMNS: [&str; 7] = [
    "id",
    "channel",
    "name",
    "start_us",
    "end_us",
    "expires_us",
    "created_us",
];

impl Catalog {
    /// Makes a hold, which counts from now on. [`Error::Invalid`] for a name that is empty or too long, and
    /// beyond [`MOST_HOLDS`]; [`Error::NotFound`] if the channel is gone.
    pub async fn create_hold(&self, new: &NewHold, now: WallTime) -> Result<Hold, Error> {
        check_key("the name of a hold", &new.name)?;
        let mut tx = self.begin("making of a hold").await?;
        require(&mut tx, new.channel, None, LockType::NoKeyUpdate).await?;
        let count = Query::select()
            .expr_as(Expr::cust("COUNT(*)"), "total")
            .from("hold")
            .and_where(Expr::col("channel").eq(new.channel.get()))
            .take();
        let held: i64 = only(&tx.fetch(&count).await?)?.get("total")?;
        if held >= MOST_HOLDS {
            let text = format!("the channel has {held} holds; a channel has {MOST_HOLDS} at most");
            return Err(Error::Invalid(text));
        }
        let insert = Query::insert()
            .into_table("hold")
            .columns(COLUMNS.into_iter().skip(1))
            .values_panic([
                new.channel.get().into(),
                new.name.as_str().into(),
                new.range.start.micros().into(),
                new.range.end.micros().into(),
                new.expires.map(WallTime::micros).into(),
                now.micros().into(),
            ])
            .returning_col("id")
            .take();
        let id = only(&tx.fetch(&insert).await?)?.id("id", HoldId::new)?;
        tx.commit().await?;
        Ok(Hold {
            id,
            channel: new.channel,
            name: new.name.clone(),
            range: new.range,
            expires: new.expires,
            created: now,
        })
    }

    /// Holds of a channel, by the start of their ranges; one that has expired may still be among them.
    pub async fn list_holds(&self, channel: ChannelId) -> Result<Vec<Hold>, Error> {
        let select = Query::select()
            .columns(COLUMNS)
            .from("hold")
            .and_where(Expr::col("channel").eq(channel.get()))
            .order_by("start_us", Order::Asc)
            .order_by("id", Order::Asc)
            .take();
        let rows = self.read("list of holds", &select).await?;
        rows.iter().map(hold).collect()
    }

    /// All holds of all channels that count at `now`.
    pub async fn standing_holds(&self, now: WallTime) -> Result<Vec<Hold>, Error> {
        let select = standing(now).columns(COLUMNS).take();
        let rows = self.read("list of standing holds", &select).await?;
        rows.iter().map(hold).collect()
    }

    /// Ends a hold. [`Error::NotFound`] if there is none of that number on the channel.
    pub async fn delete_hold(&self, channel: ChannelId, id: HoldId) -> Result<(), Error> {
        let delete = Query::delete()
            .from_table("hold")
            .and_where(Expr::col("channel").eq(channel.get()))
            .and_where(Expr::col("id").eq(id.get()))
            .take();
        match self.execute("end of a hold", &delete).await? {
            0 => Err(Error::not_found(format!("hold {id}"))),
            _ => Ok(()),
        }
    }

    /// Removes holds that have expired, which count no more anyway.
    pub async fn delete_expired_holds(&self, now: WallTime) -> Result<u64, Error> {
        let delete = Query::delete()
            .from_table("hold")
            .and_where(Expr::col("expires_us").lte(now.micros()))
            .take();
        self.execute("end of expired holds", &delete).await
    }
}

/// Holds that count at `now`.
fn standing(now: WallTime) -> SelectStatement {
    let expires = Expr::col(("hold", "expires_us"));
    Query::select()
        .from("hold")
        .and_where(expires.clone().is_null().or(expires.gt(now.micros())))
        .take()
}

/// Whether no hold keeps the row of `segment` that the outer statement looks at.
pub(crate) fn is_free(now: WallTime) -> Expr {
    let keeping = standing(now)
        .expr(Expr::cust("1"))
        // A hold keeps all streams of its channel.
        .and_where(Expr::col(("hold", "channel")).eq(Func::abs(Expr::col(("segment", "channel")))))
        .and_where(Expr::col(("hold", "start_us")).lt(Expr::col(("segment", "end_us"))))
        .and_where(Expr::col(("hold", "end_us")).gt(Expr::col(("segment", "start_us"))))
        .take();
    Expr::exists(keeping).not()
}

/// Name of a hold that keeps footage of the channel, in a range where one is given.
pub(crate) async fn keeper(
    tx: &mut Tx,
    channel: ChannelId,
    range: Option<TimeRange>,
    now: WallTime,
) -> Result<Option<String>, Error> {
    let mut select = standing(now);
    select
        .column("name")
        .and_where(Expr::col("channel").eq(channel.main().get()))
        .limit(1);
    if let Some(range) = range {
        select
            .and_where(Expr::col("start_us").lt(range.end.micros()))
            .and_where(Expr::col("end_us").gt(range.start.micros()));
    }
    let rows = tx.fetch(&select).await?;
    rows.first().map(|row| row.get("name")).transpose()
}

fn hold(row: &Row) -> Result<Hold, Error> {
    let time = |column| Ok::<_, Error>(WallTime::from_micros(row.get(column)?));
    let range = TimeRange::new(time("start_us")?, time("end_us")?);
    let expires = row.get::<Option<i64>>("expires_us")?;
    Ok(Hold {
        id: row.id("id", HoldId::new)?,
        channel: row.id("channel", ChannelId::stored)?,
        name: row.get("name")?,
        range: range.ok_or_else(|| Error::corrupt("end_us", "the hold ends before it starts"))?,
        expires: expires.map(WallTime::from_micros),
        created: time("created_us")?,
    })
}
