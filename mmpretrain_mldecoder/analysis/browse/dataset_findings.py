"""What is found wrong or unusual with the labels and images of a dataset."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...datasets.parallel_map import parallel_map
from .dataset_split import DatasetSplit
from .duplicate_images import equal_groups, similar_groups
from .image_check import THUMBNAIL, ImageCheck, ImageChecker


class FindingWords(NamedTuple):
    """The words of one finding; ``harmful`` ones set the exit status of the tool to 1."""

    title: str
    harmful: bool
    meaning: str
    way_out: str


_UNREAD = (
    'training puts another image in its place, up to max_unreadable of them, then stops; a test '
    'stops when it comes to one'
)


FINDING_WORDS = {
    'missing': FindingWords(
        'missing files',
        True,
        'training stops before it starts, or when it comes to one',
        'complete the folder, correct data_root and data_prefix, or take them off the annotations',
    ),
    'unreadable': FindingWords(
        'unreadable images',
        True,
        _UNREAD,
        'get the file again, or take it off the annotations',
    ),
    'truncated': FindingWords(
        'cut off files',
        True,
        _UNREAD,
        'get the file again',
    ),
    'too_large': FindingWords(
        'images with too many pixels',
        True,
        _UNREAD,
        'make it smaller, or set max_pixels of LoadWholeImage',
    ),
    'blank': FindingWords(
        'images that come out blank',
        True,
        _UNREAD,
        'stretch those that use a few of their 16 bits; put those that are in their transparency '
        'only on a background',
    ),
    'damaged': FindingWords(
        'damaged JPEG data',
        True,
        'the decoder complains and goes on: behind the damage the image is wrong or grey (at '
        'times only a few bytes too many, and nothing is)',
        'look at it; get the file again',
    ),
    'in_several_splits': FindingWords(
        'same image in several splits',
        True,
        'the model is tested on what it was trained on: scores come out too high',
        'take it out of the training split',
    ),
    'twice_in_split': FindingWords(
        'same image twice in a split',
        False,
        'it counts double, and its labels may contradict each other',
        'keep one, with the labels of both',
    ),
    'no_positives_train': FindingWords(
        'labels without an image in train',
        True,
        'the model cannot learn them; in val they score next to nothing and lower the mAP',
        'collect images, or leave them out by `classes` of the dataset',
    ),
    'no_positives': FindingWords(
        'labels without an image in val or test',
        False,
        'they have no AP: MultiLabelMAP leaves them out of the mean and says how many',
        'move images of them there from train',
    ),
    'unlabelled': FindingWords(
        'images without a label',
        False,
        'negative for every class; wrong if they are only not annotated yet',
        'keep_unlabelled=False of COCOMultiLabel leaves them out',
    ),
    'greyscale': FindingWords(
        'greyscale images',
        False,
        'the loader makes three equal channels: the colour is missing, all else works',
        'nothing to do, if val has about the same share',
    ),
    'cmyk': FindingWords(
        'CMYK images',
        False,
        'the loader turns them into colours without their profile: these are off, at times far',
        'convert them to RGB with their ICC profile',
    ),
    'palette': FindingWords(
        'images with a palette',
        False,
        'the loader looks the colours up: nothing is lost',
        'nothing to do; if they are label maps, the folder is the wrong one',
    ),
    'alpha': FindingWords(
        'images with transparency',
        False,
        'OpenCV drops the alpha channel: what it hid is seen, often black or coloured borders',
        'paste them on a background of your choice',
    ),
    'deep': FindingWords(
        'more than 8 bits a channel',
        False,
        'the loader keeps the upper 8 bits: dark scans can become almost black',
        'stretch them to 8 bits yourself',
    ),
    'rotated': FindingWords(
        'turned by EXIF',
        False,
        'the loader turns them upright, as viewers do',
        'nothing to do; boxes drawn on the unturned image do not fit (labels do)',
    ),
    'rotated_ignored': FindingWords(
        'EXIF orientation that the pipeline ignores',
        False,
        'the network sees them lying on the side or upside down',
        "color_type='color' of the loader turns them upright",
    ),
    'other_size': FindingWords(
        'another size than annotated',
        False,
        'labels stay right; areas, and with them AP by object size, are those of the annotated '
        'size. Of one image: it may be another one. Of all: a resized copy, as resize.py makes',
        'compare image and annotation',
    ),
}


NOT_IN_HEADERS = ('damaged', 'blank')


LABEL_CODES = ('no_positives_train', 'no_positives', 'unlabelled')


def codes_to_look_for(read_files: bool = True, quick: bool = False) -> list[str]:
    """List what can be found: labels only, headers too, or all.

    Args:
        read_files (bool): Whether files are looked into. Defaults to True.
        quick (bool): Whether their headers only. Defaults to False.
    """
    if not read_files:
        return list(LABEL_CODES)
    return [code for code in FINDING_WORDS if not (quick and code in NOT_IN_HEADERS)]


@dataclass(frozen=True)
class Finding:
    """All of one kind that was found in one split, or in several together.

    Attributes:
        code: A key of ``FINDING_WORDS``.
        splits: Names of the splits; several only for images that are in several.
        entries: Dicts, what was found: a ``label`` and how many images have it ``elsewhere``;
            the ``path`` of an image and a ``detail``; or several ``images`` (``split``,
            ``path``, ``labels``) and ``how`` they are the same.
    """

    code: str
    splits: tuple[str, ...]
    entries: list[dict]

    @property
    def is_harmful(self) -> bool:
        """Whether it spoils a training or its scores."""
        return FINDING_WORDS[self.code].harmful


def label_findings(splits: Sequence[DatasetSplit]) -> list[Finding]:
    """Find labels without an image, and images without a label, in each split.

    Args:
        splits: With the same classes in the same order.

    Raises:
        ValueError: If the classes of two splits differ.
    """
    for split in splits:
        _check_same_classes(splits[0], split)
    all_counts = {split.name: split.labels.counts(len(split.classes)) for split in splits}
    findings = []
    for split in splits:
        counts = all_counts[split.name]
        others = {other.name: all_counts[other.name] for other in splits if other is not split}
        without = [
            dict(
                label=split.classes[i],
                elsewhere={name: others[name][i].item() for name in others},
            )
            for i in np.flatnonzero(counts == 0)
        ]
        code = 'no_positives_train' if split.name == 'train' else 'no_positives'
        unlabelled = np.flatnonzero(split.labels.per_image == 0)
        entries = [dict(path=split.paths[i], detail='') for i in unlabelled]
        findings += [
            Finding(code, (split.name,), without),
            Finding('unlabelled', (split.name,), entries),
        ]
    return [finding for finding in findings if finding.entries]


def _check_same_classes(first: DatasetSplit, other: DatasetSplit) -> None:
    if first.classes == other.classes:
        return
    pairs = zip(first.classes, other.classes, strict=False)
    place = next((f'label {i} is {a!r} and {b!r}' for i, (a, b) in enumerate(pairs) if a != b), '')
    raise ValueError(
        f'the classes of {first.name} and {other.name} differ: {len(first.classes)} and '
        f'{len(other.classes)}{", " + place if place else ""}. Give both datasets the same '
        '`classes`'
    )


def image_findings(
    splits: Sequence[DatasetSplit], quick: bool = False, workers: int | None = None
) -> list[Finding]:
    """Read every image once, and find those that are broken, unusual or there twice.

    Memory grows by 0.4 kB an image.

    Args:
        splits: Whose images to read.
        quick: See :class:`ImageChecker`. Defaults to False.
        workers: Processes. Defaults to the cores that this process may use.
    """
    found: dict[tuple[str, str], list[dict]] = defaultdict(list)
    places = [(split, index) for split in splits for index in range(len(split.paths))]
    digests: list[bytes | None] = []
    thumbnails = np.zeros((0 if quick else len(places), *THUMBNAIL), np.uint8)
    for place, check in enumerate(_checks(splits, quick, workers)):
        split, index = places[place]
        digests.append(check.digest)
        if check.thumbnail is not None:
            thumbnails[place] = check.thumbnail
        for code, detail in check.faults:
            if code == 'rotated' and not ImageChecker.of_loader(split.loader).turns_upright:
                code = 'rotated_ignored'
            found[code, split.name].append(dict(path=split.paths[index], detail=detail))
    findings = [Finding(code, (name,), entries) for (code, name), entries in found.items()]
    return findings + _duplicates(places, digests, thumbnails)


def _checks(
    splits: Sequence[DatasetSplit], quick: bool, workers: int | None
) -> Iterator[ImageCheck]:
    for split in splits:
        checker = ImageChecker.of_loader(split.loader, quick)
        images = list(zip(split.paths, split.sizes, strict=True))
        yield from parallel_map(checker.check, images, f'images of {split.name}', workers)


def _duplicates(
    places: list[tuple[DatasetSplit, int]], digests: list, thumbnails: np.ndarray
) -> list[Finding]:
    """Group equal files, then what looks the same, of which equal files are one."""
    equal = equal_groups(digests)
    firsts = np.ones(len(places), bool)
    for group in equal:
        firsts[group[1:]] = False
    members = {group[0]: group for group in equal}
    looked_at = np.flatnonzero(firsts)[: len(thumbnails)]
    groups = [looked_at[group].tolist() for group in similar_groups(thumbnails[looked_at])]
    joined = [[m for i in group for m in members.pop(i, [i])] for group in groups]
    by_splits: dict[tuple, list] = defaultdict(list)
    for group in [*members.values(), *joined]:
        names = tuple(dict.fromkeys(places[i][0].name for i in sorted(group)))
        same_bytes = len({digests[i] for i in group}) == 1
        by_splits[names].append(
            dict(
                how='equal files' if same_bytes else 'look the same',
                images=[
                    dict(
                        split=places[i][0].name,
                        path=places[i][0].paths[places[i][1]],
                        labels=[places[i][0].classes[c] for c in places[i][0].labels[places[i][1]]],
                    )
                    for i in sorted(group)
                ],
            )
        )
    return [
        Finding('in_several_splits' if len(names) > 1 else 'twice_in_split', names, entries)
        for names, entries in by_splits.items()
    ]
