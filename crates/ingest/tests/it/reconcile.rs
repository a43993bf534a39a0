//! Wanted and running channels.

use crate::rig::{Rig, channel, impatient, playing, source, spec};
use framewell_model::{CameraSource, ChannelStatus, RtspTransport};
use std::collections::BTreeMap;

#[tokio::test]
async fn a_changed_source_restarts_its_channel_and_leaves_the_others_alone() {
    let (first, _) = playing(&spec()).await;
    let (second, _) = playing(&spec()).await;
    let (third, _) = playing(&spec()).await;
    let rig = Rig::new(impatient());
    let (mut one, mut two) = (rig.viewer(1), rig.viewer(2));
    let wanted = BTreeMap::from([(channel(1), source(&first)), (channel(2), source(&second))]);
    rig.ingest.set_wanted(wanted.clone());
    let run_of_two = two.video(3).await[0].run;
    one.video(3).await;

    let mut changed = wanted;
    changed.insert(channel(1), source(&third));
    rig.ingest.set_wanted(changed.clone());
    third
        .control()
        .wait_for_plays(1, crate::rig::LIMIT)
        .await
        .unwrap();
    let more = two.video(10).await;
    assert!(more.iter().all(|s| s.run == run_of_two));
    assert_eq!(second.control().plays(), 1);

    changed.remove(&channel(1));
    rig.ingest.set_wanted(changed);
    let state = one.state(ChannelStatus::Inactive).await;
    assert_eq!((state.detail, state.run), (None, None));
    rig.stop().await;
}

#[tokio::test]
async fn a_stopped_channel_leaves_no_session_at_the_camera() {
    for transport in [RtspTransport::Tcp, RtspTransport::Udp] {
        let (camera, _) = playing(&spec()).await;
        let (rig, mut viewer) = Rig::with(CameraSource {
            transport,
            ..source(&camera)
        });
        viewer.video(3).await;
        rig.stop().await;
        camera
            .control()
            .wait_for_watchers(0, crate::rig::LIMIT)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn the_same_wish_again_disturbs_nobody() {
    let (camera, _) = playing(&spec()).await;
    let (rig, mut viewer) = Rig::with(source(&camera));
    let run = viewer.video(3).await[0].run;
    rig.ingest
        .set_wanted(BTreeMap::from([(channel(1), source(&camera))]));
    let more = viewer.video(15).await;
    assert!(more.iter().all(|s| s.run == run));
    assert_eq!(camera.control().plays(), 1);
    rig.stop().await;
}
