"""Fixtures of what predicts: config, checkpoint and inferencer of four classes."""

import pytest
from four_classes import tiny_config, write_checkpoint

from mmpretrain_mldecoder.apis import MultiLabelInferencer


@pytest.fixture
def config(fake_coco):
    return tiny_config(fake_coco)


@pytest.fixture
def checkpoint(config, tmp_path):
    return write_checkpoint(config, tmp_path / 'tiny.pth')


@pytest.fixture
def inferencer(config, checkpoint):
    return MultiLabelInferencer(config, checkpoint, device='cpu', batch_size=3)
