//! Cancelling, losing, and the end of the server.

use crate::rig::{CONFIG, Rig};
use framewell_jobs::{Jobs, JobsConfig, Next};
use framewell_model::{ErrorKind, HasKind as _, JobState};
use futures::FutureExt as _;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// Notes that it is gone.
struct Flag(Arc<AtomicBool>);

impl Drop for Flag {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A runner whose handler never ends by itself, and whether that handler was dropped.
fn run_endless(rig: &mut Rig, config: JobsConfig) -> (Jobs, Arc<Notify>, Arc<AtomicBool>) {
    let (begun, ended) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
    let seen = (Arc::clone(&begun), Arc::clone(&ended));
    let jobs = rig.run_with(config, 1, move |_| {
        let (begun, flag) = (Arc::clone(&seen.0), Flag(Arc::clone(&seen.1)));
        async move {
            begun.notify_one();
            std::future::pending::<()>().await;
            drop(flag);
            Ok(Next::Done)
        }
        .boxed()
    });
    (jobs, begun, ended)
}

async fn wait(flag: &AtomicBool) {
    let wait = async {
        while !flag.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), wait).await;
    waited.expect("the handler ends");
}

/// No sign of life for an hour: what is noticed at once is not noticed by that.
const PATIENT: JobsConfig = JobsConfig {
    lease: Duration::from_secs(3_600),
    ..CONFIG
};

#[tokio::test]
async fn a_cancelled_job_stops_at_once_and_stays_cancelled() {
    let mut rig = Rig::new().await;
    let (jobs, begun, ended) = run_endless(&mut rig, PATIENT);
    let id = rig.create(json!(null)).await;
    begun.notified().await;
    jobs.cancel(id).await.unwrap();
    wait(&ended).await;
    assert_eq!(rig.job(id).await.state, JobState::Cancelled);
}

#[tokio::test]
async fn a_turn_that_ends_late_does_not_hide_the_one_after_it() {
    let mut rig = Rig::new().await;
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let ended = Arc::new(AtomicBool::new(false));
    let turns = Arc::new(AtomicUsize::new(0));
    let seen = (Arc::clone(&begun), Arc::clone(&go_on), Arc::clone(&ended));
    let left = Arc::new(AtomicBool::new(false));
    let first_left = Arc::clone(&left);
    let jobs = rig.run_with(PATIENT, 2, move |_| {
        let (begun, go_on) = (Arc::clone(&seen.0), Arc::clone(&seen.1));
        let is_first = turns.fetch_add(1, Ordering::SeqCst) == 0;
        let flag = Flag(Arc::clone(if is_first { &first_left } else { &seen.2 }));
        async move {
            begun.notify_one();
            if is_first {
                go_on.notified().await;
            } else {
                std::future::pending::<()>().await;
            }
            drop(flag);
            Ok(Next::Done)
        }
        .boxed()
    });
    let id = rig.create(json!(null)).await;
    begun.notified().await;
    // To this node its own turn looks dead, so it begins the next one.
    rig.clock.advance(PATIENT.lease);
    begun.notified().await;
    go_on.notify_one();
    wait(&left).await;
    jobs.cancel(id).await.unwrap();
    wait(&ended).await;
    assert_eq!(rig.job(id).await.state, JobState::Cancelled);
}

#[tokio::test]
async fn a_deleted_job_stops_at_once_and_makes_room() {
    let mut rig = Rig::new().await;
    let (jobs, begun, ended) = run_endless(&mut rig, PATIENT);
    let id = rig.create(json!(null)).await;
    begun.notified().await;
    jobs.delete(id).await.unwrap();
    wait(&ended).await;
    let again = jobs.delete(id).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::NotFound);
    rig.create(json!(null)).await;
    begun.notified().await;
}

#[tokio::test]
async fn a_job_whose_channel_goes_is_noticed_by_the_next_sign_of_life() {
    let mut rig = Rig::new().await;
    let (_, begun, ended) = run_endless(&mut rig, CONFIG);
    rig.create(json!(null)).await;
    begun.notified().await;
    let channel = &rig.channel;
    let deleted = rig
        .catalog
        .delete_channel(channel.account, channel.id, channel.created);
    deleted.await.unwrap();
    wait(&ended).await;
}

#[tokio::test]
async fn a_clean_stop_gives_jobs_back_at_once_without_counting_it_as_an_attempt() {
    let mut rig = Rig::new().await;
    let (_, begun, ended) = run_endless(&mut rig, PATIENT);
    let id = rig.create(json!(null)).await;
    begun.notified().await;
    rig.stop().await;
    assert!(ended.load(Ordering::SeqCst));
    let job = rig.job(id).await;
    assert_eq!((job.state, job.attempts), (JobState::Pending, 0));
}

#[tokio::test]
async fn a_job_that_kills_whoever_takes_it_is_given_up() {
    let mut rig = Rig::new().await;
    let id = rig.create(json!(null)).await;
    for _ in 0..CONFIG.max_attempts {
        let (_, begun, _) = run_endless(&mut rig, CONFIG);
        begun.notified().await;
        rig.crash().await;
        rig.clock.advance(CONFIG.lease);
    }
    run_endless(&mut rig, CONFIG);
    let job = rig.wait_for(id, JobState::Error, Duration::ZERO).await;
    assert_eq!(job.error.as_deref(), Some("given up after 3 attempts"));
}
