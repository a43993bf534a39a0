//! Tracks in RAM, and a web server as the API crate will have one.

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use framewell_live::{Registry, RingConfig, Track};
use framewell_media::{AccessUnit, StreamParameters};
use framewell_model::{ChannelId, RunId, WallTime};
use framewell_playback::hls::{Live, Reload, Wanted};
use framewell_testkit::clock::MovableClock;
use framewell_testkit::encode::{ClipSpec, EncodedClip};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub(crate) fn channel(id: i64) -> ChannelId {
    ChannelId::new(id).unwrap()
}

pub(crate) fn run_id(number: u8) -> RunId {
    format!("00000000-0000-7000-8000-0000000000{number:02x}")
        .parse()
        .unwrap()
}

pub(crate) fn registry() -> Registry {
    let clock = MovableClock::new(WallTime::from_secs(1_767_225_600));
    Registry::new(RingConfig::default(), Arc::new(clock))
}

/// Small pictures at 25 per second, a key frame per second.
pub(crate) fn spec(frames: u32) -> ClipSpec {
    ClipSpec {
        width: 320,
        height: 240,
        frames,
        ..ClipSpec::default()
    }
}

pub(crate) async fn encode(spec: ClipSpec) -> EncodedClip {
    tokio::task::spawn_blocking(move || spec.encode().unwrap())
        .await
        .unwrap()
}

pub(crate) fn begin(registry: &Registry, parameters: &StreamParameters) -> Track {
    let track = registry.track(channel(7));
    track.begin_run(run_id(1), Arc::new(parameters.clone()));
    track
}

pub(crate) fn push_all(track: &Track, units: &[AccessUnit]) {
    for unit in units {
        assert!(track.push(unit.clone()));
    }
}

/// Pushes units when they are due.
pub(crate) async fn pace(track: &Track, units: &[AccessUnit]) {
    let begin = tokio::time::Instant::now();
    let first_us = units[0].dts.micros();
    for unit in units {
        let due_us = u64::try_from(unit.dts.micros() - first_us).unwrap_or(0);
        tokio::time::sleep_until(begin + Duration::from_micros(due_us)).await;
        track.push(unit.clone());
    }
}

/// The same units later: by media time and by wall time.
pub(crate) fn later(units: &[AccessUnit], by_us: i64) -> Vec<AccessUnit> {
    let shift = |unit: &AccessUnit| {
        let mut unit = unit.clone();
        let ticks = unit.pts.scale.from_micros(by_us);
        unit.pts.ticks += ticks;
        unit.dts.ticks += ticks;
        unit.wall = unit.wall.plus_micros(by_us);
        unit
    };
    units.iter().map(shift).collect()
}

/// Serves `/hls/<channel>/<file>` until the set is dropped.
pub(crate) async fn serve(live: Live, tasks: &mut JoinSet<()>) -> SocketAddr {
    let router = Router::new()
        .route("/hls/{channel}/{file}", get(file))
        .with_state(live);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
    addr
}

async fn file(
    State(live): State<Live>,
    Path((id, file)): Path<(i64, String)>,
    RawQuery(query): RawQuery,
) -> Response {
    let query = query.unwrap_or_default();
    let mut words = query.split('&');
    if words.next() != Some("ticket=t") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let reload = reload(words);
    match fetch_as(&live, channel(id), &file, "ticket=t", reload).await {
        Ok(bytes) => bytes.into_response(),
        Err(error) => (StatusCode::NOT_FOUND, error.to_string()).into_response(),
    }
}

/// Delivery directives as the API crate reads them.
fn reload<'a>(words: impl Iterator<Item = &'a str>) -> Reload {
    let mut reload = Reload::default();
    let (mut sequence, mut part) = (None, None);
    for (name, value) in words.filter_map(|word| word.split_once('=')) {
        match name {
            "_HLS_msn" => sequence = value.parse().ok(),
            "_HLS_part" => part = value.parse().ok(),
            "_HLS_skip" => reload.is_delta = true,
            _ => {}
        }
    }
    reload.wanted = sequence.map(|sequence| Wanted { sequence, part });
    reload
}

/// What a file of a channel holds.
pub(crate) async fn fetch(
    live: &Live,
    channel: ChannelId,
    file: &str,
    query: &str,
) -> Result<Vec<u8>, framewell_playback::hls::Error> {
    fetch_as(live, channel, file, query, Reload::default()).await
}

async fn fetch_as(
    live: &Live,
    channel: ChannelId,
    file: &str,
    query: &str,
    reload: Reload,
) -> Result<Vec<u8>, framewell_playback::hls::Error> {
    let numbers = |prefix, suffix| -> Option<Vec<u64>> {
        let text = file.strip_prefix(prefix)?.strip_suffix(suffix)?;
        text.split('-').map(|number| number.parse().ok()).collect()
    };
    if file == "index.m3u8" {
        return Ok(live.multivariant(channel, query).await?.into_bytes());
    }
    if file == "media.m3u8" {
        return Ok(live.playlist(channel, query, reload).await?.into_bytes());
    }
    if let Some(epoch) = numbers("init-", ".mp4") {
        return Ok(live.init(channel, epoch[0]).await?.to_vec());
    }
    if let Some(part) = numbers("part-", ".m4s") {
        return Ok(live.part(channel, part[0], part[1]).await?.to_vec());
    }
    let sequence = numbers("seg-", ".m4s").expect("playlists name nothing else");
    Ok(live.segment(channel, sequence[0]).await?.to_vec())
}
