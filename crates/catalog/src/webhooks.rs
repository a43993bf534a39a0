//! Webhooks: who is told what over HTTP, how far, and how it goes.

use crate::channel_rows::require;
use crate::channels::{only, require_account};
use crate::revision::Counter;
use crate::sql::Tx;
use crate::webhook_rows::{WEBHOOK_COLUMNS, webhook};
use crate::{Catalog, Error};
use framewell_model::{
    AccountId, ChannelId, GroupId, Principal, Secret, TokenSerial, WallTime, WebhookId,
};
use sea_query::{Expr, ExprTrait as _, LockType, Order, Query, SelectStatement, UpdateStatement};
use serde_json::Value;

/// Kind of the durable job that delivers for one webhook; its parameters are `{"webhook": id}`.
pub const WEBHOOK_JOB: &str = "webhook";
/// Kind of the durable job that delivers once more what was given up; its parameters are
/// `{"webhook": id, "failure": id}`.
pub const WEBHOOK_REPLAY_JOB: &str = "webhook_replay";

/// Most webhooks of an account.
const MOST_WEBHOOKS: i64 = 200;

/// Whose a webhook is, and what it ends with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookOwner {
    /// The account.
    pub account: AccountId,
    /// The account, or a group or channel of it.
    pub principal: Principal,
    /// The group or channel token that made it.
    pub token: Option<TokenSerial>,
    /// When that token ends.
    pub expire: Option<WallTime>,
}

impl WebhookOwner {
    pub(crate) const fn group(&self) -> Option<GroupId> {
        match self.principal {
            Principal::Group(group) => Some(group),
            _ => None,
        }
    }

    pub(crate) const fn channel(&self) -> Option<ChannelId> {
        match self.principal {
            Principal::Channel(channel) => Some(channel),
            _ => None,
        }
    }
}

/// A webhook to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct NewWebhook {
    /// Whose it is.
    pub owner: WebhookOwner,
    /// Where to.
    pub url: String,
    /// Key of the signatures.
    pub secret: Secret<String>,
    /// What is told, in the caller's own form.
    pub subscription: Value,
    /// Whether anything is sent.
    pub is_active: bool,
}

/// A webhook as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Webhook {
    /// Key.
    pub id: WebhookId,
    /// Whose it is.
    pub owner: WebhookOwner,
    /// Where to.
    pub url: String,
    /// Key of the signatures.
    pub secret: Secret<String>,
    /// What is told, in the caller's own form.
    pub subscription: Value,
    /// Grows with each change by a client.
    pub version: i64,
    /// Whether anything is sent.
    pub is_active: bool,
    /// How far it was told.
    pub cursors: WebhookCursors,
    /// Failed attempts at the delivery that is next.
    pub attempts: i64,
    /// Deliveries given up since the last one that succeeded.
    pub given_up: i64,
    /// No attempt before this.
    pub next: Option<WallTime>,
    /// Why the last attempt failed.
    pub trouble: Option<Trouble>,
    /// When a delivery succeeded last.
    pub success: Option<WallTime>,
    /// When it was made.
    pub created: WallTime,
}

/// Revisions up to which everything was told or given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebhookCursors {
    /// Of events.
    pub event: i64,
    /// Of documents.
    pub document: i64,
}

/// Why an attempt failed; nothing that the other side said in its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// For the owner.
    pub error: String,
    /// HTTP status, if there was an answer.
    pub status: Option<u16>,
}

/// A change by a client; `None` leaves a member as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WebhookChange {
    /// Where to.
    pub url: Option<String>,
    /// Key of the signatures.
    pub secret: Option<Secret<String>>,
    /// What is told.
    pub subscription: Option<Value>,
    /// Whether anything is sent.
    pub is_active: Option<bool>,
    /// Events are told from now on, not from where it stood.
    pub restart_events: bool,
    /// The same for documents.
    pub restart_documents: bool,
}

impl Catalog {
    /// Makes a webhook that is told what comes from now on. [`Error::Invalid`] if the account has too
    /// many.
    pub async fn create_webhook(&self, new: &NewWebhook, now: WallTime) -> Result<Webhook, Error> {
        let mut tx = self.begin("creation of a webhook").await?;
        require_owner(&mut tx, &new.owner).await?;
        let others = Query::select()
            .expr_as(Expr::cust("COUNT(*)"), "total")
            .from("webhook")
            .and_where(Expr::col("account").eq(new.owner.account.get()))
            .take();
        if only(&tx.fetch(&others).await?)?.get::<i64>("total")? >= MOST_WEBHOOKS {
            let text = format!("an account takes {MOST_WEBHOOKS} webhooks at most");
            return Err(Error::Invalid(text));
        }
        let insert = Query::insert()
            .into_table("webhook")
            .columns([
                "account",
                "channel_group",
                "channel",
                "token",
                "expire_us",
                "url",
                "secret",
                "subscription",
                "version",
                "is_active",
                "event_cursor",
                "document_cursor",
                "attempts",
                "given_up",
                "created_us",
            ])
            .values_panic([
                new.owner.account.get().into(),
                new.owner.group().map(GroupId::get).into(),
                new.owner.channel().map(ChannelId::get).into(),
                new.owner.token.map(TokenSerial::get).into(),
                new.owner.expire.map(WallTime::micros).into(),
                new.url.as_str().into(),
                new.secret.expose().as_str().into(),
                new.subscription.to_string().into(),
                1.into(),
                new.is_active.into(),
                newest(Counter::Event),
                newest(Counter::Document),
                0.into(),
                0.into(),
                now.micros().into(),
            ])
            .returning(Query::returning().columns(WEBHOOK_COLUMNS))
            .take();
        let created = webhook(only(&tx.fetch(&insert).await?)?)?;
        tx.commit().await?;
        self.note_webhook_change();
        Ok(created)
    }

    /// A webhook of anybody.
    pub async fn load_webhook(&self, id: WebhookId) -> Result<Webhook, Error> {
        let select = webhooks().and_where(Expr::col("id").eq(id.get())).take();
        let rows = self.read("load of a webhook", &select).await?;
        webhook(rows.first().ok_or_else(|| not_found(id))?)
    }

    /// The webhooks of an account, a group or a channel, ascending by id; those of an account are all
    /// that its groups and channels have, too.
    pub async fn list_webhooks(&self, principal: Principal) -> Result<Vec<Webhook>, Error> {
        let is_own = match principal {
            Principal::Account(account) => Expr::col("account").eq(account.get()),
            Principal::Group(group) => Expr::col("channel_group").eq(group.get()),
            Principal::Channel(channel) => Expr::col("channel").eq(channel.get()),
        };
        self.webhooks_where(is_own).await
    }

    /// All webhooks that are to be told anything, ascending by id.
    pub async fn active_webhooks(&self) -> Result<Vec<Webhook>, Error> {
        self.webhooks_where(Expr::col("is_active").eq(true)).await
    }

    async fn webhooks_where(&self, which: Expr) -> Result<Vec<Webhook>, Error> {
        let select = webhooks()
            .and_where(which)
            .order_by("id", Order::Asc)
            .take();
        let rows = self.read("list of webhooks", &select).await?;
        rows.iter().map(webhook).collect()
    }

    /// Changes a webhook; whatever had failed is tried again at once.
    pub async fn change_webhook(
        &self,
        id: WebhookId,
        change: &WebhookChange,
    ) -> Result<Webhook, Error> {
        let mut update = settled(id);
        update.value("version", Expr::col("version").add(1));
        if let Some(url) = &change.url {
            update.value("url", url.as_str());
        }
        if let Some(secret) = &change.secret {
            update.value("secret", secret.expose().as_str());
        }
        if let Some(subscription) = &change.subscription {
            update.value("subscription", subscription.to_string());
        }
        if let Some(is_active) = change.is_active {
            update.value("is_active", is_active);
        }
        if change.restart_events {
            update.value("event_cursor", newest(Counter::Event));
        }
        if change.restart_documents {
            update.value("document_cursor", newest(Counter::Document));
        }
        let update = update
            .returning(Query::returning().columns(WEBHOOK_COLUMNS))
            .take();
        let mut tx = self.begin("change of a webhook").await?;
        let rows = tx.fetch(&update).await?;
        let changed = webhook(rows.first().ok_or_else(|| not_found(id))?)?;
        tx.commit().await?;
        self.note_webhook_change();
        Ok(changed)
    }

    /// Deletes a webhook with its failures.
    pub async fn delete_webhook(&self, id: WebhookId) -> Result<(), Error> {
        let delete = Query::delete()
            .from_table("webhook")
            .and_where(Expr::col("id").eq(id.get()))
            .take();
        if self.execute("deletion of a webhook", &delete).await? == 0 {
            return Err(not_found(id));
        }
        self.note_webhook_change();
        Ok(())
    }

    /// Everything up to these cursors was told just now. Cursors never go back, whoever says so.
    pub async fn advance_webhook(
        &self,
        id: WebhookId,
        cursors: WebhookCursors,
        now: WallTime,
    ) -> Result<(), Error> {
        let mut update = settled(id);
        update
            .value("given_up", 0)
            .value("success_us", now.micros());
        self.move_webhook(update, cursors).await
    }

    /// Nothing up to these cursors was to be told; not if a client has changed the webhook since
    /// `version`, or somebody has moved it from where it stood.
    pub async fn skip_webhook(&self, seen: &Webhook, cursors: WebhookCursors) -> Result<(), Error> {
        let update = Query::update()
            .table("webhook")
            .and_where(Expr::col("id").eq(seen.id.get()))
            .and_where(Expr::col("version").eq(seen.version))
            .and_where(Expr::col("event_cursor").eq(seen.cursors.event))
            .and_where(Expr::col("document_cursor").eq(seen.cursors.document))
            .take();
        self.move_webhook(update, cursors).await
    }

    async fn move_webhook(
        &self,
        mut update: UpdateStatement,
        cursors: WebhookCursors,
    ) -> Result<(), Error> {
        let update = update
            .value("event_cursor", cursors.event)
            .value("document_cursor", cursors.document)
            .and_where(Expr::col("event_cursor").lte(cursors.event))
            .and_where(Expr::col("document_cursor").lte(cursors.document))
            .take();
        self.execute("progress of a webhook", &update)
            .await
            .map(drop)
    }

    /// The delivery that is next failed once more, and is tried again at `next`. `false`, and nothing is
    /// written, if the webhook was changed since it was seen: that is tried at once.
    pub async fn note_webhook_trouble(
        &self,
        seen: &Webhook,
        attempts: i64,
        trouble: &Trouble,
        next: WallTime,
    ) -> Result<bool, Error> {
        let update = troubled(seen.id, trouble)
            .value("attempts", attempts)
            .value("next_us", next.micros())
            .and_where(Expr::col("version").eq(seen.version))
            .take();
        let count = self.execute("failure of a webhook", &update).await?;
        Ok(count > 0)
    }

    /// Nothing more is sent, and why.
    pub async fn stop_webhook(&self, id: WebhookId, error: &str) -> Result<(), Error> {
        let trouble = Trouble {
            error: error.to_owned(),
            status: None,
        };
        let update = troubled(id, &trouble)
            .value("is_active", false)
            .value("version", Expr::col("version").add(1))
            .take();
        self.execute("end of a webhook", &update).await?;
        self.note_webhook_change();
        Ok(())
    }
}

fn webhooks() -> SelectStatement {
    Query::select()
        .columns(WEBHOOK_COLUMNS)
        .from("webhook")
        .take()
}

/// An update after which no failure is known.
fn settled(id: WebhookId) -> UpdateStatement {
    Query::update()
        .table("webhook")
        .value("attempts", 0)
        .value("next_us", None::<i64>)
        .value("error", None::<String>)
        .value("status", None::<i64>)
        .and_where(Expr::col("id").eq(id.get()))
        .take()
}

/// An update that says what went wrong.
pub(crate) fn troubled(id: WebhookId, trouble: &Trouble) -> UpdateStatement {
    Query::update()
        .table("webhook")
        .value("error", trouble.error.as_str())
        .value("status", trouble.status.map(i64::from))
        .and_where(Expr::col("id").eq(id.get()))
        .take()
}

/// The newest revision, as a value of a statement.
fn newest(counter: Counter) -> Expr {
    Query::select()
        .column("value")
        .from("revision_counter")
        .and_where(Expr::col("name").eq(counter.name()))
        .take()
        .into()
}

fn not_found(id: WebhookId) -> Error {
    Error::not_found(format!("webhook {id}"))
}

/// Fails unless the owner exists; it stays until the transaction ends.
async fn require_owner(tx: &mut Tx, owner: &WebhookOwner) -> Result<(), Error> {
    match owner.principal {
        Principal::Account(account) => require_account(tx, account).await,
        Principal::Channel(channel) => {
            require(tx, channel, Some(owner.account), LockType::KeyShare).await
        }
        Principal::Group(group) => {
            let select = Query::select()
                .column("id")
                .from("channel_group")
                .and_where(Expr::col("id").eq(group.get()))
                .and_where(Expr::col("account").eq(owner.account.get()))
                .lock(LockType::KeyShare)
                .take();
            let rows = tx.fetch(&select).await?;
            let missing = || Error::not_found(format!("group {group}"));
            rows.first().map(drop).ok_or_else(missing)
        }
    }
}
