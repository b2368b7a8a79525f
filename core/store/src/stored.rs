//! A region as a file holds it: slots, or packed. Never both: where a crash has left both files, one counts.

use crate::door::{Dir, Open};
use crate::error::{Context, StoreError};
use crate::packed::{self, PackedFile};
use crate::region::{self, RegionFile};
use crate::slot::{Encoded, Entry};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use terrane_world::chunk::{Chunk, Version};
use terrane_world::limits::REGION_CHUNKS;
use terrane_world::space::RegionPos;

/// A region's file, opened.
#[derive(Clone)]
pub enum Stored {
    /// A region file: single voxels are read from its map, chunks are changed in it.
    Slots(Arc<RegionFile>),
    /// A packed file: a chunk is unpacked to be read, the region to be changed.
    Packed(Arc<PackedFile>),
}

impl Stored {
    /// The path in the world's folder.
    pub fn name(&self) -> &str {
        match self {
            Self::Slots(file) => file.name(),
            Self::Packed(file) => file.name(),
        }
    }

    /// Grows with everything that is written of a region, whatever file it is in.
    pub fn sequence(&self) -> u64 {
        match self {
            Self::Slots(file) => file.sequence(),
            Self::Packed(file) => file.sequence(),
        }
    }

    fn is_moved(&self) -> bool {
        match self {
            Self::Slots(file) => file.is_moved(),
            Self::Packed(file) => file.is_moved(),
        }
    }

    /// Whether what was read a moment ago can be believed: otherwise the region has to be opened again.
    pub fn is_current(&self) -> bool {
        match self {
            Self::Slots(file) => file.is_current(),
            Self::Packed(file) => file.is_current(),
        }
    }

    /// What the directory says of a chunk.
    pub fn entry(&self, index: usize) -> &Entry {
        match self {
            Self::Slots(file) => file.entry(index),
            Self::Packed(file) => file.entry(index),
        }
    }

    /// The chunk at an index in the region, if it is stored.
    pub fn chunk(&self, index: usize) -> Result<Option<(Chunk, Version)>, StoreError> {
        match self {
            Self::Slots(file) => file.chunk(index),
            Self::Packed(file) => file.chunk(index),
        }
    }

    /// The same, with every check there is.
    pub fn checked_chunk(&self, index: usize) -> Result<Option<(Chunk, Version)>, StoreError> {
        if let Self::Packed(file) = self {
            file.encoded(index)?;
        }
        self.chunk(index)
    }

    /// Every stored chunk by index, ascending, as the slots that hold them or would.
    pub fn encoded(&self) -> Result<Vec<(usize, Encoded)>, StoreError> {
        let one = |index: usize| match self {
            Self::Packed(file) => file.encoded(index),
            Self::Slots(file) => {
                let entry = *file.entry(index);
                let slot = |bytes| Encoded { entry: Entry { place: 0, ..entry }, bytes };
                entry.form.map(|_| file.slot_bytes(&entry).map(slot)).transpose()
            }
        };
        let all = (0..REGION_CHUNKS).map(|index| one(index).map(|slot| slot.map(|slot| (index, slot))));
        all.filter_map(Result::transpose).collect()
    }

    /// The region file, if this is one.
    pub const fn slots(&self) -> Option<&Arc<RegionFile>> {
        match self {
            Self::Slots(file) => Some(file),
            Self::Packed(_) => None,
        }
    }

    /// Whether this is a packed file.
    pub const fn is_packed(&self) -> bool {
        matches!(self, Self::Packed(_))
    }

    /// Tells readers that another file holds the region now, and removes this one. The other one must be durable.
    pub fn remove(&self, dir: &dyn Dir) -> Result<(), StoreError> {
        let name = self.name();
        self.mark(dir, true)?;
        dir.remove(name).at("removing", name, 0)
    }

    /// Says, or takes back, that another file holds the region.
    pub fn mark(&self, dir: &dyn Dir, moved: bool) -> Result<(), StoreError> {
        let name = self.name();
        match self {
            Self::Slots(_) => region::mark_moved(dir, name, moved),
            Self::Packed(_) => packed::mark_moved(&dir.open(name, Open::Write).at("opening", name, 0)?, name, moved),
        }
    }
}

/// How often a region that neither of its files holds is looked for: beside a writer it may have moved from the one to the
/// other between two looks. Two moves take several fsyncs.
const LOOKS: usize = 3;

/// The files that a region may have, each opened if it is there.
pub type Both = (Option<Stored>, Option<Stored>);

/// Opens both files of a region.
pub fn open_both(dir: &dyn Dir, pos: RegionPos, world: &[u8; 16], switching: bool) -> Result<Both, StoreError> {
    let slots = RegionFile::open(dir, pos, world, switching)?;
    let packed = PackedFile::open(dir, pos, world)?;
    Ok((slots.map(|file| Stored::Slots(Arc::new(file))), packed.map(|file| Stored::Packed(Arc::new(file)))))
}

/// Opens the file that holds a region; `None` if none does. Where there are two, both must be whole, and the one with the
/// higher sequence counts: it was made from the other, and is durable before that one is removed.
pub fn open(dir: &dyn Dir, pos: RegionPos, world: &[u8; 16], switching: bool) -> Result<Option<Stored>, StoreError> {
    let mut found = None;
    for _ in 0..LOOKS {
        found = newer(open_both(dir, pos, world, switching)?);
        if found.as_ref().is_some_and(|file| !file.is_moved()) {
            return Ok(found);
        }
    }
    let Some(file) = found else { return Ok(None) };
    let what = format!("it says that the region has moved to {}, where it is not", other_name(&file, pos));
    Err(StoreError::corrupt(file.name(), 0, what))
}

/// The one that counts; one that says that it does not only if there is no other.
fn newer(both: Both) -> Option<Stored> {
    let rank = |file: &Stored| (!file.is_moved(), file.sequence());
    match both {
        (Some(slots), Some(packed)) => Some(if rank(&slots) > rank(&packed) { slots } else { packed }),
        (slots, packed) => slots.or(packed),
    }
}

fn other_name(file: &Stored, pos: RegionPos) -> String {
    match file {
        Stored::Slots(_) => packed::file_name(pos),
        Stored::Packed(_) => region::file_name(pos),
    }
}

/// The region that a file name in `regions/` stands for, whichever of its two files it names.
pub fn parse_file_name(name: &str) -> Option<RegionPos> {
    region::parse_file_name(name).or_else(|| packed::parse_file_name(name))
}

/// Removes the files that do not count any more, where a crash has left both.
pub fn remove_replaced(
    dir: &dyn Dir,
    world: &[u8; 16],
    switching: &dyn Fn(RegionPos) -> bool,
) -> Result<(), StoreError> {
    let names = dir.list("regions").at("listing", "regions", 0)?;
    let packed: BTreeSet<RegionPos> = names.iter().filter_map(|name| packed::parse_file_name(name)).collect();
    let twice: Vec<RegionPos> =
        names.iter().filter_map(|name| region::parse_file_name(name).filter(|pos| packed.contains(pos))).collect();
    if twice.is_empty() {
        return Ok(());
    }
    // What counts may be there by a name that is not durable yet.
    dir.sync("regions").synced("regions")?;
    for pos in twice {
        if let (Some(slots), Some(packed)) = open_both(dir, pos, world, switching(pos))? {
            let counts = newer((Some(slots.clone()), Some(packed.clone()))).is_some_and(|file| file.is_packed());
            if counts { slots.remove(dir)? } else { packed.remove(dir)? }
        }
    }
    Ok(())
}

/// How many regions a world has, and in how many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sizes {
    /// Regions in slots.
    pub regions: usize,
    /// Bytes of their files.
    pub region_bytes: u64,
    /// Packed regions.
    pub packed: usize,
    /// Bytes of their files.
    pub packed_bytes: u64,
}

/// What stands in the folder of regions. A region with two files counts as what it is packed in.
pub fn sizes(dir: &dyn Dir) -> Result<Sizes, StoreError> {
    let names = dir.list("regions").at("listing", "regions", 0)?;
    let mut found: BTreeMap<RegionPos, bool> = BTreeMap::new();
    for name in &names {
        if let Some(pos) = parse_file_name(name) {
            *found.entry(pos).or_default() |= name.ends_with(".trp");
        }
    }
    let mut sizes = Sizes::default();
    for (pos, is_packed) in found {
        let name = if is_packed { packed::file_name(pos) } else { region::file_name(pos) };
        // A writer beside this may just have replaced it.
        let Ok(file) = dir.open(&name, Open::Read) else { continue };
        let bytes = file.len().at("measuring", &name, 0)?;
        let (count, sum) = match is_packed {
            true => (&mut sizes.packed, &mut sizes.packed_bytes),
            false => (&mut sizes.regions, &mut sizes.region_bytes),
        };
        *count += 1;
        *sum += bytes;
    }
    Ok(sizes)
}
