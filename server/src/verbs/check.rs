//! `terrane check`.

use crate::bars::bar;
use crate::failure::{About, Failure};
use crate::stages;
use crate::worlds;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use terrane_store::{OsDir, Repair, Report};

/// Verify every checksum of a world, and restore what can be restored
///
/// Without --repair nothing is changed, and a served world may be checked as well. With it, what is damaged is made
/// again from what the world's folder still knows, and each line says from what.
#[derive(Args)]
pub struct Check {
    /// The world's folder
    #[arg(long)]
    world: PathBuf,
    /// Restore what can be restored
    #[arg(long)]
    repair: bool,
}

impl Check {
    pub fn run(self, json: bool) -> Result<ExitCode, Failure> {
        if !worlds::exists(&self.world) {
            return Err(Failure::new(format!("{} is not a world: it has no world.toml", self.world.display())));
        }
        let progress = bar(0, "checking", "regions");
        let report = terrane_store::check_with(
            Arc::new(OsDir::new(&self.world)),
            self.repair,
            &stages::source(),
            &|done, total| {
                progress.set_length(total as u64);
                progress.set_position(done as u64);
            },
        )
        .about(&self.world)?;
        progress.finish_and_clear();
        if json {
            print_json(&report, self.repair)
        } else {
            print_text(&report, self.repair)
        }
        let whole = report.problems.is_empty() || (self.repair && !report.has_losses());
        Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn print_text(report: &Report, repaired: bool) {
    for problem in &report.problems {
        let repair = match (&problem.repair, repaired) {
            (Repair::From(source), true) => format!("repaired from {source}"),
            (Repair::From(source), false) => format!("can be repaired from {source}"),
            (Repair::Partly(source), true) => format!("repaired in part, from {source}"),
            (Repair::Partly(source), false) => format!("can be repaired in part, from {source}"),
            (Repair::Impossible, _) => "can't be repaired: take it from a backup".to_owned(),
        };
        say!("{}, byte {}: {}; {repair}", problem.file, problem.offset, problem.what);
    }
    let verdict = if report.problems.is_empty() {
        "nothing is wrong".to_owned()
    } else {
        format!("{} problems", report.problems.len())
    };
    say!(
        "{} regions ({} packed), {} chunks, {} journal frames: {verdict}",
        report.regions,
        report.packed,
        report.chunks,
        report.frames
    );
}

fn print_json(report: &Report, repaired: bool) {
    let problems: Vec<_> = (report.problems.iter())
        .map(|problem| {
            let (state, source) = match &problem.repair {
                Repair::From(source) => (if repaired { "repaired" } else { "repairable" }, Some(source)),
                Repair::Partly(source) => (if repaired { "partly repaired" } else { "partly repairable" }, Some(source)),
                Repair::Impossible => ("lost", None),
            };
            json!({ "file": problem.file, "offset": problem.offset, "what": problem.what, "state": state, "source": source })
        })
        .collect();
    say!(
        "{}",
        json!({ "regions": report.regions, "packed": report.packed, "chunks": report.chunks, "frames": report.frames, "problems": problems })
    );
}
