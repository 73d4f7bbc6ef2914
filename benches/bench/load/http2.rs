//! One connection of HTTP/2 (RFC 9113), as much of it as a load needs.
//!
//! Requests are HEADERS and DATA, answers HEADERS that end their stream. The header block is written once: literals that
//! the first request puts into the table and the others name, the bearer never indexed (RFC 7541, 7.1). Of an answer's
//! block only the first field is read: `:status: 204` is the ninth entry of the static table.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Head, Turns, bodies::Bodies, line::Line};
use crate::outcome::{Outcome, failed};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const FRAME_HEAD: usize = 9;
/// The least that every peer takes in one frame, and what we use.
const FRAME_MAX: usize = 16_384;
const STATUS_204: u8 = 0x89;

/// One connection and what is under way on it.
pub(crate) struct Connection {
    line: Line,
    streams: usize,
    out: Vec<u8>,
    input: Vec<u8>,
    first_head: Option<Vec<u8>>,
    head: Vec<u8>,
    next_stream: u32,
    /// What may be sent on the connection, and at first on each stream.
    window: u64,
    stream_window: u64,
    body: Vec<u8>,
    /// Of `body`, on the last stream that was opened.
    sent: usize,
    under_way: usize,
    done: u64,
}

impl Connection {
    /// Nothing is sent yet. Each request will have a body of this length.
    pub(crate) fn new(line: Line, head: &Head, length: usize, streams: usize) -> Self {
        let (first_head, head) = heads(head, length);
        Self {
            line,
            streams,
            out: Vec::new(),
            input: Vec::with_capacity(64 * 1024),
            first_head: Some(first_head),
            head,
            next_stream: 1,
            window: 65_535,
            stream_window: 65_535,
            body: Vec::new(),
            sent: 0,
            under_way: 0,
            done: 0,
        }
    }

    /// Makes requests while there are turns, and waits for the answers: how many.
    ///
    /// # Errors
    /// An answer that is no 204, a stream or the connection that ends early.
    pub(crate) async fn run(mut self, bodies: &Bodies, turns: &Turns) -> Outcome<u64> {
        self.out.extend_from_slice(PREFACE);
        // No pushes.
        frame(&mut self.out, SETTINGS, 0, 0, &[0, 2, 0, 0, 0, 0]);
        self.flush().await?;
        self.read().await?;
        if (bodies.len() as u64) > self.stream_window {
            return failed("a body does not fit the window of a stream");
        }
        loop {
            self.fill(bodies, turns);
            self.flush().await?;
            if self.under_way == 0 {
                return Ok(self.done);
            }
            self.read().await?;
        }
    }

    /// Begins requests while there is room for them.
    fn fill(&mut self, bodies: &Bodies, turns: &Turns) {
        loop {
            if !self.data() || self.under_way >= self.streams || !turns.take() {
                return;
            }
            let first = self.first_head.take();
            let head = first.as_deref().unwrap_or(&self.head);
            frame(&mut self.out, HEADERS, END_HEADERS, self.next_stream, head);
            self.body.clear();
            bodies.write(&mut self.body);
            self.sent = 0;
            self.next_stream += 2;
            self.under_way += 1;
        }
    }

    /// Goes on with the last body: whether it is out.
    fn data(&mut self) -> bool {
        while self.sent < self.body.len() {
            let room = usize::try_from(self.window).unwrap_or(usize::MAX).min(FRAME_MAX);
            let part = room.min(self.body.len() - self.sent);
            if part == 0 {
                return false;
            }
            let end = self.sent + part;
            let flags = if end == self.body.len() { END_STREAM } else { 0 };
            frame(&mut self.out, DATA, flags, self.next_stream - 2, &self.body[self.sent..end]);
            self.sent = end;
            self.window -= part as u64;
        }
        true
    }

    async fn flush(&mut self) -> Outcome<()> {
        if !self.out.is_empty() {
            self.line.write_all(&self.out).await?;
            self.line.flush().await?;
            self.out.clear();
        }
        Ok(())
    }

    /// Takes in what has come: one whole frame at least.
    async fn read(&mut self) -> Outcome<()> {
        loop {
            if self.line.read_buf(&mut self.input).await? == 0 {
                return failed("the connection ended with requests under way");
            }
            let taken = self.frames()?;
            self.input.drain(..taken);
            if taken > 0 {
                return Ok(());
            }
        }
    }

    fn frames(&mut self) -> Outcome<usize> {
        let input = std::mem::take(&mut self.input);
        let mut at = 0;
        while let Some(&[a, b, c, kind, flags, s0, s1, s2, s3]) = input[at..].first_chunk::<FRAME_HEAD>() {
            let length = usize::try_from(u32::from_be_bytes([0, a, b, c]))?;
            let Some(payload) = input.get(at + FRAME_HEAD..at + FRAME_HEAD + length) else { break };
            let stream = u32::from_be_bytes([s0, s1, s2, s3]) & 0x7FFF_FFFF;
            self.frame(kind, flags, stream, payload)?;
            at += FRAME_HEAD + length;
        }
        self.input = input;
        Ok(at)
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Outcome<()> {
        match kind {
            HEADERS => {
                // A change of the table's size may come first.
                let field = payload.iter().find(|byte| **byte & 0xE0 != 0x20);
                if field != Some(&STATUS_204) || flags & END_STREAM == 0 {
                    return failed(format!("stream {stream} was not answered 204: {payload:02x?}"));
                }
                self.under_way -= 1;
                self.done += 1;
            }
            SETTINGS if flags & ACK == 0 => {
                for setting in payload.chunks_exact(6) {
                    let value = u32::from_be_bytes([setting[2], setting[3], setting[4], setting[5]]);
                    // SETTINGS_INITIAL_WINDOW_SIZE
                    if setting[..2] == [0, 4] {
                        self.stream_window = u64::from(value);
                    }
                }
                frame(&mut self.out, SETTINGS, ACK, 0, &[]);
            }
            PING if flags & ACK == 0 => frame(&mut self.out, PING, ACK, 0, payload),
            WINDOW_UPDATE if stream == 0 => {
                let more = payload.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
                self.window += u64::from(more);
            }
            RST_STREAM | GOAWAY | DATA => {
                return failed(format!("frame {kind} on stream {stream}: {payload:02x?}"));
            }
            _ => {}
        }
        Ok(())
    }
}

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    out.extend_from_slice(&[length[1], length[2], length[3], kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// The header block of the first request, and of those after it.
fn heads(head: &Head, length: usize) -> (Vec<u8>, Vec<u8>) {
    // :method POST, :scheme https; :path and content-length by value.
    let mut common = vec![0x83, 0x87, 0x04];
    text(&mut common, &head.path);
    common.extend_from_slice(&[0x1F, 23 - 15]);
    text(&mut common, &format!("Bearer {}", head.bearer));
    common.extend_from_slice(&[0x0F, 28 - 15]);
    text(&mut common, &length.to_string());
    let mut first = vec![0x83, 0x87, 0x41];
    text(&mut first, &head.authority);
    first.extend_from_slice(&common[2..]);
    first.push(0x5F);
    text(&mut first, "application/json");
    // :authority went into the table before content-type.
    let mut others = vec![0x83, 0x87, 0x80 | 63];
    others.extend_from_slice(&common[2..]);
    others.push(0x80 | 62);
    (first, others)
}

/// A string literal without Huffman coding.
fn text(into: &mut Vec<u8>, text: &str) {
    let length = text.len();
    match u8::try_from(length) {
        Ok(short) if short < 127 => into.push(short),
        _ => {
            into.push(127);
            let mut rest = length - 127;
            while rest >= 128 {
                into.push(u8::try_from(rest % 128).unwrap_or(0) | 128);
                rest /= 128;
            }
            into.push(u8::try_from(rest).unwrap_or(0));
        }
    }
    into.extend_from_slice(text.as_bytes());
}
