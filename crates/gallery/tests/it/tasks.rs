//! Taking generation tasks on.

use crate::rig::{Rig, START};
use framewell_gallery::{Error, GalleryConfig, TaskRequest};
use futures::future::join_all;
use std::time::Duration;

#[tokio::test]
async fn requests_at_the_same_time_do_not_pass_the_limit_together() {
    let rig = Rig::new(GalleryConfig {
        max_open_tasks: 3,
        ..GalleryConfig::default()
    })
    .await;
    let request = TaskRequest {
        start: START - Duration::from_secs(10),
        end: START,
        period_us: 1_000_000,
    };
    let create = || rig.gallery.create_task(rig.account, rig.channel, request);
    let (mut taken, mut refused) = (0, 0);
    for result in join_all((0..12).map(|_| create())).await {
        match result {
            Ok(_) => taken += 1,
            Err(Error::TooManyTasks(3)) => refused += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!((taken, refused), (3, 9));
}
