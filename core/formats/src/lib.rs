//! Worlds of other programs, read and written: Minecraft's Anvil regions, MagicaVoxel `.vox`, and NumPy `.npy`
//! with a `.json` beside it. `docs/formats.md` says what is kept of each and what is only counted.
//!
//! Nothing in this crate opens a file, looks at a clock or starts a thread: bytes come in as slices, go out through
//! `impl Write` or a callback, and work is spread over the rayon pool that the caller runs it in.
//!
//! Every reader gives an [`volume::ImportedFile`]: chunks over a palette of names that belongs to the file. Once
//! [`volume::ImportedFile::register`] has found or made the world's ids, [`volume::ImportedChunk::onto`] makes the
//! world's chunk of each. Bytes from outside are never trusted: they end in a typed error or in a
//! [`volume::Problem`] that names the place.
#![forbid(unsafe_code)]

pub mod anvil;
pub mod npy;
pub mod volume;
pub mod vox;
