//! A channel's units as RTMP messages, once for all readers. Payload is not copied: a message is its
//! headers and slices of the access unit between them.

use super::amf0::{self, Value};
use super::chunk::{self, Outgoing, SENT_CHUNK, kind};
use super::conversation::MEDIA_STREAM;
use super::flv;
use crate::fanout::{Frame, Pack};
use bytes::Bytes;
use framewell_live::Batch;
use framewell_media::{AccessUnit, AudioCodec, StreamParameters, TrackKind, VideoCodec};
use framewell_model::{RunId, WallTime};
use std::sync::Arc;

/// Chunk streams of what players are sent.
const CHUNKS_AUDIO: u8 = 4;
const CHUNKS_DATA: u8 = 5;
const CHUNKS_VIDEO: u8 = 6;

/// Most advance over a border between runs. RTMP time has 32 bits and clients take half of that, 24 days, as
/// a jump backwards; a camera whose clock was set must not throw them out.
const MAX_STEP_MS: i64 = 3_600_000;

/// One access unit on the wire.
#[derive(Debug, Clone)]
pub(crate) struct Packed {
    track: TrackKind,
    /// Headers, and slices of the access unit.
    pub(crate) wire: Arc<[Bytes]>,
    bytes: usize,
    /// Key frames: what a reader must know before it.
    prologue: Option<Bytes>,
    /// Whether readers that go on have to be told, too: the parameters changed.
    has_news: bool,
}

impl Packed {
    /// What stands before it for a reader that begins here, or that goes on.
    pub(crate) fn prologue(&self, begins: bool) -> Option<&Bytes> {
        self.prologue.as_ref().filter(|_| begins || self.has_news)
    }
}

impl Frame for Packed {
    type Stream = ();

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn is_key(&self) -> bool {
        self.prologue.is_some()
    }

    fn is_video(&self) -> bool {
        self.track == TrackKind::Video
    }
}

/// RTMP time of a run: media time plus an offset, so that runs follow one another.
#[derive(Debug, Clone, Copy)]
struct RunClock {
    run: RunId,
    offset_ms: i64,
}

/// Makes the messages of a channel. Time goes on over runs and parameter changes.
#[derive(Debug, Default)]
pub(crate) struct Packer {
    parameters: Option<Arc<StreamParameters>>,
    clock: Option<RunClock>,
    /// RTMP time and capture time of the newest picture.
    newest: Option<(i64, WallTime)>,
}

impl Pack for Packer {
    type Frame = Packed;
    const MISSED_GOPS: &'static str = "framewell_rtmp_fanout_missed_gops_total";

    fn stream(&self) {}

    /// New parameters are told before their key frame.
    fn goes_on(&self, _: &Batch) -> bool {
        true
    }

    fn pack(&mut self, batch: &Batch) -> Vec<Packed> {
        let mut packed = Vec::with_capacity(batch.units.len());
        for (index, unit) in batch.units.iter().enumerate() {
            let starts_gop = batch.starts_gop && index == 0;
            match unit.track {
                TrackKind::Video => packed.push(self.video(batch, unit, starts_gop)),
                TrackKind::Audio => packed.extend(self.audio(batch, unit)),
            }
        }
        packed
    }
}

impl Packer {
    fn video(&mut self, batch: &Batch, unit: &AccessUnit, starts_gop: bool) -> Packed {
        let codec = batch.parameters.video.codec;
        let time_ms = self.place(batch.run, unit);
        self.newest = Some((time_ms, unit.wall));
        let composition_ms = millis(unit.pts.micros()) - millis(unit.dts.micros());
        let composition_ms = i32::try_from(composition_ms.clamp(0, 0x7f_ffff)).unwrap_or(0);
        let timestamp = wrap(time_ms);
        let mut has_news = false;
        let prologue = starts_gop.then(|| {
            has_news = self.parameters.as_ref() != Some(&batch.parameters);
            self.parameters = Some(Arc::clone(&batch.parameters));
            prologue(&batch.parameters, timestamp)
        });
        let mut before = Vec::new();
        if starts_gop {
            write(
                &mut before,
                CHUNKS_DATA,
                kind::DATA,
                timestamp,
                &capture_time(unit.wall),
            );
        }
        let header = flv::picture_header(codec, unit.is_key, composition_ms);
        let message = Media {
            chunks: CHUNKS_VIDEO,
            kind: kind::VIDEO,
            timestamp,
            header: &header,
            payload: &unit.data,
        };
        Packed {
            track: TrackKind::Video,
            bytes: before.len() + unit.data.len(),
            wire: message.slices(before),
            prologue,
            has_news,
        }
    }

    /// `None` for a coding that RTMP does not carry.
    fn audio(&mut self, batch: &Batch, unit: &AccessUnit) -> Option<Packed> {
        let parameters = batch.parameters.audio.as_ref()?;
        let header = flv::sound_header(parameters.codec, parameters.channels)?;
        let timestamp = wrap(self.place(batch.run, unit));
        let message = Media {
            chunks: CHUNKS_AUDIO,
            kind: kind::AUDIO,
            timestamp,
            header: &header,
            payload: &unit.data,
        };
        Some(Packed {
            track: TrackKind::Audio,
            bytes: unit.data.len() + 16,
            wire: message.slices(Vec::new()),
            prologue: None,
            has_news: false,
        })
    }

    /// RTMP time of a unit's decode time. A run begins as far behind the last picture as it was captured, an
    /// hour at most.
    fn place(&mut self, run: RunId, unit: &AccessUnit) -> i64 {
        let decode_ms = millis(unit.dts.micros());
        if self.clock.is_none_or(|clock| clock.run != run) {
            let start_ms = match self.newest {
                None => 0,
                Some((time_ms, wall)) => {
                    let passed_ms = unit.wall.micros_since(wall) / 1_000;
                    time_ms + passed_ms.clamp(1, MAX_STEP_MS)
                }
            };
            let offset_ms = start_ms - decode_ms;
            self.clock = Some(RunClock { run, offset_ms });
        }
        let offset_ms = self.clock.map_or(0, |clock| clock.offset_ms);
        (decode_ms + offset_ms).max(0)
    }
}

/// Rounded down, also before zero.
const fn millis(micros: i64) -> i64 {
    micros.div_euclid(1_000)
}

/// Milliseconds modulo 2^32 (RTMP 1.0 section 3).
fn wrap(time_ms: i64) -> u32 {
    u32::try_from(time_ms.rem_euclid(1 << 32)).expect("a remainder of 2^32")
}

/// A message to be sent in slices.
struct Media<'a> {
    chunks: u8,
    kind: u8,
    timestamp: u32,
    header: &'a [u8],
    payload: &'a Bytes,
}

impl Media<'_> {
    /// Headers and slices of the payload, behind `before`.
    fn slices(&self, mut before: Vec<u8>) -> Arc<[Bytes]> {
        let outgoing = Outgoing {
            kind: self.kind,
            timestamp: self.timestamp,
            stream: MEDIA_STREAM,
            length: self.header.len() + self.payload.len(),
        };
        chunk::write_first_header(&mut before, self.chunks, &outgoing);
        before.extend_from_slice(self.header);
        let first = self.payload.len().min(SENT_CHUNK - self.header.len());
        let mut slices = vec![before.into(), self.payload.slice(..first)];
        let mut at = first;
        if at < self.payload.len() {
            let mut next = Vec::new();
            chunk::write_next_header(&mut next, self.chunks, self.timestamp);
            let next = Bytes::from(next);
            while at < self.payload.len() {
                let end = self.payload.len().min(at + SENT_CHUNK);
                slices.push(next.clone());
                slices.push(self.payload.slice(at..end));
                at = end;
            }
        }
        slices.into()
    }
}

fn write(out: &mut Vec<u8>, chunks: u8, of: u8, timestamp: u32, body: &[u8]) {
    let message = chunk::Message {
        kind: of,
        timestamp,
        stream: MEDIA_STREAM,
        body: Bytes::copy_from_slice(body),
    };
    chunk::write_message(out, chunks, &message, SENT_CHUNK);
}

/// `onMetaData`, and the parameters of all tracks.
fn prologue(parameters: &StreamParameters, timestamp: u32) -> Bytes {
    let mut out = Vec::new();
    write(
        &mut out,
        CHUNKS_DATA,
        kind::DATA,
        timestamp,
        &metadata(parameters),
    );
    let video = &parameters.video;
    let mut body = flv::video_parameters_header(video.codec);
    body.extend_from_slice(&video.config);
    write(&mut out, CHUNKS_VIDEO, kind::VIDEO, timestamp, &body);
    if let Some(audio) = &parameters.audio
        && audio.codec == AudioCodec::Aac
    {
        let mut body = flv::aac_parameters_header();
        body.extend_from_slice(&audio.config);
        write(&mut out, CHUNKS_AUDIO, kind::AUDIO, timestamp, &body);
    }
    out.into()
}

/// `onMetaData` (Adobe Flash Video File Format 10.1 annex E.5).
fn metadata(parameters: &StreamParameters) -> Vec<u8> {
    let video = &parameters.video;
    let codec = match video.codec {
        VideoCodec::H264 => 7.0,
        // Enhanced RTMP v2: the FourCC as a number.
        VideoCodec::H265 => f64::from(u32::from_be_bytes(flv::HVC1)),
    };
    let mut members = vec![
        ("width", Value::Number(f64::from(video.width))),
        ("height", Value::Number(f64::from(video.height))),
        ("videocodecid", Value::Number(codec)),
        ("encoder", Value::text("framewell")),
    ];
    let codec_of_audio = |codec: AudioCodec| match codec {
        AudioCodec::Aac => Some(10.0),
        AudioCodec::Pcma => Some(7.0),
        AudioCodec::Pcmu => Some(8.0),
        // Sound of this kind is left out.
        AudioCodec::Opus => None,
    };
    if let Some(audio) = &parameters.audio
        && let Some(codec) = codec_of_audio(audio.codec)
    {
        members.extend([
            ("audiocodecid", Value::Number(codec)),
            (
                "audiosamplerate",
                Value::Number(f64::from(audio.sample_rate)),
            ),
            ("stereo", Value::Boolean(audio.channels > 1)),
        ]);
    }
    let members = members
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value));
    amf0::encode_all(&[
        Value::text("onMetaData"),
        Value::EcmaArray(members.collect()),
    ])
}

/// `onFI`, as Adobe's encoders send it: date and time of day (UTC) of the picture behind it. `us`: the same
/// exactly, in microseconds since 1970.
fn capture_time(wall: WallTime) -> Vec<u8> {
    let text = wall.to_rfc3339();
    let (date, time) = text.split_once('T').unwrap_or((&text, ""));
    let mut parts = date.splitn(3, '-');
    let mut part = || parts.next().unwrap_or_default().to_owned();
    let (year, month, day) = (part(), part(), part());
    #[expect(clippy::cast_precision_loss, reason = "below 2^53 until the year 2255")]
    let micros = wall.micros() as f64;
    amf0::encode_all(&[
        Value::text("onFI"),
        Value::object([
            ("sd", Value::text(format!("{day}-{month}-{year}"))),
            ("st", Value::text(time.get(..12).unwrap_or(time))),
            ("us", Value::Number(micros)),
        ]),
    ])
}

#[cfg(test)]
mod tests {
    use super::super::chunk::{ChunkReader, Message};
    use super::*;
    use bytes::BytesMut;
    use framewell_testkit::encode::{ClipSpec, EncodedClip};

    fn batch(clip: &EncodedClip, units: &[AccessUnit], run: u8) -> Batch {
        Batch {
            gop: 1,
            run: format!("00000000-0000-7000-8000-0000000000{run:02x}")
                .parse()
                .unwrap(),
            parameters: Arc::new(clip.parameters.clone()),
            units: units.to_vec(),
            starts_gop: units[0].is_key,
            is_closed: false,
            missed_gops: 0,
            run_end: None,
        }
    }

    /// What a client reads that begins with the first frame.
    fn read(frames: &[Packed]) -> Vec<Message> {
        let mut reader = ChunkReader::new(10 << 20);
        let mut bytes = Vec::new();
        let size = u32::try_from(SENT_CHUNK).unwrap().to_be_bytes();
        let set_size = Message {
            kind: kind::SET_CHUNK_SIZE,
            timestamp: 0,
            stream: 0,
            body: Bytes::copy_from_slice(&size),
        };
        chunk::write_message(&mut bytes, 2, &set_size, 128);
        for (index, frame) in frames.iter().enumerate() {
            bytes.extend(frame.prologue(index == 0).into_iter().flatten());
            bytes.extend(frame.wire.iter().flatten());
        }
        let mut input = BytesMut::from(&bytes[..]);
        let mut messages = Vec::new();
        while let Some(message) = reader.next(&mut input).unwrap() {
            messages.push(message);
        }
        assert!(input.is_empty());
        messages
    }

    fn spec() -> ClipSpec {
        ClipSpec {
            audio: Some(AudioCodec::Aac),
            b_frames: 2,
            frames: 50,
            ..ClipSpec::default()
        }
    }

    #[test]
    fn units_come_back_with_their_times() {
        let clip = spec().encode().unwrap();
        let messages = read(&Packer::default().pack(&batch(&clip, &clip.units, 1)));
        let (mut pictures, mut sounds) = (clip.video(), 0);
        let first_ms = millis(clip.video().next().unwrap().dts.micros());
        for message in &messages {
            match message.kind {
                kind::VIDEO => match flv::read_video(&message.body).unwrap() {
                    flv::VideoTag::Picture {
                        composition_ms,
                        data,
                        ..
                    } => {
                        let unit = pictures.next().unwrap();
                        assert_eq!(data, unit.data);
                        let time = i64::from(message.timestamp) + first_ms;
                        assert_eq!(time, millis(unit.dts.micros()));
                        let shown = time + i64::from(composition_ms);
                        assert_eq!(shown, millis(unit.pts.micros()));
                    }
                    flv::VideoTag::Parameters(_, record) => {
                        assert_eq!(record, clip.parameters.video.config);
                    }
                    flv::VideoTag::Nothing => panic!("nothing else"),
                },
                kind::AUDIO => sounds += 1,
                _ => {}
            }
        }
        assert_eq!(pictures.count(), 0);
        // The parameters come first.
        assert!(sounds > 50);
    }

    #[test]
    fn a_reader_that_begins_is_told_everything_and_one_that_goes_on_only_news() {
        let clip = spec().encode().unwrap();
        let mut packer = Packer::default();
        let first = packer.pack(&batch(&clip, &clip.units[..1], 1));
        let second = packer.pack(&batch(&clip, &clip.units[..1], 1));
        assert!(first[0].prologue(true).is_some() && first[0].prologue(false).is_some());
        assert!(second[0].prologue(true).is_some() && second[0].prologue(false).is_none());
        let kinds: Vec<u8> = read(&first).iter().map(|message| message.kind).collect();
        assert_eq!(kinds, [18, 9, 8, 18, 9]);
    }

    #[test]
    fn capture_times_are_exact() {
        let clip = spec().encode().unwrap();
        let messages = read(&Packer::default().pack(&batch(&clip, &clip.units[..1], 1)));
        let values = amf0::decode_all(&messages[3].body).unwrap();
        assert_eq!(values[0], Value::text("onFI"));
        assert_eq!(values[1].get("sd"), Some(&Value::text("01-01-2026")));
        assert_eq!(values[1].get("st"), Some(&Value::text("00:00:00.000")));
        assert_eq!(
            values[1].get("us"),
            Some(&Value::Number(1_767_225_600_000_000.0))
        );
    }

    #[test]
    fn a_second_run_follows_the_first_in_time() {
        let clip = spec().encode().unwrap();
        for (later_us, expected_ms) in [
            (60_000_000, None),
            // Of a camera whose clock was set.
            (90 * 86_400_000_000, Some(MAX_STEP_MS)),
            (-90 * 86_400_000_000, Some(1)),
        ] {
            let (step_ms, gap_ms) = step_to(&clip, later_us);
            let expected_ms = expected_ms.unwrap_or(gap_ms);
            assert!((step_ms - expected_ms).abs() <= 200, "{step_ms} {gap_ms}");
        }
    }

    /// Longest step of RTMP time when a clip comes again so much later, and how long the pause was.
    fn step_to(clip: &EncodedClip, later_us: i64) -> (i64, i64) {
        let mut packer = Packer::default();
        let mut frames = packer.pack(&batch(clip, &clip.units, 1));
        let newest = clip.video().map(|unit| unit.wall).max().unwrap();
        let mut again = clip.units.clone();
        for unit in &mut again {
            unit.wall = unit.wall.plus_micros(later_us);
        }
        let gap_ms = again[0].wall.micros_since(newest) / 1_000;
        frames.extend(packer.pack(&batch(clip, &again, 2)));
        let messages = read(&frames);
        let times: Vec<i64> = messages
            .iter()
            .filter(|message| message.kind == kind::VIDEO)
            .map(|message| i64::from(message.timestamp))
            .collect();
        assert!(times.is_sorted());
        let steps = times.windows(2).map(|pair| pair[1] - pair[0]);
        (steps.max().unwrap(), gap_ms)
    }

    #[test]
    fn payload_is_shared_and_big_pictures_are_cut() {
        let payload = Bytes::from(vec![7; 200_000]);
        let message = Media {
            chunks: 6,
            kind: 9,
            timestamp: 0x0200_0000,
            header: &[0x17, 1, 0, 0, 0],
            payload: &payload,
        };
        let slices = message.slices(Vec::new());
        assert_eq!(slices.len(), 8);
        assert_eq!(slices[1].as_ptr(), payload.as_ptr());
        let packed = Packed {
            track: TrackKind::Video,
            wire: slices,
            bytes: 0,
            prologue: None,
            has_news: false,
        };
        let messages = read(&[packed]);
        assert_eq!(messages[0].timestamp, 0x0200_0000);
        assert_eq!(messages[0].body.len(), 200_005);
    }
}
