//! HTTP/2 by hand: frames and header fields that no client library would send.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::SOON;

/// One connection, its preface and settings sent.
pub struct Frames {
    stream: TcpStream,
}

/// What became of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An answer with status 200.
    Accepted,
    /// Any other answer, a reset, or the end of the connection.
    Refused,
}

/// A header field, its bytes as they are.
pub type RawField<'a> = (&'a [u8], &'a [u8]);

impl Frames {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.set_write_timeout(Some(SOON)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut frames = Self { stream };
        frames.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        frames.frame(SETTINGS, 0, 0, &[]);
        frames
    }

    /// Sends a frame; the peer may have closed already.
    pub fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend_from_slice(payload);
        self.write(&frame)
    }

    /// Sends a whole header block in one frame.
    pub fn headers(&mut self, stream: u32, fields: &[RawField<'_>], end: End) -> bool {
        let flags = match end {
            End::Here => END_STREAM | END_HEADERS,
            End::Later => END_HEADERS,
        };
        self.frame(HEADERS, flags, stream, &block(fields))
    }

    /// Reads until the stream's fate is known.
    pub fn outcome(&mut self, stream: u32) -> Outcome {
        loop {
            let mut head = [0; 9];
            if self.stream.read_exact(&mut head).is_err() {
                return Outcome::Refused;
            }
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            if self.stream.read_exact(&mut payload).is_err() {
                return Outcome::Refused;
            }
            let found = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            match head[3] {
                HEADERS if found == stream => {
                    // After dynamic table size updates, `:status: 200` is entry 8 of the static table.
                    let status = payload.iter().find(|byte| **byte & 0xe0 != 0x20);
                    let accepted = status == Some(&0x88);
                    return if accepted { Outcome::Accepted } else { Outcome::Refused };
                }
                RST_STREAM if found == stream => return Outcome::Refused,
                GOAWAY => return Outcome::Refused,
                _ => {}
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }
}

/// Whether a header block ends its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Here,
    Later,
}

/// A header block of literal fields, without compression.
pub fn block(fields: &[RawField<'_>]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            push_length(&mut block, text.len());
            block.extend_from_slice(text);
        }
    }
    block
}

/// An integer with a prefix of seven bits (RFC 7541, section 5.1).
fn push_length(block: &mut Vec<u8>, length: usize) {
    let Some(mut rest) = length.checked_sub(0x7f) else {
        block.push(u8::try_from(length).unwrap());
        return;
    };
    block.push(0x7f);
    while rest >= 0x80 {
        block.push(u8::try_from(rest % 0x80).unwrap() | 0x80);
        rest /= 0x80;
    }
    block.push(u8::try_from(rest).unwrap());
}

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const GOAWAY: u8 = 7;
pub const CONTINUATION: u8 = 9;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
