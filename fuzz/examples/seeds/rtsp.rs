//! What ffmpeg says as a publisher and as a player over RTSP.

use crate::{AAC, H264, H265, MULAW, ffmpeg, framed, save};
use framewell_wire::rtsp::wire::{Decoder, Incoming};
use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

/// What a client sent.
#[derive(Default)]
struct Heard {
    all: Vec<u8>,
    description: Vec<u8>,
    requests: Vec<Vec<u8>>,
    packets: Vec<(u8, Vec<u8>)>,
}

pub(crate) fn capture() -> io::Result<()> {
    let described = publisher("h264_aac", H264, AAC, &[0, 2])?;
    publisher("h265_mulaw", H265, MULAW, &[1, 3])?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!(
        "rtsp://any:secret@{}/rec/7?start=2026-01-01T12:00:00Z",
        listener.local_addr()?
    );
    let mut player = Command::new("ffmpeg")
        .args([
            "-nostdin",
            "-loglevel",
            "quiet",
            "-rtsp_transport",
            "tcp",
            "-ss",
            "1",
            "-i",
            &url,
        ])
        .args(["-f", "null", "-"])
        .stdin(Stdio::null())
        .spawn()?;
    let heard = serve(&listener, &described)?;
    player.kill()?;
    player.wait()?;
    save("rtsp_stream", "player", &heard.all)?;
    for (number, request) in heard.requests.iter().enumerate() {
        save("rtsp_request", &format!("player_{number}"), request)?;
    }
    Ok(())
}

/// `codings` are what the depacketizers' target calls those of the streams.
fn publisher(name: &str, video: &[&str], audio: &[&str], codings: &[u8; 2]) -> io::Result<Vec<u8>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("rtsp://{}/publish/7?ticket=media.x", listener.local_addr()?);
    let output = [
        "-f",
        "rtsp",
        "-rtsp_transport",
        "tcp",
        "-pkt_size",
        "400",
        &url,
    ];
    let mut encoder = ffmpeg(video, audio, &output)?;
    let heard = serve(&listener, b"")?;
    encoder.wait()?;
    save("rtsp_stream", name, &heard.all)?;
    save("sdp", name, &heard.description)?;
    for (number, request) in heard.requests.iter().enumerate() {
        save("rtsp_request", &format!("{name}_{number}"), request)?;
    }
    for (channel, coding) in (0..).step_by(2).zip(codings) {
        let packets = || heard.packets.iter().filter(move |(of, _)| *of == channel);
        let bytes = framed(packets().map(|(_, packet)| packet.as_slice()));
        save(
            "rtp_depacketize",
            &format!("{name}_{channel}"),
            &[&[*coding], &bytes[..]].concat(),
        )?;
        if let Some((_, packet)) = packets().next() {
            save("rtcp", &format!("{name}_packet_{channel}"), packet)?;
        }
        let mut reports = heard.packets.iter().filter(|(of, _)| *of == channel + 1);
        if let Some((_, report)) = reports.next() {
            save("rtcp", &format!("{name}_report_{channel}"), report)?;
        }
    }
    Ok(heard.description)
}

/// Grants one client everything until it goes, or has been told to play.
fn serve(listener: &TcpListener, description: &[u8]) -> io::Result<Heard> {
    let (mut client, _) = listener.accept()?;
    let (mut heard, mut decoder) = (Heard::default(), Decoder::default());
    let mut buffer = vec![0; 4_096];
    loop {
        let length = client.read(&mut buffer)?;
        if length == 0 {
            return Ok(heard);
        }
        heard.all.extend_from_slice(&buffer[..length]);
        decoder.buffer().extend_from_slice(&buffer[..length]);
        while let Some(incoming) = decoder.take().map_err(io::Error::other)? {
            match incoming {
                Incoming::Packet { channel, data } => heard.packets.push((channel, data.to_vec())),
                Incoming::Request(request) => {
                    let mut bytes = Vec::new();
                    request.write(&mut bytes).map_err(io::Error::other)?;
                    heard.requests.push(bytes);
                    if answer(&mut client, &request, description)? {
                        return Ok(heard);
                    }
                    if !request.body().is_empty() {
                        heard.description = request.body().clone();
                    }
                }
                Incoming::Ignored => {}
            }
        }
    }
}

type Request = rtsp_types::Request<Vec<u8>>;

/// True when the client has been told all.
fn answer(client: &mut TcpStream, request: &Request, description: &[u8]) -> io::Result<bool> {
    use rtsp_types::{Method, headers};
    let header = |name: rtsp_types::HeaderName| {
        let value = request.header(&name);
        value.map(|value| value.as_str().to_owned())
    };
    let sequence = header(headers::CSEQ).unwrap_or_default();
    let mut status = "200 OK";
    let mut more = String::from("Session: 1\r\n");
    let mut body: &[u8] = b"";
    match request.method() {
        Method::Describe if header(headers::AUTHORIZATION).is_none() => {
            status = "401 Unauthorized";
            more = String::from("WWW-Authenticate: Digest realm=\"framewell\", nonce=\"n1\"\r\n");
        }
        Method::Describe => {
            body = description;
            more = format!(
                "Content-Type: application/sdp\r\nContent-Length: {}\r\n",
                body.len()
            );
        }
        Method::Setup => {
            let transport = header(headers::TRANSPORT).unwrap_or_default();
            more.push_str(&format!("Transport: {transport}\r\n"));
        }
        _ => {}
    }
    let head = format!("RTSP/1.0 {status}\r\nCSeq: {sequence}\r\n{more}\r\n");
    client.write_all(head.as_bytes())?;
    client.write_all(body)?;
    Ok(matches!(request.method(), Method::Play | Method::Teardown))
}
