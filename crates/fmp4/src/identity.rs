//! The box that makes a segment explain itself (architecture invariant 3).

use crate::Error;
use crate::read::Reader;
use crate::write::BoxWriter;
use framewell_model::{ChannelId, ClockSource, RunId, SegmentId, WallTime};
use uuid::Uuid;

/// Who a segment is, stored in a `uuid` box inside its `moov`, so that a catalog can be rebuilt from
/// the objects alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentIdentity {
    /// Its own id.
    pub segment: SegmentId,
    /// Whose footage: of a sub stream, the negative number of its channel.
    pub channel: ChannelId,
    /// The unbroken piece it belongs to.
    pub run: RunId,
    /// Place within the run, from 0.
    pub sequence: i64,
    /// Capture time of the first picture.
    pub wall_start: WallTime,
    /// Where that time comes from.
    pub clock: ClockSource,
}

/// User type of the identity box.
pub(crate) const IDENTITY_BOX: [u8; 16] = *b"framewell/ident\0";
/// Layout of the box.
const VERSION: u8 = 1;

impl SegmentIdentity {
    /// Writes the `uuid` box.
    pub(crate) fn write(&self, w: &mut BoxWriter) {
        w.uuid_box(&IDENTITY_BOX, |w| {
            w.u8(VERSION);
            w.u8(match self.clock {
                ClockSource::CameraRtcp => 1,
                ClockSource::ServerArrival => 2,
            });
            w.raw(self.segment.uuid().as_bytes());
            w.i64(self.channel.get());
            w.raw(self.run.uuid().as_bytes());
            w.i64(self.sequence);
            w.i64(self.wall_start.micros());
        });
    }

    /// Reads what [`SegmentIdentity::write`] wrote after the user type.
    pub(crate) fn read(mut body: Reader<'_>) -> Result<Self, Error> {
        let version = body.u8()?;
        if version != VERSION {
            return Err(body.bad(format!("unknown identity version {version}")));
        }
        let clock = match body.u8()? {
            1 => ClockSource::CameraRtcp,
            2 => ClockSource::ServerArrival,
            other => return Err(body.bad(format!("unknown clock source {other}"))),
        };
        let segment = SegmentId::from_uuid(Uuid::from_bytes(body.array()?));
        let channel = body.i64()?;
        let channel = ChannelId::stored(channel)
            .ok_or_else(|| body.bad(format!("{channel} is no channel id")))?;
        Ok(Self {
            segment,
            channel,
            run: RunId::from_uuid(Uuid::from_bytes(body.array()?)),
            sequence: body.i64()?,
            wall_start: WallTime::from_micros(body.i64()?),
            clock,
        })
    }
}
