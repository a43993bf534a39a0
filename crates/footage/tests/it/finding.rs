//! Which segments there are, and reading them.

use crate::archive::{Archive, EVER, gops, new_run, small_clip};
use framewell_catalog::NewSegment;
use framewell_footage::{Error, Location};
use framewell_model::{ClockSource, ErrorKind, HasKind, SegmentId, TimeRange};
use uuid::Uuid;

#[tokio::test]
async fn pieces_of_spool_and_store_come_by_start_and_each_once() {
    let archive = Archive::new().await;
    let (run, clip) = (new_run(), small_clip().encode().unwrap());
    let gops = gops(&clip);
    let made: Vec<_> = (0..4)
        .map(|n| archive.make(run, n, &clip, &gops[n as usize..=n as usize]))
        .collect();
    // Published, still registered although it is published, spooled, open without a fragment.
    archive.publish(&made[0]).await;
    archive.spool(&made[1]);
    archive.publish(&made[1]).await;
    archive.spool(&made[2]);
    archive.spool.open(&framewell_footage::SpoolSegment {
        identity: made[3].identity,
        path: archive.dir.path().join("none"),
        init_len: made[3].index.init_len,
    });
    let pieces = archive.footage.pieces(archive.channel, EVER).await.unwrap();
    let ids: Vec<_> = pieces.iter().map(|piece| piece.id).collect();
    let expected: Vec<_> = made[..3].iter().map(|m| m.identity.segment).collect();
    assert_eq!(ids, expected);
    let published: Vec<_> = pieces.iter().map(|p| p.record.is_some()).collect();
    assert_eq!(published, [true, true, false]);
    for (piece, made) in pieces.iter().zip(&made) {
        assert_eq!(piece.range, made.range);
        assert_eq!(piece.index.fragments, made.index.fragments);
        let all = archive.footage.read(piece, 0..u64::MAX).await.unwrap();
        assert!(all == made.bytes);
    }

    let second = TimeRange {
        start: made[0].range.end,
        end: made[2].range.start,
    };
    let pieces = archive.footage.pieces(archive.channel, second);
    assert_eq!(pieces.await.unwrap().len(), 1, "ranges are half open");
}

#[tokio::test]
async fn more_segments_than_one_query_returns_are_all_found() {
    let archive = Archive::new().await;
    let start = small_clip().start;
    let run = new_run();
    for n in 0..1_050i64 {
        let row = NewSegment {
            id: SegmentId::from_uuid(Uuid::now_v7()),
            channel: archive.channel,
            run,
            sequence: n,
            range: TimeRange {
                start: start.plus_micros(n * 1_000_000),
                end: start.plus_micros((n + 1) * 1_000_000),
            },
            clock: ClockSource::ServerArrival,
            size_bytes: 0,
            codecs: String::new(),
            index: framewell_fmp4::SegmentIndex::default().encode(),
        };
        let record = archive.catalog.stage_segment(&row, start).await.unwrap();
        archive
            .catalog
            .publish_segment(record, start)
            .await
            .unwrap();
    }
    let pieces = archive.footage.pieces(archive.channel, EVER).await.unwrap();
    assert!(pieces.iter().map(|piece| piece.sequence).eq(0..1_050));
}

#[tokio::test]
async fn a_spool_file_that_became_an_object_is_read_there() {
    let archive = Archive::new().await;
    let clip = small_clip().encode().unwrap();
    let made = archive.make(new_run(), 0, &clip, &gops(&clip));
    let path = archive.spool(&made);
    let pieces = archive.footage.pieces(archive.channel, EVER).await.unwrap();
    assert_eq!(pieces[0].location, Location::Spool(path.clone()));
    archive.publish(&made).await;
    archive.spool.remove(made.identity.segment);
    std::fs::remove_file(path).unwrap();
    let bytes = archive.footage.read(&pieces[0], 100..300).await.unwrap();
    assert!(bytes == made.bytes[100..300]);
}

#[tokio::test]
async fn parameters_are_read_once() {
    let archive = Archive::new().await;
    let clip = small_clip().encode().unwrap();
    let made = archive.make(new_run(), 0, &clip, &gops(&clip));
    let piece = archive.publish(&made).await;
    let parameters = archive.footage.parameters(&piece).await.unwrap();
    assert_eq!(*parameters, clip.parameters);
    archive.blobs.delete(&piece.object_key()).await.unwrap();
    assert_eq!(
        archive.footage.parameters(&piece).await.unwrap(),
        parameters
    );
    let error = archive.footage.read(&piece, 0..10).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DataLoss);
}

#[tokio::test]
async fn an_object_that_is_shorter_than_its_index_is_damaged() {
    let archive = Archive::new().await;
    let clip = small_clip().encode().unwrap();
    let made = archive.make(new_run(), 0, &clip, &gops(&clip));
    let piece = archive.publish(&made).await;
    let short = archive.dir.path().join("short");
    std::fs::write(&short, &made.bytes[..made.bytes.len() - 1]).unwrap();
    archive
        .blobs
        .put_file(&piece.object_key(), &short)
        .await
        .unwrap();
    let error = archive.footage.read(&piece, 0..u64::MAX).await.unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    let text = error.to_string();
    for part in [piece.id.to_string(), piece.range.start.to_rfc3339()] {
        assert!(text.contains(&part), "{text} names the segment");
    }
    assert!(archive.footage.read(&piece, 0..100).await.is_ok());
}
