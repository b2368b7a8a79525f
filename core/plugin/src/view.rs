//! What a plug-in sees of the world, and what it makes of it: the voxels around and in a chunk, as its own numbers.

use crate::limits::OTHER;
use std::borrow::Cow;
use terrane_world::generate::stage::{Around, Draft, Entries, Entry};
use terrane_world::limits::CHUNK_EDGE;

/// The blocks of a plug-in: its numbers by palette entry, and the entries by its numbers.
#[derive(Debug, Clone)]
pub struct Numbers {
    by_entry: Box<[u8; 256]>,
    entries: Vec<Entry>,
}

impl Numbers {
    /// From the entry of each block, in the order of the plug-in's list.
    pub fn new(entries: Vec<Entry>) -> Self {
        let mut by_entry = Box::new([OTHER; 256]);
        for (number, entry) in entries.iter().enumerate() {
            by_entry[usize::from(*entry)] = number as u8;
        }
        Self { by_entry, entries }
    }

    /// How many blocks the list has.
    pub fn count(&self) -> u8 {
        self.entries.len() as u8
    }
}

/// The voxels of a chunk and of a halo of `halo` voxels around it: index `x + e·z + e²·y`, where e = 32 + 2·halo.
///
/// What is outside the world is air.
pub fn window(draft: &Draft, around: &Around<'_>, halo: usize, numbers: &Numbers) -> Vec<u8> {
    let edge = CHUNK_EDGE + 2 * halo;
    let mut window = vec![0; edge * edge * edge];
    for (n, row) in window.chunks_exact_mut(edge).enumerate() {
        let ((step_z, z), (step_y, y)) = (split(n % edge, halo), split(n / edge, halo));
        let (west, rest) = row.split_at_mut(halo);
        let (middle, east) = rest.split_at_mut(CHUNK_EDGE);
        for (part, step_x, x) in [(west, -1, CHUNK_EDGE - halo), (middle, 0, 0), (east, 1, 0)] {
            let step = [step_x, step_y, step_z];
            let from = if step == [0; 3] { Some(draft) } else { around.at(step) };
            copy_row(from, x + CHUNK_EDGE * (z + CHUNK_EDGE * y), part, numbers);
        }
    }
    window
}

/// Which chunk a coordinate of the window lies in, and where in that.
fn split(at: usize, halo: usize) -> (i32, usize) {
    let moved = at + CHUNK_EDGE - halo;
    (moved as i32 / CHUNK_EDGE as i32 - 1, moved % CHUNK_EDGE)
}

fn copy_row(from: Option<&Draft>, start: usize, row: &mut [u8], numbers: &Numbers) {
    if row.is_empty() {
        return;
    }
    match from.map(|draft| (draft.uniform(), draft)) {
        None => row.fill(numbers.by_entry[0]),
        Some((Some(entry), _)) => row.fill(numbers.by_entry[usize::from(entry)]),
        Some((None, draft)) => {
            let entries: Cow<'_, Entries> = draft.entries();
            for (number, entry) in row.iter_mut().zip(&entries[start..]) {
                *number = numbers.by_entry[usize::from(*entry)];
            }
        }
    }
}

/// Puts what a plug-in made into the chunk; [`OTHER`] keeps what was there. Every number is one of the list.
pub fn apply(made: &Entries, draft: &mut Draft, numbers: &Numbers) {
    if made.iter().all(|number| *number == OTHER) {
        return;
    }
    for (entry, number) in draft.entries_mut().iter_mut().zip(made) {
        if let Some(new) = numbers.entries.get(usize::from(*number)) {
            *entry = *new;
        }
    }
}
