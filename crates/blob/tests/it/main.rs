//! One suite that every kind of store passes.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use bytes::Bytes;
use framewell_blob::{BlobStore, Error, ObjectKey, S3Config};
use framewell_model::{ChannelId, ErrorKind, HasKind, Secret, SegmentId, WallTime};
use framewell_testkit::s3::TestBucket;
use framewell_testkit::small_disk::SmallDisk;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use uuid::Uuid;

struct Fixture {
    blobs: BlobStore,
    dir: TempDir,
}

impl Fixture {
    fn local() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let blobs = BlobStore::local(&dir.path().join("objects")).unwrap();
        Self { blobs, dir }
    }

    fn memory() -> Self {
        Self {
            blobs: BlobStore::memory(),
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn s3() -> Self {
        let bucket = TestBucket::create().unwrap();
        Self {
            blobs: BlobStore::s3(&s3_config(&bucket.endpoint, &bucket.name)).unwrap(),
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

fn s3_config(endpoint: &str, bucket: &str) -> S3Config {
    S3Config {
        bucket: bucket.to_owned(),
        prefix: "site/one".to_owned(),
        endpoint: endpoint.to_owned(),
        region: "us-east-1".to_owned(),
        access_key: "key".to_owned(),
        secret_key: Secret::new("hunter2".to_owned()),
    }
}

fn key(n: u128) -> ObjectKey {
    ObjectKey::Segment {
        channel: ChannelId::new(3).unwrap(),
        start: WallTime::from_secs(1_714_000_000),
        id: SegmentId::from_uuid(Uuid::from_u128(n)),
    }
}

async fn put_takes_the_file_away_and_ranges_come_back(fx: Fixture) {
    let content: Vec<u8> = (0..100_000u32).map(|i| (i % 251) as u8).collect();
    let file = fx.file("a", &content);
    fx.blobs.put_file(&key(1), &file).await.unwrap();
    assert!(!file.exists());
    assert_eq!(fx.blobs.size(&key(1)).await.unwrap(), 100_000);
    let get = async |range| fx.blobs.get_range(&key(1), range).await.unwrap();
    assert_eq!(get(0..100_000).await, content);
    assert_eq!(get(777..1_000).await, content[777..1_000]);
    assert_eq!(get(99_990..200_000).await, content[99_990..]);
    assert!(get(100_000..100_010).await.is_empty());
    assert!(get(500_000..500_010).await.is_empty());
    assert!(get(5..5).await.is_empty());
}

async fn bytes_are_put_replaced_and_deleted(fx: Fixture) {
    let get = async || fx.blobs.get_range(&key(1), 0..100).await;
    for content in [&b"first picture"[..], b"second"] {
        fx.blobs.put_bytes(&key(1), content.into()).await.unwrap();
        assert_eq!(get().await.unwrap(), content);
        assert_eq!(fx.blobs.size(&key(1)).await.unwrap(), content.len() as u64);
    }
    fx.blobs.delete(&key(1)).await.unwrap();
    assert_eq!(get().await.unwrap_err().kind(), ErrorKind::NotFound);
}

/// More than two parts of an upload, and a last one that is none.
async fn an_object_is_written_piece_by_piece(fx: Fixture) {
    let piece = Bytes::from(vec![7; 3 << 20]);
    let mut writer = fx.blobs.writer(&key(1)).await.unwrap();
    for _ in 0..7 {
        writer.write(piece.clone()).await.unwrap();
    }
    assert!(
        fx.blobs.size(&key(1)).await.is_err(),
        "nobody sees half of it"
    );
    writer.write(Bytes::from_static(b"end")).await.unwrap();
    assert_eq!(writer.finish().await.unwrap(), (21 << 20) + 3);
    let tail = fx.blobs.get_range(&key(1), (21 << 20) - 1..u64::MAX).await;
    assert_eq!(&tail.unwrap()[..], b"\x07end");
    let mut again = fx.blobs.writer(&key(1)).await.unwrap();
    again.write(Bytes::from_static(b"new")).await.unwrap();
    again.abort().await;
    assert_eq!(fx.blobs.size(&key(1)).await.unwrap(), (21 << 20) + 3);
    let mut again = fx.blobs.writer(&key(1)).await.unwrap();
    again.write(Bytes::from_static(b"new")).await.unwrap();
    assert_eq!(again.finish().await.unwrap(), 3);
    assert_eq!(fx.blobs.size(&key(1)).await.unwrap(), 3);
}

async fn putting_a_key_twice_keeps_the_newer_content(fx: Fixture) {
    for content in [&b"first"[..], b"second"] {
        let file = fx.file("a", content);
        fx.blobs.put_file(&key(1), &file).await.unwrap();
    }
    let got = fx.blobs.get_range(&key(1), 0..100).await.unwrap();
    assert_eq!(got, &b"second"[..]);
}

async fn a_put_repeated_after_it_succeeded_is_a_success(fx: Fixture) {
    let file = fx.file("a", b"footage");
    fx.blobs.put_file(&key(1), &file).await.unwrap();
    fx.blobs.put_file(&key(1), &file).await.unwrap();
    assert_eq!(fx.blobs.size(&key(1)).await.unwrap(), 7);
    let error = fx.blobs.put_file(&key(2), &file).await.unwrap_err();
    assert!(matches!(
        error,
        Error::Store {
            operation: "put",
            ..
        }
    ));
}

async fn what_is_missing_is_not_found(fx: Fixture) {
    let errors = [
        fx.blobs.get_range(&key(9), 0..10).await.unwrap_err(),
        fx.blobs.size(&key(9)).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains(&key(9).path()), "{error}");
    }
}

async fn a_deleted_object_is_gone_and_its_neighbour_stays(fx: Fixture) {
    for n in [1, 2] {
        let file = fx.file("a", b"footage");
        fx.blobs.put_file(&key(n), &file).await.unwrap();
    }
    fx.blobs.delete(&key(1)).await.unwrap();
    fx.blobs.delete(&key(1)).await.unwrap();
    assert!(fx.blobs.size(&key(1)).await.is_err());
    assert_eq!(fx.blobs.size(&key(2)).await.unwrap(), 7);
}

async fn puts_and_deletes_of_one_folder_at_once_lose_nothing(fx: Fixture) {
    let tasks = (0..8u128).map(|task| {
        let fx = &fx;
        async move {
            for round in 0..20u128 {
                let n = task * 100 + round;
                let file = fx.file(&format!("f{n}"), b"footage");
                fx.blobs.put_file(&key(n), &file).await.unwrap();
                assert_eq!(fx.blobs.size(&key(n)).await.unwrap(), 7);
                fx.blobs.delete(&key(n)).await.unwrap();
            }
        }
    });
    futures::future::join_all(tasks).await;
}

macro_rules! suite {
    ($($name:ident),* $(,)?) => {
        mod local {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(super::Fixture::local()).await; })*
        }
        mod s3 {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(super::Fixture::s3()).await; })*
        }
        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(super::Fixture::memory()).await; })*
        }
    };
}

suite!(
    put_takes_the_file_away_and_ranges_come_back,
    bytes_are_put_replaced_and_deleted,
    an_object_is_written_piece_by_piece,
    putting_a_key_twice_keeps_the_newer_content,
    a_put_repeated_after_it_succeeded_is_a_success,
    what_is_missing_is_not_found,
    a_deleted_object_is_gone_and_its_neighbour_stays,
    puts_and_deletes_of_one_folder_at_once_lose_nothing,
);

/// A folder on another file system than `/tmp`, if this machine has one.
fn other_file_system() -> Option<TempDir> {
    let shm = Path::new("/dev/shm");
    shm.is_dir().then(|| tempfile::tempdir_in(shm).ok())?
}

#[tokio::test]
async fn a_file_of_another_file_system_is_taken_in_too() {
    let Some(spool) = other_file_system() else {
        panic!("/dev/shm is needed: every Linux of the supported kind has it");
    };
    let fx = Fixture::local();
    let file = spool.path().join("a");
    std::fs::write(&file, b"footage").unwrap();
    fx.blobs.put_file(&key(1), &file).await.unwrap();
    assert!(!file.exists());
    assert_eq!(fx.blobs.size(&key(1)).await.unwrap(), 7);
}

#[tokio::test]
async fn a_local_store_removes_folders_that_become_empty() {
    let fx = Fixture::local();
    let file = fx.file("a", b"footage");
    fx.blobs.put_file(&key(1), &file).await.unwrap();
    fx.blobs.delete(&key(1)).await.unwrap();
    let left = std::fs::read_dir(fx.dir.path().join("objects"))
        .unwrap()
        .count();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_delete_takes_along_what_an_interrupted_put_left() {
    let fx = Fixture::local();
    let object = fx.dir.path().join("objects").join(key(1).path());
    std::fs::create_dir_all(object.parent().unwrap()).unwrap();
    let part = object.with_extension("mp4.part");
    std::fs::write(&part, b"half").unwrap();
    fx.blobs.delete(&key(1)).await.unwrap();
    assert!(!part.exists());
}

#[tokio::test]
async fn a_large_file_is_uploaded_in_parts() {
    let fx = Fixture::memory();
    let content: Vec<u8> = (0..20u32 << 20).map(|i| (i % 253) as u8).collect();
    let file = fx.file("a", &content);
    fx.blobs.put_file(&key(1), &file).await.unwrap();
    let got = fx.blobs.get_range(&key(1), 0..u64::MAX).await.unwrap();
    assert!(got == content);
}

#[tokio::test]
async fn a_large_file_goes_to_a_bucket_in_parts_and_comes_back_whole() {
    let fx = Fixture::s3();
    let content: Vec<u8> = (0..20_000_000u32).map(|i| (i % 251) as u8).collect();
    let file = fx.file("a", &content);
    fx.blobs.put_file(&key(1), &file).await.unwrap();
    assert_eq!(fx.blobs.size(&key(1)).await.unwrap(), 20_000_000);
    let around_a_seam = (8 << 20) - 5..(8 << 20) + 5;
    let got = fx.blobs.get_range(&key(1), around_a_seam.clone()).await;
    let around_a_seam = around_a_seam.start as usize..around_a_seam.end as usize;
    assert_eq!(got.unwrap(), content[around_a_seam]);
}

#[tokio::test]
async fn without_its_bucket_a_put_fails_keeps_the_file_and_tells_no_secret() {
    let fx = Fixture::s3();
    let bucket = TestBucket::create().unwrap();
    let blobs = BlobStore::s3(&s3_config(&bucket.endpoint, "no-such-bucket")).unwrap();
    let file = fx.file("a", b"footage");
    let error = blobs.put_file(&key(1), &file).await.unwrap_err();
    assert!(file.exists());
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
}

/// A file as it is on the disk, past the cache.
fn read_from_disk(path: &Path) -> Vec<u8> {
    let output = std::process::Command::new("dd")
        .arg(format!("if={}", path.display()))
        .args(["iflag=direct", "bs=1M", "status=none"])
        .output()
        .unwrap();
    assert!(output.status.success());
    output.stdout
}

#[tokio::test]
async fn a_sync_that_fails_is_not_forgotten_by_the_next_put() {
    let Some(disk) = SmallDisk::thin(6) else {
        return;
    };
    let blobs = BlobStore::local(&disk.path().join("objects")).unwrap();
    let file = disk.path().join("spooled");
    let content: Vec<u8> = (0..12u32 << 20).map(|i| (i % 249) as u8).collect();
    // The disk takes the write, and has no room for it.
    std::fs::write(&file, &content).unwrap();
    for _ in 0..3 {
        assert!(blobs.put_file(&key(1), &file).await.is_err());
        assert!(file.exists());
    }
    disk.grow(64).unwrap();
    blobs.put_file(&key(1), &file).await.unwrap();
    let object = disk.path().join("objects").join(key(1).path());
    assert!(
        read_from_disk(&object) == content,
        "what was put is what is there"
    );
}
