//! Pools, jobs and pictures for the tests.

use framewell_decode::{Job, JobSample, Output, Pick, Picture, Pool, PoolConfig, Priority, Want};
use framewell_media::AccessUnit;
use framewell_testkit::encode::EncodedClip;
use framewell_testkit::stamp::{GrayImage, Stamp, read_stamp};
use rustix::process::{Pid, Signal, kill_process};
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

pub(crate) fn program() -> PathBuf {
    env!("CARGO_BIN_EXE_framewell-decoder").into()
}

pub(crate) fn config() -> PoolConfig {
    PoolConfig {
        workers: 1,
        deadline: Duration::from_secs(60),
        ..PoolConfig::new(program())
    }
}

pub(crate) fn pool() -> Pool {
    Pool::start(config()).unwrap()
}

/// The units of each GOP, in decoding order.
pub(crate) fn gops(clip: &EncodedClip) -> Vec<Vec<AccessUnit>> {
    let mut gops: Vec<Vec<AccessUnit>> = Vec::new();
    for unit in clip.video() {
        if unit.is_key {
            gops.push(Vec::new());
        }
        gops.last_mut().unwrap().push(unit.clone());
    }
    gops
}

pub(crate) fn job(clip: &EncodedClip, units: &[AccessUnit], wanted: &[i64]) -> Job {
    Job {
        video: Arc::new(clip.parameters.video.clone()),
        samples: units
            .iter()
            .map(|unit| JobSample {
                pts: unit.pts.ticks,
                data: unit.data.clone(),
            })
            .collect(),
        wanted: (0..)
            .zip(wanted)
            .map(|(tag, pts)| Want {
                tag,
                pick: Pick::Pts(*pts),
                output: Output::jpeg(85),
            })
            .collect(),
        changes: None,
        priority: Priority::Interactive,
        render: None,
    }
}

/// The same job with all pictures in this form.
pub(crate) fn in_form(mut job: Job, output: Output) -> Job {
    for want in &mut job.wanted {
        want.output = output;
    }
    job
}

pub(crate) fn gray(picture: &Picture) -> GrayImage {
    let image = turbojpeg::decompress(&picture.data, turbojpeg::PixelFormat::GRAY).unwrap();
    assert_eq!(
        (image.width, image.height),
        (picture.width as usize, picture.height as usize)
    );
    let rows = image.pixels.chunks(image.pitch);
    GrayImage {
        width: image.width,
        height: image.height,
        data: rows.flat_map(|row| &row[..image.width]).copied().collect(),
    }
}

pub(crate) fn stamp(picture: &Picture) -> Stamp {
    read_stamp(&gray(picture)).expect("a readable stamp")
}

/// Waits for a condition.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    within(wait).await;
}

/// Nothing in these tests takes a minute.
pub(crate) async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), work)
        .await
        .expect("done within a minute")
}

/// Polls a future once.
pub(crate) async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    std::future::poll_fn(|context| {
        Poll::Ready(match future.as_mut().poll(context) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}

/// The process of the pool's first worker, once it is ready.
pub(crate) async fn ready_pid(pool: &Pool) -> Pid {
    until(|| pool.workers()[0].pid.is_some()).await;
    let pid = pool.workers()[0].pid.unwrap();
    Pid::from_raw(pid.try_into().unwrap()).unwrap()
}

pub(crate) fn signal(pid: Pid, signal: Signal) {
    kill_process(pid, signal).unwrap();
}
