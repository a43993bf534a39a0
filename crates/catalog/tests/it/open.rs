//! Opening, closing, and what a file may not be.

use crate::backend::{Backend, account, at, conformance, open};
use framewell_catalog::{Catalog, CatalogConfig, Error};
use framewell_model::{HasKind as _, Secret};
use std::os::unix::fs::PermissionsExt as _;

conformance! {
    async fn an_open_catalog_answers_and_a_closed_one_does_not(catalog: &Catalog) {
        catalog.ping().await.unwrap();
        catalog.close().await;
        let error = catalog.ping().await.unwrap_err();
        assert!(matches!(error, Error::Database { operation: "ping", .. }));
        assert!(error.kind().is_retryable());
    }

    async fn a_name_is_given_to_one_account_only(catalog: &Catalog) {
        let first = catalog.create_account("acme", at(1)).await.unwrap();
        let second = catalog.create_account("Acme", at(2)).await.unwrap();
        let error = catalog.create_account("acme", at(3)).await.unwrap_err();
        assert!(matches!(error, Error::AlreadyExists { .. }), "{error}");
        assert_eq!(error.to_string(), "account \"acme\" exists already");
        assert_eq!(catalog.list_accounts().await.unwrap(), [first, second]);
    }

    async fn texts_that_no_database_can_hold_are_refused(catalog: &Catalog) {
        for name in ["", "a\0b", &"x".repeat(600)] {
            let error = catalog.create_account(name, at(1)).await.unwrap_err();
            assert!(matches!(error, Error::Invalid(_)), "{error}");
        }
    }
}

async fn survives_reopening(backend: Backend) {
    let id = account(&backend.catalog, "acme").await;
    backend.catalog.close().await;
    let again = open(&backend.url).await;
    assert_eq!(again.list_accounts().await.unwrap()[0].id, id);
    again.close().await;
}

#[tokio::test]
async fn rows_survive_reopening_on_sqlite() {
    survives_reopening(Backend::sqlite().await).await;
}

#[tokio::test]
async fn rows_survive_reopening_on_postgres() {
    survives_reopening(Backend::postgres().await).await;
}

#[tokio::test]
async fn two_processes_may_write_one_sqlite_file() {
    let backend = Backend::sqlite().await;
    let other = open(&backend.url).await;
    let make = async |catalog: &Catalog, prefix: &str| {
        for number in 0..50 {
            account(catalog, &format!("{prefix}{number}")).await;
        }
    };
    tokio::join!(make(&backend.catalog, "a"), make(&other, "b"));
    assert_eq!(other.list_accounts().await.unwrap().len(), 100);
}

#[tokio::test]
async fn only_the_owner_may_read_the_file_of_sqlite() {
    let backend = Backend::sqlite().await;
    account(&backend.catalog, "acme").await;
    let path = backend.url.strip_prefix("sqlite:").unwrap();
    for suffix in ["", "-wal", "-shm"] {
        let mode = std::fs::metadata(format!("{path}{suffix}"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0, "{suffix:?} has mode {mode:o}");
    }
}

async fn failure_of(url: &str) -> Error {
    let config = CatalogConfig {
        url: Secret::new(url.to_owned()),
        max_connections: 1,
    };
    Catalog::open(&config).await.unwrap_err()
}

#[tokio::test]
async fn urls_of_no_database_are_refused_without_showing_them() {
    for url in ["", "mysql://user:hunter2@host/x", "sqlite::memory:"] {
        let error = failure_of(url).await;
        assert!(matches!(error, Error::Invalid(_)), "{error:?}");
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().display();
    let url = format!("postgres://user:hunter2@localhost/x?host={socket}");
    let error = failure_of(&url).await;
    assert!(error.kind().is_retryable(), "{error:?}");
    assert!(!format!("{error:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_database_that_cannot_be_reached_is_an_error_that_says_why() {
    let config = CatalogConfig {
        // Nobody listens on port 1.
        url: Secret::new("postgres://me:hunter2@127.0.0.1:1/framewell".to_owned()),
        max_connections: 1,
    };
    let error = Catalog::open(&config).await.unwrap_err();
    let Error::Database {
        operation: "open",
        source,
    } = &error
    else {
        panic!("{error:?}");
    };
    assert!(source.to_string().contains("refused"), "{source}");
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
}
