//! How far a run is: a bar where somebody watches, a line in the log now and then where nobody does.

use crate::bars::bar;
use indicatif::ProgressBar;
use std::io::IsTerminal;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Between two lines in the log.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// How far it is.
pub struct Progress {
    bar: ProgressBar,
    watched: bool,
    total: u64,
    made: AtomicU64,
    there: AtomicU64,
    begun: Instant,
    told: Mutex<Instant>,
}

impl Progress {
    pub fn new(total: u64) -> Self {
        let (bar, begun) = (bar(total, "generating", "chunks"), Instant::now());
        bar.tick();
        let (made, there) = (AtomicU64::new(0), AtomicU64::new(0));
        let watched = std::io::stderr().is_terminal();
        Self { bar, watched, total, made, there, begun, told: Mutex::new(begun) }
    }

    /// So many more have been made.
    pub fn made(&self, chunks: u64) {
        self.made.fetch_add(chunks, Ordering::Relaxed);
        self.bar.inc(chunks);
    }

    /// So many need not be made: they count as done, and not for the pace.
    pub fn was_there(&self, chunks: u64) {
        self.there.fetch_add(chunks, Ordering::Relaxed);
        if chunks > 0 {
            self.bar.inc(chunks);
            self.bar.reset_eta();
        }
    }

    /// Writes a line if it is time for one.
    pub fn tell(&self) {
        let mut told = self.told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if self.watched || told.elapsed() < TELL_EVERY {
            return;
        }
        *told = Instant::now();
        let (made, there) = (self.made.load(Ordering::Relaxed), self.there.load(Ordering::Relaxed));
        let pace = made as f64 / self.begun.elapsed().as_secs_f64().max(1e-9);
        let left = (self.total - made - there) as f64 / pace.max(1e-9);
        let (done, total) = (made + there, self.total);
        tracing::info!("{done} of {total} chunks, {pace:.0} chunks/s, {left:.0} s left");
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
