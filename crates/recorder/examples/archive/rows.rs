//! Rows of segments as the recorder writes them, and many of them at once.

use crate::{Failure, START};
use framewell_fmp4::{SegmentIdentity, build_fragment, build_linked_init, scan_segment};
use framewell_media::TrackKind;
use framewell_model::{ChainLink, ChannelId, ClockSource, RunId, SegmentId};
use framewell_testkit::encode::{ClipSpec, EncodedClip};
use sha2::{Digest as _, Sha256};
use sqlx::{Connection as _, PgConnection, SqliteConnection};
use uuid::Uuid;

/// Rows of one statement.
const BATCH: usize = 5_000;
/// Length of a segment.
pub(crate) const SEGMENT_US: i64 = 10_000_000;

/// Ten seconds at 25 pictures a second with a key frame every two.
pub(crate) fn clip() -> Result<EncodedClip, Failure> {
    let spec = ClipSpec {
        width: 1280,
        height: 720,
        gop: 50,
        frames: 250,
        start: START,
        ..ClipSpec::default()
    };
    Ok(spec.encode()?)
}

/// The bytes of a segment of this clip, with a link to one before it.
pub(crate) fn segment(clip: &EncodedClip, identity: &SegmentIdentity) -> Vec<u8> {
    let link = ChainLink {
        segment: identity.segment,
        digest: framewell_model::SegmentDigest::new([7; 32]),
    };
    let mut units = clip.units.clone();
    let shift = identity.wall_start.micros_since(units[0].wall);
    for unit in &mut units {
        unit.wall = unit.wall.plus_micros(shift);
    }
    let (init, clock) = build_linked_init(&clip.parameters, identity, Some(&link), &units);
    let mut bytes = init.to_vec();
    let is_key = |at: &usize| units[*at].track == TrackKind::Video && units[*at].is_key;
    let keys: Vec<usize> = (0..units.len())
        .filter(is_key)
        .chain([units.len()])
        .collect();
    for (number, pair) in (1..).zip(keys.windows(2)) {
        let next = units.get(pair[1]).map(|unit| unit.dts.ticks);
        let gop = &units[pair[0]..pair[1]];
        let fragment = build_fragment(&clock, number, &clip.parameters, gop, next);
        bytes.extend_from_slice(&fragment.header);
        for part in &fragment.payload {
            bytes.extend_from_slice(part);
        }
    }
    bytes
}

pub(crate) fn identity(channel: ChannelId, number: i64, start_us: i64) -> SegmentIdentity {
    SegmentIdentity {
        segment: SegmentId::from_uuid(Uuid::now_v7()),
        channel,
        run: RunId::from_uuid(Uuid::from_u128(channel.get().unsigned_abs().into())),
        sequence: number,
        wall_start: START.plus_micros(start_us),
        clock: ClockSource::CameraRtcp,
    }
}

/// What all rows have in common.
#[derive(Debug)]
pub(crate) struct Pattern {
    pub(crate) codecs: String,
    pub(crate) size_bytes: i64,
    pub(crate) index: Vec<u8>,
    pub(crate) sample_runs: Vec<u8>,
    pub(crate) sample_sizes: Vec<u8>,
}

impl Pattern {
    pub(crate) fn of(clip: &EncodedClip) -> Result<Self, Failure> {
        let bytes = segment(clip, &identity(ChannelId::new(1).ok_or("an id")?, 0, 0));
        let scanned = scan_segment(&bytes)?;
        Ok(Self {
            codecs: scanned.parameters.codecs(),
            size_bytes: i64::try_from(bytes.len())?,
            sample_runs: scanned.index.samples.encode_runs(),
            sample_sizes: scanned.index.samples.encoded_sizes().to_vec(),
            index: scanned.index.encode(),
        })
    }
}

/// A published row to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spot {
    pub(crate) channel: ChannelId,
    pub(crate) number: i64,
    pub(crate) start_us: i64,
}

/// A connection beside the catalog's, for what no client of the catalog does.
pub(crate) enum Bare {
    Sqlite(Box<SqliteConnection>),
    Postgres(Box<PgConnection>),
}

impl Bare {
    pub(crate) async fn connect(url: &str) -> Result<Self, Failure> {
        if url.starts_with("sqlite:") {
            let mut connection = SqliteConnection::connect(url).await?;
            for setup in ["PRAGMA synchronous=NORMAL", "PRAGMA cache_size=-200000"] {
                sqlx::query(setup).execute(&mut connection).await?;
            }
            return Ok(Self::Sqlite(Box::new(connection)));
        }
        let connection = PgConnection::connect(url).await?;
        Ok(Self::Postgres(Box::new(connection)))
    }

    /// Published rows, in this order, as the recorder would have made them one by one.
    pub(crate) async fn fill(
        &mut self,
        pattern: &Pattern,
        spots: impl IntoIterator<Item = Spot>,
    ) -> Result<u64, Failure> {
        let mut spots = spots.into_iter();
        let mut count = 0;
        loop {
            let batch: Vec<Spot> = spots.by_ref().take(BATCH).collect();
            if batch.is_empty() {
                return Ok(count);
            }
            let before = count;
            count += batch.len() as u64;
            self.insert(pattern, &batch).await?;
            if before / 500_000 != count / 500_000 {
                eprintln!("{count} rows");
            }
        }
    }

    async fn insert(&mut self, pattern: &Pattern, batch: &[Spot]) -> Result<(), Failure> {
        let digest = Sha256::digest(pattern.size_bytes.to_be_bytes()).to_vec();
        match self {
            Self::Sqlite(connection) => {
                let mut tx = connection.begin().await?;
                for spot in batch {
                    let insert = "INSERT INTO segment (id, channel, run, sequence, start_us, end_us, clock, size_bytes, codecs, \
                        fragment_index, state, updated_us, digest, digest_source, sample_runs, sample_sizes) \
                        VALUES (?, ?, ?, ?, ?, ?, 'camera_rtcp', ?, ?, ?, 'published', ?, ?, 'written', ?, ?)";
                    sqlx::query(insert)
                        .bind(Uuid::now_v7())
                        .bind(spot.channel.get())
                        .bind(run_of(spot))
                        .bind(spot.number)
                        .bind(start_of(spot))
                        .bind(start_of(spot) + SEGMENT_US)
                        .bind(pattern.size_bytes)
                        .bind(&pattern.codecs)
                        .bind(&pattern.index)
                        .bind(start_of(spot))
                        .bind(&digest)
                        .bind(&pattern.sample_runs)
                        .bind(&pattern.sample_sizes)
                        .execute(&mut *tx)
                        .await?;
                }
                tx.commit().await?;
            }
            Self::Postgres(connection) => {
                let insert = "INSERT INTO segment (id, channel, run, sequence, start_us, end_us, clock, size_bytes, codecs, \
                    fragment_index, state, updated_us, digest, digest_source, sample_runs, sample_sizes) \
                    SELECT id, channel, run, number, start_us, start_us + $6, 'camera_rtcp', $7, $8, $9, 'published', start_us, \
                    $10, 'written', $11, $12 FROM UNNEST($1::uuid[], $2::bigint[], $3::uuid[], $4::bigint[], $5::bigint[]) \
                    AS t (id, channel, run, number, start_us)";
                let column = |of: fn(&Spot) -> i64| batch.iter().map(of).collect::<Vec<i64>>();
                let ids: Vec<Uuid> = batch.iter().map(|_| Uuid::now_v7()).collect();
                let runs: Vec<Uuid> = batch.iter().map(run_of).collect();
                sqlx::query(insert)
                    .bind(ids)
                    .bind(column(|spot| spot.channel.get()))
                    .bind(runs)
                    .bind(column(|spot| spot.number))
                    .bind(column(start_of))
                    .bind(SEGMENT_US)
                    .bind(pattern.size_bytes)
                    .bind(&pattern.codecs)
                    .bind(&pattern.index)
                    .bind(&digest)
                    .bind(&pattern.sample_runs)
                    .bind(&pattern.sample_sizes)
                    .execute(&mut **connection)
                    .await?;
            }
        }
        Ok(())
    }

    /// The whole row of a number: the least that any search costs.
    pub(crate) async fn row(&mut self, record: i64) -> Result<usize, Failure> {
        Ok(match self {
            Self::Sqlite(connection) => sqlx::query("SELECT * FROM segment WHERE record = ?")
                .bind(record)
                .fetch_all(&mut **connection)
                .await?
                .len(),
            Self::Postgres(connection) => sqlx::query("SELECT * FROM segment WHERE record = $1")
                .bind(record)
                .fetch_all(&mut **connection)
                .await?
                .len(),
        })
    }

    /// Bytes of the database, with its indexes.
    pub(crate) async fn size(&mut self) -> Result<i64, Failure> {
        Ok(match self {
            Self::Sqlite(connection) => {
                let size =
                    "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()";
                sqlx::query_scalar(size)
                    .fetch_one(&mut **connection)
                    .await?
            }
            Self::Postgres(connection) => {
                let size = "SELECT pg_database_size(current_database())";
                sqlx::query_scalar(size)
                    .fetch_one(&mut **connection)
                    .await?
            }
        })
    }

    /// What a database does by itself in time: figures of one that has just been filled are others.
    pub(crate) async fn settle(&mut self) -> Result<(), Failure> {
        match self {
            Self::Sqlite(connection) => {
                let settle = "PRAGMA wal_checkpoint(TRUNCATE); PRAGMA optimize";
                sqlx::raw_sql(settle).execute(&mut **connection).await?;
            }
            Self::Postgres(connection) => {
                sqlx::raw_sql("VACUUM ANALYZE segment")
                    .execute(&mut **connection)
                    .await?;
            }
        }
        Ok(())
    }
}

fn run_of(spot: &Spot) -> Uuid {
    Uuid::from_u128(spot.channel.get().unsigned_abs().into())
}

fn start_of(spot: &Spot) -> i64 {
    START.micros() + spot.start_us
}
