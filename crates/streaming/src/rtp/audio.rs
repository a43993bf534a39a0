//! AAC (RFC 3640, mode AAC-hbr), G.711 (RFC 3551 section 4.5.14) and Opus (RFC 7587) payloads.

use super::MAX_PAYLOAD_BYTES;
use super::sender::{PacketHead, Sender};
use framewell_media::{AudioCodec, AudioParameters};

/// AU-headers-length and one AU header (RFC 3640 section 3.2.1).
const AU_SECTION_BYTES: usize = 4;
/// The size field of an AU header in AAC-hbr has 13 bits (RFC 3640 section 3.3.6).
const MAX_AAC_FRAME_BYTES: usize = (1 << 13) - 1;

/// Appends the packets of one audio frame.
pub(crate) fn packetize_audio(
    sender: &mut Sender,
    out: &mut Vec<u8>,
    timestamp: u32,
    parameters: &AudioParameters,
    data: &[u8],
) {
    match parameters.codec {
        AudioCodec::Aac => packetize_aac(sender, out, timestamp, data),
        AudioCodec::Opus => packetize_opus(sender, out, timestamp, data),
        AudioCodec::Pcmu | AudioCodec::Pcma => {
            packetize_g711(
                sender,
                out,
                timestamp,
                usize::from(parameters.channels.max(1)),
                data,
            );
        }
    }
}

/// One frame in one packet, or in fragments that all repeat the AU header with the whole size.
/// A frame that the size field cannot tell is dropped; no AAC encoder makes one.
fn packetize_aac(sender: &mut Sender, out: &mut Vec<u8>, timestamp: u32, frame: &[u8]) {
    let Some(size) = u16::try_from(frame.len())
        .ok()
        .filter(|_| !frame.is_empty() && frame.len() <= MAX_AAC_FRAME_BYTES)
    else {
        return;
    };
    let [high, low] = (size << 3).to_be_bytes();
    let au_section = [0, 16, high, low];
    let room = MAX_PAYLOAD_BYTES - AU_SECTION_BYTES;
    let count = frame.len().div_ceil(room);
    for (index, chunk) in frame.chunks(room).enumerate() {
        let head = PacketHead {
            timestamp,
            is_marked: index + 1 == count,
        };
        sender.write(out, head, &[&au_section, chunk]);
    }
}

/// One byte per sample and channel, so a packet border is a sample border with its own time. A camera
/// may claim any number of channels; not even one sample of so many fits a packet.
fn packetize_g711(
    sender: &mut Sender,
    out: &mut Vec<u8>,
    timestamp: u32,
    channels: usize,
    data: &[u8],
) {
    let channels = channels.min(MAX_PAYLOAD_BYTES);
    let samples = MAX_PAYLOAD_BYTES / channels;
    let mut timestamp = timestamp;
    for chunk in data.chunks(samples * channels) {
        let head = PacketHead {
            timestamp,
            is_marked: false,
        };
        sender.write(out, head, &[chunk]);
        timestamp = timestamp.wrapping_add(u32::try_from(samples).unwrap_or(0));
    }
}

/// One packet as it is (RFC 7587 section 4.2), which cannot be fragmented; an encoder makes at most
/// 1,275 bytes for each 20 ms, so only absurd ones are dropped.
fn packetize_opus(sender: &mut Sender, out: &mut Vec<u8>, timestamp: u32, packet: &[u8]) {
    if packet.is_empty() || packet.len() > MAX_PAYLOAD_BYTES {
        return;
    }
    let head = PacketHead {
        timestamp,
        is_marked: false,
    };
    sender.write(out, head, &[packet]);
}
