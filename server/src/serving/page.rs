//! The page for browsers, from the executable itself.

use std::collections::HashMap;
use terrane_net::{Asset, Cache, Page};

mod built {
    include!(concat!(env!("OUT_DIR"), "/page.rs"));
}

const NOT_BUILT: &str = "<!doctype html><meta charset=utf-8><title>Terrane</title>\
<body style=\"font:16px system-ui;max-width:40em;margin:4em auto\"><h1>Terrane</h1>\
<p>The server runs, but this executable was built without the viewer. Build it with <code>make build</code>.</p>\
<p>Facts are at <a href=/status>/status</a>.</p>";

/// What a path of the page stands for.
pub fn page() -> Box<Page> {
    let mut assets: HashMap<String, Asset> = HashMap::new();
    for (name, bytes) in built::FILES {
        // The build puts a hash into the names in assets/, so these never change.
        let cache = if name.starts_with("assets/") { Cache::Immutable } else { Cache::Revalidate };
        assets.insert(format!("/{name}"), Asset::new(content_type(name), *bytes, cache));
    }
    let start = || Asset::new("text/html; charset=utf-8", NOT_BUILT.as_bytes(), Cache::Revalidate);
    let start = assets.get("/index.html").cloned().unwrap_or_else(start);
    assets.insert("/".to_owned(), start);
    Box::new(move |path| assets.get(path).cloned())
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        _ => "application/octet-stream",
    }
}
