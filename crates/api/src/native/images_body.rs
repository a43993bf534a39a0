//! Many pictures as one body: parts, a tar, or lines with URLs.

use super::images_params::Container;
use crate::AppState;
use crate::auth::Caller;
use crate::multipart::Multipart;
use crate::origin::{Links, Origin};
use crate::picture::{self, content_tag};
use axum::body::Body;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use framewell_access::places::Place;
use framewell_imaging::Image;
use framewell_imaging::batch::{
    Batch, BatchEnd, EndReason, Entry, Pixels, Sample, SampleFailure, SampleGap,
};
use framewell_model::{ChannelId, WallTime};
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::time::Duration;

/// How often the gate is asked again whether the token still opens the channel.
const RECHECK: Duration = Duration::from_secs(3);

/// What URLs are made from.
pub(crate) struct Writer {
    pub(crate) state: AppState,
    pub(crate) origin: Origin,
    pub(crate) caller: Caller,
    pub(crate) channel: ChannelId,
    /// Query of the picture URLs, for the form of the picture; empty or `&name=value` pairs.
    pub(crate) form: String,
    pub(crate) wrapping: Wrapping,
}

/// The container, as it is written.
pub(crate) enum Wrapping {
    Multipart(Multipart),
    Tar,
    Lines,
}

impl From<Container> for Wrapping {
    fn from(container: Container) -> Self {
        match container {
            Container::Multipart => Self::Multipart(Multipart::new()),
            Container::Tar => Self::Tar,
            Container::Lines => Self::Lines,
        }
    }
}

/// An answer that is written as the entries get ready; the client's pace is the batch's pace.
pub(crate) fn respond(writer: Writer, first: Entry, batch: Batch, place: Place) -> Response {
    let content_type = match &writer.wrapping {
        Wrapping::Multipart(multipart) => multipart.content_type(),
        Wrapping::Tar => "application/x-tar".to_owned(),
        Wrapping::Lines => "application/x-ndjson".to_owned(),
    };
    let gate = Gate {
        state: writer.state.clone(),
        caller: writer.caller.clone(),
        channel: writer.channel,
        next: tokio::time::interval_at(tokio::time::Instant::now() + RECHECK, RECHECK),
        _place: place,
    };
    let rest = stream::unfold((batch, gate), |(mut batch, mut gate)| async move {
        let entry = gate.next(&mut batch).await?;
        Some((entry, (batch, gate)))
    });
    let entries = stream::iter([first]).chain(rest);
    let body = entries.flat_map(move |entry| {
        let chunks = writer.write(&entry).into_iter();
        stream::iter(chunks.map(Ok::<_, Infallible>))
    });
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    (headers, Body::from_stream(body)).into_response()
}

/// Asks again and again whether the caller may still see the channel.
struct Gate {
    state: AppState,
    caller: Caller,
    channel: ChannelId,
    next: tokio::time::Interval,
    /// Among the batches, as long as this one runs.
    _place: Place,
}

impl Gate {
    async fn next(&mut self, batch: &mut Batch) -> Option<Entry> {
        loop {
            tokio::select! {
                biased;
                _ = self.next.tick() => {
                    if self.caller.shut_out(&self.state, self.channel).await.is_some() {
                        return Some(batch.stop(EndReason::Denied));
                    }
                }
                entry = batch.next() => return entry,
            }
        }
    }
}

impl Writer {
    fn write(&self, entry: &Entry) -> Vec<Bytes> {
        match &self.wrapping {
            Wrapping::Multipart(multipart) => self.parts(multipart, entry),
            Wrapping::Tar => self.files(entry),
            Wrapping::Lines => vec![Bytes::from(format!("{}\n", self.describe(entry)))],
        }
    }

    fn parts(&self, multipart: &Multipart, entry: &Entry) -> Vec<Bytes> {
        if let Entry::Picture(sample) = entry
            && let Some(pixels) = &sample.pixels
        {
            let mut headers = picture::truth(&image(sample, pixels), self.state.clock.now());
            picture::set(&mut headers, "etag", &content_tag(&pixels.data));
            picture::set(&mut headers, "framewell-cursor", &sample.cursor.to_string());
            if let Some(change) = sample.change {
                picture::set(&mut headers, "framewell-change", &format!("{change:.4}"));
            }
            return multipart.part(&headers, pixels.data.clone()).to_vec();
        }
        let description = self.describe(entry);
        let mut headers = HeaderMap::new();
        picture::set(&mut headers, "content-type", "application/json");
        picture::set(&mut headers, "framewell-entry", name(entry));
        if let Some(cursor) = description["cursor"].as_str() {
            picture::set(&mut headers, "framewell-cursor", cursor);
        }
        let part = multipart.part(&headers, description.to_string().into());
        let end = matches!(entry, Entry::End(_)).then(|| multipart.end());
        part.into_iter().chain(end).collect()
    }

    /// A picture is a WebDataset sample: files of one name but for the ending, side by side; names
    /// ascend with time. What is no sample lies in a folder that WebDataset passes over.
    fn files(&self, entry: &Entry) -> Vec<Bytes> {
        let description = Bytes::from(self.describe(entry).to_string());
        match entry {
            Entry::Picture(Sample {
                captured,
                pixels: Some(pixels),
                ..
            }) => {
                let key = key(*captured);
                let picture = format!("{key}.{}", pixels.format.name());
                let picture = file(&picture, pixels.data.clone(), *captured);
                let description = file(&format!("{key}.json"), description, *captured);
                picture.into_iter().chain(description).collect()
            }
            Entry::End(_) => {
                let at = self.state.clock.now();
                let summary = file(&format!("{ASIDE}/end.json"), description, at);
                let end = Bytes::from_static(&[0; 2 * TAR_BLOCK]);
                summary.into_iter().chain([end]).collect()
            }
            Entry::Gap(SampleGap { range, .. }) | Entry::Failed(SampleFailure { range, .. }) => {
                let path = format!("{ASIDE}/{}.{}.json", key(range.start), name(entry));
                file(&path, description, range.start).to_vec()
            }
            _ => Vec::new(),
        }
    }

    /// Everything about an entry but the picture itself.
    fn describe(&self, entry: &Entry) -> Value {
        match entry {
            Entry::Picture(sample) => self.describe_picture(sample),
            Entry::Gap(gap) => describe_gap(gap),
            Entry::Failed(failure) => describe_failure(failure),
            Entry::End(end) => describe_end(end),
            _ => json!({ "type": "unknown" }),
        }
    }

    fn describe_picture(&self, sample: &Sample) -> Value {
        let mut object = json!({
            "type": "picture",
            "requested": sample.requested.to_rfc3339(),
            "captured": sample.captured.to_rfc3339(),
            "clock_source": sample.clock.as_str(),
            "distance_ms": sample.requested.micros_since(sample.captured) / 1_000,
            "frame": sample.frame.to_string(),
            "is_key": sample.is_key,
            "cursor": sample.cursor.to_string(),
        });
        if let Some(change) = sample.change {
            object["change"] = json!(change);
        }
        match &sample.pixels {
            Some(pixels) => {
                object["width"] = json!(pixels.width);
                object["height"] = json!(pixels.height);
                object["format"] = json!(pixels.format.name());
                object["bytes"] = json!(pixels.data.len());
                let tag = content_tag(&pixels.data);
                object["hash"] = json!(tag.trim_matches('"'));
            }
            None => {
                let links = Links::new(&self.state, &self.origin, &self.caller.grant);
                let url = links.image(self.channel, sample.captured);
                object["url"] = json!(format!("{url}{}", self.form));
                object["expire"] = json!(links.expire.to_rfc3339());
            }
        }
        object
    }
}

fn describe_gap(gap: &SampleGap) -> Value {
    json!({
        "type": "gap",
        "start": gap.range.start.to_rfc3339(),
        "end": gap.range.end.to_rfc3339(),
        "reason": gap.reason.map(|reason| reason.as_str()),
        "missing": gap.missing,
        "cursor": gap.cursor.to_string(),
    })
}

fn describe_failure(failure: &SampleFailure) -> Value {
    json!({
        "type": "error",
        "start": failure.range.start.to_rfc3339(),
        "end": failure.range.end.to_rfc3339(),
        "error": { "code": failure.kind.label(), "message": failure.message },
        "missing": failure.missing,
        "cursor": failure.cursor.to_string(),
    })
}

fn describe_end(end: &BatchEnd) -> Value {
    json!({
        "type": "end",
        "reason": end.reason.as_str(),
        "images": end.images,
        "bytes": end.bytes,
        "pixels": end.pixels,
        "next": end.next.map(|cursor| cursor.to_string()),
    })
}

const fn name(entry: &Entry) -> &'static str {
    match entry {
        Entry::Picture(_) => "picture",
        Entry::Gap(_) => "gap",
        Entry::Failed(_) => "error",
        Entry::End(_) => "end",
        _ => "unknown",
    }
}

fn image(sample: &Sample, pixels: &Pixels) -> Image {
    Image {
        data: pixels.data.clone(),
        format: pixels.format,
        width: pixels.width,
        height: pixels.height,
        requested: sample.requested,
        captured: sample.captured,
        clock: sample.clock,
        frame: sample.frame,
        is_key: sample.is_key,
        is_live: sample.is_live,
    }
}

/// Folder of what is no sample; WebDataset readers skip names of this pattern.
const ASIDE: &str = "__framewell__";

/// A name that sorts by time, without the point that would end it for WebDataset.
fn key(at: WallTime) -> String {
    format!("{:016}", at.micros())
}

const TAR_BLOCK: usize = 512;

/// A regular file (POSIX.1-1988 ustar): header, data, zeros up to the next block.
fn file(path: &str, data: Bytes, modified: WallTime) -> [Bytes; 3] {
    let mut tar = tar::Header::new_ustar();
    tar.set_path(path).expect("a short relative path");
    tar.set_size(data.len() as u64);
    tar.set_mode(0o644);
    tar.set_mtime(u64::try_from(modified.secs()).unwrap_or_default());
    tar.set_entry_type(tar::EntryType::Regular);
    tar.set_cksum();
    let padding = data.len().next_multiple_of(TAR_BLOCK) - data.len();
    [
        Bytes::copy_from_slice(tar.as_bytes()),
        data,
        Bytes::from_static(&[0; TAR_BLOCK]).slice(..padding),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_tar_reader_finds_the_files() {
        let at = WallTime::from_micros(1_714_558_830_123_456);
        let mut bytes = Vec::new();
        for length in [0, 1, 511, 512, 513] {
            let data = Bytes::from(vec![7; length]);
            for piece in file(&format!("{}.{length}.jpg", key(at)), data, at) {
                bytes.extend_from_slice(&piece);
            }
        }
        bytes.extend([0; 2 * TAR_BLOCK]);
        assert_eq!(bytes.len() % TAR_BLOCK, 0);
        let mut archive = tar::Archive::new(&bytes[..]);
        let mut lengths = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            assert_eq!(entry.header().mtime().unwrap(), 1_714_558_830);
            let mut data = Vec::new();
            entry.read_to_end(&mut data).unwrap();
            assert!(data.iter().all(|byte| *byte == 7));
            lengths.push(data.len());
        }
        assert_eq!(lengths, [0, 1, 511, 512, 513]);
    }

    #[test]
    fn names_sort_by_time() {
        let at = |micros| key(WallTime::from_micros(micros));
        assert!(at(999_999_999_999_999) < at(1_000_000_000_000_000));
        assert!(!at(5).contains('.'));
    }
}
