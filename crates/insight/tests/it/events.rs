//! What a channel does on an event.

use crate::rules::{Rig, at};
use framewell_catalog::{IMAGE_TASK_JOB, Lease, MOST_EVENT_TASKS, NewJob, Release};
use framewell_model::{EventProcessing, EventSource, HolderId, NewEvent};
use serde_json::json;
use std::collections::BTreeMap;
use uuid::Uuid;

#[tokio::test]
async fn pictures_are_made_for_as_long_as_the_event_lasts_and_nobody_is_told() {
    let rig = Rig::new().await;
    let event = NewEvent {
        channel: rig.channel,
        name: "door".into(),
        time: at(0),
        source: EventSource::Api,
        tags: BTreeMap::new(),
    };
    for (period_s, seconds) in [(Some(3), 3), (None, 10), (Some(86_400), 600)] {
        let processing = EventProcessing {
            generate_images: true,
            notify: period_s.is_none(),
            period_s,
            ..EventProcessing::new("door", true)
        };
        rig.catalog
            .put_event_processing(rig.channel, &processing)
            .await
            .unwrap();
        let stored = rig.insight.create_event(rig.account, &event, at(5));
        let stored = stored.await.unwrap();
        assert_eq!(stored.notify, period_s.is_none());
        let loaded = rig.catalog.load_event(stored.id).await.unwrap();
        assert_eq!(loaded.notify, stored.notify);
        let lease = Lease {
            holder: HolderId::from_uuid(Uuid::now_v7()),
            until: at(1_000_000),
        };
        let early = at(seconds * 10 + 9);
        let due = async |now| {
            let jobs = rig.catalog.take_jobs(IMAGE_TASK_JOB, lease, 10, now);
            jobs.await.unwrap()
        };
        assert!(due(early).await.is_empty(), "not before it is over");
        let jobs = due(at(seconds * 10 + 10)).await;
        assert_eq!(jobs.len(), 1);
        let expected = json!({"start_us": at(0).micros(), "end_us": at(seconds * 10).micros(), "period_us": 1_000_000});
        assert_eq!(jobs[0].parameters, expected);
    }
}

#[tokio::test]
async fn a_storm_of_events_makes_a_bounded_number_of_tasks_and_keeps_no_client_out() {
    let rig = Rig::new().await;
    let processing = EventProcessing {
        generate_images: true,
        ..EventProcessing::new("door", true)
    };
    let stored = rig.catalog.put_event_processing(rig.channel, &processing);
    stored.await.unwrap();
    let event = |n| NewEvent {
        channel: rig.channel,
        name: "door".into(),
        time: at(n),
        source: EventSource::Camera,
        tags: BTreeMap::new(),
    };
    for n in 0..MOST_EVENT_TASKS + 8 {
        let event = event(n);
        let stored = rig.insight.create_event(rig.account, &event, at(n));
        stored.await.unwrap();
    }
    let task = NewJob {
        kind: IMAGE_TASK_JOB,
        account: rig.account,
        channel: Some(rig.channel),
        parameters: json!({}),
        dedup: None,
        due: at(100_000),
    };
    let of_client = rig.catalog.create_job_within(&task, 1, at(0));
    assert!(of_client.await.unwrap().is_some());
    let lease = Lease {
        holder: HolderId::from_uuid(Uuid::now_v7()),
        until: at(1_000_000),
    };
    let jobs = rig.catalog.take_jobs(IMAGE_TASK_JOB, lease, 100, at(9_000));
    let jobs = jobs.await.unwrap();
    assert_eq!(jobs.len(), usize::try_from(MOST_EVENT_TASKS).unwrap());
    // What has ended makes room.
    let done = Release::Done(at(1_000_000));
    let ended = rig
        .catalog
        .release_job(jobs[0].id, lease.holder, &done, at(9_000));
    ended.await.unwrap();
    for n in 0..2 {
        let event = event(n);
        let stored = rig.insight.create_event(rig.account, &event, at(9_000));
        stored.await.unwrap();
    }
    let jobs = rig.catalog.take_jobs(IMAGE_TASK_JOB, lease, 100, at(9_000));
    assert_eq!(jobs.await.unwrap().len(), 1);
}
