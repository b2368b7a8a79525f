//! `terrane import` of a Minecraft region, the whole process.
#![allow(missing_docs, reason = "criterion's macros make functions without")]

use criterion::{Criterion, criterion_group, criterion_main};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use terrane_benches::content::{BASE_CHUNKS, Content, position};
use terrane_benches::rounds::{Rounds, Run};
use terrane_benches::{files, ours};
use terrane_formats::anvil::write_regions;
use terrane_world::block::Registry;
use terrane_world::chunk::{Chunk, new_blocks};
use terrane_world::space::VoxelBox;

/// Columns along x and z of the region that stands in for the shared one.
const OWN_COLUMNS: i32 = 16;

/// The program beside the build folder's benchmarks.
fn program() -> PathBuf {
    let bench = std::env::current_exe().expect("a running program has a file");
    let folder = bench.parent().and_then(Path::parent).expect("benchmarks lie in `deps`");
    let program = folder.join("terrane");
    assert!(program.exists(), "{} is missing: build it with the release profile first", program.display());
    program
}

/// The shared forest of 253 columns, or a region written here, and what the row says of that.
fn region(scratch: &Path) -> (PathBuf, &'static str) {
    let forest = files::shared().join("data/forest-1.16.mca");
    if forest.exists() {
        return (forest, ", a forest of 1.16");
    }
    let content = Content::generate();
    let edge = OWN_COLUMNS * 16;
    let mut buffer = new_blocks();
    let chunks: std::collections::HashMap<_, _> =
        (0..BASE_CHUNKS).map(|k| (position(k), Arc::new(content.chunk(k, &mut buffer)))).collect();
    let source = |pos| Ok(chunks.get(&pos).cloned() as Option<Arc<Chunk>>);
    let positions: Vec<_> = (0..BASE_CHUNKS).map(position).collect();
    let within = VoxelBox::new([0; 3], [edge, 256, edge]).expect("a box inside the world");
    let path = scratch.join("r.0.0.mca");
    let mut put = |_: &str, bytes: &[u8]| std::fs::write(&path, bytes);
    write_regions(&Registry::built_in(), &positions, within, &source, &mut put).expect("content that can be written");
    (path, ": NOT the shared forest, which is absent, but 256 columns of terrain written here")
}

fn import(criterion: &mut Criterion) {
    let (program, scratch) = (program(), files::scratch("formats"));
    let (region, note) = region(&scratch);
    let rounds = Rounds::new("formats/import").with(ours::NAME, ours::version(), |round| {
        let world = scratch.join(format!("world{round}"));
        files::settle(&scratch);
        let run = Run::timed(1, || {
            let mut command = Command::new(&program);
            command.arg("import").arg(&region).arg("--world").arg(&world);
            let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
            assert!(status.is_ok_and(|status| status.success()), "the import failed");
        });
        std::fs::remove_dir_all(world).expect("the world is ours");
        run
    });
    rounds.measure(criterion).write_milliseconds(note);
}

criterion_group!(benches, import);
criterion_main!(benches);
