//! Rows that are made again with the numbers that they had, after a database was lost.

use crate::channels::{only, require_account};
use crate::sql::{Dialect, Row, Tx};
use crate::text::fold;
use crate::{Catalog, Error};
use framewell_model::{AccountId, ChannelId, RecMode, WallTime};
use sea_query::{Expr, ExprTrait as _, Func, InsertStatement, Query};

/// Highest number of a channel that is restored: every reader of JSON can tell it from the next one, and there is
/// room for those that come after it.
const MOST_RESTORED: i64 = 1 << 52;

impl Catalog {
    /// Makes a channel with this number, without a source, not recording; `false` if there is a channel of
    /// this number. The channel of a sub stream is made with it, where there is none. Nobody may create
    /// channels at the same time. [`Error::Invalid`] for a number of which no channel can have been: the next one
    /// would have none.
    pub async fn restore_channel(
        &self,
        account: AccountId,
        id: ChannelId,
        name: &str,
        now: WallTime,
    ) -> Result<bool, Error> {
        check_number(id)?;
        let mut tx = self.begin("restoring of a channel").await?;
        require_account(&mut tx, account).await?;
        if owner(&mut tx, id).await?.is_some() {
            return Ok(false);
        }
        let account = match owner(&mut tx, id.main()).await? {
            Some(owner) => owner,
            None => {
                let insert = insertion(account, id.main(), name, now);
                tx.execute(&insert).await?;
                account
            }
        };
        if id != id.main() {
            tx.execute(&insertion(account, id, "", now)).await?;
        }
        if self.dialect() == Dialect::Postgres {
            let newest = Query::select()
                .expr_as(Func::max(Expr::col("id")), "newest")
                .from("channel")
                .take();
            let newest: i64 = only(&tx.fetch(&newest).await?)?.get("newest")?;
            set_next(&mut tx, "channel", "id", newest + 1).await?;
        }
        tx.commit().await?;
        self.note_channel_change();
        Ok(true)
    }

    /// In a database without tokens, gives the next token this serial number: tokens are derived from
    /// serial numbers, so those of a database that was lost would open what has got their numbers since.
    /// `false` if there are tokens.
    pub async fn skip_token_serials(&self, next: i64) -> Result<bool, Error> {
        let mut tx = self.begin("skipping of serial numbers").await?;
        let any = Query::select()
            .column("serial")
            .from("token")
            .limit(1)
            .take();
        if !tx.fetch(&any).await?.is_empty() {
            return Ok(false);
        }
        match self.dialect() {
            Dialect::Postgres => set_next(&mut tx, "token", "serial", next).await?,
            Dialect::Sqlite => {
                let forget = Query::delete()
                    .from_table("sqlite_sequence")
                    .and_where(Expr::col("name").eq("token"))
                    .take();
                tx.execute(&forget).await?;
                let insert = Query::insert()
                    .into_table("sqlite_sequence")
                    .columns(["name", "seq"])
                    .values_panic(["token".into(), (next - 1).into()])
                    .take();
                tx.execute(&insert).await?;
            }
        }
        tx.commit().await?;
        Ok(true)
    }
}

fn check_number(id: ChannelId) -> Result<(), Error> {
    if id.main().get() <= MOST_RESTORED {
        return Ok(());
    }
    let text = format!("no channel has the number {id}: they end at {MOST_RESTORED}");
    Err(Error::Invalid(text))
}

/// Whose the channel is; `None` if there is none.
async fn owner(tx: &mut Tx, id: ChannelId) -> Result<Option<AccountId>, Error> {
    let account = Query::select()
        .column("account")
        .from("channel")
        .and_where(Expr::col("id").eq(id.get()))
        .take();
    let rows = tx.fetch(&account).await?;
    let account = |row: &Row| row.id("account", AccountId::new);
    rows.first().map(account).transpose()
}

fn insertion(account: AccountId, id: ChannelId, name: &str, now: WallTime) -> InsertStatement {
    Query::insert()
        .into_table("channel")
        .columns([
            "id",
            "account",
            "name",
            "name_folded",
            "created_us",
            "rec_mode",
            "timezone",
        ])
        .values_panic([
            id.get().into(),
            account.get().into(),
            name.into(),
            fold(name).into(),
            now.micros().into(),
            RecMode::Off.as_str().into(),
            "UTC".into(),
        ])
        .take()
}

/// Which number the sequence of a PostgreSQL identity column gives next.
async fn set_next(
    tx: &mut Tx,
    table: &'static str,
    column: &'static str,
    next: i64,
) -> Result<(), Error> {
    let set = Expr::cust_with_values(
        "setval(pg_get_serial_sequence($1, $2), $3, false)",
        [
            sea_query::Value::from(table),
            sea_query::Value::from(column),
            sea_query::Value::from(next),
        ],
    );
    tx.fetch(&Query::select().expr(set).take()).await.map(drop)
}
