//! One reader: its request, its memory, its pictures.

use super::lobby::Seat;
use super::memory::Memory;
use super::request::{self, Refusal, Wanted};
use super::slots::Slots;
use super::{RawService, layout};
use framewell_imaging::{Delivery, Error, LiveFeed, LiveImage, LiveRequest};
use framewell_model::{ChannelId, HasKind, Right};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::codec::{FramedRead, LinesCodec};

/// The request has to be there by then: a program on this machine sends it with its connection.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// Most requests that are looked at at a time; beyond it one is refused.
const MOST_REQUESTS: usize = 64;
/// Longest line of a reader.
const MAX_LINE: usize = 64 << 10;
/// A reader that does not take a line for this long is disconnected.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the gate is asked whether the token still opens the channels, and a feed that could not
/// start is tried again.
const RECHECK: Duration = Duration::from_secs(3);

type Lines = FramedRead<OwnedReadHalf, LinesCodec>;

/// Where requests are looked at, and readers get their places.
#[derive(Debug)]
pub(super) struct Desk {
    service: RawService,
    /// Requests that are looked at, which takes a question to the database.
    requests: Semaphore,
    readers: Arc<Semaphore>,
    max_readers: usize,
    /// Most shared memory of one reader.
    max_bytes: u64,
}

impl Desk {
    pub(super) fn new(service: RawService, max_readers: usize, max_bytes: u64) -> Self {
        Self {
            service,
            requests: Semaphore::new(MOST_REQUESTS),
            readers: Arc::new(Semaphore::new(max_readers)),
            max_readers,
            max_bytes,
        }
    }

    /// Looks at a request; what it asks for, and a place.
    async fn admit(&self, line: &str) -> Result<(Wanted, Place), Refusal> {
        let looking = self.requests.try_acquire();
        let _looking = looking.map_err(|_| Refusal::Crowded)?;
        let wanted = request::read(line, &self.service, self.max_bytes).await?;
        let permit = Arc::clone(&self.readers).try_acquire_owned();
        let permit = permit.map_err(|_| {
            tracing::warn!(limit = self.max_readers, "too many raw readers");
            Refusal::Full(self.max_readers)
        })?;
        Ok((wanted, Place::new(permit)))
    }
}

/// The place of a reader, who is counted as long as he has it.
struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Place {
    fn new(permit: OwnedSemaphorePermit) -> Self {
        metrics::gauge!("framewell_raw_readers").increment(1.0);
        Self { _permit: permit }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        metrics::gauge!("framewell_raw_readers").decrement(1.0);
    }
}

/// Serves a reader until it goes.
pub(super) async fn serve(stream: UnixStream, seat: Seat, desk: &Desk) {
    if let Err(end) = converse(stream, seat, desk).await {
        tracing::debug!(%end, "a raw reader went");
    }
}

/// A line that says what is wrong.
fn error_line(code: &str, message: &str) -> String {
    format!("{}\n", json!({"error": {"code": code, "message": message}}))
}

async fn converse(stream: UnixStream, seat: Seat, desk: &Desk) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let codec = LinesCodec::new_with_max_length(MAX_LINE);
    let mut lines = FramedRead::new(reader, codec);
    let admitted = match request_of(&mut lines, seat).await {
        Ok(Some(line)) => desk.admit(&line).await,
        Ok(None) => return Ok(()),
        Err(refusal) => Err(refusal),
    };
    let (wanted, _place) = match admitted {
        Ok(admitted) => admitted,
        Err(refusal) => {
            let text = error_line(refusal.kind().label(), &refusal.to_string());
            return send(&mut writer, &text).await;
        }
    };
    let layout = Arc::new(wanted.layout.clone());
    let count = wanted.slots * wanted.channels.len();
    let memory = Memory::new(Arc::clone(&layout), count as u64)?;
    hand_over(&mut writer, &welcome(&wanted), &memory).await?;
    let mut session = Session::new(wanted, memory, writer);
    session.run(lines, &desk.service).await
}

/// The first line, for which the reader sits in the lobby; `None` if it goes without one.
async fn request_of(lines: &mut Lines, seat: Seat) -> Result<Option<String>, Refusal> {
    tokio::select! {
        biased;
        first = tokio::time::timeout(REQUEST_TIMEOUT, lines.next()) => match first {
            Ok(Some(Ok(line))) => Ok(Some(line)),
            Ok(None) => Ok(None),
            _ => Err(Refusal::NoRequest),
        },
        () = seat.shown_out() => Err(Refusal::Crowded),
    }
}

/// The line that goes with the memory.
fn welcome(wanted: &Wanted) -> String {
    let slots = wanted.slots as u64;
    let channels: Vec<Value> = (0..)
        .zip(&wanted.channels)
        .map(|(index, channel)| json!({"channel": channel, "first_slot": index * slots, "slots": slots}))
        .collect();
    let size_bytes = wanted.layout.slot_bytes * slots * wanted.channels.len() as u64;
    let ring = json!({
        "version": layout::VERSION,
        "size_bytes": size_bytes,
        "layout": wanted.layout,
        "channels": channels,
    });
    format!("{}\n", json!({ "ring": ring }))
}

/// Sends a line with the memory's descriptor attached to its first byte (unix(7), `SCM_RIGHTS`).
async fn hand_over(writer: &mut OwnedWriteHalf, line: &str, memory: &Memory) -> io::Result<()> {
    let file = memory.read_only()?;
    let stream: &UnixStream = writer.as_ref();
    let send_once = || {
        let fds = [file.as_fd()];
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&fds));
        let text = [IoSlice::new(line.as_bytes())];
        Ok(sendmsg(stream, &text, &mut control, SendFlags::NOSIGNAL)?)
    };
    let sent = stream.async_io(Interest::WRITABLE, send_once).await?;
    writer.write_all(&line.as_bytes()[sent..]).await
}

async fn send(writer: &mut OwnedWriteHalf, line: &str) -> io::Result<()> {
    let writing = writer.write_all(line.as_bytes());
    tokio::time::timeout(WRITE_TIMEOUT, writing).await?
}

/// What a reader sends after its request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Release {
    release: Released,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Released {
    One(u64),
    Many(Vec<u64>),
}

type Arrival = (ChannelId, LiveFeed, Option<Result<LiveImage, Error>>);

struct Session {
    wanted: Wanted,
    memory: Memory,
    writer: OwnedWriteHalf,
    slots: BTreeMap<ChannelId, Slots>,
    /// Slots of channels that are not given any more; the reader may still hold some.
    retired: Vec<Slots>,
    /// Feeds of channels that have a free slot.
    feeds: FuturesUnordered<BoxFuture<'static, Arrival>>,
    /// Feeds of channels whose slots the reader holds all. They drop and count what they cannot give.
    blocked: Vec<(ChannelId, LiveFeed)>,
    /// Channels whose feed has to be started.
    idle: Vec<ChannelId>,
    /// Pictures that were lost here since the last one that was given, by channel.
    dropped: BTreeMap<ChannelId, u64>,
}

impl Session {
    fn new(wanted: Wanted, memory: Memory, writer: OwnedWriteHalf) -> Self {
        let firsts = (0..).step_by(wanted.slots);
        let channels = wanted.channels.iter().copied();
        let slots = channels
            .zip(firsts)
            .map(|(channel, first)| (channel, Slots::new(first, wanted.slots)));
        Self {
            slots: slots.collect(),
            retired: Vec::new(),
            idle: wanted.channels.clone(),
            wanted,
            memory,
            writer,
            feeds: FuturesUnordered::new(),
            blocked: Vec::new(),
            dropped: BTreeMap::new(),
        }
    }

    async fn run(&mut self, mut lines: Lines, service: &RawService) -> io::Result<()> {
        let mut recheck = tokio::time::interval(RECHECK);
        loop {
            tokio::select! {
                line = lines.next() => match line {
                    None => return Ok(()),
                    Some(Ok(line)) => self.release(&line).await?,
                    Some(Err(_)) => {
                        return self.refuse("a line is too long or no text").await;
                    }
                },
                Some((channel, feed, item)) = self.feeds.next(), if !self.feeds.is_empty() => {
                    self.take_in(channel, feed, item).await?;
                }
                _ = recheck.tick() => {
                    self.check(service).await?;
                    self.start(service).await?;
                }
            }
        }
    }

    /// Ends the conversation with what the reader did wrong.
    async fn refuse(&mut self, message: &str) -> io::Result<()> {
        send(&mut self.writer, &error_line("invalid_argument", message)).await?;
        Err(io::Error::new(io::ErrorKind::InvalidInput, message))
    }

    async fn release(&mut self, line: &str) -> io::Result<()> {
        let Ok(Release { release }) = serde_json::from_str(line) else {
            return self
                .refuse("a line is no release such as {\"release\":3}")
                .await;
        };
        let released = match release {
            Released::One(slot) => vec![slot],
            Released::Many(slots) => slots,
        };
        for slot in released {
            let mut slots = self.slots.values_mut().chain(&mut self.retired);
            let is_held = slots.any(|slots| slots.release(slot));
            if !is_held {
                return self.refuse(&format!("slot {slot} is not held")).await;
            }
        }
        for (channel, feed) in std::mem::take(&mut self.blocked) {
            self.park_or_wait(channel, feed);
        }
        Ok(())
    }

    /// Waits for the next picture if there is a slot for it.
    fn park_or_wait(&mut self, channel: ChannelId, mut feed: LiveFeed) {
        if self.slots.get(&channel).is_some_and(Slots::has_free) {
            self.feeds.push(Box::pin(async move {
                let item = feed.next().await;
                (channel, feed, item)
            }));
        } else {
            self.blocked.push((channel, feed));
        }
    }

    async fn take_in(
        &mut self,
        channel: ChannelId,
        feed: LiveFeed,
        item: Option<Result<LiveImage, Error>>,
    ) -> io::Result<()> {
        if !self.slots.contains_key(&channel) {
            return Ok(());
        }
        match item {
            Some(Ok(live)) => self.give(channel, live).await?,
            Some(Err(error)) => self.tell(channel, &error).await?,
            None => {
                self.idle.push(channel);
                return Ok(());
            }
        }
        self.park_or_wait(channel, feed);
        Ok(())
    }

    /// Puts a picture into a slot and says so.
    async fn give(&mut self, channel: ChannelId, live: LiveImage) -> io::Result<()> {
        let lost = self.dropped.entry(channel).or_default();
        *lost += live.dropped;
        let image = live.image;
        let (bytes, expected) = (image.data.len() as u64, self.wanted.layout.picture_bytes());
        let slot = match self.slots.get_mut(&channel) {
            Some(slots) if bytes == expected => slots.take(),
            _ => None,
        };
        let Some(slot) = slot else {
            *lost += 1;
            tracing::warn!(%channel, bytes, expected, "a raw picture has no slot that it fits");
            return Ok(());
        };
        let dropped = std::mem::take(lost);
        self.memory.write(slot, image.data).await?;
        metrics::counter!("framewell_raw_pictures_total").increment(1);
        metrics::counter!("framewell_raw_dropped_total").increment(dropped);
        let line = json!({"frame": {
            "slot": slot,
            "channel": channel,
            "sequence": live.sequence,
            "dropped": dropped,
            "frame": image.frame.to_string(),
            "captured_us": image.captured.micros(),
            "requested_us": image.requested.micros(),
            "clock_source": image.clock.as_str(),
            "is_key": image.is_key,
        }});
        send(&mut self.writer, &format!("{line}\n")).await
    }

    /// Says what is wrong with a channel; the others go on.
    async fn tell<E: HasKind>(&mut self, channel: ChannelId, error: &E) -> io::Result<()> {
        let (code, message) = (error.kind().label(), error.to_string());
        let line = json!({"channel": channel, "error": {"code": code, "message": message}});
        send(&mut self.writer, &format!("{line}\n")).await
    }

    /// Starts the feeds that are missing.
    async fn start(&mut self, service: &RawService) -> io::Result<()> {
        for channel in std::mem::take(&mut self.idle) {
            let feed = service.imaging.live(LiveRequest {
                channel,
                from: None,
                until: None,
                fps: self.wanted.fps,
                is_keys_only: false,
                output: self.wanted.output,
                delivery: Delivery::Latest,
            });
            match feed {
                Ok(feed) => self.park_or_wait(channel, feed),
                Err(error) => {
                    self.tell(channel, &error).await?;
                    self.idle.push(channel);
                }
            }
        }
        Ok(())
    }

    /// Drops the channels that the token does not open any more; an error ends the conversation.
    async fn check(&mut self, service: &RawService) -> io::Result<()> {
        let (access, grant) = (&service.access, &self.wanted.grant);
        if let Err(error) = access.recheck(grant).await {
            let text = error_line(error.kind().label(), &error.to_string());
            send(&mut self.writer, &text).await?;
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "the token ended",
            ));
        }
        let mut gone = Vec::new();
        for channel in self.slots.keys() {
            if let Err(error) = access.check_channel(grant, *channel, Right::Watch).await {
                gone.push((*channel, error));
            }
        }
        for (channel, error) in gone {
            self.retired.extend(self.slots.remove(&channel));
            self.idle.retain(|idle| *idle != channel);
            self.blocked.retain(|(blocked, _)| *blocked != channel);
            self.tell(channel, &error).await?;
        }
        Ok(())
    }
}
