//! A full disk, a store or a database that is away: recording goes on, and whatever has to go is in a row.
//!
//! Each test ends with the account: every picture that the camera sent is stored, or in a gap.

use crate::rig::{Camera, EVER, Rig, Setup, files_below, small_clip, until};
use framewell_blob::{BlobStore, ObjectKey, S3Config};
use framewell_model::{ClipObjectId, DeletionReason, GapReason, NewHold, Secret};
use framewell_recorder::{RoomConfig, WhenFull};
use framewell_testkit::account::Account;
use framewell_testkit::postgres::TestDatabase;
use framewell_testkit::proxy::{Fault, Proxy};
use framewell_testkit::s3::TestBucket;
use framewell_testkit::small_disk::SmallDisk;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

const MIB: u64 = 1 << 20;

const ROOM: RoomConfig = RoomConfig {
    max_spool_bytes: 0,
    min_free_bytes: MIB,
    when_full: WhenFull::DeleteOldest,
};

/// Spool and objects on a disk, the database elsewhere.
fn on(disk: &SmallDisk, room: RoomConfig) -> Setup {
    Setup {
        room,
        spool: Some(disk.path().join("spool")),
        blobs: Some(BlobStore::local(&disk.path().join("objects")).unwrap()),
        ..Setup::default()
    }
}

async fn recording(setup: Setup) -> (Rig, Camera) {
    let spool = setup.spool.clone();
    let mut rig = Rig::with(setup).await;
    if let Some(spool) = spool {
        std::fs::create_dir_all(spool).unwrap();
    }
    rig.record().await;
    let clip = small_clip().encode().unwrap();
    let camera = Camera::connect(&rig, &clip, small_clip().start);
    (rig, camera)
}

/// Four seconds of video, as fast as they are taken.
async fn play(rig: &Rig, camera: &mut Camera) {
    camera.play();
    rig.clock.set(camera.end());
    // Not to wait for anything: the camera is not faster than any disk.
    tokio::time::sleep(Duration::from_millis(15)).await;
}

fn spooled(rig: &Rig) -> u64 {
    let files = rig.files("spool").into_iter();
    let sizes = files.filter_map(|file| file.metadata().ok());
    sizes.map(|metadata| metadata.len()).sum()
}

/// The same, and room has been made for as much again in a spool of at most so many bytes.
async fn play_within(rig: &Rig, camera: &mut Camera, most: u64) {
    play(rig, camera).await;
    assert!(spooled(rig) <= most);
    // The last GOP is written when the next one begins.
    let newest = camera.end().plus_micros(-1_000_000);
    until("all that was sent, and room in the spool", async || {
        let pieces = rig.node.spool.pieces(rig.channel, EVER);
        let is_written = pieces.last().is_some_and(|last| last.range.end >= newest);
        (is_written && spooled(rig) <= most - most / 16).then_some(())
    })
    .await;
}

async fn settled(rig: &mut Rig, camera: &Camera) -> Account {
    rig.stop().await;
    let account = rig.account(&camera.video()).await;
    account.assert_settled();
    account
}

fn free(path: &Path) -> u64 {
    let disk = rustix::fs::statvfs(path).unwrap();
    disk.f_bavail * disk.f_frsize
}

/// Plays until there is an open gap of this reason.
async fn play_until_refused(rig: &Rig, camera: &mut Camera, reason: GapReason) {
    until("a gap", async || {
        play(rig, camera).await;
        let gaps = rig.gaps().await;
        gaps.iter()
            .any(|gap| gap.1.is_none() && gap.2 == reason)
            .then_some(())
    })
    .await;
}

/// Plays until no gap is open, and there was one.
async fn play_until_recorded(rig: &Rig, camera: &mut Camera) {
    until("recording again", async || {
        play(rig, camera).await;
        let gaps = rig.gaps().await;
        let is_over = !gaps.is_empty() && gaps.iter().all(|gap| gap.1.is_some());
        is_over.then_some(())
    })
    .await;
}

#[tokio::test]
async fn on_a_full_disk_the_oldest_footage_goes_and_the_newest_stays() {
    let Some(disk) = SmallDisk::tmpfs(4, 1_000) else {
        return;
    };
    let (mut rig, mut camera) = recording(on(&disk, ROOM)).await;
    let spool = disk.path().join("spool");
    for _ in 0..100 {
        play(&rig, &mut camera).await;
        until("the reserve", async || (free(&spool) >= MIB).then_some(())).await;
    }
    let account = settled(&mut rig, &camera).await;
    let gone = account.missing("storage_full");
    assert!(gone > 0 && account.kept > 0, "{account}");
    assert_eq!(gone + account.kept, account.sent, "{account}");
    // What is left is the newest, and what went is one gap, and written down.
    let stored = rig.pieces().await[0].range.start;
    assert!(camera.sent[gone].wall.micros_since(stored).abs() <= 20);
    let gaps = rig.gaps().await;
    assert_eq!(gaps[0].2, GapReason::StorageFull);
    assert!(gaps[0].1.unwrap().micros_since(stored).abs() <= 20);
    let deletions = rig
        .catalog
        .list_deletions(rig.channel, None, 10)
        .await
        .unwrap();
    assert!(
        deletions
            .iter()
            .all(|d| d.reason == DeletionReason::Pressure)
    );
    assert_eq!(deletions.last().unwrap().range.start, camera.sent[0].wall);
}

#[tokio::test]
async fn clips_and_pictures_push_out_the_oldest_footage_as_new_footage_does() {
    let Some(disk) = SmallDisk::tmpfs(8, 10_000) else {
        return;
    };
    let (mut rig, mut camera) = recording(on(&disk, ROOM)).await;
    let oldest = async |rig: &Rig| rig.pieces().await.first().map(|piece| piece.range.start);
    until("a disk full of footage", async || {
        play(&rig, &mut camera).await;
        let start = oldest(&rig).await;
        start.filter(|start| start.micros_since(camera.sent[0].wall) > 1_000_000)
    })
    .await;
    // Three times what strangers may take.
    let clip = ObjectKey::Clip {
        channel: rig.channel,
        time: camera.sent[0].wall,
        id: ClipObjectId::from_uuid(uuid::Uuid::from_u128(1)),
    };
    let mut writer = rig.blobs.writer(&clip).await.unwrap();
    while writer.size() < 3 * MIB {
        writer.write(vec![1; 512 << 10].into()).await.unwrap();
        until("the reserve", async || {
            (free(disk.path()) >= MIB).then_some(())
        })
        .await;
    }
    assert_eq!(writer.finish().await.unwrap(), 3 * MIB);
    play(&rig, &mut camera).await;
    let account = settled(&mut rig, &camera).await;
    assert!(account.kept > 0, "{account}");
}

#[tokio::test]
async fn where_the_newest_is_refused_the_oldest_stays_until_there_is_room() {
    let Some(disk) = SmallDisk::tmpfs(4, 1_000) else {
        return;
    };
    let room = RoomConfig {
        when_full: WhenFull::RefuseNew,
        ..ROOM
    };
    let (mut rig, mut camera) = recording(on(&disk, room)).await;
    play_until_refused(&rig, &mut camera, GapReason::StorageFull).await;
    assert!(free(disk.path()) >= MIB, "the reserve is whole");
    for _ in 0..5 {
        play(&rig, &mut camera).await;
    }
    disk.grow(8).unwrap();
    play_until_recorded(&rig, &mut camera).await;
    play(&rig, &mut camera).await;
    let account = settled(&mut rig, &camera).await;
    assert!(account.missing("storage_full") >= 5 * 40, "{account}");
    assert_eq!(rig.pieces().await[0].range.start, camera.sent[0].wall);
    let deletions = rig
        .catalog
        .list_deletions(rig.channel, None, 10)
        .await
        .unwrap();
    assert!(deletions.is_empty(), "{deletions:?}");
}

#[tokio::test]
async fn when_everything_is_held_the_newest_is_refused_until_a_hold_ends() {
    let Some(disk) = SmallDisk::tmpfs(4, 1_000) else {
        return;
    };
    let (mut rig, mut camera) = recording(on(&disk, ROOM)).await;
    let hold = NewHold {
        channel: rig.channel,
        name: "all of it".to_owned(),
        range: EVER,
        expires: None,
    };
    let hold = rig
        .catalog
        .create_hold(&hold, small_clip().start)
        .await
        .unwrap();
    play_until_refused(&rig, &mut camera, GapReason::StorageFull).await;
    let held = rig.pieces().await.len();
    assert!(held > 2);
    let none = rig
        .catalog
        .list_deletions(rig.channel, None, 10)
        .await
        .unwrap();
    assert!(none.is_empty(), "{none:?}");
    rig.catalog.delete_hold(rig.channel, hold.id).await.unwrap();
    play_until_recorded(&rig, &mut camera).await;
    let account = settled(&mut rig, &camera).await;
    assert!(account.missing("storage_full") > 0, "{account}");
}

/// Four seconds of video, as long as some are left. Without a reserve, a camera that is much faster than any fills
/// the disk before a row is tried again, and the row then finds no room either.
async fn play_one_of(left: &mut u32, rig: &Rig, camera: &mut Camera) {
    if *left > 0 {
        *left -= 1;
        return play(rig, camera).await;
    }
    tokio::time::sleep(Duration::from_millis(15)).await;
}

/// Writes to a disk whatever it takes, until told to stop.
struct Glutton {
    path: PathBuf,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Glutton {
    fn on(disk: &SmallDisk) -> Self {
        let (path, stop) = (disk.path().join("log"), Arc::<AtomicBool>::default());
        let (file, is_over) = (path.clone(), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut file = File::create(file).unwrap();
            let block = vec![1; 64 << 10];
            while !is_over.load(Ordering::Acquire) {
                if file.write(&block).is_err() {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        });
        Self { path, stop, thread }
    }

    fn end(self) {
        self.stop.store(true, Ordering::Release);
        self.thread.join().unwrap();
        std::fs::remove_file(self.path).unwrap();
    }
}

fn stored(disk: &SmallDisk) -> u64 {
    let of = |folder: &str| files_below(&disk.path().join(folder));
    let files = of("objects").into_iter().chain(of("spool"));
    // Some go meanwhile.
    let sizes = files.filter_map(|file| file.metadata().ok());
    sizes.map(|metadata| metadata.len()).sum()
}

#[tokio::test]
async fn footage_that_would_go_in_vain_stays_and_the_newest_is_refused() {
    let Some(disk) = SmallDisk::tmpfs(16, 1_000) else {
        return;
    };
    let (mut rig, mut camera) = recording(on(&disk, ROOM)).await;
    until("8 MiB of footage", async || {
        play(&rig, &mut camera).await;
        (stored(&disk) >= 8 * MIB).then_some(())
    })
    .await;
    let glutton = Glutton::on(&disk);
    play_until_refused(&rig, &mut camera, GapReason::StorageFull).await;
    // Each refusal is an occasion to delete; a fifth of them would do to delete everything.
    for _ in 0..100 {
        play(&rig, &mut camera).await;
    }
    let left = stored(&disk);
    assert!(left >= 3 * MIB, "{left} bytes are left of 8 MiB");
    glutton.end();
    play_until_recorded(&rig, &mut camera).await;
    let account = settled(&mut rig, &camera).await;
    assert!(account.missing("storage_full") > 0, "{account}");
}

#[tokio::test]
async fn a_disk_that_somebody_else_fills_is_a_gap_until_there_is_room_again() {
    let Some(disk) = SmallDisk::tmpfs(16, 1_000) else {
        return;
    };
    // Without a reserve, and with the database on the disk: writes fail, of footage and of rows.
    let room = RoomConfig {
        min_free_bytes: 0,
        ..ROOM
    };
    let setup = Setup {
        database: Some(format!("sqlite:{}", disk.path().join("db").display())),
        ..on(&disk, room)
    };
    let (mut rig, mut camera) = recording(setup).await;
    for _ in 0..3 {
        play(&rig, &mut camera).await;
    }
    rig.until_published(4).await;
    let others = disk.fill(64 << 10).unwrap();
    // The database may take no row either: whether there is a gap shows in the track.
    let is_recording = rig.track().recording();
    let mut left = 10;
    until("the end of recording", async || {
        play_one_of(&mut left, &rig, &mut camera).await;
        (!*is_recording.borrow()).then_some(())
    })
    .await;
    play(&rig, &mut camera).await;
    std::fs::remove_file(others).unwrap();
    left = 10;
    until("recording again", async || {
        play_one_of(&mut left, &rig, &mut camera).await;
        is_recording.borrow().then_some(())
    })
    .await;
    until("a gap that is over", async || {
        tokio::time::sleep(Duration::from_millis(15)).await;
        let gaps = rig.gaps().await;
        let is_over = !gaps.is_empty() && gaps.iter().all(|gap| gap.1.is_some());
        is_over.then_some(())
    })
    .await;
    // What the disk did not take is tried again after a while; a stop would leave it to the next start.
    until("an empty backlog", async || {
        (files_below(&disk.path().join("spool")).len() <= 1).then_some(())
    })
    .await;
    let account = settled(&mut rig, &camera).await;
    assert!(account.missing("storage_full") > 0, "{account}");
    assert_eq!(account.in_gaps.len(), 1, "{account}");
}

#[tokio::test]
async fn objects_that_cannot_be_made_wait_in_the_spool_and_its_oldest_go() {
    // A disk without room for another file or folder: the move itself fails.
    let Some(disk) = SmallDisk::tmpfs(64, 12) else {
        return;
    };
    let setup = Setup {
        room: RoomConfig {
            max_spool_bytes: 4 * MIB,
            min_free_bytes: 0,
            ..ROOM
        },
        blobs: Some(BlobStore::local(&disk.path().join("objects")).unwrap()),
        ..Setup::default()
    };
    let (mut rig, mut camera) = recording(setup).await;
    for _ in 0..60 {
        play_within(&rig, &mut camera, 4 * MIB).await;
    }
    disk.grow(64).unwrap();
    until("an empty backlog", async || {
        (rig.files("spool").len() <= 1).then_some(())
    })
    .await;
    let account = settled(&mut rig, &camera).await;
    assert!(account.missing("storage_full") > 0, "{account}");
    assert!(account.kept > 100, "{account}");
    // The first were published before the disk was full, the last waited.
    let pieces = rig.pieces().await;
    assert_eq!(pieces[0].range.start, camera.sent[0].wall);
    assert_eq!(pieces.last().unwrap().range.end, camera.end());
}

/// A bucket behind a proxy that breaks as told, until the spool has overflowed.
async fn store_that_breaks(fault: Fault) {
    let bucket = TestBucket::create().unwrap();
    let (proxy, endpoint) = Proxy::of_http(&bucket.endpoint).unwrap();
    let config = S3Config {
        bucket: bucket.name,
        prefix: String::new(),
        endpoint,
        region: "us-east-1".to_owned(),
        access_key: "key".to_owned(),
        secret_key: Secret::new("secret".to_owned()),
    };
    let setup = Setup {
        room: RoomConfig {
            max_spool_bytes: MIB,
            min_free_bytes: 0,
            ..ROOM
        },
        blobs: Some(BlobStore::s3(&config).unwrap()),
        ..Setup::default()
    };
    let (mut rig, mut camera) = recording(setup).await;
    play(&rig, &mut camera).await;
    rig.until_published(1).await;
    proxy.set(fault);
    until("footage that has to go", async || {
        play(&rig, &mut camera).await;
        let deletions = rig
            .catalog
            .list_deletions(rig.channel, None, 1)
            .await
            .unwrap();
        (!deletions.is_empty()).then_some(())
    })
    .await;
    for _ in 0..5 {
        play(&rig, &mut camera).await;
    }
    proxy.set(Fault::None);
    until("an empty backlog", async || {
        (rig.files("spool").len() <= 1).then_some(())
    })
    .await;
    play_until_recorded(&rig, &mut camera).await;
    let account = settled(&mut rig, &camera).await;
    assert!(account.missing("storage_full") > 0, "{account}");
    assert!(account.kept > 100, "{account}");
    assert_eq!(rig.pieces().await.last().unwrap().range.end, camera.end());
}

#[tokio::test]
async fn a_store_that_is_absent_costs_the_oldest_that_waits() {
    store_that_breaks(Fault::Refuse).await;
}

#[tokio::test]
async fn a_store_that_hangs_costs_the_oldest_that_waits() {
    store_that_breaks(Fault::Stall).await;
}

#[tokio::test]
async fn a_store_that_is_slow_costs_the_oldest_that_waits() {
    store_that_breaks(Fault::Slow(2_000)).await;
}

#[tokio::test]
async fn a_database_that_is_away_costs_nothing_while_the_spool_has_room() {
    let database = TestDatabase::create().unwrap();
    let (proxy, url) = Proxy::of_postgres(database.url()).unwrap();
    let setup = Setup {
        database: Some(url),
        ..Setup::default()
    };
    let (mut rig, mut camera) = recording(setup).await;
    play(&rig, &mut camera).await;
    rig.until_published(1).await;
    for fault in [Fault::Refuse, Fault::Stall] {
        proxy.set(fault);
        for _ in 0..10 {
            play(&rig, &mut camera).await;
        }
        proxy.set(Fault::None);
        for _ in 0..5 {
            play(&rig, &mut camera).await;
            // A restart ends what is in flight.
            proxy.cut();
        }
    }
    until("an empty backlog", async || {
        (rig.files("spool").len() <= 1).then_some(())
    })
    .await;
    let account = settled(&mut rig, &camera).await;
    assert_eq!(account.kept, account.sent, "{account}");
}

#[tokio::test]
async fn what_had_to_go_while_the_database_was_away_is_written_down_when_it_is_back() {
    let database = TestDatabase::create().unwrap();
    let (proxy, url) = Proxy::of_postgres(database.url()).unwrap();
    let setup = Setup {
        database: Some(url),
        room: RoomConfig {
            max_spool_bytes: MIB / 2,
            min_free_bytes: 0,
            ..ROOM
        },
        ..Setup::default()
    };
    let (mut rig, mut camera) = recording(setup).await;
    play(&rig, &mut camera).await;
    rig.until_published(1).await;
    proxy.set(Fault::Refuse);
    for _ in 0..60 {
        play(&rig, &mut camera).await;
    }
    proxy.set(Fault::None);
    until("an empty backlog", async || {
        (rig.files("spool").len() <= 1).then_some(())
    })
    .await;
    play_until_recorded(&rig, &mut camera).await;
    let account = settled(&mut rig, &camera).await;
    assert!(account.missing("storage_full") > 0, "{account}");
    let deletions = rig
        .catalog
        .list_deletions(rig.channel, None, 10)
        .await
        .unwrap();
    assert_eq!(deletions[0].reason, DeletionReason::Pressure);
}
