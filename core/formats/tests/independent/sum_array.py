"""Reads a .npy file of ours with NumPy and its .json, and prints shape, type and counts by name as JSON.

    python sum_array.py FILE.npy FILE.json
"""

import json
import sys

import numpy


def main():
    array = numpy.load(sys.argv[1], allow_pickle=False)
    with open(sys.argv[2], encoding="utf-8") as file:
        blocks = json.load(file)["blocks"]
    ids, counts = numpy.unique(array, return_counts=True)
    names = {blocks[str(id)]: int(count) for id, count in zip(ids, counts)}
    result = {"shape": array.shape, "dtype": array.dtype.str, "last": int(array[-1, 0, -1]), "blocks": names}
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
