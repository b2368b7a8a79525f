//! Rust and WGSL lay the rows of the tables out alike, and every stem of a shader has its entry points.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use naga::TypeInner;
use std::mem::{offset_of, size_of};
use terrane_gpu::layout::{ChunkRow, FootprintRow};
use terrane_gpu::{assemble, shaders};

fn module(source: &str) -> naga::Module {
    let whole = assemble(&shaders::PRELUDE, shaders::SHARED, "a test", source).unwrap();
    naga::front::wgsl::parse_str(&whole.text).unwrap_or_else(|error| panic!("{}", error.emit_to_string(&whole.text)))
}

/// Bytes of a struct, and names and offsets of its members.
fn layout(module: &naga::Module, name: &str) -> (u32, Vec<(String, u32)>) {
    let (_, found) = module.types.iter().find(|(_, ty)| ty.name.as_deref() == Some(name)).expect("the struct");
    let TypeInner::Struct { members, span } = &found.inner else { panic!("{name} is no struct") };
    (*span, members.iter().map(|member| (member.name.clone().unwrap(), member.offset)).collect())
}

#[test]
fn rows_have_the_same_layout_in_rust_and_wgsl() {
    let module = module("//!include stage\n");
    let named = |members: &[(&str, usize)]| -> Vec<(String, u32)> {
        members.iter().map(|(name, offset)| ((*name).to_owned(), *offset as u32)).collect()
    };
    let footprint = named(&[("x", offset_of!(FootprintRow, x)), ("z", offset_of!(FootprintRow, z))]);
    assert_eq!(layout(&module, "Footprint"), (size_of::<FootprintRow>() as u32, footprint));
    let chunk = named(&[
        ("x", offset_of!(ChunkRow, x)),
        ("y", offset_of!(ChunkRow, y)),
        ("z", offset_of!(ChunkRow, z)),
        ("footprint", offset_of!(ChunkRow, footprint)),
        ("around", offset_of!(ChunkRow, around)),
        ("spare", offset_of!(ChunkRow, spare)),
    ]);
    assert_eq!(layout(&module, "Chunk"), (size_of::<ChunkRow>() as u32, chunk));
}

#[test]
fn the_entry_points_are_maps_and_blocks_in_workgroups_of_the_same_size() {
    for (stem, source) in shaders::BUILT_IN {
        let module = module(source);
        assert!(!module.entry_points.is_empty(), "{stem}");
        for entry in &module.entry_points {
            assert!(["maps", "blocks"].contains(&entry.name.as_str()), "{stem}: {}", entry.name);
            assert_eq!(entry.workgroup_size, [terrane_gpu::prelude::GROUP, 1, 1], "{stem}: {}", entry.name);
        }
    }
}
