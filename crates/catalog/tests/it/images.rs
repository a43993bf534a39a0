//! Rows of stored pictures.

use crate::backend::{ALL, at, channel, channel_of, conformance, missing_channel, range, segment};
use framewell_catalog::{Catalog, Error, ImageFilter, NewImage, Order, Slice, StagedImage};
use framewell_model::{
    ChannelId, ChannelPatch, ClockSource, FrameId, ImageId, ImageObjectId, ImageOrigin, RunId,
};
use uuid::Uuid;

const RECORDS: ImageOrigin = ImageOrigin::GeneratedFromRecords;
const THUMBNAIL: ImageOrigin = ImageOrigin::RecordingThumbnail;

fn image(channel: ChannelId, seconds: i64) -> NewImage {
    NewImage {
        object: ImageObjectId::from_uuid(Uuid::now_v7()),
        channel,
        time: at(seconds),
        clock: ClockSource::CameraRtcp,
        width: 1280,
        height: 720,
        size_bytes: 1_000,
        hash: "00ff".into(),
        origin: RECORDS,
        origin_id: Some(55),
        frame: FrameId {
            run: RunId::from_uuid(Uuid::from_u128(7)),
            ticks: seconds * 90_000,
        },
    }
}

async fn stage(catalog: &Catalog, image: &NewImage) -> StagedImage {
    catalog.stage_image(image, at(0)).await.unwrap()
}

async fn store(catalog: &Catalog, image: &NewImage) -> ImageId {
    let id = stage(catalog, image).await.id;
    catalog.publish_image(id, at(0)).await.unwrap();
    id
}

fn of(channel: ChannelId) -> ImageFilter {
    ImageFilter {
        channels: vec![channel],
        ..ImageFilter::default()
    }
}

/// Seconds of the pictures in a list.
async fn times(catalog: &Catalog, filter: &ImageFilter) -> Vec<i64> {
    let page = catalog.list_images(filter, Order::Ascending, ALL).await;
    let page = page.unwrap();
    assert_eq!(page.total, i64::try_from(page.items.len()).unwrap());
    page.items
        .iter()
        .map(|i| i.time.secs() - at(0).secs())
        .collect()
}

async fn doomed(catalog: &Catalog) -> Vec<ImageId> {
    let rows = catalog.list_doomed_images(None, 100).await.unwrap();
    rows.iter().map(|row| row.id).collect()
}

conformance! {
    async fn a_picture_comes_back_as_it_went_in(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        for (seconds, origin) in (0..).zip(ImageOrigin::ALL) {
            let origin_id = Some(seconds).filter(|id| *id > 0);
            let new = NewImage { origin, origin_id, ..image(channel, seconds) };
            let id = store(catalog, &new).await;
            let stored = catalog.load_image(id).await.unwrap();
            assert_eq!((stored.id, stored.object, stored.channel), (id, new.object, channel));
            assert_eq!((stored.time, stored.clock, stored.frame), (new.time, new.clock, new.frame));
            assert_eq!((stored.width, stored.height, stored.size_bytes), (1280, 720, 1_000));
            assert_eq!((stored.origin, stored.origin_id), (origin, origin_id));
            assert_eq!(stored.hash, new.hash);
        }
    }

    async fn readers_see_a_picture_from_its_publication_to_its_doom(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        let staged = stage(catalog, &image(channel, 5)).await;
        assert!(!staged.is_published);
        assert!(times(catalog, &of(channel)).await.is_empty());
        assert!(matches!(catalog.load_image(staged.id).await, Err(Error::NotFound { .. })));
        catalog.publish_image(staged.id, at(1)).await.unwrap();
        catalog.publish_image(staged.id, at(1)).await.unwrap();
        assert_eq!(times(catalog, &of(channel)).await, [5]);
        catalog.doom_image(staged.id, at(2)).await.unwrap();
        assert!(times(catalog, &of(channel)).await.is_empty());
        let late = catalog.publish_image(staged.id, at(3)).await;
        assert!(matches!(late, Err(Error::NotFound { .. })), "doom is final");
        assert_eq!(doomed(catalog).await, [staged.id]);
        catalog.delete_doomed_images(&[staged.id]).await.unwrap();
        assert!(doomed(catalog).await.is_empty());
        assert!(matches!(catalog.doom_image(staged.id, at(4)).await, Err(Error::NotFound { .. })));
    }

    async fn the_same_picture_for_the_same_purpose_has_one_row(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        let first = image(channel, 5);
        let staged = stage(catalog, &first).await;
        let again = NewImage { size_bytes: 2_000, ..image(channel, 5) };
        let resumed = stage(catalog, &again).await;
        assert_eq!((resumed.id, resumed.object), (staged.id, first.object));
        assert!(!resumed.is_published);
        catalog.publish_image(staged.id, at(1)).await.unwrap();
        let third = stage(catalog, &NewImage { size_bytes: 3_000, ..image(channel, 5) }).await;
        assert!(third.is_published);
        assert_eq!(catalog.load_image(staged.id).await.unwrap().size_bytes, 2_000);
        // Another task, another origin or another frame is another picture.
        for other in [
            NewImage { origin_id: Some(56), ..image(channel, 5) },
            NewImage { origin_id: None, ..image(channel, 5) },
            NewImage { origin: THUMBNAIL, ..image(channel, 5) },
            image(channel, 6),
        ] {
            assert_ne!(store(catalog, &other).await, staged.id);
        }
        catalog.doom_image(staged.id, at(2)).await.unwrap();
        assert_ne!(store(catalog, &first_with_new_object(&first)).await, staged.id);
    }

    async fn lists_filter_by_time_origin_and_task(catalog: &Catalog) {
        let owner = channel(catalog).await;
        let (a, b) = (owner.id, channel_of(catalog, owner.account, "b").await.id);
        for seconds in 0..4 {
            store(catalog, &image(a, seconds)).await;
        }
        store(catalog, &NewImage { origin_id: Some(56), ..image(a, 9) }).await;
        store(catalog, &NewImage { origin: THUMBNAIL, origin_id: None, ..image(a, 7) }).await;
        store(catalog, &image(b, 2)).await;
        assert_eq!(times(catalog, &of(a)).await, [0, 1, 2, 3, 7, 9]);
        let closed = ImageFilter { start: Some(at(1)), end: Some(at(3)), ..of(a) };
        assert_eq!(times(catalog, &closed).await, [1, 2, 3]);
        let thumbnails = ImageFilter { origins: Some(vec![THUMBNAIL]), ..of(a) };
        assert_eq!(times(catalog, &thumbnails).await, [7]);
        let none = ImageFilter { origins: Some(vec![]), ..of(a) };
        assert!(times(catalog, &none).await.is_empty());
        let tasks = ImageFilter { origin_ids: Some(vec![56, 99]), ..of(a) };
        assert_eq!(times(catalog, &tasks).await, [9]);
        let both = ImageFilter { channels: vec![a, b], ..closed.clone() };
        assert_eq!(times(catalog, &both).await, [1, 2, 2, 3]);
        assert!(times(catalog, &ImageFilter::default()).await.is_empty());
        let slice = Slice { limit: 2, offset: 1 };
        let page = catalog.list_images(&of(a), Order::Descending, slice).await.unwrap();
        let found: Vec<_> = page.items.iter().map(|image| image.time).collect();
        assert_eq!((found, page.total), (vec![at(7), at(3)], 6));
        let newest = catalog.newest_image_time(a, RECORDS).await.unwrap();
        assert_eq!(newest, Some(at(9)));
        assert_eq!(catalog.newest_image_time(b, THUMBNAIL).await.unwrap(), None);
    }

    async fn retention_dooms_what_is_older_of_one_channel(catalog: &Catalog) {
        let owner = channel(catalog).await;
        let (a, b) = (owner.id, channel_of(catalog, owner.account, "b").await.id);
        for seconds in 0..4 {
            store(catalog, &image(a, seconds)).await;
            store(catalog, &image(b, seconds)).await;
        }
        store(catalog, &NewImage { origin: THUMBNAIL, ..image(a, 1) }).await;
        let doom = async |origin, before, limit| {
            catalog.doom_images_before(a, origin, at(before), limit, at(9)).await.unwrap()
        };
        assert_eq!(doom(Some(THUMBNAIL), 3, 100).await, 1);
        assert_eq!(doom(None, 3, 2).await, 2, "the oldest first, in small steps");
        assert_eq!(times(catalog, &of(a)).await, [2, 3]);
        assert_eq!(doom(None, 3, 2).await, 1);
        assert_eq!(times(catalog, &of(a)).await, [3]);
        assert_eq!(times(catalog, &of(b)).await, [0, 1, 2, 3]);
    }

    async fn the_quota_dooms_what_was_stored_first(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        for seconds in [9, 8, 7, 6] {
            store(catalog, &image(channel, seconds)).await;
        }
        stage(catalog, &image(channel, 1)).await;
        assert_eq!(catalog.published_image_bytes().await.unwrap(), 4_000);
        let freed = catalog.doom_oldest_images(1_500, 100, at(20)).await.unwrap();
        assert_eq!((freed, catalog.published_image_bytes().await.unwrap()), (2_000, 2_000));
        assert_eq!(times(catalog, &of(channel)).await, [6, 7]);
    }

    async fn what_a_crash_left_staged_is_doomed_after_a_while(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        let staged = stage(catalog, &image(channel, 1)).await;
        store(catalog, &image(channel, 2)).await;
        let abandoned = async |before| {
            catalog.doom_abandoned_images(at(before), 10, at(50)).await.unwrap()
        };
        assert_eq!(abandoned(0).await, 0);
        assert_eq!(abandoned(1).await, 1);
        assert_eq!(doomed(catalog).await, [staged.id]);
        assert_eq!(times(catalog, &of(channel)).await, [2]);
    }

    async fn a_deleted_channel_dooms_its_pictures_and_takes_no_new_ones(catalog: &Catalog) {
        let channel = channel(catalog).await;
        let published = store(catalog, &image(channel.id, 1)).await;
        let staged = stage(catalog, &image(channel.id, 2)).await.id;
        catalog.delete_channel(channel.account, channel.id, at(5)).await.unwrap();
        assert_eq!(doomed(catalog).await, [published, staged]);
        let after = catalog.list_doomed_images(Some(published), 10).await.unwrap();
        assert_eq!((after[0].id, after[0].channel, after[0].time), (staged, channel.id, at(2)));
        for gone in [channel.id, missing_channel()] {
            let late = catalog.stage_image(&image(gone, 3), at(6)).await;
            assert!(matches!(late, Err(Error::NotFound { .. })));
        }
        // Rows of living pictures are never deleted.
        catalog.delete_doomed_images(&[published, staged]).await.unwrap();
        assert!(doomed(catalog).await.is_empty());
    }

    async fn the_oldest_footage_is_known(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        assert_eq!(catalog.oldest_footage(channel).await.unwrap(), None);
        for (start, end) in [(10, 20), (0, 10)] {
            let record = catalog.stage_segment(&segment(channel, range(start, end)), at(0)).await;
            catalog.publish_segment(record.unwrap(), at(0)).await.unwrap();
        }
        assert_eq!(catalog.oldest_footage(channel).await.unwrap(), Some(at(0)));
    }

    async fn the_period_of_live_pictures_is_kept_with_the_channel(catalog: &Catalog) {
        let channel = channel(catalog).await;
        assert_eq!(channel.image_period_us, None);
        let set = async |period: Option<Option<i64>>| {
            let patch = ChannelPatch { image_period_us: period, ..ChannelPatch::default() };
            let changed = catalog.update_channel(channel.account, channel.id, &patch).await.unwrap();
            assert_eq!(changed, catalog.load_channel(channel.id).await.unwrap());
            changed.image_period_us
        };
        assert_eq!(set(Some(Some(1_500_000))).await, Some(1_500_000));
        assert_eq!(set(None).await, Some(1_500_000));
        assert_eq!(set(Some(None)).await, None);
    }
}

fn first_with_new_object(first: &NewImage) -> NewImage {
    NewImage {
        object: ImageObjectId::from_uuid(Uuid::now_v7()),
        ..first.clone()
    }
}
