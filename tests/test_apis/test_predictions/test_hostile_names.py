"""Paths of a list file cannot make a drawing, or anything, appear outside of the output folder."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from mmpretrain_mldecoder.apis import expand_inputs
from mmpretrain_mldecoder.apis.predictions.prediction_run import drawing_name
from mmpretrain_mldecoder.visualization.label_plots import plot_label_counts

NAMES = [
    '/etc/passwd',
    '../../../../etc/passwd',
    'a/../../../../../b.jpg',
    './/../x.jpg',
    '_/../../x.jpg',
    '\x1b[2J.jpg',
    'nul\0.jpg',
    '..',
    '/',
]


@pytest.mark.parametrize('name', NAMES)
def test_drawings_stay_below_their_folder(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    drawn = drawing_name(name, '.jpg')
    assert not drawn.is_absolute()
    assert '..' not in drawn.parts


def test_drawings_of_a_list_file(tmp_path):
    (tmp_path / 'list.txt').write_text('\n'.join(NAMES[:6]))
    for path in expand_inputs(tmp_path / 'list.txt'):
        assert '..' not in drawing_name(path, '.png').parts


def test_names_are_no_formulas_of_matplotlib(tmp_path):
    """`$` begins a formula, of which this one is wrong: drawing it would raise."""
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((4, 4, 3), np.uint8))
    counts = dict(train=np.array([3, 2]))
    out = plot_label_counts(['$\\frac{$', '$x^$'], counts, tmp_path / 'counts.png')
    assert Path(out).stat().st_size > 0
