import json

import numpy as np
import pytest
from prediction_dumps import write_classes_config, write_dump

from mmpretrain_mldecoder.apis import write_class_prior
from mmpretrain_mldecoder.models.losses.partial_label_losses import read_class_prior


@pytest.fixture
def config(tmp_path):
    return write_classes_config(tmp_path / 'config.py', ['zebra', '狗', 'ant'])


def dump(path, scores):
    scores = np.array(scores, np.float32)
    return write_dump(path, scores, np.where(scores > 0.5, 1, -1))


def test_is_the_mean_probability_of_each_class_by_name(tmp_path, config):
    predictions = dump(tmp_path / 'a.pkl', [[0.5, 0.25, 1], [0, 0.25, 1], [0.25, 0.25, 1]])
    expected = {'zebra': 0.25, '狗': 0.25, 'ant': 1.0}
    assert write_class_prior(predictions, config, tmp_path / 'new/prior.json') == expected
    text = (tmp_path / 'new/prior.json').read_text(encoding='utf-8')
    assert json.loads(text) == expected and '狗' in text
    assert read_class_prior(str(tmp_path / 'new/prior.json')) == expected


def test_other_predictions_are_refused(tmp_path, config):
    two = dump(tmp_path / 'a.pkl', [[0.5, 0.25]])
    logits = dump(tmp_path / 'b.pkl', [[0.5, -3, 0]])
    for predictions, message in (
        (two, 'has 2 scores per image, and .* 3 classes: they are of another config'),
        (logits, 'no probabilities'),
        (config, 'predictions'),
    ):
        with pytest.raises(ValueError, match=message):
            write_class_prior(predictions, config, tmp_path / 'prior.json')
    with pytest.raises(FileNotFoundError):
        write_class_prior(tmp_path / 'c.pkl', config, tmp_path / 'prior.json')
    assert not (tmp_path / 'prior.json').exists()
