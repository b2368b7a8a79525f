//! What verbs that are about paths share: the world's modes, and its chunks as they are read.

use crate::failure::Failure;
use std::sync::{Arc, Mutex, PoisonError};
use terrane_store::Store;
use terrane_store::store::StoreSource;
use terrane_world::path::PathError;
use terrane_world::path::mode::Modes;
use terrane_world::path::navigation::Navigation;
use terrane_world::resident::Residency;
use terrane_world::space::ChunkPos;
use terrane_world::step::{ChunkSource, Held, SourceError};

/// One mode of a world, by name.
pub fn navigation(store: &Store, name: &str) -> Result<Navigation, PathError> {
    let modes = Modes::with(&store.settings().modes);
    let unknown = || PathError::UnknownMode { name: name.to_owned(), known: modes.names() };
    Navigation::new(modes.get(name).ok_or_else(unknown)?, &store.registry())
}

/// Chunks of a store, as they are asked for.
pub fn residency(source: &Watched) -> Result<Residency, Failure> {
    let pool = rayon::ThreadPoolBuilder::new().build();
    let pool = Arc::new(pool.map_err(|error| Failure::new(format!("threads can't be started: {error}")))?);
    Ok(Residency::new(pool, Box::new(source.clone())))
}

/// A store that remembers what it could not read: an answer depends on more than what was asked about.
#[derive(Clone)]
pub struct Watched {
    store: Arc<StoreSource>,
    failed: Arc<Mutex<Option<(ChunkPos, SourceError)>>>,
}

impl Watched {
    /// Nothing has failed yet.
    pub fn new(store: &Arc<Store>) -> Self {
        Self { store: Arc::new(StoreSource(Arc::clone(store))), failed: Arc::default() }
    }

    /// Fails if anything could not be read so far.
    pub fn check(&self) -> Result<(), String> {
        match &*self.failed.lock().unwrap_or_else(PoisonError::into_inner) {
            Some((pos, error)) => Err(format!("chunk {pos}, which this depends on, can't be read: {error}")),
            None => Ok(()),
        }
    }
}

impl ChunkSource for Watched {
    fn load(&self, pos: ChunkPos) -> Result<Held, SourceError> {
        self.store.load(pos).inspect_err(|error| {
            *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some((pos, error.clone()));
        })
    }
}
