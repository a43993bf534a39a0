//! What comes from a camera that somebody took over, and workers that somebody took over.

use crate::common::{config, gops, job, pool, program, stamp, until, within};
use bytes::Bytes;
use framewell_decode::protocol::setup::{Hardware, SandboxReport};
use framewell_decode::protocol::wire::{self, Reply, VERSION};
use framewell_decode::{
    Error, Job, Output, Picture, PictureFormat, Pool, PoolConfig, Priority, WorkerOptions,
};
use framewell_media::{AccessUnit, VideoCodec, VideoParameters};
use framewell_testkit::encode::{ClipSpec, EncodedClip};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinSet;

const INPUTS: usize = 1_000;

fn clip(codec: VideoCodec) -> EncodedClip {
    let spec = ClipSpec {
        codec,
        width: 320,
        height: 240,
        gop: 12,
        b_frames: 2,
        frames: 12,
        ..ClipSpec::default()
    };
    spec.encode().unwrap()
}

/// The same numbers in each run, so that a failure can be had again.
struct Noise(u32);

impl Noise {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as usize % bound
    }

    fn bytes(&mut self, len: usize) -> Bytes {
        (0..len).map(|_| self.below(256).to_le_bytes()[0]).collect()
    }

    fn flip(&mut self, data: &Bytes, flips: usize) -> Bytes {
        let mut data = data.to_vec();
        for _ in 0..flips {
            let at = self.below(data.len());
            data[at] ^= 1 << self.below(8);
        }
        data.into()
    }
}

/// Real video, and ways to spoil it.
struct Source {
    clip: EncodedClip,
    gop: Vec<AccessUnit>,
}

impl Source {
    fn new(codec: VideoCodec) -> Self {
        let clip = clip(codec);
        let gop = gops(&clip).remove(0);
        Self { clip, gop }
    }

    fn job(&self) -> Job {
        job(&self.clip, &self.gop, &[self.gop[7].pts.ticks])
    }

    /// One of the pictures of the job, in one of the forms.
    fn want(&self, job: &mut Job, noise: &mut Noise) {
        let pts = job.samples[noise.below(job.samples.len())].pts;
        job.wanted[0].pick = framewell_decode::Pick::Pts(pts);
        let formats = [
            PictureFormat::Jpeg { quality: 80 },
            PictureFormat::Png,
            PictureFormat::WebP { quality: 80 },
            PictureFormat::Nv12,
            PictureFormat::Rgb24,
        ];
        job.wanted[0].output = Output {
            width: Some(64 + u32::try_from(noise.below(600)).unwrap()),
            ..Output::new(formats[noise.below(formats.len())])
        };
    }

    fn hostile(&self, noise: &mut Noise) -> Job {
        let mut job = self.job();
        match noise.below(8) {
            0 => {
                for sample in &mut job.samples {
                    let len = noise.below(3_000);
                    sample.data = noise.bytes(len);
                }
            }
            1 => {
                let sample = noise.below(job.samples.len());
                let sample = &mut job.samples[sample];
                sample.data.truncate(noise.below(sample.data.len()));
            }
            2 => job.samples.truncate(1 + noise.below(11)),
            3 => drop(job.samples.drain(..1 + noise.below(10))),
            4 => {
                for sample in &mut job.samples {
                    let flips = noise.below(4);
                    sample.data = noise.flip(&sample.data, flips);
                }
            }
            5 => {
                let flips = 1 + noise.below(12);
                let config = noise.flip(&job.video.config, flips);
                job.video = self.with_config(config);
            }
            6 => {
                let len = noise.below(400);
                job.video = self.with_config(noise.bytes(len));
            }
            _ => self.absurd(&mut job, noise),
        }
        self.want(&mut job, noise);
        job
    }

    /// Well-formed, and makes no sense.
    fn absurd(&self, job: &mut Job, noise: &mut Noise) {
        match noise.below(4) {
            0 => {
                let pts = [i64::MIN, i64::MAX, 0, -1];
                job.samples
                    .iter_mut()
                    .for_each(|sample| sample.pts = pts[noise.below(4)]);
            }
            1 => {
                let mut video = (*job.video).clone();
                video.reorder_depth = noise.bytes(1)[0];
                job.video = Arc::new(video);
            }
            2 => job.samples.reverse(),
            _ => {
                let side = [511, 1_023, 4_095, 65_535][noise.below(4)];
                job.video = self.with_config(with_sps(&job.video.config, &huge_sps(side)));
            }
        }
    }

    fn with_config(&self, config: Bytes) -> Arc<VideoParameters> {
        Arc::new(VideoParameters {
            config,
            ..self.clip.parameters.video.clone()
        })
    }
}

/// A sequence parameter set (ITU-T H.264 section 7.3.2.1.1) of this many macroblocks, less one, in both
/// directions and of 16 reference pictures.
fn huge_sps(side_minus1: u32) -> Vec<u8> {
    let mut bits = String::new();
    let mut ue = |value: u32| {
        let code = format!("{:b}", u64::from(value) + 1);
        bits.push_str(&"0".repeat(code.len() - 1));
        bits.push_str(&code);
    };
    // Ids, frame numbers, order counts: the smallest; then reference pictures.
    [0, 0, 0, 0, 16].into_iter().for_each(&mut ue);
    bits.push('0');
    let mut size = String::new();
    for _ in 0..2 {
        let code = format!("{:b}", u64::from(side_minus1) + 1);
        size.push_str(&"0".repeat(code.len() - 1));
        size.push_str(&code);
    }
    // Frames only, direct 8x8, no cropping, no VUI, stop bit.
    let mut bits = format!("{bits}{size}11001");
    while bits.len() % 8 != 0 {
        bits.push('0');
    }
    let body = bits.as_bytes().chunks(8).map(|byte| {
        let text = std::str::from_utf8(byte).unwrap();
        u8::from_str_radix(text, 2).unwrap()
    });
    // Baseline, level 6.2.
    [0x67, 66, 0, 62].into_iter().chain(body).collect()
}

/// An `avcC` record (ISO/IEC 14496-15 section 5.3.3.1.2) with another sequence parameter set; other
/// records stay as they are.
fn with_sps(config: &Bytes, sps: &[u8]) -> Bytes {
    if config[0] != 1 || config[5] != 0xe1 {
        return config.clone();
    }
    let old = usize::from(u16::from_be_bytes([config[6], config[7]]));
    let len = u16::try_from(sps.len()).unwrap().to_be_bytes();
    let rest = config.get(8 + old..).unwrap_or_default();
    [&config[..6], &len, sps, rest].concat().into()
}

async fn assert_works(pool: &Pool) {
    let source = Source::new(VideoCodec::H264);
    let pictures = within(pool.decode(source.job())).await.unwrap();
    assert_eq!(stamp(&pictures[0]).capture, source.gop[7].wall);
}

#[tokio::test]
async fn a_thousand_hostile_inputs_leave_the_pool_as_it_was() {
    let pool = Pool::start(PoolConfig {
        workers: 2,
        ..config()
    })
    .unwrap();
    let sources = [VideoCodec::H264, VideoCodec::H265].map(Source::new);
    let mut noise = Noise(42);
    let mut callers: JoinSet<Result<Vec<Picture>, Error>> = JoinSet::new();
    let (mut given, mut refused) = (0, 0);
    for number in 0..INPUTS {
        let mut job = sources[number % 2].hostile(&mut noise);
        job.priority = Priority::Batch;
        let handle = pool.clone();
        callers.spawn(async move { handle.decode(job).await });
        while callers.len() >= 4 {
            match within(callers.join_next()).await.unwrap().unwrap() {
                Ok(pictures) => {
                    assert_eq!(pictures.len(), 1);
                    given += 1;
                }
                Err(Error::Bitstream(_) | Error::Invalid(_) | Error::Died(_)) => refused += 1,
                Err(error) => panic!("{error:?}"),
            }
        }
    }
    while within(callers.join_next()).await.is_some() {}
    assert!(
        given > 100 && refused > 100,
        "{given} given, {refused} refused"
    );
    until(|| pool.ready() == 2).await;
    for _ in 0..4 {
        assert_works(&pool).await;
    }
    let restarts: u64 = pool.workers().iter().map(|worker| worker.restarts).sum();
    assert!(restarts < 100, "{restarts} workers for {INPUTS} inputs");
}

#[tokio::test]
async fn a_job_beyond_the_memory_limit_costs_itself_and_a_full_worker_is_replaced() {
    let limit_mib = idle_mib().await + 20;
    let pool = Pool::start(PoolConfig {
        worker: WorkerOptions {
            memory_mib: limit_mib,
            ..WorkerOptions::default()
        },
        ..config()
    })
    .unwrap();
    let spec = ClipSpec {
        width: 3840,
        height: 2160,
        frames: 1,
        ..ClipSpec::default()
    };
    let large = spec.encode().unwrap();
    let units: Vec<AccessUnit> = large.video().cloned().collect();
    let job = job(&large, &units, &[units[0].pts.ticks]);
    let result = within(pool.decode(job)).await;
    assert!(
        matches!(result, Err(Error::Bitstream(_) | Error::Died(_))),
        "{result:?}"
    );
    // Nearly all of its memory is in use even without a job.
    until(|| pool.workers()[0].restarts > 0).await;
    assert_works(&pool).await;
    assert_works(&pool).await;
}

/// Address space of a worker without a job, rounded up.
async fn idle_mib() -> u64 {
    let pool = pool();
    until(|| pool.ready() == 1).await;
    let pid = pool.workers()[0].pid.unwrap();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmSize:"))
        .unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib / 1_024 + 1
}

/// A worker that somebody took over: says this, and then waits.
fn impostor(folder: &TempDir, messages: &[(Reply, usize)]) -> PathBuf {
    let mut said = Vec::new();
    for (reply, payload) in messages {
        said.extend(wire::head(reply, *payload).unwrap());
        said.resize(said.len() + payload, 0);
    }
    let speech = folder.path().join("speech");
    std::fs::write(&speech, said).unwrap();
    let script = folder.path().join("impostor");
    // Answers come when the request is there: its first bytes are read.
    let hello = wire::head(&hello(), 0).unwrap().len();
    let text = format!(
        "#!/bin/sh\nhead -c {hello} {speech:?} >&0\nhead -c 1 >/dev/null\ntail -c +{} {speech:?} >&0\nexec sleep 600\n",
        hello + 1
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    script
}

fn hello() -> Reply {
    Reply::Hello {
        version: VERSION,
        libraries: String::new(),
        sandbox: SandboxReport::default(),
        hardware: Hardware::Off,
        has_encoder: false,
    }
}

fn picture(tag: u64, shared: Option<wire::SharedRange>) -> Reply {
    Reply::Picture {
        tag,
        pts: 0,
        width: 4,
        height: 2,
        format: PictureFormat::Nv12,
        change: None,
        shared,
    }
}

#[tokio::test]
async fn a_worker_that_breaks_the_protocol_costs_the_job_and_is_replaced() {
    let outside = wire::SharedRange {
        offset: 1 << 40,
        len: 1 << 20,
    };
    let whole = wire::SharedRange {
        offset: 0,
        len: 64 << 20,
    };
    let flood = std::iter::repeat_n((picture(0, Some(whole)), 0), 9);
    let cases: Vec<Vec<(Reply, usize)>> = vec![
        vec![(Reply::Done, 0)],
        vec![(picture(5, None), 12), (Reply::Done, 0)],
        vec![(picture(0, Some(outside)), 0), (Reply::Done, 0)],
        vec![(hello(), 0)],
        flood.collect(),
    ];
    let job = Source::new(VideoCodec::H264).job();
    for (case, answers) in cases.into_iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let messages: Vec<_> = [(hello(), 0)].into_iter().chain(answers).collect();
        let pool = Pool::start(PoolConfig {
            deadline: Duration::from_secs(30),
            ..PoolConfig {
                program: impostor(&folder, &messages),
                ..config()
            }
        })
        .unwrap();
        let result = within(pool.decode(job.clone())).await;
        assert!(matches!(result, Err(Error::Died(_))), "{case}: {result:?}");
        until(|| pool.workers()[0].restarts == 1).await;
    }
}

#[tokio::test]
async fn a_sandbox_that_is_required_and_not_there_fails_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let pool = Pool::start(PoolConfig {
        program: impostor(&folder, &[(hello(), 0)]),
        worker: WorkerOptions {
            sandbox: framewell_decode::SandboxMode::Require,
            ..WorkerOptions::default()
        },
        ..config()
    })
    .unwrap();
    let Err(Error::Start { source, .. }) = within(pool.greeting()).await else {
        panic!("a worker without sandbox was taken");
    };
    assert!(source.to_string().contains("seccomp no"), "{source}");
    let real = Pool::start(PoolConfig::new(program())).unwrap();
    let greeting = within(real.greeting()).await.unwrap();
    assert!(greeting.libraries.contains("libavcodec"), "{greeting:?}");
}
