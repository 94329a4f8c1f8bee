import json
import os

import numpy as np
import pytest
from prediction_dumps import random_run, write_dump

from mmpretrain_mldecoder.analysis.report import read_test_run, write_fiftyone


def test_both_files(tmp_path):
    scores = np.array([[0.25, 0.75, 0.5], [0.1, 0.2, 0.3]], np.float32)
    targets = np.array([[1, 0, -1], [0, 0, 0]])
    run = read_test_run(write_dump(tmp_path / 'a.pkl', scores, targets, images=['a.jpg', '/b.jpg']))
    truth, predictions = write_fiftyone(run, ['x', 'y', 'z'], tmp_path / 'out')
    path = os.path.abspath('a.jpg')
    assert json.loads(truth.read_text()) == dict(
        classes=['x', 'y', 'z'], labels={path: [dict(label='x')], '/b.jpg': []}
    )
    best = [dict(label='y', confidence=0.75), dict(label='z', confidence=0.5)]
    assert json.loads(predictions.read_text())['labels'] == {path: best, '/b.jpg': []}


@pytest.mark.parametrize('images', [['', 'b.jpg'], ['a.jpg', 'a.jpg']])
def test_images_without_a_path_of_their_own(tmp_path, images):
    scores, targets = random_run(2, 3)
    run = read_test_run(write_dump(tmp_path / 'a.pkl', scores, targets, images=images))
    with pytest.raises(ValueError, match='not every sample has an img_path of its own'):
        write_fiftyone(run, 'xyz', tmp_path)
    with pytest.raises(ValueError, match=r'thr must be in \[0, 1\], but got 2'):
        write_fiftyone(run, 'xyz', tmp_path, thr=2)
