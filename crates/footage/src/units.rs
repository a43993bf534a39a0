//! Access units out of stored fragments.

use crate::gop::{bytes_of, data_of};
use bytes::Bytes;
use framewell_fmp4::{FragmentEntry, Sample, parse_fragment};
use framewell_media::{AccessUnit, StreamParameters, TrackKind};
use framewell_model::{MediaTime, Timescale};

/// The units of adjacent fragments, tracks mixed by decoding time within each fragment.
pub(crate) fn read_part(
    fragments: &[FragmentEntry],
    bytes: &Bytes,
    parameters: &StreamParameters,
    units: &mut Vec<AccessUnit>,
) -> Result<(), framewell_fmp4::Error> {
    let audio_scale = parameters.audio.as_ref().map(|audio| audio.timescale());
    for (fragment, bytes) in bytes_of(fragments, bytes) {
        let first = units.len();
        for sample in parse_fragment(&bytes)? {
            let scale = match sample.track {
                TrackKind::Video => Some(Timescale::HZ_90K),
                TrackKind::Audio => audio_scale,
            };
            if let Some(scale) = scale {
                units.push(unit_of(&fragment, &sample, scale, &bytes)?);
            }
        }
        // Each track is in order already; of equal times, video comes first.
        units[first..].sort_by_key(|unit| (unit.dts.micros(), unit.track));
    }
    Ok(())
}

fn unit_of(
    fragment: &FragmentEntry,
    sample: &Sample,
    scale: Timescale,
    bytes: &Bytes,
) -> Result<AccessUnit, framewell_fmp4::Error> {
    let pts = MediaTime::new(sample.pts, scale);
    let wall = match sample.track {
        TrackKind::Video => fragment.wall_of(sample.pts),
        TrackKind::Audio => {
            let anchor = MediaTime::new(fragment.anchor_pts, Timescale::HZ_90K);
            let passed_us = pts.micros().saturating_sub(anchor.micros());
            fragment.wall.plus_micros(passed_us)
        }
    };
    Ok(AccessUnit {
        track: sample.track,
        pts,
        dts: MediaTime::new(sample.dts, scale),
        wall,
        clock: fragment.clock,
        is_key: sample.is_key,
        data: data_of(fragment, sample, bytes)?,
    })
}
