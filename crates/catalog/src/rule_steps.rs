//! How far rules have looked, what they remember, and what they raise: one transaction for each step, so
//! that a crash neither loses an event nor raises it twice.

use crate::channel_rows::require;
use crate::channels::only;
use crate::events::write;
use crate::sql::Tx;
use crate::{Catalog, Error, NewJob};
use framewell_model::{ChannelId, ErrorKind, EventId, HasKind as _, NewEvent, RuleId, WallTime};
use sea_query::{Expr, ExprTrait as _, LockType, OnConflict, Query};
use std::collections::{BTreeMap, BTreeSet};

/// What a rule remembers of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleState {
    /// The rule, in this version.
    pub rule: (RuleId, i64),
    /// The channel.
    pub channel: ChannelId,
    /// JSON.
    pub state: String,
}

/// An event that a rule raises.
pub struct RuleEvent {
    /// The rule, in this version.
    pub rule: (RuleId, i64),
    /// The event.
    pub event: NewEvent,
    /// Whether somebody is to be told.
    pub notify: bool,
    /// The jobs that follow from it.
    pub jobs: Box<dyn FnOnce(EventId) -> Vec<NewJob> + Send>,
}

impl std::fmt::Debug for RuleEvent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RuleEvent")
            .field("rule", &self.rule)
            .field("event", &self.event)
            .finish_non_exhaustive()
    }
}

/// All that follows from some documents.
#[derive(Debug, Default)]
pub struct RuleStep {
    /// How far the rules had looked before.
    pub from: i64,
    /// How far they have looked now.
    pub until: i64,
    /// What changed of what they remember.
    pub states: Vec<RuleState>,
    /// What they raise.
    pub events: Vec<RuleEvent>,
}

impl Catalog {
    /// Up to which revision of documents all rules have looked.
    pub async fn rule_cursor(&self) -> Result<i64, Error> {
        let select = Query::select()
            .column("revision")
            .from("rule_cursor")
            .take();
        only(&self.read("load of a cursor", &select).await?)?.get("revision")
    }

    /// What rules remember, in any order.
    pub async fn rule_states(&self) -> Result<Vec<RuleState>, Error> {
        let select = Query::select()
            .columns([
                ("rule_state", "rule"),
                ("rule_state", "channel"),
                ("rule_state", "state"),
                ("rule", "version"),
            ])
            .from("rule_state")
            .inner_join(
                "rule",
                Expr::col(("rule", "id")).equals(("rule_state", "rule")),
            )
            .take();
        let rows = self.read("load of what rules remember", &select).await?;
        rows.iter()
            .map(|row| {
                Ok(RuleState {
                    rule: (row.id("rule", RuleId::new)?, row.get("version")?),
                    channel: row.id("channel", ChannelId::stored)?,
                    state: row.get("state")?,
                })
            })
            .collect()
    }

    /// Writes a step, all of it or nothing. False if somebody else has gone on from its beginning: then
    /// nothing is written. What belongs to rules that were changed since, or to channels that are gone,
    /// is left out.
    pub async fn commit_rule_step(&self, step: RuleStep, now: WallTime) -> Result<bool, Error> {
        let mut tx = self.begin("storing of what rules found").await?;
        let go_on = Query::update()
            .table("rule_cursor")
            .value("revision", step.until)
            .and_where(Expr::col("revision").eq(step.from))
            .take();
        if tx.execute(&go_on).await? == 0 {
            return Ok(false);
        }
        let states = step.states.iter().map(|state| state.rule.0);
        let raising = step.events.iter().map(|raised| raised.rule.0);
        let versions = versions(&mut tx, states.chain(raising).collect()).await?;
        let is_current = |(rule, version): (RuleId, i64)| versions.get(&rule) == Some(&version);
        for state in step.states.iter().filter(|state| is_current(state.rule)) {
            put_state(&mut tx, state).await?;
        }
        let (mut newest, mut has_jobs) = (None, false);
        for raised in step.events {
            if !is_current(raised.rule) || !is_there(&mut tx, raised.event.channel).await? {
                continue;
            }
            let (event, jobs) =
                write(&mut tx, &raised.event, raised.notify, raised.jobs, now).await?;
            newest = Some(event.revision);
            has_jobs |= jobs;
        }
        tx.commit().await?;
        if has_jobs {
            self.note_job_change();
        }
        if let Some(newest) = newest {
            self.note_event(newest);
        }
        Ok(true)
    }
}

/// The rules of a step, which stay as they are until the transaction ends. Nobody who changes another one
/// has to wait.
async fn versions(tx: &mut Tx, rules: BTreeSet<RuleId>) -> Result<BTreeMap<RuleId, i64>, Error> {
    if rules.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rules: Vec<i64> = rules.into_iter().map(RuleId::get).collect();
    let select = Query::select()
        .columns(["id", "version"])
        .from("rule")
        .and_where(tx.dialect().is_one_of(Expr::col("id"), &rules))
        .lock(LockType::Share)
        .take();
    let rows = tx.fetch(&select).await?;
    rows.iter()
        .map(|row| Ok((row.id("id", RuleId::new)?, row.get("version")?)))
        .collect()
}

async fn is_there(tx: &mut Tx, channel: ChannelId) -> Result<bool, Error> {
    match require(tx, channel, None, LockType::KeyShare).await {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

async fn put_state(tx: &mut Tx, state: &RuleState) -> Result<(), Error> {
    if !is_there(tx, state.channel).await? {
        return Ok(());
    }
    let put = Query::insert()
        .into_table("rule_state")
        .columns(["rule", "channel", "state"])
        .values_panic([
            state.rule.0.get().into(),
            state.channel.get().into(),
            state.state.as_str().into(),
        ])
        .on_conflict(
            OnConflict::columns(["rule", "channel"])
                .update_column("state")
                .to_owned(),
        )
        .take();
    tx.execute(&put).await.map(drop)
}
