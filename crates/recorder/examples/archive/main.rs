//! What `cargo xtask bench archive` runs on each database. Prints one JSON object.
//!
//! `archive fill DATABASE_URL CAMERAS DAYS SEGMENTS_PER_DAY`: rows of a year, and how long it takes to find something in them.
//! `archive growth DATABASE_URL CAMERAS`: what a day of recording adds to the database.
//! `archive crash DATABASE_URL DATA_DIR OPEN STORED`: a data folder as `kill -9` leaves it.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "prints its result, and how far it is"
)]

mod crash;
mod growth;
mod lookup;
mod rows;

use framewell_catalog::{Catalog, CatalogConfig};
use framewell_model::{ChannelId, NewChannel, RecMode, Secret, WallTime};
use std::collections::BTreeMap;

type Failure = Box<dyn std::error::Error>;

/// Start of all recordings: 2026-01-01T00:00:00Z.
const START: WallTime = WallTime::from_secs(1_767_225_600);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["fill", url, cameras, days, per_day] => {
            lookup::measure(url, cameras.parse()?, days.parse()?, per_day.parse()?).await?
        }
        ["growth", url, cameras] => growth::measure(url, cameras.parse()?).await?,
        ["crash", url, data_dir, open, stored] => {
            crash::leave(url, data_dir.as_ref(), open.parse()?, stored.parse()?).await?
        }
        _ => return Err("fill, growth or crash, and what they need".into()),
    };
    println!("{result}");
    Ok(())
}

async fn open(url: &str) -> Result<Catalog, Failure> {
    let config = CatalogConfig {
        url: Secret::new(url.to_owned()),
        max_connections: 4,
    };
    Ok(Catalog::open(&config).await?)
}

/// Channels without a source that do not record: nothing but the bench writes.
async fn channels(catalog: &Catalog, count: usize) -> Result<Vec<ChannelId>, Failure> {
    let account = catalog.create_account("bench", START).await?.id;
    let mut channels = Vec::new();
    for n in 0..count {
        let new = NewChannel {
            name: format!("camera {n}"),
            rec_mode: RecMode::Off,
            timezone: "UTC".into(),
            source: None,
            retention_s: None,
            meta: BTreeMap::new(),
        };
        channels.push(catalog.create_channel(account, &new, START).await?.id);
    }
    Ok(channels)
}
