//! The components of a world of chunks, kept up to date while it is edited, and which of them hang on something.
//!
//! Each chunk has its pieces, which are its components taken alone, and lists of where they touch those of the next chunks.
//! A changed chunk costs its own labels and six lists. World components then are the union of a small graph, pieces and
//! touches, which is built afresh: it has a node or two for each chunk, not one for each voxel.

use super::bits::Bits;
use super::pieces::{Axis, Few, Piece, Pieces, contacts};
use super::runs::{number, unite};
use crate::space::{ChunkPos, VoxelPos};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

/// The components of some chunks. What is outside them does not exist here, so nothing hangs on it.
///
/// [`Components::set`] and [`Components::remove`] only note what has changed; [`Components::settle`] works it in. A question
/// that is asked before that is our error, and a panic.
#[derive(Debug, Default)]
pub struct Components {
    /// Where in `nodes` a chunk is.
    slots: BTreeMap<ChunkPos, u32>,
    nodes: Vec<Node>,
    /// Places in `nodes` that are empty.
    free: Vec<u32>,
    /// New solid and anchored voxels; none for a chunk that goes.
    pending: BTreeMap<ChunkPos, Option<(Bits, Bits)>>,
    graph: Graph,
}

/// One chunk.
#[derive(Debug, Default)]
struct Node {
    /// None in a place that is empty.
    pos: Option<ChunkPos>,
    pieces: Pieces,
    /// Towards the next chunk along each axis.
    links: [Link; 3],
}

/// Where pieces touch those of another chunk.
#[derive(Debug, Default)]
struct Link {
    /// Where in `nodes` that is; of no meaning without contacts.
    slot: u32,
    contacts: Few<(u16, u16)>,
}

/// Pieces united to world components.
#[derive(Debug, Default)]
struct Graph {
    /// By slot: where the pieces of its chunk begin in `set_of`.
    bases: Vec<u32>,
    /// The world component of each piece, in an order that depends on what was set when.
    set_of: Vec<u32>,
    sets: Vec<Set>,
    /// Pieces whose world component is not supported, ascending.
    unsupported: Vec<(ChunkPos, u16)>,
    /// The canonical number of each world component, made when it is asked for.
    canonical: OnceLock<Vec<u32>>,
}

/// One world component.
#[derive(Debug, Clone, Copy, Default)]
struct Set {
    voxels: u64,
    supported: bool,
}

impl Components {
    /// Of no chunks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a chunk in or replaces it. Anchored voxels that are not solid do not count.
    pub fn set(&mut self, pos: ChunkPos, solid: Bits, anchored: Bits) {
        self.pending.insert(pos, Some((solid, anchored)));
    }

    /// Takes a chunk out.
    pub fn remove(&mut self, pos: ChunkPos) {
        self.pending.insert(pos, None);
    }

    /// Works in what has changed since the last time. Chunks are labelled in the rayon pool that this is called in.
    pub fn settle(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let changes: Vec<_> = std::mem::take(&mut self.pending).into_iter().collect();
        let label = |(solid, anchored): &(Bits, Bits)| Pieces::label(solid, anchored);
        let pieces: Vec<_> = changes.par_iter().map(|(_, bits)| bits.as_ref().map(label)).collect();
        let mut links = BTreeSet::new();
        for ((pos, _), pieces) in changes.iter().zip(pieces) {
            self.replace(*pos, pieces);
            for axis in Axis::ALL {
                links.extend([Some(*pos), axis.neighbour_before(*pos)].into_iter().flatten().map(|low| (low, axis)));
            }
        }
        self.relink(links);
        self.graph = Graph::new(&self.nodes);
    }

    /// Gives a chunk its pieces, or frees its place.
    fn replace(&mut self, pos: ChunkPos, pieces: Option<Pieces>) {
        let Some(pieces) = pieces else {
            if let Some(slot) = self.slots.remove(&pos) {
                self.nodes[slot as usize] = Node::default();
                self.free.push(slot);
            }
            return;
        };
        let slot = *self.slots.entry(pos).or_insert_with(|| {
            self.free.pop().unwrap_or_else(|| {
                self.nodes.push(Node::default());
                self.nodes.len() as u32 - 1
            })
        });
        let node = &mut self.nodes[slot as usize];
        (node.pos, node.pieces) = (Some(pos), pieces);
    }

    /// Finds out anew where chunks touch: for each position and axis the chunk there and the next one.
    fn relink(&mut self, links: BTreeSet<(ChunkPos, Axis)>) {
        let slot = |pos: ChunkPos| self.slots.get(&pos).copied();
        let ends = |(pos, axis): (ChunkPos, Axis)| slot(pos).map(|low| (low, axis, axis.neighbour(pos).and_then(slot)));
        let ends: Vec<_> = links.into_iter().filter_map(ends).collect();
        let find = |&(low, axis, high): &(u32, Axis, Option<u32>)| {
            let pieces = |slot: u32| &self.nodes[slot as usize].pieces;
            high.map_or_else(Link::default, |slot| Link {
                slot,
                contacts: contacts(pieces(low), pieces(slot), axis).into(),
            })
        };
        let found: Vec<Link> = ends.par_iter().with_min_len(16).map(find).collect();
        for ((low, axis, _), link) in ends.into_iter().zip(found) {
            self.nodes[low as usize].links[axis as usize] = link;
        }
    }

    /// Everything that has been set is worked in.
    fn settled(&self) -> &Self {
        assert!(self.pending.is_empty(), "{} chunks have changed since settle()", self.pending.len());
        self
    }

    fn pieces(&self, pos: ChunkPos) -> Option<(u32, &Pieces)> {
        let slot = *self.settled().slots.get(&pos)?;
        Some((slot, &self.nodes[slot as usize].pieces))
    }

    /// The world component of a piece.
    fn set_of(&self, pos: ChunkPos, component: u16) -> usize {
        let Some((slot, pieces)) = self.pieces(pos) else { panic!("chunk {pos} is not here") };
        assert!(usize::from(component) < pieces.all().len(), "chunk {pos} has no component {component}");
        self.graph.set_of[self.graph.bases[slot as usize] as usize + usize::from(component)] as usize
    }

    /// The chunks that are here, ascending.
    pub fn chunks(&self) -> impl Iterator<Item = ChunkPos> {
        self.settled().slots.keys().copied()
    }

    /// The components of a chunk taken alone, by number: in local-index order of their first voxels. There are none in a chunk
    /// that is not here.
    pub fn in_chunk(&self, pos: ChunkPos) -> &[Piece] {
        self.pieces(pos).map_or(&[], |(_, pieces)| pieces.all())
    }

    /// The component of its chunk that a voxel is in; `None` where nothing solid is.
    pub fn at(&self, voxel: VoxelPos) -> Option<u16> {
        self.pieces(voxel.chunk())?.1.at(voxel.local())
    }

    /// The voxels of a component of a chunk.
    ///
    /// # Panics
    /// If there is no such component.
    pub fn bits_of(&self, pos: ChunkPos, component: u16) -> Bits {
        let bits = self.pieces(pos).map(|(_, pieces)| pieces.bits_of(component)).filter(|bits| !bits.is_empty());
        bits.unwrap_or_else(|| panic!("chunk {pos} has no component {component}"))
    }

    /// Whether a voxel hangs together with an anchored one; `None` where nothing solid is.
    pub fn is_supported(&self, voxel: VoxelPos) -> Option<bool> {
        let component = self.at(voxel)?;
        Some(self.graph.sets[self.set_of(voxel.chunk(), component)].supported)
    }

    /// The components of chunks that hang together with nothing anchored, ascending: each by its chunk and its number there.
    pub fn unsupported(&self) -> impl Iterator<Item = (ChunkPos, u16)> {
        self.settled().graph.unsupported.iter().copied()
    }

    /// How many components the world has.
    pub fn component_count(&self) -> usize {
        self.settled().graph.sets.len()
    }

    /// How many of them hang on nothing anchored.
    pub fn unsupported_count(&self) -> usize {
        self.settled().graph.sets.iter().filter(|set| !set.supported).count()
    }

    /// How many voxels hang on nothing anchored.
    pub fn unsupported_voxels(&self) -> u64 {
        self.settled().graph.sets.iter().filter(|set| !set.supported).map(|set| set.voxels).sum()
    }

    /// How many voxels the world component of a component of a chunk has, in all chunks.
    ///
    /// # Panics
    /// If there is no such component.
    pub fn voxels_around(&self, pos: ChunkPos, component: u16) -> u64 {
        self.graph.sets[self.set_of(pos, component)].voxels
    }

    /// The world component of a component of a chunk, numbered from 0 in the order of positions (y, z, x) of first voxels. The
    /// numbers depend on nothing but the voxels.
    ///
    /// # Panics
    /// If there is no such component.
    pub fn world_component_of(&self, pos: ChunkPos, component: u16) -> usize {
        let set = self.set_of(pos, component);
        self.graph.canonical.get_or_init(|| self.canonical())[set] as usize
    }

    /// World components by the order of their first voxels.
    fn canonical(&self) -> Vec<u32> {
        let mut lowest: Vec<Option<VoxelPos>> = vec![None; self.graph.sets.len()];
        for (pos, slot) in &self.slots {
            let base = self.graph.bases[*slot as usize] as usize;
            for (n, piece) in self.nodes[*slot as usize].pieces.all().iter().enumerate() {
                let lowest = &mut lowest[self.graph.set_of[base + n] as usize];
                let first = pos.voxel(piece.first);
                *lowest = Some(lowest.map_or(first, |lowest| lowest.min(first)));
            }
        }
        let mut order: Vec<u32> = (0..lowest.len() as u32).collect();
        order.sort_unstable_by_key(|set| lowest[*set as usize]);
        let mut numbers = vec![0; order.len()];
        order.iter().zip(0..).for_each(|(set, number)| numbers[*set as usize] = number);
        numbers
    }
}

impl Graph {
    fn new(nodes: &[Node]) -> Self {
        let mut bases = Vec::with_capacity(nodes.len());
        let mut total = 0u32;
        for node in nodes {
            bases.push(total);
            total += node.pieces.all().len() as u32;
        }
        let mut set_of: Vec<u32> = (0..total).collect();
        for (node, base) in nodes.iter().zip(&bases) {
            for link in &node.links {
                for (one, other) in link.contacts.iter() {
                    unite(&mut set_of, base + u32::from(*one), bases[link.slot as usize] + u32::from(*other));
                }
            }
        }
        let mut sets = vec![Set::default(); number(&mut set_of) as usize];
        let pieces = nodes.iter().flat_map(|node| node.pieces.all());
        for (piece, set) in pieces.zip(&set_of) {
            let set = &mut sets[*set as usize];
            set.voxels += u64::from(piece.voxels);
            set.supported |= piece.anchored;
        }
        let mut unsupported = Vec::new();
        for (node, base) in nodes.iter().zip(&bases) {
            let Some(pos) = node.pos else { continue };
            let sets_here = &set_of[*base as usize..][..node.pieces.all().len()];
            let loose = (0..).zip(sets_here).filter(|(_, set)| !sets[**set as usize].supported);
            unsupported.extend(loose.map(|(piece, _)| (pos, piece)));
        }
        unsupported.sort_unstable();
        Self { bases, set_of, sets, unsupported, canonical: OnceLock::new() }
    }
}
