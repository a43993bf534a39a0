//! How many stored clips there may be, how many bytes they may take, and how long failed ones stay.

use crate::channels::only;
use crate::clip_rows::{DONE, DOOMED, ERROR};
use crate::clips::{CLIP_JOB, CLIP_RENDER_JOB, NewClip, is_state};
use crate::slice::count;
use crate::sql::Tx;
use crate::{Catalog, Error};
use framewell_model::{AccountId, ChannelId, WallTime};
use sea_query::{Expr, ExprTrait as _, Query, SelectStatement};

/// How many clips may be open, and how many bytes may be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClipLimits {
    /// Most open jobs of a channel.
    pub open_of_channel: i64,
    /// Most open jobs of an account.
    pub open_of_account: i64,
    /// Most rows of a channel, whatever became of them.
    pub rows_of_channel: i64,
    /// Most bytes of all stored clips together.
    pub bytes: Option<i64>,
    /// Most bytes of the stored clips of an account.
    pub bytes_of_account: Option<i64>,
}

/// Why a clip is not taken on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClipLimit {
    /// As many of the channel are open as may be.
    Channel,
    /// As many of the account are open as may be.
    Account,
    /// As many rows of the channel are there as may be.
    Rows,
    /// So many bytes are stored, as many as may be or more.
    Bytes(i64),
    /// The account has stored as many bytes as it may, or more.
    AccountBytes,
}

impl Catalog {
    /// Dooms clips that cannot be made and that nobody has touched since `before`, at most `limit`; how
    /// many.
    pub async fn doom_failed_clips(
        &self,
        before: WallTime,
        limit: u64,
        now: WallTime,
    ) -> Result<u64, Error> {
        let failed = Query::select()
            .column("id")
            .from("clip")
            .and_where(is_state(ERROR))
            .and_where(Expr::col("updated_us").lt(before.micros()))
            .limit(limit)
            .take();
        let doom = Query::update()
            .table("clip")
            .value("state", DOOMED)
            .value("updated_us", now.micros())
            .and_where(Expr::col("id").in_subquery(failed))
            .take();
        self.execute("dooming of failed clips", &doom).await
    }

    /// Bytes of all finished clips, or those of an account. Reads an index entry of each.
    pub async fn stored_clip_bytes(&self, account: Option<AccountId>) -> Result<i64, Error> {
        let rows = self
            .read("sum of clip sizes", &stored_bytes(account))
            .await?;
        only(&rows)?.get("total")
    }
}

/// The limit that one clip more would break.
pub(crate) async fn check_limits(
    tx: &mut Tx,
    new: &NewClip,
    limits: ClipLimits,
) -> Result<Option<ClipLimit>, Error> {
    let of_channel = Expr::col("channel").eq(new.channel.get());
    if open_jobs(tx, of_channel).await? >= limits.open_of_channel {
        return Ok(Some(ClipLimit::Channel));
    }
    let of_account = Expr::col("account").eq(new.account.get());
    if open_jobs(tx, of_account).await? >= limits.open_of_account {
        return Ok(Some(ClipLimit::Account));
    }
    if rows_of(tx, new.channel).await? >= limits.rows_of_channel {
        return Ok(Some(ClipLimit::Rows));
    }
    check_bytes(tx, new.account, limits).await
}

async fn open_jobs(tx: &mut Tx, whose: Expr) -> Result<i64, Error> {
    let open = Query::select()
        .from("job")
        .and_where(whose)
        .and_where(Expr::col("kind").is_in([CLIP_JOB, CLIP_RENDER_JOB]))
        .and_where(Expr::col("due_us").is_not_null())
        .take();
    only(&tx.fetch(&count(&open)).await?)?.get("total")
}

async fn rows_of(tx: &mut Tx, channel: ChannelId) -> Result<i64, Error> {
    let rows = Query::select()
        .from("clip")
        .and_where(Expr::col("channel").eq(channel.get()))
        .take();
    only(&tx.fetch(&count(&rows)).await?)?.get("total")
}

async fn check_bytes(
    tx: &mut Tx,
    account: AccountId,
    limits: ClipLimits,
) -> Result<Option<ClipLimit>, Error> {
    if let Some(most) = limits.bytes {
        let stored: i64 = only(&tx.fetch(&stored_bytes(None)).await?)?.get("total")?;
        if stored >= most {
            return Ok(Some(ClipLimit::Bytes(stored)));
        }
    }
    if let Some(most) = limits.bytes_of_account {
        let stored: i64 = only(&tx.fetch(&stored_bytes(Some(account))).await?)?.get("total")?;
        if stored >= most {
            return Ok(Some(ClipLimit::AccountBytes));
        }
    }
    Ok(None)
}

fn stored_bytes(account: Option<AccountId>) -> SelectStatement {
    Query::select()
        .expr_as(
            Expr::cust("CAST(COALESCE(SUM(size_bytes), 0) AS BIGINT)"),
            "total",
        )
        .from("clip")
        .and_where(is_state(DONE))
        .and_where_option(account.map(|account| Expr::col("account").eq(account.get())))
        .take()
}
