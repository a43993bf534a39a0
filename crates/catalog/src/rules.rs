//! Rules on metadata documents: their definitions, which are JSON here.

use crate::channel_rows::require;
use crate::channels::{only, require_account};
use crate::revision::Counter;
use crate::slice::count;
use crate::sql::{Row, Tx};
use crate::{Catalog, Error, Page};
use framewell_model::{Access, AccountId, ChannelId, GroupId, RuleId, TokenSerial, WallTime};
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
    /// That token, if it is a channel's or group's: the rule ends with it.
    pub token: Option<TokenSerial>,
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
    /// The channel or group token that it ends with.
    pub token: Option<RuleToken>,
    /// Why it was switched off for good, until somebody changes it.
    pub disabled: Option<String>,
}

/// What is known of the token that a rule ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleToken {
    /// Serial number.
    pub serial: TokenSerial,
    /// Whether it is revoked, or gone.
    pub is_revoked: bool,
    /// When it ends, or its group does.
    pub end: WallTime,
    /// What it gives today; a group may be given less.
    pub access: Access,
}

impl RuleRow {
    /// Why it looks at nothing, whatever it says; `None` if it does.
    #[must_use]
    pub fn ended(&self, now: WallTime) -> Option<&str> {
        if let Some(why) = &self.disabled {
            return Some(why);
        }
        match &self.token {
            Some(token) if token.is_revoked => Some("token revoked"),
            Some(token) if token.end <= now => Some("token expired"),
            Some(token) if token.access != Access::All => Some("token may no longer make events"),
            _ => None,
        }
    }
}

const COLUMNS: [&str; 10] = [
    "id",
    "account",
    "channel",
    "channel_group",
    "definition",
    "created_us",
    "version",
    "from_revision",
    "token",
    "disabled",
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
                new.token.map(TokenSerial::get).into(),
                None::<String>.into(),
            ])
            .returning_col("id")
            .take();
        let id = only(&tx.fetch(&insert).await?)?.id("id", RuleId::new)?;
        tx.commit().await?;
        self.note_rule_change();
        self.load_rule(id).await
    }

    /// A rule of any account.
    pub async fn load_rule(&self, id: RuleId) -> Result<RuleRow, Error> {
        let all = Query::select().from("rule").take();
        let select = with_token(all)
            .and_where(Expr::col(("rule", "id")).eq(id.get()))
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
            .and_where(Expr::col(("rule", "id")).gt(after))
            .take();
        match owner {
            None => {}
            Some(RuleOwner::Account) => {
                matching
                    .and_where(Expr::col(("rule", "channel")).is_null())
                    .and_where(Expr::col(("rule", "channel_group")).is_null());
            }
            Some(RuleOwner::Channel(channel)) => {
                matching.and_where(Expr::col(("rule", "channel")).eq(channel.get()));
            }
            Some(RuleOwner::Group(group)) => {
                matching.and_where(Expr::col(("rule", "channel_group")).eq(group.get()));
            }
        }
        let total = only(&self.read(OPERATION, &count(&matching)).await?)?.get("total")?;
        let page = with_token(matching)
            .order_by(("rule", "id"), Order::Asc)
            .limit(limit)
            .take();
        let rows = self.read(OPERATION, &page).await?;
        let items = rows.iter().map(rule).collect::<Result<_, _>>()?;
        Ok(Page { items, total })
    }

    /// Every rule of every account, ascending by id.
    pub async fn all_rules(&self) -> Result<Vec<RuleRow>, Error> {
        let all = Query::select().from("rule").take();
        let select = with_token(all).order_by(("rule", "id"), Order::Asc).take();
        let rows = self.read("list of all rules", &select).await?;
        rows.iter().map(rule).collect()
    }

    /// Changes a rule, which forgets what it has seen, looks at what is written from now on, and ends with
    /// this token instead of the one before.
    pub async fn update_rule(
        &self,
        id: RuleId,
        token: Option<TokenSerial>,
        definition: &str,
    ) -> Result<RuleRow, Error> {
        let mut tx = self.begin("change of a rule").await?;
        let from = newest_document(&mut tx).await?;
        let update = Query::update()
            .table("rule")
            .value("definition", definition)
            .value("token", token.map(TokenSerial::get))
            .value("disabled", None::<String>)
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

    /// Writes down why a rule looks at nothing any more, unless somebody has changed it since.
    pub async fn disable_rule(&self, seen: &RuleRow, why: &str) -> Result<(), Error> {
        let update = Query::update()
            .table("rule")
            .value("disabled", why)
            .and_where(Expr::col("id").eq(seen.id.get()))
            .and_where(Expr::col("version").eq(seen.version))
            .take();
        self.execute("end of a rule", &update).await.map(drop)
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
        .and_where(Expr::col(("rule", "account")).eq(account.get()))
        .take()
}

/// Adds the columns that [`rule`] reads, of rules and of what their tokens are today.
fn with_token(mut rules: SelectStatement) -> SelectStatement {
    let rule = |column| Expr::col(("rule", column));
    let token = ["serial", "revoked_us", "access", "lifetime_s"];
    rules
        .columns(COLUMNS.map(|column| ("rule", column)))
        .columns(token.map(|column| ("token", column)))
        .expr_as(Expr::col(("token", "created_us")), "issued_us")
        .columns(["expire_us", "channels_access"].map(|column| ("channel_group", column)))
        .left_join("token", rule("token").equals(("token", "serial")))
        .left_join(
            "channel_group",
            rule("channel_group").equals(("channel_group", "id")),
        )
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
        token: rule_token(row)?,
        disabled: row.get("disabled")?,
    })
}

fn rule_token(row: &Row) -> Result<Option<RuleToken>, Error> {
    const MICROS_PER_S: i64 = 1_000_000;
    let Some(serial) = row.get::<Option<i64>>("token")?.and_then(TokenSerial::new) else {
        return Ok(None);
    };
    let is_there = row.get::<Option<i64>>("serial")?.is_some();
    let is_revoked = !is_there || row.get::<Option<i64>>("revoked_us")?.is_some();
    let issued_us: Option<i64> = row.get("issued_us")?;
    let lifetime_s: Option<i64> = row.get("lifetime_s")?;
    let lifetime_us = lifetime_s.unwrap_or(0).saturating_mul(MICROS_PER_S);
    let token_end = issued_us.unwrap_or(0).saturating_add(lifetime_us);
    let group_end = row.get::<Option<i64>>("expire_us")?.unwrap_or(i64::MAX);
    let of_channel: Option<String> = row.get("access")?;
    let of_group: Option<String> = row.get("channels_access")?;
    let word = of_channel.or(of_group);
    let access = word.as_deref().and_then(Access::from_word);
    Ok(Some(RuleToken {
        serial,
        is_revoked,
        end: WallTime::from_micros(Ord::min(token_end, group_end)),
        access: access.unwrap_or(Access::Watch),
    }))
}

fn not_found(id: RuleId) -> Error {
    Error::not_found(format!("rule {id}"))
}
