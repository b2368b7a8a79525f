//! Joins the figures of the benchmarks with the goals: writes `bench-summary.json` into the build folder and prints
//! the table. A goal that is not met is told, not failed; a row or a peer that is missing fails.
#![allow(clippy::print_stdout, reason = "the table goes there")]

use std::process::ExitCode;
use terrane_benches::goals::ROWS;
use terrane_benches::record::Measured;
use terrane_benches::{files, summary};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problems) => {
            eprintln!("error: {}", problems.join("\nerror: "));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Vec<String>> {
    let (machine, commit) = (summary::machine(), summary::commit().map_err(|error| vec![error])?);
    let measured = Measured::read_all().map_err(|error| vec![error])?;
    let (mut lines, mut problems) = (Vec::new(), Vec::new());
    for row in ROWS {
        match summary::line(row, &measured, &machine, &commit) {
            Ok(line) => lines.push(line),
            Err(problem) => problems.push(problem),
        }
    }
    let path = files::target().join("bench-summary.json");
    let text = serde_json::to_string_pretty(&lines).map_err(|error| vec![error.to_string()])?;
    std::fs::write(&path, text + "\n").map_err(|error| vec![format!("{}: {error}", path.display())])?;
    println!("Commit {commit} on {machine}; medians.\n\n{}", summary::table(&lines));
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}
