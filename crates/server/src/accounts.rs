//! `framewell account …`: works beside a running server, on the same database.

use crate::config::Config;
use crate::{logging, signing_key, wiring};
use anyhow::Context;
use framewell_access::Access;
use framewell_live::SystemClock;
use std::sync::Arc;

/// Creates an account and prints its license key.
pub(crate) async fn create(config: &Config, name: &str, json: bool) -> anyhow::Result<()> {
    wiring::prepare_data_dir(&config.data_dir)?;
    let key = signing_key::load_or_create(&config.data_dir)?;
    let catalog = wiring::open_catalog(config).await?;
    let access = Access::new(catalog.clone(), key, Arc::new(SystemClock));
    let (account, license) = access
        .create_account(name)
        .await
        .with_context(|| format!("creating account {name:?} failed"))?;
    if json {
        let answer = serde_json::json!({"account": account.get(), "license_key": license.expose()});
        logging::print(&answer.to_string());
    } else {
        logging::print(&format!(
            "Account {account} {name:?} created. Its license key is shown only now:\n\n    {}\n\n\
             Use it as `Authorization: LKey <key>`.",
            license.expose()
        ));
    }
    catalog.close().await;
    Ok(())
}

/// Lists accounts, one a line.
pub(crate) async fn list(config: &Config) -> anyhow::Result<()> {
    let catalog = wiring::open_catalog(config).await?;
    for account in catalog
        .list_accounts()
        .await
        .context("listing accounts failed")?
    {
        logging::print(&format!(
            "{}\t{}\t{}",
            account.id, account.created, account.name
        ));
    }
    catalog.close().await;
    Ok(())
}
