//! Cutting an input into pieces, as a network might.

/// Pieces of 1 to 64 bytes, now and then one of up to 4 KiB. The cuts follow from the bytes themselves: an input is
/// exactly what somebody sent, and every change of it is cut anew.
pub(crate) fn pieces(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut state = data.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    std::iter::from_fn(move || {
        if data.is_empty() {
            return None;
        }
        // Xorshift; the state is never zero but for one hash in 2^64.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let most = if state.is_multiple_of(16) { 4_096 } else { 64 };
        let wanted = 1 + usize::try_from((state >> 8) % most).unwrap_or(0);
        let (piece, rest) = data.split_at(wanted.min(data.len()));
        data = rest;
        Some(piece)
    })
}
