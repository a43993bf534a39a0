//! Decode times from presentation times in decoding order.

/// Derives DTS for access units that carry only PTS (RTP does: RFC 6184 section 5.1).
///
/// With reorder depth `d`, the DTS of unit `n` in decoding order is the `(n - d)`-th smallest PTS of
/// its run; it is known when the unit arrives, so nothing is delayed. Always `dts <= pts`, strictly
/// increasing.
#[derive(Debug, Clone)]
pub struct DtsEstimator {
    _private: (),
}

impl DtsEstimator {
    /// For a new run. `reorder_depth` from the parameter sets; it grows by itself if the stream
    /// proves it too small.
    #[must_use]
    pub fn new(reorder_depth: u8) -> Self {
        let _ = reorder_depth;
        Self { _private: () }
    }

    /// DTS in the same ticks as `pts_ticks`.
    pub fn place(&mut self, pts_ticks: i64) -> i64 {
        let _ = pts_ticks;
        todo!()
    }
}
