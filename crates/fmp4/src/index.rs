//! The compact index of a segment's fragments that the catalog keeps beside the row.

use crate::{Error, Sample, SampleTables, varint};
use framewell_model::{ClockSource, WallTime};

/// Where one fragment lies in its segment, and in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FragmentEntry {
    /// First byte (of its `prft`) in the segment.
    pub offset: u64,
    /// Bytes of `prft` + `moof` + `mdat` header: all that is needed to know the samples.
    pub header_len: u32,
    /// Bytes of the whole fragment.
    pub len: u32,
    /// Wall time of [`FragmentEntry::anchor_pts`]: capture time of the first video unit in decoding
    /// order. The wall time of any sample is `wall + (pts - anchor_pts)` on its timescale.
    pub wall: WallTime,
    /// PTS of the first video unit, 90 kHz ticks of the run.
    pub anchor_pts: i64,
    /// DTS of the first video unit, 90 kHz ticks of the run.
    pub dts: i64,
    /// Smallest video PTS in the fragment.
    pub min_pts: i64,
    /// Largest video PTS plus that sample's duration.
    pub end_pts: i64,
    /// Sum of the video sample durations (decode time), 90 kHz ticks.
    pub duration: i64,
    /// Whether it starts with a key frame.
    pub is_key: bool,
    /// Where `wall` comes from.
    pub clock: ClockSource,
}

/// All fragments of a segment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SegmentIndex {
    /// Bytes of `ftyp` + `moov`.
    pub init_len: u32,
    /// [`crate::fingerprint`] of the tracks, so that a list of segments says where parameters change without
    /// a look into each. 0: not known, as in the index of a segment that is still written.
    pub parameters: u64,
    /// In file order.
    pub fragments: Vec<FragmentEntry>,
    /// Their samples, which are not part of the encoded index; empty where they are not known, as in the index
    /// of a segment that is still written.
    pub samples: SampleTables,
}

impl FragmentEntry {
    /// Wall time of a video PTS (90 kHz ticks of the run) by this fragment's anchor.
    #[must_use]
    pub fn wall_of(&self, pts: i64) -> WallTime {
        self.wall.plus_micros(
            framewell_model::Timescale::HZ_90K.to_micros(pts.saturating_sub(self.anchor_pts)),
        )
    }
}

impl SegmentIndex {
    /// Adds a fragment with its samples.
    pub fn push(&mut self, entry: FragmentEntry, samples: &[Sample]) {
        // Where some are not known, none are.
        if self.fragments.is_empty() || !self.samples.is_empty() {
            self.samples.push(&entry, samples);
        }
        self.fragments.push(entry);
    }

    /// Compact versioned bytes: about 20 for a fragment. The samples are encoded apart, since lists of segments
    /// do not need them.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(16 + 24 * self.fragments.len());
        if self.parameters == 0 {
            out.push(VERSION_WITHOUT_PARAMETERS);
        } else {
            out.push(VERSION);
            out.extend_from_slice(&self.parameters.to_be_bytes());
        }
        varint::put(&mut out, u64::from(self.init_len));
        varint::put(&mut out, self.fragments.len() as u64);
        let mut expected = Expected::after_init(self.init_len);
        for fragment in &self.fragments {
            expected.put(&mut out, fragment);
            expected = Expected::after(fragment);
        }
        out
    }

    /// Reads what [`SegmentIndex::encode`] wrote.
    ///
    /// # Errors
    /// A version that is not known, bytes that are cut off or too many, and lengths out of range.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let (parameters, mut rest) = match bytes.split_first() {
            Some((&VERSION_WITHOUT_PARAMETERS, rest)) => (0, rest),
            Some((&(VERSION | VERSION_WITH_SAMPLES), rest)) => {
                let (parameters, rest) = rest
                    .split_first_chunk()
                    .ok_or_else(|| Error::BadIndex("cut off".to_owned()))?;
                (u64::from_be_bytes(*parameters), rest)
            }
            _ => return Err(Error::BadIndex("unknown version".to_owned())),
        };
        let init_len = take_u32(&mut rest)?;
        let count = varint::take(&mut rest)?;
        let mut fragments = Vec::new();
        let mut expected = Expected::after_init(init_len);
        for _ in 0..count {
            let fragment = expected.take(&mut rest)?;
            expected = Expected::after(&fragment);
            fragments.push(fragment);
        }
        let has_samples = bytes.first() == Some(&VERSION_WITH_SAMPLES);
        if rest.is_empty() == has_samples {
            return Err(Error::BadIndex(format!(
                "{} bytes behind the fragments",
                rest.len()
            )));
        }
        Ok(Self {
            init_len,
            parameters,
            fragments,
            samples: SampleTables::default(),
        })
    }

    /// Length of the segment in bytes.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        self.fragments
            .last()
            .map_or(u64::from(self.init_len), |last| {
                last.offset + u64::from(last.len)
            })
    }
}

/// Layout of the encoded index.
const VERSION: u8 = 2;
/// The same with samples behind it, in a form that is not read any more: the headers tell the same.
const VERSION_WITH_SAMPLES: u8 = 3;
/// The same without the fingerprint of the parameters.
const VERSION_WITHOUT_PARAMETERS: u8 = 1;
const IS_KEY: u8 = 1;
const IS_CAMERA_CLOCK: u8 = 2;

/// What the next fragment would look like if it simply went on; the bytes hold the differences.
#[derive(Debug, Clone, Copy)]
struct Expected {
    offset: u64,
    wall_us: i64,
    anchor_pts: i64,
    dts: i64,
}

impl Expected {
    fn after_init(init_len: u32) -> Self {
        Self {
            offset: u64::from(init_len),
            wall_us: 0,
            anchor_pts: 0,
            dts: 0,
        }
    }

    fn after(fragment: &FragmentEntry) -> Self {
        let passed_us = framewell_model::Timescale::HZ_90K.to_micros(fragment.duration);
        Self {
            offset: fragment.offset.wrapping_add(u64::from(fragment.len)),
            wall_us: fragment.wall.micros().wrapping_add(passed_us),
            anchor_pts: fragment.anchor_pts.wrapping_add(fragment.duration),
            dts: fragment.dts.wrapping_add(fragment.duration),
        }
    }

    fn put(self, out: &mut Vec<u8>, fragment: &FragmentEntry) {
        let flag = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
        out.push(
            flag(fragment.is_key, IS_KEY)
                | flag(fragment.clock == ClockSource::CameraRtcp, IS_CAMERA_CLOCK),
        );
        varint::put_signed(out, fragment.offset.wrapping_sub(self.offset).cast_signed());
        varint::put(out, u64::from(fragment.header_len));
        varint::put(out, u64::from(fragment.len));
        varint::put_signed(out, fragment.wall.micros().wrapping_sub(self.wall_us));
        varint::put_signed(out, fragment.anchor_pts.wrapping_sub(self.anchor_pts));
        varint::put_signed(out, fragment.dts.wrapping_sub(self.dts));
        varint::put_signed(out, fragment.anchor_pts.wrapping_sub(fragment.min_pts));
        varint::put_signed(out, fragment.end_pts.wrapping_sub(fragment.anchor_pts));
        varint::put_signed(out, fragment.duration);
    }

    fn take(self, rest: &mut &[u8]) -> Result<FragmentEntry, Error> {
        let Some((&flags, after)) = rest.split_first() else {
            return Err(Error::BadIndex("cut off".to_owned()));
        };
        *rest = after;
        if flags & !(IS_KEY | IS_CAMERA_CLOCK) != 0 {
            return Err(Error::BadIndex("unknown flags".to_owned()));
        }
        let offset = self
            .offset
            .wrapping_add(varint::take_signed(rest)?.cast_unsigned());
        let header_len = take_u32(rest)?;
        let len = take_u32(rest)?;
        if offset.checked_add(u64::from(len)).is_none() {
            return Err(Error::BadIndex("offset out of range".to_owned()));
        }
        let wall_us = self.wall_us.wrapping_add(varint::take_signed(rest)?);
        let anchor_pts = self.anchor_pts.wrapping_add(varint::take_signed(rest)?);
        let dts = self.dts.wrapping_add(varint::take_signed(rest)?);
        let min_pts = anchor_pts.wrapping_sub(varint::take_signed(rest)?);
        let end_pts = anchor_pts.wrapping_add(varint::take_signed(rest)?);
        Ok(FragmentEntry {
            offset,
            header_len,
            len,
            wall: WallTime::from_micros(wall_us),
            anchor_pts,
            dts,
            min_pts,
            end_pts,
            duration: varint::take_signed(rest)?,
            is_key: flags & IS_KEY != 0,
            clock: if flags & IS_CAMERA_CLOCK == 0 {
                ClockSource::ServerArrival
            } else {
                ClockSource::CameraRtcp
            },
        })
    }
}

fn take_u32(rest: &mut &[u8]) -> Result<u32, Error> {
    u32::try_from(varint::take(rest)?)
        .map_err(|_| Error::BadIndex("length of more than 32 bits".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry() -> impl Strategy<Value = FragmentEntry> {
        let place = (any::<u32>(), any::<u32>(), any::<u32>());
        let times = (
            any::<i64>(),
            any::<i64>(),
            any::<i64>(),
            any::<i64>(),
            any::<i64>(),
        );
        (place, times, any::<i64>(), any::<bool>(), any::<bool>()).prop_map(
            |((offset, header_len, len), times, duration, is_key, is_camera)| FragmentEntry {
                offset: u64::from(offset) << 16,
                header_len,
                len,
                wall: WallTime::from_micros(times.0),
                anchor_pts: times.1,
                dts: times.2,
                min_pts: times.3,
                end_pts: times.4,
                duration,
                is_key,
                clock: if is_camera {
                    ClockSource::CameraRtcp
                } else {
                    ClockSource::ServerArrival
                },
            },
        )
    }

    #[test]
    fn an_ordinary_segment_takes_few_bytes() {
        let fragments = (0i64..10)
            .map(|n| FragmentEntry {
                offset: 900 + 500_000 * n.unsigned_abs(),
                header_len: 560,
                len: 500_000,
                wall: WallTime::from_micros(1_700_000_000_000_000 + n * 1_000_000),
                anchor_pts: n * 90_000,
                dts: n * 90_000 - 7_200,
                min_pts: n * 90_000,
                end_pts: (n + 1) * 90_000,
                duration: 90_000,
                is_key: true,
                clock: ClockSource::CameraRtcp,
            })
            .collect();
        let index = SegmentIndex {
            init_len: 900,
            parameters: u64::MAX,
            fragments,
            samples: SampleTables::default(),
        };
        assert!(index.encode().len() <= 220, "{}", index.encode().len());
        assert_eq!(SegmentIndex::decode(&index.encode()), Ok(index));
    }

    #[test]
    fn another_version_is_refused() {
        let error = SegmentIndex::decode(&[4, 0, 0]).unwrap_err();
        assert_eq!(error.to_string(), "bad segment index: unknown version");
    }

    proptest! {
        #[test]
        fn every_index_round_trips_and_no_part_of_it_does(
            init_len in any::<u32>(),
            parameters in prop::sample::select(vec![0, 1, u64::MAX]),
            fragments in prop::collection::vec(entry(), 0..20),
            cut in any::<prop::sample::Index>(),
        ) {
            let samples = SampleTables::default();
            let index = SegmentIndex { init_len, parameters, fragments, samples };
            let bytes = index.encode();
            prop_assert!(SegmentIndex::decode(&bytes[..cut.index(bytes.len())]).is_err());
            prop_assert_eq!(SegmentIndex::decode(&bytes), Ok(index));
        }

        #[test]
        fn any_bytes_decode_without_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Some(first) = bytes.first_mut() {
                *first = VERSION_WITH_SAMPLES - *first % 3;
            }
            if let Ok(index) = SegmentIndex::decode(&bytes) {
                prop_assert!(index.len_bytes() >= u64::from(index.init_len) || !index.fragments.is_empty());
            }
        }
    }
}
