//! Competitors that take turns, so that what else the machine does hits all of them alike.
//!
//! Criterion measures one function after the other. Here each function takes its samples out of rounds, and a round
//! runs every competitor once, the first one last time being the last one this time.

use crate::record::{Figures, Measured, Unit};
use criterion::{BenchmarkId, Criterion, SamplingMode};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Rounds that count. The least that criterion takes.
pub const ROUNDS: usize = 10;

/// What one run of a competitor came to.
pub struct Run {
    /// How long it took.
    pub took: Duration,
    /// Things done in that time.
    pub count: usize,
    /// Bytes on the disk afterwards, where that is asked for.
    pub disk_bytes: u64,
}

impl Run {
    /// Runs and times it.
    pub fn timed(count: usize, work: impl FnOnce()) -> Self {
        let start = Instant::now();
        work();
        Self { took: start.elapsed(), count, disk_bytes: 0 }
    }
}

struct Competitor<'a> {
    name: &'static str,
    version: String,
    /// Makes ready, runs, and says what came out; the argument is the round.
    run: Box<dyn FnMut(u64) -> Run + 'a>,
    waiting: VecDeque<Duration>,
    runs: Vec<Run>,
}

/// One benchmark.
pub struct Rounds<'a> {
    name: &'static str,
    competitors: Vec<Competitor<'a>>,
    round: u64,
}

impl<'a> Rounds<'a> {
    /// A benchmark without competitors.
    pub const fn new(name: &'static str) -> Self {
        Self { name, competitors: Vec::new(), round: 0 }
    }

    /// Adds a competitor.
    #[must_use]
    pub fn with(mut self, name: &'static str, version: String, run: impl FnMut(u64) -> Run + 'a) -> Self {
        let run = Box::new(run);
        self.competitors.push(Competitor { name, version, run, waiting: VecDeque::new(), runs: Vec::new() });
        self
    }

    /// Has criterion run it; gives what was measured.
    #[must_use]
    pub fn measure(mut self, criterion: &mut Criterion) -> Finished {
        let mut group = criterion.benchmark_group(self.name);
        // One round to warm up, then one for each sample, however long they take.
        group.sample_size(ROUNDS).sampling_mode(SamplingMode::Flat);
        group.warm_up_time(Duration::from_nanos(1)).measurement_time(Duration::from_nanos(1));
        for index in 0..self.competitors.len() {
            let id = BenchmarkId::from_parameter(self.competitors[index].name);
            group.bench_function(id, |bencher| {
                bencher.iter_custom(|iterations| (0..iterations).map(|_| self.take(index)).sum());
            });
        }
        group.finish();
        Finished {
            name: self.name,
            competitors: self.competitors.into_iter().map(|c| (c.name, c.version, c.runs)).collect(),
        }
    }

    /// One competitor's next time; runs a round if none waits.
    fn take(&mut self, index: usize) -> Duration {
        if self.competitors[index].waiting.is_empty() {
            let count = self.competitors.len();
            for turn in 0..count {
                let competitor = &mut self.competitors[(turn + self.round as usize) % count];
                let run = (competitor.run)(self.round);
                competitor.waiting.push_back(run.took);
                // The first round warms up.
                if self.round > 0 {
                    competitor.runs.push(run);
                }
            }
            self.round += 1;
        }
        self.competitors[index].waiting.pop_front().expect("a round has just been run")
    }
}

/// A benchmark that criterion is done with.
pub struct Finished {
    name: &'static str,
    competitors: Vec<(&'static str, String, Vec<Run>)>,
}

impl Finished {
    /// Writes down things in a second.
    pub fn write_rate(&self, things: &str) {
        self.write(self.name, "", Unit::PerSecond(things.into()), |run| run.count as f64 / run.took.as_secs_f64());
    }

    /// Writes down milliseconds.
    pub fn write_milliseconds(&self, note: &str) {
        self.write(self.name, note, Unit::Milliseconds, |run| run.took.as_secs_f64() * 1e3);
    }

    /// Writes down the bytes on the disk under another name.
    pub fn write_disk(&self, name: &str) {
        self.write(name, "", Unit::Megabytes, |run| run.disk_bytes as f64 / 1e6);
    }

    fn write(&self, name: &str, note: &str, unit: Unit, figure: impl Fn(&Run) -> f64) {
        let figures = |(competitor, version, runs): &(&str, String, Vec<Run>)| Figures {
            competitor: (*competitor).into(),
            version: version.clone(),
            runs: runs.iter().map(&figure).collect(),
        };
        let figures: Vec<Figures> = self.competitors.iter().map(figures).collect();
        // A filter of criterion's, or its test mode, leaves nothing that counts.
        if figures.iter().all(|figures| !figures.runs.is_empty()) {
            Measured { name: name.into(), note: note.into(), unit, figures }.write();
        }
    }
}
