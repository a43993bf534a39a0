//! `framewell account …`: works beside a running server, on the same database.

use crate::config::Config;
use crate::{logging, signing_key, wiring};
use anyhow::Context;
use framewell_access::Access;
use framewell_catalog::{Catalog, TokenTarget};
use framewell_live::SystemClock;
use framewell_model::{Access as Level, AccountId, ChannelId, GroupId};
use std::sync::Arc;

/// Creates an account and prints its license key.
pub(crate) async fn create(config: &Config, name: &str, json: bool) -> anyhow::Result<()> {
    let (catalog, access) = open(config).await?;
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

/// Prints a new license key of an account; the old one opens nothing from now on.
pub(crate) async fn renew_key(config: &Config, name: &str) -> anyhow::Result<()> {
    let (catalog, access) = open(config).await?;
    let account = find(&catalog, name).await?;
    let license = access
        .renew_license_key(account)
        .await
        .with_context(|| format!("renewing the license key of {name:?} failed"))?;
    logging::print(license.expose());
    catalog.close().await;
    Ok(())
}

/// Revokes the tokens of a channel or group; the next answer that shows them shows new ones.
pub(crate) async fn revoke(
    config: &Config,
    name: &str,
    channel: Option<i64>,
    group: Option<i64>,
) -> anyhow::Result<()> {
    let (catalog, access) = open(config).await?;
    let account = find(&catalog, name).await?;
    let mut targets = Vec::new();
    if let Some(id) = channel {
        let id = ChannelId::new(id).with_context(|| format!("{id} is no channel id"))?;
        targets.extend([Level::All, Level::Watch].map(|level| TokenTarget::Channel(id, level)));
    }
    if let Some(id) = group {
        let id = GroupId::new(id).with_context(|| format!("{id} is no group id"))?;
        targets.push(TokenTarget::Group(id));
    }
    for target in targets {
        access
            .revoke(account, target)
            .await
            .context("revoking failed")?;
    }
    catalog.close().await;
    Ok(())
}

async fn open(config: &Config) -> anyhow::Result<(Catalog, Access)> {
    wiring::prepare_data_dir(&config.data_dir)?;
    let key = signing_key::load_or_create(&config.data_dir)?;
    let catalog = wiring::open_catalog(config).await?;
    let access = Access::new(catalog.clone(), key, Arc::new(SystemClock));
    Ok((catalog, access))
}

async fn find(catalog: &Catalog, name: &str) -> anyhow::Result<AccountId> {
    let accounts = catalog
        .list_accounts()
        .await
        .context("listing accounts failed")?;
    accounts
        .iter()
        .find(|account| account.name == name)
        .map(|account| account.id)
        .with_context(|| format!("account {name:?} does not exist"))
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
