//! A client that sends exactly the bytes it is given and reads HTTP/1.1 answers.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use super::wire::{Field, Wire, is_chunked, value};

/// One connection. The stream is TCP, or TLS over it.
pub struct Client<S = TcpStream> {
    wire: Wire<S>,
}

impl Client {
    /// Connects; reads give up after ten seconds.
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(READ_TIMEOUT)).unwrap();
        stream.set_write_timeout(Some(READ_TIMEOUT)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream)
    }

    /// Says that nothing more will be sent.
    pub fn end_sending(&self) {
        self.wire.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// How long one read may take.
    pub fn set_read_timeout(&self, timeout: Duration) {
        self.wire.stream.set_read_timeout(Some(timeout)).unwrap();
    }
}

impl<S: Read + Write> Client<S> {
    /// A client over a stream that is set up already.
    pub fn over(stream: S) -> Self {
        Self { wire: Wire::new(stream) }
    }

    /// Sends bytes as they are.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).unwrap();
    }

    /// Sends bytes to a peer that may have gone.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.wire.send(bytes)
    }

    /// Sends a request and reads its answer.
    #[track_caller]
    pub fn ask(&mut self, request: &Request<'_>) -> Reply {
        self.send(request.bytes());
        self.read(request.method)
    }

    /// Reads the answer to a request of this method; interim answers are skipped.
    #[track_caller]
    pub fn read(&mut self, method: &str) -> Reply {
        self.try_read(method).unwrap().unwrap_or_else(|| panic!("closed without an answer"))
    }

    /// Reads an answer; `None` if the connection ends before it begins.
    pub fn try_read(&mut self, method: &str) -> io::Result<Option<Reply>> {
        loop {
            let Some(mut reply) = self.try_read_head()? else { return Ok(None) };
            if (100..200).contains(&reply.status) {
                continue;
            }
            self.read_body(&mut reply, method)?;
            return Ok(Some(reply));
        }
    }

    /// Reads one head, interim or final, and no body.
    #[track_caller]
    pub fn read_head(&mut self) -> Reply {
        self.try_read_head().unwrap().unwrap_or_else(|| panic!("closed without an answer"))
    }

    /// Reads the next chunk of a chunked body; empty at its end.
    #[track_caller]
    pub fn read_chunk(&mut self) -> Vec<u8> {
        self.wire.read_chunk().unwrap()
    }

    /// Reads what comes until the connection ends, however it ends.
    pub fn read_rest(&mut self) -> Vec<u8> {
        self.wire.read_rest()
    }

    /// Whether the peer ends the connection without another byte.
    pub fn is_closed(&mut self) -> bool {
        match self.wire.fill() {
            Ok(more) => !more,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }

    fn try_read_head(&mut self) -> io::Result<Option<Reply>> {
        let Some(head) = self.wire.read_head()? else { return Ok(None) };
        let status = head.start.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status line: {:?}", head.start));
        let lower = |(name, value): Field| (name.to_ascii_lowercase(), value);
        let headers = head.fields.into_iter().map(lower).collect();
        Ok(Some(Reply { status, headers, ..Reply::default() }))
    }

    fn read_body(&mut self, reply: &mut Reply, method: &str) -> io::Result<()> {
        if method == "HEAD" || matches!(reply.status, 204 | 304) {
            return Ok(());
        }
        if is_chunked(&reply.headers) {
            loop {
                let chunk = self.wire.read_chunk()?;
                if chunk.is_empty() {
                    reply.trailers = self.wire.read_fields()?;
                    return Ok(());
                }
                reply.body.extend(chunk);
            }
        }
        reply.body = match reply.header("content-length") {
            Some(length) => self.wire.read_exactly(length.parse().unwrap())?,
            None => self.wire.read_rest(),
        };
        Ok(())
    }
}

/// A request that is as it should be.
#[derive(Clone)]
pub struct Request<'a> {
    pub method: &'a str,
    pub target: &'a str,
    headers: Vec<(&'a str, String)>,
    body: Option<&'a [u8]>,
}

impl<'a> Request<'a> {
    pub fn new(method: &'a str, target: &'a str) -> Self {
        Self { method, target, headers: Vec::new(), body: None }
    }

    pub fn get(target: &'a str) -> Self {
        Self::new("GET", target)
    }

    pub fn header(mut self, name: &'a str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn token(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// A body with its length.
    pub fn body(mut self, body: &'a [u8]) -> Self {
        self.body = Some(body);
        self
    }

    /// Sends it on a connection of its own.
    pub fn ask(&self, address: SocketAddr) -> Reply {
        Client::connect(address).ask(self)
    }

    /// The request as it goes over the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes =
            format!("{} {} HTTP/1.1\r\nhost: orders.example.com\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            bytes += &format!("{name}: {value}\r\n");
        }
        if let Some(body) = self.body {
            bytes += &format!("content-length: {}\r\n", body.len());
        }
        bytes += "\r\n";
        let mut bytes = bytes.into_bytes();
        bytes.extend_from_slice(self.body.unwrap_or_default());
        bytes
    }
}

/// An answer.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<Field>,
    pub body: Vec<u8>,
    pub trailers: Vec<Field>,
}

impl Reply {
    /// A header's first value.
    pub fn header(&self, name: &str) -> Option<&str> {
        value(&self.headers, name)
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {}", String::from_utf8_lossy(&self.body)))
    }

    /// The decision id that the answer carries.
    #[track_caller]
    pub fn decision(&self) -> String {
        self.header("x-crossgate-decision")
            .unwrap_or_else(|| panic!("no decision id: {self:?}"))
            .to_owned()
    }

    /// Checks a refusal: status, problem document with its code, decision id in both places.
    #[track_caller]
    pub fn assert_problem(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let problem = self.json();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        assert_eq!(problem["decision"], self.decision(), "{problem}");
        for member in ["type", "title", "detail"] {
            assert!(problem[member].is_string(), "`{member}` of {problem}");
        }
    }
}

const READ_TIMEOUT: Duration = Duration::from_secs(10);
