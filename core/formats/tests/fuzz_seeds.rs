//! What fuzzing the Anvil import starts from: documents in every layout. `TERRANE_FUZZ_SEEDS` names the folder they go to
//! (scripts/fuzz.sh sets it); without it the test only makes them.
#![allow(dead_code, clippy::unwrap_used, reason = "the helpers serve other tests too, and a test may panic")]

#[path = "formats/support.rs"]
mod support;

use std::path::PathBuf;
use support::{Column, Layout, Numbers, Packing, compress, document, region, slot, varied_names};

fn write(name: &str, bytes: &[u8]) {
    if let Some(seeds) = std::env::var_os("TERRANE_FUZZ_SEEDS") {
        std::fs::write(PathBuf::from(seeds).join("anvil_import").join(name), bytes).unwrap();
    }
}

#[test]
fn documents_to_start_from() {
    let mut numbers = Numbers(9);
    let sections = vec![(0, varied_names(&mut numbers, 3)), (1, varied_names(&mut numbers, 40))];
    let block_entities = vec![([3, 5, 3], "minecraft:chest")];
    let column = Column { x: 0, z: 0, status: "minecraft:full", sections, block_entities };
    let layouts =
        [(Layout::Level, Packing::Spanning), (Layout::Level, Packing::Padded), (Layout::Root, Packing::Padded)];
    for (number, (layout, packing)) in layouts.into_iter().enumerate() {
        let plain = document(&column, layout, packing);
        assert!(support::import(&region(&[(slot(0, 0), 3, plain.clone())]), None, [0; 3]).chunks.len() == 1);
        write(&format!("plain-{number}"), &[&[1], &plain[..]].concat());
        for compression in 1..=4u8 {
            let file = region(&[(slot(0, 0), compression, compress(compression, &plain))]);
            write(&format!("file-{number}-{compression}"), &[&[130], &file[..]].concat());
        }
    }
}
