//! Accounts.

use crate::slice::check_key;
use crate::sql::Row;
use crate::{Catalog, Error};
use framewell_model::{AccountId, WallTime};
use sea_query::{OnConflict, Order, Query};

/// A customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Key.
    pub id: AccountId,
    /// Unique name.
    pub name: String,
    /// When it was created.
    pub created: WallTime,
}

const COLUMNS: [&str; 3] = ["id", "name", "created_us"];

impl Catalog {
    /// Creates an account; [`Error::AlreadyExists`] if the name is taken.
    pub async fn create_account(&self, name: &str, now: WallTime) -> Result<Account, Error> {
        check_key("the name of an account", name)?;
        let insert = Query::insert()
            .into_table("account")
            .columns(["name", "created_us"])
            .values_panic([name.into(), now.micros().into()])
            .on_conflict(OnConflict::column("name").do_nothing().to_owned())
            .returning(Query::returning().columns(COLUMNS))
            .take();
        let mut tx = self.begin("creation of an account").await?;
        let rows = tx.fetch(&insert).await?;
        let row = rows.first().ok_or_else(|| Error::AlreadyExists {
            what: format!("account {name:?}"),
        })?;
        let account = account(row)?;
        tx.commit().await?;
        Ok(account)
    }

    /// All accounts, by id.
    pub async fn list_accounts(&self) -> Result<Vec<Account>, Error> {
        let select = Query::select()
            .columns(COLUMNS)
            .from("account")
            .order_by("id", Order::Asc)
            .take();
        let rows = self.read("list of accounts", &select).await?;
        rows.iter().map(account).collect()
    }
}

fn account(row: &Row) -> Result<Account, Error> {
    Ok(Account {
        id: row.id("id", AccountId::new)?,
        name: row.get("name")?,
        created: WallTime::from_micros(row.get("created_us")?),
    })
}
