//! Figures and goals joined: the rows of the summary, and the table.

use crate::files;
use crate::goals::{Peer, Row};
use crate::record::{Figures, Measured};
use serde::Serialize;
use std::process::Command;

/// Runs that a median needs.
const RUNS_MIN: usize = 5;

/// One row of `bench-summary.json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    /// What was measured.
    pub name: String,
    /// Of both figures.
    pub unit: String,
    /// Our median.
    pub ours: f64,
    /// What it is the median of.
    pub ours_runs: Vec<f64>,
    /// The peer's median, or a limit.
    pub peer: f64,
    /// What it is the median of; empty for a limit.
    pub peer_runs: Vec<f64>,
    /// Who the peer is.
    pub peer_name: String,
    /// Its version; empty for a limit.
    pub peer_version: String,
    /// How many times better ours is.
    pub ratio: f64,
    /// The least ratio, if there is one.
    pub goal: Option<f64>,
    /// Whether it is reached.
    pub met: Option<bool>,
    /// Where it was measured.
    pub machine: String,
    /// What was measured.
    pub commit: String,
}

/// The middle run, or the mean of the two middle ones.
pub fn median(runs: &[f64]) -> f64 {
    let mut sorted = runs.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}

/// The line of a row, or what is missing for it.
pub fn line(row: &Row, measured: &[Measured], machine: &str, commit: &str) -> Result<Line, String> {
    let found = measured.iter().find(|measured| measured.name == row.measured);
    let found = found.ok_or_else(|| format!("{}: benchmark `{}` has not been run", row.name, row.measured))?;
    let ours = competitor(row, found, row.ours)?;
    let our_median = median(&ours.runs);
    let limit = |value: f64| Figures { competitor: "limit".into(), version: String::new(), runs: vec![value] };
    let peer = match row.peer {
        Peer::One(name) => competitor(row, found, name)?.clone(),
        Peer::Limit(value) => limit(value),
        Peer::Better(names) => {
            let peers = names.iter().map(|name| competitor(row, found, name)).collect::<Result<Vec<_>, _>>()?;
            let ratio = |peer: &Figures| found.unit.ratio(our_median, median(&peer.runs));
            let better = peers.into_iter().min_by(|a, b| ratio(a).total_cmp(&ratio(b)));
            better.ok_or_else(|| format!("{}: no peer is named", row.name))?.clone()
        }
    };
    let peer_median = median(&peer.runs);
    let ratio = found.unit.ratio(our_median, peer_median);
    Ok(Line {
        name: format!("{}{}", row.name, found.note),
        unit: found.unit.name(),
        ours: our_median,
        ours_runs: ours.runs.clone(),
        peer: peer_median,
        peer_runs: if matches!(row.peer, Peer::Limit(_)) { Vec::new() } else { peer.runs },
        peer_name: peer.competitor,
        peer_version: peer.version,
        ratio,
        goal: row.goal,
        met: row.goal.map(|goal| ratio >= goal),
        machine: machine.into(),
        commit: commit.into(),
    })
}

fn competitor<'a>(row: &Row, measured: &'a Measured, name: &str) -> Result<&'a Figures, String> {
    let found = measured.figures.iter().find(|figures| figures.competitor == name);
    let found = found.ok_or_else(|| format!("{}: {name} is missing from `{}`", row.name, measured.name))?;
    if found.runs.len() < RUNS_MIN {
        return Err(format!("{}: {name} has {} runs, {RUNS_MIN} are needed", row.name, found.runs.len()));
    }
    Ok(found)
}

const HEAD: [&str; 7] = ["", "unit", "terrane", "peer", "ratio", "goal", "met"];

fn cells(line: &Line) -> [String; 7] {
    let peer = format!("{} ({})", number(line.peer), format!("{} {}", line.peer_name, line.peer_version).trim());
    let met = line.met.map_or("", |met| if met { "yes" } else { "no" });
    let goal = line.goal.map_or_else(String::new, |goal| format!("{goal}×"));
    let ratio = format!("{:.2}×", line.ratio);
    [line.name.clone(), line.unit.clone(), number(line.ours), peer, ratio, goal, met.into()]
}

/// Three digits or more, with separators.
pub fn number(value: f64) -> String {
    let digits = match value.abs() {
        ..10.0 => 2,
        ..100.0 => 1,
        _ => 0,
    };
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}

/// The table, its columns aligned; as markdown it can go into a document.
pub fn table(lines: &[Line]) -> String {
    let rows: Vec<[String; 7]> = lines.iter().map(cells).collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([HEAD[column].len(), 3]).max().unwrap_or(0)
    };
    let widths: [usize; 7] = std::array::from_fn(width);
    let text = |row: &[String; 7]| {
        let cell = |(column, cell): (usize, &String)| {
            let gap = " ".repeat(widths[column] - cell.chars().count());
            // Words to the left, figures to the right.
            if matches!(column, 0 | 1 | 3 | 6) { format!("{cell}{gap}") } else { format!("{gap}{cell}") }
        };
        format!("| {} |\n", row.iter().enumerate().map(cell).collect::<Vec<_>>().join(" | "))
    };
    let rule = |column: usize| match column {
        0 | 1 | 3 | 6 => "-".repeat(widths[column]),
        _ => "-".repeat(widths[column] - 1) + ":",
    };
    let rule: [String; 7] = std::array::from_fn(rule);
    let head = text(&HEAD.map(String::from)) + &text(&rule);
    head + &rows.iter().map(text).collect::<String>()
}

/// The processor, how many threads of it, and the memory.
pub fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let processor = field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| std::env::consts::ARCH.into());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = field(&read("/proc/meminfo"), "MemTotal").unwrap_or_default();
    let kib: f64 = memory.trim_end_matches(" kB").parse().unwrap_or(0.0);
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{processor}, {threads} threads, {:.0} GiB, Linux {}", kib / (1 << 20) as f64, kernel.trim())
}

/// The commit that was measured, with a `+` if the tree had been changed since.
pub fn commit() -> Result<String, String> {
    let git = |arguments: &[&str]| {
        let run = Command::new("git").arg("-C").arg(files::workspace()).args(arguments).output();
        let run = run.map_err(|error| format!("git: {error}"))?;
        match run.status.success() {
            true => Ok(String::from_utf8_lossy(&run.stdout).trim().to_owned()),
            false => Err(format!("git {}: {}", arguments.join(" "), String::from_utf8_lossy(&run.stderr))),
        }
    };
    let changed = !git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty();
    Ok(git(&["rev-parse", "--short=12", "HEAD"])? + if changed { "+" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Unit;

    fn measured(ours: [f64; 5], peers: &[(&str, [f64; 5])], unit: Unit) -> Measured {
        let figures = |(name, runs): (&str, [f64; 5])| Figures {
            competitor: name.into(),
            version: "1".into(),
            runs: runs.into(),
        };
        let all = [("terrane", ours)].into_iter().chain(peers.iter().copied()).map(figures).collect();
        Measured { name: "m".into(), note: String::new(), unit, figures: all }
    }

    fn row(peer: Peer, goal: f64) -> Row {
        Row { name: "r", measured: "m", ours: "terrane", peer, goal: Some(goal) }
    }

    #[test]
    fn the_better_peer_counts_and_the_ratio_is_higher_when_ours_is_better() {
        let peers = [("a", [2.0; 5]), ("b", [4.0, 4.0, 5.0, 3.0, 4.0])];
        let better = || Peer::Better(&["a", "b"]);
        for (unit, name, ratio) in
            [(Unit::PerSecond("x".into()), "b", 2.0), (Unit::Milliseconds, "a", 0.25), (Unit::Megabytes, "a", 0.25)]
        {
            let found = line(&row(better(), 1.0), &[measured([8.0; 5], &peers, unit)], "", "").unwrap();
            assert_eq!((found.peer_name.as_str(), found.ratio, found.met), (name, ratio, Some(ratio >= 1.0)));
        }
    }

    #[test]
    fn what_is_missing_is_an_error_and_what_is_slow_is_not() {
        let all = [measured([8.0; 5], &[], Unit::Milliseconds)];
        assert!(line(&row(Peer::One("a"), 1.0), &all, "", "").unwrap_err().contains("a is missing"));
        assert!(line(&row(Peer::Limit(1.0), 1.0), &[], "", "").unwrap_err().contains("has not been run"));
        let slow = line(&row(Peer::Limit(4.0), 1.0), &all, "", "").unwrap();
        assert_eq!((slow.ratio, slow.met), (0.5, Some(false)));
        let mut few = all;
        few[0].figures[0].runs.pop();
        assert!(line(&row(Peer::Limit(1.0), 1.0), &few, "", "").unwrap_err().contains("4 runs"));
    }

    #[test]
    fn numbers_read_well() {
        for (value, text) in [(1234567.8, "1,234,568"), (999.6, "1,000"), (12.34, "12.3"), (0.5, "0.50")] {
            assert_eq!(number(value), text);
        }
    }
}
