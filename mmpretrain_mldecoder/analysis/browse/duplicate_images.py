"""Groups of duplicate images: equal files, or images that look the same."""

from collections import defaultdict
from collections.abc import Hashable, Sequence

import numpy as np

HASH_BITS = 3  # bits by which the hashes of one image may differ
MAX_DIFFERENCE = 16  # grey levels, in the cell that differs most
MEAN_DIFFERENCE = 2.5  # grey levels, over all cells
MIN_CONTRAST = 8.0  # grey levels (standard deviation); below, an image shows too little
_POPCOUNT = np.array([bin(i).count('1') for i in range(256)], np.uint8)


def equal_groups(digests: Sequence[Hashable]) -> list[list[int]]:
    """Return the indices of each two or more equal digests; None equals nothing."""
    groups = defaultdict(list)
    for index, digest in enumerate(digests):
        groups[digest].append(index)
    return [group for digest, group in groups.items() if digest is not None and len(group) > 1]


def similar_groups(thumbnails: np.ndarray) -> list[list[int]]:
    """Group the images that show the same: re-encoded, resized, or turned to grey.

    Two images are candidates if their difference hashes (64 bits: is a cell brighter than its
    left neighbour, on 8 rows of 9) differ in at most 3 bits. They are the same if the thumbnails
    then differ by at most 16 grey levels anywhere and 2.5 on average. Crops, mirror images and
    frames of a film in which something moved are other images. An image of nearly one colour
    (standard deviation below 8 levels) is compared with none: it shows too little.

    Two hashes that differ in 3 bits agree in one of four parts of 16 bits. So images are sorted
    by each part in turn, and compared only where it is equal.

    Args:
        thumbnails (np.ndarray): ``(N, 16, 18)`` uint8, grey.

    Returns:
        list: The indices of each group of two or more, ascending.
    """
    contrast = np.array([thumbnail.std() for thumbnail in thumbnails])
    kept = np.flatnonzero(contrast >= MIN_CONTRAST)
    thumbnails = thumbnails[kept]
    bits = _difference_bits(thumbnails)
    # every fourth bit, because neighbours are alike and would make parts that many share
    parts = np.stack([np.packbits(bits[:, k::4], axis=1).view(np.uint16)[:, 0] for k in range(4)])
    hashes = np.packbits(bits, axis=1)
    group_of = list(range(len(kept)))

    def root(index: int) -> int:
        while group_of[index] != index:
            group_of[index] = index = group_of[group_of[index]]
        return index

    for part in parts:
        order = np.argsort(part, kind='stable')
        ordered = part[order]
        starts = np.arange(len(order))
        for step in range(1, len(order)):
            starts = starts[starts + step < len(order)]
            starts = starts[ordered[starts] == ordered[starts + step]]
            if len(starts) == 0:
                break
            first, second = order[starts], order[starts + step]
            near = _POPCOUNT[hashes[first] ^ hashes[second]].sum(axis=1) <= HASH_BITS
            first, second = first[near], second[near]
            same = _look_alike(thumbnails[first], thumbnails[second])
            for a, b in zip(first[same].tolist(), second[same].tolist(), strict=True):
                a, b = sorted((root(a), root(b)))
                group_of[b] = a
    return [kept[group].tolist() for group in equal_groups([*map(root, range(len(kept)))])]


def _difference_bits(thumbnails: np.ndarray) -> np.ndarray:
    """Return ``(N, 64)`` bools."""
    cells = thumbnails.reshape(-1, 8, 2, 9, 2).astype(np.uint16).sum(axis=(2, 4))
    return (cells[:, :, 1:] > cells[:, :, :-1]).reshape(-1, 64)


def _look_alike(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Compare pairs of thumbnails cell by cell."""
    difference = np.abs(first.astype(np.int16) - second)
    largest, mean = difference.max(axis=(1, 2), initial=0), difference.mean(axis=(1, 2))
    return (largest <= MAX_DIFFERENCE) & (mean <= MEAN_DIFFERENCE)
