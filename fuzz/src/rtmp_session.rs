//! A client of RTMP behind its handshake: chunks, commands, pictures and sound.

use crate::{split::pieces, within};
use bytes::{Bytes, BytesMut};
use framewell_media::VideoParameters;
use framewell_wire::rtmp::chunk::{ChunkReader, Message, kind, write_message};
use framewell_wire::rtmp::conversation::{Conversation, Wish};
use framewell_wire::rtmp::flv::{self, AudioTag, VideoTag};
use framewell_wire::rtmp::handshake::Handshake;
use framewell_wire::rtmp::target::Target;
use framewell_wire::rtmp::{ProtocolError, amf0};

/// Longest message before and behind `publish`; the server takes longer ones.
const MAX_COMMAND: usize = 16 << 10;
const MAX_MEDIA: usize = 256 << 10;
/// Handshake, two messages that wait, answers, and values of 512 names.
const MOST_HELD: usize = 4 << 20;

/// What was read, what was answered, and how it ended.
#[derive(Debug, PartialEq)]
struct Read {
    wishes: Vec<Wish>,
    output: Vec<u8>,
    error: Option<ProtocolError>,
}

/// Where the bytes are cut makes no difference.
pub fn run(data: &[u8]) {
    // C0, C1 and C2, which hold nothing worth changing.
    let mut sent = vec![3];
    sent.resize(1 + 2 * 1_536, 7);
    sent.extend_from_slice(data);
    let most = MOST_HELD + 64 * data.len();
    let whole = within(most, || read([&sent[..]].into_iter()));
    let cut = within(most, || read(pieces(&sent)));
    assert_eq!(whole, cut);
    for wish in whole.wishes {
        match wish {
            Wish::Media(message) => check_media(&message),
            Wish::Publish(name) | Wish::Play(name) => {
                Target::parse("app", &name);
                Target::parse(&name, "7?ticket=x");
            }
            Wish::Stop => {}
        }
    }
}

fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Read {
    let (mut handshake, mut input) = (Handshake::new(1), BytesMut::new());
    let mut chunks = ChunkReader::new(MAX_COMMAND);
    let mut conversation = Conversation::default();
    let mut wishes = Vec::new();
    let mut error = None;
    for piece in pieces {
        input.extend_from_slice(piece);
        let taken = take(
            &mut handshake,
            &mut chunks,
            &mut conversation,
            &mut input,
            &mut wishes,
        );
        if let Err(refused) = taken {
            error = Some(refused);
            break;
        }
    }
    let output = conversation.take_output();
    Read {
        wishes,
        output,
        error,
    }
}

fn take(
    handshake: &mut Handshake,
    chunks: &mut ChunkReader,
    conversation: &mut Conversation,
    input: &mut BytesMut,
    wishes: &mut Vec<Wish>,
) -> Result<(), ProtocolError> {
    if *handshake != Handshake::Done && !handshake.advance(input, conversation.output())? {
        return Ok(());
    }
    while let Some(message) = chunks.next(input)? {
        check_message(&message);
        let wish = conversation.take(message)?;
        match &wish {
            Some(Wish::Publish(_)) => {
                conversation.accept_publish();
                chunks.set_max_message(MAX_MEDIA);
            }
            Some(Wish::Play(_)) => conversation.accept_play(),
            Some(Wish::Stop) => conversation.end_play(),
            Some(Wish::Media(_)) | None => {}
        }
        wishes.extend(wish);
    }
    Ok(())
}

/// A message is written as it was read, whatever the size of the chunks; so are the values in it.
fn check_message(message: &Message) {
    for chunk in [1 + message.body.len() / 3, 64 << 10] {
        let mut bytes = Vec::new();
        let size = u32::try_from(chunk).unwrap().to_be_bytes();
        let announced = Message {
            kind: kind::SET_CHUNK_SIZE,
            timestamp: 0,
            stream: 0,
            body: Bytes::copy_from_slice(&size),
        };
        write_message(&mut bytes, 2, &announced, 128);
        write_message(&mut bytes, 3, message, chunk);
        let mut reader = ChunkReader::new(MAX_MEDIA);
        let again = reader.next(&mut BytesMut::from(&bytes[..]));
        assert_eq!(again, Ok(Some(message.clone())));
    }
    if message.kind != kind::COMMAND {
        return;
    }
    if let Ok(values) = amf0::decode_all(&message.body) {
        let written = amf0::encode_all(&values);
        let again = amf0::decode_all(&written).expect("what we wrote");
        // Not the values, among which may be numbers that differ from themselves.
        assert_eq!(amf0::encode_all(&again), written);
    }
}

fn check_media(message: &Message) {
    match message.kind {
        kind::VIDEO => match flv::read_video(&message.body) {
            Ok(VideoTag::Parameters(codec, record)) => {
                if let Ok(video) = VideoParameters::from_config(codec, record) {
                    VideoParameters::from_parameter_sets(codec, &video.parameter_sets()).ok();
                }
            }
            Ok(VideoTag::Picture { data, .. }) => assert!(data.len() < message.body.len()),
            Ok(VideoTag::Nothing) | Err(_) => {}
        },
        kind::AUDIO => match flv::read_audio(&message.body) {
            Ok(AudioTag::Pcm { channels, .. }) => assert!((1..=2).contains(&channels)),
            Ok(AudioTag::AacParameters(config)) => {
                framewell_media::AudioParameters::from_aac_config(config).ok();
            }
            Ok(AudioTag::Aac(_) | AudioTag::Nothing) | Err(_) => {}
        },
        _ => {}
    }
}
