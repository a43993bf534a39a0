//! Rules between two answers for one playlist.

use super::{Kind, Playlist, Resource, Segment, Violation, ensure};

impl Playlist {
    /// Checks what may change from this playlist to a later one (section 6.2.1).
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn check_successor(&self, next: &Self) -> Result<(), Violation> {
        ensure(self.target_s == next.target_s, || {
            "6.2.1: the target duration must not change".to_owned()
        })?;
        ensure(self.kind == next.kind, || {
            "6.2.1: the type of a playlist must not change".to_owned()
        })?;
        ensure(!self.has_end || self == next, || {
            "6.2.1: nothing changes behind EXT-X-ENDLIST".to_owned()
        })?;
        if self.kind.is_some() {
            ensure(self.kind != Some(Kind::Vod) || self == next, || {
                "4.4.3.5: a VOD playlist must not change".to_owned()
            })?;
            ensure(next.sequence == self.sequence, || {
                "4.4.3.5: nothing is removed from an EVENT playlist".to_owned()
            })?;
        }
        self.check_numbers(next)?;
        self.check_common(next)?;
        self.check_length(next)
    }

    fn check_numbers(&self, next: &Self) -> Result<(), Violation> {
        let last = |playlist: &Self| {
            playlist
                .all()
                .next_back()
                .map(|s| (s.sequence, s.parts.len()))
        };
        ensure(
            self.sequence <= next.sequence && last(self) <= last(next),
            || "6.2.2: media sequence numbers must not decrease".to_owned(),
        )?;
        // Each discontinuity that was removed is counted (section 6.2.2).
        let removed = self
            .all()
            .filter(|segment| segment.sequence <= next.sequence);
        let jumps = removed
            .skip(1)
            .filter(|segment| segment.starts_discontinuity);
        let expected = self.discontinuity + jumps.count() as u64;
        let is_known = self.all().any(|segment| segment.sequence == next.sequence);
        ensure(!is_known || next.discontinuity == expected, || {
            format!("6.2.2: the discontinuity sequence must be {expected}")
        })
    }

    fn check_common(&self, next: &Self) -> Result<(), Violation> {
        for later in next.all() {
            let Some(old) = self.all().find(|old| old.sequence == later.sequence) else {
                continue;
            };
            let is_same = if old.media.is_some() {
                without_what_ages(old, old, later) == without_what_ages(later, old, later)
            } else {
                let is_old = later.media.is_some() && later.parts.is_empty();
                (is_old || later.parts.starts_with(&old.parts)) && later.start == old.start
            };
            ensure(is_same, || {
                format!("6.2.1: segment {} changed", later.sequence)
            })?;
        }
        Ok(())
    }

    fn check_length(&self, next: &Self) -> Result<(), Violation> {
        let total_us: i64 = next.all().map(|segment| segment.duration_us).sum();
        let has_removed = self.sequence < next.sequence;
        let least_us = 3 * next.target_s * 1_000_000;
        ensure(!has_removed || next.has_end || total_us >= least_us, || {
            "6.2.2: segments were removed though less than three target durations stay".to_owned()
        })
    }

    /// This playlist with what a delta update brings (section 6.3.7): the same as the full one.
    ///
    /// # Errors
    /// An update that skips what this playlist does not have.
    pub fn updated_by(&self, delta: &Self) -> Result<Self, Violation> {
        let first_kept = delta.sequence + delta.skipped;
        let kept = self.segments.iter();
        let mut segments: Vec<Segment> = kept
            .filter(|segment| (delta.sequence..first_kept).contains(&segment.sequence))
            .cloned()
            .collect();
        ensure(segments.len() as u64 == delta.skipped, || {
            "6.3.7: the update skips segments that were not told before".to_owned()
        })?;
        if let Some(first) = segments.first_mut() {
            // What stood before it was removed.
            first.starts_discontinuity = false;
        }
        for segment in &mut segments {
            segment.parts.clear();
        }
        let (mut map, mut jumps) = match segments.last() {
            Some(last) => (last.map.clone(), last.discontinuity),
            None => (no_map(), delta.discontinuity),
        };
        let mut completed = |segment: &Segment| {
            if segment.map != no_map() {
                map = segment.map.clone();
            }
            jumps += u64::from(segment.starts_discontinuity);
            Segment {
                map: map.clone(),
                discontinuity: jumps,
                ..segment.clone()
            }
        };
        segments.extend(delta.segments.iter().map(&mut completed));
        let open = delta.open.as_ref().map(&mut completed);
        Ok(Self {
            skipped: 0,
            segments,
            open,
            ..delta.clone()
        })
    }
}

fn no_map() -> Resource {
    Resource {
        uri: String::new(),
        range: None,
    }
}

/// A segment without what goes when it gets old: its parts, and the tag in front of it once it is the
/// first one.
fn without_what_ages(segment: &Segment, old: &Segment, later: &Segment) -> Segment {
    let both = old.starts_discontinuity && later.starts_discontinuity;
    Segment {
        parts: Vec::new(),
        starts_discontinuity: both,
        ..segment.clone()
    }
}
