//! Tags of channels (contract section 4.3).

use crate::channel_rows::{not_found, require, select_tags};
use crate::slice::check_key;
use crate::{Catalog, Error};
use framewell_model::ChannelId;
use sea_query::{Expr, ExprTrait as _, InsertStatement, LockType, OnConflict, Query};
use std::collections::BTreeMap;

impl Catalog {
    /// Adds a tag; [`Error::AlreadyExists`] if the channel has it.
    pub async fn create_channel_tag(
        &self,
        id: ChannelId,
        tag: &str,
        data: &str,
    ) -> Result<(), Error> {
        let mut conflict = OnConflict::columns(["channel", "tag"]);
        let insert = insert(id, tag, data, conflict.do_nothing())?;
        if self.insert_tag(id, &insert).await? == 0 {
            let what = format!("tag {tag:?} of channel {id}");
            return Err(Error::AlreadyExists { what });
        }
        self.note_channel_change();
        Ok(())
    }

    /// Sets a tag, new or not.
    pub async fn put_channel_tag(&self, id: ChannelId, tag: &str, data: &str) -> Result<(), Error> {
        let mut conflict = OnConflict::columns(["channel", "tag"]);
        let insert = insert(id, tag, data, conflict.update_column("data"))?;
        self.insert_tag(id, &insert).await?;
        self.note_channel_change();
        Ok(())
    }

    /// Removes a tag; [`Error::NotFound`] if the channel does not have it.
    pub async fn delete_channel_tag(&self, id: ChannelId, tag: &str) -> Result<(), Error> {
        let delete = Query::delete()
            .from_table("channel_tag")
            .and_where(Expr::col("channel").eq(id.get()))
            .and_where(Expr::col("tag").eq(tag))
            .take();
        if self.execute("deletion of a tag", &delete).await? == 0 {
            return Err(Error::not_found(format!("tag {tag:?} of channel {id}")));
        }
        self.note_channel_change();
        Ok(())
    }

    /// All tags of a channel.
    pub async fn load_channel_tags(
        &self,
        id: ChannelId,
    ) -> Result<BTreeMap<String, String>, Error> {
        const OPERATION: &str = "load of tags";
        let exists = Query::select()
            .column("id")
            .from("channel")
            .and_where(Expr::col("id").eq(id.get()))
            .take();
        if self.read(OPERATION, &exists).await?.is_empty() {
            return Err(not_found(id));
        }
        let tags = select_tags(Expr::col("channel").eq(id.get()));
        let rows = self.read(OPERATION, &tags).await?;
        rows.iter()
            .map(|row| Ok((row.get("tag")?, row.get("data")?)))
            .collect()
    }

    async fn insert_tag(&self, id: ChannelId, insert: &InsertStatement) -> Result<u64, Error> {
        let mut tx = self.begin("storing of a tag").await?;
        require(&mut tx, id, None, LockType::KeyShare).await?;
        let count = tx.execute(insert).await?;
        tx.commit().await?;
        Ok(count)
    }
}

fn insert(
    id: ChannelId,
    tag: &str,
    data: &str,
    conflict: &OnConflict,
) -> Result<InsertStatement, Error> {
    check_key("the name of a tag", tag)?;
    Ok(Query::insert()
        .into_table("channel_tag")
        .columns(["channel", "tag", "data"])
        .values_panic([id.get().into(), tag.into(), data.into()])
        .on_conflict(conflict.clone())
        .take())
}
