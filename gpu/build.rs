//! Puts every shader of `shaders/` together, checks it with naga, and embeds the parts. A shader with a mistake fails the build
//! with its file and line.
#![allow(clippy::disallowed_macros, reason = "cargo reads what a build script prints")]
#![allow(clippy::print_stdout, reason = "cargo reads what a build script prints")]

#[path = "src/assemble.rs"]
mod assemble;
#[allow(dead_code, reason = "the library uses the rest of it")]
#[path = "src/prelude.rs"]
mod prelude;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The `.wgsl` files of a folder: stem and text, by name.
fn shaders(folder: &Path) -> Vec<(String, String)> {
    println!("cargo::rerun-if-changed={}", folder.display());
    let read = |error| -> ! { panic!("{}: {error}", folder.display()) };
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| read(error));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap_or_else(|error| read(error)).path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "wgsl"));
    paths.sort();
    let one = |path: PathBuf| {
        println!("cargo::rerun-if-changed={}", path.display());
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        (stem, text)
    };
    paths.into_iter().map(one).collect()
}

/// What is wrong with a shader, if something is: file, line, message.
fn problem(stem: &str, shader: &assemble::Assembled) -> Option<String> {
    let place = |line: Option<u32>| {
        let (file, line) = shader.place(line.unwrap_or(1) as usize);
        format!("{file}:{line}")
    };
    let module = match naga::front::wgsl::parse_str(&shader.text) {
        Ok(module) => module,
        Err(error) => {
            let line = error.location(&shader.text).map(|at| at.line_number);
            return Some(format!("{}: {}\n{}", place(line), error.message(), error.emit_to_string(&shader.text)));
        }
    };
    // Others must do on a device without.
    let subgroups = if stem.ends_with("_subgroups") { naga::valid::Capabilities::SUBGROUP } else { Default::default() };
    let (flags, capabilities) = (naga::valid::ValidationFlags::all(), subgroups);
    let error = naga::valid::Validator::new(flags, capabilities).validate(&module).err()?;
    let line = error.location(&shader.text).map(|at| at.line_number);
    Some(format!("{}: {}\n{}", place(line), error.as_inner(), error.emit_to_string(&shader.text)))
}

fn list(name: &str, what: &str, files: &[(String, String)]) -> String {
    let mut text = format!("/// {what}\npub const {name}: &[(&str, &str)] = &[\n");
    for (stem, source) in files {
        let _ = writeln!(text, "    ({stem:?}, {source:?}),");
    }
    text + "];\n"
}

fn main() {
    println!("cargo::rerun-if-changed=src");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shaders");
    let (stages, shared) = (shaders(&folder), shaders(&folder.join("shared")));
    let parts: Vec<(&str, &str)> = shared.iter().map(|(stem, text)| (stem.as_str(), text.as_str())).collect();
    for (stem, source) in &stages {
        let file = format!("shaders/{stem}.wgsl");
        let whole = assemble::assemble(&prelude::prelude(), &parts, &file, source);
        let whole = whole.unwrap_or_else(|problem| panic!("{problem}"));
        if let Some(problem) = problem(stem, &whole) {
            panic!("{problem}");
        }
    }
    let text = list("SHARED", "The files of `shaders/shared/`, by stem.", &shared)
        + &list("BUILT_IN", "The files of `shaders/`, by stem.", &stages);
    let out = std::env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    std::fs::write(Path::new(&out).join("shaders.rs"), text).expect("OUT_DIR can be written");
}
