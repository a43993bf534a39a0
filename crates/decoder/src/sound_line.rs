//! Decoded sound on a line without holes, from which packets are cut. Sans-IO.

use framewell_decode::protocol::sound::{PACKET_SAMPLES, RATE};

/// Times that differ by less than this from what was counted are rounded, not wrong: 10 ms. The count goes on.
const TOLERANCE: i64 = 480;
/// A hole of up to this is filled with silence: 500 ms. Behind a longer one the line begins anew.
const LONGEST_FILL: i64 = 24_000;

/// Samples that belong together and wait for a packet.
#[derive(Debug)]
pub(crate) struct Line {
    channels: usize,
    /// Interleaved.
    samples: Vec<f32>,
    /// Time of the first sample, in samples.
    start: Option<i64>,
}

/// 20 ms of sound, interleaved, and when its first sample is, in samples.
pub(crate) type Packet = (i64, Vec<f32>);

impl Line {
    pub(crate) const fn new(channels: usize) -> Self {
        Self {
            channels,
            samples: Vec::new(),
            start: None,
        }
    }

    /// Appends sound that begins at `at` (in samples), and cuts off all whole packets.
    pub(crate) fn push(&mut self, at: i64, mut sound: &[f32], packets: &mut Vec<Packet>) {
        let late = self.end().map_or(0, |end| at - end);
        if !(-LONGEST_FILL..=LONGEST_FILL).contains(&late) {
            self.finish(packets);
        } else if late > TOLERANCE {
            self.fill(late);
        } else if late < -TOLERANCE {
            // Sound of a time that has had its sound.
            let known = usize::try_from(-late).unwrap_or(0) * self.channels;
            sound = sound.get(known..).unwrap_or_default();
        }
        self.start.get_or_insert(at);
        self.samples.extend_from_slice(sound);
        self.cut(packets);
    }

    /// Cuts off what is left, with silence behind it.
    fn finish(&mut self, packets: &mut Vec<Packet>) {
        let whole = PACKET_SAMPLES * self.channels;
        if !self.samples.is_empty() {
            self.samples
                .resize(self.samples.len().next_multiple_of(whole), 0.0);
        }
        self.cut(packets);
        self.start = None;
    }

    fn end(&self) -> Option<i64> {
        let count = self.samples.len() / self.channels;
        Some(self.start? + i64::try_from(count).unwrap_or(i64::MAX))
    }

    fn fill(&mut self, count: i64) {
        let more = usize::try_from(count).unwrap_or(0) * self.channels;
        self.samples.resize(self.samples.len() + more, 0.0);
    }

    fn cut(&mut self, packets: &mut Vec<Packet>) {
        let whole = PACKET_SAMPLES * self.channels;
        let mut done = 0;
        while let (Some(start), Some(packet)) =
            (&mut self.start, self.samples.get(done..done + whole))
        {
            packets.push((*start, packet.to_vec()));
            *start += PACKET_SAMPLES as i64;
            done += whole;
        }
        self.samples.drain(..done);
    }
}

/// A time in samples, rounded.
pub(crate) fn to_samples(us: i64) -> i64 {
    let scaled = i128::from(us) * i128::from(RATE);
    i64::try_from((scaled + 500_000).div_euclid(1_000_000)).unwrap_or(0)
}

/// A time in microseconds, rounded.
pub(crate) fn to_micros(samples: i64) -> i64 {
    let scaled = i128::from(samples) * 1_000_000;
    let half = i128::from(RATE / 2);
    i64::try_from((scaled + half).div_euclid(i128::from(RATE))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pushed(line: &mut Line, at: i64, count: usize, level: f32) -> Vec<Packet> {
        let mut packets = Vec::new();
        line.push(at, &vec![level; count * line.channels], &mut packets);
        packets
    }

    fn starts(packets: &[Packet]) -> Vec<i64> {
        packets.iter().map(|packet| packet.0).collect()
    }

    #[test]
    fn frames_of_any_length_become_packets_of_20_ms_one_behind_the_other() {
        let mut line = Line::new(2);
        let mut all = Vec::new();
        for index in 0..15 {
            // Times in whole milliseconds, as RTMP has them.
            let at = 1_000 + index * 1_024;
            all.extend(pushed(&mut line, at / 48 * 48, 1_024, 0.5));
        }
        let wanted: Vec<i64> = (0..16).map(|index| 960 + index * 960).collect();
        assert_eq!(starts(&all), wanted);
        assert!(all.iter().all(|(_, samples)| samples.len() == 1_920));
    }

    #[test]
    fn a_short_hole_is_silence_and_a_long_one_is_a_jump() {
        let mut line = Line::new(1);
        assert_eq!(starts(&pushed(&mut line, 0, 960, 0.5)), [0]);
        let behind = pushed(&mut line, 960 + 1_920, 960, 0.5);
        assert_eq!(starts(&behind), [960, 1_920, 2_880]);
        let loud = |packet: &Packet| packet.1.iter().any(|sample| *sample != 0.0);
        let loud: Vec<bool> = behind.iter().map(loud).collect();
        assert_eq!(loud, [false, false, true]);
        // Half a packet, then a second of nothing: the half is sent with silence.
        assert_eq!(starts(&pushed(&mut line, 3_840, 480, 0.5)), [0; 0]);
        let jump = pushed(&mut line, 52_320, 960, 0.5);
        assert_eq!(starts(&jump), [3_840, 52_320]);
        assert_eq!(jump[0].1[479..481], [0.5, 0.0]);
    }

    #[test]
    fn sound_of_a_time_that_has_some_is_left_out_and_the_past_begins_anew() {
        let mut line = Line::new(1);
        pushed(&mut line, 0, 1_920, 0.5);
        assert_eq!(starts(&pushed(&mut line, 960, 960, 0.5)), [0; 0]);
        assert_eq!(starts(&pushed(&mut line, 960, 1_920, 0.5)), [1_920]);
        assert_eq!(starts(&pushed(&mut line, -96_000, 960, 0.5)), [-96_000]);
    }

    #[test]
    fn times_are_rounded_to_the_nearest() {
        for us in [-20_000_001, -1, 0, 21_333, 1_795_450_000_000_123] {
            assert!((to_micros(to_samples(us)) - us).abs() <= 11, "{us}");
        }
    }
}
