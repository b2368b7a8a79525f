//! Labels of a dense array of voxels, value for value what `scipy.ndimage.label` and cc3d give for 6-connectivity.
//!
//! The array is cut into slabs of whole layers. Each slab gets its runs and their sets on some thread; then the sets of
//! neighbouring slabs are united where they touch, and every slab writes its labels. How it is cut depends on the array's
//! size alone, and sets go by their smallest members, so threads leave no trace.

use super::runs::{ROW_VOXELS_MAX, Run, as_runs, find_row, number, overlaps, unite, unite_rows};
use crate::generate::Level;
use crate::generate::lanes::Lanes;
use crate::generate::simd::{Kernel, run};
use rayon::prelude::*;

/// Voxels of a slab, if a layer has no more: enough that seams cost little, few enough that slabs outnumber threads.
const SLAB_VOXELS: usize = 1 << 22;
/// Voxels that one word of bits stands for.
const WORD: usize = 64;

/// Labels the voxels of `solid` that are not 0: voxels that hang together through faces get one label, the others 0. Labels
/// count from 1 in the order of each component's first voxel. Gives how many components there are.
///
/// `size` is along `[x, y, z]`; in both slices x runs fastest, then z, then y (C-order `[y][z][x]`). It runs in the rayon
/// pool that it is called in.
///
/// # Panics
/// If the slices are not as long as the size says, if a row is longer than 65,535 voxels, or if there are 2³² or more.
pub fn label_volume(solid: &[u8], size: [usize; 3], labels: &mut [u32]) -> u32 {
    label_volume_with(Level::best(), solid, size, labels)
}

/// The same with the vector instructions of a level, if the machine has them. The labels do not depend on it.
///
/// # Panics
/// As [`label_volume`].
pub fn label_volume_with(level: Level, solid: &[u8], size: [usize; 3], labels: &mut [u32]) -> u32 {
    let [width, height, depth] = size;
    let voxels = width.checked_mul(height).and_then(|area| area.checked_mul(depth));
    assert!(voxels.is_some_and(|voxels| u32::try_from(voxels).is_ok()), "{size:?} is 2³² voxels or more");
    assert!(voxels == Some(solid.len()) && solid.len() == labels.len(), "the slices are not of {size:?}");
    assert!(width <= ROW_VOXELS_MAX, "a row of {width} voxels; {ROW_VOXELS_MAX} is the most");
    if solid.is_empty() {
        return 0;
    }
    let layer = width * depth;
    let slab_voxels = layer * (SLAB_VOXELS / layer).max(1);
    let slabs: Vec<Slab> = solid.par_chunks(slab_voxels).map(|solid| Slab::new(level, solid, width, depth)).collect();
    let (bases, numbers, count) = join(&slabs, depth);
    let write = |((slab, base), labels): ((&Slab, &usize), &mut [u32])| {
        let of_sets = &numbers[*base..*base + slab.count as usize];
        run(level, WriteLabels { slab, of_sets, width, labels });
    };
    slabs.par_iter().zip(&bases).zip(labels.par_chunks_mut(slab_voxels)).for_each(write);
    count
}

/// Some layers of the array.
struct Slab {
    edges: Vec<u16>,
    /// The first run of each row, and how many runs there are.
    first: Vec<u32>,
    /// The set of each run.
    sets: Vec<u32>,
    /// How many sets there are.
    count: u32,
}

impl Slab {
    fn new(level: Level, solid: &[u8], width: usize, depth: usize) -> Self {
        let (mut edges, mut first) = (Vec::new(), Vec::with_capacity(solid.len() / width + 1));
        run(level, FindRuns { solid, width, edges: &mut edges, first: &mut first });
        let mut sets: Vec<u32> = (0..edges.len() as u32 / 2).collect();
        unite_layers(as_runs(&edges), &first, depth, &mut sets);
        let count = number(&mut sets);
        Self { edges, first, sets, count }
    }

    /// The runs of a row and the set of each.
    #[inline(always)]
    fn row(&self, index: usize) -> (&[Run], &[u32]) {
        let range = self.first[index] as usize..self.first[index + 1] as usize;
        (&as_runs(&self.edges)[range.clone()], &self.sets[range])
    }

    fn rows(&self) -> usize {
        self.first.len() - 1
    }
}

/// Unites the runs of every row with those of the row before in its layer, and of the same row in the layer below.
fn unite_layers(runs: &[Run], first: &[u32], depth: usize, parents: &mut [u32]) {
    let row = |index: usize| first[index]..first[index + 1];
    for index in 0..first.len() - 1 {
        if index % depth > 0 {
            unite_rows(runs, parents, row(index), row(index - 1));
        }
        if index >= depth {
            unite_rows(runs, parents, row(index), row(index - depth));
        }
    }
}

/// Unites the sets of slabs. Gives for each slab where its sets begin among all, for each of all sets its label, and how many
/// labels there are.
fn join(slabs: &[Slab], depth: usize) -> (Vec<usize>, Vec<u32>, u32) {
    let mut bases = Vec::with_capacity(slabs.len());
    let mut total = 0;
    for slab in slabs {
        bases.push(total as usize);
        total += slab.count;
    }
    let mut sets: Vec<u32> = (0..total).collect();
    for (n, pair) in slabs.windows(2).enumerate() {
        let (low, high) = (bases[n] as u32, bases[n + 1] as u32);
        for row in 0..depth {
            let (runs, below) = pair[0].row(pair[0].rows() - depth + row);
            let (others, above) = pair[1].row(row);
            overlaps(runs, others, |n, m| unite(&mut sets, low + below[n], high + above[m]));
        }
    }
    // Sets of a slab are in the order of their first voxels, and slabs are in order too.
    let count = number(&mut sets);
    sets.iter_mut().for_each(|set| *set += 1);
    (bases, sets, count)
}

/// Finds the runs of all rows, and for `first` the number of runs before each row and in all.
struct FindRuns<'a> {
    solid: &'a [u8],
    width: usize,
    edges: &'a mut Vec<u16>,
    first: &'a mut Vec<u32>,
}

impl Kernel for FindRuns<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Self { solid, width, edges, first } = self;
        let mut words = vec![0; width.div_ceil(WORD)];
        let room = words.len() * WORD + 1;
        edges.resize(first.capacity() * 4 + room, 0);
        let mut count = 0;
        first.push(0);
        for row in solid.chunks_exact(width) {
            pack_row::<L>(row, &mut words);
            if edges.len() < count + room {
                edges.resize(edges.len() * 2, 0);
            }
            count += find_row(&words, &mut edges[count..]);
            first.push((count / 2) as u32);
        }
        edges.truncate(count);
    }
}

/// Bytes to bits, whole words; bits behind the row's end are 0.
#[inline(always)]
fn pack_row<L: Lanes>(row: &[u8], words: &mut [u64]) {
    let (whole, rest) = row.as_chunks::<WORD>();
    whole.iter().zip(words.iter_mut()).for_each(|(bytes, word)| *word = L::set_bytes(bytes));
    if let Some(word) = words.get_mut(whole.len()) {
        let mut bytes = [0; WORD];
        bytes[..rest.len()].copy_from_slice(rest);
        *word = L::set_bytes(&bytes);
    }
}

/// Writes the labels of a slab.
struct WriteLabels<'a> {
    slab: &'a Slab,
    /// The label of each set.
    of_sets: &'a [u32],
    width: usize,
    labels: &'a mut [u32],
}

impl Kernel for WriteLabels<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        // What is not solid goes on over the ends of rows.
        let mut end = 0;
        for row in 0..self.slab.rows() {
            let (runs, sets) = self.slab.row(row);
            for (run, set) in runs.iter().zip(sets) {
                let start = row * self.width + usize::from(run.start);
                self.labels[end..start].fill(0);
                end = row * self.width + usize::from(run.end);
                self.labels[start..end].fill(self.of_sets[*set as usize]);
            }
        }
        self.labels[end..].fill(0);
    }
}
