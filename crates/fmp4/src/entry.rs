//! Sample entries: what a decoder needs before the first sample (ISO/IEC 14496-12 section 8.5.2).

use crate::Error;
use crate::read::{BoxRef, Reader};
use crate::write::{BoxWriter, length_u32};
use bytes::Bytes;
use framewell_media::{AudioCodec, AudioParameters, VideoCodec, VideoParameters};

/// 72 dots per inch, 16.16 fixed point, as the standard asks.
const RESOLUTION_72_DPI: u32 = 0x0048_0000;
/// Bytes of a visual sample entry before its boxes.
const VISUAL_ENTRY_LEN: usize = 78;

/// Writes `avc1` or `hvc1`.
pub(crate) fn write_video(w: &mut BoxWriter, video: &VideoParameters) {
    let (name, config_name) = match video.codec {
        VideoCodec::H264 => (b"avc1", b"avcC"),
        VideoCodec::H265 => (b"hvc1", b"hvcC"),
    };
    let side = |pixels: u32| u16::try_from(pixels).unwrap_or(u16::MAX);
    w.boxed(name, |w| {
        w.zeros(6);
        w.u16(1); // data_reference_index
        w.zeros(16);
        w.u16(side(video.width));
        w.u16(side(video.height));
        w.u32(RESOLUTION_72_DPI);
        w.u32(RESOLUTION_72_DPI);
        w.zeros(4);
        w.u16(1); // frame_count
        w.zeros(32); // compressorname
        w.u16(0x0018); // depth: colour without alpha
        w.u16(0xffff);
        w.boxed(config_name, |w| w.raw(&video.config));
    });
}

/// Writes `mp4a`, `ulaw`, `alaw` or `Opus`.
pub(crate) fn write_audio(w: &mut BoxWriter, audio: &AudioParameters) {
    let name = match audio.codec {
        AudioCodec::Aac => b"mp4a",
        AudioCodec::Pcmu => b"ulaw",
        AudioCodec::Pcma => b"alaw",
        AudioCodec::Opus => b"Opus",
    };
    w.boxed(name, |w| {
        w.zeros(6);
        w.u16(1); // data_reference_index
        w.zeros(8);
        w.u16(audio.channels);
        w.u16(16); // samplesize
        w.zeros(4);
        // 16.16 fixed point; 0 where the rate does not fit, the timescale tells it
        w.u32(u16::try_from(audio.sample_rate).map_or(0, |rate| u32::from(rate) << 16));
        match audio.codec {
            AudioCodec::Aac => write_esds(w, &audio.config),
            AudioCodec::Opus => w.boxed(b"dOps", |w| w.raw(&audio.config)),
            AudioCodec::Pcmu | AudioCodec::Pcma => {}
        }
    });
}

/// Tags of ISO/IEC 14496-1 section 7.2.2.1.
const ES_DESCRIPTOR: u8 = 3;
const DECODER_CONFIG: u8 = 4;
const DECODER_SPECIFIC_INFO: u8 = 5;
const SL_CONFIG: u8 = 6;
/// Bytes of a descriptor's tag and length as we write it.
const DESCRIPTOR_HEAD: usize = 5;

fn descriptor(w: &mut BoxWriter, tag: u8, length: usize) {
    let length = length_u32(length);
    w.u8(tag);
    for shift in [21, 14, 7] {
        w.u8(0x80 | low7(length >> shift));
    }
    w.u8(low7(length));
}

fn low7(value: u32) -> u8 {
    (value & 0x7f).to_le_bytes()[0]
}

/// Writes `esds` (ISO/IEC 14496-14 section 5.6).
fn write_esds(w: &mut BoxWriter, config: &[u8]) {
    const DECODER_CONFIG_LEN: usize = 13;
    let specific = DESCRIPTOR_HEAD + config.len();
    let decoder = DECODER_CONFIG_LEN + specific;
    w.full_box(b"esds", 0, 0, |w| {
        descriptor(
            w,
            ES_DESCRIPTOR,
            3 + DESCRIPTOR_HEAD + decoder + DESCRIPTOR_HEAD + 1,
        );
        w.u16(0); // ES_ID, 0 in files
        w.u8(0);
        descriptor(w, DECODER_CONFIG, decoder);
        w.u8(0x40); // objectTypeIndication: audio ISO/IEC 14496-3
        w.u8(0x15); // streamType audio, reserved bit
        w.zeros(11); // buffer size and bit rates unknown
        descriptor(w, DECODER_SPECIFIC_INFO, config.len());
        w.raw(config);
        descriptor(w, SL_CONFIG, 1);
        w.u8(2); // predefined for files
    });
}

/// What a sample entry says.
#[derive(Debug)]
pub(crate) enum Entry {
    Video(VideoParameters),
    Audio(AudioParameters),
}

/// Reads the first entry of `stsd`. `timescale` of the track is the sample rate of audio.
pub(crate) fn read(mut stsd: Reader<'_>, timescale: u32) -> Result<Entry, Error> {
    stsd.version_and_flags()?;
    stsd.u32()?;
    let entry = stsd.next_box()?;
    match &entry.name {
        b"avc1" | b"avc3" => read_video(entry, VideoCodec::H264, b"avcC"),
        b"hvc1" | b"hev1" => read_video(entry, VideoCodec::H265, b"hvcC"),
        b"mp4a" => read_audio(entry, AudioCodec::Aac, timescale),
        b"ulaw" => read_audio(entry, AudioCodec::Pcmu, timescale),
        b"alaw" => read_audio(entry, AudioCodec::Pcma, timescale),
        b"Opus" => read_audio(entry, AudioCodec::Opus, timescale),
        other => {
            let name = other.escape_ascii();
            Err(entry
                .body
                .bad(format!("the coding {name} is not supported")))
        }
    }
}

fn read_video(entry: BoxRef<'_>, codec: VideoCodec, config: &[u8; 4]) -> Result<Entry, Error> {
    let mut body = entry.body;
    body.take(VISUAL_ENTRY_LEN)?;
    let config = body.find(config)?;
    VideoParameters::from_config(codec, Bytes::copy_from_slice(config.rest()))
        .map(Entry::Video)
        .map_err(|e| config.bad(e.to_string()))
}

fn read_audio(entry: BoxRef<'_>, codec: AudioCodec, sample_rate: u32) -> Result<Entry, Error> {
    let mut body = entry.body;
    body.take(16)?;
    let channels = body.u16()?;
    body.take(10)?;
    if sample_rate == 0 {
        return Err(body.bad("no sample rate"));
    }
    let config = match codec {
        AudioCodec::Aac => read_esds(body.find(b"esds")?)?,
        AudioCodec::Opus => Bytes::copy_from_slice(body.find(b"dOps")?.rest()),
        AudioCodec::Pcmu | AudioCodec::Pcma => Bytes::new(),
    };
    Ok(Entry::Audio(AudioParameters {
        codec,
        sample_rate,
        channels,
        config,
    }))
}

/// `DecoderSpecificInfo` of an `esds` as [`write_esds`] lays it out.
fn read_esds(mut body: Reader<'_>) -> Result<Bytes, Error> {
    body.version_and_flags()?;
    enter(&mut body, ES_DESCRIPTOR)?;
    body.take(3)?;
    enter(&mut body, DECODER_CONFIG)?;
    body.take(13)?;
    let length = enter(&mut body, DECODER_SPECIFIC_INFO)?;
    Ok(Bytes::copy_from_slice(body.take(length)?))
}

/// Tag and length of a descriptor; the length.
fn enter(body: &mut Reader<'_>, tag: u8) -> Result<usize, Error> {
    if body.u8()? != tag {
        return Err(body.bad(format!("descriptor {tag} expected")));
    }
    let mut length = 0;
    for _ in 0..4 {
        let byte = body.u8()?;
        length = length << 7 | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Ok(length);
        }
    }
    Err(body.bad("descriptor length of more than 4 bytes"))
}
