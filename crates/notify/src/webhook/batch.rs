//! What one delivery is about.

use framewell_access::Access;
use framewell_catalog::{Catalog, Webhook, WebhookCursors};
use framewell_insight::feed::{Entry, FeedKind, Interest, Topic, read_history};
use framewell_jobs::Failure;
use framewell_model::{ChannelId, ErrorKind, Grant, HasKind as _, Right, RightSet};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Most events or documents of one delivery.
const MOST_ENTRIES: usize = 100;
/// Bytes after which no further one is added.
const MOST_BYTES: usize = 1 << 20;

/// A delivery.
#[derive(Debug)]
pub(super) struct Batch {
    /// JSON.
    pub(super) body: String,
    /// How many events or documents.
    pub(super) entries: i64,
    /// How far the webhook is told once this is.
    pub(super) cursors: WebhookCursors,
}

/// Whether somebody may still be told.
#[derive(Debug)]
pub(super) enum Standing {
    /// What it wants to hear, of these channels.
    Good(Box<Interest>, BTreeSet<ChannelId>),
    /// Why not, for the owner.
    Ended(String),
}

/// Asks the gate, at each delivery, as a client would be asked.
pub(super) async fn standing(access: &Access, hook: &Webhook) -> Result<Standing, Failure> {
    let interest = hook.subscription.as_object().map(Interest::parse);
    let interest = match interest {
        Some(Ok(interest)) => interest,
        Some(Err(error)) => return Ok(Standing::Ended(error.to_string())),
        None => return Ok(Standing::Ended("what it wants cannot be read".into())),
    };
    let grant = grant(hook, &interest);
    let channels = async {
        access.recheck(&grant).await?;
        access.channels(&grant).await
    };
    let channels = match channels.await {
        Ok(channels) => channels,
        Err(error) if is_final(error.kind()) => {
            let text = format!("the token that made this webhook no longer stands: {error}");
            return Ok(Standing::Ended(text));
        }
        Err(error) => return Err(Failure::of(&error)),
    };
    let is_wanted = |id: &ChannelId| {
        interest
            .channels
            .as_ref()
            .is_none_or(|wanted| wanted.contains(id))
    };
    let channels = channels.into_iter().filter(is_wanted).collect();
    Ok(Standing::Good(Box::new(interest), channels))
}

const fn is_final(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Unauthenticated | ErrorKind::PermissionDenied | ErrorKind::NotFound
    )
}

fn grant(hook: &Webhook, interest: &Interest) -> Grant {
    let rights = match interest.documents {
        Some(_) => RightSet::of(&[Right::Watch, Right::Meta]),
        None => RightSet::of(&[Right::Watch]),
    };
    Grant {
        principal: hook.owner.principal,
        account: hook.owner.account,
        rights,
        expire: hook.owner.expire,
        serial: hook.owner.token,
    }
}

/// What a webhook is to be told next, or how far there is nothing for it.
pub(super) async fn next(
    catalog: &Catalog,
    hook: &Webhook,
    topics: &[Topic],
    channels: &BTreeSet<ChannelId>,
) -> Result<Result<Batch, WebhookCursors>, Failure> {
    let mut cursors = hook.cursors;
    for topic in topics {
        let kind = topic.kind();
        let newest = kind.newest(catalog).await?;
        while *cursor_of(&mut cursors, kind) < newest {
            let after = *cursor_of(&mut cursors, kind);
            let step = read_history(catalog, topic, Some(channels), after, newest).await?;
            if step.entries.is_empty() {
                *cursor_of(&mut cursors, kind) = step.until;
                continue;
            }
            let taken = take(&step.entries);
            *cursor_of(&mut cursors, kind) = match taken.len() == step.entries.len() {
                true => step.until,
                false => taken.last().map_or(after, |entry| entry.revision),
            };
            return Ok(Ok(Batch {
                body: body(hook, taken, newest),
                entries: i64::try_from(taken.len()).unwrap_or(i64::MAX),
                cursors,
            }));
        }
    }
    Ok(Err(cursors))
}

const fn cursor_of(cursors: &mut WebhookCursors, kind: FeedKind) -> &mut i64 {
    match kind {
        FeedKind::Events => &mut cursors.event,
        FeedKind::Documents => &mut cursors.document,
    }
}

/// As many as go into one delivery, at least one.
fn take(entries: &[Arc<Entry>]) -> &[Arc<Entry>] {
    let mut bytes = 0;
    let fits = |entry: &&Arc<Entry>| {
        let has_room = bytes < MOST_BYTES;
        bytes += entry.text().len();
        has_room
    };
    let count = entries.iter().take(MOST_ENTRIES).take_while(fits).count();
    entries.get(..count).unwrap_or(entries)
}

fn body(hook: &Webhook, entries: &[Arc<Entry>], newest: i64) -> String {
    let messages: Vec<String> = entries
        .iter()
        .map(|entry| entry.message(entry.revision, newest - entry.revision))
        .collect();
    format!(
        r#"{{"webhook":{},"messages":[{}]}}"#,
        hook.id,
        messages.join(",")
    )
}
