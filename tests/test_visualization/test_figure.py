import warnings

import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure

from mmpretrain_mldecoder.visualization import attention_figure, contact_sheet
from mmpretrain_mldecoder.visualization.augmentation_sheet import (
    AugmentedImage,
    augmentation_sheet,
)
from mmpretrain_mldecoder.visualization.figure import label_font, save_figure, shorten
from mmpretrain_mldecoder.visualization.label_plots import plot_cooccurrence, plot_label_counts
from mmpretrain_mldecoder.visualization.labelled_image import labelled_image


@pytest.mark.parametrize(
    ('text', 'width', 'expected'),
    [
        ('abcdefgh', 8, 'abcdefgh'),
        ('abcdefgh', 7, 'abc…fgh'),
        ('abcdefgh', 6, 'abc…gh'),
        ('abcdefgh', 2, 'a…'),
        ('abcdefgh', 0, 'a…'),
        ('', 0, ''),
        ('\x1b[2J', 20, '\\x1b[2J'),
    ],
)
def test_the_middle_of_a_long_text_is_cut_out(text, width, expected):
    assert shorten(text, width) == expected


def test_text_fits_into_pixels():
    font = label_font('Wi', 20)
    for text in ('W' * 90, 'i' * 90, 'Wi' * 500_000):
        short = shorten(text, 200, font.getlength)
        assert 160 < font.getlength(short) <= 200


def test_png_of_the_asked_size_in_a_new_folder(tmp_path):
    out = save_figure(Figure(figsize=(2, 1), dpi=50), tmp_path / 'new' / 'figure.png')
    assert cv2.imread(str(out)).shape == (50, 100, 3)
    assert [path.name for path in out.parent.iterdir()] == ['figure.png']


def test_failure_leaves_the_old_image_and_no_other_file(tmp_path):
    out = tmp_path / 'figure.png'
    out.write_bytes(b'old')
    figure = Figure()
    figure.text(0.5, 0.5, r'$\nosuchcommand$')
    with pytest.raises(ValueError, match='nosuchcommand'):
        save_figure(figure, out)
    assert out.read_bytes() == b'old'
    assert list(tmp_path.iterdir()) == [out]


NAMES = [
    '\x1b[2J',
    'two\nlines',
    'a\tb\0c\x7f',
    '\udcff\udcfe.jpg',  # bytes of a file name that are no UTF-8
    'gpj.\u202eexe',
    '$x_1^2$ $',
    'Стул',
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
        attention_kind='attention',
        shares_query_with=[NAMES] * number,
        seen=IMAGE,
    )


def test_names_that_no_font_has_in_all_drawings(tmp_path):
    counts = np.arange(1, len(NAMES) + 1)
    with warnings.catch_warnings():
        warnings.simplefilter('error')  # of a font that lacks a character
        contact_sheet([IMAGE] * len(NAMES), [*map(prediction, NAMES)], tmp_path / 'sheet.png')
        labelled_image(IMAGE, prediction('a.jpg'), tmp_path / 'labelled.jpg')
        for per_head in (False, True):
            attention_figure(prediction('a.jpg'), tmp_path / f'{per_head}.png', per_head)
        tiles = [AugmentedImage(name, NAMES, {'': IMAGE}) for name in NAMES]
        augmentation_sheet(tiles, 'caption', tmp_path / 'augmented.png')
        plot_label_counts(NAMES, dict(train=counts), tmp_path / 'counts.png')
        together = np.diag(counts) + 1
        plot_cooccurrence(NAMES, together, 'train', len(NAMES), tmp_path / 'together.png')
    assert len(list(tmp_path.iterdir())) == 7
