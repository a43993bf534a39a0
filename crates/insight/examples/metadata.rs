//! What `cargo xtask bench metadata` runs on each database: writes, five searches, nearest neighbours, and a
//! bare insert loop. Prints one JSON object.
//!
//! `metadata DATABASE_URL DOCUMENTS VECTORS`

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "prints its result, and how far it is"
)]

use framewell_catalog::meta::{
    Bounds, DocumentSearch, Field, Filter, Native, Object, ObjectField, Region, Scope, Test,
    TextQuery, Value as Typed, Vector,
};
use framewell_catalog::{Catalog, CatalogConfig, Order};
use framewell_insight::{InputDocument, Insight, NearQuery, Neighbours, sketch};
use framewell_model::{ChannelId, NewChannel, RecMode, Secret, WallTime};
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection, SqliteConnection};
use std::collections::BTreeMap;
use std::time::Instant;

type Failure = Box<dyn std::error::Error>;

const CHANNELS: usize = 100;
const DIMENSIONS: usize = 384;
/// Vectors lie around so many centers.
const CLUSTERS: usize = 1_000;
const SEARCHES: usize = 200;
const VECTOR_SEARCHES: usize = 50;
const NEIGHBOURS: usize = 10;
/// One document a second on each channel.
const START_S: i64 = 1_700_000_000;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("DATABASE_URL DOCUMENTS VECTORS");
    let (url, documents, vectors) = (next()?, next()?.parse()?, next()?.parse()?);
    let bare = bare(&url).await?;
    let config = CatalogConfig {
        url: Secret::new(url),
        max_connections: 4,
    };
    let catalog = Catalog::open(&config).await?;
    let channels = channels(&catalog).await?;
    let store = Store {
        insight: Insight::new(catalog.clone()),
        channels,
    };
    let writes = store.write(documents).await?;
    eprintln!("writes: {writes}");
    let filters = store.filters(documents).await?;
    eprintln!("filters: {filters}");
    let vectors = store.vectors(documents, vectors).await?;
    println!(
        "{}",
        json!({"bare": bare, "writes": writes, "filters": filters, "vectors": vectors})
    );
    catalog.close().await;
    Ok(())
}

async fn channels(catalog: &Catalog) -> Result<Vec<ChannelId>, Failure> {
    let now = WallTime::from_secs(START_S);
    let account = catalog.create_account("bench", now).await?.id;
    let mut channels = Vec::new();
    for n in 0..CHANNELS {
        let new = NewChannel {
            name: format!("camera {n}"),
            rec_mode: RecMode::Off,
            timezone: "UTC".into(),
            source: None,
            retention_s: None,
            meta: BTreeMap::new(),
        };
        channels.push(catalog.create_channel(account, &new, now).await?.id);
    }
    Ok(channels)
}

/// Rows of one insert statement, and how many statements for a figure.
const BATCHES: [(usize, usize); 3] = [(1, 2_000), (100, 200), (1_000, 40)];

/// Rows a second of a plain table with a key and the same JSON, one transaction for each batch.
async fn bare(url: &str) -> Result<Value, Failure> {
    let mut rates = serde_json::Map::new();
    let table = "CREATE TABLE bare (id TEXT PRIMARY KEY, channel BIGINT NOT NULL, timestamp_us BIGINT NOT NULL, body TEXT NOT NULL)";
    let mut sqlite = None;
    let mut postgres = None;
    if url.starts_with("sqlite:") {
        let mut connection = SqliteConnection::connect(&format!("{url}.bare?mode=rwc")).await?;
        for setup in [
            "PRAGMA journal_mode=WAL",
            "PRAGMA synchronous=NORMAL",
            table,
        ] {
            sqlx::query(setup).execute(&mut connection).await?;
        }
        sqlite = Some(connection);
    } else {
        let mut connection = PgConnection::connect(url).await?;
        sqlx::query(table).execute(&mut connection).await?;
        postgres = Some(connection);
    }
    let mut number = 0;
    for (size, count) in BATCHES {
        let started = Instant::now();
        for _ in 0..count {
            let rows: Vec<Value> = (number..number + size)
                .map(|n| json!([format!("bare-{n}"), n % CHANNELS, START_S, body(n)]))
                .collect();
            number += size;
            let rows = Value::from(rows).to_string();
            if let Some(connection) = &mut sqlite {
                let insert = "INSERT INTO bare SELECT value->>0, value->>1, value->>2, value->>3 FROM json_each(?)";
                sqlx::query(insert).bind(rows).execute(connection).await?;
            } else if let Some(connection) = &mut postgres {
                let insert = "INSERT INTO bare SELECT value->>0, (value->>1)::bigint, (value->>2)::bigint, value->>3 FROM json_array_elements($1::json)";
                sqlx::query(insert).bind(rows).execute(connection).await?;
            }
        }
        rates.insert(size.to_string(), rate(size * count, started));
    }
    if let Some(connection) = &mut postgres {
        sqlx::query("DROP TABLE bare").execute(connection).await?;
    }
    Ok(rates.into())
}

fn body(n: usize) -> String {
    let document = document(n);
    let text = json!({"long": document.long, "float": document.float, "string": document.string, "raw_data": document.raw_data,
        "objects": document.native.objects});
    text.to_string()
}

#[expect(clippy::cast_precision_loss, reason = "a rate")]
fn rate(count: usize, since: Instant) -> Value {
    (count as f64 / since.elapsed().as_secs_f64())
        .round()
        .into()
}

/// Numbers that look random, the same on every run.
fn mix(number: usize) -> u64 {
    let mut mixed = (number as u64)
        .wrapping_add(1)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// One of so many.
fn pick(number: usize, of: usize) -> usize {
    (mix(number) % of as u64) as usize
}

/// 0 to 1.
#[expect(clippy::cast_precision_loss, reason = "53 bits")]
fn part(number: usize) -> f64 {
    (mix(number) >> 11) as f64 / (1_u64 << 53) as f64
}

const LABELS: [&str; 8] = [
    "person", "car", "dog", "bicycle", "bus", "truck", "bag", "cat",
];
const WORDS: [&str; 12] = [
    "red", "blue", "white", "black", "left", "right", "gate", "yard", "enters", "leaves", "waits",
    "runs",
];

fn seconds(n: usize) -> i64 {
    START_S + i64::try_from(n / CHANNELS).unwrap_or(0)
}

/// What an engine writes about a picture.
fn document(n: usize) -> InputDocument {
    let object = Object {
        label: Some(LABELS[pick(n, LABELS.len())].into()),
        score: Some(part(n + 1)),
        track: Some(format!("t{}", n / 50)),
        bounds: Some(Bounds {
            x: part(n + 2) * 0.8,
            y: part(n + 3) * 0.8,
            width: 0.1,
            height: 0.2,
        }),
        ..Object::default()
    };
    let word = |k: usize| WORDS[pick(n * 3 + k, WORDS.len())];
    InputDocument {
        id: Some(format!("d{n}")),
        timestamp: WallTime::from_secs(seconds(n)),
        long: BTreeMap::from([
            ("Person".into(), (pick(n + 4, 10)) as i64),
            ("clip".into(), (n / 20) as i64),
        ]),
        float: BTreeMap::from([("light".into(), part(n + 5))]),
        string: BTreeMap::from([("type".into(), "count".into())]),
        raw_data: Some(format!(
            "{} {} {} number{}",
            word(0),
            word(1),
            word(2),
            n / 10
        )),
        native: Native {
            objects: vec![object],
            ..Native::default()
        },
    }
}

struct Store {
    insight: Insight,
    channels: Vec<ChannelId>,
}

impl Store {
    /// Documents a second in batches, each of one channel; `documents` in all.
    async fn write(&self, documents: usize) -> Result<Value, Failure> {
        let mut rates = serde_json::Map::new();
        let mut written = 0;
        for (n, (size, count)) in BATCHES.into_iter().enumerate() {
            let count = match n {
                2 => (documents.saturating_sub(written) / size).max(1),
                _ => count,
            };
            let started = Instant::now();
            for _ in 0..count {
                let channel = self.channels[(written / size) % CHANNELS];
                let batch = (written..written + size).map(|n| Ok(document(n))).collect();
                self.insight.post(channel, batch).await?;
                written += size;
            }
            rates.insert(size.to_string(), rate(size * count, started));
        }
        Ok(rates.into())
    }

    /// Five searches, each with other values every time.
    async fn filters(&self, documents: usize) -> Result<Value, Failure> {
        let mut told = serde_json::Map::new();
        for name in QUESTIONS {
            let mut times = Vec::with_capacity(SEARCHES);
            for n in 0..SEARCHES {
                let Question { filter, start, end } = question(name, n, documents)?;
                let channels = match name == QUESTIONS[0] {
                    true => &self.channels[n % CHANNELS..=n % CHANNELS],
                    false => &self.channels[..],
                };
                let query = DocumentSearch {
                    scope: Scope {
                        channels,
                        filter: &filter,
                        start,
                        end,
                    },
                    order: Order::Descending,
                    after: None,
                    limit: 20,
                };
                let started = Instant::now();
                self.insight.search(&query).await?;
                times.push(started.elapsed().as_secs_f64() * 1_000.0);
            }
            told.insert(name.into(), spread(times));
        }
        Ok(told.into())
    }

    /// Vectors a second.
    async fn write_vectors(&self, documents: usize, vectors: usize) -> Result<Value, Failure> {
        let started = Instant::now();
        for (n, first) in (0..vectors).step_by(1_000).enumerate() {
            let batch = first..vectors.min(first + 1_000);
            let batch = batch.map(|n| {
                let values = vector(n);
                let bits = sketch(&values);
                let bits = bits.iter().flat_map(|word| word.to_le_bytes()).collect();
                let mut document = document(documents + n);
                document.id = Some(format!("v{n}"));
                document.native.vector = Vector::New {
                    values,
                    sketch: bits,
                };
                Ok(document)
            });
            let channel = self.channels[n % CHANNELS];
            self.insight.post(channel, batch.collect()).await?;
        }
        Ok(rate(vectors, started))
    }

    /// Nearest neighbours, and how many of them are the real ones.
    async fn vectors(&self, documents: usize, vectors: usize) -> Result<Value, Failure> {
        let rate = self.write_vectors(documents, vectors).await?;
        let everything = Filter::And(Vec::new());
        let scope = Scope {
            channels: &self.channels,
            filter: &everything,
            start: None,
            end: None,
        };
        let queries = (0..VECTOR_SEARCHES).map(|n| near(pick(n + 77, vectors.max(1)), n));
        let queries: Vec<Vec<f32>> = queries.collect();
        let mut times = Vec::new();
        let mut found = Vec::new();
        for vector in &queries {
            let query = NearQuery {
                vector: vector.clone(),
                most: NEIGHBOURS,
                min_score: None,
                is_exact: false,
            };
            let started = Instant::now();
            found.push(self.insight.near(scope, &query).await?);
            times.push(started.elapsed().as_secs_f64() * 1_000.0);
        }
        // The first one reads the sketches.
        let first_ms = times.remove(0);
        let truth = nearest(&queries, vectors);
        let in_both = |(found, truth): (&Neighbours, &Vec<String>)| {
            let ids = found.found.iter().map(|(_, document)| &document.id);
            ids.filter(|id| truth.contains(id)).count()
        };
        let same: usize = found.iter().zip(&truth).map(in_both).sum();
        let wanted: usize = truth.iter().map(Vec::len).sum();
        #[expect(clippy::cast_precision_loss, reason = "a share")]
        let recall = same as f64 / wanted.max(1) as f64;
        let mut told = spread(times);
        told["first_ms"] = first_ms.into();
        told["recall"] = recall.into();
        told["written_per_s"] = rate;
        told["compared"] = found.last().map_or(0, |found| found.compared).into();
        Ok(told)
    }
}

const QUESTIONS: [&str; 5] = [
    "newest of a channel",
    "an hour of all channels, Person > 7",
    "a rare value among all",
    "a sure object in a corner, newest",
    "two words, newest",
];

struct Question {
    filter: Filter,
    start: Option<WallTime>,
    end: Option<WallTime>,
}

/// The `n`th form of a question.
fn question(name: &str, n: usize, documents: usize) -> Result<Question, Failure> {
    let long = |name: &str, test| Filter::Leaf(Field::Long(name.into()), test);
    let (mut start, mut end) = (None, None);
    let filter = match name {
        "newest of a channel" => Filter::And(Vec::new()),
        "an hour of all channels, Person > 7" => {
            let hour = START_S + i64::try_from(pick(n, documents / CHANNELS + 1))?;
            start = Some(WallTime::from_secs(hour));
            end = Some(WallTime::from_secs(hour + 3_600));
            long("Person", Test::Gt(Typed::Long(7)))
        }
        "a rare value among all" => {
            let clip = i64::try_from(pick(n, documents / 20 + 1))?;
            long("clip", Test::Eq(Typed::Long(clip)))
        }
        "a sure object in a corner, newest" => Filter::Object(vec![
            (
                ObjectField::Label,
                Test::Eq(Typed::Text(LABELS[n % LABELS.len()].into())),
            ),
            (ObjectField::Score, Test::Gte(Typed::Float(0.9))),
            (
                ObjectField::Region,
                Test::Intersects(Region {
                    min_x: 0.0,
                    min_y: 0.0,
                    max_x: 0.25,
                    max_y: 0.25,
                }),
            ),
        ]),
        _ => {
            let words = [WORDS[n % 12], WORDS[(n / 12 + n + 1) % 12]].join(" ");
            Filter::Text(TextQuery::parse(&words)?)
        }
    };
    Ok(Question { filter, start, end })
}

/// A vector of its cluster.
fn vector(n: usize) -> Vec<f32> {
    let center = n % CLUSTERS;
    let noise = |k: usize, of: usize| (part(of * DIMENSIONS + k) * 2.0 - 1.0) as f32;
    (0..DIMENSIONS)
        .map(|k| noise(k, usize::MAX / 2 / DIMENSIONS + center) + noise(k, n))
        .collect()
}

/// Something like vector `n`.
fn near(n: usize, salt: usize) -> Vec<f32> {
    let other = vector(n + CLUSTERS * (1_000_000 + salt));
    vector(n)
        .iter()
        .zip(other)
        .map(|(one, other)| one + 0.5 * other)
        .collect()
}

/// Ids of the nearest, by comparing all.
fn nearest(queries: &[Vec<f32>], vectors: usize) -> Vec<Vec<String>> {
    let mut best: Vec<Vec<(f64, usize)>> = vec![Vec::new(); queries.len()];
    for n in 0..vectors {
        let vector = vector(n);
        let length: f32 = vector.iter().map(|value| value * value).sum();
        for (best, query) in best.iter_mut().zip(queries) {
            let dot: f32 = vector
                .iter()
                .zip(query)
                .map(|(one, other)| one * other)
                .sum();
            let score = f64::from(dot) / f64::from(length).sqrt();
            let is_better =
                best.len() < NEIGHBOURS || best.last().is_some_and(|(least, _)| score > *least);
            if is_better {
                let at = best.partition_point(|(other, _)| *other >= score);
                best.insert(at, (score, n));
                best.truncate(NEIGHBOURS);
            }
        }
    }
    let ids = |best: Vec<(f64, usize)>| best.into_iter().map(|(_, n)| format!("v{n}")).collect();
    best.into_iter().map(ids).collect()
}

/// Half are faster than `p50_ms`, 99 of 100 than `p99_ms`.
fn spread(mut times: Vec<f64>) -> Value {
    times.sort_by(f64::total_cmp);
    let at =
        |share: usize| times.get((times.len() * share / 100).min(times.len().saturating_sub(1)));
    json!({"p50_ms": at(50), "p99_ms": at(99)})
}
