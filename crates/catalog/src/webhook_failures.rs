//! Deliveries that were given up: kept, shown, and sent again on request.

use crate::channels::only;
use crate::slice::count;
use crate::sql::Tx;
use crate::webhook_rows::{FAILURE_COLUMNS, failure};
use crate::webhooks::{Trouble, Webhook, WebhookCursors, troubled};
use crate::{Catalog, Error, Order, Page, Slice};
use framewell_model::{DeliveryId, WallTime, WebhookId};
use sea_query::{Expr, ExprTrait as _, OnConflict, Query};

/// Most failures kept of a webhook; the oldest go.
const MOST_FAILURES: usize = 1_000;
/// Most bytes of their bodies together; the oldest go. One may have a few MiB.
const MOST_BYTES: i64 = 64 << 20;

/// A delivery that is given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFailure {
    /// What would have been sent.
    pub body: String,
    /// How many events or documents that is.
    pub entries: i64,
    /// How often it was tried.
    pub attempts: i64,
    /// Why the last attempt failed.
    pub trouble: Trouble,
}

/// A delivery that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookFailure {
    /// Key.
    pub id: DeliveryId,
    /// Whose.
    pub webhook: WebhookId,
    /// How many events or documents it is about.
    pub entries: i64,
    /// How often it was tried.
    pub attempts: i64,
    /// Why the last attempt failed.
    pub trouble: Trouble,
    /// When it was given up.
    pub created: WallTime,
}

impl Catalog {
    /// Gives up a delivery: keeps it as a failure and goes on behind it, either both or nothing. `false`
    /// and nothing if the webhook was changed since it was seen, or has got further.
    pub async fn give_up_delivery(
        &self,
        seen: &Webhook,
        cursors: WebhookCursors,
        failure: &NewFailure,
        now: WallTime,
    ) -> Result<bool, Error> {
        let id = seen.id;
        let mut tx = self.begin("giving up a delivery").await?;
        let update = troubled(id, &failure.trouble)
            .value("event_cursor", cursors.event)
            .value("document_cursor", cursors.document)
            .value("attempts", 0)
            .value("next_us", None::<i64>)
            .value("given_up", Expr::col("given_up").add(1))
            .and_where(Expr::col("version").eq(seen.version))
            .and_where(Expr::col("event_cursor").lte(cursors.event))
            .and_where(Expr::col("document_cursor").lte(cursors.document))
            .take();
        if tx.execute(&update).await? == 0 {
            return Ok(false);
        }
        let insert = Query::insert()
            .into_table("webhook_failure")
            .columns([
                "webhook",
                "body",
                "entries",
                "attempts",
                "status",
                "error",
                "created_us",
            ])
            .values_panic([
                id.get().into(),
                failure.body.as_str().into(),
                failure.entries.into(),
                failure.attempts.into(),
                failure.trouble.status.map(i64::from).into(),
                failure.trouble.error.as_str().into(),
                now.micros().into(),
            ])
            .take();
        tx.execute(&insert).await?;
        drop_oldest(&mut tx, id).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// The failures of a webhook by id.
    pub async fn list_webhook_failures(
        &self,
        id: WebhookId,
        order: Order,
        slice: Slice,
    ) -> Result<Page<WebhookFailure>, Error> {
        const OPERATION: &str = "list of failures";
        let matching = Query::select()
            .from("webhook_failure")
            .and_where(Expr::col("webhook").eq(id.get()))
            .take();
        let total = only(&self.read(OPERATION, &count(&matching)).await?)?.get("total")?;
        let mut page = matching;
        page.columns(FAILURE_COLUMNS).order_by("id", order.into());
        slice.apply(&mut page);
        let rows = self.read(OPERATION, &page).await?;
        let items = rows.iter().map(failure).collect::<Result<_, _>>()?;
        Ok(Page { items, total })
    }

    /// A failure and what was to be sent.
    pub async fn load_webhook_failure(
        &self,
        id: DeliveryId,
    ) -> Result<(WebhookFailure, String), Error> {
        let select = Query::select()
            .columns(FAILURE_COLUMNS)
            .column("body")
            .from("webhook_failure")
            .and_where(Expr::col("id").eq(id.get()))
            .take();
        let rows = self.read("load of a failure", &select).await?;
        let missing = || Error::not_found(format!("failure {id}"));
        let row = rows.first().ok_or_else(missing)?;
        Ok((failure(row)?, row.get("body")?))
    }

    /// Forgets a failure: it was delivered in the end.
    pub async fn delete_webhook_failure(&self, id: DeliveryId) -> Result<(), Error> {
        let delete = Query::delete()
            .from_table("webhook_failure")
            .and_where(Expr::col("id").eq(id.get()))
            .take();
        self.execute("deletion of a failure", &delete)
            .await
            .map(drop)
    }

    /// A failure failed once more.
    pub async fn renew_webhook_failure(
        &self,
        id: DeliveryId,
        attempts: i64,
        trouble: &Trouble,
    ) -> Result<(), Error> {
        let update = Query::update()
            .table("webhook_failure")
            .value("attempts", attempts)
            .value("status", trouble.status.map(i64::from))
            .value("error", trouble.error.as_str())
            .and_where(Expr::col("id").eq(id.get()))
            .take();
        self.execute("renewal of a failure", &update)
            .await
            .map(drop)
    }

    /// How far a feed has been told to a listener of this name; `None` if it has never been.
    pub async fn load_feed_cursor(&self, name: &str) -> Result<Option<i64>, Error> {
        let select = Query::select()
            .column("revision")
            .from("feed_cursor")
            .and_where(Expr::col("name").eq(name))
            .take();
        let rows = self.read("load of a cursor", &select).await?;
        rows.first().map(|row| row.get("revision")).transpose()
    }

    /// Writes that down.
    pub async fn save_feed_cursor(&self, name: &str, revision: i64) -> Result<(), Error> {
        let put = Query::insert()
            .into_table("feed_cursor")
            .columns(["name", "revision"])
            .values_panic([name.into(), revision.into()])
            .on_conflict(
                OnConflict::column("name")
                    .update_column("revision")
                    .to_owned(),
            )
            .take();
        let mut tx = self.begin("saving of a cursor").await?;
        tx.execute(&put).await?;
        tx.commit().await
    }
}

/// Drops what is too much, from the oldest on.
async fn drop_oldest(tx: &mut Tx, id: WebhookId) -> Result<(), Error> {
    let newest_first = Query::select()
        .column("id")
        .expr_as(Expr::cust("CAST(OCTET_LENGTH(body) AS BIGINT)"), "bytes")
        .from("webhook_failure")
        .and_where(Expr::col("webhook").eq(id.get()))
        .order_by("id", sea_query::Order::Desc)
        .take();
    let mut total = 0;
    for (index, row) in tx.fetch(&newest_first).await?.iter().enumerate() {
        total += row.get::<i64>("bytes")?;
        if index >= MOST_FAILURES || total > MOST_BYTES {
            let too_much = Query::delete()
                .from_table("webhook_failure")
                .and_where(Expr::col("webhook").eq(id.get()))
                .and_where(Expr::col("id").lte(row.get::<i64>("id")?))
                .take();
            return tx.execute(&too_much).await.map(drop);
        }
    }
    Ok(())
}
