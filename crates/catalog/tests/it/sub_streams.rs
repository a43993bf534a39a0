//! Sub streams: what is kept apart from the main stream, and what goes with it.

use crate::backend::{ALL, at, camera, channel, channel_of, conformance, range, segment};
use framewell_catalog::{Catalog, ChannelFilter, Error, NewGap, NewSegment};
use framewell_model::{
    Access, Channel, ChannelId, ChannelPatch, GapReason, NewGroup, NewHold, OffsetBasis, RecMode,
    RecordId, RunId, SegmentId, StreamKind, StreamOffset,
};
use uuid::Uuid;

/// A channel with a sub stream, and the id of that.
async fn with_sub(catalog: &Catalog) -> (Channel, ChannelId) {
    let channel = channel(catalog).await;
    let patch = ChannelPatch {
        source: Some(Some(camera())),
        ..ChannelPatch::default()
    };
    let sub = catalog.put_sub_stream(channel.account, channel.id, &patch, at(1));
    let sub = sub.await.unwrap();
    (channel, sub.id)
}

async fn record(catalog: &Catalog, channel: ChannelId, start: i64) -> RecordId {
    let new = segment(channel, range(start, start + 10));
    let record = catalog.stage_segment(&new, at(0)).await.unwrap();
    catalog.publish_segment(record, at(1)).await.unwrap();
    record
}

async fn starts(catalog: &Catalog, channel: ChannelId) -> Vec<i64> {
    let found = catalog.segment_ranges(channel, range(0, 1_000)).await;
    let secs = |range: &framewell_model::TimeRange| range.start.secs() - at(0).secs();
    found.unwrap().iter().map(secs).collect()
}

conformance! {
    async fn a_sub_stream_has_its_own_settings_and_is_not_recorded_unless_asked(catalog: &Catalog) {
        let (main, sub) = with_sub(catalog).await;
        assert_eq!(sub, main.id.of(StreamKind::Sub));
        let made = catalog.load_sub_stream(main.id).await.unwrap().unwrap();
        assert_eq!((made.rec_mode, made.source), (RecMode::Off, Some(camera())));
        assert_eq!((made.account, made.timezone.as_str()), (main.account, "Europe/Berlin"));
        let patch = ChannelPatch {
            rec_mode: Some(RecMode::On),
            retention_s: Some(Some(60)),
            ..ChannelPatch::default()
        };
        let changed = catalog.put_sub_stream(main.account, main.id, &patch, at(9)).await.unwrap();
        assert_eq!((changed.rec_mode, changed.retention_s), (RecMode::On, Some(60)));
        assert_eq!((&changed.source, changed.created), (&Some(camera()), at(1)));
        assert_eq!(catalog.load_channel(main.id).await.unwrap(), main, "which stays as it was");

        let moved = ChannelPatch { timezone: Some("UTC".into()), ..ChannelPatch::default() };
        catalog.update_channel(main.account, main.id, &moved).await.unwrap();
        assert_eq!(catalog.load_channel(sub).await.unwrap().timezone, "UTC");
    }

    async fn a_sub_stream_is_in_no_list_and_no_group_but_in_the_servers(catalog: &Catalog) {
        let (main, sub) = with_sub(catalog).await;
        let all = catalog.list_channels(main.account, &ChannelFilter::default(), ALL).await.unwrap();
        assert_eq!((all.total, all.items[0].id), (1, main.id));
        assert_eq!(catalog.list_channel_ids(main.account).await.unwrap(), [main.id]);
        let group = NewGroup {
            name: "all".into(),
            channels: Vec::new(),
            channels_access: Access::Watch,
            include_all_channels: true,
            expire: None,
            max_channels_amount: None,
            ai_targeted: false,
            meta: Default::default(),
        };
        let group = catalog.create_group(main.account, &group, at(0)).await.unwrap();
        assert_eq!(catalog.load_group(group.id).await.unwrap().channels, [main.id]);
        assert!(!catalog.group_has_channel(group.id, sub).await.unwrap());
        let page = catalog.list_group_channels(group.id, &ChannelFilter::default(), ALL).await;
        assert_eq!(page.unwrap().total, 1);
        let mut ids: Vec<_> = catalog.all_channels().await.unwrap().iter().map(|c| c.id).collect();
        ids.sort_unstable();
        assert_eq!(ids, [sub, main.id]);
        let next = channel_of(catalog, main.account, "next").await;
        assert_eq!(next.id.get(), main.id.get() + 1, "numbers of channels go on");
    }

    async fn footage_gaps_and_chains_of_the_streams_never_mix(catalog: &Catalog) {
        let (main, sub) = with_sub(catalog).await;
        record(catalog, main.id, 0).await;
        record(catalog, sub, 100).await;
        assert_eq!(starts(catalog, main.id).await, [0]);
        assert_eq!(starts(catalog, sub).await, [100]);
        let gap = |channel, start| NewGap {
            channel,
            start: at(start),
            end: None,
            reason: GapReason::CameraOffline,
        };
        // Each may have an open one.
        catalog.insert_gap(gap(main.id, 10)).await.unwrap();
        catalog.insert_gap(gap(sub, 110)).await.unwrap();
        catalog.close_gap(sub, at(120)).await.unwrap();
        let (_, open) = catalog.recording_tail(main.id).await.unwrap();
        assert_eq!(open.unwrap().start, at(10));
        let (tail, open) = catalog.recording_tail(sub).await.unwrap();
        assert_eq!((tail, open.is_none()), (Some(at(110)), true));
        let doomed = catalog.doom_segments_before(sub, at(1_000), 10, at(50)).await.unwrap();
        assert_eq!((doomed, starts(catalog, main.id).await), (1, vec![0]));
        let loaded = catalog.segment_channels().await.unwrap();
        assert_eq!(loaded, [sub, main.id]);
    }

    async fn a_hold_of_the_channel_keeps_both_streams(catalog: &Catalog) {
        let (main, sub) = with_sub(catalog).await;
        let kept = record(catalog, sub, 0).await;
        record(catalog, sub, 50).await;
        let hold = NewHold { channel: main.id, name: "case 7".into(), range: range(0, 5), expires: None };
        catalog.create_hold(&hold, at(0)).await.unwrap();
        let doomed = catalog.doom_segments_before(sub, at(1_000), 10, at(60)).await.unwrap();
        assert_eq!((doomed, starts(catalog, sub).await), (1, vec![0]));
        assert!(matches!(catalog.doom_segment(kept, at(60)).await, Err(Error::Held { .. })));
        let deletion = catalog.delete_sub_stream(main.account, main.id, at(60)).await;
        assert!(matches!(deletion, Err(Error::Held { .. })));
    }

    async fn a_sub_stream_goes_by_itself_or_with_its_channel(catalog: &Catalog) {
        let (main, sub) = with_sub(catalog).await;
        record(catalog, main.id, 0).await;
        record(catalog, sub, 0).await;
        catalog.delete_sub_stream(main.account, main.id, at(2)).await.unwrap();
        assert_eq!(catalog.load_sub_stream(main.id).await.unwrap(), None);
        assert_eq!((starts(catalog, main.id).await, starts(catalog, sub).await), (vec![0], vec![]));
        let again = catalog.delete_sub_stream(main.account, main.id, at(3)).await;
        assert!(matches!(again, Err(Error::NotFound { .. })));

        catalog.put_sub_stream(main.account, main.id, &ChannelPatch::default(), at(4)).await.unwrap();
        record(catalog, sub, 20).await;
        catalog.delete_channel(main.account, main.id, at(5)).await.unwrap();
        assert!(catalog.all_channels().await.unwrap().is_empty());
        assert!(starts(catalog, sub).await.is_empty());
        assert_eq!(catalog.list_doomed_segments(10).await.unwrap().len(), 3);
    }

    async fn what_a_deleted_sub_stream_left_is_not_footage_of_the_next_one(catalog: &Catalog) {
        let (main, sub) = with_sub(catalog).await;
        let begun = |second: i64| {
            let millis = u64::try_from(at(second).micros() / 1_000).unwrap();
            let id = uuid::Builder::from_unix_timestamp_millis(millis, &[7; 10]).into_uuid();
            NewSegment { id: SegmentId::from_uuid(id), ..segment(sub, range(0, 10)) }
        };
        // Nothing of it is staged yet.
        catalog.delete_sub_stream(main.account, main.id, at(20)).await.unwrap();
        assert!(catalog.is_deleted_channel(sub).await.unwrap());
        assert!(!catalog.is_deleted_channel(main.id).await.unwrap());
        catalog.put_sub_stream(main.account, main.id, &ChannelPatch::default(), at(21)).await.unwrap();
        let refused = catalog.stage_segment(&begun(19), at(22)).await;
        assert!(matches!(refused, Err(Error::NotFound { .. })), "{refused:?}");
        catalog.stage_segment(&begun(21), at(22)).await.unwrap();
        catalog.delete_sub_stream(main.account, main.id, at(30)).await.unwrap();
        catalog.put_sub_stream(main.account, main.id, &ChannelPatch::default(), at(31)).await.unwrap();
        let refused = catalog.stage_segment(&begun(29), at(32)).await;
        assert!(matches!(refused, Err(Error::NotFound { .. })), "{refused:?}");
    }

    async fn the_sub_stream_of_a_channel_of_another_account_cannot_be_made(catalog: &Catalog) {
        let main = channel(catalog).await;
        let other = crate::backend::account(catalog, "other").await;
        let made = catalog.put_sub_stream(other, main.id, &ChannelPatch::default(), at(0)).await;
        assert!(matches!(made, Err(Error::NotFound { .. })));
        assert_eq!(catalog.load_sub_stream(main.id).await.unwrap(), None);
    }

    async fn a_lost_sub_stream_is_restored_with_its_channel(catalog: &Catalog) {
        let owner = crate::backend::account(catalog, "owner").await;
        let main = ChannelId::new(7).unwrap();
        let sub = main.of(StreamKind::Sub);
        assert!(catalog.restore_channel(owner, sub, "restored", at(0)).await.unwrap());
        assert!(!catalog.restore_channel(owner, sub, "again", at(0)).await.unwrap());
        assert_eq!(catalog.load_channel(main).await.unwrap().name, "restored");
        assert!(!catalog.restore_channel(owner, main, "again", at(0)).await.unwrap());
        assert_eq!(channel_of(catalog, owner, "new").await.id.get(), 8);
    }

    async fn offsets_of_runs_are_kept_as_last_measured(catalog: &Catalog) {
        let (_, sub) = with_sub(catalog).await;
        let offset = StreamOffset {
            run: RunId::from_uuid(Uuid::now_v7()),
            measured: at(10),
            offset_us: -1_250_000,
            error_us: 20_000,
            basis: OffsetBasis::BothReports,
        };
        catalog.put_stream_offset(sub, &offset).await.unwrap();
        let later = StreamOffset { measured: at(20), error_us: 9_000, ..offset };
        catalog.put_stream_offset(sub, &later).await.unwrap();
        assert_eq!(catalog.list_stream_offsets(sub, at(15), 10).await.unwrap(), [later]);
        assert!(catalog.list_stream_offsets(sub, at(21), 10).await.unwrap().is_empty());
        assert_eq!(catalog.forget_stream_offsets(at(21)).await.unwrap(), 1);
        let nobody = crate::backend::missing_channel();
        assert!(catalog.put_stream_offset(nobody, &offset).await.is_err());
    }
}
