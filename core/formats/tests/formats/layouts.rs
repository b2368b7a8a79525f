//! Every layout, packing and compression that 1.13 to 1.21 write, from files made here.

use crate::support::{
    Column, Layout, Numbers, Packing, World, compress, document, import, name_at, region, slot, varied_names,
};
use std::collections::HashMap;
use terrane_formats::anvil::{Region, RegionXZ};
use terrane_formats::volume::ImportedFile;
use terrane_world::space::VoxelPos;

const CASES: [(Layout, Packing); 3] =
    [(Layout::Level, Packing::Spanning), (Layout::Level, Packing::Padded), (Layout::Root, Packing::Padded)];

fn columns() -> Vec<Column> {
    let mut numbers = Numbers(1);
    let mut column = |x, z, kinds: &[(i8, usize)], block_entities| Column {
        x,
        z,
        status: "minecraft:full",
        sections: kinds.iter().map(|&(y, kinds)| (y, varied_names(&mut numbers, kinds))).collect(),
        block_entities,
    };
    vec![
        column(-1, 31, &[(-4, 1), (-3, 2), (0, 16), (1, 17)], vec![([-16, 5, 511], "minecraft:chest")]),
        column(-2, 31, &[(0, 33), (5, 65), (19, 129)], vec![]),
        column(-32, 0, &[(-128, 257), (127, 600)], vec![]),
        column(-31, 1, &[(3, 1025), (4, 3000)], vec![([-496, 63, 31], "minecraft:sign")]),
    ]
}

fn check(file: &ImportedFile, columns: &[Column], shift: [i32; 3], what: &str) {
    assert_eq!(file.problems, [], "{what}");
    assert_eq!(file.counts.columns, columns.len(), "{what}");
    for column in columns {
        for (y, names) in &column.sections {
            for (voxel, name) in names.iter().enumerate() {
                let own = [column.x * 16 + (voxel & 15) as i32, i32::from(*y) * 16 + (voxel >> 8) as i32];
                let at = [own[0] + shift[0], own[1] + shift[1], column.z * 16 + (voxel >> 4 & 15) as i32 + shift[2]];
                assert_eq!(name_at(file, at), Some(name.as_str()), "{what} at {at:?}");
            }
        }
        for (at, id) in &column.block_entities {
            let at = [0, 1, 2].map(|axis| at[axis] + shift[axis]);
            let pos = VoxelPos::try_from(at).unwrap();
            let chunk = file.chunks.iter().find(|chunk| chunk.pos == pos.chunk()).unwrap();
            let data: HashMap<String, fastnbt::Value> =
                fastnbt::from_bytes(&chunk.content.sparse()[&pos.local()]).unwrap();
            assert_eq!(data["id"], fastnbt::Value::String((*id).to_owned()), "{what}");
            assert!(!data.contains_key("x") && data.contains_key("Items"), "{what}: {data:?}");
        }
    }
}

#[test]
fn every_layout_packing_and_compression_gives_exactly_the_blocks() {
    let columns = columns();
    for (layout, packing) in CASES {
        for compression in 1..=4 {
            let parts: Vec<_> = columns
                .iter()
                .map(|c| (slot(c.x, c.z), compression, compress(compression, &document(c, layout, packing))))
                .collect();
            let file = import(&region(&parts), RegionXZ::from_file_name("r.-1.0.mca"), [0; 3]);
            check(&file, &columns, [0; 3], &format!("{layout:?} {packing:?} compression {compression}"));
            assert_eq!((file.counts.sections, file.counts.block_entities), (11, 2));
            assert_eq!(file.counts.pending_updates, 4);
            assert_eq!(file.counts.entities, if layout == Layout::Level { 4 } else { 0 });
            assert_eq!(file.counts.columns_with_biomes, if layout == Layout::Root { 4 } else { 0 });
            assert!(file.names.is_sorted());
        }
    }
}

#[test]
fn external_columns_are_read_from_their_own_files_with_and_without_the_regions_name() {
    let columns = columns();
    let mut parts = Vec::new();
    let mut files = HashMap::new();
    for (n, column) in columns.iter().enumerate() {
        let compression = n as u8 + 1;
        let bytes = compress(compression, &document(column, Layout::Root, Packing::Padded));
        if n < 3 {
            parts.push((slot(column.x, column.z), compression | 0x80, Vec::new()));
            files.insert((i64::from(column.x), i64::from(column.z)), bytes);
        } else {
            parts.push((slot(column.x, column.z), compression, bytes));
        }
    }
    let bytes = region(&parts);
    let read = |x, z| files.get(&(x, z)).cloned().ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotFound));
    for name in ["r.-1.0.mca", "copy of a region.mca"] {
        let opened = Region::open(&bytes, RegionXZ::from_file_name(name)).unwrap();
        let file = opened.decode([0; 3], &read, &|_| ()).unwrap();
        check(&file, &columns, [0; 3], name);
    }
    let missing = import(&bytes, RegionXZ::from_file_name("r.-1.0.mca"), [0; 3]);
    assert_eq!((missing.problems.len(), missing.counts.columns_skipped), (3, 3));
    assert!(missing.problems.iter().any(|p| p.place.contains("chunk -1,31") && p.message.contains("c.-1.31.mcc")));
    assert!(name_at(&missing, [-496, 63, 31]).is_some());
}

#[test]
fn a_shift_moves_everything_and_leaves_the_data_of_block_entities_as_it_is() {
    let columns: Vec<Column> = columns().into_iter().filter(|c| c.x != -32).collect();
    let parts: Vec<_> =
        columns.iter().map(|c| (slot(c.x, c.z), 3, document(c, Layout::Root, Packing::Padded))).collect();
    let bytes = region(&parts);
    let sparse = |file: &ImportedFile| -> Vec<Vec<u8>> {
        let mut data: Vec<_> =
            file.chunks.iter().flat_map(|c| c.content.sparse().values()).map(|d| d.to_vec()).collect();
        data.sort();
        data
    };
    let still = import(&bytes, None, [0; 3]);
    for shift in [[16, 32, -48], [5, -7, 19], [1_000_003, 1, -1]] {
        let moved = import(&bytes, None, shift);
        check(&moved, &columns, shift, &format!("{shift:?}"));
        assert_eq!(sparse(&moved), sparse(&still));
    }
    let out = import(&bytes, None, [0, 1800, 0]);
    assert!(
        out.problems.iter().any(|p| p.place == "chunk -2,31, section 19" && p.message.contains("leaves the world"))
    );
    assert!(name_at(&out, [-17, 5 * 16 + 1800, 31 * 16]).is_some());
    let far = import(&bytes, None, [0, 5000, 0]);
    assert!(far.chunks.is_empty() && far.problems.len() >= 7);
}

#[test]
fn two_files_that_share_chunks_after_a_shift_come_together() {
    let columns = columns();
    let part = |c: &Column| region(&[(slot(c.x, c.z), 2, compress(2, &document(c, Layout::Level, Packing::Padded)))]);
    let all: Vec<_> = columns[..2]
        .iter()
        .map(|c| (slot(c.x, c.z), 2, compress(2, &document(c, Layout::Level, Packing::Padded))))
        .collect();
    let mut whole = World::new();
    whole.take(&import(&region(&all), None, [3, 0, 0]));
    for order in [[0, 1], [1, 0]] {
        let mut apart = World::new();
        for n in order {
            apart.take(&import(&part(&columns[n]), None, [3, 0, 0]));
        }
        assert_eq!(apart.digest(), whole.digest());
    }
}

#[test]
fn columns_without_blocks_yet_give_no_chunks_and_are_counted() {
    let air = vec!["air".to_owned(); 4096];
    let column = |x, status, names: &[String]| Column {
        x,
        z: 0,
        status,
        sections: vec![(0, names.to_vec())],
        block_entities: vec![],
    };
    let mut some = air.clone();
    some[7] = "stone".to_owned();
    let columns = [
        column(0, "minecraft:structure_starts", &air),
        column(2, "minecraft:biomes", &some),
        column(4, "minecraft:noise", &air),
        column(6, "fullchunk", &air),
    ];
    let parts: Vec<_> = columns.iter().map(|c| (slot(c.x, 0), 3, document(c, Layout::Root, Packing::Padded))).collect();
    let file = import(&region(&parts), None, [0; 3]);
    assert_eq!(file.problems, []);
    assert_eq!((file.counts.columns, file.counts.columns_without_blocks), (4, 1));
    assert_eq!(file.chunks.iter().map(|c| c.pos.x()).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(name_at(&file, [32 + 7, 0, 0]), Some("stone"));
    assert_eq!(file.counts.statuses["fullchunk"], 1);
    assert_eq!(import(&[], None, [0; 3]).counts, Default::default());
}

#[test]
fn files_of_the_entities_folder_are_counted_and_old_worlds_are_refused_with_advice() {
    use crate::support::compound;
    use fastnbt::{ByteArray, IntArray, Value};
    let cow = compound([("id", Value::String("minecraft:cow".to_owned()))]);
    let entities = compound([
        ("Position", Value::IntArray(IntArray::new(vec![0, 0]))),
        ("Entities", Value::List(vec![cow.clone(), cow])),
    ]);
    let section = compound([("Y", Value::Byte(0)), ("Blocks", Value::ByteArray(ByteArray::new(vec![1; 4096])))]);
    let old = compound([(
        "Level",
        compound([("xPos", Value::Int(1)), ("zPos", Value::Int(0)), ("Sections", Value::List(vec![section]))]),
    )]);
    let parts = [(0, 3, fastnbt::to_bytes(&entities).unwrap()), (1, 3, fastnbt::to_bytes(&old).unwrap())];
    let file = import(&region(&parts), None, [0; 3]);
    assert_eq!(file.counts.entities, 2);
    assert_eq!(file.problems.len(), 1);
    assert!(file.problems[0].message.contains("1.13 or later"), "{}", file.problems[0]);
}
