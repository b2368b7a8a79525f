//! HTTP as far as a page needs it: requests, answers, and who may ask.

use crate::limits::{REQUEST_BYTES_MAX, REQUEST_HEADERS_MAX};
use std::fmt::Write;
use std::hash::{DefaultHasher, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// How long a browser may keep an asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cache {
    /// It asks each time whether the asset has changed.
    Revalidate,
    /// A year: the name has a hash of the content in it.
    Immutable,
    /// Not at all.
    Never,
}

/// Something to be shown to browsers.
#[derive(Debug, Clone)]
pub struct Asset {
    content_type: Arc<str>,
    bytes: Arc<[u8]>,
    cache: Cache,
    tag: Arc<str>,
}

impl Asset {
    /// Bytes with their content type, `text/html; charset=utf-8`. Make it once: the bytes are hashed for their ETag.
    pub fn new(content_type: &str, bytes: impl Into<Arc<[u8]>>, cache: Cache) -> Self {
        let bytes = bytes.into();
        let mut hasher = DefaultHasher::new();
        hasher.write(&bytes);
        let tag = format!("\"{:x}-{:016x}\"", bytes.len(), hasher.finish()).into();
        Self { content_type: content_type.into(), bytes, cache, tag }
    }
}

/// Gives the asset at a path, `/` or `/app.js`; never with a query.
pub type Page = dyn Fn(&str) -> Option<Asset> + Send;

/// An answer: its head, and the bytes behind it.
pub(crate) struct Answer {
    pub head: Vec<u8>,
    pub body: Arc<[u8]>,
}

/// What becomes of a request.
pub(crate) enum Verdict {
    /// More bytes are needed.
    Incomplete,
    /// To be answered; the connection closes behind it.
    Answer(Answer),
    /// To be answered, and WebSocket from `consumed` bytes on.
    Upgrade { head: Vec<u8>, consumed: usize },
}

/// Who may ask.
pub(crate) struct Door<'a> {
    pub listen: SocketAddr,
    pub open: bool,
    pub page: &'a Page,
    pub status: &'a dyn Fn() -> Arc<[u8]>,
}

struct Request<'a> {
    method: &'a str,
    path: &'a str,
    version: u8,
    headers: &'a [httparse::Header<'a>],
}

impl<'a> Request<'a> {
    /// The only header of that name; `Err` if there are more.
    fn header(&self, name: &str) -> Result<Option<&'a str>, Refusal> {
        let mut found = self.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
        let (first, second) = (found.next(), found.next());
        if second.is_some() {
            return Err(bad("a header came twice"));
        }
        let text = |header: &httparse::Header<'a>| std::str::from_utf8(header.value).map(str::trim);
        first.map(text).transpose().map_err(|_| bad("a header is not text"))
    }

    fn has_token(&self, name: &str, token: &str) -> bool {
        self.headers
            .iter()
            .filter(|header| header.name.eq_ignore_ascii_case(name))
            .filter_map(|header| std::str::from_utf8(header.value).ok())
            .any(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(token)))
    }
}

struct Refusal {
    status: &'static str,
    text: &'static str,
    header: &'static str,
}

const fn bad(text: &'static str) -> Refusal {
    Refusal { status: "400 Bad Request", text, header: "" }
}

const fn forbidden(text: &'static str) -> Refusal {
    Refusal { status: "403 Forbidden", text, header: "" }
}

/// Judges the bytes of a request.
pub(crate) fn judge(bytes: &[u8], door: &Door<'_>) -> Verdict {
    let mut headers = [httparse::EMPTY_HEADER; REQUEST_HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut headers);
    let too_large = Refusal {
        status: "431 Request Header Fields Too Large",
        text: "a request may have 8 KiB and 64 headers",
        header: "",
    };
    let consumed = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(consumed)) if consumed <= REQUEST_BYTES_MAX => consumed,
        Ok(httparse::Status::Partial) if bytes.len() < REQUEST_BYTES_MAX => return Verdict::Incomplete,
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Verdict::Answer(refuse(&too_large)),
        Err(_) => return Verdict::Answer(refuse(&bad("this is not an HTTP request"))),
    };
    let (Some(method), Some(path), Some(version)) = (parsed.method, parsed.path, parsed.version) else {
        return Verdict::Answer(refuse(&bad("this is not an HTTP request")));
    };
    let request = Request { method, path, version, headers: parsed.headers };
    match decide(&request, door) {
        Ok(Decision::Answer(answer)) => Verdict::Answer(answer),
        Ok(Decision::Upgrade(head)) => Verdict::Upgrade { head, consumed },
        Err(refusal) => Verdict::Answer(refuse(&refusal)),
    }
}

enum Decision {
    Answer(Answer),
    Upgrade(Vec<u8>),
}

fn decide(request: &Request<'_>, door: &Door<'_>) -> Result<Decision, Refusal> {
    let host = request.header("host")?.ok_or(bad("a request needs a Host"))?;
    let (name, _) = host_and_port(host).ok_or(bad("the Host is not a host"))?;
    if !door.open && !is_ours(name, door.listen) {
        return Err(forbidden("this server answers to loopback names only; --open lets others in"));
    }
    if !matches!(request.method, "GET" | "HEAD") {
        let header = "Allow: GET, HEAD\r\n";
        return Err(Refusal {
            status: "405 Method Not Allowed",
            text: "only GET and HEAD mean something here",
            header,
        });
    }
    if request.header("transfer-encoding")?.is_some() || request.header("content-length")?.is_some_and(|n| n != "0") {
        return Err(bad("a GET has no body here"));
    }
    let path = request.path.split(['?', '#']).next().unwrap_or("/");
    if path == "/ws" {
        return upgrade(request, host).map(Decision::Upgrade);
    }
    let asset = match path {
        "/status" => Some(Asset::new("application/json", (door.status)(), Cache::Never)),
        _ => (door.page)(path),
    };
    let asset = asset.ok_or(Refusal { status: "404 Not Found", text: "there is nothing at this path", header: "" })?;
    let known =
        request.header("if-none-match")?.is_some_and(|tags| tags.split(',').any(|tag| tag.trim() == &*asset.tag));
    Ok(Decision::Answer(show(&asset, host, known && asset.cache != Cache::Never, request.method == "HEAD")))
}

/// The host of `host:port` or `[address]:port`, if it can be one, and the port if it is said.
fn host_and_port(host: &str) -> Option<(&str, Option<u16>)> {
    let fits = |text: &str, more: &[u8]| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || more.contains(&b))
    };
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let (name, port) = rest.split_once(']')?;
            let port = if port.is_empty() { None } else { Some(port.strip_prefix(':')?) };
            (fits(name, b":.").then_some(name)?, port)
        }
        None => {
            let (name, port) = host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port)));
            (fits(name, b".-_").then_some(name)?, port)
        }
    };
    Some((name, port.map(str::parse).transpose().ok()?))
}

fn is_loopback(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let name = name.strip_suffix('.').unwrap_or(&name);
    name == "localhost"
        || name.ends_with(".localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// A page of another site can make its own name point at us (DNS rebinding), but it can't change the Host it sends.
fn is_ours(name: &str, listen: SocketAddr) -> bool {
    is_loopback(name)
        || name.parse::<IpAddr>().is_ok_and(|address| address.to_canonical() == listen.ip().to_canonical())
}

/// Whether a page from `origin` may talk to the host it reached us under: only one that came from there, port and all,
/// for another port of this machine is another program.
fn is_same_origin(origin: &str, host: &str) -> bool {
    let http = origin.strip_prefix("http://").map(|authority| (authority, 80));
    let Some((authority, default)) = http.or_else(|| Some((origin.strip_prefix("https://")?, 443))) else {
        return false;
    };
    match (host_and_port(authority), host_and_port(host)) {
        (Some((theirs, their_port)), Some((ours, our_port))) => {
            theirs.eq_ignore_ascii_case(ours) && their_port.unwrap_or(default) == our_port.unwrap_or(default)
        }
        _ => false,
    }
}

fn upgrade(request: &Request<'_>, host: &str) -> Result<Vec<u8>, Refusal> {
    if let Some(origin) = request.header("origin")?
        && !is_same_origin(origin, host)
    {
        return Err(forbidden("a page of another site may not use this server"));
    }
    if request.method != "GET" || request.version != 1 || !request.has_token("upgrade", "websocket") {
        let header = "Upgrade: websocket\r\nConnection: upgrade, close\r\n";
        return Err(Refusal { status: "426 Upgrade Required", text: "/ws speaks WebSocket only", header });
    }
    if !request.has_token("connection", "upgrade") {
        return Err(bad("Connection: Upgrade is missing"));
    }
    if request.header("sec-websocket-version")? != Some("13") {
        let header = "Sec-WebSocket-Version: 13\r\n";
        return Err(Refusal {
            status: "426 Upgrade Required",
            text: "only version 13 of WebSocket is spoken here",
            header,
        });
    }
    let key = request.header("sec-websocket-key")?.unwrap_or("");
    let is_key = key.len() == 24 && key.ends_with("==");
    if !is_key || !key[..22].bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/') {
        return Err(bad("Sec-WebSocket-Key is not 16 bytes in base64"));
    }
    let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
    Ok(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    )
    .into_bytes())
}

/// What every answer forbids browsers.
const SECURITY: &str = "X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n\
     Cross-Origin-Opener-Policy: same-origin\r\nCross-Origin-Embedder-Policy: require-corp\r\n\
     Cross-Origin-Resource-Policy: same-origin\r\n";

fn show(asset: &Asset, host: &str, unchanged: bool, head_only: bool) -> Answer {
    let status = if unchanged { "304 Not Modified" } else { "200 OK" };
    let cache = match asset.cache {
        Cache::Revalidate => "no-cache",
        Cache::Immutable => "public, max-age=31536000, immutable",
        Cache::Never => "no-store",
    };
    let mut head =
        format!("HTTP/1.1 {status}\r\nConnection: close\r\nCache-Control: {cache}\r\nETag: {}\r\n", asset.tag);
    if !unchanged {
        let _ = write!(head, "Content-Type: {}\r\nContent-Length: {}\r\n", asset.content_type, asset.bytes.len());
    }
    // Not every browser counts ws: to 'self', so the host is named; its characters were checked.
    let _ = write!(
        head,
        "{SECURITY}Content-Security-Policy: default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; \
         worker-src 'self' blob:; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; \
         connect-src 'self' ws://{host} wss://{host}; frame-ancestors 'none'; base-uri 'none'; form-action 'none'\r\n\r\n"
    );
    let body = if unchanged || head_only { Arc::default() } else { Arc::clone(&asset.bytes) };
    Answer { head: head.into_bytes(), body }
}

fn refuse(refusal: &Refusal) -> Answer {
    let Refusal { status, text, header } = refusal;
    let head = format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nCache-Control: no-store\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Length: {}\r\n{header}{SECURITY}\r\n",
        text.len() + 1
    );
    Answer { head: head.into_bytes(), body: format!("{text}\n").into_bytes().into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_origins() {
        let listen: SocketAddr = "127.0.0.1:7000".parse().unwrap();
        for host in ["localhost:7000", "LOCALHOST", "127.0.0.1", "127.3.2.1:1", "[::1]:7000", "a.localhost"] {
            assert!(host_and_port(host).is_some_and(|(name, _)| is_ours(name, listen)), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example:7000", "192.168.0.7", "127.0.0.1.evil", "[::2]"] {
            assert!(!host_and_port(host).is_some_and(|(name, _)| is_ours(name, listen)), "{host}");
        }
        for host in ["", "a b", "a:b", "a:70000", "[::1", "x\"y", "a;b", "a/b"] {
            assert_eq!(host_and_port(host), None, "{host}");
        }
    }

    #[test]
    fn a_page_is_heard_only_by_the_host_and_port_it_came_from() {
        for (origin, host) in [
            ("http://localhost:7802", "localhost:7802"),
            ("http://LOCALHOST:7802", "localhost:7802"),
            ("http://[::1]:1", "[::1]:1"),
            ("http://localhost", "localhost:80"),
            ("http://localhost:80", "localhost"),
            ("https://World.example:443", "world.example"),
            ("https://world.example", "world.example:443"),
        ] {
            assert!(is_same_origin(origin, host), "{origin} {host}");
        }
        for (origin, host) in [
            ("http://localhost:9999", "localhost:7802"),
            ("http://localhost", "localhost:7802"),
            ("http://127.0.0.1:7802", "localhost:7802"),
            ("https://localhost", "localhost:80"),
            ("null", "localhost"),
            ("http://evil.example", "localhost"),
            ("file://localhost", "localhost"),
            ("http://localhost.evil", "localhost"),
            ("localhost", "localhost"),
            ("http://localhost:x", "localhost"),
        ] {
            assert!(!is_same_origin(origin, host), "{origin} {host}");
        }
    }
}
