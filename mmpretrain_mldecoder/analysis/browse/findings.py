"""Findings about a dataset: their texts, as a table and as JSON."""

import json
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ...datasets.image_search import describe_left_out
from ...fileio.atomic_write import write_file
from ...fileio.terminal import printable
from .dataset_split import DatasetSplit

_UNREAD = 'training replaces it by another image, up to max_unreadable of them; a test stops at it'

# Title, meaning and fix of each kind of finding, by its code.
FINDING_KINDS = {
    'missing': (
        'missing files',
        'training stops before it starts, or at the file',
        'complete the folder, correct data_root and data_prefix, or remove their annotations',
    ),
    'unreadable': ('unreadable images', _UNREAD, 'get the file again, or remove its annotations'),
    'truncated': ('cut off files', _UNREAD, 'get the file again'),
    'too_large': (
        'images with too many pixels',
        _UNREAD,
        'make it smaller, or set max_pixels of LoadWholeImage',
    ),
    'blank': (
        'images that come out blank',
        _UNREAD,
        'stretch those that use a few of their 16 bits; put those that are only in their '
        'transparency on a background',
    ),
    'damaged': (
        'damaged JPEG data',
        'the decoder only warns: behind the damage the image is wrong or grey (a few extra bytes '
        'can be harmless)',
        'look at it; get the file again',
    ),
    'in_several_splits': (
        'same image in several splits',
        'the model is tested on what it was trained on: scores are too high',
        'remove it from the training split',
    ),
    'twice_in_split': (
        'same image twice in a split',
        'it counts double, and its labels may contradict each other',
        'keep one, with the labels of both',
    ),
    'no_positives_train': (
        'labels without an image in train',
        'the model cannot learn them, and they lower the mAP if val has them',
        'collect images, or leave them out by `classes` of the dataset',
    ),
    'no_positives': (
        'labels without an image in val or test',
        'they have no AP: MultiLabelMAP skips and counts them',
        'move images of them there from train',
    ),
    'no_negatives_train': (
        'labels that no image in train is known to lack',
        'a loss that leaves out unknown labels learns that they are in every image',
        'label images without them, or take another loss (docs/partial_labels.md)',
    ),
    'no_negatives': (
        'labels that no image in val or test is known to lack',
        'they have no AP: MultiLabelMAP skips and counts them; their thresholds mean nothing',
        'label images without them',
    ),
    'unlabelled': (
        'images without a label',
        'negative for every class; wrong if they are only not annotated yet',
        'keep_unlabelled=False of COCOMultiLabel leaves them out',
    ),
    'unknown_only': (
        'images of which every label is unknown',
        'nothing is learned from them (but by some losses), and nothing tested',
        'label them, or leave them out',
    ),
    'greyscale': (
        'greyscale images',
        'the loader makes three equal channels: the colour is missing, all else works',
        'nothing to do, if val has about the same share',
    ),
    'cmyk': (
        'CMYK images',
        'converted without their ICC profile: the colours are off, sometimes far',
        'convert them to RGB with their ICC profile',
    ),
    'palette': (
        'images with a palette',
        'the loader looks the colours up: nothing is lost',
        'nothing to do; if they are label maps, the folder is the wrong one',
    ),
    'alpha': (
        'images with transparency',
        'OpenCV drops the alpha channel: hidden pixels show, often black or coloured borders',
        'paste them on a background of your choice',
    ),
    'deep': (
        'more than 8 bits a channel',
        'the loader keeps the upper 8 bits: dark scans can become almost black',
        'stretch them to 8 bits yourself',
    ),
    'rotated': (
        'turned by EXIF or XMP',
        'the loader turns them upright, as viewers do',
        'nothing to do; boxes drawn on the unrotated image do not fit (labels do)',
    ),
    'rotated_ignored': (
        'EXIF orientation that the pipeline ignores',
        'the network sees them rotated or upside down',
        "LoadWholeImage with color_type='color' turns them upright",
    ),
    'other_size': (
        'another size than annotated',
        'labels stay right; areas, and so AP by object size, are those of the annotated size. One '
        'image: it may be another one. All images: a resized copy, as resize.py makes',
        'compare image and annotation',
    ),
}

UNREADABLE = ('missing', 'unreadable', 'truncated', 'too_large', 'blank')
# These spoil a training or its scores, and set the exit status of the tool to 1.
HARMFUL = (*UNREADABLE, 'damaged', 'in_several_splits', 'no_positives_train')
LABEL_CODES = (
    'no_positives_train',
    'no_positives',
    'no_negatives_train',
    'no_negatives',
    'unlabelled',
    'unknown_only',
)
NOT_IN_HEADERS = ('damaged', 'blank')


def codes_to_look_for(read_files: bool = True, quick: bool = False) -> list[str]:
    """List what can be found: in labels only, in headers too, or in decoded images."""
    if not read_files:
        return list(LABEL_CODES)
    return [code for code in FINDING_KINDS if not (quick and code in NOT_IN_HEADERS)]


def read_unreadable(findings: str | os.PathLike) -> set[str]:
    """Return the paths of images that a test stops at, of a file of :func:`write_findings`."""
    content = json.loads(Path(findings).read_text(encoding='utf-8'))
    found = (each for each in content['findings'] if FINDING_KINDS[each['code']][1] == _UNREAD)
    return {entry['path'] for each in found for entry in each['entries']}


@dataclass(frozen=True)
class Finding:
    """All of one kind that was found in one split, or in several together.

    An entry has a ``label`` and how many images have it ``elsewhere``; the ``path`` of an image and
    a ``detail``; or several ``images`` (``split``, ``path``, ``labels``) and ``how`` they are the
    same.
    """

    code: str  # a key of FINDING_KINDS
    splits: tuple[str, ...]  # several only for images that are in several
    entries: list[dict]

    @property
    def is_harmful(self) -> bool:
        """Whether it spoils a training or its scores."""
        return self.code in HARMFUL


def print_findings(
    findings: Sequence[Finding],
    splits: Sequence[DatasetSplit],
    looked_for: Collection[str],
    console: Console,
) -> None:
    """Print one row per kind of finding: how many in each split, an example, what it means.

    Files that are left out, and what of ``looked_for``, codes, was not found, are listed below.
    """
    table = Table(title='findings', title_justify='left')
    table.add_column('finding, first of them')
    for split in splits:
        table.add_column(split.name, justify='right')
    table.add_column('what it means  →  fix')
    found = {finding.code for finding in findings}
    for code in [code for code in FINDING_KINDS if code in found]:
        name, meaning, fix = FINDING_KINDS[code]
        of_kind = [finding for finding in findings if finding.code == code]
        mark, style = (' (!)', 'bold') if code in HARMFUL else ('', '')
        title = Text(name + mark, style)
        title.append('\n' + printable(_example(of_kind[0].entries[0])), 'dim')
        # an image in several splits counts in each of them
        counts = [
            sum(len(finding.entries) for finding in of_kind if split.name in finding.splits)
            for split in splits
        ]
        numbers = [f'{count:,}' if count else '-' for count in counts]
        table.add_row(title, *numbers, Text(f'{meaning}  →  {fix}'), end_section=True)
    if found:
        console.print(table)
    if found.intersection(HARMFUL):
        console.print('(!) spoils a training or its scores')
    for split in splits:
        if number := split.known.unknown_per_sample(len(split.classes)).sum():
            labels = len(split.paths) * len(split.classes)
            console.print(f'{split.name}: {number:,} of {labels:,} labels are unknown')
        if split.left_out:
            console.print(f'{split.name}: {describe_left_out(split.left_out)}')
    for heading, codes, others in (
        ('not found', looked_for, found),
        ('not looked for', FINDING_KINDS, looked_for),
    ):
        titles = [FINDING_KINDS[code][0] for code in codes if code not in others]
        if titles:
            console.print(f'[bold]{heading}:[/bold] {", ".join(titles)}')


def _example(entry: dict) -> str:
    """Format an entry, short."""
    if 'label' in entry:
        elsewhere = ', '.join(f'{name}: {count:,}' for name, count in entry['elsewhere'].items())
        return f'{entry["label"]} ({elsewhere})' if elsewhere else entry['label']
    if 'images' in entry:
        paths = [f'{i["split"]}: {os.path.basename(i["path"])}' for i in entry['images']]
        return f'{paths[0]} = {paths[1]} ({entry["how"]})'
    detail = f' ({entry["detail"]})' if entry['detail'] else ''
    return os.path.basename(entry['path']) + detail


def write_findings(
    findings: Sequence[Finding], splits: Sequence[DatasetSplit], out: str | os.PathLike
) -> Path:
    """Write everything that was found, and the counts of the labels, as JSON; return ``out``."""
    content = dict(splits={}, findings=[])
    for split in splits:
        counts = split.images_per_label().tolist()
        positives, negatives = split.known.class_counts(len(split.classes))
        unknown = (len(split.paths) - positives - negatives).tolist()
        content['splits'][split.name] = dict(
            images=len(split.paths),
            labels=sum(counts),
            left_out=split.left_out,
            images_with_label=dict(zip(split.classes, counts, strict=True)),
            images_with_unknown_label=dict(zip(split.classes, unknown, strict=True)),
        )
    for finding in findings:
        kind = dict(code=finding.code, splits=finding.splits, harmful=finding.is_harmful)
        entries = dict(count=len(finding.entries), entries=finding.entries)
        content['findings'].append(kind | entries)
    return write_file(out, json.dumps(content, indent=1, ensure_ascii=False))
