import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from four_classes import assert_scores_of_a_test_run
from mmpretrain.registry import MODELS
from torch import nn

from mmpretrain_mldecoder.apis import MultiLabelInferencer
from mmpretrain_mldecoder.apis.inference import network_runner, onnx_model
from mmpretrain_mldecoder.apis.inference.network_runner import fold_batch_norm
from mmpretrain_mldecoder.apis.inference.onnx_model import OnnxModel, to_onnx
from mmpretrain_mldecoder.errors import RunError


@pytest.fixture(scope='module')
def files() -> dict:
    """What was exported, by the size of the images: these tests have one network."""
    return {}


@pytest.fixture
def exports(monkeypatch, files) -> list:
    """The exported models, of which ``.calls`` counts the batches."""
    for package in ('onnxruntime', 'onnx', 'onnxscript'):
        pytest.importorskip(package)
    made = []

    def export_once(network, images):
        size = images.shape[2:]
        if size not in files:
            files[size] = to_onnx(network, images)
        return files[size]

    class Counted(OnnxModel):
        calls = 0

        def __init__(self, model, images):
            super().__init__(model, images)
            self.calls = 0  # its own check does not count
            made.append(self)

        def __call__(self, images):
            self.calls += 1
            return super().__call__(images)

    monkeypatch.setattr(onnx_model, 'to_onnx', export_once)
    monkeypatch.setattr(network_runner, 'OnnxModel', Counted)
    return made


def test_onnx_runs_every_batch(config, checkpoint, fake_coco, exports):
    inferencer = MultiLabelInferencer(config, checkpoint, batch_size=3, backend='onnx')
    predictions = inferencer(fake_coco / 'val2017', thr=0)
    assert_scores_of_a_test_run(predictions, config, checkpoint)
    assert [export.calls for export in exports] == [3]
    assert inferencer(fake_coco / 'val2017', thr=0) == predictions
    assert [export.calls for export in exports] == [6]


def test_long_work_goes_over_to_onnx(config, checkpoint, fake_coco, exports, monkeypatch):
    clock = SimpleNamespace(perf_counter=itertools.count(step=45).__next__)  # a batch in 45 s
    monkeypatch.setattr(network_runner, 'time', clock)
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


def test_failing_export(config, checkpoint, fake_coco, monkeypatch, recwarn):
    def fail(model, images):
        raise RunError('the model cannot be exported to ONNX: too exotic')

    monkeypatch.setattr(network_runner, 'OnnxModel', fail)
    monkeypatch.setattr(network_runner, 'SECONDS_WORTH_AN_EXPORT', 0)
    monkeypatch.setattr(network_runner, 'missing_onnx_packages', list)
    inferencer = MultiLabelInferencer(config, checkpoint, device='cpu', batch_size=3)
    predictions = inferencer(fake_coco / 'val2017', thr=0)
    assert_scores_of_a_test_run(predictions, config, checkpoint)
    (warning,) = [w for w in recwarn if 'torch' in str(w.message)]  # one, although batches follow
    message = 'the model cannot be exported to ONNX: too exotic'
    assert str(warning.message) == f'predicting with torch: {message}'
    asked = MultiLabelInferencer(config, checkpoint, backend='onnx')
    with pytest.raises(RuntimeError, match=message):
        asked(fake_coco / 'val2017')


def test_without_the_packages_for_onnx(monkeypatch, config, checkpoint, fake_coco, recwarn):
    monkeypatch.setattr(onnx_model, 'find_spec', lambda name: name != 'onnxruntime' or None)
    monkeypatch.setattr(network_runner, 'SECONDS_WORTH_AN_EXPORT', 0)
    inferencer = MultiLabelInferencer(config, checkpoint, device='cpu', batch_size=3)
    predictions = inferencer(fake_coco / 'val2017', thr=0)
    assert_scores_of_a_test_run(predictions, config, checkpoint)
    assert not [w for w in recwarn if 'torch' in str(w.message)]
    message = r'needs onnxruntime: pip install onnxruntime'
    with pytest.raises(ModuleNotFoundError, match=message):
        MultiLabelInferencer(config, checkpoint, backend='onnx')


def away_from_start(module: nn.Module) -> nn.Module:
    """Give the norms statistics and weights that do something, and go to evaluation mode."""
    torch.manual_seed(0)
    for m in module.modules():
        if isinstance(m, nn.modules.batchnorm._BatchNorm):
            nn.init.uniform_(m.weight, 0.5, 1)
            nn.init.normal_(m.bias)
            if m.running_mean is not None:
                m.running_mean.normal_()
                m.running_var.uniform_(0.5, 2)
    module.eval()
    return module  # the host's eval() does not return it


@torch.no_grad()
def assert_same_after(module: nn.Module, folded: int, left: int) -> None:
    images = torch.randn(2, 3, 64, 64)
    expected = module(images)
    assert fold_batch_norm(module) == folded
    norms = [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    assert len(norms) == left
    got = module(images)
    for a, b in zip(got, expected, strict=True):
        # Tens of layers, each with a rounding or two of 6e-8 more or less.
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4 * b.abs().max().item())


@pytest.mark.parametrize(
    ('backbone', 'folded'),
    [
        # three convolutions in the stem, a pool ahead of the shortcut's
        (dict(type='ResNetVd', depth=18, stem_channels=8, base_channels=8), 3 + 16 + 4),
        # convolution, norm and activation in one module, with as many groups as channels
        (dict(type='MobileNetV2', widen_factor=0.25, out_indices=(7,)), 52),
    ],
)
def test_every_norm_of_a_backbone(backbone, folded):
    assert_same_after(away_from_start(MODELS.build(backbone)), folded, left=0)


def test_norms_with_an_activation_inside():
    timm = pytest.importorskip('timm')
    module = timm.create_model('mobilenetv3_small_050', pretrained=False)
    # All of them are subclasses of BatchNorm2d.
    assert_same_after(away_from_start(module), folded=0, left=34)


@pytest.mark.parametrize('track', [True, False])
def test_convolution_with_a_bias_and_a_norm_without_statistics(track):
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=track))
    assert_same_after(away_from_start(module), folded=track, left=1 - track)


class Two(nn.Module):
    scale = None

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)


class TwoNames(Two):
    def __init__(self):
        super().__init__()
        self.alias = self.norm

    def forward(self, x):
        return self.alias(self.conv(x))


class Remembers(Two):
    """Keeps what it computed: the trace must not leave its own objects there."""

    def forward(self, x):
        if self.scale is None:
            self.scale = x.mean()
        return self.norm(self.conv(x)) * self.scale if x.shape[0] > 1 else x


def read_twice(self, x):
    features = self.conv(x)
    return features + self.norm(features)


@pytest.mark.parametrize(
    'kind',
    [
        *(TwoNames, Remembers, read_twice),
        lambda self, x: self.conv(self.norm(x)),
        lambda self, x: self.norm(self.conv(x).relu()),
        lambda self, x: self.norm(self.conv(self.conv(x))),
        lambda self, x: self.norm(self.conv(x)) + self.norm(x),
        lambda self, x: self.norm(self.conv(x)) if x.mean() > 0 else -x,
    ],
)
def test_what_cannot_be_folded_stays(kind):
    kind = kind if isinstance(kind, type) else type('Kind', (Two,), dict(forward=kind))
    module = away_from_start(kind())
    assert fold_batch_norm(module) == 0
    assert module.scale is None
    assert_same_after(module, folded=0, left=1)
