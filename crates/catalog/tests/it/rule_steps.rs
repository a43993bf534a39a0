//! Steps of rules beside people who change rules.

use crate::backend::{Backend, account, at, channel_of};
use framewell_catalog::{NewRule, RuleOwner, RuleState, RuleStep};
use sqlx::{Connection as _, Executor as _, PgConnection};
use std::time::Duration;

/// More than any step takes, unless it waits for ever.
const LONG: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_step_does_not_wait_for_rules_that_are_none_of_its() {
    let backend = Backend::postgres().await;
    let catalog = &backend.catalog;
    let account = account(catalog, "owner").await;
    let channel = channel_of(catalog, account, "gate").await.id;
    let new = NewRule {
        account,
        owner: RuleOwner::Account,
        token: None,
        definition: "{}".into(),
    };
    let own = catalog.create_rule(&new, at(1)).await.unwrap();
    let other = catalog.create_rule(&new, at(1)).await.unwrap();
    let mut person = PgConnection::connect(&backend.url).await.unwrap();
    let change = format!(
        "BEGIN; UPDATE rule SET version = version + 1 WHERE id = {}",
        other.id.get()
    );
    person.execute(sqlx::AssertSqlSafe(change)).await.unwrap();
    let from = catalog.rule_cursor().await.unwrap();
    let state = RuleState {
        rule: (own.id, own.version),
        channel,
        state: "{}".into(),
    };
    let step = RuleStep {
        from,
        until: from + 1,
        states: vec![state.clone()],
        events: Vec::new(),
    };
    let done = tokio::time::timeout(LONG, catalog.commit_rule_step(step, at(2))).await;
    assert!(done.expect("it waits").unwrap());
    person.execute("ROLLBACK").await.unwrap();
    assert_eq!(catalog.rule_states().await.unwrap(), [state]);
}
