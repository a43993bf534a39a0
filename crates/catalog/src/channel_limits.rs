//! Quotas of channels (contract section 4.4): numbers by name. This crate gives no name a meaning, apart
//! from [`META_MAX_AGE`].

use crate::channel_rows::require;
use crate::slice::check_key;
use crate::{Catalog, Error};
use framewell_model::ChannelId;
use sea_query::{Expr, ExprTrait as _, LockType, OnConflict, Query};
use std::collections::BTreeMap;

/// Hours that metadata documents and events of a channel are kept.
pub const META_MAX_AGE: &str = "meta_max_age";

impl Catalog {
    /// The limits of a channel; what is not there is unlimited.
    pub async fn load_channel_limits(
        &self,
        channel: ChannelId,
    ) -> Result<BTreeMap<String, f64>, Error> {
        let select = Query::select()
            .columns(["name", "value"])
            .from("channel_limit")
            .and_where(Expr::col("channel").eq(channel.get()))
            .take();
        let rows = self.read("load of limits", &select).await?;
        rows.iter()
            .map(|row| Ok((row.get("name")?, number(&row.get::<String>("value")?)?)))
            .collect()
    }

    /// Sets limits of a channel; `None` removes one, others stay.
    pub async fn put_channel_limits(
        &self,
        channel: ChannelId,
        limits: &BTreeMap<String, Option<f64>>,
    ) -> Result<(), Error> {
        let mut tx = self.begin("storing of limits").await?;
        require(&mut tx, channel, None, LockType::KeyShare).await?;
        for (name, value) in limits {
            check_key("the name of a limit", name)?;
            let Some(value) = value else {
                let delete = Query::delete()
                    .from_table("channel_limit")
                    .and_where(Expr::col("channel").eq(channel.get()))
                    .and_where(Expr::col("name").eq(name.as_str()))
                    .take();
                tx.execute(&delete).await?;
                continue;
            };
            let put = Query::insert()
                .into_table("channel_limit")
                .columns(["channel", "name", "value"])
                .values_panic([
                    channel.get().into(),
                    name.as_str().into(),
                    // Shortest text that reads back as the same number.
                    format!("{value:?}").into(),
                ])
                .on_conflict(
                    OnConflict::columns(["channel", "name"])
                        .update_column("value")
                        .to_owned(),
                )
                .take();
            tx.execute(&put).await?;
        }
        tx.commit().await
    }

    /// Every channel that has this limit.
    pub async fn channels_with_limit(&self, name: &str) -> Result<Vec<(ChannelId, f64)>, Error> {
        let select = Query::select()
            .columns(["channel", "value"])
            .from("channel_limit")
            .and_where(Expr::col("name").eq(name))
            .take();
        let rows = self.read("search for limits", &select).await?;
        rows.iter()
            .map(|row| {
                let value = number(&row.get::<String>("value")?)?;
                Ok((row.id("channel", ChannelId::stored)?, value))
            })
            .collect()
    }
}

fn number(text: &str) -> Result<f64, Error> {
    text.parse()
        .map_err(|_| Error::corrupt("value", format!("{text:?} is no number")))
}
