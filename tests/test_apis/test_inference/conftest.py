"""Fixtures of what predicts: config, checkpoint and inferencer of four classes."""

import pytest
import torch
from four_classes import CLASSES, tiny_config
from mmpretrain.registry import MODELS

from mmpretrain_mldecoder.apis import MultiLabelInferencer


@pytest.fixture
def config(fake_coco):
    return tiny_config(fake_coco)


@pytest.fixture
def checkpoint(config, tmp_path):
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    # Away from 0, so that the scores spread.
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    path = tmp_path / 'tiny.pth'
    meta = dict(dataset_meta=dict(classes=CLASSES))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    return path


@pytest.fixture
def inferencer(config, checkpoint):
    return MultiLabelInferencer(config, checkpoint, device='cpu', batch_size=3)
