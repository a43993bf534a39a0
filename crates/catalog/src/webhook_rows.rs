//! How webhooks and their failures lie in their rows.

use crate::Error;
use crate::sql::Row;
use crate::webhook_failures::WebhookFailure;
use crate::webhooks::{Trouble, Webhook, WebhookCursors, WebhookOwner};
use framewell_model::{
    AccountId, ChannelId, DeliveryId, GroupId, Principal, Secret, TokenSerial, WallTime, WebhookId,
};

pub(crate) const WEBHOOK_COLUMNS: [&str; 20] = [
    "id",
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
    "next_us",
    "error",
    "status",
    "success_us",
    "created_us",
];

pub(crate) fn webhook(row: &Row) -> Result<Webhook, Error> {
    let subscription: String = row.get("subscription")?;
    let error: Option<String> = row.get("error")?;
    let status = status(row)?;
    Ok(Webhook {
        id: row.id("id", WebhookId::new)?,
        owner: owner(row)?,
        url: row.get("url")?,
        secret: Secret::new(row.get("secret")?),
        subscription: serde_json::from_str(&subscription)
            .map_err(|error| Error::corrupt("subscription", error))?,
        version: row.get("version")?,
        is_active: row.get("is_active")?,
        cursors: WebhookCursors {
            event: row.get("event_cursor")?,
            document: row.get("document_cursor")?,
        },
        attempts: row.get("attempts")?,
        given_up: row.get("given_up")?,
        next: time(row, "next_us")?,
        trouble: error.map(|error| Trouble { error, status }),
        success: time(row, "success_us")?,
        created: WallTime::from_micros(row.get("created_us")?),
    })
}

fn owner(row: &Row) -> Result<WebhookOwner, Error> {
    let account = row.id("account", AccountId::new)?;
    let group = row
        .get::<Option<i64>>("channel_group")?
        .and_then(GroupId::new);
    let channel = row.get::<Option<i64>>("channel")?.and_then(ChannelId::new);
    let principal = match (group, channel) {
        (Some(group), _) => Principal::Group(group),
        (None, Some(channel)) => Principal::Channel(channel),
        (None, None) => Principal::Account(account),
    };
    Ok(WebhookOwner {
        account,
        principal,
        token: row.get::<Option<i64>>("token")?.and_then(TokenSerial::new),
        expire: time(row, "expire_us")?,
    })
}

fn time(row: &Row, column: &'static str) -> Result<Option<WallTime>, Error> {
    Ok(row.get::<Option<i64>>(column)?.map(WallTime::from_micros))
}

fn status(row: &Row) -> Result<Option<u16>, Error> {
    let status: Option<i64> = row.get("status")?;
    Ok(status.and_then(|status| u16::try_from(status).ok()))
}

pub(crate) const FAILURE_COLUMNS: [&str; 7] = [
    "id",
    "webhook",
    "entries",
    "attempts",
    "status",
    "error",
    "created_us",
];

pub(crate) fn failure(row: &Row) -> Result<WebhookFailure, Error> {
    Ok(WebhookFailure {
        id: row.id("id", DeliveryId::new)?,
        webhook: row.id("webhook", WebhookId::new)?,
        entries: row.get("entries")?,
        attempts: row.get("attempts")?,
        trouble: Trouble {
            error: row.get("error")?,
            status: status(row)?,
        },
        created: WallTime::from_micros(row.get("created_us")?),
    })
}
