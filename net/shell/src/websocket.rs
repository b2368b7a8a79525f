//! WebSocket over buffers in memory: bytes in, messages out, and the other way round.

use crate::limits::{MESSAGE_BYTES_MAX, OUTPUT_BYTES_MAX, WEBSOCKET_BUFFER_BYTES};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tungstenite::{Bytes, Error, Message};

/// What tungstenite takes for a socket.
#[derive(Default)]
struct Duplex {
    incoming: VecDeque<u8>,
    outgoing: Vec<u8>,
}

impl Read for Duplex {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.incoming.read(buffer)? {
            0 => Err(ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }
}

impl Write for Duplex {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.outgoing.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What came out of the bytes so far.
pub(crate) enum Came {
    /// A binary message.
    Bytes(Bytes),
    /// Nothing whole.
    Nothing,
    /// The other side said goodbye.
    Closed,
    /// The other side broke a rule, and has been told so.
    Broken(String),
}

pub(crate) struct WebSocket(tungstenite::WebSocket<Duplex>);

impl WebSocket {
    pub fn new() -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(WEBSOCKET_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(2 * OUTPUT_BYTES_MAX)
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        Self(tungstenite::WebSocket::from_raw_socket(Duplex::default(), Role::Server, Some(config)))
    }

    pub fn feed(&mut self, bytes: &[u8]) {
        self.0.get_mut().incoming.extend(bytes);
    }

    /// The next message of what was fed.
    pub fn next(&mut self) -> Came {
        loop {
            return match self.0.read() {
                Ok(Message::Binary(bytes)) => Came::Bytes(bytes),
                Ok(Message::Text(_)) => {
                    let problem = "text messages mean nothing here: send binary ones";
                    self.close(CloseCode::Unsupported, problem);
                    Came::Broken(problem.to_owned())
                }
                Ok(Message::Close(_)) => {
                    // Sends the answer.
                    let _ = self.0.flush();
                    Came::Closed
                }
                Ok(_) => continue,
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => Came::Nothing,
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => Came::Closed,
                Err(error) => {
                    let code = if matches!(error, Error::Capacity(_)) { CloseCode::Size } else { CloseCode::Protocol };
                    let problem = error.to_string();
                    self.close(code, &problem);
                    Came::Broken(problem)
                }
            };
        }
    }

    /// Wraps bytes into one message; `false` once the other side has said goodbye.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.0.send(Message::Binary(Bytes::copy_from_slice(bytes))).is_ok()
    }

    pub fn close(&mut self, code: CloseCode, reason: &str) {
        // A control frame has room for 123 bytes of text.
        let reason = reason[..reason.floor_char_boundary(120)].into();
        let _ = self.0.close(Some(CloseFrame { code, reason }));
        let _ = self.0.flush();
    }

    pub fn say_goodbye(&mut self) {
        self.close(CloseCode::Normal, "");
    }

    /// Bytes for the socket.
    pub fn take_outgoing(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0.get_mut().outgoing)
    }
}
