"""Names of files and classes that no font has, in all that is drawn."""

import warnings

import numpy as np

from mmpretrain_mldecoder.visualization import attention_figure, contact_sheet
from mmpretrain_mldecoder.visualization.augmentation_sheet import (
    AugmentedImage,
    augmentation_sheet,
)
from mmpretrain_mldecoder.visualization.label_plots import plot_cooccurrence, plot_label_counts
from mmpretrain_mldecoder.visualization.labelled_image import labelled_image

NAMES = [
    '\x1b[2J',
    'two\nlines',
    'a\tb\0c\x7f',
    '\udcff\udcfe.jpg',  # bytes of a file name that are no UTF-8
    'gpj.\u202eexe',
    '$x_1^2$ $',
    '<img src=x>',
    'long ' * 100,
    '',
]
IMAGE = np.full((40, 60, 3), 90, np.uint8)


def prediction(path: str) -> dict:
    number = len(NAMES)
    return dict(
        path=path,
        labels=NAMES,
        scores=[0.5] * number,
        attention=np.full((number, 2, 4, 5), 0.05, np.float32),
        shares_query_with=[NAMES] * number,
        seen=IMAGE,
    )


def test_all_drawings(tmp_path):
    counts = np.arange(1, len(NAMES) + 1)
    with warnings.catch_warnings():
        warnings.simplefilter('error')  # of a font that lacks a character
        contact_sheet([IMAGE] * len(NAMES), [*map(prediction, NAMES)], tmp_path / 'sheet.png')
        labelled_image(IMAGE, prediction('a.jpg'), tmp_path / 'labelled.jpg')
        for per_head in (False, True):
            attention_figure(prediction('a.jpg'), tmp_path / f'{per_head}.png', per_head)
        tiles = [AugmentedImage(name, NAMES, [IMAGE]) for name in NAMES]
        augmentation_sheet(tiles, 'caption', tmp_path / 'augmented.png')
        plot_label_counts(NAMES, dict(train=counts), tmp_path / 'counts.png')
        together = np.diag(counts) + 1
        plot_cooccurrence(NAMES, together, 'train', len(NAMES), tmp_path / 'together.png')
    assert len(list(tmp_path.iterdir())) == 7
