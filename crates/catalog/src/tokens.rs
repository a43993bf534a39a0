//! Rows behind tokens: what a serial number opens, and whether it is revoked. No token text here.

use crate::channel_rows::require;
use crate::channels::require_account;
use crate::group_rows::require_own;
use crate::sql::{Dialect, Row, Tx};
use crate::{Catalog, Error};
use framewell_model::{Access, AccountId, ChannelId, GroupId, TokenSerial, WallTime};
use sea_query::{
    Expr, ExprTrait as _, InsertStatement, LockType, OnConflict, Order, Query, SelectStatement,
    UpdateStatement,
};

/// Lifetime of channel tokens in seconds: ten years, as the vendor's.
pub const CHANNEL_TOKEN_LIFETIME_S: i64 = 0x12cf_f780;

/// Lifetime of license keys and group tokens in seconds: a hundred years. A group has an end of its own,
/// and a key is good until it is revoked.
pub const LONG_TOKEN_LIFETIME_S: i64 = 0xbc1f_ab00;

const MICROS_PER_S: i64 = 1_000_000;

/// What a token opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenTarget {
    /// License key of an account.
    Account(AccountId),
    /// A channel, at a level.
    Channel(ChannelId, Access),
    /// A group.
    Group(GroupId),
}

/// A token's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// Serial number.
    pub serial: TokenSerial,
    /// Owner of what it opens.
    pub account: AccountId,
    /// What it opens.
    pub target: TokenTarget,
    /// When it was issued, whole seconds.
    pub created: WallTime,
    /// Lifetime in seconds from `created`.
    pub lifetime_s: i64,
    /// When it was revoked, if it was.
    pub revoked: Option<WallTime>,
}

impl TokenRow {
    /// When it ends if nobody revokes it.
    #[must_use]
    pub const fn end(&self) -> WallTime {
        self.created
            .plus_micros(self.lifetime_s.saturating_mul(MICROS_PER_S))
    }
}

/// Which standing tokens a call is about.
#[derive(Debug, Clone, Copy)]
enum Wanted<'a> {
    One(TokenTarget),
    /// Both levels of each.
    Channels(&'a [ChannelId]),
}

impl Catalog {
    /// The standing token of a target: made at the first call, the same row at every later one, until
    /// it is revoked or its lifetime ends. Safe against two callers at once. [`Error::NotFound`] if the
    /// account does not have the target.
    pub async fn ensure_token(
        &self,
        account: AccountId,
        target: TokenTarget,
        now: WallTime,
    ) -> Result<TokenRow, Error> {
        let mut rows = self.ensure(account, Wanted::One(target), now).await?;
        let missing = || Error::corrupt("serial", "a token that was just made is missing");
        rows.pop().ok_or_else(missing)
    }

    /// The standing tokens of many channels at both levels, in one round trip (lists show them); by
    /// channel and level. [`Error::NotFound`] names a channel that the account does not have.
    pub async fn ensure_channel_tokens(
        &self,
        account: AccountId,
        channels: &[ChannelId],
        now: WallTime,
    ) -> Result<Vec<TokenRow>, Error> {
        let mut channels = channels.to_vec();
        channels.sort_unstable();
        channels.dedup();
        self.ensure(account, Wanted::Channels(&channels), now).await
    }

    /// The row of a serial number, revoked or not.
    pub async fn load_token(&self, serial: TokenSerial) -> Result<TokenRow, Error> {
        let select = select_tokens()
            .and_where(Expr::col("serial").eq(serial.get()))
            .take();
        let rows = self.read("load of a token", &select).await?;
        token(rows.first().ok_or_else(|| not_found(serial))?)
    }

    /// The tokens of a channel that are not revoked, at any level; those that nobody has asked for yet do
    /// not exist. Whether they have ended is for the caller to see.
    pub async fn channel_tokens(&self, channel: ChannelId) -> Result<Vec<TokenRow>, Error> {
        let select = select_tokens()
            .and_where(Expr::col("channel").eq(channel.get()))
            .and_where(Expr::col("revoked_us").is_null())
            .take();
        let rows = self.read("search for tokens of a channel", &select).await?;
        rows.iter().map(token).collect()
    }

    /// Revokes a token for good; the next [`Catalog::ensure_token`] makes another. Repeating it does
    /// nothing.
    pub async fn revoke_token(&self, serial: TokenSerial, now: WallTime) -> Result<(), Error> {
        let revoke = revoke(now)
            .and_where(Expr::col("serial").eq(serial.get()))
            .take();
        if self.execute("revocation of a token", &revoke).await? == 0 {
            self.load_token(serial).await?;
        }
        // Those that the token made end with it.
        self.note_rule_change();
        Ok(())
    }

    /// Revokes the standing token of a target, if it has one. [`Error::NotFound`] if the account does
    /// not have the target.
    pub async fn revoke_standing_token(
        &self,
        account: AccountId,
        target: TokenTarget,
        now: WallTime,
    ) -> Result<(), Error> {
        let wanted = Wanted::One(target);
        let mut tx = self.begin("revocation of a token").await?;
        wanted.require(&mut tx, account).await?;
        let revoke = revoke(now)
            .and_where(wanted.is_standing(account, tx.dialect()))
            .take();
        tx.execute(&revoke).await?;
        tx.commit().await?;
        self.note_rule_change();
        Ok(())
    }

    async fn ensure(
        &self,
        account: AccountId,
        wanted: Wanted<'_>,
        now: WallTime,
    ) -> Result<Vec<TokenRow>, Error> {
        let standing = select_tokens()
            .and_where(wanted.is_standing(account, self.dialect()))
            .take();
        let rows = self.read("search for tokens", &standing).await?;
        let tokens = rows.iter().map(token).collect::<Result<Vec<_>, _>>()?;
        if tokens.len() == wanted.count() && tokens.iter().all(|token| now < token.end()) {
            return Ok(tokens);
        }
        let mut tx = self.begin("issue of tokens").await?;
        wanted.require(&mut tx, account).await?;
        let end_us = Expr::col("created_us").add(Expr::col("lifetime_s").mul(MICROS_PER_S));
        let retire = revoke(now)
            .and_where(wanted.is_standing(account, tx.dialect()))
            .and_where(end_us.lte(now.micros()))
            .take();
        tx.execute(&retire).await?;
        for insert in wanted.inserts(account, now) {
            tx.execute(&insert).await?;
        }
        let rows = tx.fetch(&standing).await?;
        tx.commit().await?;
        rows.iter().map(token).collect()
    }
}

/// Rows inserted by one statement: seven values each stay below the limits of both databases.
const ROWS_AT_ONCE: usize = 2_000;

impl Wanted<'_> {
    fn count(self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Channels(channels) => 2 * channels.len(),
        }
    }

    fn is_standing(self, account: AccountId, dialect: Dialect) -> Expr {
        let is_target = match self {
            Self::One(TokenTarget::Account(_)) => Expr::col("kind").eq("account"),
            Self::One(TokenTarget::Channel(channel, access)) => Expr::col("channel")
                .eq(channel.get())
                .and(Expr::col("access").eq(access.as_str())),
            Self::One(TokenTarget::Group(group)) => Expr::col("channel_group").eq(group.get()),
            Self::Channels(channels) => {
                let ids: Vec<i64> = channels.iter().map(|channel| channel.get()).collect();
                dialect.is_one_of(Expr::col("channel"), &ids)
            }
        };
        Expr::col("account")
            .eq(account.get())
            .and(is_target)
            .and(Expr::col("revoked_us").is_null())
    }

    /// Fails unless the account has the targets, which stay until the transaction ends.
    async fn require(self, tx: &mut Tx, account: AccountId) -> Result<(), Error> {
        match self {
            Self::One(TokenTarget::Account(target)) if target == account => {
                require_account(tx, account).await
            }
            Self::One(TokenTarget::Account(target)) => {
                Err(Error::not_found(format!("account {target}")))
            }
            Self::One(TokenTarget::Channel(channel, _)) => {
                require(tx, channel, Some(account), LockType::KeyShare).await
            }
            Self::One(TokenTarget::Group(group)) => require_group(tx, group, account).await,
            Self::Channels(channels) => require_own(tx, account, channels).await,
        }
    }

    /// Statements that make what is missing and leave what is there.
    fn inserts(self, account: AccountId, now: WallTime) -> Vec<InsertStatement> {
        let targets: Vec<TokenTarget> = match self {
            Self::One(target) => vec![target],
            Self::Channels(channels) => channels
                .iter()
                .flat_map(|channel| {
                    [Access::All, Access::Watch].map(|level| TokenTarget::Channel(*channel, level))
                })
                .collect(),
        };
        targets
            .chunks(ROWS_AT_ONCE)
            .map(|some| insert(account, some, now))
            .collect()
    }
}

fn insert(account: AccountId, targets: &[TokenTarget], now: WallTime) -> InsertStatement {
    let created_us = WallTime::from_secs(now.secs()).micros();
    let mut insert = Query::insert();
    insert.into_table("token").columns([
        "account",
        "kind",
        "channel",
        "channel_group",
        "access",
        "created_us",
        "lifetime_s",
    ]);
    for target in targets {
        let (kind, channel, group, access, lifetime_s) = match *target {
            TokenTarget::Account(_) => ("account", None, None, None, LONG_TOKEN_LIFETIME_S),
            TokenTarget::Channel(channel, access) => {
                let access = Some(access.as_str());
                let lifetime_s = CHANNEL_TOKEN_LIFETIME_S;
                ("channel", Some(channel.get()), None, access, lifetime_s)
            }
            TokenTarget::Group(group) => {
                let lifetime_s = LONG_TOKEN_LIFETIME_S;
                ("group", None, Some(group.get()), None, lifetime_s)
            }
        };
        insert.values_panic([
            account.get().into(),
            kind.into(),
            channel.into(),
            group.into(),
            access.into(),
            created_us.into(),
            lifetime_s.into(),
        ]);
    }
    // The unique indexes over standing tokens let one of two callers win; both read its row.
    insert
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .take()
}

fn revoke(now: WallTime) -> UpdateStatement {
    Query::update()
        .table("token")
        .value("revoked_us", now.micros())
        .and_where(Expr::col("revoked_us").is_null())
        .take()
}

fn select_tokens() -> SelectStatement {
    Query::select()
        .columns([
            "serial",
            "account",
            "kind",
            "channel",
            "channel_group",
            "access",
            "created_us",
            "lifetime_s",
            "revoked_us",
        ])
        .from("token")
        .order_by("channel", Order::Asc)
        .order_by("access", Order::Asc)
        .take()
}

fn token(row: &Row) -> Result<TokenRow, Error> {
    let account = row.id("account", AccountId::new)?;
    let kind: String = row.get("kind")?;
    let target = match kind.as_str() {
        "account" => TokenTarget::Account(account),
        "channel" => TokenTarget::Channel(
            row.id("channel", ChannelId::stored)?,
            row.word("access", Access::from_word)?,
        ),
        "group" => TokenTarget::Group(row.id("channel_group", GroupId::new)?),
        _ => return Err(Error::corrupt("kind", format!("{kind:?} is not known"))),
    };
    Ok(TokenRow {
        serial: row.id("serial", TokenSerial::new)?,
        account,
        target,
        created: WallTime::from_micros(row.get("created_us")?),
        lifetime_s: row.get("lifetime_s")?,
        revoked: row
            .get::<Option<i64>>("revoked_us")?
            .map(WallTime::from_micros),
    })
}

async fn require_group(tx: &mut Tx, group: GroupId, account: AccountId) -> Result<(), Error> {
    let select = Query::select()
        .column("id")
        .from("channel_group")
        .and_where(Expr::col("id").eq(group.get()))
        .and_where(Expr::col("account").eq(account.get()))
        .lock(LockType::KeyShare)
        .take();
    let rows = tx.fetch(&select).await?;
    let missing = || Error::not_found(format!("group {group}"));
    rows.first().map(drop).ok_or_else(missing)
}

fn not_found(serial: TokenSerial) -> Error {
    Error::not_found(format!("token {serial}"))
}
