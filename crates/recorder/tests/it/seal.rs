//! Every segment has a digest, and says the digest of the one before it.

use crate::rig::{Camera, EVER, Rig, small_clip};
use framewell_blob::ObjectKey;
use framewell_catalog::SegmentRow;
use framewell_fmp4::parse_link;
use framewell_model::{ChainLink, SealSource, SegmentDigest};
use sha2::{Digest as _, Sha256};

/// All rows with what their objects say came before them, after the bytes were compared with the digest.
async fn chain(rig: &Rig) -> Vec<(SegmentRow, Option<ChainLink>)> {
    let rows = rig
        .catalog
        .segment_rows(rig.channel, EVER, None, 1_000)
        .await
        .unwrap();
    let mut chain = Vec::new();
    for row in rows {
        let key = ObjectKey::Segment {
            channel: rig.channel,
            start: row.segment.range.start,
            id: row.segment.id,
        };
        let size = row.segment.size_bytes.unsigned_abs();
        let object = rig.blobs.get_range(&key, 0..size + 1).await.unwrap();
        let digest = SegmentDigest::new(Sha256::digest(&object).into());
        assert_eq!(row.seal.unwrap().digest, digest);
        chain.push((row, parse_link(&object).unwrap()));
    }
    chain
}

fn assert_linked(chain: &[(SegmentRow, Option<ChainLink>)]) {
    assert_eq!(chain[0].1, None, "nothing came before the first");
    for pair in chain.windows(2) {
        let before = &pair[0].0;
        let link = ChainLink {
            segment: before.segment.id,
            digest: before.seal.unwrap().digest,
        };
        assert_eq!(pair[1].1, Some(link));
    }
}

#[tokio::test]
async fn segments_are_chained_over_runs_crashes_and_restarts() {
    let mut rig = Rig::new().await;
    rig.record().await;
    let clip = small_clip().encode().unwrap();
    let mut camera = Camera::connect(&rig, &clip, small_clip().start);
    camera.play();
    camera.play_units(19);
    rig.until_recorded(50).await;
    rig.until_published(2).await;
    rig.crash().await;
    rig.node
        .recorder
        .recover(|channel| channel.rec_mode)
        .await
        .unwrap();
    let back = rig.pieces().await.last().unwrap().range.end;
    rig.record().await;
    let mut camera = Camera::connect(&rig, &clip, back.plus_micros(20_000_000));
    camera.play();
    rig.until_recorded(80).await;
    rig.stop().await;

    let chain = chain(&rig).await;
    assert!(chain.len() >= 5, "{}", chain.len());
    assert_linked(&chain);
    let sources = chain.iter().map(|(row, _)| row.seal.unwrap().source);
    let recovered = sources
        .clone()
        .filter(|source| *source == SealSource::Recovered)
        .count();
    assert_eq!(recovered, 1, "the segment that was open at the crash");
    let written = sources.filter(|source| *source == SealSource::Written);
    assert_eq!(written.count(), chain.len() - 1);
    let runs: std::collections::BTreeSet<_> = chain
        .iter()
        .map(|(row, _)| row.segment.run.uuid())
        .collect();
    assert_eq!(runs.len(), 2);
}
