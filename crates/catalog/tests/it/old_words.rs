//! What was written before full text existed is found by its words after the migration that brings it.

use crate::backend::{ALL, open};
use framewell_catalog::Catalog;
use framewell_catalog::meta::{Filter, TextQuery};
use framewell_model::ChannelId;
use framewell_testkit::postgres::TestDatabase;
use sqlx::migrate::Migrator;
use sqlx::{Connection as _, Executor as _, PgConnection, SqliteConnection};
use std::borrow::Cow;

/// The last migration without full text.
const BEFORE: i64 = 5;

/// Rows as that schema had them, with the numbers 1, 2, 3; the words are split and folded, with a space before and after each.
const ROWS: &str = "
    INSERT INTO account (name, created_us) VALUES ('owner', 0);
    INSERT INTO channel (account, name, name_folded, created_us, rec_mode, timezone)
        VALUES (1, 'gate', 'gate', 0, 'on', 'UTC');
    INSERT INTO meta_document (id, channel, timestamp_us, raw_data, id_words, raw_words, body) VALUES
        ('both', 1, 1, 'Free Text', ' both ', ' free text ', '{\"long\": {}, \"float\": {}, \"string\": {\"s\": \"a Red car\", \"t\": \"Straße\"}}'),
        ('field', 1, 2, NULL, ' field ', NULL, '{\"long\": {}, \"float\": {}, \"string\": {\"s\": \"red\"}}'),
        ('none', 1, 3, NULL, ' none ', NULL, '{\"long\": {}, \"float\": {}, \"string\": {}}');
    INSERT INTO meta_field (document, kind, name, channel, text_value, text_key, words) VALUES
        (1, 'string', 's', 1, 'a Red car', 'a Red car', ' a red car '),
        (1, 'string', 't', 1, 'Straße', 'Straße', ' strasse '),
        (2, 'string', 's', 1, 'red', 'red', ' red ');
";

/// The migrations of a database up to [`BEFORE`].
fn old(all: Migrator) -> Migrator {
    let mut migrations = all.migrations.into_owned();
    migrations.retain(|migration| migration.version <= BEFORE);
    assert_eq!(migrations.len(), 5);
    Migrator {
        migrations: Cow::Owned(migrations),
        ..Migrator::DEFAULT
    }
}

async fn has_the_old_words(catalog: &Catalog) {
    let channel = ChannelId::new(1).unwrap();
    for (query, expected) in [
        ("red", &["both", "field"][..]),
        ("car red", &["both"]),
        ("free car", &["both"]),
        ("STRASSE", &["both"]),
        ("tex*", &["both"]),
        ("\"red car\"", &["both"]),
        ("blue", &[]),
    ] {
        let filter = Filter::Text(TextQuery::parse(query).unwrap());
        let found = catalog.find_documents(&[channel], &filter, &[], ALL).await;
        let mut ids: Vec<String> = found.unwrap().items.into_iter().map(|d| d.id).collect();
        ids.sort();
        assert_eq!(ids, expected, "{query}");
    }
    // What full text knows goes with its document, also if a migration brought it.
    let deleted = catalog
        .delete_documents(&[channel], &["field".into()])
        .await;
    assert_eq!(deleted.unwrap(), ["field"]);
}

#[tokio::test]
async fn are_found_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("catalog.db").display());
    let mut before = SqliteConnection::connect(&format!("{url}?mode=rwc"))
        .await
        .unwrap();
    old(sqlx::migrate!("migrations/sqlite"))
        .run(&mut before)
        .await
        .unwrap();
    before.execute(ROWS).await.unwrap();
    before.close().await.unwrap();
    has_the_old_words(&open(&url).await).await;
}

#[tokio::test]
async fn are_found_on_postgres() {
    let database = TestDatabase::create().unwrap_or_else(|error| panic!("{error:#}"));
    let mut before = PgConnection::connect(database.url()).await.unwrap();
    old(sqlx::migrate!("migrations/postgres"))
        .run(&mut before)
        .await
        .unwrap();
    before.execute(ROWS).await.unwrap();
    before.close().await.unwrap();
    has_the_old_words(&open(database.url()).await).await;
}
