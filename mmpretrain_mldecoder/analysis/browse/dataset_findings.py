"""Checks of the labels and images of a dataset, for duplicates too."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from ...datasets.parallel_map import parallel_map
from ...fileio.groups import equal_groups, joined_groups
from .dataset_split import DatasetSplit
from .findings import Finding
from .image_check import THUMBNAIL, ImageChecker

HASH_BITS = 3  # bits by which the hashes of one image may differ
MAX_DIFFERENCE = 16  # grey levels, in the cell that differs most
MEAN_DIFFERENCE = 2.5  # grey levels, over all cells
MIN_CONTRAST = 8.0  # grey levels (standard deviation); below, an image shows too little


def label_findings(splits: Sequence[DatasetSplit]) -> list[Finding]:
    """Find labels without an image, or without one that lacks them, and images without a label.

    Raises ``ValueError`` if the classes of two splits, or their order, differ.
    """
    first = splits[0]
    for split in splits:
        if split.classes != first.classes:
            pairs = enumerate(zip(first.classes, split.classes, strict=False))
            place = next((f', label {i} is {a!r} and {b!r}' for i, (a, b) in pairs if a != b), '')
            raise ValueError(
                f'the classes of {first.name} and {split.name} differ: {len(first.classes)} and '
                f'{len(split.classes)}{place}. Give both datasets the same `classes`'
            )
    counts = {split.name: split.images_per_label() for split in splits}
    findings = []
    for split in splits:
        others = {name: count for name, count in counts.items() if name != split.name}
        without = [
            dict(
                label=first.classes[i],
                elsewhere={name: count[i].item() for name, count in others.items()},
            )
            for i in np.flatnonzero(counts[split.name] == 0)
        ]
        positives, negatives = split.known.class_counts(len(split.classes))
        unknown = split.known.unknown_per_sample(len(split.classes))
        certain = [
            dict(label=first.classes[i], elsewhere={})
            for i in np.flatnonzero((negatives == 0) & (positives > 0) & (unknown.sum() > 0))
        ]
        unlabelled, unknown_only = (
            [
                dict(path=split.paths[i], detail='')
                for i in np.flatnonzero((split.labels_per_image() == 0) & (unknown == number))
            ]
            for number in (0, len(split.classes))
        )
        suffix = '_train' if split.name == 'train' else ''
        findings += [
            Finding(f'no_positives{suffix}', (split.name,), without),
            Finding(f'no_negatives{suffix}', (split.name,), certain),
            Finding('unlabelled', (split.name,), unlabelled),
            Finding('unknown_only', (split.name,), unknown_only),
        ]
    return [finding for finding in findings if finding.entries]


def image_findings(
    splits: Sequence[DatasetSplit], quick: bool = False, workers: int | None = None
) -> list[Finding]:
    """Read every image once, and find those that are broken, unusual or there twice.

    Memory grows by 0.4 kB per image. ``quick`` is as in :class:`ImageChecker`, ``workers`` as in
    :func:`parallel_map`.
    """
    found: dict[tuple[str, str], list[dict]] = defaultdict(list)
    places = [(split, index) for split in splits for index in range(len(split.paths))]
    digests: list[bytes | None] = []
    thumbnails = np.zeros((0 if quick else len(places), *THUMBNAIL), np.uint8)
    for split in splits:
        checker = ImageChecker(split.loader, quick)
        images = list(zip(split.paths, split.sizes, strict=True))
        checks = parallel_map(checker.check, images, f'images of {split.name}', workers)
        for path, check in zip(split.paths, checks, strict=True):
            if check.thumbnail is not None:
                thumbnails[len(digests)] = check.thumbnail
            digests.append(check.digest)
            for code, detail in check.faults:
                found[code, split.name].append(dict(path=path, detail=detail))
    findings = [Finding(code, (name,), entries) for (code, name), entries in found.items()]
    return findings + _duplicates(places, digests, thumbnails)


def _duplicates(
    places: list[tuple[DatasetSplit, int]], digests: list, thumbnails: np.ndarray
) -> list[Finding]:
    """Group equal files, then what looks the same, of which equal files are one."""
    members = {group[0]: group for group in equal_groups(digests)}
    repeated = {index for group in members.values() for index in group[1:]}
    compared = [index for index in range(len(thumbnails)) if index not in repeated]
    for group in similar_groups(thumbnails[compared]):
        firsts = [compared[i] for i in group]
        members[firsts[0]] = sorted(i for first in firsts for i in members.pop(first, [first]))
    by_splits: dict[tuple, list] = defaultdict(list)
    for group in members.values():
        images = [
            dict(split=split.name, path=split.paths[index], labels=split.labels_of(index))
            for split, index in (places[i] for i in group)
        ]
        equal = len({digests[i] for i in group}) == 1
        names = tuple(dict.fromkeys(image['split'] for image in images))
        entry = dict(how='equal files' if equal else 'look the same', images=images)
        by_splits[names].append(entry)
    return [
        Finding('in_several_splits' if len(names) > 1 else 'twice_in_split', names, entries)
        for names, entries in by_splits.items()
    ]


def similar_groups(thumbnails: np.ndarray) -> list[list[int]]:
    """Group the images that show the same: re-encoded, resized, or turned to grey.

    Two grey thumbnails, of ``(N, 16, 18)``, are candidates if their difference hashes (64 bits: is
    a cell brighter than its left neighbour, on 8 rows of 9) differ in at most 3 bits. They are the
    same if the thumbnails then differ by at most 16 grey levels anywhere and 2.5 on average. Crops,
    mirror images and frames of a film in which something moved are other images. An image of nearly
    one colour (standard deviation below 8 levels) is compared with none: it shows too little.

    Two hashes that differ in 3 bits agree in one of four parts of 16 bits. So images are sorted by
    each part in turn, and compared only where it is equal.
    """
    contrast = np.array([thumbnail.std() for thumbnail in thumbnails])
    kept = np.flatnonzero(contrast >= MIN_CONTRAST)
    thumbnails = thumbnails[kept]
    cells = thumbnails.reshape(-1, 8, 2, 9, 2).astype(np.uint16).sum(axis=(2, 4))
    bits = (cells[:, :, 1:] > cells[:, :, :-1]).reshape(-1, 64)
    group_of = joined_groups(len(kept), _same_pairs(thumbnails, bits))
    return [kept[group].tolist() for group in equal_groups(group_of)]


def _same_pairs(thumbnails: np.ndarray, bits: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield pairs of images that are the same, by thumbnails and ``(N, 64)`` hashes."""
    for k in range(4):
        # every fourth bit, because neighbours are alike and would make parts that many share
        part = np.packbits(bits[:, k::4], axis=1).view(np.uint16)[:, 0]
        order = np.argsort(part, kind='stable')
        ordered = part[order]
        starts = np.arange(len(order))
        for step in range(1, len(order)):
            starts = starts[starts + step < len(order)]
            starts = starts[ordered[starts] == ordered[starts + step]]
            if len(starts) == 0:
                break
            first, second = order[starts], order[starts + step]
            near = (bits[first] != bits[second]).sum(axis=1) <= HASH_BITS
            first, second = first[near], second[near]
            difference = np.abs(thumbnails[first].astype(np.int16) - thumbnails[second])
            same = difference.max(axis=(1, 2), initial=0) <= MAX_DIFFERENCE
            same &= difference.mean(axis=(1, 2)) <= MEAN_DIFFERENCE
            yield from zip(first[same].tolist(), second[same].tolist(), strict=True)
