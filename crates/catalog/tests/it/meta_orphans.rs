//! Nothing of a document outlives it, whoever deletes it and whatever else happens to it meanwhile.

use crate::backend::{Backend, at, channel, channel_of};
use crate::meta::document;
use framewell_catalog::meta::{
    Bounds, Document, Field, Filter, Native, Object, Test, Value, Vector,
};
use framewell_catalog::{Catalog, Error};
use framewell_model::ChannelId;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, SqliteConnection};
use std::collections::BTreeMap;
use std::time::Duration;

/// Tables with rows of documents, and the column that names the document.
const OF_DOCUMENTS: [(&str, &str); 6] = [
    ("meta_field", "document"),
    ("meta_object", "document"),
    ("meta_vector", "document"),
    ("meta_sketch", "document"),
    ("meta_text", "document"),
    ("meta_change", "document"),
];

/// A document with rows in each of the tables.
fn full(n: usize, channel: ChannelId, text: &str) -> Document {
    let object = Object {
        label: Some("car".into()),
        score: Some(0.5),
        bounds: Some(Bounds {
            x: 0.1,
            y: 0.1,
            width: 0.5,
            height: 0.5,
        }),
        ..Object::default()
    };
    Document {
        long: BTreeMap::from([("n".into(), i64::try_from(n).unwrap())]),
        string: BTreeMap::from([("s".into(), text.into())]),
        native: Native {
            objects: vec![object],
            vector: Vector::New {
                values: vec![1.0, 2.0],
                sketch: vec![1, 2],
            },
            ..Native::default()
        },
        ..document(&format!("d{n}"), channel, i64::try_from(n).unwrap())
    }
}

async fn put(catalog: &Catalog, channel: ChannelId, count: usize) {
    let documents: Vec<Document> = (0..count).map(|n| full(n, channel, "red car")).collect();
    catalog.put_documents(&documents).await.unwrap();
}

async fn number(backend: &Backend, sql: String) -> i64 {
    let sql = AssertSqlSafe(sql);
    if backend.url.starts_with("sqlite:") {
        let mut connection = SqliteConnection::connect(&backend.url).await.unwrap();
        let counted = sqlx::query_scalar(sql).fetch_one(&mut connection).await;
        counted.unwrap()
    } else {
        let mut connection = PgConnection::connect(&backend.url).await.unwrap();
        let counted = sqlx::query_scalar(sql).fetch_one(&mut connection).await;
        counted.unwrap()
    }
}

/// Fails unless so many documents are there, each with one row of those of which it has one, and nothing else is.
async fn are_all(backend: &Backend, documents: i64) {
    let count = number(backend, "SELECT COUNT(*) FROM meta_document".into()).await;
    assert_eq!(count, documents, "documents");
    for (table, column) in OF_DOCUMENTS {
        // What full text of SQLite knows is not a row that can be read, but its length is.
        let (table, column) = match (table, backend.url.starts_with("sqlite:")) {
            ("meta_text", true) => ("meta_text_docsize", "id"),
            _ => (table, column),
        };
        let orphans = format!(
            "SELECT COUNT(*) FROM {table} WHERE {column} NOT IN (SELECT number FROM meta_document)"
        );
        assert_eq!(number(backend, orphans).await, 0, "orphans in {table}");
        let with = format!("SELECT COUNT(DISTINCT {column}) FROM {table}");
        assert_eq!(number(backend, with).await, documents, "{table}");
    }
}

/// Every way to delete documents.
async fn leaves_nothing(backend: Backend) {
    let catalog = &backend.catalog;
    let gate = channel(catalog).await;
    let yard = channel_of(catalog, gate.account, "yard").await.id;
    put(catalog, gate.id, 40).await;
    put(catalog, yard, 10).await;
    are_all(&backend, 50).await;
    let ids = ["d0".to_owned(), "d1".to_owned(), "none".to_owned()];
    let deleted = catalog.delete_documents(&[gate.id], &ids).await.unwrap();
    assert_eq!(deleted, ["d0", "d1"]);
    are_all(&backend, 48).await;
    let high = Filter::Leaf(Field::Long("n".into()), Test::Gte(Value::Long(35)));
    let deleted = catalog
        .delete_matching_documents(&[gate.id], &high)
        .await
        .unwrap();
    assert_eq!(deleted, 5);
    are_all(&backend, 43).await;
    let deleted = catalog.delete_documents_before(gate.id, at(12), 1_000);
    assert_eq!(deleted.await.unwrap(), 10);
    are_all(&backend, 33).await;
    put(catalog, gate.id, 40).await;
    are_all(&backend, 50).await;
    catalog
        .delete_channel(gate.account, gate.id, at(100))
        .await
        .unwrap();
    are_all(&backend, 10).await;
}

#[tokio::test]
async fn no_deletion_leaves_anything_on_sqlite() {
    leaves_nothing(Backend::sqlite().await).await;
}

#[tokio::test]
async fn no_deletion_leaves_anything_on_postgres() {
    leaves_nothing(Backend::postgres().await).await;
}

/// A new document is told from a replaced one, also where both come at once and again.
async fn tells_what_is_new(backend: Backend) {
    let catalog = &backend.catalog;
    let id = channel(catalog).await.id;
    put(catalog, id, 150).await;
    let some: Vec<Document> = (100..300).map(|n| full(n, id, "blue bus")).collect();
    let created = catalog.put_documents(&some).await.unwrap();
    assert_eq!(created.len(), 150);
    assert!(created.contains(&(id, "d150".into())) && !created.contains(&(id, "d149".into())));
    assert!(catalog.put_documents(&some).await.unwrap().is_empty());
    are_all(&backend, 300).await;
    let fields = number(&backend, "SELECT COUNT(*) FROM meta_field".into());
    assert_eq!(fields.await, 600);
}

#[tokio::test]
async fn a_write_tells_what_is_new_on_sqlite() {
    tells_what_is_new(Backend::sqlite().await).await;
}

#[tokio::test]
async fn a_write_tells_what_is_new_on_postgres() {
    tells_what_is_new(Backend::postgres().await).await;
}

/// Writers and deleters of the same documents at the same time, then the end of the channel under them.
async fn survives_a_crowd(backend: Backend) {
    const ROUNDS: usize = 25;
    let catalog = &backend.catalog;
    let gate = channel(catalog).await;
    let write = async |text: &str| {
        for _ in 0..ROUNDS {
            let documents: Vec<Document> = (0..8).map(|n| full(n, gate.id, text)).collect();
            catalog.put_documents(&documents).await.unwrap();
        }
    };
    // One at a time: two that take several locks in different orders may stop each other.
    let delete = async || {
        for round in 0..ROUNDS * 2 {
            let id = format!("d{}", round % 8);
            catalog.delete_documents(&[gate.id], &[id]).await.unwrap();
            catalog
                .delete_documents_before(gate.id, at(4), 1)
                .await
                .unwrap();
        }
    };
    tokio::join!(write("red car"), write("blue"), delete());
    write("last").await;
    are_all(&backend, 8).await;
    let write_until_gone = async || {
        loop {
            let documents: Vec<Document> = (0..8).map(|n| full(n, gate.id, "late")).collect();
            match catalog.put_documents(&documents).await {
                Ok(_) => {}
                Err(Error::NotFound { .. }) => break,
                Err(error) => panic!("{error:?}"),
            }
        }
    };
    let end = async || {
        let ended = catalog.delete_channel(gate.account, gate.id, at(100));
        ended.await.unwrap();
    };
    tokio::join!(write_until_gone(), end());
    are_all(&backend, 0).await;
}

#[tokio::test]
async fn writers_and_deleters_at_once_leave_nothing_on_sqlite() {
    survives_a_crowd(Backend::sqlite().await).await;
}

#[tokio::test]
async fn writers_and_deleters_at_once_leave_nothing_on_postgres() {
    survives_a_crowd(Backend::postgres().await).await;
}

/// Waits until some statement on this database waits for a lock.
async fn somebody_waits(url: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let waiting = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let until = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let count: i64 = sqlx::query_scalar(waiting)
            .fetch_one(&mut connection)
            .await
            .unwrap();
        if count > 0 {
            return;
        }
        assert!(tokio::time::Instant::now() < until, "nobody waits");
        tokio::task::yield_now().await;
    }
}

/// The rows that a writer gives a document while a deletion waits for it are deleted too: a statement of the trigger
/// sees what was committed until it begins.
#[tokio::test]
async fn a_deletion_that_waited_for_a_replacement_deletes_the_new_rows() {
    let backend = Backend::postgres().await;
    let id = channel(&backend.catalog).await.id;
    put(&backend.catalog, id, 1).await;
    let mut writer = PgConnection::connect(&backend.url).await.unwrap();
    writer
        .execute(
            "BEGIN;
             UPDATE meta_document SET body = '{}';
             DELETE FROM meta_field;
             INSERT INTO meta_field (document, kind, name, channel, long_value)
                 SELECT number, 'long', 'late', channel, 5 FROM meta_document;",
        )
        .await
        .unwrap();
    let ids = ["d0".to_owned()];
    let channels = [id];
    let delete = backend.catalog.delete_documents(&channels, &ids);
    let commit = async {
        somebody_waits(&backend.url).await;
        writer.execute("COMMIT").await.unwrap();
    };
    let (deleted, ()) = tokio::join!(delete, commit);
    assert_eq!(deleted.unwrap(), ["d0"]);
    are_all(&backend, 0).await;
}

/// A writer holds its channel until it has committed, so that a deletion of the channel finds what it wrote.
#[tokio::test]
async fn a_deletion_of_a_channel_waits_for_its_writers() {
    let backend = Backend::postgres().await;
    let gate = channel(&backend.catalog).await;
    let mut writer = PgConnection::connect(&backend.url).await.unwrap();
    writer
        .execute(
            "BEGIN;
             SELECT id FROM channel FOR KEY SHARE;
             INSERT INTO meta_document (id, channel, timestamp_us, id_words, body)
                 SELECT 'late', id, 5, ' late ', '{}' FROM channel;
             INSERT INTO meta_field (document, kind, name, channel, long_value)
                 SELECT number, 'long', 'late', channel, 5 FROM meta_document;",
        )
        .await
        .unwrap();
    let delete = backend
        .catalog
        .delete_channel(gate.account, gate.id, at(100));
    let commit = async {
        somebody_waits(&backend.url).await;
        writer.execute("COMMIT").await.unwrap();
    };
    let (deleted, ()) = tokio::join!(delete, commit);
    deleted.unwrap();
    are_all(&backend, 0).await;
}
