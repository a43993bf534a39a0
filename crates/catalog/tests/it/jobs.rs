//! Durable jobs.

use crate::backend::{ALL, account, at, channel, channel_of, conformance, missing_channel, open};
use framewell_catalog::{
    Catalog, Checkpoint, Error, Job, JobFilter, Lease, NewJob, Order, Release,
};
use framewell_model::{Channel, HolderId, JobState};
use serde_json::json;
use std::collections::BTreeSet;
use uuid::Uuid;

const KIND: &str = "test";

fn new_job(channel: &Channel) -> NewJob {
    NewJob {
        kind: KIND,
        account: channel.account,
        channel: Some(channel.id),
        parameters: json!({"period": 0.5, "word": "\u{e4}"}),
        dedup: None,
        due: at(0),
    }
}

async fn create(catalog: &Catalog, channel: &Channel) -> Job {
    catalog.create_job(&new_job(channel), at(0)).await.unwrap()
}

fn lease(until: i64) -> Lease {
    Lease {
        holder: HolderId::from_uuid(Uuid::now_v7()),
        until: at(until),
    }
}

async fn take(catalog: &Catalog, lease: Lease, now: i64) -> Vec<Job> {
    catalog.take_jobs(KIND, lease, 10, at(now)).await.unwrap()
}

async fn state(catalog: &Catalog, job: &Job) -> JobState {
    catalog.load_job(job.id).await.unwrap().state
}

fn is_lost<T: std::fmt::Debug>(result: Result<T, Error>) -> bool {
    matches!(result, Err(Error::NotFound { .. }))
}

conformance! {
    async fn a_job_comes_back_as_it_went_in(catalog: &Catalog) {
        let channel = channel(catalog).await;
        let job = create(catalog, &channel).await;
        assert_eq!(job, catalog.load_job(job.id).await.unwrap());
        assert_eq!(job.parameters, new_job(&channel).parameters);
        assert_eq!((job.state, job.attempts, job.progress), (JobState::Pending, 0, 0.0));
        assert_eq!((job.channel, job.account), (Some(channel.id), channel.account));
        let nowhere = NewJob { channel: Some(missing_channel()), ..new_job(&channel) };
        assert!(is_lost(catalog.create_job(&nowhere, at(0)).await));
    }

    async fn a_job_goes_through_its_states(catalog: &Catalog) {
        let channel = channel(catalog).await;
        let job = create(catalog, &channel).await;
        let lease = lease(30);
        let taken = take(catalog, lease, 1).await;
        assert_eq!((taken[0].id, taken[0].state, taken[0].attempts), (job.id, JobState::Running, 1));
        let checkpoint = Checkpoint { progress: 0.25, position: json!({"next": 7}) };
        catalog.save_job(job.id, lease, &checkpoint, at(2)).await.unwrap();
        let saved = catalog.load_job(job.id).await.unwrap();
        assert_eq!((saved.progress, saved.position), (0.25, Some(json!({"next": 7}))));
        let done = Release::Done(at(1_000));
        catalog.release_job(job.id, lease.holder, &done, at(3)).await.unwrap();
        let ended = catalog.load_job(job.id).await.unwrap();
        assert_eq!((ended.state, ended.progress), (JobState::Done, 1.0));
        assert_eq!((ended.finished, ended.error), (Some(at(3)), None));
        assert!(is_lost(catalog.release_job(job.id, lease.holder, &done, at(4)).await));
        assert!(take(catalog, lease, 5_000).await.is_empty(), "an ended job is never taken");
    }

    async fn a_job_is_taken_when_it_is_due_and_those_due_longest_go_first(catalog: &Catalog) {
        let channel = channel(catalog).await;
        let late = NewJob { due: at(20), ..new_job(&channel) };
        let late = catalog.create_job(&late, at(0)).await.unwrap();
        let soon = NewJob { due: at(10), ..new_job(&channel) };
        let soon = catalog.create_job(&soon, at(0)).await.unwrap();
        assert!(take(catalog, lease(30), 9).await.is_empty());
        assert_eq!(catalog.count_due_jobs(KIND, at(20)).await.unwrap(), 2);
        let first = catalog.take_jobs(KIND, lease(60), 1, at(25)).await.unwrap();
        assert_eq!(first[0].id, soon.id);
        let second = take(catalog, lease(60), 25).await;
        assert_eq!(second.iter().map(|job| job.id).collect::<Vec<_>>(), [late.id]);
        let other = catalog.take_jobs("other", lease(60), 1, at(100)).await.unwrap();
        assert!(other.is_empty(), "kinds are apart");
    }

    async fn a_lease_that_ran_out_gives_the_job_to_somebody_else_and_locks_the_first_out(
        catalog: &Catalog
    ) {
        let channel = channel(catalog).await;
        let job = create(catalog, &channel).await;
        let first = lease(10);
        take(catalog, first, 0).await;
        let renewed = Lease { until: at(20), ..first };
        catalog.renew_job(job.id, renewed, at(9)).await.unwrap();
        assert!(take(catalog, lease(60), 15).await.is_empty(), "the lease was renewed");
        let second = lease(60);
        let taken = take(catalog, second, 20).await;
        assert_eq!((taken[0].id, taken[0].attempts), (job.id, 2));
        let checkpoint = Checkpoint { progress: 0.9, position: json!(9) };
        assert!(is_lost(catalog.save_job(job.id, renewed, &checkpoint, at(21)).await));
        assert!(is_lost(catalog.renew_job(job.id, renewed, at(21)).await));
        let error = Release::Error("late".into(), at(99));
        assert!(is_lost(catalog.release_job(job.id, first.holder, &error, at(21)).await));
        catalog.save_job(job.id, second, &checkpoint, at(21)).await.unwrap();
    }

    async fn attempts_count_failures_without_progress(catalog: &Catalog) {
        let channel = channel(catalog).await;
        let job = create(catalog, &channel).await;
        let give_back = async |release: Release, now| {
            let lease = lease(now + 100);
            let attempts = take(catalog, lease, now).await[0].attempts;
            catalog.release_job(job.id, lease.holder, &release, at(now)).await.unwrap();
            attempts
        };
        assert_eq!(give_back(Release::Retry(at(1)), 0).await, 1);
        assert_eq!(give_back(Release::Retry(at(2)), 1).await, 2);
        assert_eq!(give_back(Release::Pause(at(3)), 2).await, 3);
        assert_eq!(give_back(Release::Pause(at(4)), 3).await, 3, "a pause is no failure");
        let lease = lease(100);
        take(catalog, lease, 4).await;
        let checkpoint = Checkpoint { progress: 0.5, position: json!(1) };
        catalog.save_job(job.id, lease, &checkpoint, at(5)).await.unwrap();
        assert_eq!(catalog.load_job(job.id).await.unwrap().attempts, 1);
    }

    async fn the_same_work_is_asked_for_once_while_it_is_open(catalog: &Catalog) {
        let channel = channel(catalog).await;
        let new = NewJob { dedup: Some("clip 7".into()), ..new_job(&channel) };
        let first = catalog.create_job(&new, at(0)).await.unwrap();
        let again = catalog.create_job(&new, at(1)).await.unwrap();
        assert_eq!(again, first);
        let lease = lease(60);
        take(catalog, lease, 1).await;
        assert_eq!(catalog.create_job(&new, at(2)).await.unwrap().id, first.id);
        let done = Release::Done(at(99));
        catalog.release_job(first.id, lease.holder, &done, at(3)).await.unwrap();
        assert_ne!(catalog.create_job(&new, at(4)).await.unwrap().id, first.id);
        assert_ne!(create(catalog, &channel).await.id, create(catalog, &channel).await.id);
    }

    async fn callers_at_the_same_time_do_not_pass_a_limit_together(catalog: &Catalog) {
        const MOST: i64 = 3;
        let channel = channel(catalog).await;
        let new = new_job(&channel);
        let limited = async || catalog.create_job_within(&new, MOST, at(0)).await.unwrap();
        let created = futures::future::join_all((0..12).map(|_| limited())).await;
        let created: Vec<Job> = created.into_iter().flatten().collect();
        assert_eq!(created.len(), 3);
        // What has ended makes room, and other kinds take none.
        catalog.cancel_job(created[0].id, at(9), at(1)).await.unwrap();
        let other = NewJob { kind: "other", ..new.clone() };
        assert!(catalog.create_job_within(&other, MOST, at(1)).await.unwrap().is_some());
        assert!(limited().await.is_some());
        assert!(limited().await.is_none());
        let nowhere = NewJob { channel: Some(missing_channel()), ..new.clone() };
        assert!(is_lost(catalog.create_job_within(&nowhere, MOST, at(1)).await));
    }

    async fn cancelling_and_deleting_take_the_job_from_its_holder(catalog: &Catalog) {
        let channel = channel(catalog).await;
        let (job, other) = (create(catalog, &channel).await, create(catalog, &channel).await);
        let lease = lease(60);
        assert_eq!(take(catalog, lease, 1).await.len(), 2);
        catalog.cancel_job(job.id, at(100), at(2)).await.unwrap();
        assert!(is_lost(catalog.renew_job(job.id, lease, at(3)).await));
        assert_eq!(state(catalog, &job).await, JobState::Cancelled);
        catalog.release_job(other.id, lease.holder, &Release::Done(at(50)), at(3)).await.unwrap();
        catalog.cancel_job(other.id, at(100), at(4)).await.unwrap();
        assert_eq!(state(catalog, &other).await, JobState::Done, "what has ended stays as it is");
        catalog.delete_job(other.id).await.unwrap();
        assert!(is_lost(catalog.load_job(other.id).await));
        assert!(is_lost(catalog.delete_job(other.id).await));
    }

    async fn ended_jobs_go_when_their_time_is_over_and_open_ones_never(catalog: &Catalog) {
        let channel = channel(catalog).await;
        let (job, kept) = (create(catalog, &channel).await, create(catalog, &channel).await);
        catalog.cancel_job(job.id, at(100), at(2)).await.unwrap();
        assert_eq!(catalog.delete_expired_jobs(10, at(99)).await.unwrap(), 0);
        assert_eq!(catalog.delete_expired_jobs(10, at(100)).await.unwrap(), 1);
        assert!(is_lost(catalog.load_job(job.id).await));
        assert_eq!(state(catalog, &kept).await, JobState::Pending);
    }

    async fn lists_show_the_jobs_of_a_channel_page_by_page(catalog: &Catalog) {
        let channel = channel(catalog).await;
        let mut ids = Vec::new();
        for _ in 0..3 {
            ids.push(create(catalog, &channel).await.id);
        }
        let filter = JobFilter { kind: KIND, channel: channel.id };
        let page = catalog.list_jobs(filter, Order::Descending, ALL).await.unwrap();
        assert_eq!(page.items.iter().map(|job| job.id).rev().collect::<Vec<_>>(), ids);
        let slice = framewell_catalog::Slice { limit: 1, offset: 1 };
        let page = catalog.list_jobs(filter, Order::Ascending, slice).await.unwrap();
        assert_eq!((page.items[0].id, page.total), (ids[1], 3));
        catalog.cancel_job(ids[0], at(9), at(1)).await.unwrap();
        let nobody = JobFilter { channel: missing_channel(), ..filter };
        assert_eq!(catalog.list_jobs(nobody, Order::Ascending, ALL).await.unwrap().total, 0);
    }

    async fn a_deleted_channel_takes_its_jobs_along(catalog: &Catalog) {
        let channel = channel(catalog).await;
        let job = create(catalog, &channel).await;
        let lease = lease(60);
        take(catalog, lease, 1).await;
        catalog.delete_channel(channel.account, channel.id, at(2)).await.unwrap();
        assert!(is_lost(catalog.renew_job(job.id, lease, at(3)).await));
    }

    async fn takers_at_the_same_time_never_get_the_same_job(catalog: &Catalog) {
        let channel = channel(catalog).await;
        for _ in 0..40 {
            create(catalog, &channel).await;
        }
        let taker = async || {
            let mut mine = Vec::new();
            loop {
                let jobs = catalog.take_jobs(KIND, lease(60), 3, at(1)).await.unwrap();
                if jobs.is_empty() {
                    return mine;
                }
                mine.extend(jobs.into_iter().map(|job| job.id));
            }
        };
        let taken = tokio::join!(taker(), taker(), taker(), taker());
        let all: Vec<_> = [taken.0, taken.1, taken.2, taken.3].concat();
        assert_eq!((all.len(), all.iter().collect::<BTreeSet<_>>().len()), (40, 40));
    }

    async fn accounts_take_turns_however_many_jobs_one_of_them_has(catalog: &Catalog) {
        let busy = channel(catalog).await;
        for _ in 0..60 {
            create(catalog, &busy).await;
        }
        let mut others = Vec::new();
        for name in ["second", "third"] {
            let owner = account(catalog, name).await;
            let channel = channel_of(catalog, owner, name).await;
            // Asked for later than all those of the first one.
            let late = NewJob { due: at(5), ..new_job(&channel) };
            others.push(catalog.create_job(&late, at(5)).await.unwrap());
        }
        let elsewhere = NewJob { kind: "other", ..new_job(&busy) };
        catalog.create_job(&elsewhere, at(0)).await.unwrap();
        let next = async |kind| {
            let lease = lease(60);
            let job = catalog.take_jobs(kind, lease, 1, at(10)).await.unwrap().remove(0);
            catalog.release_job(job.id, lease.holder, &Release::Done(at(99)), at(10)).await.unwrap();
            job.account
        };
        let first: Vec<_> = [next(KIND).await, next(KIND).await, next(KIND).await].into();
        assert_eq!(first, [busy.account, others[0].account, others[1].account]);
        assert_eq!(next("other").await, busy.account, "kinds have turns of their own");
        // Whoever comes later than that waits for one turn of the others at most.
        assert_eq!(next(KIND).await, busy.account);
        let more = NewJob { due: at(9), channel: None, account: others[1].account, ..new_job(&busy) };
        for _ in 0..2 {
            catalog.create_job(&more, at(9)).await.unwrap();
        }
        let then = [next(KIND).await, next(KIND).await, next(KIND).await, next(KIND).await];
        let (third, busy) = (others[1].account, busy.account);
        assert_eq!(then, [third, busy, third, busy]);
        assert_eq!(catalog.count_due_jobs(KIND, at(10)).await.unwrap(), 56);
    }

    async fn changes_of_jobs_are_announced(catalog: &Catalog) {
        let channel = channel(catalog).await;
        let mut changes = catalog.job_changes();
        changes.mark_unchanged();
        let job = create(catalog, &channel).await;
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
        catalog.cancel_job(job.id, at(9), at(1)).await.unwrap();
        assert!(changes.has_changed().unwrap());
    }
}

#[tokio::test]
async fn jobs_survive_the_process() {
    let backend = crate::backend::Backend::sqlite().await;
    let channel = channel(&backend.catalog).await;
    let job = create(&backend.catalog, &channel).await;
    let held = lease(10);
    take(&backend.catalog, held, 0).await;
    let checkpoint = Checkpoint {
        progress: 0.5,
        position: json!([1, 2]),
    };
    let saved = backend.catalog.save_job(job.id, held, &checkpoint, at(1));
    saved.await.unwrap();
    backend.catalog.close().await;
    let again = open(&backend.url).await;
    assert!(take(&again, lease(60), 5).await.is_empty(), "still leased");
    let taken = take(&again, lease(60), 10).await;
    assert_eq!(taken[0].position, Some(json!([1, 2])));
}
