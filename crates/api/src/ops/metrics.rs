//! `/metrics`: Prometheus text. Channel figures are read from the live tracks at each scrape, so a
//! deleted channel leaves no stale series; the rest comes from the `metrics` facade.

use crate::AppState;
use crate::live_stats::{newest, rates};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use framewell_access::places::{Occupancy, Places, Refused};
use framewell_live::Track;
use framewell_model::{ChannelId, ChannelStatus, WallTime};
use std::fmt::Write;

/// Version 0.0.4 of the text format.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const STATES: [ChannelStatus; 4] = [
    ChannelStatus::Active,
    ChannelStatus::Inactive,
    ChannelStatus::Offline,
    ChannelStatus::Unauthorized,
];

pub(crate) async fn show_metrics(State(state): State<AppState>) -> Response {
    let mut text = state.metrics.render();
    text.push_str(&channel_text(&state.registry.channels(), state.clock.now()));
    let config = &state.config;
    text.push_str(&place_text([
        &config.pushes,
        &config.batches,
        &config.streams,
        &config.uploads,
        &config.exports,
        &config.waiting_clips,
        &state.manifests.places,
        state.sessions.places(),
    ]));
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response()
}

/// One figure of every channel.
struct Family {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    value: fn(&Track, WallTime) -> Option<f64>,
}

#[expect(
    clippy::cast_precision_loss,
    reason = "Prometheus values are doubles; beyond 2^53 a counter loses its last bits"
)]
const fn float(count: u64) -> Option<f64> {
    Some(count as f64)
}

const FAMILIES: &[Family] = &[
    Family {
        name: "framewell_channel_bitrate_bits_per_second",
        kind: "gauge",
        help: "Payload bits per second of the live stream, 0 when it is not live",
        value: |track, _| float(rates(track).bits_per_s),
    },
    Family {
        name: "framewell_channel_frames_per_second",
        kind: "gauge",
        help: "Video pictures per second of the live stream, 0 when it is not live",
        value: |track, _| Some(rates(track).fps),
    },
    Family {
        name: "framewell_channel_frames_total",
        kind: "counter",
        help: "Video pictures received",
        value: |track, _| float(track.stats().frames),
    },
    Family {
        name: "framewell_channel_received_bytes_total",
        kind: "counter",
        help: "Payload bytes received",
        value: |track, _| float(track.stats().bytes),
    },
    Family {
        name: "framewell_channel_lost_packets_total",
        kind: "counter",
        help: "RTP packets known to be lost",
        value: |track, _| float(track.stats().lost_packets),
    },
    Family {
        name: "framewell_channel_reconnects_total",
        kind: "counter",
        help: "Camera sessions after the first",
        value: |track, _| float(track.stats().reconnects),
    },
    Family {
        name: "framewell_channel_ring_bytes",
        kind: "gauge",
        help: "Payload bytes held in memory",
        value: |track, _| float(u64::try_from(track.ring_bytes()).unwrap_or(u64::MAX)),
    },
    Family {
        name: "framewell_channel_recording",
        kind: "gauge",
        help: "1 while footage is being written",
        value: |track, _| Some(f64::from(u8::from(*track.recording().borrow()))),
    },
    Family {
        name: "framewell_channel_newest_picture_age_seconds",
        kind: "gauge",
        help: "Age of the newest picture in memory",
        value: |track, now| {
            let age_us = now.micros_since(newest(track)?);
            Some(float(u64::try_from(age_us).unwrap_or(0))? / 1e6)
        },
    },
];

/// One figure of every kind of places, or several with a label more.
struct PlaceFamily {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    values: fn(&Occupancy) -> Vec<(&'static str, u64)>,
}

const PLACE_FAMILIES: &[PlaceFamily] = &[
    PlaceFamily {
        name: "framewell_places_taken",
        kind: "gauge",
        help: "Pushes, batches, streams, uploads, waiting clips and sessions that are open",
        values: |now| vec![("", now.taken)],
    },
    PlaceFamily {
        name: "framewell_places",
        kind: "gauge",
        help: "How many of them may be open",
        values: |now| vec![("", now.most)],
    },
    PlaceFamily {
        name: "framewell_places_refused_total",
        kind: "counter",
        help: "Refused because all places were taken (full), or the token had its share",
        values: |now| {
            let Refused { full, share } = now.refused;
            vec![(",why=\"full\"", full), (",why=\"share\"", share)]
        },
    },
];

fn place_text(kinds: [&Places; 8]) -> String {
    let mut text = String::new();
    for PlaceFamily {
        name,
        kind,
        help,
        values,
    } in PLACE_FAMILIES
    {
        text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        for places in kinds {
            let label = places.label();
            for (more, value) in values(&places.occupancy()) {
                text.push_str(&format!("{name}{{kind=\"{label}\"{more}}} {value}\n"));
            }
        }
    }
    text
}

fn channel_text(channels: &[(ChannelId, Track)], now: WallTime) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let mut line = |arguments: std::fmt::Arguments<'_>| {
        if text.write_fmt(arguments).is_ok() {
            text.push('\n');
        }
    };
    line(format_args!(
        "# HELP framewell_channel_state 1 for the state that the source is in"
    ));
    line(format_args!("# TYPE framewell_channel_state gauge"));
    for (channel, track) in channels {
        let status = track.source_state().borrow().status;
        for state in STATES {
            let (word, is_it) = (state.as_str(), u8::from(state == status));
            line(format_args!(
                "framewell_channel_state{{channel=\"{channel}\",state=\"{word}\"}} {is_it}"
            ));
        }
    }
    for Family {
        name,
        kind,
        help,
        value,
    } in FAMILIES
    {
        line(format_args!("# HELP {name} {help}"));
        line(format_args!("# TYPE {name} {kind}"));
        for (channel, track) in channels {
            if let Some(value) = value(track, now) {
                line(format_args!("{name}{{channel=\"{channel}\"}} {value}"));
            }
        }
    }
    text
}
