//! Boxes of voxels that are hard for relaxation and labelling, and how they become chunks.

use std::collections::BTreeMap;
use terrane_world::generate::noise::hash;
use terrane_world::limits::CHUNK_VOXELS;
use terrane_world::space::{ChunkPos, VoxelPos};

/// A box of voxels, x fastest, then z, then y. Its first voxel lies at `origin`.
pub struct Shape {
    pub name: &'static str,
    pub edge: i32,
    pub origin: [i32; 3],
    pub open: Vec<bool>,
}

impl Shape {
    fn new(name: &'static str, edge: i32, is_open: impl Fn([i32; 3]) -> bool) -> Self {
        let open = (0..edge * edge * edge).map(|n| is_open([n % edge, n / (edge * edge), n / edge % edge])).collect();
        // Across the borders of chunks, below zero too.
        Self { name, edge, origin: [-5, -37, 20], open }
    }

    /// The place in the world of the voxel `n`.
    pub fn pos(&self, n: usize) -> VoxelPos {
        let (n, edge) = (n as i32, self.edge);
        let at = [n % edge, n / (edge * edge), n / edge % edge];
        VoxelPos::try_from(std::array::from_fn(|axis| self.origin[axis] + at[axis])).expect("inside the world")
    }

    /// Chunks with what `value` gives for each voxel of the box, and `T::default()` around it.
    pub fn chunks<T: Copy + Default>(&self, value: impl Fn(usize) -> T) -> BTreeMap<ChunkPos, Box<[T; CHUNK_VOXELS]>> {
        let mut chunks = BTreeMap::new();
        for n in 0..self.open.len() {
            let pos = self.pos(n);
            let chunk = chunks.entry(pos.chunk()).or_insert_with(|| boxed(vec![T::default(); CHUNK_VOXELS]));
            chunk[pos.local().index()] = value(n);
        }
        chunks
    }
}

pub fn boxed<T, const N: usize>(values: Vec<T>) -> Box<[T; N]> {
    values.into_boxed_slice().try_into().unwrap_or_else(|_| panic!("as many as {N}"))
}

/// Every voxel is open with this many chances in a hundred.
pub fn noise(edge: i32, percent: u32) -> Shape {
    Shape::new("noise", edge, |[x, y, z]| hash(x, y, z, 5) % 100 < percent)
}

/// Layers of spirals one voxel wide, one into the next through a hole at the end: one path through everything.
pub fn spiral(edge: i32) -> Shape {
    Shape::new("spiral", edge, |[x, y, z]| {
        let ring = x.min(z).min(edge - 1 - x).min(edge - 1 - z);
        let centre = x == edge / 2 && z == edge / 2;
        if y % 2 == 1 {
            return if y % 4 == 1 { centre } else { x == 0 && z == 0 };
        }
        // Even rings are the path; each has a wall before its first corner, and behind it the way into the next one.
        let on_path = ring % 2 == 0 && !(x == ring && z == ring + 1 && ring + 2 < edge / 2);
        let way_in = ring % 2 == 1 && x == ring && z == ring + 1;
        on_path || way_in || centre
    })
}

/// A plate with teeth that hang together nowhere else.
pub fn comb(edge: i32) -> Shape {
    Shape::new("comb", edge, |[x, y, z]| y == edge - 1 || (x % 2 == 0 && z % 2 == 0 && y != 0) || (y == 0 && x == 3))
}

/// A perfect maze of corridors one voxel wide, dug depth-first.
pub fn maze(edge: i32) -> Shape {
    let cells = edge / 2;
    let mut maze = Shape::new("maze", edge, |_| false);
    let index = |[x, y, z]: [i32; 3]| (x + edge * (z + edge * y)) as usize;
    let mut path = vec![[0; 3]];
    maze.open[0] = true;
    let mut salt = 0;
    while let Some(&cell) = path.last() {
        salt += 1;
        let first = hash(cell[0], cell[1], cell[2], salt) as usize % 6;
        let next = (0..6).map(|n| (first + n) % 6).find_map(|n| {
            let mut to = cell;
            to[n / 2] += if n % 2 == 0 { 1 } else { -1 };
            let inside = to.iter().all(|part| (0..cells).contains(part));
            (inside && !maze.open[index(to.map(|part| 2 * part))]).then_some(to)
        });
        match next {
            None => drop(path.pop()),
            Some(to) => {
                let between: [i32; 3] = std::array::from_fn(|axis| cell[axis] + to[axis]);
                maze.open[index(between)] = true;
                maze.open[index(to.map(|part| 2 * part))] = true;
                path.push(to);
            }
        }
    }
    maze
}

/// Whether the long tests are wanted: `make test-twins`.
pub fn large() -> bool {
    std::env::var("TERRANE_TWINS").is_ok_and(|word| word == "large")
}
