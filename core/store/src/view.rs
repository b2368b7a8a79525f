//! A region as readers see it: its file, and over it the changed chunks that no slot holds yet.

use crate::error::StoreError;
use crate::stored::Stored;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use terrane_world::chunk::Version;
use terrane_world::limits::REGION_CHUNKS;
use terrane_world::space::RegionPos;
use terrane_world::step::Held;

/// A multiplicative hash: region positions are three small numbers that nobody hostile picks.
#[derive(Default)]
pub struct PositionHasher(u64);

impl Hasher for PositionHasher {
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 29
    }
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_i32(i32::from(*byte)));
    }
    fn write_i32(&mut self, value: i32) {
        self.0 = (self.0.rotate_left(21) ^ u64::from(value as u32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

pub type PositionMap<T> = HashMap<RegionPos, T, BuildHasherDefault<PositionHasher>>;
pub type Overlay = Box<[Option<Held>; REGION_CHUNKS]>;

/// A region as readers see it: its file, and the changed chunks that no slot holds yet.
#[derive(Clone, Default)]
pub struct View {
    pub file: Option<Stored>,
    pub overlay: Option<Overlay>,
    /// Set whenever somebody looks into the region; whoever packs cold regions takes it back.
    pub touched: Arc<AtomicBool>,
}

impl View {
    pub fn held(&self, index: usize) -> Option<&Held> {
        self.overlay.as_ref()?[index].as_ref()
    }

    pub fn version(&self, index: usize) -> Version {
        let stored = || self.file.as_ref().map_or(Version::NONE, |file| file.entry(index).version);
        self.held(index).map_or_else(stored, |held| held.version)
    }

    pub fn has(&self, index: usize) -> bool {
        self.held(index).is_some() || self.file.as_ref().is_some_and(|file| file.entry(index).form.is_some())
    }

    pub fn chunk(&self, index: usize) -> Result<Option<Held>, StoreError> {
        if let Some(held) = self.held(index) {
            return Ok(Some(held.clone()));
        }
        let Some(file) = &self.file else { return Ok(None) };
        let stored = file.chunk(index)?;
        Ok(stored.map(|(chunk, version)| Held { chunk: Arc::new(chunk), version }))
    }

    pub fn put(&mut self, index: usize, held: Held) {
        self.overlay.get_or_insert_with(|| Box::new([const { None }; REGION_CHUNKS]))[index] = Some(held);
    }

    /// Drops overlay chunks that the file holds too.
    pub fn drop_written(&mut self) {
        let (Some(overlay), Some(file)) = (&mut self.overlay, &self.file) else { return };
        for (index, slot) in overlay.iter_mut().enumerate() {
            if slot.as_ref().is_some_and(|held| held.version <= file.entry(index).version) {
                *slot = None;
            }
        }
        if overlay.iter().all(Option::is_none) {
            self.overlay = None;
        }
    }
}
