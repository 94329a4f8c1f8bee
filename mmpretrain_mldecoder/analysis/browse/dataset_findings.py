"""Checks of the labels and images of a dataset."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from ...datasets.parallel_map import parallel_map
from .dataset_split import DatasetSplit
from .duplicate_images import equal_groups, similar_groups
from .findings import Finding
from .image_check import THUMBNAIL, ImageCheck, ImageChecker


def label_findings(splits: Sequence[DatasetSplit]) -> list[Finding]:
    """Find labels without an image, and images without a label, in each split.

    Args:
        splits: With the same classes in the same order.

    Raises:
        ValueError: If the classes of two splits differ.
    """
    for split in splits:
        _check_same_classes(splits[0], split)
    counts = {split.name: split.labels.counts(len(split.classes)) for split in splits}
    findings = []
    for split in splits:
        without = [
            dict(
                label=split.classes[i],
                elsewhere={name: counts[name][i].item() for name in counts if name != split.name},
            )
            for i in np.flatnonzero(counts[split.name] == 0)
        ]
        unlabelled = [
            dict(path=split.paths[i], detail='')
            for i in np.flatnonzero(split.labels.per_image == 0)
        ]
        code = 'no_positives_train' if split.name == 'train' else 'no_positives'
        findings += [
            Finding(code, (split.name,), without),
            Finding('unlabelled', (split.name,), unlabelled),
        ]
    return [finding for finding in findings if finding.entries]


def _check_same_classes(first: DatasetSplit, other: DatasetSplit) -> None:
    if first.classes == other.classes:
        return
    pairs = enumerate(zip(first.classes, other.classes, strict=False))
    place = next((f', label {i} is {a!r} and {b!r}' for i, (a, b) in pairs if a != b), '')
    raise ValueError(
        f'the classes of {first.name} and {other.name} differ: {len(first.classes)} and '
        f'{len(other.classes)}{place}. Give both datasets the same `classes`'
    )


def image_findings(
    splits: Sequence[DatasetSplit], quick: bool = False, workers: int | None = None
) -> list[Finding]:
    """Read every image once, and find those that are broken, unusual or there twice.

    Memory grows by 0.4 kB per image.

    Args:
        splits: Whose images to read.
        quick: See :class:`ImageChecker`. Defaults to False.
        workers: Processes. Defaults to the cores that this process may use.
    """
    found: dict[tuple[str, str], list[dict]] = defaultdict(list)
    places = [(split, index) for split in splits for index in range(len(split.paths))]
    digests: list[bytes | None] = []
    thumbnails = np.zeros((0 if quick else len(places), *THUMBNAIL), np.uint8)
    for (split, index), check in zip(places, _checks(splits, quick, workers), strict=True):
        if check.thumbnail is not None:
            thumbnails[len(digests)] = check.thumbnail
        digests.append(check.digest)
        for code, detail in check.faults:
            found[code, split.name].append(dict(path=split.paths[index], detail=detail))
    findings = [Finding(code, (name,), entries) for (code, name), entries in found.items()]
    return findings + _duplicates(places, digests, thumbnails)


def _checks(
    splits: Sequence[DatasetSplit], quick: bool, workers: int | None
) -> Iterator[ImageCheck]:
    for split in splits:
        checker = ImageChecker(split.loader, quick)
        images = list(zip(split.paths, split.sizes, strict=True))
        yield from parallel_map(checker.check, images, f'images of {split.name}', workers)


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
