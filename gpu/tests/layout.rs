//! Rust and WGSL lay the rows of the tables out alike, and every stem of a shader has its entry points.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use naga::TypeInner;
use std::mem::{offset_of, size_of};
use terrane_gpu::layout::{ChunkRow, ClassRow, FootprintRow, LabelRow, PackRow, QueueHead, RelaxRow, RulesHead};
use terrane_gpu::{assemble, shaders};
use terrane_world::relax::EXITS;

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

fn built_in(stem: &str) -> naga::Module {
    module(shaders::BUILT_IN.iter().find(|(known, _)| *known == stem).expect("a built-in shader").1)
}

fn named(members: &[(&str, usize)]) -> Vec<(String, u32)> {
    members.iter().map(|(name, offset)| ((*name).to_owned(), *offset as u32)).collect()
}

/// Names and offsets of members of a struct of Rust.
macro_rules! members {
    ($row:ty: $($member:ident),+) => { named(&[$((stringify!($member), offset_of!($row, $member))),+]) };
}

#[test]
fn rows_of_relaxation_and_labelling_have_the_same_layout_in_rust_and_wgsl() {
    let relax = built_in("relax");
    let class = members!(ClassRow: source, floor, exits, losses);
    assert_eq!(layout(&relax, "Class"), (size_of::<ClassRow>() as u32, class));
    let chunk = members!(RelaxRow: around, classes, exits);
    assert_eq!(layout(&relax, "Chunk"), (size_of::<RelaxRow>() as u32, chunk));
    // What has no fixed length stands behind the head; its first element counts in WGSL.
    let mut rules = members!(RulesHead: limit, wide, exits, colours, own, slots);
    rules.push(("classes".to_owned(), size_of::<RulesHead>() as u32));
    assert_eq!(layout(&relax, "Rules").1, rules);
    let mut queue = members!(QueueHead: waiting, colour, finished, visits);
    queue.push(("words".to_owned(), size_of::<QueueHead>() as u32));
    assert_eq!(layout(&relax, "Queue").1, queue);
    let chunk = members!(LabelRow: beside, base, stride_y, stride_z);
    assert_eq!(layout(&built_in("label"), "Chunk"), (size_of::<LabelRow>() as u32, chunk));
    let chunk = members!(PackRow: cells, bits);
    assert_eq!(layout(&built_in("codec"), "Chunk"), (size_of::<PackRow>() as u32, chunk));
}

#[test]
fn the_prelude_has_the_exits_of_relaxation() {
    let module = built_in("relax");
    let constant = |name: String| {
        let (_, found) = module.constants.iter().find(|(_, it)| it.name.as_ref() == Some(&name)).expect("the constant");
        match module.global_expressions[found.init] {
            naga::Expression::Literal(naga::Literal::U32(value)) => value,
            ref other => panic!("{name} is {other:?}"),
        }
    };
    for (exit, step) in EXITS.iter().enumerate() {
        for (axis, name) in ["X", "Y", "Z"].into_iter().enumerate() {
            let half = if exit < 16 { "LOW" } else { "HIGH" };
            let part = constant(format!("EXIT_{name}_{half}")) >> (2 * (exit % 16)) & 3;
            assert_eq!(part as i32 - 1, step[axis], "exit {exit} along {name}");
        }
    }
}

#[test]
fn rows_have_the_same_layout_in_rust_and_wgsl() {
    let module = module("//!include stage\n");
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
fn the_entry_points_of_stages_are_maps_and_blocks_and_workgroups_are_of_the_same_size() {
    for (stem, source) in shaders::BUILT_IN {
        let module = module(source);
        assert!(!module.entry_points.is_empty(), "{stem}");
        let known: &[&str] = match *stem {
            "relax" => &["begin", "arrive", "relax"],
            "codec" | "codec_subgroups" => &["pack"],
            "label" => &["pieces", "seams", "flatten", "add_up", "number", "spread"],
            _ => &["maps", "blocks"],
        };
        for entry in &module.entry_points {
            assert!(known.contains(&entry.name.as_str()), "{stem}: {}", entry.name);
            assert_eq!(entry.workgroup_size, [terrane_gpu::prelude::GROUP, 1, 1], "{stem}: {}", entry.name);
        }
    }
}
