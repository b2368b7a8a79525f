//! Positions as newtypes, and every conversion between them. Outside the bounds is a typed error.

use crate::limits::{
    CHUNK_EDGE, CHUNK_VOXELS, HORIZONTAL_BOUND, REGION_CHUNKS, REGION_CHUNKS_X, REGION_CHUNKS_Y, REGION_CHUNKS_Z,
    VERTICAL_BOUND,
};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::str::FromStr;

const EDGE_BITS: u32 = CHUNK_EDGE.trailing_zeros();
const REGION_BITS_X: u32 = REGION_CHUNKS_X.trailing_zeros();
const REGION_BITS_Y: u32 = REGION_CHUNKS_Y.trailing_zeros();
const REGION_BITS_Z: u32 = REGION_CHUNKS_Z.trailing_zeros();

/// A position that the world does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpaceError {
    /// A coordinate is outside the world.
    #[error("{what} {axis} = {value} is outside the world: it must be in [{min}, {max})")]
    Outside {
        /// "voxel", "chunk" or "region".
        what: &'static str,
        /// "x", "y" or "z".
        axis: &'static str,
        /// The value given.
        value: i64,
        /// Smallest accepted value.
        min: i64,
        /// One past the largest accepted value.
        max: i64,
    },
    /// A text is not a position or a box.
    #[error("{text:?} is not {expected}")]
    Syntax {
        /// The text given.
        text: String,
        /// What would have been accepted, with an example.
        expected: &'static str,
    },
    /// A box has no voxels, or its ends are the wrong way round.
    #[error("the box is empty along {axis}: it runs from {from} to {to}, and the end is not included")]
    Empty {
        /// The axis along which it is empty.
        axis: &'static str,
        /// First voxel.
        from: i32,
        /// One past the last voxel.
        to: i32,
    },
}

fn check(what: &'static str, axis: &'static str, value: i64, bound: i64) -> Result<i32, SpaceError> {
    if (-bound..bound).contains(&value) {
        Ok(value as i32)
    } else {
        Err(SpaceError::Outside { what, axis, value, min: -bound, max: bound })
    }
}

macro_rules! position {
    ($(#[$doc:meta])* $name:ident, $what:literal, $horizontal:expr, $vertical:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "[i32; 3]", into = "[i32; 3]")]
        pub struct $name {
            // y first: the derived order is then bottom to top, the order of files and exports.
            y: i32,
            z: i32,
            x: i32,
        }

        impl $name {
            /// Makes a position, if it lies inside the world.
            pub fn new(x: i32, y: i32, z: i32) -> Result<Self, SpaceError> {
                Self::from_i64(i64::from(x), i64::from(y), i64::from(z))
            }

            /// The same from wide integers, for sums that might have left the world.
            pub fn from_i64(x: i64, y: i64, z: i64) -> Result<Self, SpaceError> {
                Ok(Self {
                    x: check($what, "x", x, i64::from($horizontal))?,
                    y: check($what, "y", y, i64::from($vertical))?,
                    z: check($what, "z", z, i64::from($horizontal))?,
                })
            }

            /// East.
            pub const fn x(self) -> i32 { self.x }
            /// Up.
            pub const fn y(self) -> i32 { self.y }
            /// South.
            pub const fn z(self) -> i32 { self.z }
            /// `[x, y, z]`.
            pub const fn to_array(self) -> [i32; 3] { [self.x, self.y, self.z] }
        }

        impl TryFrom<[i32; 3]> for $name {
            type Error = SpaceError;
            fn try_from(value: [i32; 3]) -> Result<Self, SpaceError> { Self::new(value[0], value[1], value[2]) }
        }

        impl From<$name> for [i32; 3] {
            fn from(value: $name) -> Self { value.to_array() }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{},{},{}", self.x, self.y, self.z)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({},{},{})"), self.x, self.y, self.z)
            }
        }
    };
}

position!(
    /// One voxel. Y is up, one voxel is one metre.
    VoxelPos, "voxel", HORIZONTAL_BOUND, VERTICAL_BOUND
);
position!(
    /// One chunk of 32×32×32 voxels.
    ChunkPos, "chunk", HORIZONTAL_BOUND >> EDGE_BITS, VERTICAL_BOUND >> EDGE_BITS
);
position!(
    /// One region of 4×8×4 chunks: one file.
    RegionPos, "region", HORIZONTAL_BOUND >> (EDGE_BITS + REGION_BITS_X), VERTICAL_BOUND >> (EDGE_BITS + REGION_BITS_Y)
);

impl VoxelPos {
    /// The chunk that holds this voxel.
    pub const fn chunk(self) -> ChunkPos {
        ChunkPos { x: self.x >> EDGE_BITS, y: self.y >> EDGE_BITS, z: self.z >> EDGE_BITS }
    }

    /// Where in its chunk this voxel is.
    pub const fn local(self) -> LocalIndex {
        let mask = CHUNK_EDGE as i32 - 1;
        LocalIndex((self.x & mask | (self.z & mask) << EDGE_BITS | (self.y & mask) << (2 * EDGE_BITS)) as u16)
    }
}

impl ChunkPos {
    /// The voxel with the smallest coordinates.
    pub const fn origin(self) -> VoxelPos {
        VoxelPos { x: self.x << EDGE_BITS, y: self.y << EDGE_BITS, z: self.z << EDGE_BITS }
    }

    /// The voxel at a local index.
    pub const fn voxel(self, local: LocalIndex) -> VoxelPos {
        let origin = self.origin();
        VoxelPos { x: origin.x + local.x() as i32, y: origin.y + local.y() as i32, z: origin.z + local.z() as i32 }
    }

    /// The region that holds this chunk.
    pub const fn region(self) -> RegionPos {
        RegionPos { x: self.x >> REGION_BITS_X, y: self.y >> REGION_BITS_Y, z: self.z >> REGION_BITS_Z }
    }

    /// The column that holds this chunk.
    pub const fn column(self) -> ColumnPos {
        self.region().column()
    }

    /// Where in its region this chunk is: `x + 4·z + 16·y`, in `0..128`.
    pub const fn index_in_region(self) -> usize {
        let x = self.x & (REGION_CHUNKS_X as i32 - 1);
        let y = self.y & (REGION_CHUNKS_Y as i32 - 1);
        let z = self.z & (REGION_CHUNKS_Z as i32 - 1);
        (x | z << REGION_BITS_X | y << (REGION_BITS_X + REGION_BITS_Z)) as usize
    }

    /// The voxels of this chunk as a box.
    pub const fn voxel_box(self) -> VoxelBox {
        let origin = self.origin();
        let edge = CHUNK_EDGE as i32;
        VoxelBox { min: origin.to_array(), max: [origin.x + edge, origin.y + edge, origin.z + edge] }
    }
}

impl RegionPos {
    /// The column that holds this region.
    pub const fn column(self) -> ColumnPos {
        ColumnPos { z: self.z, x: self.x }
    }

    /// The chunk at an index in this region, the inverse of [`ChunkPos::index_in_region`].
    ///
    /// # Panics
    /// If `index` is not below 128.
    pub fn chunk(self, index: usize) -> ChunkPos {
        assert!(index < REGION_CHUNKS, "a region holds {REGION_CHUNKS} chunks, not {index}");
        let x = index & (REGION_CHUNKS_X - 1);
        let z = index >> REGION_BITS_X & (REGION_CHUNKS_Z - 1);
        let y = index >> (REGION_BITS_X + REGION_BITS_Z);
        ChunkPos {
            x: (self.x << REGION_BITS_X) + x as i32,
            y: (self.y << REGION_BITS_Y) + y as i32,
            z: (self.z << REGION_BITS_Z) + z as i32,
        }
    }
}

/// A map by place, for what a tick looks up again and again: quicker than the standard hash, in no order.
pub type PlaceMap<K, V> = HashMap<K, V, foldhash::fast::RandomState>;
/// The same without values.
pub type PlaceSet<K> = HashSet<K, foldhash::fast::RandomState>;

/// The 16 regions with the same x and z, a footprint of 128×128 voxels: the unit of ownership.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ColumnPos {
    z: i32,
    x: i32,
}

impl ColumnPos {
    /// Makes a position, if it lies inside the world.
    pub fn new(x: i32, z: i32) -> Result<Self, SpaceError> {
        RegionPos::new(x, 0, z).map(RegionPos::column)
    }

    /// In units of 128 voxels.
    pub const fn x(self) -> i32 {
        self.x
    }
    /// In units of 128 voxels.
    pub const fn z(self) -> i32 {
        self.z
    }
}

/// A voxel's place in its chunk: `x + 32·z + 1024·y`, always below 32,768.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct LocalIndex(u16);

impl LocalIndex {
    /// Checks an index that came from outside.
    pub const fn new(index: u16) -> Option<Self> {
        if (index as usize) < CHUNK_VOXELS { Some(Self(index)) } else { None }
    }

    /// From coordinates inside the chunk; only their low five bits count.
    pub const fn from_xyz(x: usize, y: usize, z: usize) -> Self {
        Self((x & 31 | (z & 31) << 5 | (y & 31) << 10) as u16)
    }

    /// As an index into a slice of 32,768.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
    /// As the raw number.
    pub const fn get(self) -> u16 {
        self.0
    }
    /// East, 0..32.
    pub const fn x(self) -> usize {
        (self.0 & 31) as usize
    }
    /// Up, 0..32.
    pub const fn y(self) -> usize {
        (self.0 >> 10) as usize
    }
    /// South, 0..32.
    pub const fn z(self) -> usize {
        (self.0 >> 5 & 31) as usize
    }
}

impl TryFrom<u16> for LocalIndex {
    type Error = String;
    fn try_from(value: u16) -> Result<Self, String> {
        Self::new(value).ok_or_else(|| format!("local index {value} is not below {CHUNK_VOXELS}"))
    }
}

impl From<LocalIndex> for u16 {
    fn from(value: LocalIndex) -> u16 {
        value.0
    }
}

/// A box of voxels, half-open: `min` is inside, `max` is not. Never empty, always inside the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "[[i32; 3]; 2]", into = "[[i32; 3]; 2]")]
pub struct VoxelBox {
    min: [i32; 3],
    max: [i32; 3],
}

impl VoxelBox {
    /// From `[x, y, z]` of the first voxel and of one past the last.
    pub fn new(min: [i32; 3], max: [i32; 3]) -> Result<Self, SpaceError> {
        VoxelPos::try_from(min)?;
        for (axis, name) in ["x", "y", "z"].into_iter().enumerate() {
            if min[axis] >= max[axis] {
                return Err(SpaceError::Empty { axis: name, from: min[axis], to: max[axis] });
            }
        }
        VoxelPos::from_i64(i64::from(max[0]) - 1, i64::from(max[1]) - 1, i64::from(max[2]) - 1)?;
        Ok(Self { min, max })
    }

    /// `[x, y, z]` of the first voxel.
    pub const fn min(self) -> [i32; 3] {
        self.min
    }
    /// `[x, y, z]` of one past the last voxel.
    pub const fn max(self) -> [i32; 3] {
        self.max
    }
    /// Voxels along x, y and z.
    pub const fn size(self) -> [usize; 3] {
        [
            (self.max[0] as i64 - self.min[0] as i64) as usize,
            (self.max[1] as i64 - self.min[1] as i64) as usize,
            (self.max[2] as i64 - self.min[2] as i64) as usize,
        ]
    }

    /// The voxels of this box that are in `other` too.
    pub fn intersection(self, other: Self) -> Option<Self> {
        let min = std::array::from_fn(|axis| self.min[axis].max(other.min[axis]));
        let max = std::array::from_fn(|axis| self.max[axis].min(other.max[axis]));
        (0..3).all(|axis| min[axis] < max[axis]).then_some(Self { min, max })
    }

    /// First chunk and last chunk (inside) that this box touches.
    fn chunk_ends(self) -> ([i32; 3], [i32; 3]) {
        (self.min.map(|v| v >> EDGE_BITS), self.max.map(|v| (v - 1) >> EDGE_BITS))
    }

    /// How many chunks this box touches.
    pub fn chunk_count(self) -> u64 {
        let (first, last) = self.chunk_ends();
        (0..3).map(|axis| (last[axis] - first[axis] + 1) as u64).product()
    }

    /// Every chunk that this box touches, bottom to top, then along z, then along x.
    pub fn chunks(self) -> impl Iterator<Item = ChunkPos> {
        let (first, last) = self.chunk_ends();
        (first[1]..=last[1]).flat_map(move |y| {
            (first[2]..=last[2]).flat_map(move |z| (first[0]..=last[0]).map(move |x| ChunkPos { x, y, z }))
        })
    }
}

impl TryFrom<[[i32; 3]; 2]> for VoxelBox {
    type Error = SpaceError;
    fn try_from([min, max]: [[i32; 3]; 2]) -> Result<Self, SpaceError> {
        Self::new(min, max)
    }
}

impl From<VoxelBox> for [[i32; 3]; 2] {
    fn from(value: VoxelBox) -> Self {
        [value.min, value.max]
    }
}

impl fmt::Display for VoxelBox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ([x0, y0, z0], [x1, y1, z1]) = (self.min, self.max);
        write!(f, "{x0},{y0},{z0}:{x1},{y1},{z1}")
    }
}

fn parse_triple(text: &str, expected: &'static str) -> Result<[i32; 3], SpaceError> {
    let wrong = || SpaceError::Syntax { text: text.to_owned(), expected };
    let numbers = text.split(',').map(|part| part.trim().parse::<i64>()).collect::<Result<Vec<_>, _>>();
    let [x, y, z]: [i64; 3] = numbers.map_err(|_| wrong())?.try_into().map_err(|_| wrong())?;
    let narrow = |axis, value, bound: i32| {
        let (min, max) = (-i64::from(bound), i64::from(bound));
        i32::try_from(value).map_err(|_| SpaceError::Outside { what: "voxel", axis, value, min, max })
    };
    Ok([narrow("x", x, HORIZONTAL_BOUND)?, narrow("y", y, VERTICAL_BOUND)?, narrow("z", z, HORIZONTAL_BOUND)?])
}

impl FromStr for VoxelPos {
    type Err = SpaceError;
    fn from_str(text: &str) -> Result<Self, SpaceError> {
        Self::try_from(parse_triple(text, "a position X,Y,Z, for example 0,64,-16")?)
    }
}

impl FromStr for VoxelBox {
    type Err = SpaceError;
    fn from_str(text: &str) -> Result<Self, SpaceError> {
        const EXPECTED: &str = "a box X0,Y0,Z0:X1,Y1,Z1 (the end is not included), for example -64,0,-64:64,128,64";
        let (min, max) =
            text.split_once(':').ok_or(SpaceError::Syntax { text: text.to_owned(), expected: EXPECTED })?;
        Self::new(parse_triple(min, EXPECTED)?, parse_triple(max, EXPECTED)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn voxel() -> impl Strategy<Value = VoxelPos> {
        let (h, v) = (HORIZONTAL_BOUND, VERTICAL_BOUND);
        (-h..h, -v..v, -h..h).prop_map(|(x, y, z)| VoxelPos { x, y, z })
    }

    proptest! {
        #[test]
        fn voxel_to_chunk_and_local_index_and_back_is_the_identity(v in voxel()) {
            prop_assert_eq!(v.chunk().voxel(v.local()), v);
        }

        #[test]
        fn chunk_to_region_and_index_and_back_is_the_identity(v in voxel()) {
            let c = v.chunk();
            prop_assert_eq!(c.region().chunk(c.index_in_region()), c);
            prop_assert_eq!(ChunkPos::try_from(c.to_array()), Ok(c));
            prop_assert_eq!(RegionPos::try_from(c.region().to_array()), Ok(c.region()));
        }
    }

    #[test]
    fn bounds_are_half_open() {
        assert!(VoxelPos::new(-HORIZONTAL_BOUND, -VERTICAL_BOUND, HORIZONTAL_BOUND - 1).is_ok());
        assert_eq!(
            VoxelPos::new(0, VERTICAL_BOUND, 0),
            Err(SpaceError::Outside { what: "voxel", axis: "y", value: 2048, min: -2048, max: 2048 })
        );
        assert!(VoxelPos::new(HORIZONTAL_BOUND, 0, 0).is_err());
        assert!(ChunkPos::new(0, 64, 0).is_err() && ChunkPos::new(0, -64, 0).is_ok());
    }

    #[test]
    fn boxes_parse_with_minus_signs_and_list_their_chunks_in_order() {
        let b: VoxelBox = "-1,0,-1:33,1,1".parse().unwrap();
        let chunks: Vec<_> = b.chunks().map(ChunkPos::to_array).collect();
        assert_eq!(chunks, [[-1, 0, -1], [0, 0, -1], [1, 0, -1], [-1, 0, 0], [0, 0, 0], [1, 0, 0]]);
        assert_eq!(b.chunk_count(), 6);
        assert_eq!(b.to_string(), "-1,0,-1:33,1,1");
        for bad in ["", "1,2,3", "0,0,0:0,1,1", "0,0,0:1,9999,1", "0,0,0:1,1,x", "0,0:1,1"] {
            assert!(bad.parse::<VoxelBox>().is_err(), "{bad:?} must be refused");
        }
    }

    #[test]
    fn numbers_past_32_bits_are_told_as_outside_the_world() {
        for text in ["0,0,0:2147483648,1,1", "0,-9999999999,0:1,1,1", "0,0,0:1,1,2147483647"] {
            let error = text.parse::<VoxelBox>().expect_err(text);
            assert!(matches!(error, SpaceError::Outside { .. }), "{text}: {error}");
        }
        let error = "0,0,-3000000000".parse::<VoxelPos>().expect_err("outside");
        assert!(matches!(error, SpaceError::Outside { axis: "z", value: -3_000_000_000, .. }), "{error}");
        assert!(matches!("0,0,x".parse::<VoxelPos>(), Err(SpaceError::Syntax { .. })));
    }
}
