//! Any bytes as a region file: opening it and reading every chunk and voxel ends in a value or a typed error, and
//! the two ways to read a voxel agree.
//!
//! The first byte is the mode. Even: the rest is the file. Odd: the rest is put together to a file whose checksums are
//! right, from a few directory entries (a byte for which, 28 bytes each) and the bytes of the slots, repeated. With 8 in it the
//! rest is a packed file, whose checksums are made right if the mode is odd.
#![no_main]

use libfuzzer_sys::fuzz_target;
use terrane_store::door::Map;
use terrane_store::packed::{self, PackedFile};
use terrane_store::region::{self, RegionFile};
use terrane_world::space::{LocalIndex, RegionPos};

const PAGE: usize = 4096;
const ENTRY: usize = 28;
const SLOT_BYTES: usize = 70_000;
const WORLD: [u8; 16] = *b"a world for test";

/// Entries and slot bytes, as the odd modes read them.
fn assemble(data: &[u8]) -> Vec<u8> {
    let mut file = vec![0u8; 3 * PAGE];
    let (&count, mut rest) = data.split_first().unwrap_or((&0, &[]));
    for number in 0..usize::from(count % 16) {
        let Some((entry, behind)) = rest.split_at_checked(1 + ENTRY) else { break };
        rest = behind;
        let page = PAGE + PAGE * (number % 2);
        let at = page + 32 + usize::from(entry[0] % 128) * ENTRY;
        file[at..at + ENTRY].copy_from_slice(&entry[1..]);
    }
    for (page, byte) in [(PAGE, 0), (2 * PAGE, 1)] {
        file[page + 8] = rest.get(byte).copied().unwrap_or(0);
    }
    let slots = if rest.is_empty() { &[0][..] } else { rest };
    file.extend(slots.iter().cycle().take(SLOT_BYTES));
    file
}

/// Every chunk is read with some checks and with all of them.
fn read_packed(mut file: Vec<u8>, pos: RegionPos, sealed: bool) {
    if sealed {
        packed::seal(&mut file, pos, &WORLD);
    }
    let Ok(region) = PackedFile::parse("a packed region".into(), Map::copied(file), pos, &WORLD) else { return };
    for index in 0..128 {
        if let Ok(Some(slot)) = region.encoded(index) {
            let chunk = region.chunk(index).expect("it was just read").expect("it is stored");
            assert_eq!(terrane_store::slot::decode(&slot.entry, &slot.bytes).as_ref(), Ok(&chunk.0));
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&mode, rest)) = data.split_first() else { return };
    let pos = RegionPos::new(-1, 0, 2).expect("inside the bounds");
    if mode & 8 != 0 {
        return read_packed(rest.to_vec(), pos, mode & 1 != 0);
    }
    let mut file = if mode & 1 == 0 { rest.to_vec() } else { assemble(rest) };
    if mode & 3 != 0 {
        region::seal(&mut file, pos, &WORLD);
    }
    for switching in [false, true] {
        let map = Map::copied(file.clone());
        let Ok(region) = RegionFile::parse("a region".into(), map, pos, &WORLD, switching) else { continue };
        assert!(region.is_current());
        for index in 0..128 {
            let chunk = region.chunk(index);
            for local in (0..32_768).step_by(4_681) {
                let local = LocalIndex::new(local).expect("below 32768");
                match (region.voxel(index, local), &chunk) {
                    (Ok(Some(voxel)), Ok(Some((chunk, _)))) => assert_eq!(voxel, chunk.get(local)),
                    (Ok(None), Ok(None)) | (Err(_), Err(_)) => {}
                    // One block everywhere needs no bytes, so its voxels are read without looking at any.
                    (Ok(Some(_)), Err(_)) if region.entry(index).form == Some(terrane_world::chunk::Form::Uniform) => {}
                    (voxel, chunk) => panic!("chunk {index}: the voxel reads {voxel:?}, the chunk {chunk:?}"),
                }
            }
        }
        if let Some(older) = region.older() {
            older.entries.iter().for_each(|entry| drop(region.chunk_of(entry)));
        }
    }
});
