//! The two doors to the outside, and the read-only map behind one of them.

use crate::sigbus;
use std::any::Any;
use std::io;
use std::sync::Arc;

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// An existing file, for reading.
    Read,
    /// An existing file, for reading and writing.
    Write,
    /// A file for reading and writing that is empty afterwards, new or not.
    Create,
}

/// A folder of files. Paths are relative, with `/`; `""` names the folder itself.
pub trait Dir: Send + Sync {
    /// Opens a file.
    fn open(&self, path: &str, how: Open) -> io::Result<Arc<dyn File>>;
    /// The names in a folder, in no particular order.
    fn list(&self, folder: &str) -> io::Result<Vec<String>>;
    /// Gives a file another name in the same folder, replacing what had it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &str) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync(&self, folder: &str) -> io::Result<()>;
    /// Takes the one writer's lock, held until the value is dropped; `WouldBlock` if another has it.
    fn lock(&self, path: &str) -> io::Result<Box<dyn Any + Send + Sync>>;
}

/// One open file.
#[allow(clippy::len_without_is_empty, reason = "a file's length is not a collection's")]
pub trait File: Send + Sync {
    /// Bytes in it.
    fn len(&self) -> io::Result<u64>;
    /// Fills the buffer, or fails with `UnexpectedEof`.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// Maps all of it for reading.
    fn map(&self) -> io::Result<Map>;
    /// Writes all of the bytes; the file grows as needed.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Cuts or extends the file.
    fn set_len(&self, length: u64) -> io::Result<()>;
    /// Makes what was written durable.
    fn sync(&self) -> io::Result<()>;
}

/// The bytes of a file as they were at `File::map` or later: a mapping, or (from doubles) a copy.
///
/// No slice of mapped memory is ever handed out: another process may change the file, so bytes are copied first and
/// believed afterwards.
pub struct Map {
    start: *const u8,
    length: usize,
    watch: Option<sigbus::Watch>,
    /// Owns the memory behind `start`.
    _memory: Memory,
}

#[allow(dead_code, reason = "kept only to be dropped")]
enum Memory {
    Mapped(memmap2::Mmap),
    Copied(Box<[u8]>),
}

#[allow(unsafe_code)]
// SAFETY: the memory is only read, through raw pointers and by copying, and lives as long as the map.
unsafe impl Send for Map {}
#[allow(unsafe_code)]
// SAFETY: as above; concurrent reads of the same bytes are fine.
unsafe impl Sync for Map {}

#[allow(unsafe_code)]
impl Map {
    /// Over a mapping; what a truncated file raises is caught from now on.
    pub(crate) fn mapped(mapping: memmap2::Mmap) -> io::Result<Self> {
        let (start, length) = (mapping.as_ptr(), mapping.len());
        let watch = Some(sigbus::Watch::new(start as usize, length)?);
        Ok(Self { start, length, watch, _memory: Memory::Mapped(mapping) })
    }

    /// Over a copy.
    pub fn copied(bytes: Vec<u8>) -> Self {
        let bytes = bytes.into_boxed_slice();
        Self { start: bytes.as_ptr(), length: bytes.len(), watch: None, _memory: Memory::Copied(bytes) }
    }

    /// Bytes in the map.
    pub const fn length(&self) -> usize {
        self.length
    }

    /// Whether a read has hit a part of the file that is no longer there. To be asked after copying: what was copied
    /// before may be zeros.
    pub fn failed(&self) -> bool {
        self.watch.as_ref().is_some_and(sigbus::Watch::failed)
    }

    /// Copies bytes out; `false` if the range leaves the map or the file has been cut short.
    pub fn copy_to(&self, offset: usize, buffer: &mut [u8]) -> bool {
        if offset.checked_add(buffer.len()).is_none_or(|end| end > self.length) {
            return false;
        }
        // SAFETY: the range lies inside the map, which lives as long as `self`; the buffer is ours, so they can't overlap.
        unsafe { std::ptr::copy_nonoverlapping(self.start.add(offset), buffer.as_mut_ptr(), buffer.len()) };
        !self.failed()
    }

    /// One byte. The caller asks [`Map::failed`] afterwards.
    ///
    /// # Panics
    /// If `offset` is outside the map.
    #[inline]
    pub fn byte(&self, offset: usize) -> u8 {
        assert!(offset < self.length, "byte {offset} of a map of {}", self.length);
        // SAFETY: just checked. Volatile, because another process may be writing the file.
        unsafe { self.start.add(offset).read_volatile() }
    }

    /// Two bytes as a little-endian number, at an even offset. The caller asks [`Map::failed`] afterwards.
    ///
    /// # Panics
    /// If the bytes are outside the map, or the offset is odd.
    #[inline]
    pub fn u16(&self, offset: usize) -> u16 {
        assert!(offset + 2 <= self.length && offset.is_multiple_of(2), "u16 at {offset} of a map of {}", self.length);
        // SAFETY: just checked; maps and copies start at even addresses (page or allocator alignment is at least 2 for
        // a non-empty map), and read_unaligned would not be volatile.
        u16::from_le(unsafe { self.start.add(offset).cast::<u16>().read_volatile() })
    }

    /// Eight bytes as a little-endian number, read byte by byte if the copy is not aligned. The caller asks
    /// [`Map::failed`] afterwards.
    ///
    /// # Panics
    /// If the bytes are outside the map.
    #[inline]
    pub fn u64(&self, offset: usize) -> u64 {
        let at = self.start.wrapping_add(offset);
        if offset + 8 <= self.length && (at as usize).is_multiple_of(8) {
            // SAFETY: inside the map and aligned, both just checked.
            return u64::from_le(unsafe { at.cast::<u64>().read_volatile() });
        }
        u64::from_le_bytes(std::array::from_fn(|i| self.byte(offset + i)))
    }
}
