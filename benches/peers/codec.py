"""Packs and unpacks chunks with crackle when it is told to, as a competitor of benchmarks/codec.

    python codec.py FILE

FILE has chunks of 32 x 32 x 32 numbers of 16 bits. Prints crackle's version. Then, for each line on standard input: `bytes`
prints the bytes that all chunks become, `pack` and `unpack` the nanoseconds that it took.
"""

import importlib.metadata
import sys
import time

import crackle
import numpy


def main():
    raw = numpy.fromfile(sys.argv[1], numpy.uint16).reshape(-1, 32, 32, 32)
    chunks = [numpy.asfortranarray(chunk.transpose(2, 1, 0)) for chunk in raw]
    packed = [crackle.compress(chunk) for chunk in chunks]
    for chunk, one in zip(chunks, packed):
        assert numpy.array_equal(crackle.decompress(one).reshape(chunk.shape, order="F"), chunk)
    print(importlib.metadata.version("crackle-codec"), flush=True)
    for line in sys.stdin:
        start = time.perf_counter_ns()
        if line.strip() == "bytes":
            print(sum(map(len, packed)), flush=True)
            continue
        if line.strip() == "pack":
            for chunk in chunks:
                crackle.compress(chunk)
        else:
            for one in packed:
                crackle.decompress(one)
        print(time.perf_counter_ns() - start, flush=True)


if __name__ == "__main__":
    main()
