//! Accounts.

use crate::{Catalog, Error};
use framewell_model::{AccountId, WallTime};

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

impl Catalog {
    /// Creates an account; [`Error::AlreadyExists`] if the name is taken.
    pub async fn create_account(&self, name: &str, now: WallTime) -> Result<Account, Error> {
        let _ = (name, now);
        todo!()
    }

    /// All accounts, by id.
    pub async fn list_accounts(&self) -> Result<Vec<Account>, Error> {
        todo!()
    }
}
