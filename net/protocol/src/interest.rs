//! Which chunks a subscription wants, in which order, and what changes from one subscription to the next.

use crate::error::ProtocolError;
use crate::frame::Kind;
use crate::limits::{SUBSCRIPTION_CHUNKS_MAX, SUBSCRIPTION_MARGIN_MAX, SUBSCRIPTION_RADIUS_MAX};
use terrane_world::limits::{CHUNK_EDGE, HORIZONTAL_BOUND, VERTICAL_BOUND};
use terrane_world::space::{ChunkPos, VoxelPos};

/// Bounds of a chunk's x and z, and of its y.
const BOUNDS: [i32; 3] =
    [HORIZONTAL_BOUND / CHUNK_EDGE as i32, VERTICAL_BOUND / CHUNK_EDGE as i32, HORIZONTAL_BOUND / CHUNK_EDGE as i32];
const BOX: u16 = 0;
const RADIUS: u16 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kinds {
    Box { min: [i32; 3], max: [i32; 3] },
    Radius { centre: ChunkPos, horizontal: i32, vertical: i32, margin: i32 },
}

/// The chunks of a subscription. Never more than 65,536, with those that are kept for being near.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape(Kinds);

fn value_error(field: &'static str, value: i64, min: i64, max: i64) -> ProtocolError {
    ProtocolError::Value { kind: Kind::Subscribe, field, value: value.into(), min: min.into(), max: max.into() }
}

/// Chunks with dx² + dz² ≤ r².
fn disc_chunks(radius: i32) -> u64 {
    let squared = i64::from(radius) * i64::from(radius);
    (-i64::from(radius)..=i64::from(radius)).map(|x| 2 * (squared - x * x).isqrt() as u64 + 1).sum()
}

fn check_count(count: u64) -> Result<(), ProtocolError> {
    match count <= SUBSCRIPTION_CHUNKS_MAX as u64 {
        true => Ok(()),
        false => Err(value_error("chunks in the subscription", count as i64, 0, SUBSCRIPTION_CHUNKS_MAX as i64)),
    }
}

impl Shape {
    /// A half-open box of chunks: `min` is inside, `max` is not. It may be empty.
    pub fn new_box(min: [i32; 3], max: [i32; 3]) -> Result<Self, ProtocolError> {
        let mut count = 1u64;
        for axis in 0..3 {
            let bound = i64::from(BOUNDS[axis]);
            let (low, high) = (i64::from(min[axis]), i64::from(max[axis]));
            if !(-bound..=bound).contains(&low) {
                return Err(value_error("a coordinate of the first chunk", low, -bound, bound));
            }
            if !(low..=bound).contains(&high) {
                return Err(value_error("a coordinate one past the last chunk", high, low, bound));
            }
            count = count.saturating_mul((high - low) as u64);
        }
        check_count(count)?;
        Ok(Self(Kinds::Box { min, max }))
    }

    /// The chunks with dx² + dz² ≤ horizontal² and |dy| ≤ vertical around `centre`. Those outside the world count
    /// towards the maximum, and are left out.
    pub fn new_radius(centre: ChunkPos, horizontal: i32, vertical: i32) -> Result<Self, ProtocolError> {
        for (field, radius) in [("horizontal radius", horizontal), ("vertical radius", vertical)] {
            if !(0..=SUBSCRIPTION_RADIUS_MAX).contains(&radius) {
                return Err(value_error(field, radius.into(), 0, SUBSCRIPTION_RADIUS_MAX.into()));
            }
        }
        check_count(disc_chunks(horizontal) * (2 * vertical as u64 + 1))?;
        Ok(Self(Kinds::Radius { centre, horizontal, vertical, margin: 0 }))
    }

    /// The same radius, where chunks that the client holds stay until they are so many chunks further away: who goes to and fro
    /// over a chunk's border is not sent the same chunks again. A box keeps nothing.
    pub fn with_margin(self, margin: i32) -> Result<Self, ProtocolError> {
        if !(0..=SUBSCRIPTION_MARGIN_MAX).contains(&margin) {
            return Err(value_error("margin", margin.into(), 0, SUBSCRIPTION_MARGIN_MAX.into()));
        }
        let Kinds::Radius { centre, horizontal, vertical, .. } = self.0 else { return Ok(self) };
        check_count(disc_chunks(horizontal + margin) * (2 * (vertical + margin) as u64 + 1))?;
        Ok(Self(Kinds::Radius { centre, horizontal, vertical, margin }))
    }

    /// From the numbers of a Subscribe frame.
    pub fn from_wire(shape: u16, first: [i32; 3], second: [i32; 3]) -> Result<Self, ProtocolError> {
        match shape {
            BOX => Self::new_box(first, second),
            RADIUS => {
                let centre = ChunkPos::try_from(first)
                    .map_err(|source| ProtocolError::Position { kind: Kind::Subscribe, source })?;
                Self::new_radius(centre, second[0], second[1])?.with_margin(second[2])
            }
            _ => Err(value_error("shape", shape.into(), BOX.into(), RADIUS.into())),
        }
    }

    /// The numbers of a Subscribe frame.
    pub const fn to_wire(self) -> (u16, [i32; 3], [i32; 3]) {
        match self.0 {
            Kinds::Box { min, max } => (BOX, min, max),
            Kinds::Radius { centre, horizontal, vertical, margin } => {
                (RADIUS, centre.to_array(), [horizontal, vertical, margin])
            }
        }
    }

    /// Whether it holds a chunk.
    pub fn contains(self, pos: ChunkPos) -> bool {
        self.reaches(pos, 0)
    }

    /// Whether a chunk that the client holds stays with it: it is in the subscription, or in its margin.
    pub fn keeps(self, pos: ChunkPos) -> bool {
        match self.0 {
            Kinds::Box { .. } => self.contains(pos),
            Kinds::Radius { margin, .. } => self.reaches(pos, margin),
        }
    }

    fn reaches(self, pos: ChunkPos, margin: i32) -> bool {
        let pos = pos.to_array();
        match self.0 {
            Kinds::Box { min, max } => (0..3).all(|axis| (min[axis]..max[axis]).contains(&pos[axis])),
            Kinds::Radius { centre, horizontal, vertical, .. } => {
                let [dx, dy, dz] = difference(pos, centre.to_array());
                let (horizontal, vertical) = (i64::from(horizontal + margin), i64::from(vertical + margin));
                dx.abs() <= horizontal
                    && dz.abs() <= horizontal
                    && dx * dx + dz * dz <= horizontal * horizontal
                    && dy.abs() <= vertical
            }
        }
    }

    /// Whether it holds a chunk of a box of chunks, both ends inside. Those outside the world count as well.
    pub fn meets(self, first: [i32; 3], last: [i32; 3]) -> bool {
        match self.0 {
            Kinds::Box { min, max } => (0..3).all(|axis| first[axis] < max[axis] && last[axis] >= min[axis]),
            Kinds::Radius { centre, horizontal, vertical, .. } => {
                // The nearest that the box has to the centre.
                let nearest = std::array::from_fn(|axis| centre.to_array()[axis].clamp(first[axis], last[axis]));
                let [dx, dy, dz] = difference(nearest, centre.to_array());
                dx * dx + dz * dz <= i64::from(horizontal) * i64::from(horizontal) && dy.abs() <= i64::from(vertical)
            }
        }
    }

    /// Its chunks, nearest to the centre first; those equally near from bottom to top, then along z, then along x.
    pub fn chunks(self) -> Vec<ChunkPos> {
        let (min, max) = self.ends();
        // Twice the centre, so that the middle of an even number of chunks is a whole number.
        let centre: [i64; 3] = match self.0 {
            Kinds::Box { min, max } => std::array::from_fn(|i| i64::from(min[i]) + i64::from(max[i]) - 1),
            Kinds::Radius { centre, .. } => centre.to_array().map(|c| 2 * i64::from(c)),
        };
        let mut chunks: Vec<(i64, ChunkPos)> = Vec::new();
        for y in min[1]..max[1] {
            for z in min[2]..max[2] {
                for x in min[0]..max[0] {
                    let Ok(pos) = ChunkPos::new(x, y, z) else { continue };
                    if self.contains(pos) {
                        let away = |axis: usize| 2 * i64::from(pos.to_array()[axis]) - centre[axis];
                        chunks.push(((0..3).map(|axis| away(axis) * away(axis)).sum(), pos));
                    }
                }
            }
        }
        chunks.sort_unstable();
        chunks.into_iter().map(|(_, pos)| pos).collect()
    }

    /// The box around it, half-open.
    fn ends(self) -> ([i32; 3], [i32; 3]) {
        match self.0 {
            Kinds::Box { min, max } => (min, max),
            Kinds::Radius { centre, horizontal, vertical, .. } => {
                let (centre, reach) = (centre.to_array(), [horizontal, vertical, horizontal]);
                (
                    std::array::from_fn(|i| (centre[i] - reach[i]).max(-BOUNDS[i])),
                    std::array::from_fn(|i| (centre[i] + reach[i] + 1).min(BOUNDS[i])),
                )
            }
        }
    }
}

/// Where a client looks from, and where to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// The voxel that its eye is in.
    pub eye: VoxelPos,
    /// Forwards along x, y and z, of any length; zeros if it says nothing.
    pub forward: [i8; 3],
}

impl View {
    /// How little a chunk matters: the square of its distance in half chunks, four times that for one that is more than 60° off
    /// to a side, unless it is next to the eye.
    pub fn remoteness(self, pos: ChunkPos) -> u64 {
        // Nothing further away than this is subscribed to; what is said of an eye elsewhere shall not overflow.
        const FAR: i64 = 1 << 12;
        let (eye, pos, half) = (self.eye.to_array(), pos.to_array(), CHUNK_EDGE as i64 / 2);
        let away: [i64; 3] = std::array::from_fn(|axis| {
            (2 * i64::from(pos[axis]) + 1 - i64::from(eye[axis]).div_euclid(half)).clamp(-FAR, FAR)
        });
        let forward = self.forward.map(i64::from);
        let product = |a: [i64; 3], b: [i64; 3]| -> i64 { (0..3).map(|axis| a[axis] * b[axis]).sum() };
        let (squared, ahead) = (product(away, away), product(away, forward));
        let is_seen = ahead > 0 && 4 * ahead * ahead >= squared * product(forward, forward);
        let is_near = away.iter().all(|part| part.abs() <= 3);
        (squared * if is_seen || is_near || forward == [0; 3] { 1 } else { 4 }) as u64
    }
}

fn difference(a: [i32; 3], b: [i32; 3]) -> [i64; 3] {
    std::array::from_fn(|axis| i64::from(a[axis]) - i64::from(b[axis]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(x: i32, y: i32, z: i32) -> ChunkPos {
        ChunkPos::new(x, y, z).unwrap()
    }

    #[test]
    fn the_nearest_chunk_comes_first_and_the_order_is_fixed() {
        let shape = Shape::new_radius(at(5, 2, -3), 1, 1).unwrap();
        let chunks = shape.chunks();
        assert_eq!(chunks.len(), 15);
        assert_eq!(chunks[0], at(5, 2, -3));
        assert_eq!(&chunks[1..4], &[at(5, 1, -3), at(5, 2, -4), at(4, 2, -3)]);
        let shape = Shape::new_box([0, 0, 0], [4, 1, 1]).unwrap();
        assert_eq!(shape.chunks(), [at(1, 0, 0), at(2, 0, 0), at(0, 0, 0), at(3, 0, 0)]);
    }

    #[test]
    fn too_large_and_too_far_is_refused() {
        assert!(Shape::new_box([0, 0, 0], [256, 1, 256]).is_ok());
        assert!(Shape::new_box([0, 0, 0], [257, 1, 256]).is_err());
        assert!(Shape::new_box([i32::MIN, 0, 0], [i32::MAX, 1, 1]).is_err());
        assert!(Shape::new_box([1, 0, 0], [0, 1, 1]).is_err());
        assert!(Shape::new_box([BOUNDS[0] - 1, 0, 0], [BOUNDS[0], 1, 1]).is_ok());
        assert!(Shape::new_radius(at(0, 0, 0), 64, 2).is_ok());
        assert!(Shape::new_radius(at(0, 0, 0), 64, 3).is_err());
        assert!(Shape::new_radius(at(0, 0, 0), 65, 0).is_err());
        assert!(Shape::new_radius(at(0, 0, 0), -1, 0).is_err());
    }

    #[test]
    fn at_the_worlds_edge_a_radius_is_cut() {
        let shape = Shape::new_radius(at(BOUNDS[0] - 1, BOUNDS[1] - 1, 0), 2, 1).unwrap();
        assert!(shape.chunks().iter().all(|pos| pos.x() < BOUNDS[0] && pos.y() < BOUNDS[1]));
        assert_eq!(shape.chunks().len(), 2 * (13 - 4));
    }

    proptest! {
        #[test]
        fn chunks_are_those_contained_and_a_disc_is_counted_right(r in 0i32..12, v in 0i32..3, x in -9i32..9) {
            let shape = Shape::new_radius(at(x, 0, 0), r, v).unwrap();
            let chunks = shape.chunks();
            prop_assert_eq!(chunks.len() as u64, disc_chunks(r) * (2 * v as u64 + 1));
            prop_assert!(chunks.iter().all(|pos| shape.contains(*pos)));
        }

        #[test]
        fn a_box_is_met_where_a_chunk_of_it_is_contained(
            x in -4i32..4, y in -3i32..3, z in -4i32..4, r in 0i32..4, v in 0i32..2, size in prop::array::uniform3(0i32..3),
        ) {
            let (first, last) = ([x, y, z], [x + size[0], y + size[1], z + size[2]]);
            for shape in [Shape::new_radius(at(0, 0, 1), r, v).unwrap(), Shape::new_box([-1, -v, 0], [r, 1, 2]).unwrap_or(Shape::new_box([0; 3], [1; 3]).unwrap())] {
                let met = Shape::new_box(first, last.map(|end| end + 1)).unwrap().chunks().iter().any(|pos| shape.contains(*pos));
                prop_assert_eq!(shape.meets(first, last), met);
            }
        }

        #[test]
        fn what_is_kept_is_what_a_larger_radius_holds(x in -9i32..9, r in 0i32..5, v in 0i32..2, margin in 0i32..4) {
            let shape = Shape::new_radius(at(x, 0, 0), r, v).unwrap();
            let (kept, larger) = (shape.with_margin(margin).unwrap(), Shape::new_radius(at(x, 0, 0), r + margin, v + margin).unwrap());
            prop_assert_eq!(kept.chunks(), shape.chunks());
            for pos in Shape::new_radius(at(x, 0, 0), 10, 5).unwrap().chunks() {
                prop_assert_eq!(kept.keeps(pos), larger.contains(pos));
                prop_assert!(!kept.contains(pos) || kept.keeps(pos));
            }
            prop_assert_eq!(Shape::from_wire(kept.to_wire().0, kept.to_wire().1, kept.to_wire().2).unwrap(), kept);
        }

        #[test]
        fn a_chunk_ahead_is_never_behind_one_that_is_as_far_and_not_seen(x in -40i32..40, y in -8i32..8, z in -40i32..40) {
            let eye = VoxelPos::new(16, 16, 16).unwrap();
            let view = View { eye, forward: [x.signum() as i8, y.signum() as i8, z.signum() as i8] };
            let (ahead, behind) = (view.remoteness(at(x, y, z)), view.remoteness(at(-x, -y, -z)));
            prop_assert!(ahead <= behind + 4 * (x.abs() + y.abs() + z.abs()) as u64 + 12);
            prop_assert!(view.remoteness(at(2 * x, 2 * y, 2 * z)) >= ahead);
            let anywhere = View { eye: VoxelPos::new(-(1 << 30), 2047, (1 << 30) - 1).unwrap(), forward: [127, -128, 1] };
            prop_assert!(anywhere.remoteness(at(x, y, z)) > 0);
        }
    }
}
