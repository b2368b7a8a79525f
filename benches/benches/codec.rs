//! Chunks and deltas as few bytes, against zstd, lz4 and crackle.
#![allow(missing_docs, reason = "criterion's macros make functions without")]
#![allow(clippy::print_stdout, reason = "sizes are no times, so they are in no row")]

use criterion::{Criterion, criterion_group, criterion_main};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use terrane_benches::content::{Content, explosions, position};
use terrane_benches::crackle::{self, Crackle};
use terrane_benches::goals::{LZ4, SMALL, ZSTD_1, ZSTD_3, ZSTD_PACKED};
use terrane_benches::rounds::{Rounds, Run};
use terrane_benches::{files, ours};
use terrane_world::block::BlockId;
use terrane_world::chunk::{Chunk, Version, new_blocks};
use terrane_world::delta::outer::Outer;
use terrane_world::delta::{Class, pack_changes, pack_chunk, unpack_changes, unpack_chunk};
use terrane_world::limits::CHUNK_VOXELS;
use terrane_world::space::LocalIndex;
use terrane_world::step::{ActorId, Cause, CauseKind, ChunkDelta, Run as VoxelRun};
use zstd::bulk::{Compressor, Decompressor};

/// Bytes of a chunk as plain ids, which all speeds are told in.
const RAW_BYTES: usize = CHUNK_VOXELS * 2;
/// Materials by which the peers' inputs tell the surface: what may lie on top, and air.
const GRASS: u16 = 4;
const SAND: u16 = 5;
const AIR: u16 = 0;

/// Puts the bytes of the chunk of a number behind a list.
type Pack<'a> = Box<dyn FnMut(usize, &mut Vec<u8>) + 'a>;
/// Makes a chunk of bytes again.
type Unpack<'a> = Box<dyn FnMut(&[u8]) + 'a>;

/// Something that makes bytes of a chunk and a chunk of bytes, each with memory of its own.
struct Codec<'a> {
    name: &'static str,
    version: String,
    pack: Pack<'a>,
    unpack: Unpack<'a>,
}

/// The chunks that the ground's surface goes through.
fn surface(content: &Content) -> Vec<usize> {
    let has = |chunk: &[u16; CHUNK_VOXELS], materials: &[u16]| chunk.iter().any(|voxel| materials.contains(voxel));
    let all = content.base();
    (0..all.len()).filter(|k| has(&all[*k], &[AIR]) && has(&all[*k], &[GRASS, SAND])).collect()
}

fn ours_of<'a>(class: Class, name: &'static str, chunks: &'a [Chunk]) -> Codec<'a> {
    let (mut packer, mut unpacker) = (Outer::new(), Outer::new());
    Codec {
        name,
        version: ours::version(),
        pack: Box::new(move |n, out| pack_chunk(&chunks[n], class, &mut packer, out)),
        unpack: Box::new(move |bytes| {
            std::hint::black_box(unpack_chunk(bytes, &mut unpacker).expect("packed above"));
        }),
    }
}

fn zstd_of<'a>(level: i32, name: &'static str, inputs: &'a [Vec<u8>]) -> Codec<'a> {
    let (mut packer, mut unpacker) = (Compressor::new(level).expect("memory"), Decompressor::new().expect("memory"));
    let mut made = vec![0u8; RAW_BYTES];
    Codec {
        name,
        version: "0.13".to_owned(),
        pack: Box::new(move |n, out| {
            out.reserve(zstd::zstd_safe::compress_bound(inputs[n].len()));
            packer.compress_to_buffer(&inputs[n], out).expect("there is room");
        }),
        unpack: Box::new(move |bytes| {
            std::hint::black_box(unpacker.decompress_to_buffer(bytes, &mut made[..]).expect("packed above"));
        }),
    }
}

fn lz4_of(inputs: &[Vec<u8>]) -> Codec<'_> {
    let mut made = vec![0u8; RAW_BYTES];
    Codec {
        name: LZ4,
        version: "0.12".to_owned(),
        pack: Box::new(|n, out| {
            out.resize(lz4_flex::block::get_maximum_output_size(inputs[n].len()), 0);
            let length = lz4_flex::block::compress_into(&inputs[n], out).expect("there is room");
            out.truncate(length);
        }),
        unpack: Box::new(move |bytes| {
            std::hint::black_box(lz4_flex::block::decompress_into(bytes, &mut made[..]).expect("packed above"));
        }),
    }
}

/// Packs and unpacks all chunks with one codec; all of it is made once before, and its mean size told.
fn contest(criterion: &mut Criterion, name: [&'static str; 2], codecs: Vec<Codec<'_>>, count: usize, folder: &Path) {
    let [packing, unpacking] = name;
    let crackle = RefCell::new(Crackle::start(folder, count));
    let (mut pack, mut unpack) = (Rounds::new(packing), Rounds::new(unpacking));
    for mut codec in codecs {
        let mut packed = vec![Vec::with_capacity(2 * RAW_BYTES); count];
        packed.iter_mut().enumerate().for_each(|(n, out)| (codec.pack)(n, out));
        let bytes: usize = packed.iter().map(Vec::len).sum();
        println!("{packing}: {} makes {:.0} bytes of {RAW_BYTES}", codec.name, bytes as f64 / count as f64);
        let made = packed.clone();
        pack = pack.with(codec.name, codec.version.clone(), move |_| {
            Run::timed(count * RAW_BYTES, || {
                for (n, out) in packed.iter_mut().enumerate() {
                    out.clear();
                    (codec.pack)(n, out);
                }
            })
        });
        unpack = unpack.with(codec.name, codec.version, move |_| {
            Run::timed(count * RAW_BYTES, || made.iter().for_each(|bytes| (codec.unpack)(bytes)))
        });
    }
    println!("{packing}: {} makes {:.0} bytes", crackle::NAME, crackle.borrow().bytes as f64 / count as f64);
    pack = pack.with(crackle::NAME, crackle.borrow().version(), |_| crackle.borrow_mut().pack());
    unpack = unpack.with(crackle::NAME, crackle.borrow().version(), |_| crackle.borrow_mut().unpack());
    pack.measure(criterion).write_rate("bytes");
    unpack.measure(criterion).write_rate("bytes");
}

fn chunks(criterion: &mut Criterion) {
    let content = Content::generate();
    let surface = surface(&content);
    let mut blocks = new_blocks();
    let chunks: Vec<Chunk> = surface.iter().map(|k| content.chunk(*k, &mut blocks)).collect();
    let raw: Vec<Vec<u8>> =
        surface.iter().map(|k| content.base()[*k].iter().flat_map(|voxel| voxel.to_le_bytes()).collect()).collect();
    // As a region holds them: numbers of four bits, and the table.
    let at_rest = |chunk: &Chunk| {
        let table = chunk.table().iter().flat_map(|block| block.0.to_le_bytes());
        table.chain(chunk.data().iter().copied()).collect::<Vec<u8>>()
    };
    let packed: Vec<Vec<u8>> = chunks.iter().map(at_rest).collect();
    let folder = files::scratch("codec");
    std::fs::write(folder.join("chunks"), raw.concat()).expect("the folder is ours");
    let codecs = vec![
        ours_of(Class::Fast, ours::NAME, &chunks),
        ours_of(Class::Small, SMALL, &chunks),
        zstd_of(1, ZSTD_1, &raw),
        zstd_of(3, ZSTD_3, &raw),
        zstd_of(3, ZSTD_PACKED, &packed),
        lz4_of(&raw),
    ];
    contest(criterion, ["codec/pack", "codec/unpack"], codecs, chunks.len(), &folder);
    std::fs::remove_dir_all(folder).expect("the folder is ours");
}

/// The explosions of the generated world as a tick's deltas.
fn deltas(content: &Content) -> Vec<ChunkDelta> {
    let mut by_chunk: BTreeMap<_, Vec<VoxelRun>> = BTreeMap::new();
    for change in explosions(content.base()) {
        let runs = by_chunk.entry(position(change.chunk as usize)).or_default();
        let (old, new) = (BlockId(change.old), BlockId(change.new));
        let joins = |run: &&mut VoxelRun| {
            (run.old, run.new) == (old, new) && run.first.index() + usize::from(run.length) == usize::from(change.local)
        };
        match runs.last_mut().filter(joins) {
            Some(run) => run.length += 1,
            None => {
                let first = LocalIndex::new(change.local).expect("below a chunk's voxels");
                runs.push(VoxelRun { first, length: 1, old, new });
            }
        }
    }
    let cause = Cause { kind: CauseKind::Blast, actor: ActorId(1), root: 1 };
    let (from, to) = (Version::GENERATED, Version::GENERATED.next(1));
    let delta = |(pos, runs)| ChunkDelta { pos, from, to, cause, body: None, runs, sparse: Vec::new() };
    by_chunk.into_iter().map(delta).collect()
}

fn edits(criterion: &mut Criterion) {
    let content = Content::generate();
    let deltas = deltas(&content);
    let changes = explosions(content.base());
    // What the peers get: number of the chunk, local index, block.
    let plain: Vec<u8> = changes
        .iter()
        .flat_map(|change| {
            [&change.chunk.to_le_bytes()[..], &change.local.to_le_bytes(), &change.new.to_le_bytes()].concat()
        })
        .collect();
    let (mut packer, mut zstd_1, mut zstd_3) =
        (Outer::new(), Compressor::new(1).expect("memory"), Compressor::new(3).expect("memory"));
    let mut out = Vec::new();
    for class in [Class::Fast, Class::Small] {
        out.clear();
        pack_changes(1, &deltas, class, &mut packer, &mut out);
        let back = unpack_changes(&out, &mut Outer::new()).expect("packed above");
        let voxels: usize = back.chunks.iter().flat_map(|change| &change.runs).map(|run| usize::from(run.length)).sum();
        assert_eq!(voxels, changes.len());
        println!("codec/edits: {class:?} makes {} bytes of {} edits", out.len(), changes.len());
    }
    println!("codec/edits: zstd 1 makes {} bytes", zstd_1.compress(&plain).expect("memory").len());
    println!("codec/edits: zstd 3 makes {} bytes", zstd_3.compress(&plain).expect("memory").len());
    println!("codec/edits: lz4 makes {} bytes", lz4_flex::block::compress(&plain).len());
    let times = 100;
    let rounds = Rounds::new("codec/edits").with(SMALL, ours::version(), |_| {
        Run::timed(times * changes.len(), || {
            for _ in 0..times {
                out.clear();
                pack_changes(1, &deltas, Class::Small, &mut packer, &mut out);
                std::hint::black_box(&out);
            }
        })
    });
    let rounds = rounds.with(ZSTD_3, "0.13".to_owned(), |_| {
        Run::timed(times * changes.len(), || {
            (0..times).for_each(|_| drop(std::hint::black_box(zstd_3.compress(&plain).expect("memory"))));
        })
    });
    rounds.measure(criterion).write_rate("edits");
}

criterion_group!(benches, chunks, edits);
criterion_main!(benches);
