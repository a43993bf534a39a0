//! Recorded segments: their fragments, their first boxes and their index, as they may lie on a disk after a crash.

use crate::within;
use framewell_fmp4::{
    SampleTables, SegmentIndex, SegmentRuns, parse_fragment, parse_init, scan_segment,
};

pub fn run(data: &[u8]) {
    let most = (1 << 20) + 512 * data.len();
    if let Ok(samples) = within(most, || parse_fragment(data)) {
        assert!(samples.len() <= data.len(), "a sample takes bytes");
    }
    parse_init(data).ok();
    if let Ok(scanned) = within(most, || scan_segment(data)) {
        assert!(scanned.index.len_bytes() <= data.len() as u64);
        check_index(&scanned.index);
    }
    if let Ok(index) = within(most, || SegmentIndex::decode(data)) {
        check_index(&index);
    }
}

/// An index is what its bytes say, and its samples what theirs say.
fn check_index(index: &SegmentIndex) {
    let mut plain = index.clone();
    plain.samples = SampleTables::default();
    assert_eq!(SegmentIndex::decode(&index.encode()), Ok(plain));
    let samples = &index.samples;
    if !samples.is_empty() {
        let runs = SegmentRuns::read(samples.encode_runs(), &index.fragments);
        let runs = runs.expect("what was written is read");
        let sizes = runs.sizes(samples.encoded_sizes());
        let sizes = sizes.expect("what was written is read");
        assert_eq!(sizes.len(), index.fragments.len());
    }
}
