//! Damaged and hostile files: no panic, every problem names a place, and what is not damaged is imported.

use crate::support::{Column, Layout, Numbers, Packing, compress, document, import, region, slot, varied_names};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use terrane_formats::anvil::{Region, RegionError};
use terrane_formats::volume::{ImportedFile, NOT_SAID};
use terrane_world::space::LocalIndex;

/// Columns at even places, so that each has its own square of chunks.
fn sound() -> (Vec<u8>, Vec<(i32, i32)>) {
    let mut numbers = Numbers(77);
    let mut parts = Vec::new();
    let mut places = Vec::new();
    for n in 0..8 {
        let (x, z) = (2 * n, 30 - 2 * n);
        let sections = vec![(0, varied_names(&mut numbers, 40)), (1, varied_names(&mut numbers, 5))];
        let block_entities = vec![([x * 16 + 3, 9, z * 16 + 4], "minecraft:chest")];
        let column = Column { x, z, status: "minecraft:full", sections, block_entities };
        let layout = if n % 2 == 0 { Layout::Level } else { Layout::Root };
        let compression = n as u8 % 4 + 1;
        parts.push((slot(x, z), compression, compress(compression, &document(&column, layout, Packing::Padded))));
        places.push((x, z));
    }
    (region(&parts), places)
}

/// A hash of what the file says inside each column's own 16×16 footprint.
fn columns_of(file: &ImportedFile, places: &[(i32, i32)]) -> BTreeMap<(i32, i32), u64> {
    let hash = |&(x, z): &(i32, i32)| {
        let mut hasher = DefaultHasher::new();
        for chunk in file.chunks.iter().filter(|c| (c.pos.x(), c.pos.z()) == (x / 2, z / 2)) {
            for n in 0..32_768 {
                let local = LocalIndex::new(n).unwrap();
                let block = chunk.content.get(local);
                if local.x() < 16 && local.z() < 16 && block != NOT_SAID {
                    (chunk.pos.y(), n, &file.names[usize::from(block.0)]).hash(&mut hasher);
                }
            }
            for (local, data) in chunk.content.sparse().iter().filter(|(at, _)| at.x() < 16 && at.z() < 16) {
                (local.get(), data).hash(&mut hasher);
            }
        }
        hasher.finish()
    };
    places.iter().map(|place| (*place, hash(place))).collect()
}

/// The slot whose data or location a byte belongs to.
fn owner(bytes: &[u8], at: usize) -> Option<usize> {
    if at < 4096 {
        return Some(at / 4);
    }
    (0..1024).find(|slot| {
        let entry = &bytes[slot * 4..slot * 4 + 4];
        let first = usize::from(entry[0]) << 16 | usize::from(entry[1]) << 8 | usize::from(entry[2]);
        (first * 4096..(first + usize::from(entry[3])) * 4096).contains(&at)
    })
}

fn check_places(file: &ImportedFile) {
    for problem in &file.problems {
        let place = &problem.place;
        assert!(place.contains("chunk") || place == "the file", "{problem}");
        assert!(problem.message.len() > 10, "{problem}");
    }
}

#[test]
fn flipped_bytes_cost_their_own_column_at_most() {
    let (bytes, places) = sound();
    let expected = columns_of(&import(&bytes, None, [0; 3]), &places);
    let mut numbers = Numbers(3);
    let mut with_problems = 0;
    for round in 0..400 {
        let mut damaged = bytes.clone();
        // Every fourth round hits the tables and the heads of chunks, which are a small part of the file.
        let at = match round % 4 {
            0 => slot(places[round % 8].0, places[round % 8].1) * 4 + numbers.below(4),
            1 => (2 + numbers.below(bytes.len() / 4096 - 2)) * 4096 + numbers.below(24),
            _ => numbers.below(bytes.len()),
        };
        damaged[at] ^= 1 + numbers.below(255) as u8;
        let file = import(&damaged, None, [0; 3]);
        check_places(&file);
        with_problems += usize::from(!file.problems.is_empty());
        let hit = owner(&bytes, at);
        for (place, hash) in columns_of(&file, &places) {
            if Some(slot(place.0, place.1)) != hit {
                assert_eq!(hash, expected[&place], "byte {at}: column {place:?} differs; {:?}", file.problems);
            }
        }
    }
    assert!(with_problems > 150, "only {with_problems} of 400 were noticed");
}

#[test]
fn a_file_cut_at_any_sector_gives_the_columns_before_the_cut() {
    let (bytes, places) = sound();
    let expected = columns_of(&import(&bytes, None, [0; 3]), &places);
    for end in (0..bytes.len()).step_by(4096).flat_map(|end| [end, end + 7]) {
        let cut = &bytes[..end];
        if (1..8192).contains(&end) {
            assert!(matches!(Region::open(cut, None), Err(RegionError::Header(n)) if n == end));
            continue;
        }
        let file = import(cut, None, [0; 3]);
        check_places(&file);
        let mut whole = 0;
        for (place, hash) in columns_of(&file, &places) {
            let at = slot(place.0, place.1) * 4;
            let Some(entry) = bytes.get(at..at + 4).filter(|_| end > 0) else { continue };
            let first = usize::from(entry[1]) << 8 | usize::from(entry[2]);
            if (first + usize::from(entry[3])) * 4096 <= end {
                assert_eq!(hash, expected[&place], "cut at {end}");
                whole += 1;
            }
        }
        assert!(end == 0 || file.counts.columns + file.counts.columns_skipped == places.len(), "cut at {end}");
        assert!(file.counts.columns >= whole);
    }
}

#[test]
fn slots_that_point_at_the_data_of_another_do_not_double_or_move_it() {
    let (mut bytes, places) = sound();
    let expected = columns_of(&import(&bytes, None, [0; 3]), &places);
    let first = slot(places[0].0, places[0].1) * 4;
    let entry: [u8; 4] = bytes[first..first + 4].try_into().unwrap();
    bytes[4 * 5..4 * 6].copy_from_slice(&entry);
    let file = import(&bytes, None, [0; 3]);
    assert_eq!(columns_of(&file, &places), expected);
    assert_eq!((file.counts.columns, file.counts.columns_skipped), (8, 1));
    assert!(file.problems.iter().any(|p| p.message.contains("claimed by another")));
}

#[test]
fn a_column_in_the_wrong_slot_lands_at_its_own_place_and_is_reported() {
    let (mut bytes, places) = sound();
    let expected = columns_of(&import(&bytes, None, [0; 3]), &places);
    let from = slot(places[1].0, places[1].1) * 4;
    bytes.copy_within(from..from + 4, 4 * 9);
    bytes[from..from + 4].fill(0);
    let file = import(&bytes, None, [0; 3]);
    assert_eq!(columns_of(&file, &places), expected);
    assert_eq!(file.problems.len(), 1);
    assert!(file.problems[0].message.contains("says that it is 2,28"), "{}", file.problems[0]);
    let named = import(&bytes, terrane_formats::anvil::RegionXZ::from_file_name("r.7.7.mca"), [0; 3]);
    assert!(named.problems[0].message.contains("r.7.7.mca"), "{}", named.problems[0]);
    assert_eq!(named.chunks.len(), file.chunks.len());
}

#[test]
fn problems_of_one_file_are_bounded() {
    let sections = (0..100).map(|y| (y, vec!["NO".to_owned(); 4096])).collect();
    let column = Column { x: 0, z: 0, status: "full", sections, block_entities: vec![] };
    let file = import(&region(&[(0, 3, document(&column, Layout::Root, Packing::Padded))]), None, [0; 3]);
    assert_eq!(file.problems.len(), 65);
    assert!(file.problems[64].message.contains("36 more"), "{}", file.problems[64]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn arbitrary_bytes_are_survived(
        slots in proptest::collection::vec((0usize..1024, 0u32..6, 0u8..4), 0..12),
        body in proptest::collection::vec(any::<u8>(), 0..12_000),
        compression in 0u8..6,
    ) {
        let mut bytes = vec![0; 8192];
        for (slot, first, sectors) in slots {
            bytes[slot * 4..slot * 4 + 4].copy_from_slice(&(first << 8 | u32::from(sectors)).to_be_bytes());
        }
        bytes.extend(&body);
        if let Some(head) = bytes.get_mut(8192..8197) {
            head.copy_from_slice(&[0, 0, (body.len() >> 8) as u8, body.len() as u8, compression]);
        }
        check_places(&import(&bytes, None, [0; 3]));
    }

    #[test]
    fn nbt_with_flipped_bytes_is_survived(flips in proptest::collection::vec((0usize..100_000, any::<u8>()), 1..20)) {
        let mut numbers = Numbers(9);
        let sections = vec![(0, varied_names(&mut numbers, 20))];
        let block_entities = vec![([1, 2, 3], "minecraft:sign")];
        let column = Column { x: 0, z: 0, status: "full", sections, block_entities };
        let mut bytes = document(&column, Layout::Root, Packing::Padded);
        for (at, value) in flips {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        check_places(&import(&region(&[(0, 3, bytes)]), None, [0; 3]));
    }
}
