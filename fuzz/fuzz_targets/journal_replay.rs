//! Any bytes as a journal: parsing, opening, checking and repairing a world with it end in a value or a typed error,
//! and what a world was opened with for writing is still there when it has been closed and opened again.
//!
//! The first byte is the mode. Bit 0: the rest is cut into payloads (two bytes of length, one of how the sequence goes
//! on) which become whole frames; otherwise the rest stands behind the segment's header as it is. Bit 1: opened
//! for reading only. Bit 2: checked, and repaired.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use terrane_store::double::{Keep, MemoryDir};
use terrane_store::journal::{self, Place, SEGMENT_HEAD, Scan, Scanned};
use terrane_store::{Access, GeneratorSetting, Settings, Store};
use terrane_world::block::Registry;
use terrane_world::chunk::Version;
use terrane_world::digest::chunk_hash;
use terrane_world::space::ChunkPos;

const WORLD: [u8; 16] = *b"a world for test";

static EMPTY: LazyLock<MemoryDir> = LazyLock::new(|| {
    let dir = MemoryDir::new();
    let generator = GeneratorSetting::plain("void", 1);
    let settings = Settings {
        id: WORLD,
        seed: 7,
        generator,
        physics: terrane_world::physics::RuleSet::default(),
        rules: BTreeMap::new(),
        modes: BTreeMap::new(),
        cold: terrane_store::settings::Cold::default(),
        history: terrane_store::settings::HistoryLimits::NONE,
    };
    Store::create(&dir, &settings, &Registry::built_in()).expect("memory does not fail");
    dir.image(|_| Keep::All)
});

/// Whole frames around whatever payloads the bytes hold.
fn seal(mut rest: &[u8]) -> Vec<u8> {
    let (mut out, mut sequence) = (Vec::new(), 1u64);
    while let Some(([low, high, way], behind)) = rest.split_first_chunk::<3>() {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(behind.len());
        let (payload, behind) = behind.split_at(length);
        rest = behind;
        let mut frame = vec![0u8; journal::FRAME_HEAD];
        frame.extend_from_slice(payload);
        let synced = if way & 1 == 0 { sequence.saturating_sub(1) } else { u64::MAX };
        journal::seal_frame(&mut frame, sequence, synced);
        if way & 2 != 0 {
            frame[4] ^= 1;
        }
        out.extend(frame);
        sequence = if way & 4 == 0 { sequence.wrapping_add(1) } else { sequence.wrapping_mul(u64::from(*way) << 30) };
    }
    out
}

fn scan(segment: &[u8]) {
    let place = Place { segment: 1, offset: SEGMENT_HEAD, frame: 1 };
    let Ok(mut scan) = Scan::from_bytes("a segment".into(), segment, &WORLD, place) else { return };
    loop {
        match scan.advance() {
            Scanned::Frame(..) => {}
            Scanned::End { .. } => return,
            Scanned::Damaged { resume, missing, .. } => scan.resume_at(resume, missing.end),
        }
    }
}

type Content = BTreeMap<ChunkPos, (u128, Version)>;

fn content(store: &Store) -> Content {
    let (registry, mut content) = (store.registry(), Content::new());
    for region in store.stored_regions().expect("memory does not fail") {
        for pos in store.stored_chunks(region).expect("it was opened") {
            let held = store.chunk(pos).expect("it was opened").expect("it is listed as stored");
            content.insert(pos, (chunk_hash(&registry, pos, &held.chunk, None), held.version));
        }
    }
    content
}

fuzz_target!(|data: &[u8]| {
    let Some((&mode, rest)) = data.split_first() else { return };
    drop(journal::parse_frame(rest));
    let dir = EMPTY.image(|_| Keep::All);
    let frames = if mode & 1 == 0 { rest.to_vec() } else { seal(rest) };
    let name = journal::segment_name(1);
    dir.damage(&name, |segment| {
        segment.extend_from_slice(&frames);
        scan(segment);
    });
    let folder: Arc<MemoryDir> = Arc::new(dir);
    if mode & 4 != 0 {
        drop(terrane_store::check(folder.clone(), false, &|_, _| ()));
        drop(terrane_store::check(folder.clone(), true, &|_, _| ()));
    }
    if mode & 2 != 0 {
        drop(Store::open(folder, Access::Read).map(|store| content(&store)));
        return;
    }
    let Ok(store) = Store::open(folder.clone(), Access::Write) else { return };
    let (before, standing) = (content(&store), store.current_standing());
    store.close().expect("memory does not fail");
    let again = Store::open(folder, Access::Read).expect("what was closed opens again");
    assert_eq!(content(&again), before);
    let reopened = again.standing();
    assert_eq!((reopened.tick, reopened.digest), (standing.tick, standing.digest));
    assert_eq!(reopened.actors, standing.actors);
});
