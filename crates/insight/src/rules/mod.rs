//! Rules: "when label X with score above s in region r for t seconds, raise event e".
//!
//! A rule is a piece of JSON ([`Definition`]). It looks at the documents of its channels in the order of
//! their own times (`watch`), away from those who write them: `follower` reads the log of documents
//! behind them.

mod definition;
mod follower;
mod region;
mod sight;
mod watch;

pub use definition::{Definition, ObjectTest};
pub use follower::RuleFollower;
pub use region::{Anchor, Polygon};

use crate::{Error, Insight};
use definition::Understood;
use framewell_catalog::{NewRule, Page, RuleOwner, RuleRow};
use framewell_model::{AccountId, RuleId, TokenSerial, WallTime};
use serde_json::Value;

/// A rule as its owner sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Key.
    pub id: RuleId,
    /// Owner of everything that it looks at.
    pub account: AccountId,
    /// Whose token made it.
    pub owner: RuleOwner,
    /// What it says.
    pub definition: Definition,
    /// When it was made.
    pub created: WallTime,
    row: RuleRow,
}

/// Who makes or changes a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Maker {
    /// Owner of everything that the rule looks at.
    pub account: AccountId,
    /// Whose token it is.
    pub owner: RuleOwner,
    /// That token, if it is a channel's or group's: the rule ends with it.
    pub token: Option<TokenSerial>,
}

impl Rule {
    /// Why it looks at nothing, whatever it says: the token that made it has ended. `None` if it does.
    #[must_use]
    pub fn disabled(&self, now: WallTime) -> Option<&str> {
        self.row.ended(now)
    }

    fn of(row: &RuleRow) -> Result<Self, Error> {
        let corrupt = |_| Error::Invalid(format!("rule {} is of another version", row.id));
        Ok(Self {
            id: row.id,
            account: row.account,
            owner: row.owner,
            definition: serde_json::from_str(&row.definition).map_err(corrupt)?,
            created: row.created,
            row: row.clone(),
        })
    }
}

impl Insight {
    /// Stores a rule; it looks at what is written from now on. [`Error::Invalid`] says what is wrong.
    pub async fn create_rule(
        &self,
        maker: Maker,
        definition: Definition,
        now: WallTime,
    ) -> Result<Rule, Error> {
        let new = NewRule {
            account: maker.account,
            owner: maker.owner,
            token: maker.token,
            definition: self.checked(&definition)?,
        };
        Rule::of(&self.catalog.create_rule(&new, now).await?)
    }

    /// A rule of any account.
    pub async fn load_rule(&self, id: RuleId) -> Result<Rule, Error> {
        Rule::of(&self.catalog.load_rule(id).await?)
    }

    /// Rules of an account, of one owner or of all, that lie behind the rule `after`.
    pub async fn list_rules(
        &self,
        account: AccountId,
        owner: Option<RuleOwner>,
        after: i64,
        limit: u64,
    ) -> Result<Page<Rule>, Error> {
        let page = self
            .catalog
            .list_rules(account, owner, after, limit)
            .await?;
        let items = page.items.iter().map(Rule::of).collect::<Result<_, _>>()?;
        Ok(Page {
            items,
            total: page.total,
        })
    }

    /// Puts another definition in place of a rule's; it forgets what it has seen, and ends with this token
    /// from now on.
    pub async fn update_rule(
        &self,
        id: RuleId,
        token: Option<TokenSerial>,
        definition: Definition,
    ) -> Result<Rule, Error> {
        let definition = self.checked(&definition)?;
        Rule::of(&self.catalog.update_rule(id, token, &definition).await?)
    }

    /// Deletes a rule; the events that it raised stay.
    pub async fn delete_rule(&self, id: RuleId) -> Result<(), Error> {
        Ok(self.catalog.delete_rule(id).await?)
    }

    /// The text to be stored.
    fn checked(&self, definition: &Definition) -> Result<String, Error> {
        let understood = Understood::new(definition.clone())?;
        for filter in understood.filters() {
            self.catalog.check_filter(filter)?;
        }
        let value: Value =
            serde_json::to_value(definition).map_err(|error| Error::Invalid(error.to_string()))?;
        let text = value.to_string();
        if text.len() > definition::MAX_BYTES {
            let most = definition::MAX_BYTES;
            let text = format!("the rule is longer than {most} bytes of JSON");
            return Err(Error::Invalid(text));
        }
        Ok(text)
    }
}
