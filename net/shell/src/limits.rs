//! Every maximum of the shell with the reason.

use std::time::Duration;
use terrane_protocol::limits::{
    HEADER_BYTES, OUTPUT_ANSWER_BYTES_MAX, OUTPUT_TRANSPORT_BYTES_MAX, PAYLOAD_TO_SERVER_BYTES_MAX, SESSIONS_MAX,
};

/// Connections at once: every session, and as many again for pages and those that have not said what they are.
pub const CONNECTIONS_MAX: usize = 2 * SESSIONS_MAX;
/// Bytes that wait to be written to one connection: what a chunk stream gives at most, with WebSocket's headers.
pub const OUTPUT_BYTES_MAX: usize = OUTPUT_TRANSPORT_BYTES_MAX + OUTPUT_ANSWER_BYTES_MAX;
/// Bytes read from one connection before the next one gets its turn.
pub const READ_BUDGET_BYTES: usize = 64 << 10;
/// Bytes written to one connection before the next one gets its turn.
pub const WRITE_BUDGET_BYTES: usize = 256 << 10;
/// Connections accepted before those that are open get their turn.
pub const ACCEPT_BUDGET: usize = 64;
/// How long accepting rests after the operating system refused a socket, as it does when files run out.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// Bytes of an HTTP request with its headers: cookies of other local servers included.
pub const REQUEST_BYTES_MAX: usize = 8 << 10;
/// Headers of a request.
pub const REQUEST_HEADERS_MAX: usize = 64;
/// Bytes of a WebSocket message towards the server: the largest frame, or some smaller ones.
pub const MESSAGE_BYTES_MAX: usize = 128 << 10;
/// Bytes of tungstenite's read buffer, allocated for each connection at once.
pub const WEBSOCKET_BUFFER_BYTES: usize = 4 << 10;
/// Bytes of a buffer that are kept when it is empty.
pub const KEPT_BUFFER_BYTES: usize = 16 << 10;

/// How long a connection may take to say what it is, and to send its HTTP request.
pub const REQUEST_WITHIN: Duration = Duration::from_secs(10);
/// How long an HTTP answer may stand still.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// How long the last bytes of a connection may take, and how long its other side may take to close.
pub const FAREWELL_WITHIN: Duration = Duration::from_secs(5);
/// How exactly those times are kept.
pub const TIMER_GRAIN: Duration = Duration::from_millis(100);

const _: () = assert!(MESSAGE_BYTES_MAX >= PAYLOAD_TO_SERVER_BYTES_MAX + HEADER_BYTES, "the largest frame fits");
const _: () = assert!(REQUEST_BYTES_MAX <= READ_BUDGET_BYTES);
