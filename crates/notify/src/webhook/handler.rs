//! The job that delivers for one webhook, until it has been told everything.

use super::WebhookConfig;
use super::batch::{self, Batch, Standing};
use super::client::{OutboundClient, Post, Refused};
use framewell_access::Access;
use framewell_catalog::{Catalog, Error, NewFailure, Webhook};
use framewell_jobs::{Failure, Handler, Next, Work};
use framewell_model::{WallClock, WebhookId};
use futures::future::BoxFuture;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

/// Delivers.
#[derive(Debug, Clone)]
pub struct WebhookHandler {
    pub(super) catalog: Catalog,
    pub(super) access: Access,
    pub(super) client: OutboundClient,
    pub(super) config: WebhookConfig,
    pub(super) clock: Arc<dyn WallClock>,
}

#[derive(Debug, Deserialize)]
struct Parameters {
    webhook: WebhookId,
}

impl Handler for WebhookHandler {
    fn run<'a>(&'a self, work: &'a Work) -> BoxFuture<'a, Result<Next, Failure>> {
        Box::pin(self.turn(work))
    }
}

impl WebhookHandler {
    /// Joins the parts.
    #[must_use]
    pub fn new(
        catalog: Catalog,
        access: Access,
        client: OutboundClient,
        config: WebhookConfig,
        clock: Arc<dyn WallClock>,
    ) -> Self {
        Self {
            catalog,
            access,
            client,
            config,
            clock,
        }
    }

    async fn turn(&self, work: &Work) -> Result<Next, Failure> {
        let Parameters { webhook } = work.parameters()?;
        let mut are_documents_first = false;
        loop {
            let Some(hook) = self.load(webhook).await? else {
                return Ok(Next::Done);
            };
            if let Some(pause) = self.pause_left(&hook) {
                return Ok(Next::Pause(pause));
            }
            let Some(batch) = self.next_batch(&hook, are_documents_first).await? else {
                return Ok(Next::Done);
            };
            if let Err(refused) = self.deliver(&hook, &batch).await {
                if let Some(pause) = self.fail(&hook, &batch, refused).await? {
                    return Ok(Next::Pause(pause));
                }
            } else {
                let now = self.clock.now();
                self.catalog
                    .advance_webhook(hook.id, batch.cursors, now)
                    .await?;
            }
            if work.is_turn_over() {
                return Ok(Next::Pause(Duration::ZERO));
            }
            // Neither waits for the end of the other.
            are_documents_first = !are_documents_first;
        }
    }

    /// The webhook, if it is there and wants to be told anything.
    async fn load(&self, id: WebhookId) -> Result<Option<Webhook>, Failure> {
        match self.catalog.load_webhook(id).await {
            Ok(hook) => Ok(Some(hook).filter(|hook| hook.is_active)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What is left of the pause after a failure.
    fn pause_left(&self, hook: &Webhook) -> Option<Duration> {
        let left_us = hook.next?.micros_since(self.clock.now());
        let left_us = u64::try_from(left_us).ok().filter(|left| *left > 0)?;
        Some(Duration::from_micros(left_us))
    }

    async fn next_batch(
        &self,
        hook: &Webhook,
        are_documents_first: bool,
    ) -> Result<Option<Batch>, Failure> {
        let (interest, channels) = match batch::standing(&self.access, hook).await? {
            Standing::Good(interest, channels) => (interest, channels),
            Standing::Ended(why) => {
                self.catalog.stop_webhook(hook.id, &why).await?;
                return Ok(None);
            }
        };
        let mut topics = interest.topics();
        if are_documents_first {
            topics.reverse();
        }
        match batch::next(&self.catalog, hook, &topics, &channels).await? {
            Ok(batch) => Ok(Some(batch)),
            Err(cursors) => {
                if cursors != hook.cursors {
                    self.catalog.skip_webhook(hook, cursors).await?;
                }
                Ok(None)
            }
        }
    }

    async fn deliver(&self, hook: &Webhook, batch: &Batch) -> Result<(), Refused> {
        let post = Post {
            url: &hook.url,
            secret: &hook.secret,
            webhook: hook.id.get(),
            attempt: hook.attempts + 1,
            body: &batch.body,
            now: self.clock.now(),
        };
        let delivered = self.client.post(&post).await;
        let result = if delivered.is_ok() { "ok" } else { "failed" };
        metrics::counter!("framewell_webhook_deliveries_total", "result" => result).increment(1);
        delivered
    }

    /// Notes a failure: how long to wait, or nothing if the delivery was given up, or the webhook changed
    /// meanwhile, so that this failure says nothing of it as it is now.
    async fn fail(
        &self,
        hook: &Webhook,
        batch: &Batch,
        refused: Refused,
    ) -> Result<Option<Duration>, Failure> {
        let (attempts, now) = (hook.attempts + 1, self.clock.now());
        if attempts >= self.config.attempts {
            let failure = NewFailure {
                body: batch.body.clone(),
                entries: batch.entries,
                attempts,
                trouble: refused.trouble,
            };
            let is_given_up = self
                .catalog
                .give_up_delivery(hook, batch.cursors, &failure, now)
                .await?;
            if is_given_up {
                tracing::warn!(webhook.id = %hook.id, attempts, "a delivery of a webhook is given up");
                metrics::counter!("framewell_webhook_deliveries_total", "result" => "given_up")
                    .increment(1);
            }
            return Ok(None);
        }
        let pause = self
            .config
            .pause(attempts, refused.retry_after, rand::random());
        let is_noted = self
            .catalog
            .note_webhook_trouble(hook, attempts, &refused.trouble, now + pause)
            .await?;
        Ok(is_noted.then_some(pause))
    }
}
