import pytest
from mmengine.config import Config
from mmpretrain.registry import MODELS
from torch import nn

import mmpretrain_mldecoder  # noqa: F401  (registers everything)
from mmpretrain_mldecoder.analysis.model_table.model_cost import image_side, model_cost


@MODELS.register_module(force=True)
class ToyNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2, bias=False)  # 8 px: 3 x 3 positions
        self.frozen = nn.Conv2d(4, 5, 1).requires_grad_(False)
        self.linear = nn.Linear(5, 6)

    def forward(self, x):
        return (self.linear(self.frozen(self.conv(x)).mean((2, 3))),)


def test_counts_by_formula():
    """A multiply-add is 2, biases cost nothing, and frozen parameters are not learnable."""
    cfg = Config(dict(model=dict(type='ImageClassifier', backbone=dict(type='ToyNet'))))
    cost = model_cost(cfg, 8)
    assert cost.parameters == 3 * 4 * 9 + 5 * 6 + 6
    assert cost.flops == 2 * (9 * 3 * 4 * 9 + 9 * 4 * 5 + 5 * 6)
    assert cfg.model.backbone == dict(type='ToyNet')


def test_resnet50_is_torchvisions():
    """25,557,032 parameters and 4.09 G multiply-adds, as torchvision's documentation says."""
    backbone = dict(type='ResNet', depth=50, init_cfg=dict(type='Pretrained', checkpoint='absent'))
    model = dict(
        type='ImageClassifier',
        backbone=backbone,
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=1000, in_channels=2048),
        train_cfg=dict(augments=dict(type='Mixup', alpha=0.2)),
    )
    cost = model_cost(Config(dict(model=model)), 224)
    assert cost.parameters == 25_557_032
    assert cost.flops / 2 / 1e9 == pytest.approx(4.09, abs=0.005)


def pipeline(*steps: dict) -> Config:
    return Config(dict(test_dataloader=dict(dataset=dict(pipeline=steps))))


def test_side_of_the_images():
    load = dict(type='LoadImageFromFile')
    assert image_side(pipeline(load, dict(type='SquareResize', scale=448))) == 448
    edge = dict(type='ResizeEdge', scale=256)
    assert image_side(pipeline(load, edge, dict(type='CenterCrop', crop_size=224))) == 224
    with pytest.raises(ValueError, match='no SquareResize and no CenterCrop'):
        image_side(pipeline(load))
