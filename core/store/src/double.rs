//! A folder in memory that crashes, fills up and fails: the hostile double of [`crate::OsDir`].
//!
//! It keeps what was synced apart from what was only written. After a crash, [`MemoryDir::image`] gives any of the
//! folders that a real disk could hold: each unsynced operation kept, dropped or torn, names that were not synced gone.

use crate::door::{Dir, File, Map, Open};
use parking_lot::Mutex;
use std::any::Any;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

/// What goes wrong from a certain operation on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The machine stops: that operation is under way, everything after it fails.
    Crash,
    /// Writes fail half way with "no space left".
    DiskFull,
    /// Nothing may be written or made.
    ReadOnly,
    /// Each fsync fails once asked.
    SyncFails,
}

/// What a crash leaves of one unsynced operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// All of it reached the disk.
    All,
    /// None of it did.
    Nothing,
    /// Only the first bytes of a write did.
    First(usize),
}

#[derive(Clone)]
enum FileChange {
    Write { offset: u64, bytes: Vec<u8> },
    SetLen(u64),
}

impl FileChange {
    fn apply(&self, content: &mut Vec<u8>, first: usize) {
        match self {
            Self::Write { offset, bytes } => {
                let (at, bytes) = (*offset as usize, &bytes[..first.min(bytes.len())]);
                if content.len() < at + bytes.len() {
                    content.resize(at + bytes.len(), 0);
                }
                content[at..at + bytes.len()].copy_from_slice(bytes);
            }
            Self::SetLen(length) => content.resize(*length as usize, 0),
        }
    }
}

#[derive(Clone)]
enum NameChange {
    Link { path: String, inode: usize },
    Rename { from: String, to: String },
    Remove { path: String },
}

impl NameChange {
    fn folder(&self) -> &str {
        let (Self::Link { path, .. } | Self::Rename { from: path, .. } | Self::Remove { path }) = self;
        folder_of(path)
    }

    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Link { path, inode } => drop(names.insert(path.clone(), *inode)),
            Self::Rename { from, to } => {
                if let Some(inode) = names.remove(from) {
                    names.insert(to.clone(), inode);
                }
            }
            Self::Remove { path } => drop(names.remove(path)),
        }
    }
}

fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// An operation that is not durable yet, in the order it was done.
#[derive(Clone)]
enum Pending {
    File { inode: usize, change: FileChange },
    Name(NameChange),
}

#[derive(Default)]
struct State {
    durable: Vec<Vec<u8>>,
    live: Vec<Vec<u8>>,
    durable_names: BTreeMap<String, usize>,
    names: BTreeMap<String, usize>,
    pending: Vec<Pending>,
    operations: usize,
    failure: Option<(usize, Failure)>,
    failed: bool,
    locked: bool,
}

impl State {
    /// Counts one operation and says whether it may happen. A crash lets the first one it hits happen, unsynced.
    fn admit(&mut self, sync: bool) -> io::Result<bool> {
        let at = self.operations;
        self.operations += 1;
        let Some((from, failure)) = self.failure else { return Ok(true) };
        if at < from {
            return Ok(true);
        }
        let first = !std::mem::replace(&mut self.failed, true);
        match failure {
            Failure::Crash if first && !sync => Ok(true),
            Failure::Crash => Err(io::Error::other("the machine has crashed")),
            Failure::DiskFull => Ok(sync),
            Failure::ReadOnly => Err(io::ErrorKind::ReadOnlyFilesystem.into()),
            Failure::SyncFails if sync => Err(io::Error::other("input/output error")),
            Failure::SyncFails => Ok(true),
        }
    }

    fn change_file(&mut self, inode: usize, change: FileChange) {
        change.apply(&mut self.live[inode], usize::MAX);
        self.pending.push(Pending::File { inode, change });
    }

    fn change_name(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.pending.push(Pending::Name(change));
    }
}

/// The folder. Clones share it.
#[derive(Clone, Default)]
pub struct MemoryDir(Arc<Mutex<State>>);

impl MemoryDir {
    /// An empty folder that works.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets something go wrong from the operation number `from` on (0 is the first one ever). Reads don't count.
    pub fn fail_from(&self, from: usize, failure: Failure) {
        let mut state = self.0.lock();
        state.failure = Some((from, failure));
        state.failed = false;
    }

    /// Operations so far.
    pub fn operations(&self) -> usize {
        self.0.lock().operations
    }

    /// Bytes of each unsynced operation, oldest first; 0 for one that can't be torn.
    pub fn pending_bytes(&self) -> Vec<usize> {
        let size = |pending: &Pending| match pending {
            Pending::File { change: FileChange::Write { bytes, .. }, .. } => bytes.len(),
            _ => 0,
        };
        self.0.lock().pending.iter().map(size).collect()
    }

    /// The folder as it may be found after a crash now: `keep` says what becomes of each unsynced operation.
    #[must_use]
    pub fn image(&self, keep: impl Fn(usize) -> Keep) -> Self {
        let state = self.0.lock();
        let (mut files, mut names) = (state.durable.clone(), state.durable_names.clone());
        for (index, pending) in state.pending.iter().enumerate() {
            let first = match keep(index) {
                Keep::All => usize::MAX,
                Keep::Nothing => continue,
                Keep::First(bytes) => bytes,
            };
            match pending {
                Pending::File { inode, change } => change.apply(&mut files[*inode], first),
                Pending::Name(change) => change.apply(&mut names),
            }
        }
        let state =
            State { durable: files.clone(), live: files, durable_names: names.clone(), names, ..State::default() };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Changes a file's bytes behind everybody's back, durably.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn damage(&self, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.0.lock();
        let inode = state.names[path];
        let mut bytes = state.live[inode].clone();
        change(&mut bytes);
        state.live[inode].clone_from(&bytes);
        state.durable[inode] = bytes;
    }

    /// The paths of all files.
    pub fn paths(&self) -> Vec<String> {
        self.0.lock().names.keys().cloned().collect()
    }
}

impl Dir for MemoryDir {
    fn open(&self, path: &str, how: Open) -> io::Result<Arc<dyn File>> {
        let mut state = self.0.lock();
        let found = state.names.get(path).copied();
        let inode = match (how, found) {
            (Open::Read | Open::Write, Some(inode)) => inode,
            (Open::Read | Open::Write, None) => return Err(io::ErrorKind::NotFound.into()),
            (Open::Create, found) => {
                if !state.admit(false)? {
                    return Err(io::ErrorKind::StorageFull.into());
                }
                if let Some(inode) = found {
                    state.change_file(inode, FileChange::SetLen(0));
                    inode
                } else {
                    let inode = state.live.len();
                    state.live.push(Vec::new());
                    state.durable.push(Vec::new());
                    state.change_name(NameChange::Link { path: path.to_owned(), inode });
                    inode
                }
            }
        };
        Ok(Arc::new(MemoryFile { dir: self.clone(), inode }))
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let state = self.0.lock();
        let inside = state.names.keys().filter(|path| folder_of(path) == folder);
        Ok(inside.map(|path| path.rsplit('/').next().unwrap_or(path).to_owned()).collect())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.0.lock();
        if !state.names.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if state.admit(false)? {
            state.change_name(NameChange::Rename { from: from.to_owned(), to: to.to_owned() });
            return Ok(());
        }
        Err(io::ErrorKind::StorageFull.into())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let mut state = self.0.lock();
        state.admit(false)?;
        state.change_name(NameChange::Remove { path: path.to_owned() });
        Ok(())
    }

    fn sync(&self, folder: &str) -> io::Result<()> {
        let mut state = self.0.lock();
        state.admit(true)?;
        let (mut names, mut rest) = (std::mem::take(&mut state.durable_names), Vec::new());
        for pending in std::mem::take(&mut state.pending) {
            match pending {
                Pending::Name(change) if change.folder() == folder => change.apply(&mut names),
                other => rest.push(other),
            }
        }
        (state.durable_names, state.pending) = (names, rest);
        Ok(())
    }

    fn lock(&self, _path: &str) -> io::Result<Box<dyn Any + Send + Sync>> {
        let mut state = self.0.lock();
        if state.locked {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if matches!(state.failure, Some((from, Failure::ReadOnly)) if state.operations >= from) {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        state.locked = true;
        Ok(Box::new(MemoryLock(self.clone())))
    }
}

struct MemoryLock(MemoryDir);

impl Drop for MemoryLock {
    fn drop(&mut self) {
        self.0.0.lock().locked = false;
    }
}

struct MemoryFile {
    dir: MemoryDir,
    inode: usize,
}

impl File for MemoryFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.dir.0.lock().live[self.inode].len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let state = self.dir.0.lock();
        let bytes = state.live[self.inode].get(offset as usize..).and_then(|rest| rest.get(..buffer.len()));
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn map(&self) -> io::Result<Map> {
        Ok(Map::copied(self.dir.0.lock().live[self.inode].clone()))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.dir.0.lock();
        let whole = state.admit(false)?;
        let written = if whole { bytes.len() } else { bytes.len() / 2 };
        state.change_file(self.inode, FileChange::Write { offset, bytes: bytes[..written].to_vec() });
        if whole { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut state = self.dir.0.lock();
        state.admit(false)?;
        state.change_file(self.inode, FileChange::SetLen(length));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.dir.0.lock();
        state.admit(true)?;
        let mut rest = Vec::new();
        for pending in std::mem::take(&mut state.pending) {
            match pending {
                Pending::File { inode, change } if inode == self.inode => {
                    change.apply(&mut state.durable[inode], usize::MAX);
                }
                other => rest.push(other),
            }
        }
        state.pending = rest;
        Ok(())
    }
}
