//! Ctrl-C and SIGTERM for verbs that can be interrupted: the first asks, the second ends the process.

use crate::failure::Failure;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The exit code of a verb that was interrupted.
pub const INTERRUPTED: u8 = 130;

/// A flag that the first signal sets.
pub fn on_signals() -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal finds the flag unset and sets it, the second finds it set.
        let ends = flag::register_conditional_shutdown(signal, i32::from(INTERRUPTED), Arc::clone(&stop));
        ends.and_then(|_| flag::register(signal, Arc::clone(&stop)))
            .map_err(|error| Failure::new(format!("signals can't be watched: {error}")))?;
    }
    Ok(stop)
}
