//! Arrays: there and back, against NumPy, and every refusal.

use crate::support::{Numbers, World, counts_by_name, python};
use std::collections::BTreeSet;
use terrane_formats::npy::{self, About, Named, NpyError};
use terrane_world::block::BlockId;
use terrane_world::chunk::Chunk;
use terrane_world::space::{LocalIndex, VoxelBox};

fn world() -> World {
    let mut world = World::new();
    world.registry.register_all(&BTreeSet::from(["zz[a=1]", "aa", "mod:x"])).unwrap();
    let kinds = world.registry.len();
    let mut numbers = Numbers(2);
    for pos in VoxelBox::new([-64, -32, -32], [64, 64, 64]).unwrap().chunks() {
        let mut chunk = Chunk::uniform(BlockId(numbers.below(kinds) as u16));
        for _ in 0..500 {
            let local = LocalIndex::new(numbers.below(32_768) as u16).unwrap();
            chunk.set(local, BlockId(numbers.below(kinds) as u16));
        }
        chunk.set_sparse(LocalIndex::new(numbers.below(32_768) as u16).unwrap(), Some([1, 2, 3, 255].into())).unwrap();
        if pos.x() != 0 {
            world.chunks.insert(pos, chunk.into());
        }
    }
    world
}

fn export(world: &World, within: VoxelBox) -> (Vec<u8>, Vec<u8>) {
    let (mut array, mut json) = (Vec::new(), Vec::new());
    let sparse = npy::write_array(within, &world.source(), &mut array).unwrap();
    let about = About { seed: u64::MAX, generator: "hills", version: "3", digest: "00ff" };
    npy::write_sidecar(within, &world.registry, about, &sparse, None, &mut json).unwrap();
    (array, json)
}

fn read(array: &[u8], json: &[u8], shift: [i32; 3]) -> Result<terrane_formats::volume::ImportedFile, NpyError> {
    npy::read(Named { name: "a.npy", bytes: array }, Named { name: "a.json", bytes: json }, shift)
}

#[test]
fn an_export_comes_back_the_same_into_another_registry() {
    let from = world();
    let (array, json) = export(&from, from.bounds());
    let file = read(&array, &json, [0; 3]).unwrap();
    assert_eq!(file.counts.block_entities, from.chunks.len());
    let mut again = World::new();
    again.registry.register_all(&BTreeSet::from(["ab", "other"])).unwrap();
    again.take(&file);
    let mut expected = world();
    for pos in expected.bounds().chunks() {
        expected.chunks.entry(pos).or_insert_with(|| Chunk::uniform(BlockId(0)).into());
    }
    assert_eq!(again.digest(), expected.digest());
}

#[test]
fn any_box_and_shift_land_voxel_by_voxel() {
    let from = world();
    let within = VoxelBox::new([-37, -9, -5], [21, 40, 33]).unwrap();
    let (array, json) = export(&from, within);
    assert_eq!(array.len(), 128 + 58 * 49 * 38 * 2);
    let shift = [7, -70, 1000];
    let file = read(&array, &json, shift).unwrap();
    let mut n = 128;
    for y in -9..40 {
        for z in -5..33 {
            for x in -37..21 {
                let id = u16::from_le_bytes([array[n], array[n + 1]]);
                let pos = terrane_world::space::VoxelPos::new(x, y, z).unwrap();
                let own = from.chunks.get(&pos.chunk()).map_or(BlockId(0), |c| c.get(pos.local()));
                assert_eq!(BlockId(id), own);
                let name = crate::support::name_at(&file, [x + shift[0], y + shift[1], z + shift[2]]);
                assert_eq!(name, from.registry.name(own));
                n += 2;
            }
        }
    }
}

#[test]
fn the_json_is_exactly_the_published_form() {
    let from = world();
    let (_, json) = export(&from, VoxelBox::new([0, 0, 0], [1, 2, 3]).unwrap());
    let text = String::from_utf8(json).unwrap();
    assert!(text.starts_with("{\"origin\":[0,0,0],\"axes\":\"yzx\",\"blocks\":{\"0\":\"air\",\"1\":"), "{text}");
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let keys: Vec<&String> = value.as_object().unwrap().keys().collect();
    assert_eq!(keys.len(), 9, "{keys:?}");
    assert_eq!(value["seed"], u64::MAX);
    assert_eq!(
        (&value["generator"], &value["version"], &value["digest"]),
        (&"hills".into(), &"3".into(), &"00ff".into())
    );
    let id = |name| serde_json::Value::from(from.registry.id(name).unwrap().0);
    assert!(value["solid"].as_array().unwrap().contains(&id("stone")));
    assert!(!value["solid"].as_array().unwrap().contains(&0.into()));
    assert_eq!(value["anchored"], serde_json::Value::Array(vec![id("bedrock")]));
    assert_eq!(value["blocks"].as_object().unwrap().len(), from.registry.len());
}

#[test]
fn numpy_reads_the_same_shape_type_and_blocks() {
    let from = world();
    let within = VoxelBox::new([-37, -9, -5], [-6, 40, 33]).unwrap();
    let (array, json) = export(&from, within);
    let folder = std::env::temp_dir().join(format!("terrane-formats-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let paths = [folder.join("a.npy"), folder.join("a.json")];
    std::fs::write(&paths[0], &array).unwrap();
    std::fs::write(&paths[1], &json).unwrap();
    let seen = python("sum_array.py", &[&paths[0], &paths[1]]);
    std::fs::remove_dir_all(&folder).unwrap();
    let Some(seen) = seen else { return };
    assert_eq!(seen["shape"], serde_json::json!([49, 38, 31]));
    assert_eq!(seen["dtype"], "<u2");
    let last = terrane_world::space::VoxelPos::new(-7, 39, -5).unwrap();
    assert_eq!(seen["last"], from.chunks[&last.chunk()].get(last.local()).0);
    let ours = counts_by_name(&read(&array, &json, [0; 3]).unwrap());
    assert_eq!(seen["blocks"], serde_json::to_value(ours).unwrap());
}

#[test]
fn what_does_not_fit_is_refused_with_its_place() {
    let from = world();
    let (array, json) = export(&from, VoxelBox::new([-40, 0, 0], [-38, 2, 2]).unwrap());
    let text = String::from_utf8(json.clone()).unwrap();
    let mut unknown = array.clone();
    unknown[128 + 2 * 5..][..2].copy_from_slice(&60_000u16.to_le_bytes());
    let error = read(&unknown, &json, [0; 3]).unwrap_err();
    assert!(matches!(error, NpyError::Id { y: 1, z: 0, x: 1, id: 60_000, .. }), "{error}");
    for cut in 0..array.len() {
        let error = read(&array[..cut], &json, [0; 3]).unwrap_err();
        assert!(error.to_string().starts_with("a.npy: "), "{error}");
    }
    let longer = [&array[..], &[0]].concat();
    assert!(matches!(read(&longer, &json, [0; 3]), Err(NpyError::Length { found: 17, expected: 16, .. })));
    assert!(matches!(read(&array, &json, [0, 2047, 0]), Err(NpyError::Space { .. })));
    for (what, changed) in [
        ("line 1 column 2", "nonsense".to_owned()),
        ("xyz", text.replace("yzx", "xyz")),
        ("origin", text.replace("origin", "begin")),
        ("named twice", text.replacen("\"1\":", "\"0\":", 1)),
        ("not a block name", text.replace("bedrock", "Bed Rock")),
        ("outside the array", text.replacen('}', "},\"sparse\":[{\"at\":[9,9,9],\"data\":\"\"}]", 1)),
        ("base 64", text.replacen('}', "},\"sparse\":[{\"at\":[-40,0,0],\"data\":\"?\"}]", 1)),
    ] {
        let error = read(&array, changed.as_bytes(), [0; 3]).unwrap_err();
        assert!(matches!(error, NpyError::Json { .. }) && error.to_string().starts_with("a.json: "), "{error}");
        assert!(error.to_string().contains(what), "{what}: {error}");
    }
}

#[test]
fn headers_of_versions_two_and_three_are_read() {
    let from = world();
    let (array, json) = export(&from, VoxelBox::new([-40, 0, 0], [-38, 2, 2]).unwrap());
    let expected = read(&array, &json, [0; 3]).unwrap();
    for version in [2, 3] {
        let header = b"{'descr': '<u2', 'fortran_order': False, 'shape': (2, 2, 2)}\n";
        let head = [b"\x93NUMPY", &[version, 0][..], &(header.len() as u32).to_le_bytes(), header].concat();
        let file = read(&[&head[..], &array[128..]].concat(), &json, [0; 3]).unwrap();
        assert_eq!(file.chunks, expected.chunks);
    }
}
