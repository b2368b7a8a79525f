//! Runs of voxels along x and their union: what every labelling here is made of.
//!
//! Two voxels of a row that touch are in one run, so only runs of neighbouring rows have to be united, and what that costs
//! depends on runs and not on voxels (run-based labelling: He, Chao and Suzuki, "A run-based two-scan labeling algorithm",
//! IEEE Transactions on Image Processing 17(5), 2008). Sets are trees in an array whose roots are the smallest members,
//! whatever the order of unions, so the result depends on the voxels alone.

use bytemuck::{Pod, Zeroable};
use std::ops::Range;

/// The voxels `start..end` of a row, never none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Run {
    /// First voxel.
    pub start: u16,
    /// One past the last voxel.
    pub end: u16,
}

impl Run {
    /// Voxels in it.
    pub const fn length(self) -> u32 {
        self.end as u32 - self.start as u32
    }

    /// The run as bits of a row of a chunk.
    pub const fn mask(self) -> u32 {
        (u32::MAX >> (32 - self.length())) << self.start
    }
}

/// Longest row: its end fits a [`Run`].
pub const ROW_VOXELS_MAX: usize = u16::MAX as usize;

/// Writes where runs begin and end in a row of a chunk to the beginning of `edges`, which must have room for 32: an even number
/// of places, which [`as_runs`] reads as runs. Gives how many there are.
#[inline(always)]
pub fn find_short_row(row: u32, edges: &mut [u16]) -> usize {
    let (mut rest, mut count) = (u64::from(row), 0);
    while rest != 0 {
        // The sum carries through the lowest run and has its end as the lowest bit.
        let above = rest + (rest & rest.wrapping_neg());
        edges[count] = rest.trailing_zeros() as u16;
        edges[count + 1] = above.trailing_zeros() as u16;
        count += 2;
        rest &= above;
    }
    count
}

/// The same for a row of 64 voxels a word, with room for as many edges and one more. Bits behind the row's end must be 0.
#[inline(always)]
pub fn find_row(words: &[u64], edges: &mut [u16]) -> usize {
    let (mut before, mut count) = (0, 0);
    for (index, &word) in words.iter().enumerate() {
        push_places(word ^ (word << 1 | before), index * 64, edges, &mut count);
        before = word >> 63;
    }
    if before == 1 {
        edges[count] = (words.len() * 64) as u16;
        count += 1;
    }
    count
}

/// Writes the places of all bits that are set.
#[inline(always)]
fn push_places(mut bits: u64, first: usize, places: &mut [u16], count: &mut usize) {
    while bits != 0 {
        places[*count] = (first + bits.trailing_zeros() as usize) as u16;
        *count += 1;
        bits &= bits - 1;
    }
}

/// Beginnings and ends as runs.
///
/// # Panics
/// If a run has no end.
pub fn as_runs(edges: &[u16]) -> &[Run] {
    bytemuck::cast_slice(edges)
}

/// Calls `meet` for each pair of a run of one row and a run of another that have a place along x in common: the numbers
/// of both, ascending.
#[inline(always)]
pub fn overlaps(some: &[Run], others: &[Run], mut meet: impl FnMut(usize, usize)) {
    let (mut n, mut m) = (0, 0);
    while let (Some(one), Some(other)) = (some.get(n), others.get(m)) {
        if one.start < other.end && other.start < one.end {
            meet(n, m);
        }
        if one.end < other.end { n += 1 } else { m += 1 }
    }
}

/// The smallest member of a set. Halves the path on the way.
#[inline(always)]
pub fn find(parents: &mut [u32], mut member: u32) -> u32 {
    loop {
        let parent = parents[member as usize];
        if parent == member {
            return member;
        }
        let above = parents[parent as usize];
        parents[member as usize] = above;
        member = above;
    }
}

/// Makes one set of two. Fastest if `one` is the later one and alone in its set.
#[inline(always)]
pub fn unite(parents: &mut [u32], one: u32, other: u32) {
    let (parent, other_parent) = (parents[one as usize], parents[other as usize]);
    if parent == other_parent {
        return;
    }
    if parent == one && other_parent < one {
        // The smallest of its set goes under a smaller member of the other, whose smallest then is that of both. Looking for
        // that one would make each row wait for what the row before has stored.
        parents[one as usize] = other_parent;
        return;
    }
    unite_roots(parents, one, other);
}

/// The rare case, kept out of the loops that unite rows.
#[inline(never)]
fn unite_roots(parents: &mut [u32], one: u32, other: u32) {
    let (one, other) = (find(parents, one), find(parents, other));
    parents[one.max(other) as usize] = one.min(other);
}

/// Unites the touching runs of two rows; `row` and `other` say which runs theirs are.
#[inline(always)]
pub fn unite_rows(runs: &[Run], parents: &mut [u32], row: Range<u32>, other: Range<u32>) {
    let of = |range: &Range<u32>| &runs[range.start as usize..range.end as usize];
    overlaps(of(&row), of(&other), |n, m| unite(parents, row.start + n as u32, other.start + m as u32));
}

/// Replaces every member's parent by the number of its set, from 0 in order of smallest members; gives how many sets there
/// are.
pub fn number(parents: &mut [u32]) -> u32 {
    let mut count = 0;
    for member in 0..parents.len() {
        let parent = parents[member] as usize;
        // A parent is smaller than its member, so it has its number already.
        parents[member] = if parent == member {
            count += 1;
            count - 1
        } else {
            parents[parent]
        };
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn runs_are_the_stretches_of_set_bits(words in prop::collection::vec(any::<u64>(), 1..4), fill: u64) {
            let words: Vec<u64> = words.iter().map(|word| word | fill).collect();
            let mut edges = vec![0; words.len() * 64 + 1];
            let count = find_row(&words, &mut edges);
            let mut again = vec![0u64; words.len()];
            let mut end = None;
            for run in as_runs(&edges[..count]) {
                prop_assert!(run.start < run.end && end.is_none_or(|end| end < run.start));
                end = Some(run.end);
                (run.start..run.end).for_each(|at| again[usize::from(at) / 64] |= 1 << (at % 64));
            }
            prop_assert_eq!(&again, &words);
            let count = find_short_row(words[0] as u32, &mut edges[..32]);
            prop_assert_eq!(as_runs(&edges[..count]).iter().fold(0, |row, run| row | run.mask()), words[0] as u32);
        }

        #[test]
        fn rows_overlap_where_their_runs_share_a_place(one: u64, other: u64) {
            let (mut some, mut others) = ([0; 65], [0; 65]);
            let (count, other_count) = (find_row(&[one], &mut some), find_row(&[other], &mut others));
            let (some, others) = (as_runs(&some[..count]), as_runs(&others[..other_count]));
            let mut found = Vec::new();
            overlaps(some, others, |n, m| found.push((n, m)));
            let share = |a: Run, b: Run| (a.start..a.end).any(|at| (b.start..b.end).contains(&at));
            let pairs = (0..some.len()).flat_map(|n| (0..others.len()).map(move |m| (n, m)));
            prop_assert_eq!(found, pairs.filter(|&(n, m)| share(some[n], others[m])).collect::<Vec<_>>());
        }

        #[test]
        fn sets_do_not_depend_on_the_order_of_unions(pairs in prop::collection::vec((0u32..40, 0u32..40), 0..40)) {
            let united = |pairs: &[(u32, u32)]| {
                let mut parents: Vec<u32> = (0..40).collect();
                pairs.iter().for_each(|&(one, other)| unite(&mut parents, one, other));
                let count = number(&mut parents);
                (parents, count)
            };
            let (numbers, count) = united(&pairs);
            let backwards: Vec<_> = pairs.iter().rev().map(|&(one, other)| (other, one)).collect();
            prop_assert_eq!(&united(&backwards), &(numbers.clone(), count));
            prop_assert!(pairs.iter().all(|&(one, other)| numbers[one as usize] == numbers[other as usize]));
            // New numbers come in order.
            let mut next = 0;
            for number in numbers {
                prop_assert!(number <= next);
                next = next.max(number + 1);
            }
            prop_assert_eq!(next, count);
        }
    }
}
