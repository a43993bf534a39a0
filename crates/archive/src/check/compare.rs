//! A day's rows and objects, side by side.

use crate::{Finding, FindingKind, key_of};
use framewell_blob::{ObjectKey, StoredObject};
use framewell_catalog::SegmentRow;
use framewell_model::{ChannelId, SegmentId, SegmentState, WallTime};
use std::collections::BTreeMap;

/// What does not fit together at first sight, and the published rows whose objects have the right length.
/// What changed after `fresh_since` may be in the middle of something, and is passed over.
pub(super) fn compare(
    channel: ChannelId,
    objects: Vec<StoredObject>,
    rows: Vec<SegmentRow>,
    fresh_since: WallTime,
) -> (Vec<Finding>, Vec<SegmentRow>) {
    let mut suspects = Vec::new();
    let mut sound = Vec::new();
    let suspect = |kind, segment, start, what: String| Finding {
        kind,
        channel,
        segment,
        start,
        what,
        repair: None,
    };
    let mut by_id: BTreeMap<SegmentId, (WallTime, StoredObject)> = BTreeMap::new();
    for object in objects {
        let Some(ObjectKey::Segment { id, start, .. }) = object.key else {
            let what = format!("{} has a name that is none of ours", object.path);
            suspects.push(suspect(FindingKind::Foreign, None, None, what));
            continue;
        };
        if let Some((start, other)) = by_id.insert(id, (start, object)) {
            let what = format!("a second object of the segment lies at {}", other.path);
            suspects.push(suspect(FindingKind::Foreign, Some(id), Some(start), what));
        }
    }
    for row in rows {
        let object = by_id.remove(&row.segment.id).map(|(_, object)| object);
        if let Some((kind, what)) = fault(&row, object.as_ref(), fresh_since) {
            let (id, start) = (row.segment.id, row.segment.range.start);
            suspects.push(suspect(kind, Some(id), Some(start), what));
        } else if row.state == SegmentState::Published {
            sound.push(row);
        }
    }
    for (id, (start, object)) in by_id {
        if object.modified < fresh_since {
            let what = format!("no row knows the object at {}", object.path);
            suspects.push(suspect(
                FindingKind::MissingRow,
                Some(id),
                Some(start),
                what,
            ));
        }
    }
    (suspects, sound)
}

/// What is wrong with a row and its object.
fn fault(
    row: &SegmentRow,
    object: Option<&StoredObject>,
    fresh_since: WallTime,
) -> Option<(FindingKind, String)> {
    let segment = &row.segment;
    match (row.state, object) {
        (SegmentState::Published, None) => {
            let what = "its object is missing".to_owned();
            Some((FindingKind::MissingObject, what))
        }
        (SegmentState::Published, Some(object)) => {
            let path = key_of(segment).path();
            if object.path != path {
                let what = format!("the object lies at {}, not at {path}", object.path);
                Some((FindingKind::Foreign, what))
            } else if i64::try_from(object.size) != Ok(segment.size_bytes) {
                let what = format!(
                    "the object has {} bytes, its row says {}",
                    object.size, segment.size_bytes
                );
                Some((FindingKind::Size, what))
            } else {
                None
            }
        }
        _ if row.updated >= fresh_since => None,
        (SegmentState::Staged, object) => {
            let there = if object.is_some() { "" } else { "not " };
            let what = format!("its row was never published; its object is {there}there");
            Some((FindingKind::Staged, what))
        }
        (SegmentState::Doomed, _) => {
            let what = "it was to be deleted and is not gone".to_owned();
            Some((FindingKind::Doomed, what))
        }
    }
}
