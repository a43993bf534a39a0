//! From a file to published segments.

use super::plan::{Group, Plan, wall_of};
use super::probe::read_samples;
use super::{ImportError, Upload, cut_gaps};
use crate::Recorder;
use crate::assembler::{Assembler, Step};
use crate::publish::{PublishError, Publisher};
use crate::segment::OpenSegment;
use bytes::Bytes;
use framewell_fmp4::{Movie, MovieSample, SegmentIdentity};
use framewell_live::{Batch, GopId};
use framewell_media::{AccessUnit, AudioParameters, StreamParameters, TrackKind};
use framewell_model::{
    ChainLink, ChannelId, ClockSource, MediaTime, RecordId, RunId, SealSource, SegmentId,
    TimeRange, Timescale, WallTime,
};
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use uuid::Uuid;

/// Most bytes of a group of pictures, which is in memory whole.
const MAX_GROUP_BYTES: u64 = 64 << 20;

/// Stores what the plan says; the new records.
pub(super) async fn store(
    recorder: &Recorder,
    channel: ChannelId,
    upload: &Upload,
    movie: &Movie,
    plan: &Plan,
) -> Result<Vec<RecordId>, ImportError> {
    let file = File::open(upload.path()).map_err(ImportError::Disk)?;
    let mut storing = Storing {
        publisher: recorder.publisher(),
        channel,
        dir: upload.dir().to_owned(),
        file: Arc::new(file),
        parameters: Arc::new(movie.parameters.clone()),
        start: plan.start,
        identity: None,
        open: None,
        sequence: 0,
        link: None,
        records: Vec::new(),
    };
    let config = &recorder.shared.config;
    for stretch in &plan.stretches {
        let mut assembler = Assembler::new(config.segment, config.fragment);
        let run = RunId::from_uuid(Uuid::now_v7());
        storing.sequence = 0;
        for (number, group) in stretch.iter().enumerate() {
            let batch = storing.read(movie, group, run, number as GopId).await?;
            for step in assembler.push(batch) {
                storing.take(step).await?;
            }
        }
        for step in assembler.finish() {
            storing.take(step).await?;
        }
    }
    Ok(storing.records)
}

/// The state of storing one upload.
struct Storing {
    publisher: Publisher,
    channel: ChannelId,
    dir: PathBuf,
    file: Arc<File>,
    parameters: Arc<StreamParameters>,
    /// Capture time of media time 0.
    start: WallTime,
    /// Of the segment whose first fragment comes next.
    identity: Option<SegmentIdentity>,
    open: Option<OpenSegment>,
    sequence: i64,
    /// The segment that was stored last. An upload is a chain of its own: the time that it covers may lie
    /// between any segments of the channel.
    link: Option<ChainLink>,
    records: Vec<RecordId>,
}

impl Storing {
    /// Reads a group of pictures and the sound beside it.
    async fn read(
        &self,
        movie: &Movie,
        group: &Group,
        run: RunId,
        number: GopId,
    ) -> Result<Batch, ImportError> {
        let video = movie.video[group.pictures.clone()].to_vec();
        let audio = self.audio_of(movie, group.range).to_vec();
        let bytes = video.iter().chain(&audio).map(|s| u64::from(s.size));
        if bytes.sum::<u64>() > MAX_GROUP_BYTES {
            return Err(ImportError::Unusable(format!(
                "a group of pictures of more than {MAX_GROUP_BYTES} bytes"
            )));
        }
        let file = Arc::clone(&self.file);
        let reading = move || -> io::Result<_> {
            let pictures = read_samples(&file, &video)?;
            let sound = read_samples(&file, &audio)?;
            Ok((video, Bytes::from(pictures), audio, Bytes::from(sound)))
        };
        let (video, pictures, audio, sound) = tokio::task::spawn_blocking(reading)
            .await
            .unwrap_or_else(|panic| Err(io::Error::other(panic)))
            .map_err(ImportError::Disk)?;
        let mut units = self.units(TrackKind::Video, Timescale::HZ_90K, &video, &pictures);
        if let Some(scale) = self.audio_scale() {
            units.extend(self.units(TrackKind::Audio, scale, &audio, &sound));
        }
        // The key frame first, then by decode time.
        let key = units.first().map(|unit| unit.dts.micros());
        units.sort_by_key(|unit| {
            let dts_us = unit.dts.micros();
            let is_audio = unit.track == TrackKind::Audio;
            (key.map_or(dts_us, |key| dts_us.max(key)), is_audio)
        });
        Ok(Batch {
            gop: number,
            run,
            parameters: Arc::clone(&self.parameters),
            units,
            starts_gop: true,
            is_closed: true,
            missed_gops: 0,
            run_end: None,
        })
    }

    fn audio_scale(&self) -> Option<Timescale> {
        self.parameters
            .audio
            .as_ref()
            .map(AudioParameters::timescale)
    }

    /// Sound that begins within the range.
    fn audio_of<'a>(&self, movie: &'a Movie, range: TimeRange) -> &'a [MovieSample] {
        let Some(scale) = self.audio_scale() else {
            return &[];
        };
        let at = |wall: WallTime| {
            let ticks = scale.from_micros(wall.micros_since(self.start));
            movie.audio.partition_point(|sample| sample.pts < ticks)
        };
        let (from, to) = (at(range.start), at(range.end));
        &movie.audio[from..to.max(from)]
    }

    fn units(
        &self,
        track: TrackKind,
        scale: Timescale,
        samples: &[MovieSample],
        data: &Bytes,
    ) -> Vec<AccessUnit> {
        let mut at = 0;
        let unit = |sample: &MovieSample| {
            let end = at + sample.size as usize;
            let data = data.slice(at..end);
            at = end;
            let wall = match track {
                TrackKind::Video => wall_of(self.start, sample.pts),
                TrackKind::Audio => self.start.plus_micros(scale.to_micros(sample.pts)),
            };
            AccessUnit {
                track,
                pts: MediaTime::new(sample.pts, scale),
                dts: MediaTime::new(sample.dts, scale),
                wall,
                // Whoever sends a file says when it was taken, by the clock of the camera.
                clock: ClockSource::CameraRtcp,
                is_key: sample.is_key || track == TrackKind::Audio,
                data,
            }
        };
        samples.iter().map(unit).collect()
    }

    async fn take(&mut self, step: Step) -> Result<(), ImportError> {
        match step {
            Step::Begin {
                run, wall, clock, ..
            } => self.begin(run, wall, clock),
            Step::Fragment { units, end_dts } => self.append(units, end_dts).await?,
            Step::End => self.publish().await?,
            Step::Missed { .. } | Step::RunEnded { .. } => {}
        }
        Ok(())
    }

    fn begin(&mut self, run: RunId, wall: WallTime, clock: ClockSource) {
        self.identity = Some(SegmentIdentity {
            segment: SegmentId::from_uuid(Uuid::now_v7()),
            channel: self.channel,
            run,
            sequence: self.sequence,
            wall_start: wall,
            clock,
        });
        self.sequence += 1;
    }

    async fn append(
        &mut self,
        units: Vec<AccessUnit>,
        end_dts: Option<i64>,
    ) -> Result<(), ImportError> {
        if let Some(identity) = self.identity.take() {
            let path = self.dir.join(identity.segment.to_string());
            let parameters = Arc::clone(&self.parameters);
            let link = self.link.as_ref();
            let open = OpenSegment::new(path, identity, link, parameters, &units);
            self.open = Some(open);
        }
        if let Some(open) = &mut self.open {
            open.append(&units, end_dts, &self.publisher.room)
                .await
                .map_err(ImportError::Disk)?;
        }
        Ok(())
    }

    async fn publish(&mut self) -> Result<(), ImportError> {
        let close = |open: OpenSegment| open.close_as(SealSource::Imported);
        let Some(closed) = self.open.take().and_then(close) else {
            return Ok(());
        };
        self.link = closed.link();
        let record = self
            .publisher
            .publish(&closed)
            .await
            .map_err(|error| match error {
                PublishError::Catalog(error) => ImportError::Catalog(error),
                other => ImportError::Publish(Box::new(other)),
            })?;
        self.records.push(record);
        cut_gaps(&self.publisher.catalog, self.channel, closed.row.range).await?;
        Ok(())
    }
}
