//! Just enough of an HTTP client for our own server on this machine.
//!
//! It speaks HTTP/1.0, where an answer ends with the connection: no chunks, no keep-alive, nothing to get wrong, and
//! no dependency that a fresh machine would have to compile before it can install anything.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
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
    /// The whole body.
    pub(crate) body: Vec<u8>,
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

fn parse(raw: &[u8]) -> Option<Answer> {
    const END: &[u8] = b"\r\n\r\n";
    let split = raw.windows(END.len()).position(|window| window == END)?;
    let head = std::str::from_utf8(&raw[..split]).ok()?;
    let status = head.lines().next()?.split(' ').nth(1)?.parse().ok()?;
    Some(Answer {
        status,
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
    fn what_is_no_http_is_no_answer() {
        assert!(parse(b"").is_none());
        assert!(parse(b"HTTP/1.1 200 OK\r\n").is_none());
        assert!(parse(b"SSH-2.0\r\n\r\n").is_none());
    }
}
