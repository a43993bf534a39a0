//! Taking, doing, failing, resuming.

use crate::rig::{CONFIG, Rig};
use framewell_jobs::{Failure, JobsConfig, Next};
use framewell_model::{JobState, WallClock as _};
use futures::FutureExt as _;
use parking_lot::Mutex;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

#[tokio::test]
async fn a_job_is_done_and_its_row_says_what_was_reached() {
    let mut rig = Rig::new().await;
    rig.run(1, |work| {
        async {
            let wanted: i64 = work.parameters()?;
            work.save(0.5, &json!({"reached": wanted * 2})).await?;
            Ok(Next::Done)
        }
        .boxed()
    });
    let id = rig.create(json!(21)).await;
    let job = rig.wait_for_done(id).await;
    assert_eq!(job.position, Some(json!({"reached": 42})));
    assert_eq!((job.progress, job.finished), (1.0, Some(rig.clock.now())));
}

#[tokio::test]
async fn a_failure_is_tried_again_and_at_last_ends_in_error() {
    let mut rig = Rig::new().await;
    let tries = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&tries);
    rig.run(1, move |_| {
        seen.fetch_add(1, Ordering::SeqCst);
        async { Err(Failure::transient("the store is away")) }.boxed()
    });
    let id = rig.create(json!(null)).await;
    let started = rig.clock.now();
    let job = rig
        .wait_for(id, JobState::Error, Duration::from_millis(50))
        .await;
    assert_eq!(tries.load(Ordering::SeqCst), 3);
    assert_eq!(job.error.as_deref(), Some("the store is away"));
    let waited = rig.clock.now().micros_since(started);
    assert!(waited >= 3_000_000, "pauses of 1 s and 2 s: {waited}");
}

#[tokio::test]
async fn a_job_whose_end_cannot_be_written_is_not_done_again() {
    let mut rig = Rig::new().await;
    // For anybody else: the database is there, and lets this one write fail.
    rig.execute(
        "CREATE TRIGGER no_end BEFORE UPDATE ON job WHEN NEW.state = 'done' \
         BEGIN SELECT RAISE(ABORT, 'not now'); END",
    )
    .await;
    let turns = Arc::new(AtomicUsize::new(0));
    for _ in 0..2 {
        let seen = Arc::clone(&turns);
        rig.run(2, move |_| {
            seen.fetch_add(1, Ordering::SeqCst);
            async { Ok(Next::Done) }.boxed()
        });
    }
    let id = rig.create(json!(null)).await;
    rig.wait_for(id, JobState::Running, Duration::ZERO).await;
    // Three leases pass, not faster than on the clock that the signs of life go by.
    let step = Duration::from_millis(10);
    for _ in 0..270 {
        tokio::time::sleep(step).await;
        rig.clock.advance(step);
    }
    rig.execute("DROP TRIGGER no_end").await;
    rig.wait_for_done(id).await;
    assert_eq!(turns.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_final_failure_is_not_tried_again() {
    let mut rig = Rig::new().await;
    rig.run(1, |work| {
        async {
            work.parameters::<Vec<i64>>()?;
            Ok(Next::Done)
        }
        .boxed()
    });
    let id = rig.create(json!("no list")).await;
    let job = rig.wait_for(id, JobState::Error, Duration::ZERO).await;
    assert_eq!(job.attempts, 1);
    assert!(job.error.unwrap().contains("parameters"));
}

#[tokio::test]
async fn a_handler_that_panics_costs_its_job_an_attempt_and_nobody_else_anything() {
    let mut rig = Rig::new().await;
    rig.run(1, |work| {
        async {
            let fails: bool = work.parameters()?;
            assert!(!fails, "on purpose");
            Ok(Next::Done)
        }
        .boxed()
    });
    let bad = rig.create(json!(true)).await;
    let good = rig.create(json!(false)).await;
    rig.wait_for_done(good).await;
    let bad = rig
        .wait_for(bad, JobState::Error, Duration::from_millis(50))
        .await;
    assert_eq!(bad.error.as_deref(), Some("an internal error"));
}

#[tokio::test]
async fn progress_starts_the_count_of_attempts_anew() {
    let mut rig = Rig::new().await;
    rig.run(1, |work| {
        async {
            let next = work.position::<i64>()?.unwrap_or(0);
            if next == 10 {
                return Ok(Next::Done);
            }
            work.save(0.1, &(next + 1)).await?;
            Err(Failure::transient("one step at a time"))
        }
        .boxed()
    });
    let id = rig.create(json!(null)).await;
    let done = rig
        .wait_for(id, JobState::Done, Duration::from_millis(100))
        .await;
    assert_eq!(done.position, Some(json!(10)));
}

/// Counts from its position to 9, saving each step, and stops for ever at 5 in the first process.
#[tokio::test]
async fn after_a_crash_somebody_else_goes_on_where_it_was_saved() {
    let mut rig = Rig::new().await;
    let steps: Arc<Mutex<Vec<i64>>> = Arc::default();
    let stuck = Arc::new(Notify::new());
    for process in 0..2 {
        let (steps, told) = (Arc::clone(&steps), Arc::clone(&stuck));
        rig.run(1, move |work| {
            let (steps, told) = (Arc::clone(&steps), Arc::clone(&told));
            async move {
                for step in work.position::<i64>()?.unwrap_or(0)..10 {
                    steps.lock().push(step);
                    if process == 0 && step == 5 {
                        told.notify_one();
                        std::future::pending::<()>().await;
                    }
                    work.save(0.1, &(step + 1)).await?;
                }
                Ok(Next::Done)
            }
            .boxed()
        });
        if process == 0 {
            rig.create(json!(null)).await;
            stuck.notified().await;
            rig.crash().await;
        }
    }
    let id = "1".parse().unwrap();
    // Its lease runs on the clock that everybody shares.
    assert_eq!(rig.job(id).await.state, JobState::Running);
    rig.clock.advance(CONFIG.lease);
    rig.wait_for_done(id).await;
    assert_eq!(*steps.lock(), [0, 1, 2, 3, 4, 5, 5, 6, 7, 8, 9]);
}

#[tokio::test]
async fn a_job_that_outlasts_its_lease_keeps_it() {
    let mut rig = Rig::new().await;
    let turns = Arc::new(AtomicUsize::new(0));
    for _ in 0..2 {
        let turns = Arc::clone(&turns);
        rig.run(1, move |_| {
            turns.fetch_add(1, Ordering::SeqCst);
            async {
                tokio::time::sleep(CONFIG.lease * 2).await;
                Ok(Next::Done)
            }
            .boxed()
        });
    }
    let id = rig.create(json!(null)).await;
    // The wall clock runs as fast as the monotonic one.
    rig.wait_for(id, JobState::Done, Duration::from_millis(5))
        .await;
    assert_eq!(turns.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn no_more_jobs_of_a_kind_run_at_once_than_may() {
    let mut rig = Rig::new().await;
    let (running, most) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicI64::new(0)));
    let seen = (Arc::clone(&running), Arc::clone(&most));
    rig.run(2, move |_| {
        let (running, most) = (Arc::clone(&seen.0), Arc::clone(&seen.1));
        async move {
            let now = running.fetch_add(1, Ordering::SeqCst) + 1;
            most.fetch_max(now, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(20)).await;
            running.fetch_sub(1, Ordering::SeqCst);
            Ok(Next::Done)
        }
        .boxed()
    });
    let mut ids = Vec::new();
    for _ in 0..6 {
        ids.push(rig.create(json!(null)).await);
    }
    for id in ids {
        rig.wait_for_done(id).await;
    }
    assert_eq!(most.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn long_jobs_take_turns() {
    let mut rig = Rig::new().await;
    let order: Arc<Mutex<Vec<i64>>> = Arc::default();
    let seen = Arc::clone(&order);
    let clock = Arc::clone(&rig.clock);
    let short_turns = JobsConfig {
        turn: Duration::ZERO,
        ..CONFIG
    };
    let first = rig.create(json!(1)).await;
    let second = rig.create(json!(2)).await;
    rig.run_with(short_turns, 1, move |work| {
        let (order, clock) = (Arc::clone(&seen), Arc::clone(&clock));
        async move {
            // Two turns never end at the same instant.
            clock.advance(Duration::from_micros(2));
            order.lock().push(work.parameters()?);
            let next = work.position::<i64>()?.unwrap_or(0) + 1;
            work.save(0.3, &next).await?;
            assert!(work.is_turn_over());
            Ok(if next == 3 {
                Next::Done
            } else {
                Next::Pause(Duration::from_micros(1))
            })
        }
        .boxed()
    });
    for id in [first, second] {
        rig.wait_for(id, JobState::Done, Duration::from_micros(1))
            .await;
    }
    assert_eq!(*order.lock(), [1, 2, 1, 2, 1, 2]);
}
