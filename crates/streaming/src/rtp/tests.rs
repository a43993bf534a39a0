//! What a receiver makes of the packets: written from the RFCs, independent of the senders.

use super::sender::Sender;
use super::{CHANNEL_VIDEO, packetize_audio, packetize_video, with_channel};
use bytes::Bytes;
use framewell_media::{AudioCodec, AudioParameters, TrackKind, VideoCodec, nal};
use proptest::prelude::*;

#[derive(Debug, Clone, PartialEq)]
struct Packet {
    channel: u8,
    is_marked: bool,
    payload_type: u8,
    sequence: u16,
    timestamp: u32,
    payload: Vec<u8>,
}

fn packets(mut wire: &[u8]) -> Vec<Packet> {
    let mut packets = Vec::new();
    while !wire.is_empty() {
        assert_eq!(wire[0], b'$');
        let end = 4 + usize::from(u16::from_be_bytes([wire[2], wire[3]]));
        let rtp = &wire[4..end];
        assert_eq!(rtp[0], 0x80);
        assert!(rtp.len() <= super::MAX_PACKET_BYTES);
        packets.push(Packet {
            channel: wire[1],
            is_marked: rtp[1] & 0x80 != 0,
            payload_type: rtp[1] & 0x7f,
            sequence: u16::from_be_bytes([rtp[2], rtp[3]]),
            timestamp: u32::from_be_bytes(rtp[4..8].try_into().unwrap()),
            payload: rtp[12..].to_vec(),
        });
        wire = &wire[end..];
    }
    packets
}

/// NAL units of single-NAL packets and fragmentation units.
fn depacketize(codec: VideoCodec, packets: &[Packet]) -> Vec<Bytes> {
    let mut nals: Vec<Vec<u8>> = Vec::new();
    for Packet { payload, .. } in packets {
        let (kind, head, fu) = match codec {
            VideoCodec::H264 => (payload[0] & 0x1f == 28, 1, payload[1]),
            VideoCodec::H265 => ((payload[0] >> 1) & 0x3f == 49, 2, payload[2]),
        };
        if !kind {
            nals.push(payload.clone());
            continue;
        }
        if fu & 0x80 != 0 {
            nals.push(match codec {
                VideoCodec::H264 => vec![(payload[0] & 0xe0) | (fu & 0x1f)],
                VideoCodec::H265 => vec![(payload[0] & 0x81) | ((fu & 0x3f) << 1), payload[1]],
            });
        }
        nals.last_mut()
            .unwrap()
            .extend_from_slice(&payload[head + 1..]);
    }
    nals.into_iter().map(Bytes::from).collect()
}

/// A NAL unit that is neither a fragment nor an aggregate.
fn nal_unit(codec: VideoCodec) -> impl Strategy<Value = Bytes> {
    let body = prop_oneof![
        proptest::collection::vec(any::<u8>(), 2..40),
        proptest::collection::vec(any::<u8>(), 1_370..1_400),
        proptest::collection::vec(any::<u8>(), 2_700..6_000),
    ];
    (1u8..20, any::<u8>(), body).prop_map(move |(kind, low, body)| {
        let mut nal = match codec {
            VideoCodec::H264 => vec![(low & 0x60) | kind],
            VideoCodec::H265 => vec![(low & 0x01) | (kind << 1), low | 1],
        };
        nal.extend(body);
        nal.into()
    })
}

fn unit() -> impl Strategy<Value = (VideoCodec, Vec<Bytes>, usize)> {
    prop_oneof![Just(VideoCodec::H264), Just(VideoCodec::H265)].prop_flat_map(|codec| {
        (
            Just(codec),
            proptest::collection::vec(nal_unit(codec), 1..5),
            0usize..3,
        )
    })
}

proptest! {
    #[test]
    fn a_receiver_gets_back_every_nal_unit((codec, nals, sets) in unit()) {
        let sets = sets.min(nals.len() - 1);
        let mut sender = Sender::new(96, CHANNEL_VIDEO);
        let first = sender.next_sequence();
        let mut wire = Vec::new();
        let data = nal::join_length_prefixed(&nals[sets..]);
        packetize_video(&mut sender, &mut wire, 4_711, codec, &nals[..sets], &data);
        let packets = packets(&wire);
        prop_assert_eq!(depacketize(codec, &packets), nals);
        let last = packets.len() - 1;
        for (index, packet) in packets.iter().enumerate() {
            prop_assert_eq!(packet.is_marked, index == last);
            prop_assert_eq!(packet.timestamp, 4_711);
            prop_assert_eq!(usize::from(packet.sequence.wrapping_sub(first)), index);
        }
    }

    #[test]
    fn aac_frames_come_back_whole(frame in proptest::collection::vec(any::<u8>(), 1..5_000)) {
        let mut wire = Vec::new();
        let parameters = audio(AudioCodec::Aac, 48_000, 2);
        packetize_audio(&mut Sender::new(97, 2), &mut wire, 9, &parameters, &frame);
        let packets = packets(&wire);
        let mut joined = Vec::new();
        for packet in &packets {
            prop_assert_eq!(&packet.payload[..2], &[0, 16]);
            let size = u16::from_be_bytes([packet.payload[2], packet.payload[3]]) >> 3;
            prop_assert_eq!(usize::from(size), frame.len());
            joined.extend_from_slice(&packet.payload[4..]);
        }
        prop_assert_eq!(joined, frame);
        prop_assert!(packets.last().unwrap().is_marked);
        prop_assert_eq!(packets.iter().filter(|packet| packet.is_marked).count(), 1);
    }
}

fn audio(codec: AudioCodec, sample_rate: u32, channels: u16) -> AudioParameters {
    AudioParameters {
        codec,
        sample_rate,
        channels,
        config: Bytes::new(),
    }
}

#[test]
fn absurd_numbers_of_channels_make_no_packet_too_big() {
    for channels in [0, 1_399, 1_400, 40_000, u16::MAX] {
        let mut wire = Vec::new();
        let parameters = audio(AudioCodec::Pcmu, 8_000, channels);
        let mut sender = Sender::new(0, 2);
        packetize_audio(&mut sender, &mut wire, 0, &parameters, &[7; 70_000]);
        let payloads = packets(&wire)
            .into_iter()
            .map(|packet| packet.payload.len());
        assert_eq!(payloads.sum::<usize>(), 70_000, "{channels}");
    }
}

#[test]
fn g711_packets_advance_by_their_samples() {
    let mut wire = Vec::new();
    let parameters = audio(AudioCodec::Pcma, 8_000, 1);
    packetize_audio(
        &mut Sender::new(8, 2),
        &mut wire,
        100,
        &parameters,
        &[7; 3_000],
    );
    let packets = packets(&wire);
    let times: Vec<_> = packets.iter().map(|packet| packet.timestamp).collect();
    assert_eq!(times, [100, 100 + 1_388, 100 + 2_776]);
    assert_eq!(
        packets
            .iter()
            .map(|packet| packet.payload.len())
            .sum::<usize>(),
        3_000
    );
}

#[test]
fn a_client_with_channels_of_its_own_gets_the_same_packets_under_them() {
    let mut sender = Sender::new(96, CHANNEL_VIDEO);
    let mut wire = Vec::new();
    let data = nal::join_length_prefixed(&[Bytes::from(vec![5; 4_000])]);
    packetize_video(&mut sender, &mut wire, 1, VideoCodec::H264, &[], &data);
    let moved = packets(&with_channel(&wire, TrackKind::Video, 6));
    let mut expected = packets(&wire);
    for packet in &mut expected {
        packet.channel = 6;
    }
    assert_eq!(moved, expected);
}
