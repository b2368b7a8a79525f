//! What the documents say about the code is so: who imports whom (ARCHITECTURE.md's table against `cargo metadata`), which
//! crates have unsafe code, that every path and link in ARCHITECTURE.md and README.md leads somewhere, and that
//! docs/generation.md has the stages' real settings and an example that compiles.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use terrane_world::block::Registry;
use terrane_world::generate::stage::BuiltInOnly;
use terrane_world::generate::{Generator, GeneratorSetting, StageSetting};

/// The table stands between these lines of ARCHITECTURE.md.
const TABLE: (&str, &str) = ("<!-- imports -->", "<!-- /imports -->");
/// Backticked words that end like this are paths.
const EXTENSIONS: &[&str] =
    &[".rs", ".md", ".toml", ".ts", ".sh", ".png", ".yml", ".py", ".lock", ".json", ".css", ".wgsl"];
/// Files with unsafe code: the store's map and its signal handler; vector instructions of generation and of
/// packing; shaders without a bound on their loops.
const UNSAFE_FILES: &[&str] = &[
    "core/store/src/door.rs",
    "core/store/src/os.rs",
    "core/store/src/sigbus.rs",
    "core/world/src/delta/lanes.rs",
    "core/world/src/generate/lanes.rs",
    "core/world/src/generate/simd.rs",
    "gpu/src/module.rs",
];
/// The benchmarks call peers' C libraries and ship with nothing.
const UNSAFE_CRATE: &str = "terrane-benches";
/// Made by building or running, so a clean checkout does not have them.
const MADE: &[&str] = &["target/", "web/dist/", "web/node_modules/", "web/test-results/", "fuzz/corpus/", "world/"];

/// A row: the folder and the name of a crate, what it may import of ours, and what it must not import at all.
#[derive(Debug)]
struct Row {
    folder: String,
    name: String,
    /// `None` stands for "any".
    ours: Option<BTreeSet<String>>,
    banned: BTreeSet<String>,
}

/// A crate as `cargo metadata` knows it.
struct Crate {
    folder: String,
    name: String,
    imports: BTreeSet<String>,
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(workspace().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The words in backticks.
fn backticked(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn table() -> Vec<Row> {
    let page = read("ARCHITECTURE.md");
    let (_, rest) = page.split_once(TABLE.0).expect("the table's first mark");
    let (table, _) = rest.split_once(TABLE.1).expect("the table's last mark");
    let rows = table.lines().filter(|line| line.starts_with("| `")).map(row).collect::<Vec<_>>();
    assert!(rows.len() >= 5, "the table has rows");
    rows
}

fn row(line: &str) -> Row {
    let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    let [folder, name, ours, banned] = cells[..] else { panic!("four cells: {line}") };
    let words = |cell: &str| backticked(cell).map(str::to_owned).collect::<BTreeSet<_>>();
    let one = |cell: &str| backticked(cell).next().unwrap_or_else(|| panic!("a name: {line}")).to_owned();
    let ours = (ours != "any").then(|| words(ours));
    Row { folder: one(folder), name: one(name), ours, banned: words(banned) }
}

fn crates() -> Vec<Crate> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let run = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(workspace())
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    packages.iter().map(one_crate).collect()
}

/// What a crate is built from; what only its tests use is its own affair.
fn one_crate(package: &serde_json::Value) -> Crate {
    let manifest = Path::new(package["manifest_path"].as_str().unwrap());
    let folder = manifest.parent().unwrap().strip_prefix(workspace().canonicalize().unwrap()).unwrap();
    let dependencies = package["dependencies"].as_array().unwrap().iter();
    let built_from = dependencies.filter(|dependency| dependency["kind"].as_str() != Some("dev"));
    Crate {
        folder: format!("{}/", folder.display()),
        name: package["name"].as_str().unwrap().to_owned(),
        imports: built_from.map(|dependency| dependency["name"].as_str().unwrap().to_owned()).collect(),
    }
}

#[test]
fn the_crates_import_each_other_as_the_table_says() {
    let (rows, crates) = (table(), crates());
    let ours: BTreeSet<&str> = crates.iter().map(|one| one.name.as_str()).collect();
    let mut wrong = Vec::new();
    let by_folder: BTreeMap<&str, &Row> = rows.iter().map(|row| (row.folder.as_str(), row)).collect();
    for one in &crates {
        let Some(row) = by_folder.get(one.folder.as_str()) else {
            wrong.push(format!("{} has no row", one.folder));
            continue;
        };
        if row.name != one.name {
            wrong.push(format!("{} holds {}, the table says {}", one.folder, one.name, row.name));
        }
        let edges: BTreeSet<String> = one.imports.iter().filter(|name| ours.contains(name.as_str())).cloned().collect();
        if let Some(allowed) = &row.ours {
            wrong.extend(edges.difference(allowed).map(|to| format!("{} imports {to}, the table does not", one.name)));
            wrong.extend(
                allowed.difference(&edges).map(|to| format!("the table lets {} import {to}, it does not", one.name)),
            );
        }
        wrong.extend(row.banned.intersection(&one.imports).map(|to| format!("{} must not import {to}", one.name)));
    }
    let folders: BTreeSet<&str> = crates.iter().map(|one| one.folder.as_str()).collect();
    wrong.extend(
        rows.iter()
            .filter(|row| !folders.contains(row.folder.as_str()))
            .map(|row| format!("{} is no crate", row.folder)),
    );
    assert!(wrong.is_empty(), "ARCHITECTURE.md and cargo metadata differ:\n{}", wrong.join("\n"));
}

#[test]
fn unsafe_code_stands_only_in_the_named_files_and_in_the_benchmarks() {
    let named: BTreeSet<PathBuf> = UNSAFE_FILES.iter().map(|file| workspace().join(file)).collect();
    for one in crates().iter().filter(|one| one.name != UNSAFE_CRATE) {
        let sources = workspace().join(&one.folder).join("src");
        let has_named = named.iter().any(|file| file.starts_with(&sources));
        for root in ["lib.rs", "main.rs"].map(|file| sources.join(file)).iter().filter(|root| root.is_file()) {
            let text = std::fs::read_to_string(root).unwrap();
            // Where some files may, the workspace's lint denies it in all others.
            assert!(has_named || text.contains("#![forbid(unsafe_code)]"), "{} does not forbid it", root.display());
        }
        let mut files = Vec::new();
        collect(&sources, &mut files);
        for file in files.iter().filter(|file| !named.contains(*file)) {
            let text = std::fs::read_to_string(file).unwrap();
            assert!(!text.contains("allow(unsafe_code"), "{} allows unsafe code and is not named", file.display());
        }
    }
    assert!(named.iter().all(|file| file.is_file()), "a named file is gone: {named:?}");
}

#[test]
fn no_float_decides_a_voxel_and_every_stage_has_a_shader_of_its_stem() {
    let (stages, shaders) = ("core/world/src/generate", "shaders");
    let mut files = Vec::new();
    [stages, shaders].iter().for_each(|folder| collect(&workspace().join(folder), &mut files));
    let is_code = |file: &&PathBuf| file.extension().is_some_and(|end| end == "rs" || end == "wgsl");
    for file in files.iter().filter(is_code) {
        let text = std::fs::read_to_string(file).unwrap();
        for word in text.split(|c: char| !c.is_alphanumeric() && c != '_') {
            assert!(!["f16", "f32", "f64"].contains(&word), "{} has {word}", file.display());
        }
    }
    for stage in terrane_world::generate::terrain::STAGES {
        for file in [format!("{stages}/terrain/{stage}.rs"), format!("{shaders}/{stage}.wgsl")] {
            assert!(workspace().join(&file).is_file(), "{file} is not there");
        }
    }
}

/// Every file below a folder.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push(path);
        }
    }
}

/// A path is the repository's, or one of the folder that its section is about.
fn exists(path: &str, section: &str) -> bool {
    MADE.iter().any(|made| path.starts_with(made))
        || [workspace(), workspace().join(section)].iter().any(|folder| folder.join(path).exists())
}

fn is_path(word: &str) -> bool {
    let plain = word.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b));
    plain && (word.ends_with('/') || EXTENSIONS.iter().any(|end| word.ends_with(end) && word != *end))
}

/// Targets of links within the repository.
fn links(line: &str) -> impl Iterator<Item = &str> {
    let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let targets = targets.filter(|link| !link.contains("://") && !link.starts_with('#'));
    targets.map(|link| link.split('#').next().expect("a split has a first part"))
}

#[test]
fn every_path_and_link_in_the_documents_leads_somewhere() {
    let mut wrong = Vec::new();
    for page in ["ARCHITECTURE.md", "README.md"] {
        let mut section = String::new();
        for line in read(page).lines() {
            if line.starts_with('#') {
                section = backticked(line).next().unwrap_or("").to_owned();
            }
            let paths = backticked(line).filter(|word| is_path(word)).chain(links(line));
            wrong.extend(paths.filter(|path| !exists(path, &section)).map(|path| format!("{page}: {path}")));
        }
    }
    assert!(wrong.is_empty(), "these lead nowhere:\n{}", wrong.join("\n"));
}

/// A row of the tables of docs/generation.md: stage, setting, default, and the range that is accepted.
fn documented_settings(page: &str) -> Vec<(String, String, i64, [i64; 2])> {
    let number = |text: &str| text.trim().replace('−', "-").parse::<i64>().ok();
    let mut stage = "";
    let mut rows = Vec::new();
    for line in page.lines() {
        stage = line.strip_prefix("### ").unwrap_or(stage);
        let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
        let [key, default, accepted, _] = cells[..] else { continue };
        let range = accepted.split_once(" to ").map(|(low, high)| [low, high].map(number));
        if let (Some(key), Some(default), Some([Some(low), Some(high)])) =
            (backticked(key).next(), number(default), range)
        {
            rows.push((stage.to_owned(), key.to_owned(), default, [low, high]));
        }
    }
    // The keys of an ore stand one level deeper.
    rows.retain(|(stage, ..)| stage != "veins");
    rows
}

#[test]
fn the_page_of_generation_has_the_real_defaults_and_ranges() {
    let registry = Registry::built_in();
    let make = |stage: &str, key: &str, value: i64| {
        let settings = toml::Table::from_iter([(key.to_owned(), value.into())]);
        let stages = vec![StageSetting { stage: stage.to_owned(), settings }];
        let setting = GeneratorSetting { stages, ..GeneratorSetting::plain("terrain", 1) };
        Generator::new(&setting, 1, &registry, &[], &BuiltInOnly).map_err(|error| error.to_string())
    };
    let parameters = |generator: &Generator| generator.pipeline().unwrap().stages()[0].twin().unwrap().parameters;
    let rows = documented_settings(&read("docs/generation.md"));
    assert!(rows.len() > 12, "{rows:?}");
    for (stage, key, default, [low, high]) in rows {
        let plain = StageSetting { stage: stage.clone(), ..StageSetting::default() };
        let setting = GeneratorSetting { stages: vec![plain], ..GeneratorSetting::plain("terrain", 1) };
        let plain = Generator::new(&setting, 1, &registry, &[], &BuiltInOnly).unwrap();
        let same = make(&stage, &key, default).unwrap();
        assert_eq!(parameters(&plain), parameters(&same), "{stage}: {key} is {default} by default");
        for (inside, outside) in [(low, low - 1), (high, high + 1)] {
            assert!(make(&stage, &key, inside).is_ok(), "{stage}: {key} = {inside}");
            let error = make(&stage, &key, outside).unwrap_err();
            assert!(error.contains(&format!("from {low} to {high}")), "{error}");
        }
    }
}

#[test]
fn the_page_of_generation_shows_the_example() {
    let (page, example) = (read("docs/generation.md"), read("core/world/examples/own_stage.rs"));
    let shown = page.split("```rust\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let mut lines = example.lines();
    for line in shown.lines().filter(|line| !line.is_empty()) {
        assert!(lines.any(|real| real == line), "the example does not have, at that place: {line}");
    }
}
