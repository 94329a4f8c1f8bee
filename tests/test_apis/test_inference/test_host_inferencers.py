"""MMPretrain's own inferencers, which load images themselves, on our pipelines and heads."""

import cv2
import numpy as np
import pytest
import torch
from four_classes import CLASSES
from mmpretrain import FeatureExtractor, ImageClassificationInferencer, get_model, inference_model
from mmpretrain.apis import ModelHub

from mmpretrain_mldecoder.apis import MultiLabelInferencer

OURS = [
    dict(type='LoadWholeImage'),
    dict(type='SquareResize', scale=32),
    dict(type='PackMultiLabelInputs'),
]


@pytest.fixture
def model(config, checkpoint):
    config.test_dataloader.dataset.pipeline = OURS
    return get_model(config, pretrained=str(checkpoint))


@pytest.fixture
def paths(fake_coco) -> list[str]:
    return [str(path) for path in sorted((fake_coco / 'val2017').iterdir())][:3]


def test_classification_gives_our_scores(model, config, checkpoint, paths, tmp_path):
    ours = MultiLabelInferencer(config, checkpoint, device='cpu')(paths, thr=0)
    expected = [dict(zip(image['labels'], image['scores'], strict=True)) for image in ours]
    arrays = [cv2.imread(path) for path in paths]
    host = ImageClassificationInferencer(model)
    for inputs in (paths, arrays, [paths[0], *arrays[1:]]):
        for batch_size in (1, 3):
            results = host(inputs, batch_size=batch_size)
            for got, want in zip(results, expected, strict=True):
                # All of them: `pred_label` is the best class alone, whatever the head.
                scores = dict(zip(CLASSES, got['pred_scores'].tolist(), strict=True))
                assert scores == pytest.approx(want, abs=1e-5)
                assert got['pred_class'] == max(want, key=want.get)
    (sample,) = host(paths[0], return_datasamples=True, show_dir=str(tmp_path / 'shown'))
    assert sample.pred_label.tolist() == [i for i, c in enumerate(CLASSES) if expected[0][c] >= 0.5]
    assert len(list((tmp_path / 'shown').iterdir())) == 1


def test_shortcut_and_features(model, paths):
    model._metainfo = ModelHub.get('mldecoder_r50_coco')  # as of a model that was built by name
    assert inference_model(model, paths[0])['pred_class'] in CLASSES
    arrays = [cv2.imread(path) for path in paths]
    for inputs in (paths, arrays):
        features = FeatureExtractor(model)(inputs, batch_size=2, stage='backbone')
        assert [feature[-1].shape for feature in features] == [(64, 1, 1)] * 3
    torch.testing.assert_close(features[0][-1], FeatureExtractor(model)(paths[0])[0][-1])


@pytest.mark.parametrize('channels', [None, 4])
def test_arrays_without_three_channels(model, paths, channels):
    grey = cv2.imread(paths[0], cv2.IMREAD_GRAYSCALE)
    image = grey if channels is None else np.dstack([grey] * channels)
    host = ImageClassificationInferencer(model)
    (got,), (want,) = host(image), host(np.dstack([grey] * 3))
    np.testing.assert_array_equal(got['pred_scores'], want['pred_scores'])
