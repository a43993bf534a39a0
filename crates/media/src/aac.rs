//! `AudioSpecificConfig` (ISO/IEC 14496-3 section 1.6.2.1).

use crate::{AudioCodec, AudioParameters, ParameterError};
use bytes::Bytes;

/// `samplingFrequencyIndex` (table 1.18).
const RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];
/// `channelConfiguration` (table 1.19): 0 is said elsewhere, by a program config element.
const CHANNELS: [u16; 8] = [0, 1, 2, 3, 4, 5, 6, 8];
/// A configuration of a real encoder has 2 to 7 bytes, and up to 60 with a program config element.
const MAX_BYTES: usize = 256;

impl AudioParameters {
    /// Reads an `AudioSpecificConfig`: rate and channels of the core coder.
    ///
    /// # Errors
    /// A configuration that is cut off, too long, or names no rate or number of channels.
    pub fn from_aac_config(config: Bytes) -> Result<Self, ParameterError> {
        let bad = |why| ParameterError::new("AudioSpecificConfig", why);
        if config.len() > MAX_BYTES {
            return Err(bad("too long"));
        }
        let mut bits = Bits {
            bytes: &config,
            at: 0,
        };
        let read = |bits: &mut Bits<'_>, count| bits.take(count).ok_or_else(|| bad("cut off"));
        if read(&mut bits, 5)? == 31 {
            read(&mut bits, 6)?;
        }
        let sample_rate = match read(&mut bits, 4)? {
            15 => read(&mut bits, 24)?,
            index => RATES.get(index as usize).copied().unwrap_or(0),
        };
        let channels = read(&mut bits, 4)?;
        let channels = CHANNELS.get(channels as usize).copied().unwrap_or(0);
        if !(1_000..=192_000).contains(&sample_rate) {
            return Err(bad("no usable sample rate"));
        }
        if channels == 0 {
            return Err(bad("no usable number of channels"));
        }
        Ok(Self {
            codec: AudioCodec::Aac,
            sample_rate,
            channels,
            config,
        })
    }
}

/// Reads bits, highest first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            let byte = *self.bytes.get(self.at / 8)?;
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(config: &'static [u8]) -> Option<(u32, u16)> {
        let parameters = AudioParameters::from_aac_config(Bytes::from_static(config)).ok()?;
        Some((parameters.sample_rate, parameters.channels))
    }

    #[test]
    fn configurations_of_real_encoders_are_understood() {
        assert_eq!(read(&[0x12, 0x10]), Some((44_100, 2)));
        assert_eq!(read(&[0x11, 0x88]), Some((48_000, 1)));
        assert_eq!(read(&[0x15, 0x88]), Some((8_000, 1)));
        // HE-AAC, told explicitly: the core runs at half the rate.
        assert_eq!(read(&[0x2b, 0x92, 0x08, 0x00]), Some((22_050, 2)));
        // A rate in 24 bits.
        assert_eq!(read(&[0x17, 0x80, 0x07, 0xd0, 0x08]), Some((4_000, 1)));
    }

    #[test]
    fn others_are_refused() {
        for config in [
            &[][..],
            &[0x12],
            &[0x12, 0x00],
            &[0x16, 0x90],
            &[0xff, 0xff, 0xff, 0xff],
        ] {
            assert_eq!(read(config), None, "{config:x?}");
        }
    }
}
