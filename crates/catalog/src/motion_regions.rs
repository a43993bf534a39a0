//! Where channels look for motion (contract section 12.3).

use crate::channel_rows::require;
use crate::sql::Row;
use crate::{Catalog, Error};
use framewell_model::{CellMap, ChannelId, MotionRegion};
use sea_query::{Expr, ExprTrait as _, LockType, Order, Query};
use std::collections::BTreeMap;

const COLUMNS: [&str; 6] = [
    "channel",
    "position",
    "enabled",
    "name",
    "sensitivity",
    "map",
];

impl Catalog {
    /// The regions of a channel in their order.
    pub async fn list_motion_regions(
        &self,
        channel: ChannelId,
    ) -> Result<Vec<MotionRegion>, Error> {
        let select = Query::select()
            .columns(COLUMNS)
            .from("motion_region")
            .and_where(Expr::col("channel").eq(channel.get()))
            .order_by("position", Order::Asc)
            .take();
        let rows = self.read("load of motion regions", &select).await?;
        rows.iter().map(region).collect()
    }

    /// All regions of the channels of which at least one is enabled, in their order.
    pub async fn enabled_motion_regions(
        &self,
    ) -> Result<BTreeMap<ChannelId, Vec<MotionRegion>>, Error> {
        let select = Query::select()
            .columns(COLUMNS)
            .from("motion_region")
            .order_by("channel", Order::Asc)
            .order_by("position", Order::Asc)
            .take();
        let rows = self.read("load of all motion regions", &select).await?;
        let mut all: BTreeMap<ChannelId, Vec<MotionRegion>> = BTreeMap::new();
        for row in &rows {
            let channel = row.id("channel", ChannelId::stored)?;
            all.entry(channel).or_default().push(region(row)?);
        }
        all.retain(|_, regions| regions.iter().any(|region| region.enabled));
        Ok(all)
    }

    /// Replaces the regions of a channel.
    pub async fn put_motion_regions(
        &self,
        channel: ChannelId,
        regions: &[MotionRegion],
    ) -> Result<(), Error> {
        let mut tx = self.begin("storing of motion regions").await?;
        require(&mut tx, channel, None, LockType::Update).await?;
        let delete = Query::delete()
            .from_table("motion_region")
            .and_where(Expr::col("channel").eq(channel.get()))
            .take();
        tx.execute(&delete).await?;
        let mut put = Query::insert();
        put.into_table("motion_region").columns(COLUMNS);
        for (position, region) in (0_i64..).zip(regions) {
            put.values_panic([
                channel.get().into(),
                position.into(),
                region.enabled.into(),
                region.name.as_str().into(),
                i64::from(region.sensitivity).into(),
                region.map.to_string().into(),
            ]);
        }
        if !regions.is_empty() {
            tx.execute(&put).await?;
        }
        tx.commit().await
    }
}

fn region(row: &Row) -> Result<MotionRegion, Error> {
    let sensitivity: i64 = row.get("sensitivity")?;
    let map: String = row.get("map")?;
    Ok(MotionRegion {
        enabled: row.get("enabled")?,
        name: row.get("name")?,
        sensitivity: u8::try_from(sensitivity).unwrap_or(MotionRegion::DEFAULT_SENSITIVITY),
        // Only what this server has written is in there.
        map: map.parse().unwrap_or(CellMap::EMPTY),
    })
}
