//! Recordings for the server: segments of two GOPs, still in the spool.

use crate::support::{Server, channel};
use framewell_fmp4::{SegmentIdentity, build_fragment, build_segment_init};
use framewell_footage::SpoolSegment;
use framewell_media::{AccessUnit, TrackKind};
use framewell_model::{ClockSource, RunId, SegmentId};
use framewell_testkit::encode::EncodedClip;

/// GOPs in a segment.
const SEGMENT_GOPS: usize = 2;

impl Server {
    /// Records a clip as run `run` of a channel.
    pub(crate) fn record(&self, id: i64, run: RunId, clip: &EncodedClip) {
        let gops = gops_of(&clip.units);
        let first_dts = |number: usize| gops.get(number).map(|gop| gop[0].dts.ticks);
        for (sequence, segment) in gops.chunks(SEGMENT_GOPS).enumerate() {
            let identity = SegmentIdentity {
                segment: unique_segment(),
                channel: channel(id),
                run,
                sequence: i64::try_from(sequence).unwrap(),
                wall_start: segment[0][0].wall,
                clock: ClockSource::CameraRtcp,
            };
            let (init, clock) = build_segment_init(&clip.parameters, &identity, &segment[0]);
            let mut file = init.to_vec();
            let id = identity.segment;
            let path = self.folder.path().join(format!("{id}.mp4"));
            self.spool.open(&SpoolSegment {
                identity,
                path: path.clone(),
                init_len: u32::try_from(file.len()).unwrap(),
            });
            let mut entries = Vec::new();
            for (number, gop) in segment.iter().enumerate() {
                let next = first_dts(sequence * SEGMENT_GOPS + number + 1);
                let count = u32::try_from(number + 1).unwrap();
                let fragment = build_fragment(&clock, count, &clip.parameters, gop, next);
                let mut entry = fragment.entry;
                entry.offset = file.len() as u64;
                entries.push(entry);
                file.extend_from_slice(&fragment.header);
                file.extend(fragment.payload.iter().flatten());
            }
            std::fs::write(&path, &file).unwrap();
            for entry in entries {
                self.spool.append(id, entry);
            }
        }
    }
}

/// Of random bits, as every test process needs its own.
fn unique_segment() -> SegmentId {
    let bits = format!("{:032x}", rand::random::<u128>());
    let part = |from: usize, to: usize| bits.get(from..to).unwrap();
    let text = format!(
        "{}-{}-7{}-8{}-{}",
        part(0, 8),
        part(8, 12),
        part(13, 16),
        part(17, 20),
        part(20, 32)
    );
    text.parse().unwrap()
}

fn gops_of(units: &[AccessUnit]) -> Vec<Vec<AccessUnit>> {
    let mut gops: Vec<Vec<AccessUnit>> = Vec::new();
    for unit in units {
        if unit.track == TrackKind::Video && unit.is_key {
            gops.push(Vec::new());
        }
        gops.last_mut().unwrap().push(unit.clone());
    }
    gops
}

/// The same clip, captured later.
pub(crate) fn later(clip: &EncodedClip, by_ms: i64) -> EncodedClip {
    let mut clip = clip.clone();
    for unit in &mut clip.units {
        unit.wall = unit.wall.plus_micros(by_ms * 1_000);
    }
    clip
}
