"""What runs the network: torch or ONNX Runtime, with the same scores."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from four_classes import assert_scores_of_a_test_run

from mmpretrain_mldecoder.apis import MultiLabelInferencer
from mmpretrain_mldecoder.apis.inference import network_runner
from mmpretrain_mldecoder.apis.inference.onnx_model import OnnxModel


@pytest.fixture
def exports(monkeypatch) -> list:
    """The exported models, of which ``.calls`` counts the batches."""
    for package in ('onnxruntime', 'onnx', 'onnxscript'):
        pytest.importorskip(package)
    made = []

    class Counted(OnnxModel):
        calls = 0

        def __init__(self, model, images):
            super().__init__(model, images)
            self.calls = 0  # its own check does not count
            made.append(self)

        def __call__(self, images):
            self.calls += 1
            return super().__call__(images)

    monkeypatch.setattr(network_runner, 'OnnxModel', Counted)
    return made


def test_onnx_runs_every_batch(config, checkpoint, fake_coco, exports):
    inferencer = MultiLabelInferencer(config, checkpoint, batch_size=3, backend='onnx')
    predictions = inferencer(fake_coco / 'val2017', thr=0)
    assert_scores_of_a_test_run(predictions, config, checkpoint)
    assert [export.calls for export in exports] == [3]
    assert inferencer(fake_coco / 'val2017', thr=0) == predictions
    assert [export.calls for export in exports] == [6]


@pytest.fixture
def slow_clock(monkeypatch):
    """Let every batch take 45 seconds."""
    clock = SimpleNamespace(perf_counter=itertools.count(step=45).__next__)
    monkeypatch.setattr(network_runner, 'time', clock)


def test_long_work_goes_over_to_onnx(config, checkpoint, fake_coco, exports, slow_clock):
    inferencer = MultiLabelInferencer(config, checkpoint, device='cpu', batch_size=3)
    folder = fake_coco / 'val2017'
    inferencer([folder / f'00000000000{i}.jpg' for i in (1, 2, 3, 4, 5, 6)])
    assert not exports  # three images in 45 seconds, and as many are left
    inferencer(folder / '000000000001.jpg')
    assert not exports  # nothing is left after it
    assert_scores_of_a_test_run(inferencer(folder, thr=0), config, checkpoint)
    assert [export.calls for export in exports] == [2]  # the first of three batches told
    inferencer(folder / '000000000001.jpg')
    assert [export.calls for export in exports] == [3]


def test_other_sizes_go_through_torch(config, checkpoint, exports):
    del config.test_dataloader.dataset.pipeline[1]  # the resizing
    inferencer = MultiLabelInferencer(config, checkpoint, batch_size=1, backend='onnx')
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (side, 32, 3), dtype=np.uint8) for side in (32, 48, 32)]
    predictions = inferencer(images, thr=0)
    expected = MultiLabelInferencer(config, checkpoint, batch_size=1, backend='torch')(images, 0)
    for got, want in zip(predictions, expected, strict=True):
        assert got['scores'] == pytest.approx(want['scores'], abs=1e-5)
    assert [export.calls for export in exports] == [2]


@pytest.fixture
def failing_export(monkeypatch):
    def fail(model, images):
        raise RuntimeError('the model cannot be exported to ONNX: too exotic')

    monkeypatch.setattr(network_runner, 'OnnxModel', fail)
    monkeypatch.setattr(network_runner, 'SECONDS_WORTH_AN_EXPORT', 0)
    monkeypatch.setattr(network_runner, 'missing_onnx_packages', list)


def test_failing_export(config, checkpoint, fake_coco, failing_export, recwarn):
    inferencer = MultiLabelInferencer(config, checkpoint, device='cpu', batch_size=3)
    predictions = inferencer(fake_coco / 'val2017', thr=0)
    assert_scores_of_a_test_run(predictions, config, checkpoint)
    (warning,) = [w for w in recwarn if 'torch' in str(w.message)]  # one, although batches follow
    assert str(warning.message) == (
        'predicting with torch: the model cannot be exported to ONNX: too exotic'
    )
    for _ in range(2):
        asked = MultiLabelInferencer(config, checkpoint, backend='onnx')
        with pytest.raises(RuntimeError, match='cannot be exported to ONNX: too exotic'):
            asked(fake_coco / 'val2017')


def test_without_the_packages_for_onnx(monkeypatch, config, checkpoint, fake_coco, recwarn):
    monkeypatch.setattr(network_runner, 'missing_onnx_packages', lambda: ['onnxruntime'])
    monkeypatch.setattr(network_runner, 'SECONDS_WORTH_AN_EXPORT', 0)
    inferencer = MultiLabelInferencer(config, checkpoint, device='cpu', batch_size=3)
    predictions = inferencer(fake_coco / 'val2017', thr=0)
    assert_scores_of_a_test_run(predictions, config, checkpoint)
    assert not [w for w in recwarn if 'torch' in str(w.message)]
    message = r"needs onnxruntime: pip install 'mmpretrain_mldecoder\[onnx\]'"
    with pytest.raises(ModuleNotFoundError, match=message):
        MultiLabelInferencer(config, checkpoint, backend='onnx')


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(backend='tf'), "backend must be 'torch', 'onnx' or None, but got 'tf'"),
        (dict(backend='onnx', device='cuda'), "'onnx' predicts on the CPU, but device is cuda"),
    ],
)
def test_wrong_backend(config, checkpoint, kwargs, message):
    with pytest.raises(ValueError, match=message):
        MultiLabelInferencer(config, checkpoint, **kwargs)
