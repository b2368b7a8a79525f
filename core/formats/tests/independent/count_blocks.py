"""Counts the blocks of a Minecraft region file (1.13 and later) by full name, as JSON on standard output.

An independent reader to check ours against: the NBT is parsed by nbtlib and the packing of indexes is told from the
data version. Columns whose status holds no blocks yet, and that are all air, are left out.

    python count_blocks.py FILE
"""

import collections
import gzip
import io
import json
import sys
import zlib

import nbtlib
import numpy

SECTOR = 4096
PADDED_SINCE = 2529  # 20w17a
EMPTY = {"empty", "structure_starts", "structure_references", "biomes"}
DECOMPRESS = {1: gzip.decompress, 2: zlib.decompress, 3: bytes}


def documents(data):
    for slot in range(1024):
        first = int.from_bytes(data[slot * 4 : slot * 4 + 3], "big") * SECTOR
        if first == 0:
            continue
        length = int.from_bytes(data[first : first + 4], "big")
        payload = data[first + 5 : first + 4 + length]
        yield nbtlib.File.parse(io.BytesIO(DECOMPRESS[data[first + 4]](payload)))


def full_name(entry):
    name = str(entry["Name"]).removeprefix("minecraft:")
    properties = entry.get("Properties", {})
    states = ",".join(f"{key}={properties[key]}" for key in sorted(properties))
    return f"{name}[{states}]" if states else name


def indexes(longs, palette_length, padded):
    bits = max(4, (palette_length - 1).bit_length())
    longs = numpy.asarray(longs).astype(numpy.int64).view(numpy.uint64)
    as_bits = ((longs[:, None] >> numpy.arange(64, dtype=numpy.uint64)) & numpy.uint64(1)).astype(numpy.uint8)
    if padded:
        as_bits = as_bits[:, : 64 // bits * bits]
    as_bits = as_bits.reshape(-1)[: 4096 * bits].reshape(4096, bits)
    return as_bits.astype(numpy.uint32) @ (1 << numpy.arange(bits, dtype=numpy.uint32))


def count_column(document):
    counts = collections.Counter()
    body = document.get("Level", document)
    padded = int(document["DataVersion"]) >= PADDED_SINCE
    for section in body.get("Sections", body.get("sections", [])):
        states = section.get("block_states", section)
        palette = states.get("palette", states.get("Palette"))
        if palette is None:
            continue
        longs = states.get("data", states.get("BlockStates"))
        names = [full_name(entry) for entry in palette]
        if longs is None:
            counts[names[0]] += 4096
            continue
        for index, count in enumerate(numpy.bincount(indexes(longs, len(names), padded))):
            if count:
                counts[names[index]] += int(count)
    early = str(body["Status"]).removeprefix("minecraft:") in EMPTY
    return collections.Counter() if early and set(counts) <= {"air"} else counts


def main():
    total = collections.Counter()
    with open(sys.argv[1], "rb") as file:
        for document in documents(file.read()):
            total += count_column(document)
    json.dump(total, sys.stdout, sort_keys=True)


if __name__ == "__main__":
    main()
