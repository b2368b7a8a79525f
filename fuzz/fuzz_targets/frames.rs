//! Any bytes as a client's or a server's stream: every message ends in a value or a typed error, in bounded memory,
//! the same however the bytes are cut, and what was understood is written back byte for byte.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::time::Duration;
use terrane_protocol::limits::HEADER_BYTES;
use terrane_protocol::{ClientMessage, Event, FrameReader, Kind, MAGIC, ProtocolError, ServerMessage, Session, Towards};

/// Reads a whole stream in pieces, decodes every frame, and gives what was understood, encoded again.
fn understand(stream: &[u8], towards: Towards, piece_bytes: usize) -> (Vec<u8>, Option<ProtocolError>) {
    let mut reader = FrameReader::new(towards);
    let mut out = MAGIC.to_vec();
    for mut piece in MAGIC.chunks(piece_bytes).chain(stream.chunks(piece_bytes)) {
        loop {
            match reader.next(&mut piece) {
                Ok(None) => break,
                Err(error) => return (out, Some(error)),
                Ok(Some(frame)) => {
                    let decoded = match towards {
                        Towards::Server => ClientMessage::decode(frame.kind, frame.payload).map(|m| m.encode(&mut out)),
                        Towards::Client => hear(frame.kind, frame.payload, &mut out),
                    };
                    if let Err(error) = decoded {
                        return (out, Some(error));
                    }
                }
            }
        }
        assert!(reader.buffered_bytes() <= HEADER_BYTES + towards.payload_bytes_max());
    }
    (out, None)
}

/// Decodes a frame towards the client, and puts it out again. What is packed has several forms: it comes back as what it says.
fn hear(kind: Kind, payload: &[u8], out: &mut Vec<u8>) -> Result<(), ProtocolError> {
    let message = ServerMessage::decode(kind, payload)?;
    if !matches!(kind, Kind::Snapshot | Kind::Delta) {
        message.encode(out);
        return Ok(());
    }
    let mut again = Vec::new();
    message.encode(&mut again);
    assert_eq!(ServerMessage::decode(kind, &again[HEADER_BYTES..]).as_ref(), Ok(&message));
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.extend_from_slice(&u32::from(kind.number()).to_le_bytes());
    out.extend_from_slice(payload);
    Ok(())
}

/// What the server's session makes of a stream.
fn talk(stream: &[u8]) {
    let mut session = Session::new(Duration::ZERO);
    let whole = [&MAGIC[..], stream].concat();
    let mut input = &whole[..];
    let now = Duration::ZERO;
    while session.can_receive(now) {
        match session.receive(now, &mut input) {
            Ok(Some(Event::Hello(_))) => session.welcome(0),
            Ok(Some(Event::Edit { sequence, .. } | Event::Blast { sequence, .. })) if sequence % 3 == 0 => {
                session.decided(sequence)
            }
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => break,
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let piece_bytes = data.last().map_or(1, |byte| 1 + usize::from(*byte));
    for towards in [Towards::Server, Towards::Client] {
        let whole = understand(data, towards, usize::MAX);
        let cut = understand(data, towards, piece_bytes);
        assert_eq!(whole.0, cut.0, "what is understood does not depend on how the stream is cut");
        assert_eq!(whole.1.is_some(), cut.1.is_some());
        assert!([&MAGIC[..], data].concat().starts_with(&whole.0), "what was understood is written back as it came");
    }
    talk(data);
});
