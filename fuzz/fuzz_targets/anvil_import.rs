//! Any bytes as a Minecraft region: importing it ends in chunks and problems or in a typed error, and what it gave can
//! be put into a world.
//!
//! The first byte is the mode; from 128 on the file has a name. By its remainder of 5, 0: the rest is the region file.
//! 1 to 4: the rest is cut into that many documents, which become columns of a well-formed file, so that mutation reaches
//! what lies behind the compression.
#![no_main]

use libfuzzer_sys::fuzz_target;
use terrane_formats::anvil::{Region, RegionXZ};
use terrane_world::block::Registry;

const SECTOR: usize = 4096;
/// Uncompressed.
const PLAIN: u8 = 3;
/// Uncompressed, in a file beside the region.
const PLAIN_OUTSIDE: u8 = 0x83;

/// A region file with these documents in the first slots; an empty one lies outside.
fn region<'a>(documents: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut file = vec![0u8; 2 * SECTOR];
    for (slot, document) in documents.enumerate() {
        let first = file.len() / SECTOR;
        let sectors = (document.len() + 5).div_ceil(SECTOR);
        file[slot * 4..slot * 4 + 4].copy_from_slice(&((first as u32) << 8 | sectors as u32).to_be_bytes());
        file.extend_from_slice(&(document.len() as u32 + 1).to_be_bytes());
        file.push(if document.is_empty() { PLAIN_OUTSIDE } else { PLAIN });
        file.extend_from_slice(document);
        file.resize((first + sectors) * SECTOR, 0);
    }
    file
}

fuzz_target!(|data: &[u8]| {
    let Some((&mode, rest)) = data.split_first() else { return };
    let documents = usize::from(mode % 5);
    let file = match documents {
        0 => rest.to_vec(),
        count => region(rest.chunks(rest.len().div_ceil(count).max(1))),
    };
    let pos = (mode & 0x80 != 0).then_some(RegionXZ { x: 0, z: 0 });
    let Ok(region) = Region::open(&file, pos) else { return };
    let external = |_, _| Ok(rest.to_vec());
    let Ok(imported) = region.decode([0, 0, 0], &external, &|_| ()) else { return };
    assert!(imported.chunks.is_sorted_by(|a, b| a.pos < b.pos), "each chunk once, in order");
    assert!(imported.names.is_sorted_by(|a, b| a < b), "each name once, in order");
    let mut registry = Registry::from_names(&["air"], &Default::default()).expect("a registry of air");
    let (ids, _) = imported.register(&mut registry).expect("there is room for every name");
    for chunk in &imported.chunks {
        let made = chunk.onto(&ids, None).expect("what was imported fits a chunk");
        assert!(made.table().iter().all(|block| registry.contains(*block)));
    }
});
