//! Broken bitstreams, broken workers, impatient callers.

use crate::common::{config, gops, job, poll_once, pool, ready_pid, signal, stamp, until, within};
use bytes::Bytes;
use framewell_decode::{Error, Job, Pick, Pool, PoolConfig};
use framewell_media::{AccessUnit, VideoCodec, VideoParameters};
use framewell_testkit::encode::{ClipSpec, EncodedClip};
use rustix::process::{Pid, Signal, kill_process};
use std::sync::Arc;
use std::time::Duration;

fn clip() -> (EncodedClip, Vec<AccessUnit>) {
    let spec = ClipSpec {
        width: 320,
        height: 240,
        gop: 12,
        frames: 12,
        ..ClipSpec::default()
    };
    let clip = spec.encode().unwrap();
    let gop = gops(&clip).remove(0);
    (clip, gop)
}

fn good_job() -> Job {
    let (clip, gop) = clip();
    job(&clip, &gop, &[gop[5].pts.ticks])
}

async fn assert_works(pool: &Pool) {
    let pictures = within(pool.decode(good_job())).await.unwrap();
    assert_eq!(stamp(&pictures[0]).frame, 5);
}

/// A pool whose only worker is stopped while it has this job.
async fn stuck(
    pool: &Pool,
) -> (
    Pid,
    tokio::task::JoinSet<Result<Vec<framewell_decode::Picture>, Error>>,
) {
    let pid = ready_pid(pool).await;
    signal(pid, Signal::STOP);
    let mut callers = tokio::task::JoinSet::new();
    let handle = pool.clone();
    callers.spawn(async move { handle.decode(good_job()).await });
    until(|| pool.workers()[0].is_busy).await;
    (pid, callers)
}

#[tokio::test]
async fn a_worker_killed_in_mid_job_costs_that_job_and_is_replaced() {
    let pool = pool();
    let (pid, mut callers) = stuck(&pool).await;
    signal(pid, Signal::KILL);
    let result = within(callers.join_next()).await.unwrap().unwrap();
    assert!(
        matches!(&result, Err(Error::Died(how)) if how.contains("SIGKILL")),
        "{result:?}"
    );
    assert_works(&pool).await;
    assert_ne!(ready_pid(&pool).await, pid);
}

#[tokio::test]
async fn a_worker_that_dies_idle_is_replaced_before_anybody_notices() {
    let pool = pool();
    let pid = ready_pid(&pool).await;
    signal(pid, Signal::KILL);
    let old = pid.as_raw_nonzero().get().cast_unsigned();
    until(|| pool.workers()[0].pid.is_some_and(|pid| pid != old)).await;
    assert_works(&pool).await;
}

#[tokio::test]
async fn a_job_beyond_its_deadline_kills_its_worker() {
    let pool = Pool::start(PoolConfig {
        deadline: Duration::from_secs(2),
        ..config()
    })
    .unwrap();
    let (pid, mut callers) = stuck(&pool).await;
    let result = within(callers.join_next()).await.unwrap().unwrap();
    assert!(matches!(result, Err(Error::Deadline(_))), "{result:?}");
    until(|| kill_process(pid, Signal::CONT).is_err()).await;
    assert_works(&pool).await;
}

#[tokio::test]
async fn a_full_queue_says_busy_at_once() {
    let pool = Pool::start(PoolConfig {
        queue: 1,
        ..config()
    })
    .unwrap();
    let (pid, mut callers) = stuck(&pool).await;
    let mut waiting = std::pin::pin!(pool.decode(good_job()));
    let polled = poll_once(waiting.as_mut()).await;
    assert!(polled.is_none(), "one job may wait");
    let refused = within(pool.decode(good_job())).await;
    assert!(matches!(refused, Err(Error::Busy)), "{refused:?}");
    signal(pid, Signal::CONT);
    assert!(within(callers.join_next()).await.unwrap().unwrap().is_ok());
    assert!(within(waiting).await.is_ok());
    assert_works(&pool).await;
}

#[tokio::test]
async fn callers_that_go_away_leave_the_worker_in_step() {
    let pool = pool();
    let (pid, mut callers) = stuck(&pool).await;
    let mut queued = Box::pin(pool.decode(good_job()));
    assert!(poll_once(queued.as_mut()).await.is_none());
    drop(queued);
    callers.shutdown().await;
    signal(pid, Signal::CONT);
    let (clip, gop) = clip();
    let job = job(&clip, &gop, &[gop[9].pts.ticks]);
    let pictures = within(pool.decode(job)).await.unwrap();
    assert_eq!(stamp(&pictures[0]).frame, 9);
    let worker = pool.workers()[0];
    assert_eq!(
        worker.jobs, 2,
        "the queued job was never started: {worker:?}"
    );
}

#[tokio::test]
async fn a_worker_is_replaced_after_its_share_of_jobs() {
    let pool = Pool::start(PoolConfig {
        max_jobs: 2,
        ..config()
    })
    .unwrap();
    let first = ready_pid(&pool).await;
    assert_works(&pool).await;
    assert_eq!(ready_pid(&pool).await, first);
    assert_works(&pool).await;
    assert_works(&pool).await;
    assert_ne!(ready_pid(&pool).await, first);
}

#[tokio::test]
async fn garbage_is_an_error_and_the_worker_lives_on() {
    let pool = pool();
    let pid = ready_pid(&pool).await;
    let mut noise = 1u32;
    let mut garbage = |len: usize| -> Bytes {
        let byte = |_| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            noise.to_be_bytes()[0]
        };
        (0..len).map(byte).collect()
    };
    let with_key = |key: Bytes| {
        let mut job = good_job();
        job.samples[0].data = key;
        job
    };
    let idr_of_garbage = {
        let body = garbage(5000);
        let length = u32::try_from(body.len() + 1).unwrap().to_be_bytes();
        Bytes::from([&length[..], &[0x65], &body].concat())
    };
    let whole = good_job().samples[0].data.clone();
    let mut jobs = vec![
        with_key(garbage(5000)),
        with_key(Bytes::new()),
        with_key(idr_of_garbage),
        with_key(whole.slice(..whole.len() / 4)),
    ];
    let mut bad_record = good_job();
    bad_record.video = Arc::new(VideoParameters {
        config: garbage(40),
        ..(*bad_record.video).clone()
    });
    let mut wrong_codec = good_job();
    wrong_codec.video = Arc::new(VideoParameters {
        codec: VideoCodec::H265,
        ..(*wrong_codec.video).clone()
    });
    jobs.extend([bad_record, wrong_codec]);
    for (index, job) in jobs.into_iter().enumerate() {
        let result = within(pool.decode(job)).await;
        assert!(
            matches!(result, Err(Error::Bitstream(_))),
            "{index}: {result:?}"
        );
        assert_works(&pool).await;
    }
    assert_eq!(ready_pid(&pool).await, pid);
}

#[tokio::test]
async fn flipped_bits_never_cost_more_than_their_job() {
    let pool = pool();
    let mut noise = 7u32;
    let mut next = |below: usize| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (noise >> 8) as usize % below
    };
    for codec in [VideoCodec::H264, VideoCodec::H265] {
        let spec = ClipSpec {
            codec,
            width: 320,
            height: 240,
            gop: 12,
            b_frames: 2,
            frames: 12,
            ..ClipSpec::default()
        };
        let clip = spec.encode().unwrap();
        let gop = gops(&clip).remove(0);
        for _ in 0..40 {
            let mut broken = gop.clone();
            for _ in 0..4 {
                let unit = &mut broken[next(12)];
                let mut data = unit.data.to_vec();
                let at = next(data.len());
                data[at] ^= 1 << next(8);
                unit.data = data.into();
            }
            let wanted = broken[next(12)].pts.ticks;
            match within(pool.decode(job(&clip, &broken, &[wanted]))).await {
                Ok(pictures) => assert_eq!(pictures[0].pts, wanted),
                Err(Error::Bitstream(_) | Error::Died(_)) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        assert_works(&pool).await;
    }
}

#[tokio::test]
async fn pictures_before_the_damage_are_given_and_those_behind_it_refused() {
    let (clip, gop) = clip();
    let mut damaged = gop.clone();
    let mut data = damaged[6].data.to_vec();
    let middle = data.len() / 2;
    data[5..middle].fill(0xa5);
    damaged[6].data = data.into();
    let pool = pool();
    for (index, unit) in gop.iter().enumerate() {
        let result = within(pool.decode(job(&clip, &damaged, &[unit.pts.ticks]))).await;
        match result {
            Ok(pictures) => {
                assert!(index < 6, "{index}");
                assert_eq!(stamp(&pictures[0]).capture, unit.wall);
            }
            Err(error) => assert!(
                index >= 6 && matches!(error, Error::Bitstream(_)),
                "{error}"
            ),
        }
    }
}

#[tokio::test]
async fn a_job_that_asks_for_nonsense_never_reaches_a_worker() {
    let pool = pool();
    let (clip, gop) = clip();
    let mut no_such_picture = good_job();
    no_such_picture.wanted[0].pick = Pick::Pts(-1);
    let nothing_wanted = job(&clip, &gop, &[]);
    let mut tiny = good_job();
    tiny.wanted[0].output.width = Some(15);
    let mut huge = good_job();
    huge.wanted[0].output.height = Some(8193);
    for job in [no_such_picture, nothing_wanted, tiny, huge] {
        let result = within(pool.decode(job)).await;
        assert!(matches!(result, Err(Error::Invalid(_))), "{result:?}");
    }
    assert_eq!(pool.workers()[0].jobs, 0);
}
