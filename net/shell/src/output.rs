//! Bytes on their way out of one connection, counted so that the owner learns which of its own have left.

use crate::limits::KEPT_BUFFER_BYTES;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::sync::Arc;

/// A piece of what was queued: `payload` bytes of the owner behind a header, ending at `end`.
struct Mark {
    end: u64,
    payload: usize,
}

/// How writing went.
pub(crate) struct Wrote {
    /// At least one byte has left.
    pub moved: bool,
    /// The socket takes no more for now.
    pub is_full: bool,
}

#[derive(Default)]
pub(crate) struct Output {
    buffer: VecDeque<u8>,
    /// The body of an HTTP answer, written from where it lies once the buffer is empty.
    body: Option<(Arc<[u8]>, usize)>,
    queued: u64,
    written: u64,
    marks: VecDeque<Mark>,
    /// Of the owner's bytes those that have not left.
    payload: usize,
    flushed: usize,
}

impl Output {
    /// Bytes that wait, without the body.
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty() && self.body.is_none()
    }

    /// The owner's bytes that wait.
    pub const fn payload_bytes(&self) -> usize {
        self.payload
    }

    /// Queues bytes of which the last `payload` are the owner's.
    pub fn push(&mut self, bytes: &[u8], payload: usize) {
        self.buffer.extend(bytes);
        self.queued += bytes.len() as u64;
        if payload > 0 {
            self.payload += payload;
            self.marks.push_back(Mark { end: self.queued, payload });
        }
    }

    pub fn set_body(&mut self, body: Arc<[u8]>) {
        if !body.is_empty() {
            self.body = Some((body, 0));
        }
    }

    /// Writes until everything is out, the socket is full, or `budget_bytes` are written.
    pub fn write_to(&mut self, socket: &mut impl Write, budget_bytes: usize) -> io::Result<Wrote> {
        let mut written = 0;
        while !self.is_empty() && written < budget_bytes {
            let piece = match (&self.body, self.buffer.as_slices().0) {
                (Some((body, at)), []) => &body[*at..],
                (_, piece) => piece,
            };
            match socket.write(&piece[..piece.len().min(budget_bytes - written)]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.advance(count);
                    written += count;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Ok(Wrote { moved: written > 0, is_full: true });
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Wrote { moved: written > 0, is_full: false })
    }

    fn advance(&mut self, count: usize) {
        if self.buffer.is_empty() {
            if let Some((body, at)) = &mut self.body {
                *at += count;
                if *at == body.len() {
                    self.body = None;
                }
            }
            return;
        }
        self.buffer.drain(..count);
        if self.buffer.is_empty() {
            self.buffer.shrink_to(KEPT_BUFFER_BYTES);
        }
        self.written += count as u64;
        while let Some(mark) = self.marks.front_mut() {
            // The owner's bytes are the last ones of a piece.
            let left = mark.payload.min((mark.end.saturating_sub(self.written)) as usize);
            self.flushed += mark.payload - left;
            self.payload -= mark.payload - left;
            mark.payload = left;
            if left > 0 {
                break;
            }
            self.marks.pop_front();
        }
    }

    /// The owner's bytes that have left since the last call.
    pub fn take_flushed(&mut self) -> usize {
        std::mem::take(&mut self.flushed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes a few bytes at a time.
    struct Slow(Vec<u8>, usize);
    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.1);
            if count == 0 {
                return Err(ErrorKind::WouldBlock.into());
            }
            self.1 -= count;
            self.0.extend(&bytes[..count]);
            Ok(count)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_owners_bytes_are_counted_without_headers() {
        let mut output = Output::default();
        output.push(b"HHpayload", 7);
        output.push(b"C", 0);
        output.push(b"HHmore", 4);
        let mut socket = Slow(Vec::new(), 1);
        let mut seen = Vec::new();
        while !output.is_empty() {
            output.write_to(&mut socket, 100).unwrap();
            seen.push(output.take_flushed());
            socket.1 = 1;
        }
        assert_eq!(socket.0, b"HHpayloadCHHmore");
        assert_eq!(seen, [0, 0, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 1, 1, 1, 1]);
        assert_eq!(output.payload_bytes(), 0);
    }

    #[test]
    fn a_body_follows_the_head() {
        let mut output = Output::default();
        output.push(b"head", 0);
        output.set_body(b"body"[..].into());
        let mut socket = Slow(Vec::new(), 6);
        let wrote = output.write_to(&mut socket, 100).unwrap();
        assert!(wrote.moved && wrote.is_full);
        assert!(!output.is_empty());
        socket.1 = 9;
        let wrote = output.write_to(&mut socket, 1).unwrap();
        assert!(wrote.moved && !wrote.is_full && !output.is_empty());
        output.write_to(&mut socket, 100).unwrap();
        assert_eq!(socket.0, b"headbody");
    }
}
