//! Regions that nobody has touched for a while are packed; what is changed in them unpacks them.
//!
//! Either way the new file is written beside the old one, synced, renamed, and the folder synced; only then the old one is told
//! off and removed. Packing changes no chunk and no version, so the journal does not hear of it.

use crate::error::{Context, StoreError};
use crate::packed::{self, PackedFile};
use crate::region;
use crate::slot::Encoded;
use crate::store::Store;
use crate::stored::Stored;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use terrane_world::space::RegionPos;

/// What became of a region's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Packing {
    /// Bytes of the file before.
    pub before: u64,
    /// Bytes of the file now.
    pub after: u64,
}

/// Since when nobody has looked into a region, by whoever's clock `now_ms` comes from.
#[derive(Default)]
pub struct Ages(BTreeMap<RegionPos, u64>);

impl Store {
    /// Packs one region. `None` if there is nothing to do: it has no file, is packed already, or has changes that wait for a
    /// checkpoint.
    pub fn pack_region(&self, pos: RegionPos) -> Result<Option<Packing>, StoreError> {
        let _turn = self.checkpoint_turn.lock();
        self.must_write()?;
        let view = self.view(pos)?;
        let Some(file) = view.file.as_ref() else { return Ok(None) };
        let Some(slots) = file.slots() else { return Ok(None) };
        // A directory that a failed checkpoint may have torn is for the next checkpoint to write.
        if view.overlay.is_some() || self.switching.read().contains(&pos) {
            return Ok(None);
        }
        let before = slots.length();
        let after = self.watch(self.replace_by_packed(pos, file))?;
        Ok(Some(Packing { before, after }))
    }

    fn replace_by_packed(&self, pos: RegionPos, file: &Stored) -> Result<u64, StoreError> {
        let chunks = file.encoded()?;
        let chunks: Vec<(usize, &Encoded)> = chunks.iter().map(|(index, slot)| (*index, slot)).collect();
        let (world, sequence) = (&self.settings().id, file.sequence() + 1);
        let bytes = packed::write_new(&*self.dir, pos, world, self.epoch(), sequence, &chunks)?;
        packed::publish_new(&*self.dir, pos)?;
        self.dir.sync("regions").synced("regions")?;
        self.reopen_replaced(pos, Some(file))?;
        Ok(bytes)
    }

    /// Unpacks one region. `None` if there is nothing to do: it has no file, or is not packed.
    pub fn unpack_region(&self, pos: RegionPos) -> Result<Option<Packing>, StoreError> {
        let _turn = self.checkpoint_turn.lock();
        self.must_write()?;
        let view = self.view(pos)?;
        let Some(Stored::Packed(file)) = &view.file else { return Ok(None) };
        let before = file.length();
        self.watch(self.replace_by_slots(pos, file, view.file.as_ref()))?;
        let after = self.view(pos)?.file.as_ref().and_then(Stored::slots).map_or(0, |slots| slots.length());
        Ok(Some(Packing { before, after }))
    }

    fn replace_by_slots(
        &self,
        pos: RegionPos,
        file: &Arc<PackedFile>,
        replaced: Option<&Stored>,
    ) -> Result<(), StoreError> {
        self.write_unpacked(pos, file, &[])?;
        region::publish_new(&*self.dir, pos)?;
        self.dir.sync("regions").synced("regions")?;
        self.reopen_replaced(pos, replaced)
    }

    /// Makes the region file of a packed region beside its final name, with changed chunks in it.
    pub(crate) fn write_unpacked(
        &self,
        pos: RegionPos,
        file: &Arc<PackedFile>,
        changed: &[(usize, &Encoded)],
    ) -> Result<(), StoreError> {
        let stored = Stored::Packed(Arc::clone(file)).encoded()?;
        let kept = stored.iter().filter(|(index, _)| !changed.iter().any(|(at, _)| at == index));
        let mut all: Vec<(usize, &Encoded)> = kept.map(|(index, slot)| (*index, slot)).collect();
        all.extend_from_slice(changed);
        all.sort_by_key(|(index, _)| *index);
        region::write_new(&*self.dir, pos, &self.settings().id, self.epoch(), file.sequence(), &all)
    }

    /// Packs regions that nobody has touched for longer than `after_ms`, the longest untouched first, `most` of them. A region
    /// is touched when it is read, written or checkpointed; what was touched since the call before counts as touched at
    /// `now_ms`, and what this sees for the first time as well. Gives how many it has packed.
    pub fn pack_cold(&self, now_ms: u64, after_ms: u64, most: usize) -> Result<usize, StoreError> {
        let mut packed = 0;
        for pos in self.cold_regions(now_ms, after_ms)?.into_iter().take(most) {
            packed += usize::from(self.pack_region(pos)?.is_some());
            self.ages.lock().0.remove(&pos);
        }
        Ok(packed)
    }

    /// The regions in slots that nobody has touched for so long, the longest untouched first.
    fn cold_regions(&self, now_ms: u64, after_ms: u64) -> Result<Vec<RegionPos>, StoreError> {
        let names = self.dir.list("regions").at("listing", "regions", 0)?;
        let mut ages = self.ages.lock();
        let mut seen = BTreeMap::new();
        for pos in names.iter().filter_map(|name| region::parse_file_name(name)) {
            let before = ages.0.get(&pos).copied().filter(|_| !self.is_touched(pos));
            seen.insert(pos, before.unwrap_or(now_ms));
        }
        let mut cold: Vec<(u64, RegionPos)> = seen
            .iter()
            .map(|(pos, since)| (*since, *pos))
            .filter(|(since, _)| now_ms.saturating_sub(*since) > after_ms)
            .collect();
        cold.sort_unstable();
        ages.0 = seen;
        Ok(cold.into_iter().map(|(_, pos)| pos).collect())
    }

    /// Whether somebody has looked into a region since this was asked last, has it at hand, or has changed it.
    fn is_touched(&self, pos: RegionPos) -> bool {
        self.regions.read().get(&pos).is_some_and(|view| {
            view.touched.swap(false, Ordering::Relaxed) || view.overlay.is_some() || Arc::strong_count(view) > 1
        })
    }
}
