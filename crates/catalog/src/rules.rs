//! Rules on metadata documents: their definitions, which are JSON here.

use crate::channel_rows::require;
use crate::channels::{only, require_account};
use crate::revision::Counter;
use crate::slice::count;
use crate::sql::{Row, Tx};
use crate::{Catalog, Error, Page};
use framewell_model::{AccountId, ChannelId, GroupId, RuleId, WallTime};
use sea_query::{Expr, ExprTrait as _, LockType, Order, Query, SelectStatement};

/// Most rules of an account: each of them looks at every document of its channels.
const MOST_RULES: i64 = 500;

/// Whose token made a rule, and who may see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RuleOwner {
    /// The license key: everything of the account.
    Account,
    /// A channel's token.
    Channel(ChannelId),
    /// A group's token.
    Group(GroupId),
}

/// A rule to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRule {
    /// Owner of everything that it looks at.
    pub account: AccountId,
    /// Whose token makes it.
    pub owner: RuleOwner,
    /// JSON.
    pub definition: String,
}

/// A rule as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleRow {
    /// Key.
    pub id: RuleId,
    /// Owner of everything that it looks at.
    pub account: AccountId,
    /// Whose token made it.
    pub owner: RuleOwner,
    /// JSON.
    pub definition: String,
    /// When it was made.
    pub created: WallTime,
    /// Grows with each change.
    pub version: i64,
    /// Documents up to this revision are not looked at: they were there before.
    pub from_revision: i64,
}

const COLUMNS: [&str; 8] = [
    "id",
    "account",
    "channel",
    "channel_group",
    "definition",
    "created_us",
    "version",
    "from_revision",
];

impl Catalog {
    /// Stores a rule, which looks at what is written from now on.
    pub async fn create_rule(&self, new: &NewRule, now: WallTime) -> Result<RuleRow, Error> {
        let mut tx = self.begin("creation of a rule").await?;
        require_account(&mut tx, new.account).await?;
        let (channel, group) = match new.owner {
            RuleOwner::Account => (None, None),
            RuleOwner::Channel(channel) => (Some(channel), None),
            RuleOwner::Group(group) => (None, Some(group.get())),
        };
        if let Some(channel) = channel {
            require(&mut tx, channel, Some(new.account), LockType::KeyShare).await?;
        }
        let known = count(&of_account(new.account));
        let known: i64 = only(&tx.fetch(&known).await?)?.get("total")?;
        if known >= MOST_RULES {
            let text = format!("the account has {MOST_RULES} rules already, which is the limit");
            return Err(Error::Invalid(text));
        }
        let from = newest_document(&mut tx).await?;
        let insert = Query::insert()
            .into_table("rule")
            .columns(COLUMNS.into_iter().skip(1))
            .values_panic([
                new.account.get().into(),
                channel.map(ChannelId::get).into(),
                group.into(),
                new.definition.as_str().into(),
                now.micros().into(),
                1.into(),
                from.into(),
            ])
            .returning_col("id")
            .take();
        let id = only(&tx.fetch(&insert).await?)?.id("id", RuleId::new)?;
        tx.commit().await?;
        self.note_rule_change();
        Ok(RuleRow {
            id,
            account: new.account,
            owner: new.owner,
            definition: new.definition.clone(),
            created: now,
            version: 1,
            from_revision: from,
        })
    }

    /// A rule of any account.
    pub async fn load_rule(&self, id: RuleId) -> Result<RuleRow, Error> {
        let select = Query::select()
            .columns(COLUMNS)
            .from("rule")
            .and_where(Expr::col("id").eq(id.get()))
            .take();
        let rows = self.read("load of a rule", &select).await?;
        rule(rows.first().ok_or_else(|| not_found(id))?)
    }

    /// Rules of an account, ascending by id, behind the rule `after`; of one owner, or of all where none is
    /// given. The total is that of the rules behind `after`.
    pub async fn list_rules(
        &self,
        account: AccountId,
        owner: Option<RuleOwner>,
        after: i64,
        limit: u64,
    ) -> Result<Page<RuleRow>, Error> {
        const OPERATION: &str = "list of rules";
        let mut matching = of_account(account)
            .and_where(Expr::col("id").gt(after))
            .take();
        match owner {
            None => {}
            Some(RuleOwner::Account) => {
                matching
                    .and_where(Expr::col("channel").is_null())
                    .and_where(Expr::col("channel_group").is_null());
            }
            Some(RuleOwner::Channel(channel)) => {
                matching.and_where(Expr::col("channel").eq(channel.get()));
            }
            Some(RuleOwner::Group(group)) => {
                matching.and_where(Expr::col("channel_group").eq(group.get()));
            }
        }
        let total = only(&self.read(OPERATION, &count(&matching)).await?)?.get("total")?;
        let page = matching
            .columns(COLUMNS)
            .order_by("id", Order::Asc)
            .limit(limit)
            .take();
        let rows = self.read(OPERATION, &page).await?;
        let items = rows.iter().map(rule).collect::<Result<_, _>>()?;
        Ok(Page { items, total })
    }

    /// Every rule of every account, ascending by id.
    pub async fn all_rules(&self) -> Result<Vec<RuleRow>, Error> {
        let select = Query::select()
            .columns(COLUMNS)
            .from("rule")
            .order_by("id", Order::Asc)
            .take();
        let rows = self.read("list of all rules", &select).await?;
        rows.iter().map(rule).collect()
    }

    /// Changes a rule, which forgets what it has seen and looks at what is written from now on.
    pub async fn update_rule(&self, id: RuleId, definition: &str) -> Result<RuleRow, Error> {
        let mut tx = self.begin("change of a rule").await?;
        let from = newest_document(&mut tx).await?;
        let update = Query::update()
            .table("rule")
            .value("definition", definition)
            .value("version", Expr::col("version").add(1))
            .value("from_revision", from)
            .and_where(Expr::col("id").eq(id.get()))
            .take();
        if tx.execute(&update).await? == 0 {
            return Err(not_found(id));
        }
        let forget = Query::delete()
            .from_table("rule_state")
            .and_where(Expr::col("rule").eq(id.get()))
            .take();
        tx.execute(&forget).await?;
        tx.commit().await?;
        self.note_rule_change();
        self.load_rule(id).await
    }

    /// Deletes a rule. The events that it raised stay.
    pub async fn delete_rule(&self, id: RuleId) -> Result<(), Error> {
        let delete = Query::delete()
            .from_table("rule")
            .and_where(Expr::col("id").eq(id.get()))
            .take();
        if self.execute("deletion of a rule", &delete).await? == 0 {
            return Err(not_found(id));
        }
        self.note_rule_change();
        Ok(())
    }
}

fn of_account(account: AccountId) -> SelectStatement {
    Query::select()
        .from("rule")
        .and_where(Expr::col("account").eq(account.get()))
        .take()
}

async fn newest_document(tx: &mut Tx) -> Result<i64, Error> {
    let select = Query::select()
        .column("value")
        .from("revision_counter")
        .and_where(Expr::col("name").eq(Counter::Document.name()))
        .take();
    only(&tx.fetch(&select).await?)?.get("value")
}

fn rule(row: &Row) -> Result<RuleRow, Error> {
    let channel: Option<i64> = row.get("channel")?;
    let group: Option<i64> = row.get("channel_group")?;
    let owner = match (
        channel.and_then(ChannelId::new),
        group.and_then(GroupId::new),
    ) {
        (Some(channel), _) => RuleOwner::Channel(channel),
        (None, Some(group)) => RuleOwner::Group(group),
        (None, None) => RuleOwner::Account,
    };
    Ok(RuleRow {
        id: row.id("id", RuleId::new)?,
        account: row.id("account", AccountId::new)?,
        owner,
        definition: row.get("definition")?,
        created: WallTime::from_micros(row.get("created_us")?),
        version: row.get("version")?,
        from_revision: row.get("from_revision")?,
    })
}

fn not_found(id: RuleId) -> Error {
    Error::not_found(format!("rule {id}"))
}
