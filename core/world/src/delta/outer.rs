//! The outer stage: nothing, or zstd. One byte says which, then the length of what is inside as a varint where zstd needs it.

use super::bytes::{Reader, put_varint};
use super::{Class, CodecError};
use zstd::bulk::{Compressor, Decompressor};

/// The inner layout follows as it is.
const PLAIN: u8 = 0x10;
/// The length of the inner layout, then one zstd frame.
const ZSTD: u8 = 0x11;
/// Beyond this a level costs more time than it saves bytes: measured in docs/codec.md.
const LEVEL: i32 = 1;

/// What the outer stage works with; kept and used again, because making it costs more than using it.
pub struct Outer {
    compressor: Compressor<'static>,
    decompressor: Decompressor<'static>,
    inner: Vec<u8>,
}

impl std::fmt::Debug for Outer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Outer")
    }
}

impl Default for Outer {
    fn default() -> Self {
        Self::new()
    }
}

impl Outer {
    /// A new one.
    ///
    /// # Panics
    /// If there is no memory for it.
    pub fn new() -> Self {
        Self {
            compressor: Compressor::new(LEVEL).expect("memory for a compressor"),
            decompressor: Decompressor::new().expect("memory for a decompressor"),
            inner: Vec::new(),
        }
    }

    /// Puts what `write` writes behind `out`, in the outer stage of a class. Where zstd does not make it smaller, it stays out.
    pub fn pack(&mut self, class: Class, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        if class == Class::Fast {
            out.push(PLAIN);
            return write(out);
        }
        self.inner.clear();
        write(&mut self.inner);
        let begin = out.len();
        out.push(ZSTD);
        put_varint(out, self.inner.len() as u64);
        let head = out.len();
        out.resize(head + zstd::zstd_safe::compress_bound(self.inner.len()), 0);
        let packed = self.compressor.compress_to_buffer(&self.inner, &mut out[head..]).ok();
        match packed.filter(|length| head + length <= begin + self.inner.len()) {
            Some(length) => out.truncate(head + length),
            None => {
                out.truncate(begin);
                out.push(PLAIN);
                out.extend_from_slice(&self.inner);
            }
        }
    }

    /// The inner layout of what was packed, of at most so many bytes.
    ///
    /// # Errors
    /// [`CodecError`] if there is no outer stage, if it can't be undone, or if it holds more than is allowed.
    pub fn unpack<'a>(&'a mut self, bytes: &'a [u8], most: usize) -> Result<&'a [u8], CodecError> {
        let mut reader = Reader::new(bytes, "an outer stage");
        let too_large = |length| CodecError::TooLarge { length, most };
        match reader.u8()? {
            PLAIN if reader.left() > most => Err(too_large(reader.left() as u64)),
            PLAIN => Ok(reader.rest()),
            ZSTD => {
                let length = reader.varint()?;
                let inner_bytes = usize::try_from(length).ok().filter(|length| *length <= most);
                let inner_bytes = inner_bytes.ok_or_else(|| too_large(length))?;
                self.undo(reader.rest(), inner_bytes)?;
                Ok(&self.inner)
            }
            found => Err(reader.layout(found)),
        }
    }

    /// Memory is taken as it is filled, so that a length alone gets none.
    fn undo(&mut self, packed: &[u8], length: usize) -> Result<(), CodecError> {
        let told = |error: std::io::Error| CodecError::Zstd(error.to_string());
        // What zstd makes of a byte at most, by its format: a block of 128 KiB from four bytes.
        if length / (128 << 10) > packed.len() {
            return Err(CodecError::Zstd(format!("{length} bytes can't be in {}", packed.len())));
        }
        self.inner.resize(length, 0);
        let made = self.decompressor.decompress_to_buffer(packed, &mut self.inner[..]).map_err(told)?;
        if made != length {
            return Err(CodecError::Zstd(format!("{made} bytes came out where {length} were said to be")));
        }
        Ok(())
    }
}
