//! A collector of events over HTTP on plain sockets, which can misbehave in every way.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flate2::read::GzDecoder;

use super::server::Server;
use super::{lock, poll};

/// What the collector does with a batch.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// Takes it: 200.
    Takes,
    /// Takes it, but for those of more than so many lines: 413.
    TakesUpTo(usize),
    /// Answers with this status and forgets it.
    Answers(u16),
    /// Reads it and never answers.
    Hangs,
    /// Reads a byte a second.
    Drips,
}

/// What came in.
#[derive(Default)]
pub struct Received {
    /// All lines of batches that were taken, in their order.
    pub lines: Vec<String>,
    /// Batches that were asked for, taken or not.
    pub asked: usize,
    /// The head of the last request.
    pub head: String,
}

pub struct Collector {
    server: Server,
    mood: Arc<Mutex<Mood>>,
    received: Arc<Mutex<Received>>,
}

impl Collector {
    pub fn start(mood: Mood) -> Self {
        let mood = Arc::new(Mutex::new(mood));
        let received = Arc::new(Mutex::new(Received::default()));
        let (moods, lines) = (Arc::clone(&mood), Arc::clone(&received));
        let server = Server::start(move |stream| {
            let _ = serve(&stream, &moods, &lines);
        });
        Self { server, mood, received }
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    pub fn set(&self, mood: Mood) {
        *lock(&self.mood) = mood;
    }

    pub fn received<T>(&self, look: impl FnOnce(&Received) -> T) -> T {
        look(&lock(&self.received))
    }

    /// The ids of what was taken, each once.
    pub fn ids(&self) -> BTreeSet<String> {
        self.received(|received| received.lines.iter().map(|line| id_of(line)).collect())
    }

    /// Waits for so many different events.
    #[track_caller]
    pub fn wait_for(&self, events: usize, within: Duration) -> BTreeSet<String> {
        poll(&format!("{events} events"), within, || {
            Some(self.ids()).filter(|ids| events <= ids.len())
        })
    }

    /// Waits until it was asked so often.
    #[track_caller]
    pub fn wait_asked(&self, times: usize, within: Duration) {
        let asked = || self.received(|received| received.asked);
        super::poll_until("the collector is asked", within, || times <= asked());
    }
}

/// The id of an event's line.
pub fn id_of(line: &str) -> String {
    let event: serde_json::Value = serde_json::from_str(line).unwrap();
    event["id"].as_str().unwrap().to_owned()
}

fn serve(
    stream: &TcpStream,
    mood: &Mutex<Mood>,
    received: &Mutex<Received>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        let head = head.to_lowercase();
        let now = *lock(mood);
        {
            let mut received = lock(received);
            received.asked += 1;
            received.head.clone_from(&head);
        }
        let length = head.split("content-length: ").nth(1).unwrap().lines().next().unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        if now == Mood::Drips {
            for byte in &mut body {
                reader.read_exact(std::slice::from_mut(byte))?;
                std::thread::sleep(Duration::from_secs(1));
            }
        }
        reader.read_exact(&mut body)?;
        let mut text = String::new();
        if head.contains("content-encoding: gzip") {
            GzDecoder::new(&body[..]).read_to_string(&mut text)?;
        } else {
            text = String::from_utf8(body).unwrap();
        }
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        let status = match now {
            Mood::Takes | Mood::Drips => 200,
            Mood::TakesUpTo(most) if lines.len() <= most => 200,
            Mood::TakesUpTo(_) => 413,
            Mood::Answers(status) => status,
            Mood::Hangs => {
                // Until the other side gives up.
                let _ = reader.read(&mut [0]);
                return Ok(());
            }
        };
        if status == 200 {
            lock(received).lines.extend(lines);
        }
        let mut stream = stream;
        write!(stream, "HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n")?;
    }
}
