//! Rules within one playlist.

use super::{Kind, Part, Playlist, Segment, Violation, ensure};

/// Times of neighbours fit within this: capture times and durations are rounded to microseconds, each
/// from ticks.
pub(super) const ROUNDING_US: i64 = 20;
/// Parts of a segment add up to it within this: each is rounded to a microsecond.
const PART_ROUNDING_US: i64 = 20;

pub(super) fn check(playlist: &Playlist, clock_us: i64) -> Result<(), Violation> {
    check_version(playlist)?;
    check_durations(playlist)?;
    check_control(playlist)?;
    check_parts(playlist, clock_us <= ROUNDING_US)?;
    check_times(playlist, clock_us)?;
    check_end(playlist)?;
    check_hint(playlist)
}

fn check_version(playlist: &Playlist) -> Result<(), Violation> {
    let least = if playlist.skipped > 0 { 9 } else { 6 };
    ensure(playlist.version >= least, || {
        format!("8: what it contains needs version {least}")
    })
}

fn check_durations(playlist: &Playlist) -> Result<(), Violation> {
    let total_us: i64 = playlist.all().map(|segment| segment.duration_us).sum();
    ensure(
        playlist.start_us.is_none_or(|start| start <= total_us),
        || "4.4.2.2: TIME-OFFSET should lie within the playlist".to_owned(),
    )?;
    for segment in &playlist.segments {
        let rounded_s = (segment.duration_us + 500_000) / 1_000_000;
        ensure(rounded_s <= playlist.target_s, || {
            let number = segment.sequence;
            format!("4.4.3.1: segment {number} is longer than the target duration")
        })?;
    }
    Ok(())
}

fn check_control(playlist: &Playlist) -> Result<(), Violation> {
    let target_us = playlist.target_s * 1_000_000;
    let control = &playlist.control;
    if let Some(part_us) = playlist.part_target_us {
        let hold_back = control.part_hold_back_us;
        let hold_back = hold_back.ok_or("4.4.3.8: PART-HOLD-BACK is required with parts")?;
        ensure(hold_back >= 3 * part_us, || {
            "4.4.3.8: PART-HOLD-BACK should be three part targets".to_owned()
        })?;
        ensure(control.can_block_reload, || {
            "B.1: low latency needs CAN-BLOCK-RELOAD".to_owned()
        })?;
    }
    ensure(
        control
            .can_skip_until_us
            .is_none_or(|us| us >= 6 * target_us),
        || "4.4.3.8: CAN-SKIP-UNTIL must be six target durations".to_owned(),
    )?;
    check_skip(playlist, control.can_skip_until_us)
}

fn check_skip(playlist: &Playlist, until_us: Option<i64>) -> Result<(), Violation> {
    if playlist.skipped == 0 {
        return Ok(());
    }
    let until_us = until_us.ok_or("4.4.5.2: skipped without CAN-SKIP-UNTIL")?;
    let left_us: i64 = playlist.all().map(|segment| segment.duration_us).sum();
    ensure(left_us >= until_us, || {
        "6.2.5.1: what is newer than the skip boundary must not be skipped".to_owned()
    })
}

fn check_parts(playlist: &Playlist, is_steady: bool) -> Result<(), Violation> {
    let segments: Vec<&Segment> = playlist.all().collect();
    let with_parts = || segments.iter().filter(|segment| !segment.parts.is_empty());
    let Some(target_us) = playlist.part_target_us else {
        return ensure(with_parts().next().is_none(), || {
            "4.4.3.7: parts without EXT-X-PART-INF".to_owned()
        });
    };
    for segment in with_parts() {
        check_parts_of(segment, target_us, is_steady)?;
    }
    // From the first segment with parts on, all have them, and they reach back three target durations.
    let first = segments
        .iter()
        .position(|segment| !segment.parts.is_empty());
    let rest = &segments[first.unwrap_or(segments.len())..];
    ensure(rest.iter().all(|segment| !segment.parts.is_empty()), || {
        "4.4.4.9: parts are listed up to the end".to_owned()
    })?;
    let listed_us: i64 = rest.iter().map(|segment| segment.duration_us).sum();
    let oldest_us = rest.first().map_or(0, |segment| segment.duration_us);
    ensure(
        listed_us - oldest_us <= 3 * playlist.target_s * 1_000_000,
        || "4.4.4.9: parts are listed for more than three target durations".to_owned(),
    )
}

fn check_parts_of(segment: &Segment, target_us: i64, is_steady: bool) -> Result<(), Violation> {
    let number = segment.sequence;
    let duration = |part: &Part| part.duration_us;
    ensure(
        segment
            .parts
            .iter()
            .all(|part| part.duration_us <= target_us),
        || format!("4.4.4.9: a part of segment {number} is longer than the part target"),
    )?;
    let all_but_last = &segment.parts[..segment.parts.len() - 1];
    // A camera whose pictures come at uneven distances cannot keep to this.
    let is_long_enough = |part: &Part| !is_steady || part.duration_us * 100 >= target_us * 85;
    ensure(all_but_last.iter().all(is_long_enough), || {
        format!("4.4.4.9: a part of segment {number} is shorter than 85 % of the part target")
    })?;
    let total_us: i64 = segment.parts.iter().map(duration).sum();
    ensure(
        (total_us - segment.duration_us).abs() <= PART_ROUNDING_US,
        || format!("4.4.4.9: the parts of segment {number} are not as long as it"),
    )?;
    ensure(segment.parts[0].is_independent, || {
        format!("4.4.2.1: segment {number} does not begin with a key frame")
    })
}

fn check_times(playlist: &Playlist, clock_us: i64) -> Result<(), Violation> {
    let segments: Vec<&Segment> = playlist.all().collect();
    for pair in segments.windows(2) {
        let off_us = pair[1].start.micros_since(pair[0].end());
        let number = pair[1].sequence;
        ensure(
            pair[1].starts_discontinuity || off_us.abs() <= clock_us,
            || {
                format!(
                    "4.4.4.6: segment {number} starts {off_us} us beside the end of the one before"
                )
            },
        )?;
    }
    Ok(())
}

fn check_end(playlist: &Playlist) -> Result<(), Violation> {
    ensure(playlist.kind != Some(Kind::Vod) || playlist.has_end, || {
        "4.4.3.5: a VOD playlist has an end".to_owned()
    })?;
    ensure(
        playlist.kind.is_none() || playlist.skipped == 0 || !playlist.has_end,
        || "6.2.5.1: nothing changes any more, so nothing is skipped".to_owned(),
    )?;
    ensure(!playlist.has_end || playlist.open.is_none(), || {
        "4.4.3.4: a segment still grows behind the end".to_owned()
    })
}

fn check_hint(playlist: &Playlist) -> Result<(), Violation> {
    let Some(hint) = &playlist.hint else {
        return Ok(());
    };
    ensure(!playlist.has_end, || {
        "4.4.5.3: nothing comes behind the end".to_owned()
    })?;
    let mut known = playlist.all().flat_map(|segment| &segment.parts);
    ensure(known.all(|part| part.uri != *hint), || {
        "4.4.5.3: the hint names a part that is there already".to_owned()
    })
}
