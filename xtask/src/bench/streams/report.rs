//! The tables of stream readers.

use serde_json::Value;

use super::{Row, Rows};

/// CPU milliseconds a second of one reader, without what the server takes when nobody reads.
#[expect(clippy::cast_precision_loss, reason = "thousands at most")]
fn marginal_ms(row: &Row) -> f64 {
    (row.usage.cpu_s / row.usage.wall_s - row.idle) * 1e3 / row.readers as f64
}

fn pair(value: &Value) -> String {
    match (value[0].as_f64(), value[1].as_f64()) {
        (Some(p50), Some(p99)) => format!("{p50:.1} / {p99:.1}"),
        _ => "-".to_owned(),
    }
}

/// One row in words.
pub(super) fn line(row: &Row) -> String {
    format!(
        "{:.3} ms a reader-second, first {}, delay {}, lost {}, failed {}",
        marginal_ms(row),
        pair(&row.seen["first_ms"]),
        pair(&row.seen["delay_ms"]),
        row.seen["lost_packets"],
        row.seen["failed"]
    )
}

/// A table of readers that see the clock of each picture.
fn pictures(title: &str, first: &str, rows: &[Row]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "| {title} | readers | CPU ms per reader-second | delay p50 / p99 ms | first {first} p50 / p99 ms | pictures/s each | lost packets | failed | PSS MiB |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
    );
    for row in rows {
        text.push_str(&format!(
            "| {} | {} | {:.3} | {} | {} | {:.2} | {} | {} | {:.0} |\n",
            row.tool,
            row.readers,
            marginal_ms(row),
            pair(&row.seen["delay_ms"]),
            pair(&row.seen["first_ms"]),
            row.seen["pictures_per_s_each"].as_f64().unwrap_or(0.0),
            row.seen["lost_packets"],
            row.seen["failed"],
            row.usage.pss_mib,
        ));
    }
    text.push('\n');
    text
}

pub(super) fn report(rows: &Rows, seconds: u64, scene: &str, machine: &str) -> String {
    let mut text = pictures("RTSP over TCP", "packet", &rows.rtsp);
    if !rows.hls.is_empty() {
        text.push_str(&playlists(&rows.hls));
    }
    text.push_str(&pictures("WebRTC over UDP", "picture", &rows.webrtc));
    text.push_str(&pictures("RTMP", "picture", &rows.rtmp));
    if let Some(waited) = &rows.recorded {
        text.push_str(&waited.table());
    }
    text.push_str(&notes(seconds, scene, machine));
    text
}

fn playlists(hls: &[Row]) -> String {
    let mut text = String::from(
        "| HLS | readers | CPU ms per reader-second | segment fetched p50 / p99 ms | Mbit/s in all | failed | PSS MiB |\n\
         | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for row in hls {
        text.push_str(&format!(
            "| {} | {} | {:.3} | {} | {:.0} | {} | {:.0} |\n",
            row.tool,
            row.readers,
            marginal_ms(row),
            pair(&row.seen["fetch_ms"]),
            row.seen["mbit_s"].as_f64().unwrap_or(0.0),
            row.seen["failed"],
            row.usage.pss_mib,
        ));
    }
    text.push('\n');
    text
}

fn notes(seconds: u64, scene: &str, machine: &str) -> String {
    format!(
        "One camera: {scene}, 1080p, 25 frames/s, H.264, 4 Mbit/s, a key frame every 2 s, not recorded; {seconds} s each, 3 s after the \
         last reader began. CPU is that of the server's whole process tree less what it takes without readers. Delay: from the \
         moment the camera sends a picture (a clock in an SEI message) to its first packet at the reader, same machine, same clock; \
         all readers are one process with one thread beside the server on the same cores. gst-rtsp-server 1.22: one shared pipeline, \
         `rtspsrc latency=0 ! rtph264depay ! h264parse ! rtph264pay`. The bare sender is the fake camera itself: finished packets, one \
         write for each picture and reader. HLS readers ask for the playlist every half target duration and for each segment once; nginx \
         serves 2 s segments that one ffmpeg writes (`-c copy`). WebRTC readers are str0m on sockets of their own, which decrypt what they get on \
         the same cores. nginx-rtmp 1.2.2 (`live on`) is fed by one ffmpeg (`-c copy`), whose delay is in its row and whose CPU is not. The \
         recorded day was uploaded as a file of 1 picture/s with a key frame every 2 s; its playlist is asked for over one connection each.\n\n{machine}"
    )
}
