//! HTTP/1.1 as bytes: heads, chunks and bodies from a stream, for both ends of a connection.

use std::io::{self, Read, Write};

/// A stream and what was read from it too early.
pub struct Wire<S> {
    pub stream: S,
    unread: Vec<u8>,
}

/// Start line and fields of a message; field names as they were written.
pub struct Head {
    pub start: String,
    pub fields: Vec<Field>,
}

/// A field's name and value.
pub type Field = (String, String);

impl<S: Read + Write> Wire<S> {
    /// A wire that nothing was read from yet.
    pub fn new(stream: S) -> Self {
        Self { stream, unread: Vec::new() }
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())?;
        self.stream.flush()
    }

    /// Reads one head; `None` if the stream ends before it.
    pub fn read_head(&mut self) -> io::Result<Option<Head>> {
        while position(&self.unread, b"\r\n\r\n").is_none() {
            if !self.fill()? {
                return if self.unread.is_empty() { Ok(None) } else { Err(cut("in a head")) };
            }
        }
        let start = self.read_line()?;
        Ok(Some(Head { start, fields: self.read_fields()? }))
    }

    /// Reads the next chunk of a chunked body; empty at its end, before the trailers.
    pub fn read_chunk(&mut self) -> io::Result<Vec<u8>> {
        let line = self.read_line()?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        let length = usize::from_str_radix(digits, 16).map_err(|_| cut("in a chunk's size"))?;
        if length == 0 {
            return Ok(Vec::new());
        }
        let chunk = self.read_exactly(length)?;
        self.read_line()?;
        Ok(chunk)
    }

    /// Reads fields up to the empty line.
    pub fn read_fields(&mut self) -> io::Result<Vec<Field>> {
        let mut fields = Vec::new();
        loop {
            let line = self.read_line()?;
            if line.is_empty() {
                return Ok(fields);
            }
            let (name, value) = line.split_once(':').ok_or_else(|| cut("in a field"))?;
            fields.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    /// Reads exactly so many bytes.
    pub fn read_exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.unread.len() < length {
            if !self.fill()? {
                return Err(cut("in a body"));
            }
        }
        Ok(self.unread.drain(..length).collect())
    }

    /// Reads what there is, at least one byte; empty at the end.
    pub fn read_some(&mut self) -> io::Result<Vec<u8>> {
        if self.unread.is_empty() {
            self.fill()?;
        }
        Ok(std::mem::take(&mut self.unread))
    }

    /// Reads what comes until the stream ends, however it ends.
    pub fn read_rest(&mut self) -> Vec<u8> {
        while matches!(self.fill(), Ok(true)) {}
        std::mem::take(&mut self.unread)
    }

    /// Reads once more; whether there was anything.
    pub fn fill(&mut self) -> io::Result<bool> {
        let mut buffer = [0; BUFFER_BYTES];
        let length = self.stream.read(&mut buffer)?;
        self.unread.extend_from_slice(&buffer[..length]);
        Ok(length > 0)
    }

    fn read_line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = position(&self.unread, b"\r\n") {
                let line: Vec<u8> = self.unread.drain(..end + 2).collect();
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            if !self.fill()? {
                return Err(cut("in a line"));
            }
        }
    }
}

/// The first value of a field, its name in any case.
pub fn value<'a>(fields: &'a [Field], name: &str) -> Option<&'a str> {
    let found = fields.iter().find(|(found, _)| found.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

/// Whether a message with these fields has a chunked body.
pub fn is_chunked(fields: &[Field]) -> bool {
    value(fields, "transfer-encoding").is_some_and(|coding| coding.ends_with("chunked"))
}

/// Where the needle begins.
pub fn position(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

fn cut(place: &str) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, format!("the connection ended {place}"))
}

const BUFFER_BYTES: usize = 16 * 1024;
