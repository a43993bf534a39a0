//! Just enough of an HTTP client for our own server on this machine.
//!
//! It speaks HTTP/1.0, where an answer ends with the connection: no chunks, no keep-alive, nothing to get wrong, and
//! no dependency that a fresh machine would have to compile before it can install anything.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

/// Longest wait for the server's next byte.
const PATIENCE: Duration = Duration::from_secs(30);

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// HTTP status code.
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    /// The whole body.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// A header's value; names in any case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = headers
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

/// Name and value of a header line.
fn header(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    Some((name.to_owned(), value.trim().to_owned()))
}

/// A server and the credential for it.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    address: SocketAddr,
    authorization: String,
}

impl Client {
    /// `authorization` is the whole value of the header, scheme and credential.
    pub(crate) fn new(address: SocketAddr, authorization: String) -> Self {
        Self {
            address,
            authorization,
        }
    }

    /// Asks for an object; any status but 2xx is an error with the server's own words.
    pub(crate) fn json(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let answer = self.request(method, path, body)?;
        let text = String::from_utf8_lossy(&answer.body);
        anyhow::ensure!(
            (200..300).contains(&answer.status),
            "{method} {path}: {} {text}",
            answer.status
        );
        serde_json::from_str(&text)
            .with_context(|| format!("{method} {path} answered with no JSON: {text}"))
    }

    /// Asks for anything.
    pub(crate) fn request(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Answer> {
        let payload = body.map(Value::to_string).unwrap_or_default();
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: {}\r\nAuthorization: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n",
            self.address,
            self.authorization,
            payload.len()
        );
        let raw = self.exchange(&[head.as_bytes(), payload.as_bytes()].concat());
        parse(&raw.with_context(|| format!("{method} {path} to {}", self.address))?)
            .with_context(|| format!("{method} {path}: no HTTP answer"))
    }

    /// Sends a file and asks for an object.
    pub(crate) fn upload(&self, path: &str, file: &Path) -> anyhow::Result<Value> {
        let mut stream = TcpStream::connect(self.address)?;
        // The answer comes when all of it is stored.
        stream.set_read_timeout(Some(PATIENCE * 10))?;
        let mut file = std::fs::File::open(file)?;
        let head = format!(
            "POST {path} HTTP/1.0\r\nHost: {}\r\nAuthorization: {}\r\nContent-Type: video/mp4\r\n\
             Content-Length: {}\r\n\r\n",
            self.address,
            self.authorization,
            file.metadata()?.len()
        );
        stream.write_all(head.as_bytes())?;
        std::io::copy(&mut file, &mut stream)?;
        let mut raw = Vec::new();
        stream.read_to_end(&mut raw)?;
        let answer = parse(&raw).with_context(|| format!("POST {path}: no HTTP answer"))?;
        let text = String::from_utf8_lossy(&answer.body);
        anyhow::ensure!((200..300).contains(&answer.status), "POST {path}: {text}");
        Ok(serde_json::from_str(&text)?)
    }

    /// Asks for a body that comes bit by bit, and may have no end.
    pub(crate) fn stream(&self, path: &str) -> anyhow::Result<BufReader<TcpStream>> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let head = format!(
            "GET {path} HTTP/1.0\r\nHost: {}\r\nAuthorization: {}\r\n\r\n",
            self.address, self.authorization
        );
        stream.write_all(head.as_bytes())?;
        let mut reader = BufReader::new(stream);
        let status = line(&mut reader)?;
        while !line(&mut reader)?.is_empty() {}
        if status.split(' ').nth(1) == Some("200") {
            return Ok(reader);
        }
        let mut rest = String::new();
        reader.read_to_string(&mut rest)?;
        anyhow::bail!("GET {path}: {status} {rest}")
    }

    fn exchange(&self, request: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(request)?;
        let mut raw = Vec::new();
        stream.read_to_end(&mut raw)?;
        Ok(raw)
    }
}

/// A part of a multipart body (RFC 2046 section 5.1).
#[derive(Debug)]
pub(crate) struct Part {
    headers: Vec<(String, String)>,
    /// The whole body.
    pub(crate) body: Vec<u8>,
}

impl Part {
    /// A header's value; names in any case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }
}

/// The next part, which says its `Content-Length`; `None` at the end.
pub(crate) fn next_part(reader: &mut impl BufRead) -> anyhow::Result<Option<Part>> {
    loop {
        let mut text = String::new();
        if reader.read_line(&mut text)? == 0 || text.trim_end().ends_with("--") {
            return Ok(None);
        }
        if text.starts_with("--") {
            break;
        }
    }
    let mut headers = Vec::new();
    loop {
        let text = line(reader)?;
        if text.is_empty() {
            break;
        }
        headers.push(header(&text).with_context(|| text.clone())?);
    }
    let mut part = Part {
        headers,
        body: Vec::new(),
    };
    let length = part
        .header("content-length")
        .context("a part without a length")?;
    part.body = vec![0; length.parse()?];
    reader.read_exact(&mut part.body)?;
    Ok(Some(part))
}

/// A line without its end.
fn line(reader: &mut impl BufRead) -> anyhow::Result<String> {
    let mut text = String::new();
    anyhow::ensure!(reader.read_line(&mut text)? > 0, "the answer ended early");
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn parse(raw: &[u8]) -> Option<Answer> {
    const END: &[u8] = b"\r\n\r\n";
    let split = raw.windows(END.len()).position(|window| window == END)?;
    let head = std::str::from_utf8(&raw[..split]).ok()?;
    let status = head.lines().next()?.split(' ').nth(1)?.parse().ok()?;
    Some(Answer {
        status,
        headers: head.lines().skip(1).filter_map(header).collect(),
        body: raw[split + END.len()..].to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// Answers one request with `answer` and gives back what it was asked.
    fn serve_once(answer: &'static [u8]) -> (SocketAddr, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = vec![0; 4096];
            let length = stream.read(&mut asked).unwrap();
            stream.write_all(answer).unwrap();
            String::from_utf8(asked[..length].to_vec()).unwrap()
        });
        (address, server)
    }

    #[test]
    fn an_object_is_posted_and_the_answer_read_to_the_end() {
        let (address, server) =
            serve_once(b"HTTP/1.1 201 Created\r\nContent-Type: x\r\n\r\n{\"id\": 7}");
        let client = Client::new(address, "LKey k".to_owned());
        let answer = client
            .json(
                "POST",
                "/api/v3/channels/",
                Some(&serde_json::json!({"name": "x"})),
            )
            .unwrap();
        assert_eq!(answer["id"], 7);
        let asked = server.join().unwrap();
        assert!(
            asked.starts_with("POST /api/v3/channels/ HTTP/1.0\r\n"),
            "{asked}"
        );
        assert!(
            asked.contains("Authorization: LKey k\r\n") && asked.ends_with("{\"name\":\"x\"}"),
            "{asked}"
        );
    }

    #[test]
    fn an_error_carries_the_servers_words() {
        let (address, server) =
            serve_once(b"HTTP/1.1 401 Unauthorized\r\n\r\n{\"errorType\":\"invalid_auth\"}");
        let error = Client::new(address, String::new())
            .json("GET", "/x", None)
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "GET /x: 401 {\"errorType\":\"invalid_auth\"}"
        );
        server.join().unwrap();
    }

    #[test]
    fn parts_are_read_one_by_one() {
        let body = b"--x\r\nContent-Type: image/jpeg\r\nContent-Length: 4\r\n\r\n--ab\r\n--x\r\ncontent-length: 0\r\nA: b\r\n\r\n\r\n--x--\r\n";
        let mut reader = &body[..];
        let first = next_part(&mut reader).unwrap().unwrap();
        assert_eq!(
            (&first.body[..], first.header("content-type")),
            (&b"--ab"[..], Some("image/jpeg"))
        );
        let second = next_part(&mut reader).unwrap().unwrap();
        assert_eq!((second.body.len(), second.header("a")), (0, Some("b")));
        assert!(next_part(&mut reader).unwrap().is_none());
        assert!(next_part(&mut &b"--x\r\nContent-Length: 9\r\n\r\ncut"[..]).is_err());
    }

    #[test]
    fn what_is_no_http_is_no_answer() {
        assert!(parse(b"").is_none());
        assert!(parse(b"HTTP/1.1 200 OK\r\n").is_none());
        assert!(parse(b"SSH-2.0\r\n\r\n").is_none());
    }
}
