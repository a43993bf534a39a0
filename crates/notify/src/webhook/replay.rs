//! The job that delivers once more what was given up.

use super::batch::{self, Standing};
use super::client::Post;
use super::handler::WebhookHandler;
use framewell_catalog::Error;
use framewell_insight::feed::Interest;
use framewell_jobs::{Failure, Handler, Next, Work};
use framewell_model::{ChannelId, DeliveryId};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Delivers failures again, beside the webhook's own deliveries and not in order with them.
#[derive(Debug, Clone)]
pub struct ReplayHandler {
    webhooks: WebhookHandler,
}

#[derive(Debug, Deserialize)]
struct Parameters {
    failure: DeliveryId,
}

/// What is looked at in a stored body.
#[derive(Debug, Deserialize)]
struct Body {
    messages: Vec<Message>,
}

#[derive(Debug, Deserialize)]
struct Message {
    event: Option<About>,
    document: Option<About>,
}

#[derive(Debug, Deserialize)]
struct About {
    channel: ChannelId,
}

/// Whether all of a body is open to the owner now: what was given up may be months old.
fn is_open(body: &str, interest: &Interest, channels: &BTreeSet<ChannelId>) -> bool {
    let Ok(Body { messages }) = serde_json::from_str(body) else {
        return false;
    };
    messages.iter().all(|message| match message {
        Message {
            event: Some(event),
            document: None,
        } => channels.contains(&event.channel),
        // The right to read documents is asked for only if some are wanted.
        Message {
            event: None,
            document: Some(document),
        } => interest.documents.is_some() && channels.contains(&document.channel),
        _ => false,
    })
}

/// Failed attempts of this replay.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Position {
    attempts: i64,
}

impl Handler for ReplayHandler {
    fn run<'a>(&'a self, work: &'a Work) -> BoxFuture<'a, Result<Next, Failure>> {
        Box::pin(self.turn(work))
    }
}

impl ReplayHandler {
    /// With the parts of the other handler.
    #[must_use]
    pub const fn new(webhooks: WebhookHandler) -> Self {
        Self { webhooks }
    }

    async fn turn(&self, work: &Work) -> Result<Next, Failure> {
        let Parameters { failure: id } = work.parameters()?;
        let Position { attempts } = work.position()?.unwrap_or_default();
        let WebhookHandler {
            catalog,
            access,
            client,
            config,
            clock,
        } = &self.webhooks;
        let (failure, body) = match catalog.load_webhook_failure(id).await {
            Err(Error::NotFound { .. }) => return Ok(Next::Done),
            found => found?,
        };
        let hook = catalog.load_webhook(failure.webhook).await?;
        if !hook.is_active {
            return Err(Failure::last("the webhook is switched off"));
        }
        let is_open = match batch::standing(access, &hook).await? {
            Standing::Good(interest, channels) => is_open(&body, &interest, &channels),
            Standing::Ended(why) => return Err(Failure::last(why)),
        };
        if !is_open {
            tracing::info!(webhook.id = %hook.id, failure.id = %id, "a failure is dropped: its owner may no longer see all of it");
            catalog.delete_webhook_failure(id).await?;
            return Ok(Next::Done);
        }
        let post = Post {
            url: &hook.url,
            secret: &hook.secret,
            webhook: hook.id.get(),
            attempt: failure.attempts + 1,
            body: &body,
            now: clock.now(),
        };
        let Err(refused) = client.post(&post).await else {
            catalog.delete_webhook_failure(id).await?;
            return Ok(Next::Done);
        };
        let total = failure.attempts + 1;
        catalog
            .renew_webhook_failure(id, total, &refused.trouble)
            .await?;
        let attempts = attempts + 1;
        if attempts >= config.attempts {
            return Ok(Next::Done);
        }
        work.save(0.0, &Position { attempts }).await?;
        let pause = config.pause(attempts, refused.retry_after, rand::random());
        Ok(Next::Pause(pause))
    }
}
