//! Fragments that others wrote (ISO/IEC 14496-12 section 8.8).

use super::MAX_SAMPLES;
use super::track::{Defaults, RawSample, Track};
use crate::Error;
use crate::read::Reader;

/// Bit of `sample_flags`: no random access point.
const IS_NON_SYNC: u32 = 0x0001_0000;

/// Reads the `trex` boxes.
pub(super) fn read_defaults(mvex: Reader<'_>, tracks: &mut [Track]) -> Result<(), Error> {
    let mut children = mvex;
    while !children.is_empty() {
        let mut child = children.next_box()?;
        if &child.name != b"trex" {
            continue;
        }
        let trex = &mut child.body;
        trex.version_and_flags()?;
        let id = trex.u32()?;
        trex.u32()?;
        let defaults = Defaults {
            duration: trex.u32()?,
            size: trex.u32()?,
            flags: trex.u32()?,
        };
        if let Some(track) = tracks.iter_mut().find(|track| track.id == id) {
            track.defaults = defaults;
        }
    }
    Ok(())
}

/// Adds the samples of a `moof` whose header begins at byte `at` of the file.
pub(super) fn read_moof(moof: Reader<'_>, at: u64, tracks: &mut [Track]) -> Result<(), Error> {
    let mut children = moof;
    let mut data_end = at;
    while !children.is_empty() {
        let child = children.next_box()?;
        if &child.name == b"traf" {
            data_end = read_traf(child.body, at, data_end, tracks)?;
        }
    }
    Ok(())
}

/// What a `tfhd` says (section 8.8.7).
struct Head {
    track: u32,
    base: Option<u64>,
    is_from_moof: bool,
    duration: Option<u32>,
    size: Option<u32>,
    flags: Option<u32>,
}

impl Head {
    fn read(mut tfhd: Reader<'_>) -> Result<Self, Error> {
        let (_, flags) = tfhd.version_and_flags()?;
        let track = tfhd.u32()?;
        let base = (flags & 0x1 != 0).then(|| tfhd.u64()).transpose()?;
        if flags & 0x2 != 0 {
            tfhd.u32()?;
        }
        let mut optional = |bit: u32| (flags & bit != 0).then(|| tfhd.u32()).transpose();
        Ok(Self {
            track,
            base,
            duration: optional(0x8)?,
            size: optional(0x10)?,
            flags: optional(0x20)?,
            is_from_moof: flags & 0x02_0000 != 0,
        })
    }
}

/// Adds the samples of a `traf`; where its data ends.
fn read_traf(
    traf: Reader<'_>,
    moof_at: u64,
    data_end: u64,
    tracks: &mut [Track],
) -> Result<u64, Error> {
    let head = Head::read(traf.find(b"tfhd")?)?;
    let Some(track) = tracks.iter_mut().find(|track| track.id == head.track) else {
        return Ok(data_end);
    };
    let defaults = Defaults {
        duration: head.duration.unwrap_or(track.defaults.duration),
        size: head.size.unwrap_or(track.defaults.size),
        flags: head.flags.unwrap_or(track.defaults.flags),
    };
    let base = match head.base {
        Some(base) => base,
        None if head.is_from_moof => moof_at,
        None => data_end,
    };
    let mut dts = match traf.find_opt(b"tfdt")? {
        Some(tfdt) => read_time(tfdt)?,
        None => track.end(),
    };
    let mut next = base;
    let mut children = traf;
    while !children.is_empty() {
        let child = children.next_box()?;
        if &child.name != b"trun" {
            continue;
        }
        let run = Run {
            base,
            next,
            dts,
            defaults,
        };
        (next, dts) = run.read(child.body, &mut track.samples)?;
    }
    Ok(next)
}

fn read_time(mut tfdt: Reader<'_>) -> Result<i64, Error> {
    let (version, _) = tfdt.version_and_flags()?;
    let time = if version == 0 {
        u64::from(tfdt.u32()?)
    } else {
        tfdt.u64()?
    };
    i64::try_from(time).map_err(|_| tfdt.bad("time out of range"))
}

/// Where a `trun` stands (section 8.8.8).
struct Run {
    base: u64,
    /// Behind the data of the run before.
    next: u64,
    dts: i64,
    defaults: Defaults,
}

impl Run {
    /// Adds its samples; where its data and its time end.
    fn read(self, mut trun: Reader<'_>, samples: &mut Vec<RawSample>) -> Result<(u64, i64), Error> {
        let (_, flags) = trun.version_and_flags()?;
        let count = trun.u32()? as usize;
        let out_of_range = "an offset out of range";
        let mut offset = self.next;
        if flags & 0x1 != 0 {
            let shift = i64::from(i32::from_be_bytes(trun.array()?));
            let moved = self.base.checked_add_signed(shift);
            offset = moved.ok_or_else(|| trun.bad(out_of_range))?;
        }
        let first_flags = (flags & 0x4 != 0).then(|| trun.u32()).transpose()?;
        let fields = [0x100, 0x200, 0x400, 0x800];
        let per_sample = 4 * fields.iter().filter(|bit| flags & **bit != 0).count();
        if count > MAX_SAMPLES || (per_sample > 0 && trun.rest().len() / per_sample < count) {
            return Err(trun.bad("more samples than bytes"));
        }
        // Samples that take no bytes of the box must not be many without bytes of their own.
        if per_sample == 0 && self.defaults.size == 0 && count > 1 {
            return Err(trun.bad("samples without a size"));
        }
        if samples.len().saturating_add(count) > MAX_SAMPLES {
            return Err(trun.bad(format!("more than {MAX_SAMPLES} samples")));
        }
        let mut dts = self.dts;
        for number in 0..count {
            let mut optional = |bit: u32| (flags & bit != 0).then(|| trun.u32()).transpose();
            let duration = optional(0x100)?.unwrap_or(self.defaults.duration);
            let size = optional(0x200)?.unwrap_or(self.defaults.size);
            let own_flags = optional(0x400)?;
            let shift = optional(0x800)?.unwrap_or(0);
            let first_flags = first_flags.filter(|_| number == 0);
            let sample_flags = own_flags.or(first_flags).unwrap_or(self.defaults.flags);
            samples.push(RawSample {
                offset,
                size,
                dts,
                shift: i64::from(i32::from_be_bytes(shift.to_be_bytes())),
                duration,
                is_key: sample_flags & IS_NON_SYNC == 0,
            });
            let next = offset.checked_add(u64::from(size));
            offset = next.ok_or_else(|| trun.bad(out_of_range))?;
            dts = dts.saturating_add(i64::from(duration));
        }
        Ok((offset, dts))
    }
}
