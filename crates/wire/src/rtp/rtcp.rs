//! Sender reports (RFC 3550 section 6.4.1), which say when pictures were captured.

/// Payload type of sender reports.
const SENDER_REPORT: u8 = 200;

/// NTP and RTP time of the sender report at the start of a compound packet; `None` if there is none, or if it knows
/// no wall clock.
pub fn sender_report(data: &[u8]) -> Option<(u64, u32)> {
    let head = data.get(..20)?;
    if head[0] >> 6 != 2 || head[1] != SENDER_REPORT {
        return None;
    }
    let ntp = u64::from_be_bytes(head[8..16].try_into().ok()?);
    let timestamp = u32::from_be_bytes(head[16..20].try_into().ok()?);
    (ntp != 0).then_some((ntp, timestamp))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_report_tells_both_clocks() {
        let mut bytes = vec![0x80, 200, 0, 6, 1, 2, 3, 4];
        bytes.extend(0x0102_0304_0506_0708_u64.to_be_bytes());
        bytes.extend(77_u32.to_be_bytes());
        bytes.extend([0; 8]);
        assert_eq!(sender_report(&bytes), Some((0x0102_0304_0506_0708, 77)));
        bytes[1] = 201;
        assert_eq!(sender_report(&bytes), None);
        assert_eq!(sender_report(&bytes[..10]), None);
    }
}
