//! Tunnels and caverns: tunnels run where two noises are both near zero, which are long lines that meet and part; caverns are
//! where a third is high, and tunnels lead through them. Deep down they hold lava.

use super::super::error::{GenerateError, GeneratorError};
use super::super::grid::{self, Field};
use super::super::lanes::Lanes;
use super::super::noise::Octaves;
use super::super::simd::{self, Kernel, Level};
use super::super::stage::{
    Cells, Context, Draft, Entries, Entry, Layer, MAP_CELLS, MAP_EDGE, Maps, NO_WATER, Stage, Twin, cell,
};
use super::{AIR, LAVA, Maker, words};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// Width of tunnels, in percent.
    tunnels: i64,
    /// Room of caverns, in percent.
    caverns: i64,
    /// y below which caves hold lava.
    lava: i64,
    salt: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { tunnels: 100, caverns: 100, lava: -116, salt: 0 }
    }
}

/// What the kernel and its twin are given.
#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct Parameters {
    seed: u32,
    /// A tunnel is where both noises are nearer to zero than this.
    tunnel: i32,
    /// A cavern is where the noise is above this.
    cavern: i32,
    lava: i32,
    /// y of the lowest voxel that may be opened.
    lowest: i32,
    sea: i32,
}

/// Voxels of ground above a tunnel, where it may not open to the sky, and above a cavern.
const ROOF: i16 = 7;
const CAVERN_ROOF: i16 = 20;
/// Noise above which a cave may open to the sky.
const MOUTH: i16 = 3_400;

pub(super) struct Caverns(Parameters);

impl Caverns {
    pub(super) fn new(maker: &mut Maker<'_, '_>) -> Result<Self, GeneratorError> {
        let settings: Settings = maker.settings()?;
        let fixed = maker.making.fixed;
        Ok(Self(Parameters {
            seed: maker.seed(settings.salt),
            tunnel: maker.within("tunnels", settings.tunnels, 0, 300)? * 5,
            cavern: 3_600 - maker.within("caverns", settings.caverns, 0, 200)? * 11,
            lava: maker.within("lava", settings.lava, -2_048, 2_048)?,
            lowest: fixed.floor + 4,
            sea: fixed.sea,
        }))
    }

    /// The two noises of tunnels, and that of caverns.
    fn octaves(&self) -> [Octaves; 3] {
        let seed = self.0.seed;
        [
            Octaves::flat(6, 5, 2, seed),
            Octaves::flat(6, 5, 2, seed.wrapping_add(10)),
            Octaves::flat(6, 5, 2, seed.wrapping_add(20)),
        ]
    }
}

impl Stage for Caverns {
    fn name(&self) -> &str {
        "caverns"
    }

    fn maps(&self, maps: &mut Maps, level: Level) -> Result<(), GenerateError> {
        let mut mouths = [0; MAP_CELLS];
        grid::fractal2(level, maps.origin(), Octaves::new(6, 2, self.0.seed.wrapping_add(30)), &mut mouths);
        simd::run(level, Tops { parameters: &self.0, mouths: &mouths, maps });
        Ok(())
    }

    fn blocks(&self, draft: &mut Draft, context: &Context<'_>) -> Result<(), GenerateError> {
        let origin = draft.pos().origin().to_array();
        let (_, top) = context.maps.range(Layer::CaveTop);
        let rows =
            (self.0.lowest - origin[1]).clamp(0, 32) as usize..(i32::from(top) - origin[1]).clamp(0, 32) as usize;
        if rows.is_empty() || draft.uniform() == Some(AIR) {
            return Ok(());
        }
        let mut fields = [grid::any_field(), grid::any_field(), grid::any_field()];
        for (field, octaves) in fields.iter_mut().zip(self.octaves()) {
            grid::fractal3(context.level, origin, rows.clone(), octaves, field);
        }
        let [first, second, cavern] = &fields;
        let fields = [&**first, &**second, &**cavern];
        let out = draft.entries_mut();
        simd::run(context.level, Carve { parameters: &self.0, y0: origin[1], rows, maps: context.maps, fields, out });
        Ok(())
    }

    fn twin(&self) -> Option<Twin> {
        Some(Twin { stem: "caverns", maps: true, blocks: true, parameters: words(&self.0) })
    }
}

/// Where a place looks for water around it.
const NEAR: [(i32, i32); 9] = [(-3, 0), (3, 0), (0, -3), (0, 3), (0, 0), (-2, -2), (2, -2), (-2, 2), (2, 2)];

struct Tops<'a> {
    parameters: &'a Parameters,
    mouths: &'a Cells,
    maps: &'a mut Maps,
}

impl Kernel for Tops<'_> {
    /// y below which tunnels may run: above the ground where they may open to the sky, well below the bed beside water.
    ///
    /// Beyond a map's edge there is what is at its edge; that is not so in the world, but nobody reads those cells.
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let layers = self.maps.layers_mut();
        let which = [Layer::Height, Layer::Overhang, Layer::Water, Layer::CaveTop].map(|layer| layer as usize);
        let [height, overhang, water, top] = layers.get_disjoint_mut(which).expect("four different layers");
        for z in 0..MAP_EDGE {
            let here = z * MAP_EDGE;
            let (mut wet, mut lowest) = ([0i16; MAP_EDGE], [i16::MAX; MAP_EDGE]);
            for (dx, dz) in NEAR {
                let row = (z as i32 + dz).clamp(0, MAP_EDGE as i32 - 1) as usize * MAP_EDGE;
                let (water, height) = (shifted(&water[row..], dx), shifted(&height[row..], dx));
                for x in 0..MAP_EDGE {
                    wet[x] |= i16::from(water[x] != NO_WATER);
                    lowest[x] = lowest[x].min(height[x]);
                }
            }
            for x in 0..MAP_EDGE {
                let ground = height[here + x];
                let open = (self.mouths[here + x] > MOUTH) & (i32::from(ground) > self.parameters.sea + 3);
                // Wrapping, as in the twin: heights near the ends of 16 bits are another stage's doing, and no reason to panic.
                let dry = if open { ground.wrapping_add(overhang[here + x]) } else { ground.wrapping_sub(ROOF) };
                top[here + x] = if wet[x] != 0 { lowest[x].wrapping_sub(ROOF) } else { dry };
            }
        }
    }
}

/// A row of a map, moved by at most three cells, with its ends repeated.
#[inline(always)]
fn shifted(row: &[i16], by: i32) -> [i16; MAP_EDGE] {
    let mut wide = [0; MAP_EDGE + 6];
    wide[..3].fill(row[0]);
    wide[3..MAP_EDGE + 3].copy_from_slice(&row[..MAP_EDGE]);
    wide[MAP_EDGE + 3..].fill(row[MAP_EDGE - 1]);
    *wide[(3 + by) as usize..].first_chunk().expect("three on each side")
}

struct Carve<'a> {
    parameters: &'a Parameters,
    y0: i32,
    rows: std::ops::Range<usize>,
    maps: &'a Maps,
    fields: [&'a Field; 3],
    out: &'a mut Entries,
}

impl Kernel for Carve<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let (tunnel, cavern) = (self.parameters.tunnel as i16, self.parameters.cavern as i16);
        for z in 0..32 {
            let from = cell(0, z as i32);
            let top: &[i16; 32] = self.maps.layer(Layer::CaveTop)[from..].first_chunk().expect("a row of a map");
            let height: &[i16; 32] = self.maps.layer(Layer::Height)[from..].first_chunk().expect("a row of a map");
            for row in self.rows.clone() {
                let y = self.y0 + row as i32;
                let room = if y < self.parameters.lava { LAVA } else { AIR };
                let at = (z * 32 + row) * 32;
                let first: &[i16; 32] = self.fields[0][at..].first_chunk().expect("a row of a field");
                let second: &[i16; 32] = self.fields[1][at..].first_chunk().expect("a row of a field");
                let third: &[i16; 32] = self.fields[2][at..].first_chunk().expect("a row of a field");
                let out: &mut [Entry; 32] =
                    self.out[row * 1024 + z * 32..].first_chunk_mut().expect("a row of a chunk");
                let y = y as i16;
                for x in 0..32 {
                    let in_tunnel =
                        (first[x] < tunnel) & (first[x] > -tunnel) & (second[x] < tunnel) & (second[x] > -tunnel);
                    let in_cavern = (third[x] > cavern) & (y < height[x].wrapping_sub(CAVERN_ROOF));
                    let opened = (in_tunnel | in_cavern) & (y < top[x]) & (out[x] > LAVA);
                    out[x] = if opened { room } else { out[x] };
                }
            }
        }
    }
}
