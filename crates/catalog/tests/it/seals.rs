//! Digests of segments, and rows for those who check them.

use crate::backend::{at, channel, conformance, range, segment};
use framewell_catalog::{Error, NewGap, TokenTarget};
use framewell_model::{
    ChainLink, ChannelId, GapReason, NewHold, RecMode, Seal, SealSource, SegmentDigest,
    SegmentState, TimeRange,
};

fn seal(byte: u8) -> Seal {
    Seal {
        digest: SegmentDigest::new([byte; 32]),
        source: SealSource::Written,
    }
}

conformance! {
    async fn a_digest_comes_back_with_its_row(catalog: &Catalog) {
        let gate = channel(catalog).await;
        let (sealed, plain) = (segment(gate.id, range(0, 10)), segment(gate.id, range(10, 20)));
        let record = catalog.stage_sealed_segment(&sealed, Some(&seal(7)), at(20)).await.unwrap();
        catalog.stage_segment(&plain, at(21)).await.unwrap();
        assert_eq!(catalog.newest_link(gate.id).await.unwrap(), None, "not published");
        catalog.publish_segment(record, at(22)).await.unwrap();
        let link = ChainLink { segment: sealed.id, digest: seal(7).digest };
        assert_eq!(catalog.newest_link(gate.id).await.unwrap(), Some(link));

        let rows = catalog.segment_rows(gate.id, range(0, 20), None, 10).await.unwrap();
        let states: Vec<_> = rows.iter().map(|row| (row.segment.id, row.state, row.seal)).collect();
        assert_eq!(states, [
            (sealed.id, SegmentState::Published, Some(seal(7))),
            (plain.id, SegmentState::Staged, None),
        ]);
        assert_eq!(catalog.segment_row(sealed.id).await.unwrap().as_ref(), rows.first());
        assert_eq!(catalog.segment_channels().await.unwrap(), [gate.id]);
    }

    async fn what_is_recorded_next_is_tied_to_no_upload(catalog: &Catalog) {
        let gate = channel(catalog).await;
        let (recorded, uploaded) = (segment(gate.id, range(0, 10)), segment(gate.id, range(50, 60)));
        let imported = Seal { source: SealSource::Imported, ..seal(8) };
        for (row, seal) in [(&recorded, seal(7)), (&uploaded, imported)] {
            let record = catalog.stage_sealed_segment(row, Some(&seal), at(60)).await.unwrap();
            catalog.publish_segment(record, at(60)).await.unwrap();
        }
        let link = catalog.newest_link(gate.id).await.unwrap().unwrap();
        assert_eq!(link.segment, recorded.id);
    }

    async fn a_lost_segment_becomes_a_gap_in_one_step_unless_it_is_held(catalog: &Catalog) {
        let gate = channel(catalog).await;
        let lost = segment(gate.id, range(0, 10));
        let record = catalog.stage_segment(&lost, at(0)).await.unwrap();
        catalog.publish_segment(record, at(0)).await.unwrap();
        let hold = NewHold { channel: gate.id, name: "case".into(), range: range(9, 20), expires: None };
        let hold = catalog.create_hold(&hold, at(1)).await.unwrap();
        let error = catalog.give_up_segment(record, at(2)).await.unwrap_err();
        assert!(matches!(error, Error::Held { .. }), "{error}");
        assert!(catalog.load_segment(record).await.is_ok());
        assert_eq!(catalog.gaps_in(gate.id, range(0, 100)).await.unwrap(), []);
        catalog.delete_hold(gate.id, hold.id).await.unwrap();
        catalog.give_up_segment(record, at(3)).await.unwrap();
        assert_eq!(catalog.segment_row(lost.id).await.unwrap(), None);
        let gaps = catalog.gaps_in(gate.id, range(0, 100)).await.unwrap();
        assert_eq!((gaps[0].start, gaps[0].end, gaps[0].reason), (at(0), Some(at(10)), GapReason::DataLoss));
        let error = catalog.give_up_segment(record, at(4)).await.unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }), "{error}");
    }

    async fn deletions_are_found_by_time_and_say_which_channels_went(catalog: &Catalog) {
        let gate = channel(catalog).await;
        for start in [0, 10, 50] {
            let row = segment(gate.id, range(start, start + 10));
            let record = catalog.stage_segment(&row, at(0)).await.unwrap();
            catalog.publish_segment(record, at(0)).await.unwrap();
            if start > 0 {
                catalog.doom_segment(record, at(100)).await.unwrap();
            }
        }
        let found = async |range| {
            let found = catalog.deletions_in(gate.id, range, 9).await.unwrap();
            found.iter().map(|entry| entry.range).collect::<Vec<_>>()
        };
        assert_eq!(found(range(0, 10)).await, []);
        assert_eq!(found(range(19, 20)).await, [range(10, 20)]);
        assert_eq!(found(range(0, 100)).await, [range(10, 20), range(50, 60)]);
        assert!(!catalog.is_deleted_channel(gate.id).await.unwrap());
        catalog.delete_channel(gate.account, gate.id, at(101)).await.unwrap();
        assert!(catalog.is_deleted_channel(gate.id).await.unwrap());
    }

    async fn a_number_that_leaves_none_for_the_next_channel_is_not_restored(catalog: &Catalog) {
        let owner = crate::backend::account(catalog, "owner").await;
        for id in [i64::MAX, (1 << 52) + 1] {
            let id = ChannelId::new(id).unwrap();
            let error = catalog.restore_channel(owner, id, "hostile", at(0)).await.unwrap_err();
            assert!(matches!(error, Error::Invalid(_)), "{error}");
        }
        assert!(catalog.restore_channel(owner, ChannelId::new(7).unwrap(), "sound", at(0)).await.unwrap());
    }

    async fn rows_are_paged_by_start_and_number(catalog: &Catalog) {
        let gate = channel(catalog).await;
        for start in [0, 5, 5, 5, 9] {
            catalog.stage_segment(&segment(gate.id, range(start, start + 1)), at(0)).await.unwrap();
        }
        let mut behind = None;
        let mut starts = Vec::new();
        loop {
            let page = catalog.segment_rows(gate.id, range(0, 9), behind, 2).await.unwrap();
            let Some(last) = page.last() else { break };
            behind = Some((last.segment.range.start, last.segment.record));
            starts.extend(page.iter().map(|row| row.segment.range.start));
        }
        assert_eq!(starts, [at(0), at(5), at(5), at(5)]);
        assert_eq!(catalog.next_segment_row(gate.id, at(6)).await.unwrap(), Some(at(9)));
        assert_eq!(catalog.next_segment_row(gate.id, at(10)).await.unwrap(), None);
    }

    async fn channels_get_their_old_numbers_and_new_ones_come_behind(catalog: &Catalog) {
        let owner = crate::backend::account(catalog, "owner").await;
        let number = |id| ChannelId::new(id).unwrap();
        for id in [7, 3] {
            assert!(catalog.restore_channel(owner, number(id), "restored", at(0)).await.unwrap());
        }
        assert!(!catalog.restore_channel(owner, number(3), "again", at(0)).await.unwrap());
        let restored = catalog.load_channel(number(3)).await.unwrap();
        assert_eq!((restored.name.as_str(), restored.account), ("restored", owner));
        assert_eq!((restored.rec_mode, restored.source), (RecMode::Off, None));
        let new = crate::backend::channel_of(catalog, owner, "new").await;
        assert_eq!(new.id, number(8));
    }

    async fn the_first_token_of_a_new_database_has_the_serial_number_that_it_is_given(catalog: &Catalog) {
        let owner = crate::backend::account(catalog, "owner").await;
        assert!(catalog.skip_token_serials(1_700_000_000).await.unwrap());
        let token = catalog.ensure_token(owner, TokenTarget::Account(owner), at(0)).await.unwrap();
        assert_eq!(token.serial.get(), 1_700_000_000);
        assert!(!catalog.skip_token_serials(5).await.unwrap());
    }

    async fn a_hole_in_the_past_leaves_the_open_gap_alone(catalog: &Catalog) {
        let gate = channel(catalog).await;
        let open = NewGap { channel: gate.id, start: at(50), end: None, reason: GapReason::CameraOffline };
        catalog.insert_gap(open).await.unwrap();
        let past = NewGap { start: at(3), end: Some(at(4)), reason: GapReason::DataLoss, ..open };
        catalog.insert_past_gap(past).await.unwrap();
        assert!(catalog.insert_past_gap(NewGap { end: None, ..past }).await.is_err());
        let ever = TimeRange { start: at(0), end: at(100) };
        let gaps = catalog.gaps_in(gate.id, ever).await.unwrap();
        let gaps: Vec<_> = gaps.iter().map(|gap| (gap.start, gap.end)).collect();
        assert_eq!(gaps, [(at(3), Some(at(4))), (at(50), None)]);
    }
}
