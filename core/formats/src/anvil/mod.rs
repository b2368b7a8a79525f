//! Minecraft's Anvil regions, 1.13 to 1.21: [`Region`] reads one, [`write_regions`] writes a set.

mod assemble;
mod column;
mod container;
mod nbt;
mod write;

pub use column::{ColumnError, SectionError};
pub use container::{COLUMN_BYTES_MAX, ContainerError, RegionXZ};
pub use nbt::{DEPTH_MAX, NbtError};
pub use write::{DATA_VERSION, ExportError, Exported, write_regions};

use crate::volume::{Counts, ImportedFile, NAMES_MAX, Problem, Problems};
use column::{Column, Content};
use container::{EXTERNAL, HEADER, Slot};
use rayon::prelude::*;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;

/// Why a whole region file can't be imported.
#[derive(Debug, thiserror::Error)]
pub enum RegionError {
    /// It is too short to be one.
    #[error("a region file begins with {HEADER} bytes of tables, but this one has {0} bytes: it is cut short, or none")]
    Header(usize),
    /// It needs more names than ids exist.
    #[error("the file holds {0} different block states and {NAMES_MAX} is the most a world can hold: split it")]
    TooManyNames(usize),
}

/// Reads the external file `c.X.Z.mcc` of the chunk column x, z, which lies beside the region file.
pub type External<'a> = dyn Fn(i64, i64) -> io::Result<Vec<u8>> + Sync + 'a;

/// A region file whose location table has been read.
pub struct Region<'a> {
    bytes: &'a [u8],
    pos: Option<RegionXZ>,
    slots: Vec<Slot>,
}

/// What one slot gave, or why it gave nothing.
type Read = Result<Content, String>;

impl<'a> Region<'a> {
    /// Reads the location table. `pos` comes from the file's name ([`RegionXZ::from_file_name`]); without it the place is
    /// taken from the chunks themselves. A file of no bytes is a region without columns: real worlds have such files.
    pub fn open(bytes: &'a [u8], pos: Option<RegionXZ>) -> Result<Self, RegionError> {
        match bytes.len() {
            0 => Ok(Self { bytes, pos, slots: Vec::new() }),
            1..HEADER => Err(RegionError::Header(bytes.len())),
            _ => Ok(Self { bytes, pos, slots: container::slots(bytes) }),
        }
    }

    /// How many chunk columns the location table names.
    pub fn column_count(&self) -> usize {
        self.slots.len()
    }

    /// Reads every column and assembles chunks, in the rayon pool that this runs in. `shift` is added to every position,
    /// in voxels. `external` reads `.mcc` files. `progress` is called with 1 for each column done, from any thread.
    ///
    /// A column, section or block entity that can't be read becomes a problem and the rest is imported. The result does
    /// not depend on the number of threads.
    pub fn decode(
        &self,
        shift: [i32; 3],
        external: &External<'_>,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<ImportedFile, RegionError> {
        let inline = |slot: Slot| self.inline(slot, progress);
        let mut reads: Vec<Option<Read>> = self.slots.par_iter().map(|&slot| inline(slot)).collect();
        let own = reads.iter().find_map(|read| match read {
            Some(Ok(Content::Column(column))) => Some(RegionXZ::of_column(column.x, column.z)),
            _ => None,
        });
        let pos = self.pos.or(own);
        reads.par_iter_mut().zip(&self.slots).filter(|(read, _)| read.is_none()).for_each(|(read, &slot)| {
            *read = Some(self.outside(slot, pos, external));
            progress(1);
        });
        let mut sorted = Sorted::default();
        if let (Some(said), Some(own)) = (self.pos, own.filter(|own| self.pos != Some(*own))) {
            let (said, own) = (said.file_name(), own.file_name());
            let message =
                format!("the file is named {said}, but its chunks are those of {own}; they land at their own places");
            sorted.problems.add("the file", message);
        }
        for (read, &slot) in reads.into_iter().zip(&self.slots) {
            sorted.take(slot, self.place(slot, pos), read.unwrap_or_else(|| Err("it was not read".to_owned())));
        }
        sorted.finish(shift)
    }

    fn place(&self, slot: Slot, pos: Option<RegionXZ>) -> String {
        match pos {
            Some(pos) => {
                let (x, z) = pos.column(slot.index);
                format!("chunk {x},{z} ({slot})")
            }
            None => format!("chunk in {slot}"),
        }
    }

    /// Reads a slot whose data lies in this file; `None` if it lies in a `.mcc` file.
    fn inline(&self, slot: Slot, progress: &(dyn Fn(usize) + Sync)) -> Option<Read> {
        let read = match container::payload(self.bytes, slot) {
            Ok((compression, _)) if compression & EXTERNAL != 0 => return None,
            Ok((compression, bytes)) => self.document(slot, self.pos, container::decompress(compression, bytes)),
            Err(error) => Err(error.to_string()),
        };
        progress(1);
        Some(read)
    }

    fn outside(&self, slot: Slot, pos: Option<RegionXZ>, external: &External<'_>) -> Read {
        let (compression, _) = container::payload(self.bytes, slot).map_err(|error| error.to_string())?;
        let (x, z) = pos.ok_or(ContainerError::ExternalWithoutPlace).map_err(|e| e.to_string())?.column(slot.index);
        let bytes = external(x, z)
            .map_err(|error| ContainerError::External { name: format!("c.{x}.{z}.mcc"), error }.to_string())?;
        self.document(slot, pos, container::decompress(compression & !EXTERNAL, &bytes))
    }

    fn document(&self, slot: Slot, pos: Option<RegionXZ>, bytes: Result<Cow<'_, [u8]>, ContainerError>) -> Read {
        let bytes = bytes.map_err(|error| error.to_string())?;
        column::read(&bytes, &self.place(slot, pos)).map_err(|error| error.to_string())
    }
}

/// Columns by their own coordinates, while the slots come in one by one.
#[derive(Default)]
struct Sorted {
    columns: BTreeMap<(i32, i32), (bool, Box<Column>)>,
    problems: Problems,
    lists: Vec<Problem>,
    counts: Counts,
}

impl Sorted {
    fn take(&mut self, slot: Slot, place: String, read: Read) {
        if slot.overlaps {
            self.problem(&place, "its sectors are claimed by another chunk as well".to_owned());
        }
        let mut column = match read {
            Ok(Content::Column(column)) => column,
            Ok(Content::Other(counts)) => return self.counts.add(&counts),
            Err(message) => return self.skip(&place, format!("{message}; it is skipped")),
        };
        let (x, z) = (column.x, column.z);
        let at_home = (x & 31) as usize + ((z & 31) as usize) * container::EDGE == slot.index;
        if !at_home && slot.overlaps {
            return self.skip(&place, format!("the chunk there is {x},{z} of another slot; it is skipped"));
        }
        if !at_home {
            self.problem(&place, format!("the chunk there says that it is {x},{z}; it lands there"));
        }
        self.lists.extend(std::mem::take(&mut column.problems).finish(&place));
        match self.columns.get(&(x, z)) {
            Some((true, _)) if !at_home => {
                self.skip(&place, format!("the file has chunk {x},{z} twice; this one is skipped"));
            }
            Some(_) => {
                self.skip(&place, format!("the file has chunk {x},{z} twice; this one is imported, the other skipped"));
                self.columns.insert((x, z), (at_home, column));
            }
            None => drop(self.columns.insert((x, z), (at_home, column))),
        }
    }

    fn problem(&mut self, place: &str, message: String) {
        self.lists.push(Problem { place: place.to_owned(), message });
    }

    fn skip(&mut self, place: &str, message: String) {
        self.counts.columns_skipped += 1;
        self.problem(place, message);
    }

    fn finish(mut self, shift: [i32; 3]) -> Result<ImportedFile, RegionError> {
        let columns: Vec<Box<Column>> = self.columns.into_values().map(|(_, column)| column).collect();
        for column in &columns {
            self.counts.add(&column.counts);
        }
        let used: BTreeSet<&str> = columns.iter().flat_map(|c| used_names(c)).collect();
        if used.len() > NAMES_MAX {
            return Err(RegionError::TooManyNames(used.len()));
        }
        let numbers: HashMap<&str, u16> = used.iter().enumerate().map(|(n, name)| (*name, n as u16)).collect();
        let number_of: Vec<Vec<u16>> = columns
            .par_iter()
            .map(|c| c.names.iter().map(|name| numbers.get(name.as_str()).copied().unwrap_or(u16::MAX)).collect())
            .collect();
        let assembled = assemble::assemble(&columns, &number_of, shift);
        let mut problems = self.problems.finish("the file");
        problems.extend(self.lists);
        problems.extend(assembled.problems);
        self.counts.block_entities = assembled.block_entities;
        let names = used.into_iter().map(str::to_owned).collect();
        Ok(ImportedFile { chunks: assembled.chunks, names, problems, counts: self.counts })
    }
}

/// The names of a column's sections; a column that turned out to hold no blocks has none.
fn used_names(column: &Column) -> impl Iterator<Item = &str> {
    let indexes: BTreeSet<u32> = column.sections.values().flat_map(|s| s.palette()).copied().collect();
    indexes.into_iter().filter_map(|index| column.names.get(index as usize)).map(String::as_str)
}
