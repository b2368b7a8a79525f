//! What a painter is, and the colours that painters share.

use crate::failure::Failure;
use rayon::prelude::*;

/// Red, green, blue, opacity.
pub type Pixel = [u8; 4];

/// Nothing is here.
pub const CLEAR: Pixel = [0; 4];

/// Voxels along one edge of the footprint of chunks.
pub const EDGE: usize = 32;

/// A rectangle of places, in voxels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Area {
    /// The westernmost place.
    pub x: i32,
    /// The northernmost place.
    pub z: i32,
    /// Along x.
    pub width: usize,
    /// Along z.
    pub depth: usize,
}

/// What a colour of a map stands for, and its share of the whole.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Entry {
    pub name: String,
    pub colour: [u8; 3],
    pub share: f64,
}

/// Colours places. Any area may be asked for, in any order and by several threads; the colours of a place depend on the
/// place alone.
pub trait Painter: Sync {
    /// The pixels of an area, row by row.
    fn paint(&self, area: Area) -> Result<Vec<Pixel>, Failure>;

    /// What the colours of everything that was painted so far stand for.
    fn legend(&self) -> Vec<Entry> {
        Vec::new()
    }
}

/// An area put together from the 32×32 places of each footprint of chunks, which are made in parallel.
pub fn by_footprint<T: Copy + Send + Sync>(
    area: Area,
    empty: T,
    make: impl Fn(i32, i32) -> Result<Vec<T>, Failure> + Sync,
) -> Result<Vec<T>, Failure> {
    let range = |from: i32, length: usize| from >> 5..=(from + length as i32 - 1) >> 5;
    let columns = range(area.x, area.width);
    let footprints: Vec<[i32; 2]> =
        range(area.z, area.depth).flat_map(|z| columns.clone().map(move |x| [x, z])).collect();
    let made: Vec<Vec<T>> = footprints.par_iter().map(|[x, z]| make(*x, *z)).collect::<Result<_, _>>()?;
    let mut all = vec![empty; area.width * area.depth];
    for ([x, z], cells) in footprints.into_iter().zip(made) {
        copy(area, [x * EDGE as i32, z * EDGE as i32], &cells, &mut all);
    }
    Ok(all)
}

/// Copies what lies inside the area of a footprint whose first place is at `x`, `z`.
fn copy<T: Copy>(area: Area, [x, z]: [i32; 2], cells: &[T], all: &mut [T]) {
    let from = (area.x - x).max(0) as usize;
    let to = (area.x + area.width as i32 - x).clamp(0, EDGE as i32) as usize;
    for row in 0..EDGE {
        let at = z + row as i32 - area.z;
        if (0..area.depth as i32).contains(&at) {
            let begin = at as usize * area.width + (x + from as i32 - area.x) as usize;
            all[begin..begin + to - from].copy_from_slice(&cells[row * EDGE..][from..to]);
        }
    }
}

/// A colour in light or shade: 256 leaves it as it is.
pub fn lit(colour: [u8; 3], shade: i32) -> [u8; 3] {
    colour.map(|part| (i32::from(part) * shade / 256).clamp(0, 255) as u8)
}

/// Two colours; `share` out of 256 of the second.
pub fn mixed(first: [u8; 3], second: [u8; 3], share: i32) -> [u8; 3] {
    std::array::from_fn(|n| {
        let (first, second) = (i32::from(first[n]), i32::from(second[n]));
        (first + (second - first) * share.clamp(0, 256) / 256) as u8
    })
}

/// The colour of a value on a line through colours, whose values ascend.
pub fn ramp(corners: &[(i32, [u8; 3])], value: i32) -> [u8; 3] {
    let after = corners.partition_point(|(at, _)| *at <= value);
    if after == 0 || after == corners.len() {
        return corners[after.saturating_sub(1)].1;
    }
    let ((low, first), (high, second)) = (corners[after - 1], corners[after]);
    mixed(first, second, (value - low) * 256 / (high - low))
}

/// A colour that hides what is behind it.
pub const fn opaque([red, green, blue]: [u8; 3]) -> Pixel {
    [red, green, blue, 255]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_area_across_footprints_has_every_place_once() {
        let make = |x: i32, z: i32| Ok((0..1024).map(|n| (x * 32 + n % 32, z * 32 + n / 32)).collect());
        for (x, z, width, depth) in [(-40, -7, 90, 50), (3, 5, 1, 1), (0, 0, 32, 32), (31, 31, 2, 2)] {
            let all = by_footprint(Area { x, z, width, depth }, (0, 0), make).unwrap();
            let expected: Vec<(i32, i32)> =
                (0..(width * depth) as i32).map(|n| (x + n % width as i32, z + n / width as i32)).collect();
            assert_eq!(all, expected);
        }
    }

    #[test]
    fn a_ramp_goes_through_its_corners() {
        let corners = [(0, [0, 0, 0]), (10, [100, 50, 0]), (20, [100, 150, 250])];
        for (value, colour) in [(-5, [0; 3]), (0, [0; 3]), (5, [50, 25, 0]), (10, [100, 50, 0]), (99, [100, 150, 250])]
        {
            assert_eq!(ramp(&corners, value), colour, "{value}");
        }
    }
}
