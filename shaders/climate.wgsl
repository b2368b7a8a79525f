// Warmth, wetness, and the biome: the twin of climate.rs, which explains it.
//!include stage
//!include noise

// Parameters: seed, spacing as a power of two, what is added to warmth and to wetness, y of the sea.
const SEED: u32 = 0u;
const SPACING_BITS: u32 = 1u;
const WARMTH: u32 = 2u;
const WETNESS: u32 = 3u;
const SEA: u32 = 4u;

// Biomes of low land, by warmth (cold first), then by wetness (dry first).
const LOW_LAND: array<u32, 16> = array<u32, 16>(
    BIOME_SNOWY_PLAINS, BIOME_SNOWY_PLAINS, BIOME_SNOWY_TAIGA, BIOME_SNOWY_TAIGA,
    BIOME_PLAINS, BIOME_PLAINS, BIOME_TAIGA, BIOME_TAIGA,
    BIOME_PLAINS, BIOME_FOREST, BIOME_BIRCH_FOREST, BIOME_DARK_FOREST,
    BIOME_DESERT, BIOME_SAVANNA, BIOME_FOREST, BIOME_JUNGLE,
);

// Which of four classes a value is in.
fn class_of(value: i32, first: i32, second: i32, third: i32) -> u32 {
    return u32(value >= first) + u32(value >= second) + u32(value >= third);
}

// One byte of a hash, -128 to 127.
fn shake(jitter: u32, byte: u32) -> i32 {
    return i32((jitter >> (8u * byte)) & 255u) - 128;
}

fn water_biome(continent: i32, temperature: i32) -> u32 {
    if continent >= -250 {
        return BIOME_RIVER;
    }
    if temperature < -3000 {
        return BIOME_FROZEN_OCEAN;
    }
    return select(BIOME_OCEAN, BIOME_DEEP_OCEAN, continent < -4200);
}

// `height` is the land's with some jitter.
fn biome_of(land_height: i32, continent: i32, temperature: i32, humidity: i32, height: i32) -> u32 {
    let sea = parameter(SEA);
    let warmth = class_of(temperature, -2600, -300, 2300);
    if land_height <= sea {
        return water_biome(continent, temperature);
    }
    if height <= sea + 3 && continent < 900 {
        return BIOME_BEACH;
    }
    if height >= 138 {
        return select(BIOME_STONY_PEAKS, BIOME_SNOWY_PEAKS, warmth == 0u);
    }
    if height >= 104 {
        return select(BIOME_MEADOW, BIOME_SNOWY_TAIGA, warmth == 0u);
    }
    if temperature >= 3400 && humidity < -2200 {
        return BIOME_BADLANDS;
    }
    if height <= sea + 4 && warmth >= 2u && humidity >= 1200 {
        return BIOME_SWAMP;
    }
    var low_land = LOW_LAND;
    return low_land[4u * warmth + class_of(humidity, -2000, 300, 2400)];
}

@compute @workgroup_size(GROUP)
fn maps(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) invocation: u32) {
    let cell = group.x * GROUP + invocation;
    let x = footprints[group.y].x + i32(cell % MAP_EDGE);
    let z = footprints[group.y].z + i32(cell / MAP_EDGE);
    let seed = parameters[SEED];
    let bits = parameters[SPACING_BITS];
    let at = cell_index(group.y, cell);
    let height = cells[at + LAYER_HEIGHT * MAP_CELLS];
    let continent = cells[at + LAYER_CONTINENT * MAP_CELLS];
    let warm = fractal2(x, z, Octaves(bits, bits, 4u, seed));
    let wet = fractal2(x, z, Octaves(bits, bits, 4u, seed + 100u));
    let jitter = hash(x, 0, z, seed + 200u);
    // It gets colder with height.
    let colder = clamp(warm + parameter(WARMTH) - max(height - 84, 0) * 60, -32768, 32767);
    let temperature = clamp(colder + shake(jitter, 0u), -32768, 32767);
    let wetter = clamp(wet + parameter(WETNESS), -32768, 32767);
    let humidity = clamp(wetter + shake(jitter, 1u), -32768, 32767);
    let biome = biome_of(height, continent, temperature, humidity, height + (shake(jitter, 2u) >> 6u));
    cells[at + LAYER_TEMPERATURE * MAP_CELLS] = temperature;
    cells[at + LAYER_HUMIDITY * MAP_CELLS] = humidity;
    cells[at + LAYER_BIOME * MAP_CELLS] = i32(biome);
}
