//! Audio: ADTS framing of AAC, Ogg framing of Opus, and G.711 made here.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use framewell_media::{AudioCodec, AudioParameters};

/// Samples in an AAC frame (ISO/IEC 14496-3, without the 960 option).
pub(crate) const AAC_FRAME_SAMPLES: i64 = 1024;
/// Samples in an Opus packet of 20 ms.
pub(crate) const OPUS_FRAME_SAMPLES: i64 = 960;
/// Samples per second of G.711.
pub(crate) const G711_RATE: u32 = 8_000;
/// Samples in a G.711 packet: 20 ms (RFC 3551 section 4.2).
pub(crate) const G711_FRAME_SAMPLES: i64 = 160;
/// Pitch of the tone.
const TONE_HZ: f64 = 440.0;

/// Sampling frequencies by index (ISO/IEC 14496-3 table 1.18).
const AAC_RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];

/// Parameters and raw frames of AAC in ADTS (ISO/IEC 13818-7 section 6.2).
///
/// # Errors
/// Something else, or cut off.
pub fn split_adts(data: &[u8]) -> Result<(AudioParameters, Vec<Bytes>)> {
    let mut frames = Vec::new();
    let mut parameters = None;
    let mut rest = data;
    while rest.len() >= 7 {
        ensure!(rest[0] == 0xff && rest[1] & 0xf6 == 0xf0, "no ADTS header");
        let header_length = if rest[1] & 1 == 0 { 9 } else { 7 };
        let length = (usize::from(rest[3] & 3) << 11)
            | (usize::from(rest[4]) << 3)
            | usize::from(rest[5] >> 5);
        let frame = rest
            .get(header_length..length)
            .context("an ADTS frame is cut off")?;
        frames.push(Bytes::copy_from_slice(frame));
        if parameters.is_none() {
            parameters = Some(adts_parameters(rest)?);
        }
        rest = &rest[length..];
    }
    Ok((parameters.context("no ADTS frame")?, frames))
}

fn adts_parameters(header: &[u8]) -> Result<AudioParameters> {
    let object_type = (header[2] >> 6) + 1;
    let rate_index = header[2] >> 2 & 0x0f;
    let channels = (header[2] & 1) << 2 | header[3] >> 6;
    let sample_rate = AAC_RATES
        .get(usize::from(rate_index))
        .copied()
        .context("reserved ADTS sampling frequency")?;
    // AudioSpecificConfig: 5 bits object type, 4 bits frequency, 4 bits channels, 3 bits flags.
    let config = [
        object_type << 3 | rate_index >> 1,
        (rate_index & 1) << 7 | channels << 3,
    ];
    Ok(AudioParameters {
        codec: AudioCodec::Aac,
        sample_rate,
        channels: u16::from(channels),
        config: Bytes::copy_from_slice(&config),
    })
}

/// Packets of Opus of 20 ms in Ogg (RFC 7845), for players; nothing is skipped at the start.
#[must_use]
pub fn ogg_opus(channels: u8, packets: &[Bytes]) -> Vec<u8> {
    let mut head = b"OpusHead\x01".to_vec();
    head.push(channels);
    head.extend_from_slice(&[0, 0]);
    head.extend_from_slice(&48_000_u32.to_le_bytes());
    head.extend_from_slice(&[0, 0, 0]);
    let tags = [&b"OpusTags"[..], &[0; 8]].concat();
    let mut out = ogg_page(2, 0, 0, &head);
    out.extend(ogg_page(0, 0, 1, &tags));
    for (packet, number) in packets.iter().zip(2_u32..) {
        let is_last = number == packets.len() as u32 + 1;
        let samples = u64::from(number - 1) * OPUS_FRAME_SAMPLES.unsigned_abs();
        out.extend(ogg_page(u8::from(is_last) * 4, samples, number, packet));
    }
    out
}

/// A page with one packet (RFC 3533 section 6).
fn ogg_page(flags: u8, samples: u64, number: u32, packet: &[u8]) -> Vec<u8> {
    let mut page = b"OggS\0".to_vec();
    page.push(flags);
    page.extend_from_slice(&samples.to_le_bytes());
    page.extend_from_slice(&1_u32.to_le_bytes());
    page.extend_from_slice(&number.to_le_bytes());
    page.extend_from_slice(&[0; 4]);
    let whole = packet.len() / 255;
    page.push(u8::try_from(whole + 1).expect("a packet of less than 64 KiB"));
    page.resize(page.len() + whole, 255);
    page.push((packet.len() % 255) as u8);
    page.extend_from_slice(packet);
    let sum = page.iter().fold(0_u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte) << 24, |sum, _| {
            (sum << 1) ^ (0x04c1_1db7 * (sum >> 31))
        })
    });
    page[22..26].copy_from_slice(&sum.to_le_bytes());
    page
}

/// Parameters and packets of Opus in Ogg (RFC 3533 section 6, RFC 7845 section 3).
pub(crate) fn split_ogg_opus(data: &[u8]) -> Result<(AudioParameters, Vec<Bytes>)> {
    const PAGE_HEADER: usize = 27;
    let (mut packets, mut open, mut rest) = (Vec::new(), Vec::new(), data);
    while !rest.is_empty() {
        ensure!(rest.starts_with(b"OggS"), "no Ogg page");
        let count = usize::from(*rest.get(PAGE_HEADER - 1).context("a page is cut off")?);
        let lacing = rest
            .get(PAGE_HEADER..PAGE_HEADER + count)
            .context("a page is cut off")?;
        let mut at = PAGE_HEADER + count;
        for length in lacing {
            let end = at + usize::from(*length);
            open.extend_from_slice(rest.get(at..end).context("a page is cut off")?);
            at = end;
            if *length < 255 {
                packets.push(Bytes::from(std::mem::take(&mut open)));
            }
        }
        rest = &rest[at..];
    }
    ensure!(packets.len() > 2, "no audio behind the headers");
    let head = packets[0]
        .strip_prefix(b"OpusHead")
        .context("no OpusHead")?;
    let channels = *head.get(1).context("no channel count")?;
    Ok((
        AudioParameters::opus(u16::from(channels)),
        packets.split_off(2),
    ))
}

/// Parameters of G.711 with one channel at 8 kHz.
pub(crate) const fn g711_parameters(codec: AudioCodec) -> AudioParameters {
    AudioParameters {
        codec,
        sample_rate: G711_RATE,
        channels: 1,
        config: Bytes::new(),
    }
}

/// The `index`-th 20 ms of a tone.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the tone's samples stay within 16 bits"
)]
pub(crate) fn g711_frame(codec: AudioCodec, index: i64) -> Bytes {
    let samples = (0..G711_FRAME_SAMPLES).map(|k| {
        // The tone repeats every second, so the phase needs no large numbers.
        let sample = (index * G711_FRAME_SAMPLES + k).rem_euclid(i64::from(G711_RATE));
        let seconds = sample as f64 / f64::from(G711_RATE);
        let level = (seconds * TONE_HZ * std::f64::consts::TAU).sin() * 8_000.0;
        level as i16
    });
    samples
        .map(match codec {
            AudioCodec::Pcma => a_law,
            AudioCodec::Pcmu | AudioCodec::Aac | AudioCodec::Opus => mu_law,
        })
        .collect()
}

/// ITU-T G.711 mu-law: sign, 3 bits exponent, 4 bits mantissa, all inverted.
fn mu_law(sample: i16) -> u8 {
    const BIAS: u16 = 132;
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = sample.unsigned_abs().min(i16::MAX.unsigned_abs() - BIAS) + BIAS;
    let exponent = magnitude.ilog2() - 7;
    let mantissa = low_nibble(magnitude >> (exponent + 3));
    !(sign | exponent.to_le_bytes()[0] << 4 | mantissa)
}

/// ITU-T G.711 A-law: sign, 3 bits exponent, 4 bits mantissa, every other bit inverted.
fn a_law(sample: i16) -> u8 {
    let sign = if sample < 0 { 0 } else { 0x80 };
    let magnitude = (if sample < 0 { !sample } else { sample }).unsigned_abs() >> 3;
    let exponent = magnitude.max(16).ilog2() - 4;
    let mantissa = low_nibble(magnitude >> exponent.max(1));
    (sign | exponent.to_le_bytes()[0] << 4 | mantissa) ^ 0x55
}

fn low_nibble(value: u16) -> u8 {
    value.to_le_bytes()[0] & 0x0f
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    fn decoded(format: &str, data: &[u8]) -> Vec<i16> {
        let mut child = Command::new("ffmpeg")
            .args(["-loglevel", "error", "-f", format, "-ar", "8000", "-i", "-"])
            .args(["-f", "s16le", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(data).unwrap();
        let bytes = child.wait_with_output().unwrap().stdout;
        let samples = bytes.chunks_exact(2);
        samples.map(|s| i16::from_le_bytes([s[0], s[1]])).collect()
    }

    #[test]
    fn an_independent_decoder_hears_what_was_encoded() {
        let samples: Vec<i16> = (-32_000..32_000).step_by(37).collect();
        for (format, law) in [("mulaw", mu_law as fn(i16) -> u8), ("alaw", a_law)] {
            let encoded: Vec<u8> = samples.iter().map(|s| law(*s)).collect();
            let heard = decoded(format, &encoded);
            assert_eq!(heard.len(), samples.len());
            for (sample, heard) in samples.iter().zip(heard) {
                let error = (i32::from(*sample) - i32::from(heard)).abs();
                let tolerance = 16 + i32::from(sample.unsigned_abs()) / 24;
                assert!(error <= tolerance, "{format}: {sample} became {heard}");
            }
        }
    }

    #[test]
    fn what_is_put_into_ogg_is_read_back() {
        let packets = [3, 255, 600].map(|len| Bytes::from(vec![7; len]));
        let (parameters, read) = split_ogg_opus(&ogg_opus(2, &packets)).unwrap();
        assert_eq!((parameters.channels, &read[..]), (2, &packets[..]));
    }

    #[test]
    fn adts_that_is_cut_off_is_refused() {
        assert!(split_adts(&[0xff, 0xf1, 0x4c, 0x80, 0xff, 0xff, 0xfc, 0]).is_err());
        assert!(split_adts(b"").is_err());
        assert!(split_adts(b"RIFF....").is_err());
    }
}
