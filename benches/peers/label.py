"""Labels the components of volumes with cc3d when it is told to, as a competitor of benchmarks/components.

    python label.py

Prints its version. Then, for each line `SHAPE_Y SHAPE_Z SHAPE_X FILE` on standard input, labels the bytes of that file (not 0:
solid; 6-connectivity) and prints `NANOSECONDS COMPONENTS`. Files are read once, before the clock starts.
"""

import importlib.metadata
import sys
import time

import cc3d
import numpy

masks = {}


def mask(shape, path):
    if path not in masks:
        masks[path] = numpy.fromfile(path, numpy.uint8).reshape(shape).view(bool)
    return masks[path]


def main():
    print(importlib.metadata.version("connected-components-3d"), flush=True)
    for line in sys.stdin:
        *shape, path = line.rstrip("\n").split(" ", 3)
        solid = mask(tuple(map(int, shape)), path)
        start = time.perf_counter_ns()
        labels = cc3d.connected_components(solid, connectivity=6)
        took = time.perf_counter_ns() - start
        print(took, int(labels.max()), flush=True)


if __name__ == "__main__":
    main()
