import copy

import pytest
import torch
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmpretrain_mldecoder.apis.inference import onnx_model
from mmpretrain_mldecoder.apis.inference.onnx_model import OnnxModel, missing_onnx_packages, to_onnx

for package in ('onnxruntime', 'onnx', 'onnxscript'):
    pytest.importorskip(package)

PREPROCESSOR = dict(type='ClsDataPreprocessor', mean=[100, 110, 120], std=[60, 50, 40], to_rgb=True)
BACKBONE = dict(type='ResNetVd', depth=18, stem_channels=8, base_channels=8)
DECODER = dict(
    type='MLDecoderHead', in_channels=64, embed_dims=16, num_heads=2, feedforward_channels=16
)
HEADS = {
    'groups that do not divide': DECODER | dict(num_classes=11, num_groups=3, num_layers=2),
    'as many classes as OpenImages': DECODER | dict(num_classes=9605, num_groups=100),
    'linear': dict(type='MultiLabelLinearClsHead', num_classes=4, in_channels=64),
}


def tiny_model(name: str) -> nn.Module:
    """A model whose scores differ from image to image."""
    torch.manual_seed(0)
    neck = dict(type='GlobalAveragePooling') if name == 'linear' else None
    model = MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=BACKBONE,
            neck=neck,
            head=HEADS[name],
            data_preprocessor=PREPROCESSOR,
        )
    )
    for m in model.backbone.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.momentum = None  # statistics of the images, so that no norm flattens them
    with torch.no_grad():
        model.backbone(model.data_preprocessor(dict(inputs=random_images(8)))['inputs'])
        for parameter in model.head.parameters():
            nn.init.normal_(parameter, std=0.3)
    model.eval()
    return model


def random_images(batch: int) -> Tensor:
    generator = torch.Generator().manual_seed(batch)
    # Of one colour each, and noise.
    colors = torch.rand(batch, 3, 1, 1, generator=generator) * 200
    return (torch.rand(batch, 3, 48, 32, generator=generator) * 55 + colors).to(torch.uint8)


@pytest.mark.parametrize('name', HEADS)
def test_logits_are_those_of_torch_for_any_batch(name):
    model = tiny_model(name)
    exported = OnnxModel(model, random_images(1))  # an example of one must not freeze the batch
    for batch in (1, 2, 7, 32):
        images = random_images(batch)
        assert exported.accepts(images)
        with torch.no_grad():
            expected = torch.stack([s.pred_score for s in model.test_step(dict(inputs=images))])
        assert batch == 1 or expected.std(0).max() > 1e-2
        # Two libraries sum in two orders; scores are at most 1.
        torch.testing.assert_close(exported(images).sigmoid(), expected, rtol=0, atol=1e-5)
    assert not exported.accepts(images.float())
    assert not exported.accepts(images[..., :-1])
    # OMP_NUM_THREADS=1 must mean 1, where ONNX Runtime alone would take all cores.
    options = exported._session.get_session_options()
    assert options.intra_op_num_threads == torch.get_num_threads()


def test_what_is_exported(capfd, recwarn):
    model = to_onnx(tiny_model('linear'), random_images(3))
    (image,), (logits,) = model.graph.input, model.graph.output
    assert (image.name, logits.name) == ('image', 'logits')
    batch, *rest = image.type.tensor_type.shape.dim
    assert batch.dim_param
    assert [d.dim_value for d in rest] == [3, 48, 32]
    assert capfd.readouterr() == ('', '')
    assert not recwarn.list


def test_a_model_that_cannot_be_exported():
    model = tiny_model('linear')
    model.neck = ByValue()
    with pytest.raises(RuntimeError, match='the model cannot be exported to ONNX: '):
        OnnxModel(model, random_images(1))


class ByValue(nn.Module):
    """Goes another way for other images, which a graph cannot."""

    def forward(self, feats: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        pooled = feats[-1].mean((2, 3))
        return (pooled if pooled.sum() > 0 else -pooled,)


def test_a_model_that_is_exported_wrongly(monkeypatch):
    def export_another(model, example):
        other = copy.deepcopy(model)
        nn.init.constant_(other.head.fc.bias, 3)
        return to_onnx(other, example)

    monkeypatch.setattr(onnx_model, 'to_onnx', export_another)
    with pytest.raises(RuntimeError, match=r'gives scores that are 0\.\d+ off, more than 0\.001'):
        OnnxModel(tiny_model('linear'), random_images(1))


def test_missing_packages(monkeypatch):
    assert missing_onnx_packages() == []
    monkeypatch.setattr(onnx_model, 'find_spec', lambda name: None if name == 'onnx' else name)
    assert missing_onnx_packages() == ['onnx']
