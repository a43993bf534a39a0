//! A small MPEG transport stream reader (ISO/IEC 13818-1) for what `ffmpeg` writes to its pipe.
//!
//! One program; program tables fit one packet; anything but H.264, H.265 and AAC in ADTS is skipped.

use std::collections::BTreeMap;

const PACKET: usize = 188;
const SYNC: u8 = 0x47;
const PAT_PID: u16 = 0;

/// Coding of an elementary stream (ISO/IEC 13818-1 table 2-34).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamType {
    H264,
    H265,
    AdtsAac,
}

impl StreamType {
    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0x1b => Some(Self::H264),
            0x24 => Some(Self::H265),
            0x0f => Some(Self::AdtsAac),
            _ => None,
        }
    }
}

/// One packet of an elementary stream: a coded picture, or some audio frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pes {
    pub(crate) stream: StreamType,
    /// 90 kHz, 33 bits unwrapped.
    pub(crate) pts: i64,
    /// 90 kHz, 33 bits unwrapped; equals `pts` if not sent.
    pub(crate) dts: i64,
    pub(crate) data: Vec<u8>,
}

/// Cuts a byte stream of any chunking into PES packets.
#[derive(Debug, Default)]
pub(crate) struct TsReader {
    rest: Vec<u8>,
    pmt_pid: Option<u16>,
    streams: BTreeMap<u16, Assembly>,
    clock: Option<i64>,
}

#[derive(Debug)]
struct Assembly {
    stream: StreamType,
    /// The PES packet so far, from its start code.
    bytes: Vec<u8>,
}

impl TsReader {
    /// Takes in bytes; complete packets go to `out`.
    pub(crate) fn push(&mut self, bytes: &[u8], out: &mut Vec<Pes>) {
        self.rest.extend_from_slice(bytes);
        let rest = std::mem::take(&mut self.rest);
        let packets = rest.chunks_exact(PACKET);
        let remainder = packets.remainder().to_vec();
        for packet in packets {
            self.packet(packet, out);
        }
        self.rest = remainder;
    }

    /// The input is over: what was open is complete.
    pub(crate) fn finish(&mut self, out: &mut Vec<Pes>) {
        let pids: Vec<u16> = self.streams.keys().copied().collect();
        for pid in pids {
            self.flush(pid, out);
        }
    }

    fn packet(&mut self, packet: &[u8], out: &mut Vec<Pes>) {
        if packet[0] != SYNC {
            return;
        }
        let is_start = packet[1] & 0x40 != 0;
        let pid = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
        let has_payload = packet[3] & 0x10 != 0;
        let has_adaptation = packet[3] & 0x20 != 0;
        let skip = if has_adaptation {
            5 + usize::from(packet[4])
        } else {
            4
        };
        let Some(payload) = packet.get(skip..).filter(|_| has_payload) else {
            return;
        };
        if pid == PAT_PID {
            self.pmt_pid = read_pat(payload).or(self.pmt_pid);
        } else if Some(pid) == self.pmt_pid {
            self.read_pmt(payload);
        } else if self.streams.contains_key(&pid) {
            self.elementary(pid, payload, is_start, out);
        }
    }

    fn read_pmt(&mut self, payload: &[u8]) {
        let Some(section) = section(payload) else {
            return;
        };
        let info_length = length_12(section.get(10..12));
        let mut at = 12 + info_length;
        while let Some(entry) = section.get(at..at + 5) {
            let pid = u16::from_be_bytes([entry[1] & 0x1f, entry[2]]);
            if let Some(stream) = StreamType::from_byte(entry[0]) {
                self.streams.entry(pid).or_insert(Assembly {
                    stream,
                    bytes: Vec::new(),
                });
            }
            at += 5 + length_12(entry.get(3..5));
        }
    }

    fn elementary(&mut self, pid: u16, payload: &[u8], is_start: bool, out: &mut Vec<Pes>) {
        if is_start {
            self.flush(pid, out);
        }
        let Some(assembly) = self.streams.get_mut(&pid) else {
            return;
        };
        if is_start || !assembly.bytes.is_empty() {
            assembly.bytes.extend_from_slice(payload);
        }
        if is_complete(&assembly.bytes) {
            self.flush(pid, out);
        }
    }

    fn flush(&mut self, pid: u16, out: &mut Vec<Pes>) {
        let Some(assembly) = self.streams.get_mut(&pid) else {
            return;
        };
        let bytes = std::mem::take(&mut assembly.bytes);
        let stream = assembly.stream;
        if let Some((pts, dts, data)) = read_pes(&bytes) {
            let dts = self.unwrap(dts.unwrap_or(pts));
            let pts = self.unwrap(pts);
            out.push(Pes {
                stream,
                pts,
                dts,
                data,
            });
        }
    }

    /// The 33-bit time nearest to the one before it.
    fn unwrap(&mut self, raw: i64) -> i64 {
        const PERIOD: i64 = 1 << 33;
        let near = self.clock.unwrap_or(raw);
        let turns = (near - raw + PERIOD / 2).div_euclid(PERIOD);
        let time = raw + turns * PERIOD;
        self.clock = Some(time);
        time
    }
}

fn length_12(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(0, |b| usize::from(u16::from_be_bytes([b[0] & 0x0f, b[1]])))
}

/// The table in a packet's payload, from its table id to the byte before its CRC.
fn section(payload: &[u8]) -> Option<&[u8]> {
    let start = 1 + usize::from(*payload.first()?);
    let length = length_12(payload.get(start + 1..start + 3));
    payload.get(start..start + 3 + length.checked_sub(4)?)
}

/// The PMT's PID of the first program.
fn read_pat(payload: &[u8]) -> Option<u16> {
    let mut programs = section(payload)?.get(8..)?.chunks_exact(4);
    let program = programs.find(|p| p[0] != 0 || p[1] != 0)?;
    Some(u16::from_be_bytes([program[2] & 0x1f, program[3]]))
}

/// Whether a PES packet that states its length has all of it.
fn is_complete(pes: &[u8]) -> bool {
    match pes.get(4..6) {
        Some(&[0, 0]) | None => false,
        Some(length) => pes.len() >= 6 + usize::from(u16::from_be_bytes([length[0], length[1]])),
    }
}

/// PTS, DTS and payload of a PES packet (ISO/IEC 13818-1 section 2.4.3.6).
fn read_pes(pes: &[u8]) -> Option<(i64, Option<i64>, Vec<u8>)> {
    pes.strip_prefix(&[0, 0, 1])?;
    let flags = *pes.get(7)?;
    let header_length = usize::from(*pes.get(8)?);
    let pts = timestamp(pes.get(9..14).filter(|_| flags & 0x80 != 0)?);
    let dts = pes.get(14..19).filter(|_| flags & 0x40 != 0).map(timestamp);
    let stated = usize::from(u16::from_be_bytes([pes[4], pes[5]]));
    let end = if stated == 0 { pes.len() } else { 6 + stated };
    Some((pts, dts, pes.get(9 + header_length..end)?.to_vec()))
}

/// 33 bits in 5 bytes with marker bits between them.
fn timestamp(bytes: &[u8]) -> i64 {
    let part = |i: usize, mask: u8| i64::from(bytes[i] & mask);
    (part(0, 0x0e) << 29)
        | (part(1, 0xff) << 22)
        | (part(2, 0xfe) << 14)
        | (part(3, 0xff) << 7)
        | (part(4, 0xfe) >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// Two seconds of picture and tone.
    fn sample() -> Vec<u8> {
        let output = Command::new("ffmpeg")
            .args(["-loglevel", "error", "-f", "lavfi", "-i"])
            .arg("testsrc=s=320x240:r=10:d=2")
            .args(["-f", "lavfi", "-i", "sine=d=2", "-c:v", "libx264"])
            .args(["-bf", "2", "-c:a", "aac", "-f", "mpegts", "-"])
            .output()
            .unwrap();
        output.stdout
    }

    fn read_in_chunks(bytes: &[u8], size: usize) -> Vec<Pes> {
        let (mut reader, mut out) = (TsReader::default(), Vec::new());
        for chunk in bytes.chunks(size) {
            reader.push(chunk, &mut out);
        }
        reader.finish(&mut out);
        out
    }

    #[test]
    fn all_pictures_come_out_in_decoding_order_whatever_the_chunks() {
        let bytes = sample();
        let all = read_in_chunks(&bytes, bytes.len());
        assert_eq!(all, read_in_chunks(&bytes, 1000));
        let video: Vec<&Pes> = all
            .iter()
            .filter(|p| p.stream == StreamType::H264)
            .collect();
        assert_eq!(video.len(), 20);
        assert!(video.windows(2).all(|w| w[0].dts + 9_000 == w[1].dts));
        assert!(video.iter().all(|p| p.dts <= p.pts));
        assert!(video.windows(2).any(|w| w[0].pts > w[1].pts), "no B-frames");
        assert!(all.iter().any(|p| p.stream == StreamType::AdtsAac));
    }

    #[test]
    fn times_go_on_when_33_bits_wrap() {
        let mut reader = TsReader::default();
        let end = (1 << 33) - 100;
        assert_eq!(reader.unwrap(end), end);
        assert_eq!(reader.unwrap(50), (1 << 33) + 50);
        assert_eq!(reader.unwrap(end), end);
    }

    #[test]
    fn noise_gives_nothing() {
        let noise: Vec<u8> = (0..188 * 50u32)
            .map(|i| {
                if i % 188 == 0 {
                    SYNC
                } else {
                    i.wrapping_mul(97).to_le_bytes()[1]
                }
            })
            .collect();
        assert_eq!(read_in_chunks(&noise, 777), Vec::new());
    }
}
