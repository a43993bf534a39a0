//! Sub streams: rows of `channel` with the negative number of their channel (see
//! [`framewell_model::StreamKind`]). They belong to no list and no group; their channel does.

use crate::channel_rows::require;
use crate::channels::{change, doom_all_of, load_locked};
use crate::{Catalog, Error};
use framewell_model::{AccountId, Channel, ChannelId, ChannelPatch, RecMode, StreamKind, WallTime};
use sea_query::{Expr, ExprTrait as _, LockType, Query};

impl Catalog {
    /// The sub stream of a channel as a channel of its own, with its own source, recording mode and retention;
    /// `None` if it has none.
    pub async fn load_sub_stream(&self, channel: ChannelId) -> Result<Option<Channel>, Error> {
        match self.load_channel(channel.of(StreamKind::Sub)).await {
            Ok(sub) => Ok(Some(sub)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Changes the sub stream of a channel of the account; makes one that is not recorded if there is none.
    pub async fn put_sub_stream(
        &self,
        account: AccountId,
        channel: ChannelId,
        patch: &ChannelPatch,
        now: WallTime,
    ) -> Result<Channel, Error> {
        let sub = channel.of(StreamKind::Sub);
        let mut tx = self.begin("change of a sub stream").await?;
        // Nobody else makes it, nor deletes the channel, until the transaction ends.
        require(
            &mut tx,
            channel.main(),
            Some(account),
            LockType::NoKeyUpdate,
        )
        .await?;
        let is_there = Query::select()
            .column("id")
            .from("channel")
            .and_where(Expr::col("id").eq(sub.get()))
            .take();
        if tx.fetch(&is_there).await?.is_empty() {
            let timezone = load_locked(&mut tx, channel.main()).await?.timezone;
            let insert = Query::insert()
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
                    sub.get().into(),
                    account.get().into(),
                    "".into(),
                    "".into(),
                    now.micros().into(),
                    RecMode::Off.as_str().into(),
                    timezone.into(),
                ])
                .take();
            tx.execute(&insert).await?;
        }
        let changed = change(&mut tx, sub, patch).await?;
        tx.commit().await?;
        self.note_channel_change();
        Ok(changed)
    }

    /// Deletes the sub stream of a channel of the account with its gaps; its segments become doomed. What
    /// is stored of the main stream stays. [`Error::Held`] while a hold of the channel stands,
    /// [`Error::NotFound`] without a sub stream.
    pub async fn delete_sub_stream(
        &self,
        account: AccountId,
        channel: ChannelId,
        now: WallTime,
    ) -> Result<(), Error> {
        let mut tx = self.begin("deletion of a sub stream").await?;
        require(&mut tx, channel.main(), Some(account), LockType::Update).await?;
        let sub = channel.of(StreamKind::Sub);
        require(&mut tx, sub, Some(account), LockType::Update).await?;
        doom_all_of(&mut tx, sub, now).await?;
        tx.commit().await?;
        self.note_channel_change();
        Ok(())
    }
}

/// Leaves sub streams out.
pub(crate) fn is_main() -> Expr {
    Expr::col(("channel", "id")).gt(0)
}
