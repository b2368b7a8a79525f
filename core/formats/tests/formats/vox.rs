//! MagicaVoxel: the scene graph against plain arithmetic, and our own export back again.

use crate::support::{Numbers, World, name_at};
use std::collections::BTreeSet;
use terrane_formats::vox::{self, VoxError};
use terrane_world::block::BlockId;
use terrane_world::chunk::Chunk;
use terrane_world::space::{LocalIndex, VoxelBox};

fn words(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
}

fn chunk(id: &str, content: &[u8]) -> Vec<u8> {
    [id.as_bytes(), &words(&[content.len() as u32, 0]), content].concat()
}

fn dictionary(entries: &[(&str, String)]) -> Vec<u8> {
    let text = |t: &str| [words(&[t.len() as u32]), t.as_bytes().to_vec()].concat();
    let entries: Vec<u8> = entries.iter().flat_map(|(k, v)| [text(k), text(v)].concat()).collect();
    entries
}

fn transform(id: u32, child: u32, rotation: u8, at: [i32; 3]) -> Vec<u8> {
    let frame = [("_r", rotation.to_string()), ("_t", format!("{} {} {}", at[0], at[1], at[2]))];
    let content = [words(&[id, 0, child, u32::MAX, 0, 1, 2]), dictionary(&frame)].concat();
    chunk("nTRN", &content)
}

fn file(chunks: &[Vec<u8>]) -> Vec<u8> {
    let children = chunks.concat();
    [b"VOX ".as_slice(), &words(&[150]), b"MAIN", &words(&[0, children.len() as u32]), &children].concat()
}

const SIZE: [u32; 3] = [3, 4, 5];
const CELLS: [[u8; 3]; 5] = [[0, 0, 0], [2, 0, 1], [1, 3, 4], [2, 3, 0], [0, 1, 2]];

fn model() -> Vec<u8> {
    let mut voxels = words(&[CELLS.len() as u32]);
    for (n, cell) in CELLS.iter().enumerate() {
        voxels.extend([cell[0], cell[1], cell[2], n as u8 + 1]);
    }
    [chunk("SIZE", &words(&SIZE)), chunk("XYZI", &voxels)].concat()
}

fn palette() -> Vec<u8> {
    let colours: Vec<u8> = (0..=255u8).flat_map(|n| [n, 255 - n, 7, 255]).collect();
    chunk("RGBA", &colours)
}

fn colour_name(n: usize) -> String {
    format!("vox:{:02x}{:02x}07", n, 255 - n)
}

/// The matrix of a rotation byte, row by row, straight from the format's description.
fn matrix(rotation: u8) -> Option<[[f64; 3]; 3]> {
    let (first, second) = (usize::from(rotation & 3), usize::from(rotation >> 2 & 3));
    if first == second || first == 3 || second == 3 {
        return None;
    }
    let mut rows = [[0.0; 3]; 3];
    for (row, column) in [first, second, 3 - first - second].into_iter().enumerate() {
        rows[row][column] = if rotation >> (4 + row) & 1 == 1 { -1.0 } else { 1.0 };
    }
    Some(rows)
}

fn determinant(m: &[[f64; 3]; 3]) -> f64 {
    let minor = |a: usize, b: usize| m[1][a] * m[2][b] - m[1][b] * m[2][a];
    m[0][0] * minor(1, 2) - m[0][1] * minor(0, 2) + m[0][2] * minor(0, 1)
}

fn apply(m: &[[f64; 3]; 3], v: [f64; 3], t: [i32; 3]) -> [f64; 3] {
    [0, 1, 2].map(|r| (0..3).map(|c| m[r][c] * v[c]).sum::<f64>() + f64::from(t[r]))
}

/// Centre of a voxel of the model, from the model's pivot.
fn centre(cell: [u8; 3]) -> [f64; 3] {
    [0, 1, 2].map(|axis| f64::from(cell[axis]) + 0.5 - f64::from(SIZE[axis] / 2))
}

/// A centre in MagicaVoxel's space as our voxel: a quarter turn about x.
fn our_voxel([x, y, z]: [f64; 3]) -> [i32; 3] {
    [x.floor() as i32, z.floor() as i32, (-y).floor() as i32]
}

#[test]
fn all_24_rotations_agree_with_matrices() {
    let at = [7, -11, 40];
    let mut proper = 0;
    for rotation in 0..=127u8 {
        let scene = [transform(0, 1, rotation, at), chunk("nSHP", &words(&[1, 0, 1, 0, 0]))];
        let bytes = file(&[vec![model()], scene.to_vec(), vec![palette()]].concat());
        let Some(m) = matrix(rotation) else {
            assert!(matches!(vox::read(&bytes, [0; 3]), Err(VoxError::Scene(_))), "{rotation}");
            continue;
        };
        proper += usize::from(determinant(&m) > 0.0);
        let read = vox::read(&bytes, [100, 10, -3]).unwrap();
        assert_eq!(read.problems, []);
        for (n, cell) in CELLS.iter().enumerate() {
            let voxel = our_voxel(apply(&m, centre(*cell), at));
            let voxel = [voxel[0] + 100, voxel[1] + 10, voxel[2] - 3];
            assert_eq!(name_at(&read, voxel), Some(colour_name(n).as_str()), "rotation {rotation} cell {cell:?}");
        }
    }
    assert_eq!(proper, 24);
}

#[test]
fn transforms_nest_through_groups_and_node_ids_need_no_order() {
    let (outer, inner) = (0b100_0001, 0b011_1000);
    let (t_outer, t_inner) = ([5, 6, 7], [-3, 9, 2]);
    let scene = [
        transform(0, 9, outer, t_outer),
        chunk("nSHP", &words(&[4, 0, 1, 0, 0])),
        chunk("nGRP", &words(&[9, 0, 2, 2, 3])),
        transform(3, 4, 4, [50, 0, 0]),
        transform(2, 4, inner, t_inner),
    ];
    let read = vox::read(&file(&[vec![model()], scene.to_vec(), vec![palette()]].concat()), [0; 3]).unwrap();
    assert_eq!(read.counts.models, 2);
    let (m_outer, m_inner) = (matrix(outer).unwrap(), matrix(inner).unwrap());
    for (n, cell) in CELLS.iter().enumerate() {
        let turned = apply(&m_outer, apply(&m_inner, centre(*cell), t_inner), t_outer);
        assert_eq!(name_at(&read, our_voxel(turned)), Some(colour_name(n).as_str()));
        let plain = centre(*cell);
        let second = apply(&m_outer, [plain[0] + 50.0, plain[1], plain[2]], t_outer);
        assert_eq!(name_at(&read, our_voxel(second)), Some(colour_name(n).as_str()));
    }
}

#[test]
fn a_file_without_a_scene_has_its_lowest_corner_at_the_origin() {
    let read = vox::read(&file(&[model(), palette()]), [0; 3]).unwrap();
    for (n, cell) in CELLS.iter().enumerate() {
        let at = [i32::from(cell[0]), i32::from(cell[2]), SIZE[1] as i32 - 1 - i32::from(cell[1])];
        assert_eq!(name_at(&read, at), Some(colour_name(n).as_str()));
    }
}

#[test]
fn damaged_and_hostile_files_are_typed_errors() {
    let circle = [transform(0, 1, 4, [0; 3]), chunk("nGRP", &words(&[1, 0, 2, 0, 0]))];
    let nested = (0..100_000).fold(Vec::new(), |mut all: Vec<u8>, n: u32| {
        all.extend([b"PACK".as_slice(), &words(&[0, (100_000 - n) * 12])].concat());
        all
    });
    let missing = [model(), transform(0, 1, 4, [0; 3])];
    for bytes in [file(&circle), file(&[nested]), file(&missing), b"VOX ".to_vec(), Vec::new()] {
        let error = vox::read(&bytes, [0; 3]).unwrap_err();
        assert!(matches!(error, VoxError::Scene(_) | VoxError::Structure { .. }), "{error}");
    }
    let sound = file(&[model(), transform(0, 1, 4, [0; 3]), chunk("nSHP", &words(&[1, 0, 1, 0, 0])), palette()]);
    for end in 0..sound.len() {
        assert!(vox::read(&sound[..end], [0; 3]).is_err(), "cut at {end}");
    }
    let mut numbers = Numbers(4);
    for _ in 0..2000 {
        let mut damaged = sound.clone();
        let at = numbers.below(damaged.len().min(420));
        damaged[at] = numbers.next() as u8;
        let _ = vox::read(&damaged, [0; 3]);
    }
}

fn world(kinds: usize) -> World {
    let mut world = World::new();
    let names: BTreeSet<String> = (0..kinds).map(|n| format!("kind{n}[side=a{n}]")).collect();
    world.registry.register_all(&names).unwrap();
    let ids: Vec<BlockId> = names.iter().map(|name| world.registry.id(name).unwrap()).collect();
    let mut numbers = Numbers(8);
    for pos in VoxelBox::new([-320, -32, -32], [320, 32, 32]).unwrap().chunks() {
        let mut chunk = Chunk::uniform(BlockId(0));
        for _ in 0..200 {
            let local = LocalIndex::new(numbers.below(32_768) as u16).unwrap();
            chunk.set(local, ids[numbers.below(kinds)]);
        }
        world.chunks.insert(pos, chunk.into());
    }
    world
}

#[test]
fn an_export_comes_back_with_every_block_in_its_place() {
    let from = world(255);
    let within = VoxelBox::new([-310, -20, -32], [301, 31, 17]).unwrap();
    let mut bytes = Vec::new();
    let exported = vox::write(&from.registry, within, &from.source(), &mut bytes).unwrap();
    assert_eq!((exported.models, exported.sparse_left_out), (3, 0));
    let read = vox::read(&bytes, [0; 3]).unwrap();
    let mut again = World::new();
    again.take(&read);
    let mut voxels = 0;
    for (pos, chunk) in &from.chunks {
        for local in (0..32_768).map(|n| LocalIndex::new(n).unwrap()) {
            let voxel = pos.voxel(local).to_array();
            let inside = (0..3).all(|axis| (within.min()[axis]..within.max()[axis]).contains(&voxel[axis]));
            let name = from.registry.name(chunk.get(local)).filter(|name| inside && *name != "air");
            voxels += u64::from(name.is_some());
            assert_eq!(name_at(&read, voxel), name, "{voxel:?}");
        }
    }
    assert_eq!(exported.voxels, voxels);
}

#[test]
fn more_blocks_than_colours_is_refused_with_their_number() {
    let from = world(300);
    let error = vox::write(&from.registry, from.bounds(), &from.source(), &mut Vec::new()).unwrap_err();
    assert!(matches!(error, VoxError::Colours { blocks: 300 }), "{error}");
}
