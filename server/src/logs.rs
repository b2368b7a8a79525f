//! The log: on stderr, as text or as JSON, one line an event.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// How the log looks.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts the log of this process.
pub fn start(format: Format, filter: &str) -> Result<(), String> {
    let filter =
        EnvFilter::try_new(filter).map_err(|error| format!("--log {filter:?} is not a log filter: {error}"))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        Format::Text => log.with_target(false).with_ansi(std::io::stderr().is_terminal()).init(),
        Format::Json => log.json().init(),
    }
    Ok(())
}
