//! The box that ties a segment to the one that was closed before it.

use crate::Error;
use crate::read::Reader;
use crate::write::BoxWriter;
use framewell_model::{ChainLink, SegmentDigest, SegmentId};
use uuid::Uuid;

/// User type of the box, beside the identity box in `moov`. Segments from before there was one, and the
/// first of a channel, have none.
pub(crate) const CHAIN_BOX: [u8; 16] = *b"framewell/chain\0";
/// Layout of the box.
const VERSION: u8 = 1;

/// Writes the `uuid` box.
pub(crate) fn write(w: &mut BoxWriter, link: &ChainLink) {
    w.uuid_box(&CHAIN_BOX, |w| {
        w.u8(VERSION);
        w.raw(link.segment.uuid().as_bytes());
        w.raw(link.digest.bytes());
    });
}

/// Reads what [`write`] wrote after the user type.
pub(crate) fn read(mut body: Reader<'_>) -> Result<ChainLink, Error> {
    let version = body.u8()?;
    if version != VERSION {
        return Err(body.bad(format!("unknown chain version {version}")));
    }
    Ok(ChainLink {
        segment: SegmentId::from_uuid(Uuid::from_bytes(body.array()?)),
        digest: SegmentDigest::new(body.array()?),
    })
}
