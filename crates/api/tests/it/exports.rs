//! Clips of several cameras in one archive, unpacked by Python.

use crate::clip_files::{begin, lose, numbers, recorded, segments, spec};
use crate::site::{Answer, Site, TestChannel};
use framewell_access::places::{Occupation, Places};
use framewell_api::ApiConfig;
use framewell_testkit::encode::ClipSpec;
use serde_json::{Value, json};
use std::path::Path;
use tokio::process::Command;

/// Unpacks with the modules of Python, which check every checksum.
const UNPACK: &str = "
import sys, tarfile, zipfile
name, folder = sys.argv[1:]
if name.endswith('.zip'):
    archive = zipfile.ZipFile(name)
    assert archive.testzip() is None
    names = archive.namelist()
    assert all(item.compress_type == zipfile.ZIP_STORED for item in archive.infolist())
else:
    archive = tarfile.open(name)
    names = archive.getnames()
archive.extractall(folder)
print('\\n'.join(names))
";

/// Names of the files, which lie in `folder` then.
async fn unpack(answer: &Answer, ending: &str, folder: &Path) -> Vec<String> {
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    assert_eq!(
        answer.header("content-length"),
        answer.body.len().to_string()
    );
    let archive = folder.join(format!("archive.{ending}"));
    std::fs::write(&archive, &answer.body).unwrap();
    let python = Command::new("python3")
        .args(["-c", UNPACK])
        .arg(&archive)
        .arg(folder)
        .output();
    let python = python.await.unwrap();
    assert!(
        python.status.success(),
        "{}",
        String::from_utf8_lossy(&python.stderr)
    );
    let names = String::from_utf8(python.stdout).unwrap();
    names.lines().map(str::to_owned).collect()
}

fn range(from_s: i64, to_s: i64) -> String {
    let at = |s: i64| begin().plus_micros(s * 1_000_000);
    format!("start={}&end={}", at(from_s), at(to_s))
}

/// Two cameras with footage and one without, and a group of them.
async fn group(config: ApiConfig) -> (Site, Vec<TestChannel>, String) {
    let site = Site::with(config).await;
    let silent = ClipSpec {
        audio: None,
        gop: 50,
        ..spec()
    };
    let channels = vec![
        recorded(&site, "gate", &spec()).await,
        site.channel("yard").await,
        recorded(&site, "hall \"north\"", &silent).await,
    ];
    let members: Vec<&TestChannel> = channels.iter().collect();
    let (_, token) = site.group(&members, "watch").await;
    (site, channels, token)
}

async fn manifest(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join("manifest.json")).unwrap()).unwrap()
}

async fn sha256(path: &Path) -> String {
    let output = Command::new("sha256sum").arg(path).output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split(' ').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_exported_with_a_manifest_that_is_true() {
    let (site, channels, token) = group(ApiConfig::default()).await;
    for ending in ["zip", "tar"] {
        let folder = tempfile::tempdir().unwrap();
        let path = format!("/v1/export.{ending}?{}", range(2, 12));
        let answer = site.get(&token, &path).await;
        let names = unpack(&answer, ending, folder.path()).await;
        let files = [0, 2].map(|n| format!("channel-{}.mp4", channels[n].id));
        assert_eq!(names, [&files[0], &files[1], "manifest.json"]);
        let manifest = manifest(folder.path()).await;
        assert_eq!(manifest["format"], "framewell-export");
        let cameras = manifest["cameras"].as_array().unwrap();
        assert_eq!(cameras.len(), 3);
        for (camera, name) in [(&cameras[0], &files[0]), (&cameras[2], &files[1])] {
            let path = folder.path().join(name);
            let file = std::fs::read(&path).unwrap();
            assert_eq!(numbers(&file).await, (50..300).collect::<Vec<_>>());
            assert_eq!(camera["file"]["size"], file.len());
            assert_eq!(camera["file"]["sha256"], sha256(&path).await);
            assert_eq!(camera["file"]["gaps"], json!([]));
        }
        assert_eq!(cameras[2]["name"], "hall \"north\"");
        assert_eq!(cameras[1]["error"]["code"], "not_found");
        assert_eq!(cameras[1].get("file"), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn some_cameras_and_their_gaps_are_exported() {
    let (site, channels, token) = group(ApiConfig::default()).await;
    let lost = segments(&site, channels[0].id).await.remove(0);
    lose(&site, &lost).await;
    let named = format!("channels={},{}", channels[0].id, channels[1].id);
    let folder = tempfile::tempdir().unwrap();
    let path = format!("/v1/export.zip?{}&{named}", range(8, 12));
    let names = unpack(&site.get(&token, &path).await, "zip", folder.path()).await;
    assert_eq!(names.len(), 2);
    let manifest = manifest(folder.path()).await;
    let gap = &manifest["cameras"][0]["file"]["gaps"][0];
    assert_eq!(gap["reason"], "data_loss");
    // All of it lost: an entry. Nothing at all: an error. Complete or not at all: an error.
    let path = format!("/v1/export.zip?{}", range(2, 8));
    let folder = tempfile::tempdir().unwrap();
    unpack(&site.get(&token, &path).await, "zip", folder.path()).await;
    let told = crate::exports::manifest(folder.path()).await;
    assert_eq!(told["cameras"][0]["error"]["code"], "data_loss");
    let strict = site
        .get(&token, &format!("{path}&strict=true"))
        .await
        .expect(500);
    assert_eq!(strict["error"]["segment"], lost.id.to_string());
    let nothing = format!("/v1/export.zip?{}&channels={}", range(2, 8), channels[1].id);
    site.get(&token, &nothing).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_cannot_be_is_refused_with_a_reason() {
    let (site, channels, token) = group(ApiConfig {
        exports: Places::with_accounts(Occupation::Export, 2, 50, 100),
        ..ApiConfig::default()
    })
    .await;
    let stranger = site.channel("stranger").await;
    let get = async |query: &str| site.get(&token, &format!("/v1/export.zip?{query}")).await;
    get(&format!("{}&channels={}", range(2, 8), stranger.id))
        .await
        .expect(404);
    get(&range(8, 2)).await.expect(400);
    get(&range(8, 80)).await.expect(400);
    get(&format!("{}&wait=true", range(2, 8))).await.expect(400);
    get(&format!("{}&channels=x", range(2, 8)))
        .await
        .expect(400);
    let long = get(&range(-3 * 86_400, 8)).await.expect(400);
    assert_eq!(long["error"]["limit"], 4 * 86_400);
    let many: Vec<String> = (1..=65).map(|id| id.to_string()).collect();
    let many = get(&format!("{}&channels={}", range(2, 8), many.join(",")))
        .await
        .expect(400);
    assert_eq!(many["error"]["limit"], 64);

    let path = format!("/v1/export.zip?{}", range(2, 8));
    let running = site.open(&token, &path, &[]).await;
    assert_eq!(running.status(), 200);
    let second = site.get(&token, &path).await;
    assert_eq!(second.expect(429)["error"]["limit"], 1);
    assert!(!second.header("retry-after").is_empty());
    let _other = site.open(&channels[0].watch, &path, &[]).await;
    assert_eq!(site.get(&channels[2].watch, &path).await.status, 503);
    drop(running);
    assert_eq!(site.get(&channels[2].watch, &path).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_whose_footage_vanishes_breaks_off() {
    let (site, channels, token) = group(ApiConfig::default()).await;
    let path = format!("/v1/export.tar?{}", range(2, 12));
    let response = site.open(&token, &path, &[]).await;
    assert_eq!(response.status(), 200);
    for segment in segments(&site, channels[2].id).await {
        lose(&site, &segment).await;
    }
    let body = http_body_util::BodyExt::collect(response.into_body()).await;
    assert!(body.is_err(), "the archive breaks off");
}
