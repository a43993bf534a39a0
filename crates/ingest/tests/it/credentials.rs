//! Basic and Digest, and what happens when they fail.

use crate::rig::{Rig, source, spec};
use framewell_model::{CameraSource, ChannelStatus, Secret};
use framewell_testkit::camera::{AuthScheme, Camera, CameraConfig, Source};
use std::sync::Arc;

async fn guarded(auth: AuthScheme) -> Camera {
    let clip = Arc::new(spec().encode().unwrap());
    let config = CameraConfig::new(Source::Clip(clip)).with_login(auth, "admin", "s3cr:et");
    Camera::start(config).await.unwrap()
}

#[tokio::test]
async fn basic_and_digest_credentials_open_the_camera() {
    for auth in [AuthScheme::Basic, AuthScheme::Digest] {
        let camera = guarded(auth).await;
        let (rig, mut viewer) = Rig::with(source(&camera));
        viewer.video(5).await;
        rig.stop().await;
    }
}

#[tokio::test]
async fn credentials_inside_the_url_open_the_camera() {
    let camera = guarded(AuthScheme::Digest).await;
    let (rig, mut viewer) = Rig::with(CameraSource {
        url: camera.url().replace("rtsp://", "rtsp://admin:s3cr%3Aet@"),
        login: String::new(),
        password: Secret::new(String::new()),
        ..source(&camera)
    });
    viewer.video(5).await;
    rig.stop().await;
}

#[tokio::test]
async fn a_wrong_or_missing_password_makes_the_channel_unauthorized() {
    for auth in [AuthScheme::Basic, AuthScheme::Digest] {
        for login in ["admin", ""] {
            let camera = guarded(auth).await;
            let (rig, viewer) = Rig::with(CameraSource {
                login: login.to_owned(),
                password: Secret::new("hunter2".to_owned()),
                ..source(&camera)
            });
            let state = viewer.state(ChannelStatus::Unauthorized).await;
            let detail = state.detail.unwrap();
            assert_eq!(detail, "the camera refuses the login or password");
            assert_eq!(camera.control().plays(), 0);
            rig.stop().await;
        }
    }
}

#[tokio::test]
async fn a_camera_that_accepts_later_becomes_active() {
    let camera = guarded(AuthScheme::Digest).await;
    camera.control().set_refuses_everybody(true);
    let (rig, mut viewer) = Rig::with(source(&camera));
    viewer.state(ChannelStatus::Unauthorized).await;
    camera.control().set_refuses_everybody(false);
    viewer.video(3).await;
    viewer.state(ChannelStatus::Active).await;
    rig.stop().await;
}
