//! What a player waits for (RFC 8216bis section 6.2.5).

use super::packager::Packager;

/// How a player asks for a media playlist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reload {
    /// `_HLS_msn` and `_HLS_part`: the answer waits until it has that segment, or that part of it.
    pub wanted: Option<Wanted>,
    /// `_HLS_skip`: old segments may be left out.
    pub is_delta: bool,
}

/// A segment, or a part of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Media sequence number.
    pub sequence: u64,
    /// Number of the part, from 0; `None`: the whole segment.
    pub part: Option<u64>,
}

/// Whether what is wanted is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    There,
    Soon,
    TooFar,
}

impl Wanted {
    /// Where this stands in what `packager` has.
    pub(super) fn reach(self, packager: &Packager) -> Reach {
        let open = packager.next_sequence();
        let Some(part) = self.part else {
            return match self.sequence {
                n if n < open => Reach::There,
                n if n <= open + 1 => Reach::Soon,
                _ => Reach::TooFar,
            };
        };
        // A part behind the last one of a finished segment is the first one of the next.
        let count = |sequence| packager.parts(sequence).map(|parts| parts.len() as u64);
        let is_behind =
            self.sequence < open && count(self.sequence).is_some_and(|count| part >= count);
        let (sequence, part) = if is_behind {
            (self.sequence + 1, 0)
        } else {
            (self.sequence, part)
        };
        let ahead = match sequence {
            n if n < open => return Reach::There,
            n if n == open => part.checked_sub(count(open).unwrap_or(0)),
            n if n == open + 1 => Some(part),
            _ => return Reach::TooFar,
        };
        match ahead {
            None => Reach::There,
            Some(ahead) if ahead <= advance_limit(packager.part_us()) => Reach::Soon,
            Some(_) => Reach::TooFar,
        }
    }
}

/// Parts ahead of the newest one that may be asked for: those of three seconds, but three at least.
fn advance_limit(part_us: i64) -> u64 {
    let parts = (3_000_000 + part_us - 1) / part_us.max(1);
    u64::try_from(parts).unwrap_or(3).max(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shorter_parts_may_be_asked_for_further_ahead() {
        assert_eq!(advance_limit(333_000), 10);
        assert_eq!(advance_limit(1_000_000), 3);
        assert_eq!(advance_limit(5_000_000), 3);
        assert_eq!(advance_limit(0), 2_999_999);
    }
}
