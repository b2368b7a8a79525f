"""Works out fields of costs when it is told to, as a competitor of benchmarks/paths.

    python distance.py dijkstra3d|dijkstra3d-rs

Prints the version. Then, for each line `EDGE Y Z X FILE` on standard input, takes the bytes of that file as the cost of entering
each voxel of a cube (255: blocked), works out the least cost from the voxel Y, Z, X to every other over six neighbours, and prints
`NANOSECONDS COUNT SUM`: of all voxels with a cost below a million, how many there are and what their costs come to. Files are
read once, before the clock starts.

dijkstra3d takes blocked voxels as infinite costs. dijkstra3d-rs knows no blocked voxels and takes the bytes as they are, which is
what it is fastest with; where some are blocked its field is another one.
"""

import importlib.metadata
import sys
import time

import numpy

BLOCKED = 1_000_000
PACKAGE = sys.argv[1]
if PACKAGE == "dijkstra3d":
    import dijkstra3d as peer
else:
    import dijkstra3d_rs as peer

cubes = {}


def cube(edge, path):
    if path not in cubes:
        costs = numpy.fromfile(path, numpy.uint8).reshape((edge, edge, edge))
        if PACKAGE == "dijkstra3d" and (costs == 255).any():
            costs = numpy.where(costs == 255, numpy.float32(numpy.inf), costs.astype(numpy.float32))
        cubes[path] = costs
    return cubes[path]


def field(costs, source):
    if PACKAGE == "dijkstra3d":
        return peer.distance_field(costs, source=source, connectivity=6)
    return peer.distance_field(costs, source, connectivity=6)


def main():
    print(importlib.metadata.version(PACKAGE), flush=True)
    for line in sys.stdin:
        edge, *source, path = line.rstrip("\n").split(" ", 4)
        costs = cube(int(edge), path)
        source = tuple(map(int, source))
        start = time.perf_counter_ns()
        distances = field(costs, source)
        took = time.perf_counter_ns() - start
        told = distances.astype(numpy.float64)
        reached = told < BLOCKED
        print(took, int(reached.sum()), int(told[reached].sum()), flush=True)


if __name__ == "__main__":
    main()
