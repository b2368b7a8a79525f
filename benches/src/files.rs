//! Where benchmarks put their files, and what those take on the disk.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The workspace's folder.
pub fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The build folder; recorded figures and the summary go there. A benchmark that is built elsewhere is told by
/// `TERRANE_BENCH_TARGET`.
pub fn target() -> PathBuf {
    let named = ["TERRANE_BENCH_TARGET", "CARGO_TARGET_DIR"].into_iter().find_map(std::env::var_os);
    named.map_or_else(|| workspace().join("target"), PathBuf::from)
}

/// The shared inputs: `TERRANE_SHARED`, or the folder beside the repository.
pub fn shared() -> PathBuf {
    std::env::var_os("TERRANE_SHARED").map_or_else(|| workspace().join("../shared"), PathBuf::from)
}

/// An empty folder for one benchmark: in `TERRANE_BENCH_DIR`, or in the build folder, so on its disk.
pub fn scratch(name: &str) -> PathBuf {
    let root = std::env::var_os("TERRANE_BENCH_DIR").map_or_else(|| target().join("bench-files"), PathBuf::from);
    let folder = root.join(name);
    empty(&folder);
    folder
}

/// Makes a folder that holds nothing.
pub fn empty(folder: &Path) {
    if folder.exists() {
        fs::remove_dir_all(folder).unwrap_or_else(|error| panic!("removing {}: {error}", folder.display()));
    }
    fs::create_dir_all(folder).unwrap_or_else(|error| panic!("making {}: {error}", folder.display()));
}

/// Waits until the disk has nothing left to do for an earlier run.
pub fn settle(folder: &Path) {
    let done = Command::new("sync").arg("--file-system").arg(folder).status();
    assert!(done.is_ok_and(|status| status.success()), "`sync` did not work on {}", folder.display());
}

/// Bytes that the blocks of all files in a folder take, as `du` counts them, without those of the folders.
pub fn disk_bytes(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("reading {}: {error}", folder.display()));
    let size = |path: PathBuf| match path.is_dir() {
        true => disk_bytes(&path),
        false => fs::metadata(&path).map_or(0, |data| data.blocks() * 512),
    };
    entries.flatten().map(|entry| size(entry.path())).sum()
}
