"""Compares a field of ours with dijkstra3d's (6-connectivity), and prints what came out as JSON.

    python compare_fields.py ENTER.npy COST.npy

Both are arrays of `terrane export --what enter` and `--what cost` of one box and mode, with their .json beside them; the field has one
goal. dijkstra3d goes from the goal outwards and counts the voxel where it ends, not the one where it begins; a way to the goal is
paid the other way round: ours is theirs, less the voxel's own cost, plus the goal's.
"""

import json
import sys

import dijkstra3d
import numpy


def side(path):
    with open(path.removesuffix(".npy") + ".json") as file:
        return json.load(file)


def main():
    enter, cost = (numpy.load(path) for path in sys.argv[1:3])
    facts = side(sys.argv[2])
    blocked = enter == side(sys.argv[1])["blocked"]
    x, y, z = (at - origin for at, origin in zip(facts["goals"][0], facts["origin"]))
    entering = numpy.where(blocked, numpy.float32(numpy.inf), enter.astype(numpy.float32))
    theirs = dijkstra3d.distance_field(entering, source=(y, z, x), connectivity=6)
    reached = numpy.isfinite(theirs) & ~blocked
    expected = numpy.full(cost.shape, facts["unreachable"], numpy.int64)
    expected[blocked] = facts["blocked"]
    expected[reached] = theirs[reached].astype(numpy.int64) - enter[reached] + enter[y, z, x]
    expected[y, z, x] = 0
    result = {
        "equal": bool(numpy.array_equal(expected, cost.astype(numpy.int64))),
        "reached": int(reached.sum()),
        "unreachable": int((~reached & ~blocked).sum()),
        "most": int(expected[reached].max()),
    }
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
