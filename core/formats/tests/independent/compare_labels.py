"""Labels a volume with cc3d and with SciPy (6-connectivity), compares with labels of ours, and prints what came out as JSON.

    python compare_labels.py SOLID LABELS SHAPE

SOLID has one byte for each voxel, LABELS one little-endian u32, both in C-order of the shape `y,z,x`.
"""

import json
import sys

import cc3d
import numpy
import scipy.ndimage


def main():
    shape = tuple(int(length) for length in sys.argv[3].split(","))
    solid = numpy.fromfile(sys.argv[1], numpy.uint8).reshape(shape) != 0
    ours = numpy.fromfile(sys.argv[2], "<u4").reshape(shape)
    result = {}
    labels, count = cc3d.connected_components(solid, connectivity=6, return_N=True)
    result["cc3d"] = {"count": int(count), "equal": bool(numpy.array_equal(labels, ours))}
    count = scipy.ndimage.label(solid, output=(labels := numpy.empty(shape, numpy.int32)))
    result["scipy"] = {"count": int(count), "equal": bool(numpy.array_equal(labels, ours))}
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
