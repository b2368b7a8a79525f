//! Labels of pages become labels of everything: on the CPU, over the faces where pages touch.

use super::ids::{Ids, id_of};
use std::collections::HashMap;
use terrane_world::limits::CHUNK_EDGE;
use terrane_world::space::{ChunkPos, LocalIndex, VoxelPos};

/// A page that was labelled by itself.
pub(crate) struct Page {
    pub(crate) ids: Ids,
    /// By id, the number within the page; 0 where there is none.
    pub(crate) labels: Vec<u32>,
    pub(crate) count: u32,
}

/// Sets of labels of all pages, each held by its smallest.
struct Sets(Vec<u32>);

impl Sets {
    fn find(&mut self, label: u32) -> u32 {
        let mut at = label;
        while self.0[at as usize] != at {
            let next = self.0[at as usize];
            self.0[at as usize] = self.0[next as usize];
            at = next;
        }
        at
    }

    fn join(&mut self, one: u32, other: u32) {
        let (a, b) = (self.find(one), self.find(other));
        self.0[a.max(b) as usize] = a.min(b);
    }
}

/// Numbers the labels of all pages anew, in order of each component's first voxel. Gives how many components there are.
///
/// # Panics
/// If all pages together have 2³² components or more.
pub(crate) fn join(pages: &mut [Page]) -> u32 {
    if let [page] = pages {
        return page.count;
    }
    let mut offsets = Vec::with_capacity(pages.len());
    let total = pages.iter().fold(0u32, |sum, page| {
        offsets.push(sum);
        sum.checked_add(page.count).expect("fewer than 2³² components")
    });
    let mut sets = Sets((0..total).collect());
    join_faces(pages, &offsets, &mut sets);
    let firsts: Vec<VoxelPos> = pages.iter().flat_map(firsts).collect();
    let mut least = firsts.clone();
    for label in 0..total {
        let set = sets.find(label) as usize;
        least[set] = least[set].min(firsts[label as usize]);
    }
    let mut order: Vec<u32> = (0..total).filter(|label| sets.0[*label as usize] == *label).collect();
    order.sort_unstable_by_key(|set| least[*set as usize]);
    let mut numbers = vec![0; total as usize];
    order.iter().zip(1..).for_each(|(set, number)| numbers[*set as usize] = number);
    let numbers: Vec<u32> = (0..total).map(|label| numbers[sets.find(label) as usize]).collect();
    for (page, offset) in pages.iter_mut().zip(offsets) {
        let anew = |label: &mut u32| *label = numbers[(offset + *label - 1) as usize];
        page.labels.iter_mut().filter(|label| **label != 0).for_each(anew);
    }
    order.len() as u32
}

/// Where each label of a page has its first voxel: labels come in that order.
fn firsts(page: &Page) -> Vec<VoxelPos> {
    let mut firsts = Vec::with_capacity(page.count as usize);
    for (label, id) in page.labels.iter().zip(0..) {
        if *label as usize == firsts.len() + 1 {
            firsts.push(page.ids.voxel(id));
        }
    }
    firsts
}

/// Joins labels over the low faces of chunks that border on chunks of other pages.
fn join_faces(pages: &[Page], offsets: &[u32], sets: &mut Sets) {
    let slots = |number: usize| pages[number].ids.positions.iter().zip(0..);
    let owner: HashMap<ChunkPos, (usize, usize)> =
        (0..pages.len()).flat_map(|number| slots(number).map(move |(pos, slot)| (*pos, (number, slot)))).collect();
    for here in 0..pages.len() {
        for (pos, slot) in slots(here) {
            for axis in 0..3 {
                let mut below = pos.to_array();
                below[axis] -= 1;
                let there = ChunkPos::try_from(below).ok().and_then(|pos| owner.get(&pos).copied());
                if let Some(there) = there.filter(|(number, _)| *number != here) {
                    join_face(pages, offsets, sets, axis, (here, slot), there);
                }
            }
        }
    }
}

/// Joins labels over the face of a chunk that looks down an axis (0 is x) and the one behind it, each by page and slot.
fn join_face(
    pages: &[Page],
    offsets: &[u32],
    sets: &mut Sets,
    axis: usize,
    here: (usize, usize),
    there: (usize, usize),
) {
    let label = |(page, slot): (usize, usize), at: [usize; 3]| {
        let id = id_of(&pages[page].ids.rows[slot], LocalIndex::from_xyz(at[0], at[1], at[2]));
        pages[page].labels[id as usize].checked_sub(1).map(|label| offsets[page] + label)
    };
    let mut last = None;
    for (a, b) in (0..CHUNK_EDGE).flat_map(|a| (0..CHUNK_EDGE).map(move |b| (a, b))) {
        let mut at = [a, a, b];
        at[(axis + 2) % 3] = b;
        at[(axis + 1) % 3] = a;
        at[axis] = 0;
        let near = label(here, at);
        at[axis] = CHUNK_EDGE - 1;
        if let Some(pair) = near.zip(label(there, at)).filter(|pair| last != Some(*pair)) {
            sets.join(pair.0, pair.1);
            last = Some(pair);
        }
    }
}
