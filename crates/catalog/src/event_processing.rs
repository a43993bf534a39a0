//! What channels do on events (contract section 10.5).

use crate::channel_rows::require;
use crate::slice::check_key;
use crate::sql::Row;
use crate::{Catalog, Error};
use framewell_model::{ChannelId, EventProcessing};
use sea_query::{Expr, ExprTrait as _, LockType, OnConflict, Order, Query};

const COLUMNS: [&str; 8] = [
    "name",
    "notify",
    "receive",
    "record",
    "snapshot",
    "generate_images",
    "period_s",
    "is_custom",
];

impl Catalog {
    /// What somebody has set for a channel, ascending by name.
    pub async fn list_event_processing(
        &self,
        channel: ChannelId,
    ) -> Result<Vec<EventProcessing>, Error> {
        let select = Query::select()
            .columns(COLUMNS)
            .from("event_processing")
            .and_where(Expr::col("channel").eq(channel.get()))
            .order_by("name", Order::Asc)
            .take();
        let rows = self.read("load of event processing", &select).await?;
        rows.iter().map(processing).collect()
    }

    /// What somebody has set for events of one name.
    pub async fn load_event_processing(
        &self,
        channel: ChannelId,
        name: &str,
    ) -> Result<Option<EventProcessing>, Error> {
        let select = Query::select()
            .columns(COLUMNS)
            .from("event_processing")
            .and_where(Expr::col("channel").eq(channel.get()))
            .and_where(Expr::col("name").eq(name))
            .take();
        let rows = self.read("load of event processing", &select).await?;
        rows.first().map(processing).transpose()
    }

    /// Channels and names of events around which footage is kept.
    pub async fn list_recorded_events(&self) -> Result<Vec<(ChannelId, String)>, Error> {
        let select = Query::select()
            .columns(["channel", "name"])
            .from("event_processing")
            .and_where(Expr::col("record").eq(true))
            .take();
        let rows = self.read("load of event processing", &select).await?;
        rows.iter()
            .map(|row| Ok((row.id("channel", ChannelId::stored)?, row.get("name")?)))
            .collect()
    }

    /// Sets it, new or not.
    pub async fn put_event_processing(
        &self,
        channel: ChannelId,
        processing: &EventProcessing,
    ) -> Result<(), Error> {
        check_key("the name of an event", &processing.name)?;
        let mut tx = self.begin("storing of event processing").await?;
        require(&mut tx, channel, None, LockType::KeyShare).await?;
        let put = Query::insert()
            .into_table("event_processing")
            .columns(["channel"].into_iter().chain(COLUMNS))
            .values_panic([
                channel.get().into(),
                processing.name.as_str().into(),
                processing.notify.into(),
                processing.receive.into(),
                processing.record.into(),
                processing.snapshot.into(),
                processing.generate_images.into(),
                processing.period_s.into(),
                processing.is_custom.into(),
            ])
            .on_conflict(
                OnConflict::columns(["channel", "name"])
                    .update_columns(COLUMNS.into_iter().filter(|column| *column != "name"))
                    .to_owned(),
            )
            .take();
        tx.execute(&put).await?;
        tx.commit().await
    }

    /// Forgets it; [`Error::NotFound`] if nobody had set it.
    pub async fn delete_event_processing(
        &self,
        channel: ChannelId,
        name: &str,
    ) -> Result<(), Error> {
        let delete = Query::delete()
            .from_table("event_processing")
            .and_where(Expr::col("channel").eq(channel.get()))
            .and_where(Expr::col("name").eq(name))
            .take();
        if self
            .execute("deletion of event processing", &delete)
            .await?
            == 0
        {
            let what = format!("event processing {name:?} of channel {channel}");
            return Err(Error::not_found(what));
        }
        Ok(())
    }
}

fn processing(row: &Row) -> Result<EventProcessing, Error> {
    Ok(EventProcessing {
        name: row.get("name")?,
        notify: row.get("notify")?,
        receive: row.get("receive")?,
        record: row.get("record")?,
        snapshot: row.get("snapshot")?,
        generate_images: row.get("generate_images")?,
        period_s: row.get("period_s")?,
        is_custom: row.get("is_custom")?,
    })
}
