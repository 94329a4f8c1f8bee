"""A config and a checkpoint of a network of two convolutions: it is exported in a second or two."""

from collections.abc import Callable
from pathlib import Path

import torch
from fake_coco import write_coco
from mmengine.model import BaseModel, BaseModule
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmpretrain_mldecoder.apis.export.formats import read_torch_archive

CLASSES = ['ant', 'bee', 'cat', 'dog']  # of the fake COCO

_CONFIG = """
custom_imports = dict(imports=['mmpretrain_mldecoder'], allow_failed_imports=False)
default_scope = 'mmpretrain'
model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(mean=[100, 110, 120], std=[60, 50, 40], to_rgb=True),
    backbone=dict(type='TwoConvolutions'), **{model!r})
test_pipeline = [
    dict(type='LoadImageFromFile'), {resize}, dict(type='PackMultiLabelInputs')]
test_dataloader = dict(
    batch_size=4, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(type='COCOMultiLabel', data_root={data_root!r}, pipeline=test_pipeline,
                 data_prefix='val2017', ann_file='annotations/instances_val2017.json'))
test_evaluator = dict(type='MultiLabelMAP')
test_cfg = dict()
"""

DECODER = dict(embed_dims=8, num_heads=2, feedforward_channels=16, in_channels=16)
HEADS = dict(
    # three queries of two answers for four classes: the last query has none
    groups=dict(head=dict(type='MLDecoderHead', num_classes=4, num_groups=3, **DECODER)),
    # as many classes as OpenImages
    many=dict(head=dict(type='MLDecoderHead', num_classes=9605, num_groups=200, **DECODER)),
    linear=dict(
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='MultiLabelLinearClsHead', num_classes=4, in_channels=16),
    ),
    single=dict(
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=4, in_channels=16),
    ),
)


@MODELS.register_module()
class TwoConvolutions(BaseModule):
    """``(B, 3, H, W)`` to ``(B, 16, H / 4, W / 4)``."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 16, 3, stride=2, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 16, 3, stride=2, padding=1),
            nn.ReLU(),
        )

    def forward(self, image: Tensor) -> tuple[Tensor]:
        return (self.layers(image),)


def build_classifier(head: str) -> BaseModel:
    """Build the model in evaluation mode; its scores differ from image to image."""
    torch.manual_seed(0)
    preprocessor = dict(mean=[100, 110, 120], std=[60, 50, 40], to_rgb=True)
    model = MODELS.build(
        dict(type='ImageClassifier', data_preprocessor=preprocessor)
        | dict(backbone=dict(type='TwoConvolutions'), **HEADS[head])
    )
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    model.eval()
    return model


def write_classifier(
    folder: Path,
    head: str = 'groups',
    resize: str = "dict(type='SquareResize', scale=32)",
    thresholds: bool = False,
) -> tuple[str, str]:
    """Write a config with its data and a checkpoint; return their paths."""
    if not (folder / 'coco').is_dir():
        write_coco(folder / 'coco', dict(train=12, val=7))
    config, checkpoint = folder / f'{head}.py', folder / f'{head}.pth'
    config.write_text(
        _CONFIG.format(model=HEADS[head], resize=resize, data_root=str(folder / 'coco'))
    )
    model = build_classifier(head)
    number = model.head.num_classes
    names = CLASSES if number == 4 else [f'class {i}' for i in range(number)]
    meta = dict(dataset_meta=dict(classes=names))
    if thresholds:
        meta['thresholds'] = dict(
            classes=names, values=[0.1, 0.3, 0.5, 0.7], criterion='f1', split='train'
        )
    torch.save(dict(state_dict=model.state_dict(), meta=meta), checkpoint)
    return str(config), str(checkpoint)


def read_with_other_logits(path: Path) -> tuple[Callable[[Tensor], Tensor], dict]:
    """Load an archive as :func:`read_torch_archive`, but for logits that are 0.1 too large."""
    run, metadata = read_torch_archive(path)
    return lambda images: run(images) + 0.1, metadata
