//! Rows of stored clips.

use crate::backend::{ALL, account, at, channel, channel_of, conformance, range};
use framewell_catalog::{
    CLIP_JOB, Catalog, ClipFile, ClipFilter, ClipGap, ClipGaps, ClipKey, ClipLimit, ClipLimits,
    ClipPatch, ClipState, ClipThumb, Error, Lease, MOST_CLIP_GAPS, MOST_CLIP_SHARES, NewClip,
    Order, Release, Slice, StoredClip,
};
use framewell_model::{
    Channel, ChannelPatch, ClipId, ClipObjectId, GapReason, HolderId, StreamKind,
};
use serde_json::json;
use uuid::Uuid;

const LIMITS: ClipLimits = ClipLimits {
    open_of_channel: 2,
    open_of_account: 3,
    rows_of_channel: 3,
    bytes: Some(5_000),
    bytes_of_account: None,
};

fn new(channel: &Channel, start: i64) -> NewClip {
    NewClip {
        account: channel.account,
        channel: channel.id,
        title: "at the gate".into(),
        group: Some("case 7".into()),
        range: range(start, start + 10),
        event_time: Some(at(start + 3)),
        delete_at: None,
        options: json!({"wait": true}),
        job_kind: CLIP_JOB,
    }
}

async fn create(catalog: &Catalog, new: &NewClip) -> ClipId {
    let limits = ClipLimits {
        open_of_channel: 100,
        open_of_account: 100,
        rows_of_channel: 100,
        bytes: None,
        bytes_of_account: None,
    };
    catalog
        .create_clip(new, limits, at(0))
        .await
        .unwrap()
        .unwrap()
}

async fn load(catalog: &Catalog, id: ClipId) -> StoredClip {
    catalog.load_clip(id, at(0)).await.unwrap()
}

fn object() -> ClipObjectId {
    ClipObjectId::from_uuid(Uuid::now_v7())
}

fn file() -> ClipFile {
    ClipFile {
        shown: range(1, 9),
        duration_us: 7_500_000,
        size_bytes: 5_000,
        thumb: Some(ClipThumb {
            time: at(1),
            width: 640,
            height: 360,
            size_bytes: 900,
        }),
        thumb_error: None,
        gaps: Some(ClipGaps::of(&[
            gap(2, Some(GapReason::DataLoss)),
            gap(5, None),
        ])),
    }
}

fn gap(start: i64, reason: Option<GapReason>) -> ClipGap {
    ClipGap {
        range: range(start, start + 1),
        reason,
    }
}

async fn publish(catalog: &Catalog, id: ClipId) {
    let object = object();
    catalog.start_clip(id, None, object, at(0)).await.unwrap();
    catalog
        .publish_clip(id, object, &file(), "[1]", at(0))
        .await
        .unwrap();
}

/// Ends all open jobs of clips in error.
async fn fail_jobs(catalog: &Catalog) {
    let lease = Lease {
        holder: HolderId::from_uuid(Uuid::now_v7()),
        until: at(60),
    };
    for job in catalog
        .take_jobs(CLIP_JOB, lease, 100, at(0))
        .await
        .unwrap()
    {
        let release = Release::Error("given up".into(), at(1_000));
        catalog
            .release_job(job.id, lease.holder, &release, at(0))
            .await
            .unwrap();
    }
}

async fn ids(catalog: &Catalog, filter: ClipFilter) -> Vec<ClipId> {
    let page = catalog.list_clips(&filter, ClipKey::Start, Order::Ascending, ALL, at(0));
    page.await
        .unwrap()
        .items
        .iter()
        .map(|clip| clip.id)
        .collect()
}

fn is_missing<T>(result: Result<T, Error>) -> bool {
    matches!(result, Err(Error::NotFound { .. }))
}

conformance! {
    async fn a_clip_comes_back_as_it_went_in_and_then_with_its_file(catalog: &Catalog) {
        let channel = channel(catalog).await;
        let new = new(&channel, 0);
        let id = create(catalog, &new).await;
        let clip = load(catalog, id).await;
        assert_eq!((clip.account, clip.channel, clip.range), (channel.account, channel.id, new.range));
        assert_eq!((&clip.title, &clip.group, &clip.options), (&new.title, &new.group, &new.options));
        assert_eq!((clip.event_time, clip.delete_at, clip.created), (new.event_time, None, at(0)));
        assert_eq!((clip.state, clip.progress, clip.file, clip.error), (ClipState::Pending, 0.0, None, None));
        let job = catalog.load_job(clip.job.unwrap()).await.unwrap();
        assert_eq!((job.kind.as_str(), job.parameters), (CLIP_JOB, json!({"clip": id})));
        publish(catalog, id).await;
        let clip = load(catalog, id).await;
        assert_eq!((clip.state, clip.progress, clip.file), (ClipState::Done, 1.0, Some(file())));
    }

    async fn a_clip_without_a_thumbnail_says_why_and_of_many_gaps_the_first_are_kept(catalog: &Catalog) {
        let channel = channel(catalog).await;
        let id = create(catalog, &new(&channel, 0)).await;
        let gaps: Vec<ClipGap> = (0..500).map(|n| gap(2 * n, Some(GapReason::PacketLoss))).collect();
        let file = ClipFile {
            thumb: None,
            thumb_error: Some("no picture can be decoded".into()),
            gaps: Some(ClipGaps::of(&gaps)),
            ..file()
        };
        let object = object();
        catalog.start_clip(id, None, object, at(0)).await.unwrap();
        catalog.publish_clip(id, object, &file, "{}", at(0)).await.unwrap();
        let clip = load(catalog, id).await;
        assert_eq!((clip.state, clip.file.as_ref()), (ClipState::Done, Some(&file)));
        let gaps = file.gaps.unwrap();
        assert_eq!((gaps.first.len(), gaps.count), (MOST_CLIP_GAPS, 500));
        assert_eq!(catalog.clip_makeup(id).await.unwrap().as_deref(), Some("{}"));
        catalog.doom_clip(id, at(1)).await.unwrap();
        catalog.delete_doomed_clips(&[id]).await.unwrap();
        assert_eq!(catalog.clip_makeup(id).await.unwrap(), None, "it goes with its clip");
    }

    async fn clips_of_a_sub_stream_are_in_the_lists_of_its_channel_and_go_with_the_stream(catalog: &Catalog) {
        let gate = channel(catalog).await;
        let yard = channel_of(catalog, gate.account, "yard").await;
        let of_sub = NewClip { channel: gate.id.of(StreamKind::Sub), ..new(&gate, 0) };
        let missing = catalog.create_clip(&of_sub, LIMITS, at(0)).await;
        assert!(is_missing(missing), "there is no sub stream yet");
        catalog.put_sub_stream(gate.account, gate.id, &ChannelPatch::default(), at(0)).await.unwrap();
        let sub = create(catalog, &of_sub).await;
        let main = create(catalog, &new(&gate, 10)).await;
        let job = catalog.load_job(load(catalog, sub).await.job.unwrap()).await.unwrap();
        assert_eq!(job.channel, Some(of_sub.channel));
        let of = |channel: &Channel| ClipFilter { channels: vec![channel.id], ..ClipFilter::default() };
        assert_eq!(ids(catalog, of(&gate)).await, [sub, main]);
        assert!(ids(catalog, of(&yard)).await.is_empty());
        assert_eq!(load(catalog, sub).await.channel, of_sub.channel);
        catalog.delete_sub_stream(gate.account, gate.id, at(1)).await.unwrap();
        assert_eq!(ids(catalog, of(&gate)).await, [main]);
    }

    async fn limits_of_channels_accounts_and_bytes_are_kept(catalog: &Catalog) {
        let gate = channel(catalog).await;
        let yard = channel_of(catalog, gate.account, "yard").await;
        let create = async |channel| catalog.create_clip(&new(channel, 0), LIMITS, at(0)).await.unwrap();
        create(&gate).await.unwrap();
        create(&gate).await.unwrap();
        assert_eq!(create(&gate).await, Err(ClipLimit::Channel));
        let id = create(&yard).await.unwrap();
        assert_eq!(create(&yard).await, Err(ClipLimit::Account));
        fail_jobs(catalog).await;
        publish(catalog, id).await;
        assert_eq!(create(&yard).await, Err(ClipLimit::Bytes(5_000)));
        assert_eq!(catalog.stored_clip_bytes(None).await.unwrap(), 5_000);
        let of_account = ClipLimits { bytes: None, bytes_of_account: Some(5_000), ..LIMITS };
        let refused = catalog.create_clip(&new(&yard, 0), of_account, at(0)).await.unwrap();
        assert_eq!(refused, Err(ClipLimit::AccountBytes));
        let other = account(catalog, "other").await;
        let other = channel_of(catalog, other, "hall").await;
        assert_eq!(catalog.stored_clip_bytes(Some(other.account)).await.unwrap(), 0);
        catalog.create_clip(&new(&other, 0), of_account, at(0)).await.unwrap().unwrap();
    }

    async fn failed_clips_count_as_rows_and_go_after_a_while(catalog: &Catalog) {
        let channel = channel(catalog).await;
        let limits = ClipLimits { open_of_channel: 9, open_of_account: 9, bytes: None, ..LIMITS };
        let mut made = Vec::new();
        for _ in 0..3 {
            made.push(catalog.create_clip(&new(&channel, 0), limits, at(0)).await.unwrap().unwrap());
        }
        fail_jobs(catalog).await;
        catalog.fail_clip(made[0], "no footage", at(10)).await.unwrap();
        let refused = catalog.create_clip(&new(&channel, 0), limits, at(20)).await.unwrap();
        assert_eq!(refused, Err(ClipLimit::Rows));
        assert_eq!(catalog.doom_failed_clips(at(10), 9, at(20)).await.unwrap(), 0);
        assert_eq!(catalog.doom_failed_clips(at(11), 9, at(20)).await.unwrap(), 1);
        catalog.delete_doomed_clips(&[made[0]]).await.unwrap();
        catalog.create_clip(&new(&channel, 0), limits, at(20)).await.unwrap().unwrap();
    }

    async fn a_clip_whose_job_failed_has_failed(catalog: &Catalog) {
        let channel = channel(catalog).await;
        let id = create(catalog, &new(&channel, 0)).await;
        fail_jobs(catalog).await;
        let clip = load(catalog, id).await;
        assert_eq!((clip.state, clip.error.as_deref()), (ClipState::Error, Some("given up")));
        // The row of the job goes after a while.
        catalog.delete_job(clip.job.unwrap()).await.unwrap();
        assert_eq!(load(catalog, id).await.state, ClipState::Error);
        let id = create(catalog, &new(&channel, 0)).await;
        catalog.fail_clip(id, "no footage", at(1)).await.unwrap();
        let clip = load(catalog, id).await;
        assert_eq!((clip.state, clip.error.as_deref()), (ClipState::Error, Some("no footage")));
    }

    async fn pages_by_number_miss_no_clip_when_the_clock_was_set_back(catalog: &Catalog) {
        let channel = channel(catalog).await;
        let mut made = Vec::new();
        for created in [50, 10, 30, 20] {
            let limits = ClipLimits { open_of_channel: 9, open_of_account: 9, rows_of_channel: 9, bytes: None, bytes_of_account: None };
            let id = catalog.create_clip(&new(&channel, 0), limits, at(created)).await.unwrap().unwrap();
            made.insert(0, id);
        }
        let (mut paged, mut before) = (Vec::new(), None);
        loop {
            let filter = ClipFilter { channels: vec![channel.id], before, ..ClipFilter::default() };
            let slice = Slice { limit: 1, offset: 0 };
            let page = catalog.list_clips(&filter, ClipKey::Number, Order::Descending, slice, at(60)).await.unwrap();
            let Some(clip) = page.items.first() else { break };
            paged.push(clip.id);
            before = Some(clip.id);
        }
        assert_eq!(paged, made);
    }

    async fn only_the_newest_attempt_is_published(catalog: &Catalog) {
        let channel = channel(catalog).await;
        let id = create(catalog, &new(&channel, 0)).await;
        let (first, second) = (object(), object());
        catalog.start_clip(id, None, first, at(0)).await.unwrap();
        assert!(is_missing(catalog.start_clip(id, None, second, at(0)).await));
        assert!(catalog.is_clip_wanted(id, first).await.unwrap());
        catalog.start_clip(id, Some(first), second, at(0)).await.unwrap();
        assert!(!catalog.is_clip_wanted(id, first).await.unwrap());
        assert!(is_missing(catalog.publish_clip(id, first, &file(), "first", at(0)).await));
        catalog.publish_clip(id, second, &file(), "second", at(0)).await.unwrap();
        assert_eq!(load(catalog, id).await.object, Some(second));
        assert_eq!(catalog.clip_makeup(id).await.unwrap().as_deref(), Some("second"));
        assert!(is_missing(catalog.publish_clip(id, second, &file(), "second", at(0)).await));
        catalog.fail_clip(id, "too late", at(1)).await.unwrap();
        assert_eq!(load(catalog, id).await.state, ClipState::Done);
    }

    async fn lists_filter_and_order(catalog: &Catalog) {
        let gate = channel(catalog).await;
        let yard = channel_of(catalog, gate.account, "yard").await;
        let late = create(catalog, &new(&gate, 100)).await;
        let early = create(catalog, &NewClip { event_time: None, ..new(&gate, 0) }).await;
        let other = create(catalog, &new(&yard, 50)).await;
        let both = || ClipFilter { channels: vec![gate.id, yard.id], ..ClipFilter::default() };
        assert_eq!(ids(catalog, both()).await, [early, other, late]);
        assert_eq!(ids(catalog, ClipFilter { channels: vec![gate.id], ..both() }).await, [early, late]);
        assert_eq!(ids(catalog, ClipFilter { ids: Some(vec![late.get(), 999]), ..both() }).await, [late]);
        assert_eq!(ids(catalog, ClipFilter { event_time: Some(at(103)), ..both() }).await, [late]);
        assert_eq!(ids(catalog, ClipFilter { event_from: Some(at(53)), ..both() }).await, [other, late]);
        assert_eq!(ids(catalog, ClipFilter { start: Some(at(60)), ..both() }).await, [other, late]);
        assert_eq!(ids(catalog, ClipFilter { start: Some(at(61)), ..both() }).await, [late]);
        assert_eq!(ids(catalog, ClipFilter { end: Some(at(50)), ..both() }).await, [early, other]);
        assert_eq!(ids(catalog, ClipFilter { before: Some(other), ..both() }).await, [early, late]);
        let newest = catalog.list_clips(&both(), ClipKey::Created, Order::Descending, ALL, at(0)).await;
        let newest = newest.unwrap();
        assert_eq!((newest.total, newest.items[0].id), (3, other));
    }

    async fn what_people_wrote_changes_and_nothing_else(catalog: &Catalog) {
        let channel = channel(catalog).await;
        let id = create(catalog, &new(&channel, 0)).await;
        let patch = ClipPatch { title: Some("yard".into()), delete_at: Some(Some(at(500))), ..ClipPatch::default() };
        catalog.change_clip(id, &patch, at(0)).await.unwrap();
        let clip = load(catalog, id).await;
        assert_eq!((clip.title.as_str(), clip.group.as_deref()), ("yard", Some("case 7")));
        assert_eq!((clip.delete_at, clip.event_time), (Some(at(500)), Some(at(3))));
        let patch = ClipPatch { group: Some(None), event_time: Some(None), ..ClipPatch::default() };
        catalog.change_clip(id, &patch, at(0)).await.unwrap();
        let clip = load(catalog, id).await;
        assert_eq!((clip.group, clip.event_time, clip.delete_at), (None, None, Some(at(500))));
    }

    async fn a_clip_whose_time_is_over_is_gone_at_once_and_doomed_later(catalog: &Catalog) {
        let channel = channel(catalog).await;
        let id = create(catalog, &NewClip { delete_at: Some(at(100)), ..new(&channel, 0) }).await;
        publish(catalog, id).await;
        catalog.load_clip(id, at(99)).await.unwrap();
        assert!(is_missing(catalog.load_clip(id, at(100)).await));
        assert_eq!(catalog.doom_expired_clips(10, at(99)).await.unwrap(), 0);
        assert_eq!(catalog.doom_expired_clips(10, at(100)).await.unwrap(), 1);
        let doomed = catalog.list_doomed_clips(None, at(0), 10).await.unwrap();
        assert_eq!((doomed.len(), doomed[0].id, doomed[0].start), (1, id, at(0)));
        assert!(doomed[0].object.is_some());
        catalog.delete_doomed_clips(&[id]).await.unwrap();
        assert!(catalog.list_doomed_clips(None, at(0), 10).await.unwrap().is_empty());
    }

    async fn an_unfinished_clip_is_left_alone_until_its_attempt_is_over(catalog: &Catalog) {
        let channel = channel(catalog).await;
        let id = create(catalog, &new(&channel, 0)).await;
        let object = object();
        catalog.start_clip(id, None, object, at(0)).await.unwrap();
        catalog.doom_clip(id, at(10)).await.unwrap();
        assert!(!catalog.is_clip_wanted(id, object).await.unwrap());
        assert!(is_missing(catalog.publish_clip(id, object, &file(), "[]", at(10)).await));
        assert!(catalog.list_doomed_clips(None, at(10), 10).await.unwrap().is_empty());
        assert_eq!(catalog.list_doomed_clips(None, at(11), 10).await.unwrap()[0].object, Some(object));
    }

    async fn the_clips_of_a_deleted_channel_are_doomed(catalog: &Catalog) {
        let channel = channel(catalog).await;
        let id = create(catalog, &new(&channel, 0)).await;
        publish(catalog, id).await;
        catalog.delete_channel(channel.account, channel.id, at(5)).await.unwrap();
        assert!(is_missing(catalog.load_clip(id, at(5)).await));
        assert_eq!(catalog.list_doomed_clips(None, at(5), 10).await.unwrap().len(), 1);
    }

    async fn sharings_are_bounded_end_and_go_with_their_clip(catalog: &Catalog) {
        let channel = channel(catalog).await;
        let id = create(catalog, &new(&channel, 0)).await;
        let share = catalog.create_clip_share(id, 60, at(0)).await.unwrap();
        assert_eq!((share.clip, share.end()), (id, at(60)));
        assert_eq!(catalog.load_clip_share(share.id).await.unwrap(), share);
        for _ in 1..MOST_CLIP_SHARES {
            catalog.create_clip_share(id, 1_000, at(0)).await.unwrap();
        }
        let refused = catalog.create_clip_share(id, 60, at(59)).await;
        assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
        // The first one is over and makes room.
        catalog.create_clip_share(id, 60, at(60)).await.unwrap();
        let shares = catalog.list_clip_shares(id).await.unwrap();
        assert_eq!(i64::try_from(shares.len()).unwrap(), MOST_CLIP_SHARES);
        catalog.delete_clip_share(shares[0].id).await.unwrap();
        assert!(is_missing(catalog.load_clip_share(shares[0].id).await));
        catalog.doom_clip(id, at(0)).await.unwrap();
        assert!(is_missing(catalog.create_clip_share(id, 60, at(60)).await));
        catalog.delete_doomed_clips(&[id]).await.unwrap();
        assert!(is_missing(catalog.load_clip_share(shares[1].id).await));
    }
}
