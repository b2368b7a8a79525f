//! What verbs that are about paths share: the world's modes, and its chunks as they are read.

use crate::failure::Failure;
use std::sync::Arc;
use terrane_store::Store;
use terrane_store::store::StoreSource;
use terrane_world::path::PathError;
use terrane_world::path::mode::Modes;
use terrane_world::path::navigation::Navigation;
use terrane_world::resident::{Residency, Watched};

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

/// The chunks of a store, watched.
pub fn watched(store: &Arc<Store>) -> Watched {
    Watched::new(Arc::new(StoreSource(Arc::clone(store))))
}

/// Fails if anything could not be read so far.
pub fn check(source: &Watched) -> Result<(), String> {
    match source.take_failure() {
        Some((pos, error)) => Err(format!("chunk {pos}, which this depends on, can't be read: {error}")),
        None => Ok(()),
    }
}
