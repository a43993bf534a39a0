//! Wall times as files store them.

use framewell_model::{ClockSource, WallTime};

/// `flags` of `prft` (ISO/IEC 14496-12 section 8.16.5): the time of capture itself.
const PRFT_CAPTURED: u32 = 24;
/// `flags` of `prft`: a time of our choice, consistent within the track.
const PRFT_CONSISTENT: u32 = 8;

pub(crate) fn clock_to_flags(clock: ClockSource) -> u32 {
    match clock {
        ClockSource::CameraRtcp => PRFT_CAPTURED,
        ClockSource::ServerArrival => PRFT_CONSISTENT,
    }
}

pub(crate) fn clock_from_flags(flags: u32) -> ClockSource {
    if flags == PRFT_CAPTURED {
        ClockSource::CameraRtcp
    } else {
        ClockSource::ServerArrival
    }
}

/// NTP timestamp that [`WallTime::from_ntp`] reads back to the same microsecond, for times between
/// 1968 and 2104: the fraction is rounded up, because reading rounds down.
pub(crate) fn to_ntp(wall: WallTime) -> u64 {
    const NTP_TO_UNIX_S: i64 = 2_208_988_800;
    const MICROS: u64 = 1_000_000;
    let era_seconds = wall.secs().wrapping_add(NTP_TO_UNIX_S).rem_euclid(1 << 32);
    let micros = wall.micros().rem_euclid(1_000_000).unsigned_abs();
    let fraction = (micros << 32).div_ceil(MICROS);
    era_seconds.unsigned_abs() << 32 | fraction
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ntp_keeps_every_microsecond(micros in -61_505_152_000_000i64..4_233_462_144_000_000) {
            let wall = WallTime::from_micros(micros);
            prop_assert_eq!(WallTime::from_ntp(to_ntp(wall)), wall);
        }
    }

    #[test]
    fn the_clock_source_survives_the_flags() {
        for clock in [ClockSource::CameraRtcp, ClockSource::ServerArrival] {
            assert_eq!(clock_from_flags(clock_to_flags(clock)), clock);
        }
    }
}
