//! What ffmpeg says as a publisher and as a player over RTMP, behind the handshake.

use crate::{AAC, H264, ffmpeg, save};
use bytes::BytesMut;
use framewell_wire::rtmp::chunk::ChunkReader;
use framewell_wire::rtmp::conversation::{Conversation, Wish};
use framewell_wire::rtmp::handshake::Handshake;
use std::io::{self, Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};

/// C0, C1 and C2.
const HANDSHAKE: usize = 1 + 2 * 1_536;

pub(crate) fn capture() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = |path: &str| -> io::Result<String> {
        Ok(format!(
            "rtmp://{}/{path}?ticket=media.x",
            listener.local_addr()?
        ))
    };
    let mut encoder = ffmpeg(H264, AAC, &["-f", "flv", &url("publish/7")?])?;
    save("rtmp_session", "publisher", &serve(&listener)?)?;
    encoder.wait()?;
    let mut player = Command::new("ffmpeg")
        .args([
            "-nostdin",
            "-loglevel",
            "quiet",
            "-i",
            &url("live/7_main")?,
            "-f",
            "null",
            "-",
        ])
        .stdin(Stdio::null())
        .spawn()?;
    save("rtmp_session", "player", &serve(&listener)?)?;
    player.wait()?;
    Ok(())
}

/// Everything that one client sends until it goes or wants to play.
fn serve(listener: &TcpListener) -> io::Result<Vec<u8>> {
    let (mut client, _) = listener.accept()?;
    let (mut handshake, mut input) = (Handshake::new(1), BytesMut::new());
    let mut chunks = ChunkReader::new(1 << 20);
    let mut conversation = Conversation::default();
    let (mut all, mut buffer) = (Vec::new(), vec![0; 4_096]);
    loop {
        let length = client.read(&mut buffer)?;
        if length == 0 {
            return Ok(all.split_off(HANDSHAKE));
        }
        all.extend_from_slice(&buffer[..length]);
        input.extend_from_slice(&buffer[..length]);
        let is_done = handshake.advance(&mut input, conversation.output());
        let mut is_over = false;
        while is_done == Ok(true)
            && let Some(message) = chunks.next(&mut input).map_err(io::Error::other)?
        {
            match conversation.take(message).map_err(io::Error::other)? {
                Some(Wish::Publish(_)) => conversation.accept_publish(),
                Some(Wish::Play(_)) => {
                    conversation.refuse("NetStream.Play.StreamNotFound", "only a capture");
                    is_over = true;
                }
                _ => {}
            }
        }
        client.write_all(&conversation.take_output())?;
        if is_over {
            return Ok(all.split_off(HANDSHAKE));
        }
    }
}
