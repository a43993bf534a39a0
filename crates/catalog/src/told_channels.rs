//! Of which channels a listener keeps something, so that it can be told to forget deleted ones.

use crate::{Catalog, Error};
use framewell_model::ChannelId;
use sea_query::{Expr, ExprTrait as _, OnConflict, Query};
use std::collections::BTreeSet;

/// Most channels of one statement.
const AT_ONCE: usize = 1_000;

impl Catalog {
    /// The channels, also deleted ones, that a listener of this name was told of.
    pub async fn load_told_channels(&self, name: &str) -> Result<BTreeSet<ChannelId>, Error> {
        let select = Query::select()
            .column("channel")
            .from("told_channel")
            .and_where(Expr::col("name").eq(name))
            .take();
        let rows = self.read("load of told channels", &select).await?;
        let ids = rows.iter().map(|row| row.get::<i64>("channel"));
        let ids: Vec<i64> = ids.collect::<Result<_, _>>()?;
        Ok(ids.into_iter().filter_map(ChannelId::new).collect())
    }

    /// Writes down that it is told of these.
    pub async fn save_told_channels(&self, name: &str, ids: &[ChannelId]) -> Result<(), Error> {
        let mut tx = self.begin("saving of told channels").await?;
        for ids in ids.chunks(AT_ONCE) {
            let mut insert = Query::insert();
            insert
                .into_table("told_channel")
                .columns(["name", "channel"])
                .on_conflict(
                    OnConflict::columns(["name", "channel"])
                        .do_nothing()
                        .to_owned(),
                );
            for id in ids {
                insert.values_panic([name.into(), id.get().into()]);
            }
            tx.execute(&insert).await?;
        }
        tx.commit().await
    }

    /// Writes down that it has forgotten these.
    pub async fn delete_told_channels(&self, name: &str, ids: &[ChannelId]) -> Result<(), Error> {
        let mut tx = self.begin("deletion of told channels").await?;
        for ids in ids.chunks(AT_ONCE) {
            let delete = Query::delete()
                .from_table("told_channel")
                .and_where(Expr::col("name").eq(name))
                .and_where(Expr::col("channel").is_in(ids.iter().map(|id| id.get())))
                .take();
            tx.execute(&delete).await?;
        }
        tx.commit().await
    }
}
