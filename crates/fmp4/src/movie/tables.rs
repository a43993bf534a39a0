//! The sample tables of a progressive file (ISO/IEC 14496-12 sections 8.6 and 8.7).

use super::track::RawSample;
use crate::Error;
use crate::read::Reader;

/// Reads `stbl`; at most `room` samples.
pub(super) fn read(stbl: Reader<'_>, room: usize) -> Result<Vec<RawSample>, Error> {
    let sizes = Sizes::read(stbl)?;
    if sizes.count > room {
        return Err(stbl.bad("too many samples"));
    }
    if sizes.count == 0 {
        return Ok(Vec::new());
    }
    let mut samples = place(stbl, &sizes)?;
    set_times(stbl, &mut samples)?;
    set_shifts(stbl, &mut samples)?;
    set_keys(stbl, &mut samples)?;
    Ok(samples)
}

/// `stsz` (section 8.7.3).
struct Sizes<'a> {
    same: u32,
    count: usize,
    each: Reader<'a>,
}

impl<'a> Sizes<'a> {
    fn read(stbl: Reader<'a>) -> Result<Self, Error> {
        let Some(mut stsz) = stbl.find_opt(b"stsz")? else {
            return Err(stbl.bad("no stsz box: sample sizes in fewer bits are not supported"));
        };
        stsz.version_and_flags()?;
        let same = stsz.u32()?;
        let count = stsz.u32()? as usize;
        if same == 0 && stsz.rest().len() / 4 < count {
            return Err(stsz.bad("more samples than bytes"));
        }
        Ok(Self {
            same,
            count,
            each: stsz,
        })
    }
}

/// Offsets and sizes: `stsc` says how many samples each chunk of `stco` or `co64` has.
fn place(stbl: Reader<'_>, sizes: &Sizes<'_>) -> Result<Vec<RawSample>, Error> {
    let mut chunks = Chunks::read(stbl)?;
    let mut runs = stbl.find(b"stsc")?;
    runs.version_and_flags()?;
    let run_count = runs.u32()? as usize;
    if run_count == 0 || runs.rest().len() / 12 < run_count {
        return Err(runs.bad("more entries than bytes"));
    }
    let mut each = sizes.each;
    let mut samples = Vec::with_capacity(sizes.count);
    let (mut first, mut per_chunk) = (runs.u32()?, runs.u32()?);
    runs.take(4)?;
    let mut left = run_count - 1;
    if first != 1 {
        return Err(runs.bad("the first chunk has no entry"));
    }
    let mut chunk = 1;
    while samples.len() < sizes.count {
        // The entry for this chunk holds until the first chunk of the next one.
        if left > 0 {
            let mut ahead = runs;
            first = ahead.u32()?;
            if first <= chunk {
                if first < chunk {
                    return Err(runs.bad("chunks do not rise"));
                }
                per_chunk = ahead.u32()?;
                ahead.take(4)?;
                (runs, left) = (ahead, left - 1);
            }
        }
        let mut offset = chunks.next(stbl)?;
        let wanted = (per_chunk as usize).min(sizes.count - samples.len());
        for _ in 0..wanted {
            let size = if sizes.same > 0 {
                sizes.same
            } else {
                each.u32()?
            };
            samples.push(RawSample {
                offset,
                size,
                dts: 0,
                shift: 0,
                duration: 0,
                is_key: true,
            });
            let next = offset.checked_add(u64::from(size));
            offset = next.ok_or_else(|| stbl.bad("an offset out of range"))?;
        }
        chunk += 1;
    }
    Ok(samples)
}

/// Chunk offsets of 32 or 64 bits.
struct Chunks<'a> {
    left: u32,
    is_long: bool,
    rest: Reader<'a>,
}

impl<'a> Chunks<'a> {
    fn read(stbl: Reader<'a>) -> Result<Self, Error> {
        let (mut rest, is_long) = match stbl.find_opt(b"co64")? {
            Some(co64) => (co64, true),
            None => (stbl.find(b"stco")?, false),
        };
        rest.version_and_flags()?;
        let left = rest.u32()?;
        Ok(Self {
            left,
            is_long,
            rest,
        })
    }

    fn next(&mut self, stbl: Reader<'_>) -> Result<u64, Error> {
        self.left = self
            .left
            .checked_sub(1)
            .ok_or_else(|| stbl.bad("fewer chunks than samples"))?;
        if self.is_long {
            self.rest.u64()
        } else {
            self.rest.u32().map(u64::from)
        }
    }
}

/// Runs of a value per sample: `(count, value)` pairs.
fn runs(mut table: Reader<'_>) -> Result<(Reader<'_>, u32), Error> {
    table.version_and_flags()?;
    let count = table.u32()?;
    Ok((table, count))
}

/// `stts` (section 8.6.1.2).
fn set_times(stbl: Reader<'_>, samples: &mut [RawSample]) -> Result<(), Error> {
    let (mut table, count) = runs(stbl.find(b"stts")?)?;
    let mut dts: i64 = 0;
    let mut at: usize = 0;
    for _ in 0..count {
        let (many, step) = (table.u32()? as usize, table.u32()?);
        let end = at.saturating_add(many).min(samples.len());
        for sample in &mut samples[at..end] {
            sample.dts = dts;
            sample.duration = step;
            dts = dts.saturating_add(i64::from(step));
        }
        at = end;
    }
    if at < samples.len() {
        return Err(table.bad("samples without a time"));
    }
    Ok(())
}

/// `ctts` (section 8.6.1.3); version 0 is read as signed too, since files have it so.
fn set_shifts(stbl: Reader<'_>, samples: &mut [RawSample]) -> Result<(), Error> {
    let Some(ctts) = stbl.find_opt(b"ctts")? else {
        return Ok(());
    };
    let (mut table, count) = runs(ctts)?;
    let mut at: usize = 0;
    for _ in 0..count {
        let many = table.u32()? as usize;
        let shift = i64::from(i32::from_be_bytes(table.array()?));
        let end = at.saturating_add(many).min(samples.len());
        for sample in &mut samples[at..end] {
            sample.shift = shift;
        }
        at = end;
    }
    Ok(())
}

/// `stss` (section 8.6.2); without it every sample is a random access point.
fn set_keys(stbl: Reader<'_>, samples: &mut [RawSample]) -> Result<(), Error> {
    let Some(stss) = stbl.find_opt(b"stss")? else {
        return Ok(());
    };
    let (mut table, count) = runs(stss)?;
    for sample in samples.iter_mut() {
        sample.is_key = false;
    }
    for _ in 0..count {
        let number = (table.u32()? as usize).checked_sub(1);
        let sample = number.and_then(|number| samples.get_mut(number));
        sample
            .ok_or_else(|| table.bad("a key frame that is no sample"))?
            .is_key = true;
    }
    Ok(())
}
