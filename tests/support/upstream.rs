//! An upstream that tells what it received and misbehaves on request.
//!
//! A request chooses its answer with the header `x-upstream`; without it the answer is the request
//! itself as JSON.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::json;

use super::server::Server;
use super::wire::{Field, Head, Wire, is_chunked, value};
use super::{SOON, lock, poll};

/// The upstream.
pub struct Upstream {
    server: Server,
    shared: Arc<Shared>,
}

/// A request as it came over the wire.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// Which connection it came on, counted from 0.
    pub connection: usize,
    pub method: String,
    pub target: String,
    pub version: String,
    /// In order, with duplicates, names as written.
    pub fields: Vec<Field>,
    pub body: Vec<u8>,
    pub trailers: Vec<Field>,
}

#[derive(Default)]
struct Shared {
    received: Mutex<Vec<Received>>,
    connections: AtomicUsize,
    abandoned: AtomicUsize,
    steps: Mutex<usize>,
    stepped: Condvar,
}

impl Upstream {
    pub fn start() -> Self {
        let shared = Arc::<Shared>::default();
        let serving = Arc::clone(&shared);
        let server = Server::start(move |stream| {
            stream.set_nodelay(true).unwrap();
            let connection = serving.connections.fetch_add(1, Ordering::AcqRel);
            let mut wire = Wire::new(stream);
            while matches!(serving.serve_one(&mut wire, connection), Ok(After::KeepAlive)) {}
        });
        Self { server, shared }
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Every request whose head arrived, in order of arrival.
    pub fn received(&self) -> Vec<Received> {
        lock(&self.shared.received).clone()
    }

    /// How many requests arrived.
    pub fn count(&self) -> usize {
        lock(&self.shared.received).len()
    }

    /// How many connections were made.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Acquire)
    }

    /// How many answers nobody waited for.
    pub fn abandoned(&self) -> usize {
        self.shared.abandoned.load(Ordering::Acquire)
    }

    /// The last request.
    #[track_caller]
    pub fn last(&self) -> Received {
        self.received().pop().unwrap_or_else(|| panic!("nothing reached the upstream"))
    }

    /// Waits until so many requests have arrived.
    #[track_caller]
    pub fn wait_count(&self, count: usize) {
        poll("requests at the upstream", SOON, || (self.count() >= count).then_some(()));
    }

    /// Lets one answer that waits go on by one step.
    pub fn step(&self) {
        *lock(&self.shared.steps) += 1;
        self.shared.stepped.notify_all();
    }
}

impl Received {
    /// A field's first value, its name in any case.
    pub fn field(&self, name: &str) -> Option<&str> {
        value(&self.fields, name)
    }

    /// All values of a field.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.fields
            .iter()
            .filter(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect()
    }
}

enum After {
    Close,
    KeepAlive,
}

impl Shared {
    fn serve_one(&self, wire: &mut Wire<TcpStream>, connection: usize) -> io::Result<After> {
        let Some(Head { start, fields }) = wire.read_head()? else { return Ok(After::Close) };
        let mut parts = start.splitn(3, ' ').map(str::to_owned);
        let received = Received {
            connection,
            method: parts.next().unwrap_or_default(),
            target: parts.next().unwrap_or_default(),
            version: parts.next().unwrap_or_default(),
            fields,
            ..Received::default()
        };
        let order = received.field("x-upstream").unwrap_or_default().to_owned();
        let (order, argument) = order.split_once('=').unwrap_or((&order, ""));
        let index = {
            let mut all = lock(&self.received);
            all.push(received);
            all.len() - 1
        };
        if order == "early" {
            wire.send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nearly")?;
            self.read_body(wire, index)?;
            return Ok(After::KeepAlive);
        }
        self.read_body(wire, index)?;
        self.answer(wire, index, order, argument)
    }

    fn read_body(&self, wire: &mut Wire<TcpStream>, index: usize) -> io::Result<()> {
        let fields = lock(&self.received)[index].fields.clone();
        if is_chunked(&fields) {
            loop {
                let chunk = wire.read_chunk()?;
                if chunk.is_empty() {
                    lock(&self.received)[index].trailers = wire.read_fields()?;
                    return Ok(());
                }
                lock(&self.received)[index].body.extend(chunk);
            }
        }
        let mut left: usize =
            value(&fields, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        while left > 0 {
            let piece = wire.read_exactly(left.min(PIECE_BYTES))?;
            left -= piece.len();
            lock(&self.received)[index].body.extend(piece);
        }
        Ok(())
    }

    fn answer(
        &self,
        wire: &mut Wire<TcpStream>,
        index: usize,
        order: &str,
        argument: &str,
    ) -> io::Result<After> {
        match order {
            "" => {
                let received = lock(&self.received)[index].clone();
                wire.send(ok("content-type: application/json\r\n", &echo(&received)))?;
                Ok(After::KeepAlive)
            }
            "status" => {
                let length =
                    if matches!(argument, "204" | "304") { "" } else { "content-length: 0\r\n" };
                wire.send(format!("HTTP/1.1 {argument} Answer\r\n{length}x-answer: yes\r\n\r\n"))?;
                Ok(After::KeepAlive)
            }
            "head" => {
                wire.send("HTTP/1.1 200 OK\r\ncontent-length: 1234\r\n\r\n")?;
                Ok(After::KeepAlive)
            }
            "bytes" => {
                wire.send(ok("", &"x".repeat(argument.parse().unwrap())))?;
                Ok(After::KeepAlive)
            }
            "hop-by-hop" => {
                let fields = "connection: x-secret\r\nx-secret: 1\r\nkeep-alive: timeout=5\r\n\
                              proxy-authenticate: Basic\r\nx-kept: 1\r\n";
                wire.send(ok(fields, "ok"))?;
                Ok(After::KeepAlive)
            }
            "forge" => {
                wire.send(ok(
                    "x-crossgate-decision: forged\r\nX-Crossgate-Decision: twice\r\n",
                    "ok",
                ))?;
                Ok(After::KeepAlive)
            }
            "trailers" => {
                wire.send(
                    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n",
                )?;
                wire.send("2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n")?;
                Ok(After::KeepAlive)
            }
            "idle-close" => {
                // Promises to stay and goes: the next request may find the connection dead.
                wire.send(ok("", "ok"))?;
                Ok(After::Close)
            }
            "until-close" => {
                wire.send("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nuntil the end")?;
                Ok(After::Close)
            }
            "steps" => self.answer_in_steps(wire),
            "wait" => self.answer_after_step(wire),
            _ => self.misbehave(wire, order),
        }
    }

    /// One chunk at once, one after each step, three in all.
    fn answer_in_steps(&self, wire: &mut Wire<TcpStream>) -> io::Result<After> {
        wire.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")?;
        for chunk in ["3\r\ntwo\r\n", "5\r\nthree\r\n"] {
            self.wait_step();
            wire.send(chunk)?;
        }
        wire.send("0\r\n\r\n")?;
        Ok(After::KeepAlive)
    }

    /// An answer after a step; notices if nobody waits for it any more.
    fn answer_after_step(&self, wire: &mut Wire<TcpStream>) -> io::Result<After> {
        wire.stream.set_read_timeout(Some(PEEK))?;
        for _ in 0..PEEKS {
            if self.take_step() {
                wire.stream.set_read_timeout(None)?;
                wire.send(ok("", "waited"))?;
                return Ok(After::KeepAlive);
            }
            if matches!(wire.stream.peek(&mut [0]), Ok(0)) || is_reset(&wire.stream) {
                self.abandoned.fetch_add(1, Ordering::AcqRel);
                return Ok(After::Close);
            }
        }
        Ok(After::Close)
    }

    fn misbehave(&self, wire: &mut Wire<TcpStream>, order: &str) -> io::Result<After> {
        match order {
            "close" => {}
            "garbage" => wire.send("\0\u{1}ABSOLUTELY/NOT HTTP\r\n\r\n")?,
            "bad-length" => wire.send("HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n")?,
            "switch" => wire.send("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n")?,
            "two-framings" => wire.send(
                "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n\
                 5\r\nwhole\r\n0\r\n\r\n",
            )?,
            "two-lengths" => {
                wire.send("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab")?;
            }
            "huge-head" => {
                let head = format!("HTTP/1.1 200 OK\r\nx-huge: {}\r\n\r\n", "h".repeat(2 << 20));
                wire.send(head)?;
            }
            "reset" => {
                wire.send("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nonly this")?;
                self.wait_step();
                socket2::SockRef::from(&wire.stream).set_linger(Some(Duration::ZERO))?;
            }
            unknown => panic!("unknown order to the upstream: {unknown}"),
        }
        Ok(After::Close)
    }

    fn wait_step(&self) {
        let steps = lock(&self.steps);
        let (mut steps, waited) =
            self.stepped.wait_timeout_while(steps, SOON, |steps| *steps == 0).unwrap();
        if !waited.timed_out() {
            *steps -= 1;
        }
    }

    fn take_step(&self) -> bool {
        let mut steps = lock(&self.steps);
        let taken = *steps > 0;
        *steps -= usize::from(taken);
        taken
    }
}

fn ok(fields: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{fields}content-length: {}\r\n\r\n{body}", body.len())
}

fn echo(received: &Received) -> String {
    json!({
        "method": received.method,
        "target": received.target,
        "headers": received.fields,
        "body": String::from_utf8_lossy(&received.body),
        "body_length": received.body.len(),
        "trailers": received.trailers,
    })
    .to_string()
}

fn is_reset(stream: &TcpStream) -> bool {
    let peeked = stream.peek(&mut [0]);
    matches!(peeked, Err(error) if error.kind() == io::ErrorKind::ConnectionReset)
}

const PIECE_BYTES: usize = 16 * 1024;
const PEEK: Duration = Duration::from_millis(10);
/// 3,000 peeks of 10 ms: longer than any test.
const PEEKS: usize = 3_000;
