//! Rendering one clip.

use super::cut::{Cutter, Piece};
use super::file::{Gathered, Trouble};
use super::{RenderOptions, Renderer, overlay};
use crate::attempt::Attempt;
use crate::handler::{Position, Stop};
use crate::{Clips, Error, copy};
use framewell_catalog::StoredClip;
use framewell_decode::{Coded, Pool, Render, RenderJob};
use framewell_jobs::{Failure, Work};
use framewell_media::{
    AccessUnit, AudioParameters, StreamParameters, TrackKind, VideoCodec, VideoParameters, nal,
};
use framewell_model::{
    ChannelId, ClockSource, ErrorKind, HasKind as _, MediaTime, TimeRange, Timescale, WallTime,
};
use framewell_playback::replay::Selection;
use futures::{FutureExt as _, StreamExt as _, stream};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often progress is saved, and whether the clip is still wanted is asked.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// Most bytes of the file in the working folder: an hour of the largest pictures has fewer.
const MOST_BYTES: u64 = 16 << 30;
/// The part of the progress that encoding is; the rest is the copy into the store.
const ENCODING: f64 = 0.95;

/// What came of it.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) size_bytes: i64,
    pub(crate) duration_us: i64,
    /// Where nothing could be read, or decoded; not in order.
    pub(crate) holes: Vec<TimeRange>,
}

/// Renders a clip into its object. `shown` is what the clip shows of the recording.
pub(crate) async fn store(
    clips: &Clips,
    work: &Work,
    attempt: &Attempt,
    clip: &StoredClip,
    options: RenderOptions,
    shown: TimeRange,
    position: Position,
) -> Result<Stored, Stop> {
    copy::check_quota(clips, attempt.account, 0).await?;
    let no_renderer = || Failure::last("this server does not render clips");
    let renderer = clips.renderer().ok_or_else(no_renderer)?;
    let range = TimeRange {
        start: clip.range.start.max(shown.start),
        end: clip.range.end.min(shown.end).max(shown.start),
    };
    let playback = &clips.inner.playback;
    let found = playback.find_footage(clip.channel, range.start, Some(range.end), Selection::All);
    let found = found.await.map_err(|error| Stop::of(&error))?;
    let video = &found.parameters().video;
    let size = options.size(video.width, video.height);
    let sound = found.parameters().audio.clone();
    let cutter = Cutter::new(found.replay(), range, options.speed, size);
    let path = renderer.dir.join(format!("{}.part", attempt.object));
    let gathered = Gathered::create(path).await.map_err(outside)?;
    let mut rendering = Rendering {
        clips,
        work,
        attempt,
        position,
        range,
        sound,
        parameters: None,
        gathered,
        waiting: None,
        last_sound: None,
        holes: Vec::new(),
        saved_at: Instant::now(),
    };
    let end = rendering.run(renderer, clip, options, size, cutter).await?;
    rendering.finish(end).await
}

fn outside(trouble: Trouble) -> Stop {
    match trouble {
        Trouble::Layout(_) => Failure::last(trouble.to_string()).into(),
        Trouble::Disk(_) | Trouble::Blob(_) => Stop::Outside(trouble.to_string()),
    }
}

/// A piece that came back, until the next one says where it ends.
#[derive(Debug)]
struct Done {
    units: Vec<AccessUnit>,
    parameters: Arc<StreamParameters>,
}

struct Rendering<'a> {
    clips: &'a Clips,
    work: &'a Work,
    attempt: &'a Attempt,
    position: Position,
    range: TimeRange,
    /// Parameters of the sound, if it is kept: those of the first pictures.
    sound: Option<AudioParameters>,
    parameters: Option<Arc<StreamParameters>>,
    gathered: Gathered,
    waiting: Option<Done>,
    /// The end of the last unit of sound: its ticks in the file less those in the recording, and the next
    /// possible time.
    last_sound: Option<(i64, i64)>,
    /// What is left out.
    holes: Vec<TimeRange>,
    saved_at: Instant,
}

impl Rendering<'_> {
    /// Encodes all pieces, in order; where the file ends, in ticks.
    async fn run(
        &mut self,
        renderer: &Renderer,
        clip: &StoredClip,
        options: RenderOptions,
        size: (u32, u32),
        cutter: Cutter,
    ) -> Result<i64, Stop> {
        let (clips, pool) = (self.clips.clone(), renderer.pool.clone());
        let (end, channel) = (self.range.end, clip.channel);
        let so_far = Arc::new(Mutex::new((0, Vec::new())));
        let seen = Arc::clone(&so_far);
        let pieces = stream::unfold(cutter, move |mut cutter| {
            let seen = Arc::clone(&seen);
            async move {
                let next = cutter.next().await.transpose()?;
                *seen.lock() = (cutter.ticks(end), cutter.holes().to_vec());
                Some((next, cutter))
            }
        });
        let jobs = pieces.map(move |piece| {
            let (clips, pool) = (clips.clone(), pool.clone());
            encode(clips, pool, channel, options, size, piece).boxed()
        });
        let mut done = jobs.buffered(renderer.parallel()).boxed();
        while let Some(result) = done.next().await {
            match result? {
                (piece, Some(coded)) => self.take(piece, coded).await?,
                (piece, None) => self.holes.extend(shown_by(&piece)),
            }
        }
        let (ticks, holes) = std::mem::take(&mut *so_far.lock());
        self.holes.extend(holes);
        Ok(ticks)
    }

    async fn take(&mut self, piece: Piece, coded: Vec<Coded>) -> Result<(), Stop> {
        let Some(first) = coded.first() else {
            return Ok(());
        };
        let (first_pts, captured) = (first.pts, piece.captured.last().copied());
        self.write_waiting(first_pts).await?;
        let parameters = self.parameters_of(first)?;
        let mut units: Vec<AccessUnit> = coded.into_iter().map(|one| self.picture(one)).collect();
        self.add_sound(&piece, &mut units);
        self.waiting = Some(Done { units, parameters });
        if self.gathered.len() > MOST_BYTES {
            let text = "the rendered clip gets larger than 16 GiB: make it shorter or smaller";
            return Err(Failure::last(text).into());
        }
        if self.saved_at.elapsed() >= SAVE_EVERY {
            copy::check_quota(self.clips, self.attempt.account, self.gathered.len()).await?;
            let part = progress(self.range, captured.unwrap_or(self.range.start));
            let (clips, work) = (self.clips, self.work);
            copy::save(clips, work, self.attempt, self.position, part * ENCODING).await?;
            copy::room_to_go_on(clips).await?;
            self.saved_at = Instant::now();
        }
        Ok(())
    }

    async fn write_waiting(&mut self, end: i64) -> Result<(), Stop> {
        let Some(done) = self.waiting.take() else {
            return Ok(());
        };
        let appended = self.gathered.append(&done.parameters, &done.units, end);
        appended.await.map_err(outside)
    }

    /// Those of the pieces before, unless the colours have changed.
    fn parameters_of(&mut self, first: &Coded) -> Result<Arc<StreamParameters>, Stop> {
        let nals = nal::split_annex_b(&first.data);
        let video = VideoParameters::from_parameter_sets(VideoCodec::H264, &nals)
            .map_err(|error| Failure::last(format!("the encoder's own video: {error}")))?;
        let known = self
            .parameters
            .as_ref()
            .filter(|known| known.video == video);
        if let Some(known) = known {
            return Ok(Arc::clone(known));
        }
        let audio = self.sound.clone();
        let new = StreamParameters { video, audio }.into_shared();
        self.parameters = Some(Arc::clone(&new));
        Ok(new)
    }

    /// A unit of the file. Parameter sets stand in the sample entry; the encoder's remarks are left out.
    fn picture(&self, coded: Coded) -> AccessUnit {
        let nals: Vec<_> = nal::split_annex_b(&coded.data)
            .into_iter()
            .filter(|unit| is_slice(unit))
            .collect();
        let pts = MediaTime::new(coded.pts, Timescale::HZ_90K);
        AccessUnit {
            track: TrackKind::Video,
            pts,
            dts: pts,
            wall: self.wall(coded.pts),
            clock: ClockSource::ServerArrival,
            is_key: coded.is_key,
            data: nal::join_length_prefixed(&nals),
        }
    }

    /// The file's own clock, laid from the start of the clip on.
    fn wall(&self, ticks: i64) -> WallTime {
        self.range
            .start
            .plus_micros(Timescale::HZ_90K.to_micros(ticks))
    }

    fn add_sound(&mut self, piece: &Piece, units: &mut Vec<AccessUnit>) {
        let (Some(sound), Some(at)) = (&self.sound, piece.sound_at) else {
            return;
        };
        if piece.parameters.audio.as_ref() != Some(sound) {
            return;
        }
        let scale = sound.timescale();
        for unit in &piece.sound {
            let ticks = unit.pts.ticks;
            let (shift, least) = match self.last_sound {
                Some(last) if !piece.starts_run || units.iter().any(is_sound) => last,
                last => {
                    let start = MediaTime::new(at, Timescale::HZ_90K).rescale(scale).ticks;
                    let least = last.map_or(i64::MIN, |(_, least)| least);
                    (start.max(least) - ticks, least)
                }
            };
            let placed = (ticks + shift).max(least);
            self.last_sound = Some((shift, placed + 1));
            let pts = MediaTime::new(placed, scale);
            let wall = pts.rescale(Timescale::HZ_90K).ticks;
            units.push(AccessUnit {
                pts,
                dts: pts,
                wall: self.wall(wall),
                ..unit.clone()
            });
        }
    }

    async fn finish(mut self, end: i64) -> Result<Stored, Stop> {
        self.write_waiting(end).await?;
        if self.gathered.is_empty() {
            return Err(Failure::last("no picture of the clip can be decoded").into());
        }
        copy::check_quota(self.clips, self.attempt.account, self.gathered.len()).await?;
        copy::save(self.clips, self.work, self.attempt, self.position, ENCODING).await?;
        copy::room_to_go_on(self.clips).await?;
        let writer = self.clips.inner.blobs.writer(&self.attempt.key()).await;
        let mut writer = writer.map_err(|error| Stop::of(&Error::Blob(error)))?;
        let shown = TimeRange {
            start: self.range.start,
            end: self.wall(end),
        };
        if let Err(trouble) = self.gathered.copy_to(shown, &mut writer).await {
            writer.abort().await;
            return Err(outside(trouble));
        }
        let size = writer.finish().await;
        let size = size.map_err(|error| Stop::of(&Error::Blob(error)))?;
        Ok(Stored {
            size_bytes: i64::try_from(size).unwrap_or(i64::MAX),
            duration_us: Timescale::HZ_90K.to_micros(end),
            holes: self.holes,
        })
    }
}

fn is_sound(unit: &AccessUnit) -> bool {
    unit.track == TrackKind::Audio
}

fn is_slice(unit: &[u8]) -> bool {
    use nal::NalKind::{KeySlice, Slice};
    matches!(nal::kind(VideoCodec::H264, unit), KeySlice | Slice)
}

fn progress(range: TimeRange, reached: WallTime) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "shown to people")]
    let part = reached.micros_since(range.start) as f64 / range.micros().max(1) as f64;
    part.clamp(0.0, 1.0)
}

/// From the first picture of a piece to its last.
fn shown_by(piece: &Piece) -> Option<TimeRange> {
    let (first, last) = (piece.captured.first()?, piece.captured.last()?);
    TimeRange::new(*first, *last)
}

/// What one piece became; `None` where the footage is damaged so much that nothing comes out of it.
async fn encode(
    clips: Clips,
    pool: Pool,
    channel: ChannelId,
    options: RenderOptions,
    (width, height): (u32, u32),
    piece: Result<Piece, Stop>,
) -> Result<(Piece, Option<Vec<Coded>>), Stop> {
    let mut piece = piece?;
    overlay::add(&clips, channel.main(), &options, &mut piece).await?;
    let job = RenderJob {
        video: Arc::new(piece.parameters.video.clone()),
        samples: std::mem::take(&mut piece.samples),
        render: Render {
            width,
            height,
            frames: std::mem::take(&mut piece.frames),
        },
    };
    match pool.render(job).await {
        Ok(coded) => Ok((piece, Some(coded))),
        Err(error) if error.kind() == ErrorKind::DataLoss => {
            tracing::warn!(channel.id = %channel, %error, "a piece of a rendered clip is left out");
            Ok((piece, None))
        }
        Err(error) => Err(Stop::of(&error)),
    }
}
