//! Luanti's own generation, run as its server is: the shared script starts it on a fresh world, and it says how long it took.

use crate::files;
use crate::rounds::Run;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// As it stands in the table.
pub const NAME: &str = "Luanti";
/// Where Debian puts the server.
const SERVER: &str = "/usr/lib/minetest/minetestserver";

/// The server's version; fails if there is none.
pub fn version() -> String {
    let run = Command::new(SERVER).arg("--version").output().unwrap_or_else(|error| {
        panic!("{SERVER} does not run ({error}): apt-get install minetest-server minetest-data time")
    });
    let text = String::from_utf8_lossy(&run.stdout);
    text.split_whitespace().nth(1).unwrap_or("unknown").to_owned()
}

/// Generates 480×240×480 voxels around the surface with mapgen v7, saving included.
pub fn generate(threads: usize, round: u64) -> Run {
    let out = files::scratch("luanti");
    let script = script();
    let threads = threads.to_string();
    let run = Command::new(&script)
        .args(["world", "v7", threads.as_str(), "gen", "bench", round.to_string().as_str(), "fixed_map_seed=7"])
        .env("OUT", &out)
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", script.display()));
    let results = std::fs::read_to_string(out.join("results/gen.jsonl"));
    let results = results.unwrap_or_else(|_| panic!("Luanti told nothing: {}", String::from_utf8_lossy(&run.stdout)));
    let facts: serde_json::Value = serde_json::from_str(results.trim()).expect("one line of JSON");
    let number = |key: &str| facts[key].as_f64().unwrap_or_else(|| panic!("{key} is not in {facts}"));
    let run = Run { took: Duration::from_secs_f64(number("wall")), count: number("nodes") as usize, disk_bytes: 0 };
    std::fs::remove_dir_all(out).expect("the folder is ours");
    run
}

fn script() -> PathBuf {
    let script = files::shared().join("peers/luanti/run.sh");
    assert!(script.is_file(), "{} is not there: TERRANE_SHARED names the folder with peers/", script.display());
    script.canonicalize().expect("it is there")
}
